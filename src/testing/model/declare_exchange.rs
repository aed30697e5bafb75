//! Exchanges come, go and are bound.

use super::Model;
use super::exchange::{Binding, Destination, Exchange, ExchangeKind, check_headers_binding};
use super::refusal::{Outcome, Refusal};
use super::request::{Bind, Caller, ExchangeDeclare};
use super::resource::{Resource, plain, type_name};
use super::rights::{Actor, Right};
use super::vhost::VirtualHost;
use crate::wire::FieldValue;

const ALTERNATE: &str = "alternate-exchange";

fn check_not_default(name: &str) -> Outcome<()> {
    if name.is_empty() {
        let text = "operation not permitted on the default exchange";
        return Err(Refusal::channel(403, text));
    }
    Ok(())
}

impl Model {
    /// The actor's virtual host, which was there when it was made.
    pub(super) fn vhost(&mut self, actor: &Actor) -> Outcome<&mut VirtualHost> {
        let vhost = self.vhosts.get_mut(&actor.vhost);
        vhost.ok_or_else(|| Refusal::internal("a virtual host is gone"))
    }

    pub(crate) fn declare_exchange(
        &mut self,
        caller: Caller<'_>,
        declare: ExchangeDeclare<'_>,
    ) -> Outcome<()> {
        let actor = self.actor(caller)?;
        let name = declare.exchange;
        let resource = Resource::exchange(&actor.vhost, name);
        if declare.passive {
            check_not_default(name)?;
            let is_there = self.vhost(&actor)?.exchanges.contains_key(name);
            return is_there.then_some(()).ok_or_else(|| resource.not_found());
        }
        let kind = ExchangeKind::parse(declare.kind, self.settings.version)?;
        check_not_default(name)?;
        self.check(&actor, Right::Configure, resource)?;
        if let Some(exchange) = self.vhost(&actor)?.exchanges.get(name) {
            return check_same(exchange, resource, kind, &declare);
        }
        resource.check_name()?;
        let alternate = self.check_alternate(&actor, resource, &declare)?;
        let exchange = Exchange {
            kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            alternate,
            arguments: declare.arguments,
            bindings: Vec::new(),
        };
        let exchanges = &mut self.vhost(&actor)?.exchanges;
        exchanges.insert(name.to_owned(), exchange);
        Ok(())
    }

    fn check_alternate(
        &self,
        actor: &Actor,
        resource: Resource<'_>,
        declare: &ExchangeDeclare<'_>,
    ) -> Outcome<Option<String>> {
        let Some(value) = declare.arguments.get(ALTERNATE) else {
            return Ok(None);
        };
        let Some(alternate) = value.as_str() else {
            let kind = type_name(&value);
            let text = format!("invalid type '{kind}' for arg '{ALTERNATE}' in {resource}");
            return Err(Refusal::channel(406, text));
        };
        self.check(actor, Right::Read, resource)?;
        let alternate_resource = Resource::exchange(&actor.vhost, alternate);
        self.check(actor, Right::Write, alternate_resource)?;
        Ok(Some(alternate.to_owned()))
    }

    pub(crate) fn delete_exchange(
        &mut self,
        caller: Caller<'_>,
        exchange: &str,
        if_unused: bool,
    ) -> Outcome<()> {
        let actor = self.actor(caller)?;
        let resource = Resource::exchange(&actor.vhost, exchange);
        check_not_default(exchange)?;
        if exchange.starts_with("amq.") {
            let text = format!("deletion of system {resource} not allowed");
            return Err(Refusal::channel(403, text));
        }
        self.check(&actor, Right::Configure, resource)?;
        let vhost = self.vhost(&actor)?;
        let is_used = |it: &Exchange| !it.bindings.is_empty();
        if if_unused && vhost.exchanges.get(exchange).is_some_and(is_used) {
            return Err(resource.precondition("in use"));
        }
        vhost.remove_exchange(exchange);
        Ok(())
    }

    pub(crate) fn bind_exchange(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        let actor = self.actor(caller)?;
        check_not_default(bind.destination)?;
        let destination = Destination::Exchange(bind.destination.to_owned());
        self.bind(&actor, destination, bind)
    }

    pub(crate) fn unbind_exchange(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        let actor = self.actor(caller)?;
        check_not_default(bind.destination)?;
        let destination = Destination::Exchange(bind.destination.to_owned());
        self.unbind(&actor, destination, bind)
    }

    pub(crate) fn bind_queue(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        let actor = self.actor(caller)?;
        let (queue, routing_key) = self.queue_and_key(&actor, &bind)?;
        let bind = Bind {
            routing_key: &routing_key,
            ..bind
        };
        self.bind(&actor, Destination::Queue(queue), bind)
    }

    pub(crate) fn unbind_queue(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        let actor = self.actor(caller)?;
        let (queue, routing_key) = self.queue_and_key(&actor, &bind)?;
        let bind = Bind {
            routing_key: &routing_key,
            ..bind
        };
        self.unbind(&actor, Destination::Queue(queue), bind)
    }

    /// No queue and no key is the last declared queue's name, twice.
    fn queue_and_key(&self, actor: &Actor, bind: &Bind<'_>) -> Outcome<(String, String)> {
        let queue = self.queue_name(actor, bind.destination)?;
        let routing_key = match (bind.destination, bind.routing_key) {
            ("", "") => queue.clone(),
            (_, key) => key.to_owned(),
        };
        Ok((queue, routing_key))
    }

    fn check_binding(
        &self,
        actor: &Actor,
        resource: Resource<'_>,
        source: Resource<'_>,
    ) -> Outcome<()> {
        check_not_default(source.name)?;
        self.check(actor, Right::Write, resource)?;
        self.check(actor, Right::Read, source)
    }

    fn bind(&mut self, actor: &Actor, destination: Destination, bind: Bind<'_>) -> Outcome<()> {
        let resource = destination.resource(&actor.vhost);
        let source = Resource::exchange(&actor.vhost, bind.source);
        self.check_binding(actor, resource, source)?;
        let owner = self.check_owner_of(actor, &destination);
        let vhost = self.vhost(actor)?;
        let is_there = match &destination {
            Destination::Queue(queue) => vhost.queues.contains_key(queue),
            Destination::Exchange(exchange) => vhost.exchanges.contains_key(exchange),
        };
        let Some(exchange) = vhost.exchanges.get_mut(bind.source) else {
            return Err(source.not_found());
        };
        if !is_there {
            return Err(resource.not_found());
        }
        owner?;
        if exchange.kind == ExchangeKind::Headers {
            check_headers_binding(&bind.arguments)?;
        }
        let binding = Binding {
            destination,
            routing_key: bind.routing_key.to_owned(),
            arguments: bind.arguments,
        };
        if !exchange.bindings.contains(&binding) {
            exchange.bindings.push(binding);
        }
        Ok(())
    }

    /// What is not bound needs no unbinding.
    fn unbind(&mut self, actor: &Actor, destination: Destination, bind: Bind<'_>) -> Outcome<()> {
        let resource = destination.resource(&actor.vhost);
        let source = Resource::exchange(&actor.vhost, bind.source);
        self.check_binding(actor, resource, source)?;
        let owner = self.check_owner_of(actor, &destination);
        let binding = Binding {
            destination,
            routing_key: bind.routing_key.to_owned(),
            arguments: bind.arguments,
        };
        let vhost = self.vhost(actor)?;
        let exchange = vhost.exchanges.get(bind.source);
        if exchange.is_some_and(|exchange| exchange.bindings.contains(&binding)) {
            owner?;
        }
        vhost.unbind_if(bind.source, |other| *other == binding);
        Ok(())
    }

    fn check_owner_of(&self, actor: &Actor, destination: &Destination) -> Outcome<()> {
        let Destination::Queue(name) = destination else {
            return Ok(());
        };
        let vhost = self.vhosts.get(&actor.vhost);
        let queue = vhost.and_then(|vhost| vhost.queues.get(name));
        let resource = Resource::queue(&actor.vhost, name);
        queue.map_or(Ok(()), |queue| queue.check_owner(actor, resource))
    }
}

fn check_same(
    exchange: &Exchange,
    resource: Resource<'_>,
    kind: ExchangeKind,
    declare: &ExchangeDeclare<'_>,
) -> Outcome<()> {
    let yes = |yes: bool| plain(&yes.to_string());
    resource.check_same("type", &plain(kind.name()), &plain(exchange.kind.name()))?;
    resource.check_same("durable", &yes(declare.durable), &yes(exchange.durable))?;
    let (received, current) = (declare.auto_delete, exchange.auto_delete);
    resource.check_same("auto_delete", &yes(received), &yes(current))?;
    resource.check_same("internal", &yes(declare.internal), &yes(exchange.internal))?;
    let argument = |table: &crate::wire::FieldTable| table.get(ALTERNATE);
    let (received, current): (Option<FieldValue>, _) =
        (argument(&declare.arguments), argument(&exchange.arguments));
    resource.check_same_argument(ALTERNATE, received.as_ref(), current.as_ref())
}
