//! Queues come and go.

use super::Model;
use super::arguments::{COMPARED, QueueSettings, is_quorum};
use super::channel::QueueKey;
use super::consume::REPLY_TO;
use super::exchange::Destination;
use super::queue::Queue;
use super::refusal::{Outcome, Refusal};
use super::request::{Caller, Event, QueueDeclare, QueueDeclared, Version};
use super::resource::{Resource, plain, type_name};
use super::rights::{Actor, Right};

const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

impl Queue {
    /// Another connection's queue is locked.
    pub(super) fn check_owner(&self, actor: &Actor, resource: Resource<'_>) -> Outcome<()> {
        // An operator may look into everything.
        if self.owner.is_none() || actor.channel.is_none() || self.owner == actor.link() {
            return Ok(());
        }
        Err(locked(resource))
    }

    fn declared(&self, name: &str) -> QueueDeclared {
        QueueDeclared {
            queue: name.to_owned(),
            messages: self.ready.len() as u32,
            consumers: self.consumers.len() as u32,
        }
    }

    /// Whether a declaration says what it is already.
    fn check_same(
        &self,
        actor: &Actor,
        resource: Resource<'_>,
        declare: &QueueDeclare<'_>,
        is_quorum: bool,
        version: Version,
    ) -> Outcome<()> {
        self.check_owner(actor, resource)?;
        if self.owner.is_some() != declare.exclusive {
            return Err(locked(resource));
        }
        let yes = |yes: bool| plain(&yes.to_string());
        let durable = declare.durable && !declare.exclusive;
        resource.check_same("durable", &yes(durable), &yes(self.durable))?;
        let (received, current) = (declare.auto_delete, self.auto_delete);
        resource.check_same("auto_delete", &yes(received), &yes(current))?;
        self.check_same_type(version, resource, declare, is_quorum)?;
        COMPARED.iter().try_for_each(|key| {
            let (received, current) = (declare.arguments.get(key), self.arguments.get(key));
            resource.check_same_argument(key, received.as_ref(), current.as_ref())
        })
    }

    fn check_same_type(
        &self,
        version: Version,
        resource: Resource<'_>,
        declare: &QueueDeclare<'_>,
        is_quorum: bool,
    ) -> Outcome<()> {
        let key = "x-queue-type";
        let (received, current) = (is_quorum, self.settings.is_quorum);
        if version >= Version::V4 {
            let kind = |is_quorum: bool| plain(if is_quorum { "quorum" } else { "classic" });
            return resource.check_same(key, &kind(received), &kind(current));
        }
        // "classic" and nothing said are the same.
        if received == current {
            return Ok(());
        }
        let (received, current) = (declare.arguments.get(key), self.arguments.get(key));
        resource.check_same_argument(key, received.as_ref(), current.as_ref())
    }
}

fn locked(resource: Resource<'_>) -> Refusal {
    let text = format!(
        "cannot obtain exclusive access to locked {resource}. It could be originally declared on another \
         connection or the exclusive property value does not match that of the original declaration."
    );
    Refusal::channel(405, text)
}

impl Model {
    pub(crate) fn declare_queue(
        &mut self,
        caller: Caller<'_>,
        declare: QueueDeclare<'_>,
    ) -> Outcome<QueueDeclared> {
        let actor = self.actor(caller)?;
        let declared = if declare.queue.starts_with(REPLY_TO) {
            self.declare_replies(&actor, declare.queue)?
        } else if declare.passive {
            self.find_declared(&actor, declare.queue)?
        } else {
            self.declare(&actor, declare)?
        };
        if let Some(key) = actor.channel {
            self.channel(key)?.last_queue = Some(declared.queue.clone());
        }
        Ok(declared)
    }

    /// So one asks whether somebody still waits for replies.
    fn declare_replies(&mut self, actor: &Actor, name: &str) -> Outcome<QueueDeclared> {
        if name != REPLY_TO && self.reply_consumer(name).is_none() {
            return Err(Resource::queue(&actor.vhost, name).not_found());
        }
        Ok(QueueDeclared {
            queue: name.to_owned(),
            messages: 0,
            consumers: 1,
        })
    }

    /// A passive declaration.
    fn find_declared(&mut self, actor: &Actor, name: &str) -> Outcome<QueueDeclared> {
        let resource = Resource::queue(&actor.vhost, name);
        let now = self.now;
        let queue = self.vhost(actor)?.queues.get_mut(name);
        let queue = queue.ok_or_else(|| resource.not_found())?;
        queue.check_owner(actor, resource)?;
        queue.touch(now);
        Ok(queue.declared(name))
    }

    fn declare(&mut self, actor: &Actor, declare: QueueDeclare<'_>) -> Outcome<QueueDeclared> {
        let name = match declare.queue {
            "" if declare.arguments.get("x-queue-type") == Some("quorum".into()) => {
                let text = "Cannot declare a server-named queue for type rabbit_quorum_queue";
                return Err(Refusal::channel(406, text));
            }
            "" => self.names.next("amq.gen-"),
            name => {
                Resource::queue(&actor.vhost, name).check_name()?;
                name.to_owned()
            }
        };
        let resource = Resource::queue(&actor.vhost, &name);
        self.check(actor, Right::Configure, resource)?;
        let (now, version) = (self.now, self.settings.version);
        // What is there is compared; only what is new is checked.
        let is_quorum = is_quorum(resource, &declare.arguments)?;
        if let Some(queue) = self.vhost(actor)?.queues.get_mut(&name) {
            queue.check_same(actor, resource, &declare, is_quorum, version)?;
            queue.touch(now);
            return Ok(queue.declared(&name));
        }
        if let Some(value) = declare.arguments.get(DEAD_LETTER_EXCHANGE)
            && value.as_str().is_none()
        {
            let kind = type_name(&value);
            let text =
                format!("invalid type '{kind}' for arg '{DEAD_LETTER_EXCHANGE}' in {resource}");
            return Err(Refusal::channel(406, text));
        }
        let settings = QueueSettings::new(version, resource, &declare)?;
        if let Some(exchange) = &settings.dead_letter_exchange {
            self.check(actor, Right::Read, resource)?;
            let exchange = Resource::exchange(&actor.vhost, exchange);
            self.check(actor, Right::Write, exchange)?;
        }
        if declare.exclusive && actor.channel.is_none() {
            return Err(Refusal::unsupported("exclusive queues of no connection"));
        }
        self.last_queue_id += 1;
        let mut queue = Queue::new(self.last_queue_id, declare.arguments, settings);
        // RabbitMQ, too: what goes with its connection needs no disk.
        queue.durable = declare.durable && !declare.exclusive;
        queue.owner = actor.link().filter(|_| declare.exclusive);
        queue.auto_delete = declare.auto_delete;
        queue.touch(now);
        let declared = queue.declared(&name);
        self.vhost(actor)?.queues.insert(name.clone(), queue);
        Ok(declared)
    }

    /// The last one that the channel declared, if the name is empty.
    pub(super) fn queue_name(&self, actor: &Actor, name: &str) -> Outcome<String> {
        if !name.is_empty() {
            return Ok(name.to_owned());
        }
        let channel = actor.channel.and_then(|key| self.channels.get(&key));
        let last = channel.and_then(|channel| channel.last_queue.clone());
        last.ok_or_else(|| Refusal::channel(404, "no previously declared queue"))
    }

    /// How many messages went with it.
    pub(crate) fn delete_queue(
        &mut self,
        caller: Caller<'_>,
        queue: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Outcome<u32> {
        let actor = self.actor(caller)?;
        let name = self.queue_name(&actor, queue)?;
        let resource = Resource::queue(&actor.vhost, &name);
        self.check(&actor, Right::Configure, resource)?;
        let Some(queue) = self.vhost(&actor)?.queues.get(&name) else {
            return Ok(0);
        };
        queue.check_owner(&actor, resource)?;
        let flags = [(if_unused, "if-unused"), (if_empty, "if-empty")];
        let flag = flags.iter().find(|(is_set, _)| *is_set);
        if let Some((_, flag)) = flag.filter(|_| queue.settings.is_quorum) {
            let text = format!(
                "cannot delete {resource}. queue.delete operations with {flag} flag set are not supported by quorum queues"
            );
            return Err(Refusal::connection(540, text));
        }
        if if_unused && !queue.consumers.is_empty() {
            return Err(resource.precondition("in use"));
        }
        if if_empty && !queue.ready.is_empty() {
            return Err(resource.precondition("not empty"));
        }
        let messages = queue.ready.len() as u32;
        self.remove_queue(&actor.vhost, &name);
        self.follow_up();
        Ok(messages)
    }

    /// How many messages went.
    pub(crate) fn purge_queue(&mut self, caller: Caller<'_>, queue: &str) -> Outcome<u32> {
        let actor = self.actor(caller)?;
        let name = self.queue_name(&actor, queue)?;
        let resource = Resource::queue(&actor.vhost, &name);
        self.check(&actor, Right::Read, resource)?;
        let queue = self.vhost(&actor)?.queues.get_mut(&name);
        let queue = queue.ok_or_else(|| resource.not_found())?;
        queue.check_owner(&actor, resource)?;
        Ok(queue.purge() as u32)
    }

    /// Its consumers are told, and its bindings go.
    pub(super) fn remove_queue(&mut self, vhost: &str, name: &str) {
        let Some(host) = self.vhosts.get_mut(vhost) else {
            return;
        };
        let Some(queue) = host.queues.remove(name) else {
            return;
        };
        host.forget(&Destination::Queue(name.to_owned()));
        let key: QueueKey = (vhost.to_owned(), name.to_owned());
        self.changed.remove(&key);
        for consumer in queue.consumers {
            if let Some(channel) = self.channels.get_mut(&consumer.key.channel) {
                channel.consumers.remove(&consumer.key.tag);
                self.events.push(Event::Cancel(consumer.key));
            }
        }
    }
}
