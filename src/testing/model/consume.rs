//! Consumers come and go, and `basic.get`.

use super::Model;
use super::arguments::consumer_priority;
use super::channel::{ReplyConsumer, Unacked};
use super::queue::{Consumer, Queue, Stored};
use super::refusal::{Outcome, Refusal};
use super::request::{Caller, ChannelKey, Consume, ConsumerKey, Event, Got, Message, Version};
use super::resource::Resource;
use super::rights::{Actor, Right};

/// A queue that is none: who consumes from it gets replies straight.
pub(super) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

impl Model {
    /// The consumer's tag. Deliveries come as events.
    pub(crate) fn consume(&mut self, channel: ChannelKey, consume: Consume<'_>) -> Outcome<String> {
        let actor = self.actor(Caller::Channel(channel))?;
        let tag = match consume.tag {
            "" => self.names.next("amq.ctag-"),
            tag => tag.to_owned(),
        };
        let it = self.channel(channel)?;
        if it.consumers.contains_key(&tag) {
            let text = format!("attempt to reuse consumer tag '{tag}'");
            return Err(Refusal::connection(530, text));
        }
        if consume.queue == REPLY_TO {
            return self.consume_replies(channel, tag, consume.no_ack);
        }
        let (prefetch, shared_prefetch) = (it.prefetch, it.shared_prefetch);
        let name = self.queue_name(&actor, consume.queue)?;
        let resource = Resource::queue(&actor.vhost, &name);
        self.check(&actor, Right::Read, resource)?;
        let now = self.now;
        let queue = self.vhost(&actor)?.queues.get_mut(&name);
        let queue = queue.ok_or_else(|| resource.not_found())?;
        queue.check_owner(&actor, resource)?;
        let priority = consumer_priority(&consume.arguments, resource)?;
        if queue.settings.is_quorum && shared_prefetch > 0 {
            let text = format!("{resource} does not support global qos");
            return Err(Refusal::connection(540, text));
        }
        // A quorum queue is not particular about that.
        let exclusive = consume.exclusive && !queue.settings.is_quorum;
        queue.check_exclusive(exclusive, resource)?;
        queue.add_consumer(Consumer {
            key: ConsumerKey {
                channel,
                tag: tag.clone(),
            },
            no_ack: consume.no_ack,
            exclusive,
            priority,
            prefetch: if consume.no_ack { 0 } else { prefetch },
            unacked: 0,
            is_blocked: false,
        });
        queue.touch(now);
        let consumers = &mut self.channel(channel)?.consumers;
        consumers.insert(tag.clone(), name.clone());
        self.changed.insert((actor.vhost, name));
        self.follow_up();
        Ok(tag)
    }

    fn consume_replies(&mut self, key: ChannelKey, tag: String, no_ack: bool) -> Outcome<String> {
        if !no_ack {
            let text = "reply consumer cannot acknowledge";
            return Err(Refusal::channel(406, text));
        }
        if self.channel(key)?.replies.is_some() {
            return Err(Refusal::channel(406, "reply consumer already set"));
        }
        let queue = self.names.next(&format!("{REPLY_TO}."));
        let replies = ReplyConsumer {
            tag: tag.clone(),
            queue,
        };
        self.channel(key)?.replies = Some(replies);
        Ok(tag)
    }

    /// Who gets what is sent to that name.
    pub(super) fn reply_consumer(&self, queue: &str) -> Option<(ChannelKey, String)> {
        if !queue.starts_with(REPLY_TO) {
            return None;
        }
        self.channels.iter().find_map(|(key, channel)| {
            let replies = channel.replies.as_ref()?;
            (replies.queue == queue).then(|| (*key, replies.tag.clone()))
        })
    }

    /// `basic.cancel` of the client's: what is not acknowledged stays so. An unknown tag does nothing.
    pub(crate) fn cancel(&mut self, channel: ChannelKey, tag: &str) {
        let Some(vhost) = self.links.get(&channel.link).map(|link| link.vhost.clone()) else {
            return;
        };
        let Ok(it) = self.channel(channel) else {
            return;
        };
        if it
            .replies
            .as_ref()
            .is_some_and(|replies| replies.tag == tag)
        {
            it.replies = None;
        }
        if let Some(queue) = it.consumers.remove(tag) {
            let tag = tag.to_owned();
            self.drop_consumer(&vhost, &queue, &ConsumerKey { channel, tag });
        }
        self.follow_up();
    }

    /// Its channel has forgotten it. An auto-delete queue goes with its last one.
    pub(super) fn drop_consumer(&mut self, vhost: &str, name: &str, key: &ConsumerKey) {
        let now = self.now;
        let host = self.vhosts.get_mut(vhost);
        let Some(queue) = host.and_then(|host| host.queues.get_mut(name)) else {
            return;
        };
        let was_there = queue.remove_consumer(key);
        if was_there && queue.consumers.is_empty() {
            queue.touch(now);
            if queue.auto_delete {
                return self.remove_queue(vhost, name);
            }
        }
        // The next one of single active consumers may begin.
        self.changed.insert((vhost.to_owned(), name.to_owned()));
    }

    /// The broker ends all consumers of a queue.
    pub(crate) fn cancel_consumers(&mut self, vhost: &str, queue: &str) {
        let host = self.vhosts.get(vhost);
        let Some(it) = host.and_then(|host| host.queues.get(queue)) else {
            return;
        };
        let keys: Vec<_> = it.consumers.iter().map(|it| it.key.clone()).collect();
        for key in keys {
            if let Some(channel) = self.channels.get_mut(&key.channel) {
                channel.consumers.remove(&key.tag);
            }
            self.drop_consumer(vhost, queue, &key);
            self.events.push(Event::Cancel(key));
        }
        self.follow_up();
    }

    /// An operator's `get` takes the message away for good, and its tag is 0.
    pub(crate) fn get(
        &mut self,
        caller: Caller<'_>,
        queue: &str,
        no_ack: bool,
    ) -> Outcome<Option<Got>> {
        let actor = self.actor(caller)?;
        let name = self.queue_name(&actor, queue)?;
        let resource = Resource::queue(&actor.vhost, &name);
        self.check(&actor, Right::Read, resource)?;
        let (now, version) = (self.now, self.settings.version);
        let queue = self.vhost(&actor)?.queues.get_mut(&name);
        let queue = queue.ok_or_else(|| resource.not_found())?;
        queue.check_owner(&actor, resource)?;
        queue.check_get(&actor, resource)?;
        queue.touch(now);
        let id = queue.id;
        let Some((place, stored)) = queue.pop() else {
            return Ok(None);
        };
        let (redelivered, message) = (stored.redelivered, stored.delivered(version));
        let delivery_tag = self.tag_for_get(&actor)?;
        if let (Some(key), false) = (actor.channel, no_ack) {
            let unacked = Unacked {
                queue: name.clone(),
                queue_id: id,
                place,
                stored,
                consumer: None,
            };
            self.channel(key)?.unacked.insert(delivery_tag, unacked);
        }
        // The next ones may be too old: they are not counted.
        self.changed.insert((actor.vhost.clone(), name.clone()));
        self.follow_up();
        let left = self.vhost(&actor)?.queues.get(&name);
        let message_count = left.map_or(0, |queue| queue.ready.len() as u32);
        Ok(Some(Got {
            delivery_tag,
            redelivered,
            message,
            message_count,
        }))
    }

    fn tag_for_get(&mut self, actor: &Actor) -> Outcome<u64> {
        let Some(key) = actor.channel else {
            return Ok(0);
        };
        let channel = self.channel(key)?;
        channel.last_tag += 1;
        Ok(channel.last_tag)
    }
}

impl Queue {
    /// An operator may, as a test looks with it.
    fn check_get(&self, actor: &Actor, resource: Resource<'_>) -> Outcome<()> {
        if self.settings.is_quorum && self.settings.single_active && actor.channel.is_some() {
            let text = format!(
                "cannot obtain access to locked {resource}. basic.get operations are not supported by quorum queues with \
                 single active consumer"
            );
            return Err(Refusal::channel(405, text));
        }
        Ok(())
    }

    /// An exclusive consumer is the only one.
    fn check_exclusive(&self, is_wanted: bool, resource: Resource<'_>) -> Outcome<()> {
        let is_taken = self.consumers.iter().any(|consumer| consumer.exclusive);
        let is_shared = !self.consumers.is_empty() || self.settings.single_active;
        if is_taken || is_wanted && is_shared {
            let text = format!("{resource} in exclusive use");
            return Err(Refusal::channel(403, text));
        }
        Ok(())
    }
}

impl Stored {
    /// As it is sent: a quorum queue counts how often it came back.
    pub(super) fn delivered(&self, version: Version) -> Message {
        let mut message = self.message.clone();
        if self.counts_returns && (self.returns > 0 || version < Version::V4) {
            let headers = &mut message.properties.headers;
            headers.insert("x-delivery-count", self.returns as i64);
        }
        message
    }
}
