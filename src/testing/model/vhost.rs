//! A virtual host: its exchanges and queues, and where a message goes between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::exchange::{Binding, Destination, Exchange, ExchangeKind};
use super::queue::Queue;
use crate::wire::{FieldTable, FieldValue};

#[derive(Debug)]
pub(super) struct VirtualHost {
    /// The default exchange, whose name is empty, is not among them.
    pub(super) exchanges: BTreeMap<String, Exchange>,
    pub(super) queues: BTreeMap<String, Queue>,
}

impl VirtualHost {
    pub(super) fn new() -> Self {
        let exchanges = [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.headers", ExchangeKind::Headers),
            ("amq.match", ExchangeKind::Headers),
            ("amq.topic", ExchangeKind::Topic),
            // Only its name is RabbitMQ's: it logs there.
            ("amq.rabbitmq.trace", ExchangeKind::Topic),
        ];
        let exchanges = exchanges.into_iter().map(|(name, kind)| {
            let mut exchange = Exchange::predeclared(kind);
            exchange.internal = name == "amq.rabbitmq.trace";
            (name.to_owned(), exchange)
        });
        Self {
            exchanges: exchanges.collect(),
            queues: BTreeMap::new(),
        }
    }

    /// The queues that get a message, each once; of all its keys: that of `basic.publish`, and those of CC and BCC.
    pub(super) fn route(
        &self,
        exchange: &str,
        keys: &[String],
        headers: &FieldTable,
    ) -> BTreeSet<String> {
        let mut queues = BTreeSet::new();
        if exchange.is_empty() {
            let known = keys.iter().filter(|key| self.queues.contains_key(*key));
            queues.extend(known.cloned());
            return queues;
        }
        let mut seen = BTreeSet::from([exchange]);
        let mut left = VecDeque::from([exchange]);
        while let Some(name) = left.pop_front() {
            let Some(exchange) = self.exchanges.get(name) else {
                // An alternate one that nobody has declared.
                continue;
            };
            let mut is_matched = false;
            for destination in keys.iter().flat_map(|key| exchange.matches(key, headers)) {
                is_matched = true;
                match destination {
                    Destination::Queue(queue) => {
                        queues.insert(queue.clone());
                    }
                    Destination::Exchange(next) if seen.insert(next) => left.push_back(next),
                    Destination::Exchange(_) => {}
                }
            }
            let alternate = exchange.alternate.as_deref().filter(|_| !is_matched);
            left.extend(alternate.filter(|alternate| seen.insert(alternate)));
        }
        queues
    }

    /// Takes away all bindings to a destination. Exchanges that delete themselves go with their last one.
    pub(super) fn forget(&mut self, destination: &Destination) {
        let names: Vec<String> = self.exchanges.keys().cloned().collect();
        for name in names {
            self.unbind_if(&name, |binding| binding.destination == *destination);
        }
    }

    /// Takes away some bindings of an exchange, and the exchange if they were its last and it is made so.
    pub(super) fn unbind_if(&mut self, source: &str, is_it: impl Fn(&Binding) -> bool) {
        let Some(exchange) = self.exchanges.get_mut(source) else {
            return;
        };
        let before = exchange.bindings.len();
        exchange.bindings.retain(|binding| !is_it(binding));
        let lost_some = exchange.bindings.len() < before;
        if lost_some && exchange.bindings.is_empty() && exchange.auto_delete {
            self.remove_exchange(source);
        }
    }

    pub(super) fn remove_exchange(&mut self, name: &str) {
        if self.exchanges.remove(name).is_some() {
            self.forget(&Destination::Exchange(name.to_owned()));
        }
    }

    /// What is durable stays: RabbitMQ has restarted.
    pub(super) fn restart(&mut self, now: Duration) {
        self.queues.retain(|_, queue| queue.durable);
        for queue in self.queues.values_mut() {
            queue.restart(now);
        }
        self.exchanges.retain(|_, exchange| exchange.durable);
        let names: BTreeSet<String> = self.exchanges.keys().cloned().collect();
        for exchange in self.exchanges.values_mut() {
            exchange
                .bindings
                .retain(|binding| match &binding.destination {
                    Destination::Queue(queue) => self.queues.contains_key(queue),
                    Destination::Exchange(exchange) => names.contains(exchange),
                });
        }
    }
}

/// The keys in a CC or BCC header; none: it is no array.
pub(super) fn copied_to(headers: &FieldTable, name: &str) -> Option<Vec<String>> {
    match headers.get(name) {
        None => Some(Vec::new()),
        Some(FieldValue::Array(keys)) => {
            // RabbitMQ reads over what is no text.
            let keys = keys.iter().filter_map(FieldValue::as_str);
            Some(keys.map(str::to_owned).collect())
        }
        Some(_) => None,
    }
}
