//! The troubles of a broker: requests that it dies of, connections whose end it has not noticed, what deletes itself,
//! nodes that are down for a while.

use std::collections::BTreeSet;

use super::super::rng::Rng;
use super::{Broker, Link, Phase, text};
use crate::wire::{self, Method};

/// To declare it closes the connection.
pub(in super::super) const DEADLY: &str = "deadly";
/// To consume from it does.
pub(in super::super) const MOODY: &str = "moody";
/// A queue for one connection, one that goes with its last consumer, and an exchange that goes with its last binding.
pub(in super::super) const OWN: &str = "own";
pub(in super::super) const TEMPORARY: &str = "temporary";
pub(in super::super) const SELF_DELETED: &str = "self-deleted";

/// What a broker says of a queue whose node is on its way back.
const COMING_BACK: &[&str] = &[
    "NOT_FOUND - home node 'x' of durable queue is down or inaccessible",
    "NOT_FOUND - queue process is stopped by supervisor",
    "NOT_FOUND - words of another version",
];

#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// What the old connection has, whose end is not noticed: queues of its own, and those it consumes from; and whether
    /// for itself alone.
    own: BTreeSet<String>,
    consumed: BTreeSet<(String, bool)>,
    /// Queues whose node is down.
    down: BTreeSet<String>,
    pub(super) deaths: u64,
}

impl Broker {
    /// The socket has gone, and the broker may see that late.
    pub(super) fn forget_link(&mut self, link: &Link) {
        self.notice();
        let consumers = link
            .channels
            .values()
            .flat_map(|channel| channel.consumers.values());
        let consumed = consumers.map(|consumer| (consumer.queue.clone(), consumer.exclusive));
        self.trouble.consumed = consumed.collect();
        let own = self.queues.iter().filter(|(_, queue)| queue.exclusive);
        self.trouble.own = own.map(|(name, _)| name.clone()).collect();
        if !self.number.is_multiple_of(3) {
            self.notice();
        }
    }

    /// It sees that the old connection is dead.
    fn notice(&mut self) -> bool {
        let own = std::mem::take(&mut self.trouble.own);
        let consumed = std::mem::take(&mut self.trouble.consumed);
        let any = !own.is_empty() || !consumed.is_empty();
        for name in own {
            self.delete_queue(&name);
        }
        for (name, _) in consumed {
            self.last_consumer_gone(&name);
        }
        any
    }

    /// A consumer has gone, and what lived for it alone goes, too.
    pub(super) fn last_consumer_gone(&mut self, name: &str) {
        let is_consumed =
            self.is_consumed(name) || self.trouble.consumed.iter().any(|(queue, _)| queue == name);
        if !is_consumed && self.queues.get(name).is_some_and(|queue| queue.auto_delete) {
            self.delete_queue(name);
        }
    }

    fn is_consumed(&self, name: &str) -> bool {
        let channels = self.link.iter().flat_map(|link| link.channels.values());
        let mut consumers = channels.flat_map(|channel| channel.consumers.values());
        consumers.any(|consumer| consumer.queue == name)
    }

    /// Exchanges that have lost their last binding go.
    pub(super) fn delete_unbound(&mut self, had: &BTreeSet<String>) {
        self.exchanges.retain(|name, exchange| {
            !exchange.auto_delete || !exchange.bindings.is_empty() || !had.contains(name)
        });
    }

    /// Exchanges that have a binding.
    pub(super) fn bound(&self) -> BTreeSet<String> {
        let bound = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| !exchange.bindings.is_empty());
        bound.map(|(name, _)| name.clone()).collect()
    }

    /// Whether anything but what was asked for comes of a call.
    pub(super) fn troubles(
        &mut self,
        number: u16,
        method: &Method<'_>,
        what: &str,
        rng: &mut Rng,
    ) -> bool {
        let (queue, is_declare) = match method {
            Method::ExchangeDeclare(declare) if declare.kind == b"odd" => {
                self.die(503, (40, 10), rng);
                return true;
            }
            Method::QueueDeclare(declare) => (text(declare.queue), true),
            Method::QueueBind(bind) => (text(bind.queue), false),
            Method::BasicConsume(consume) => (text(consume.queue), false),
            _ => return false,
        };
        if queue == DEADLY {
            self.die(541, method.id(), rng);
            return true;
        }
        if let Method::BasicConsume(consume) = method {
            if queue == MOODY {
                self.die(541, method.id(), rng);
                return true;
            }
            if self.is_in_use(&queue, consume.exclusive) {
                let reply =
                    format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
                self.fail(number, what.into(), 403, &reply);
                return true;
            }
        }
        if self.trouble.own.contains(&queue) {
            let reply = format!(
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}'"
            );
            self.fail(number, what.into(), 405, &reply);
            return true;
        }
        if self.trouble.down.contains(&queue)
            && (is_declare || matches!(method, Method::BasicConsume(_)))
        {
            let reply = rng.pick(COMING_BACK);
            self.fail(number, what.into(), 404, reply);
            return true;
        }
        false
    }

    /// Whether a consumer has it for itself, or has it where another wants that.
    fn is_in_use(&self, queue: &str, exclusively: bool) -> bool {
        let channels = self.link.iter().flat_map(|link| link.channels.values());
        let live = channels.flat_map(|channel| channel.consumers.values());
        let live = live.map(|consumer| (&consumer.queue, consumer.exclusive));
        let old = self
            .trouble
            .consumed
            .iter()
            .map(|(queue, exclusive)| (queue, *exclusive));
        live.chain(old)
            .any(|(name, exclusive)| name == queue && (exclusive || exclusively))
    }

    /// It dies of a request: names it, or says that something is wrong, or nothing at all.
    pub(super) fn die(&mut self, code: u16, method: (u16, u16), rng: &mut Rng) {
        self.trouble.deaths += 1;
        let link = self.link();
        // A frame that is partly out would have to be finished; these have not begun.
        link.out.clear();
        let (class_id, method_id) = match rng.below(4) {
            0 => {
                link.phase = Phase::Dead;
                return;
            }
            1 => (0, 0),
            _ => method,
        };
        link.phase = Phase::Closing;
        let close = wire::ConnectionClose {
            reply_code: code,
            reply_text: b"INTERNAL_ERROR",
            class_id,
            method_id,
        };
        self.say(0, &close);
    }

    /// Something happens, or is over.
    pub(super) fn change(&mut self, rng: &mut Rng, queue: &str) {
        match rng.below(4) {
            0 => {
                self.trouble.down.insert(queue.into());
            }
            1 => {
                self.trouble.down.remove(queue);
            }
            _ => {
                self.notice();
            }
        }
    }

    /// All is well again; whether it was not.
    pub(in super::super) fn heal(&mut self) -> bool {
        let was_down = !std::mem::take(&mut self.trouble.down).is_empty();
        self.notice() | was_down
    }

    /// Whether that promise has a consumer.
    pub(in super::super) fn consumes(&self, promise: u64) -> bool {
        let channels = self.link.iter().flat_map(|link| link.channels.values());
        let mut tags = channels.flat_map(|channel| channel.consumers.iter());
        tags.any(|(tag, consumer)| {
            consumer.queue != super::REPLY_TO && super::whose(tag).0 == promise
        })
    }

    /// Whether somebody consumes from a queue that is there.
    pub(in super::super) fn is_alive(&self, queue: &str) -> bool {
        self.queues.contains_key(queue) && self.is_consumed(queue)
    }

    pub(in super::super) fn is_bound(&self, queue: &str, exchange: &str) -> bool {
        let exchange = self.exchanges.get(exchange);
        exchange.is_some_and(|exchange| exchange.bindings.iter().any(|(name, _)| name == queue))
    }

    pub(in super::super) fn deaths(&self) -> u64 {
        self.trouble.deaths
    }
}
