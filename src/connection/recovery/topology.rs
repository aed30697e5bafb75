//! What this client has declared, for the day when it has to be declared again.
//!
//! It is kept only if the user asked for recovery. Names that the broker made change with each declaration: the new
//! ones are followed wherever the old ones are used.

use std::collections::{BTreeMap, HashSet};

use crate::connection::recovery::aside::Aside;
use crate::connection::recovery::bindings::Binding;
use crate::connection::recovery::bindings::Bindings;
use crate::connection::recovery::names::Names;
use crate::connection::recovery::step::{Gone, Plan, Step, StepKey};
use crate::connection::request::Request;
use crate::types::requests::{ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare};
use crate::types::results::{Outcome, QueueDeclareOk};
use crate::wire::ShortStr;

/// In order, so that what is done again is done in the same order each time.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    exchanges: BTreeMap<ShortStr, ExchangeDeclare>,
    /// By the names they have now.
    queues: BTreeMap<ShortStr, QueueDeclare>,
    exchange_bindings: Bindings<ExchangeBind>,
    queue_bindings: Bindings<QueueBind>,
    /// Names that the broker made.
    pub(crate) names: Names,
    /// What has gone by itself, as far as we know.
    aside: Aside,
    /// Queues that were declared as streams, with recovery or without.
    streams: HashSet<ShortStr>,
}

impl Topology {
    /// The broker has done as asked: what it tells of streams.
    pub(crate) fn note_stream(&mut self, request: &Request) {
        match request {
            Request::QueueDeclare(queue) if !queue.passive && kind(queue) == Some(true) => {
                self.streams.insert(queue.queue.clone());
            }
            Request::QueueDeclare(queue) if !queue.passive => {
                self.streams.remove(&queue.queue);
            }
            Request::QueueDelete(queue) => {
                self.streams.remove(&queue.queue);
            }
            _ => {}
        }
    }

    /// Whether this client has declared that queue as a stream, or as something that is none.
    pub(crate) fn is_stream(&self, name: &ShortStr) -> Option<bool> {
        if self.streams.contains(name) {
            return Some(true);
        }
        self.queues.get(name).and_then(kind)
    }

    /// The broker has done as asked.
    pub(crate) fn note(&mut self, request: Request, outcome: &Outcome) {
        match request {
            Request::ExchangeDeclare(exchange) if exchange.passive => {
                self.has_exchange_after_all(&exchange.exchange);
            }
            Request::ExchangeDeclare(exchange) => {
                self.aside
                    .forget(&StepKey::Exchange(exchange.exchange.clone()));
                self.exchanges.insert(exchange.exchange.clone(), exchange);
            }
            Request::QueueDeclare(queue) => {
                if let Outcome::QueueDeclareOk(ok) = outcome {
                    self.note_declared(queue, ok);
                }
            }
            Request::ExchangeDelete(exchange) => self.forget_exchange(&exchange.exchange, false),
            Request::QueueDelete(queue) => self.forget_queue(&queue.queue),
            Request::QueuePurge(queue) => self.has_queue_after_all(&queue),
            Request::ExchangeBind(binding) => {
                self.has_exchange_after_all(&binding.source);
                self.has_exchange_after_all(&binding.destination);
                self.exchange_bindings.insert(binding);
            }
            Request::QueueBind(binding) => {
                self.has_exchange_after_all(&binding.exchange);
                self.has_queue_after_all(&binding.queue);
                self.queue_bindings.insert(binding);
            }
            Request::ExchangeUnbind(binding) => {
                if self.exchange_bindings.remove(&binding) {
                    self.forget_unbound(&binding.source);
                }
                let key = || StepKey::ExchangeBinding(binding.key());
                self.aside.forget_binding(key);
            }
            Request::QueueUnbind(binding) => {
                if self.queue_bindings.remove(&binding) {
                    self.forget_unbound(&binding.exchange);
                }
                let key = || StepKey::QueueBinding(binding.key());
                self.aside.forget_binding(key);
            }
            Request::Consume(_) | Request::Rpc(_) | Request::Get(_) => {}
        }
    }

    fn note_declared(&mut self, queue: QueueDeclare, ok: &QueueDeclareOk) {
        let name = detached(&ok.queue);
        // A new one has neither.
        if queue.passive || ok.consumer_count > 0 || ok.message_count > 0 {
            self.has_queue_after_all(&name);
        } else {
            self.aside.forget(&StepKey::Queue(name.clone()));
        }
        if !queue.passive {
            self.queues.insert(name, queue);
        }
    }

    /// An exchange has gone; or so it seems.
    fn forget_exchange(&mut self, name: &ShortStr, is_guess: bool) {
        let mut gone = vec![(name.clone(), is_guess)];
        while let Some((name, is_guess)) = gone.pop() {
            let key = StepKey::Exchange(name.clone());
            let mut steps = Vec::new();
            steps.extend(self.exchanges.remove(&name).map(Step::Exchange));
            let bindings = self.queue_bindings.remove_from(&name).into_iter();
            steps.extend(bindings.map(Step::QueueBinding));
            let bindings = self.exchange_bindings.remove_from(&name).into_iter();
            steps.extend(bindings.map(Step::ExchangeBinding));
            let unbound = self.exchange_bindings.remove_to(&name);
            let sources = unbound.iter().map(|binding| &binding.source);
            let sources = sources.filter(|name| self.is_unbound(name));
            gone.extend(sources.map(|name| (name.clone(), true)));
            steps.extend(unbound.into_iter().map(Step::ExchangeBinding));
            if is_guess {
                self.aside.put(key, steps);
            } else {
                self.aside.forget(&key);
            }
        }
    }

    /// The queue has gone, by the user's word or another's.
    pub(crate) fn forget_queue(&mut self, name: &ShortStr) {
        self.take_queue(name);
        self.aside.forget(&StepKey::Queue(name.clone()));
    }

    /// The queue has gone, if no other client consumes it.
    pub(crate) fn set_queue_aside(&mut self, name: &ShortStr) {
        let steps = self.take_queue(name);
        self.aside.put(StepKey::Queue(name.clone()), steps);
    }

    fn take_queue(&mut self, name: &ShortStr) -> Vec<Step> {
        let queue = self.queues.remove(name);
        let mut steps: Vec<Step> = queue
            .map(|queue| Step::Queue(name.clone(), queue))
            .into_iter()
            .collect();
        for binding in self.queue_bindings.remove_to(name) {
            self.forget_unbound(&binding.exchange);
            steps.push(Step::QueueBinding(binding));
        }
        steps
    }

    /// That queue is there: if it was taken for gone, that was wrong.
    pub(crate) fn has_queue_after_all(&mut self, name: &ShortStr) {
        if !self.aside.is_empty() {
            self.restore(StepKey::Queue(name.clone()));
        }
    }

    fn has_exchange_after_all(&mut self, name: &ShortStr) {
        if !self.aside.is_empty() {
            self.restore(StepKey::Exchange(name.clone()));
        }
    }

    fn restore(&mut self, key: StepKey) {
        let mut keys = vec![key];
        while let Some(key) = keys.pop() {
            for step in self.aside.take(&key) {
                match step {
                    Step::Exchange(exchange) => {
                        let name = exchange.exchange.clone();
                        self.exchanges.entry(name).or_insert(exchange);
                    }
                    Step::Queue(name, queue) => {
                        self.queues.entry(name).or_insert(queue);
                    }
                    // What is bound is there, too.
                    Step::ExchangeBinding(binding) => {
                        keys.push(StepKey::Exchange(binding.source.clone()));
                        keys.push(StepKey::Exchange(binding.destination.clone()));
                        self.exchange_bindings.insert(binding);
                    }
                    Step::QueueBinding(binding) => {
                        keys.push(StepKey::Exchange(binding.exchange.clone()));
                        self.queue_bindings.insert(binding);
                    }
                }
            }
        }
    }

    /// Whether the queue goes with its last consumer.
    pub(crate) fn is_auto_deleted(&self, name: &ShortStr) -> bool {
        self.queues.get(name).is_some_and(|queue| queue.auto_delete)
    }

    /// An exchange has lost a binding.
    fn forget_unbound(&mut self, name: &ShortStr) {
        if self.is_unbound(name) {
            self.forget_exchange(name, true);
        }
    }

    /// Whether an exchange that has lost a binding has lost its last reason to be, as far as we know.
    fn is_unbound(&self, name: &ShortStr) -> bool {
        let exchange = self.exchanges.get(name);
        exchange.is_some_and(|exchange| exchange.auto_delete)
            && !self.queue_bindings.has_source(name)
            && !self.exchange_bindings.has_source(name)
    }

    pub(crate) fn plan(&self) -> Plan {
        let exchanges = self.exchanges.values().cloned().map(Step::Exchange);
        let queues = self
            .queues
            .iter()
            .map(|(name, queue)| Step::Queue(name.clone(), queue.clone()));
        let between = self
            .exchange_bindings
            .iter()
            .cloned()
            .map(Step::ExchangeBinding);
        let bindings = self.queue_bindings.iter().cloned().map(Step::QueueBinding);
        [
            exchanges.collect(),
            queues.chain(between).collect(),
            bindings.collect(),
        ]
    }

    /// Whether that queue is bound to that exchange.
    #[cfg(test)]
    pub(crate) fn binds(&self, queue: &str, exchange: &str) -> bool {
        let mut bindings = self.queue_bindings.iter();
        bindings.any(|binding| binding.queue == *queue && binding.exchange == *exchange)
    }

    pub(crate) fn has_exchange(&self, name: &ShortStr) -> bool {
        self.exchanges.contains_key(name)
    }

    /// Whether an end of a binding is of this client's making.
    pub(crate) fn has_end(&self, end: &StepKey) -> bool {
        match end {
            StepKey::Exchange(name) => self.has_exchange(name),
            StepKey::Queue(name) => self.has_queue(name),
            StepKey::ExchangeBinding(_) | StepKey::QueueBinding(_) => false,
        }
    }

    pub(crate) fn has_queue(&self, name: &ShortStr) -> bool {
        self.queues.contains_key(name)
    }

    /// Whether it is still to be declared again.
    pub(crate) fn has(&self, step: &Step) -> bool {
        match step {
            Step::Exchange(exchange) => self.has_exchange(&exchange.exchange),
            Step::Queue(name, _) => self.has_queue(name),
            Step::ExchangeBinding(binding) => self.exchange_bindings.contains(binding),
            Step::QueueBinding(binding) => self.queue_bindings.contains(binding),
        }
    }

    /// What has to be done once more because these have gone: they, and what binds them. What the broker names is not
    /// declared twice over one connection: that would make another one.
    pub(crate) fn part(&self, gone: Gone) -> Plan {
        let Gone {
            mut exchanges,
            queues,
            ..
        } = gone;
        let mut plan = Plan::default();
        let mut planned = HashSet::new();
        let mut add = |step: Step| {
            if planned.insert(step.key()) {
                plan[step.phase()].push_back(step);
            }
        };
        for (name, queue) in queues
            .iter()
            .filter_map(|name| self.queues.get_key_value(name))
        {
            if !queue.queue.is_empty() {
                add(Step::Queue(name.clone(), queue.clone()));
            }
        }
        for binding in queues.iter().flat_map(|name| self.queue_bindings.to(name)) {
            exchanges.insert(binding.exchange.clone());
            add(Step::QueueBinding(binding.clone()));
        }
        for name in &exchanges {
            if let Some(exchange) = self.exchanges.get(name) {
                add(Step::Exchange(exchange.clone()));
            }
            for binding in self.queue_bindings.from(name) {
                add(Step::QueueBinding(binding.clone()));
            }
            let ends = self.exchange_bindings.from(name);
            for binding in ends.chain(self.exchange_bindings.to(name)) {
                add(Step::ExchangeBinding(binding.clone()));
            }
        }
        plan
    }

    /// The broker made another name for a queue.
    pub(crate) fn rename(&mut self, old: &ShortStr, new: &ShortStr) {
        let new = detached(new);
        if let Some(queue) = self.queues.remove(old) {
            self.queues.insert(new.clone(), queue);
        }
        self.queue_bindings.rename_destination(old, &new);
        self.names.rename(old, new);
    }
}

/// Whether that declares a stream; a virtual host may make one of what says nothing of it.
fn kind(queue: &QueueDeclare) -> Option<bool> {
    match queue.arguments.get("x-queue-type") {
        Some(kind) => Some(kind.as_str() == Some("stream")),
        None if queue.exclusive || queue.auto_delete || !queue.durable => Some(false),
        None => None,
    }
}

/// A name of its own, that does not keep the buffer it was read into.
fn detached(name: &ShortStr) -> ShortStr {
    name.to_string().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::requests::QueueDelete;

    fn topology() -> Topology {
        let mut topology = Topology::default();
        let exchange = |name: &str| ExchangeDeclare::fanout(name).auto_delete(true);
        for request in [
            Request::ExchangeDeclare(exchange("a")),
            Request::ExchangeDeclare(exchange("b")),
            Request::ExchangeDeclare(ExchangeDeclare::fanout("kept")),
            Request::ExchangeBind(ExchangeBind::new("b", "a")),
            Request::QueueBind(QueueBind::new("q", "b")),
            Request::QueueBind(QueueBind::new("q", "kept")),
        ] {
            topology.note(request, &Outcome::Done);
        }
        topology
    }

    fn exchanges(topology: &Topology) -> Vec<&str> {
        topology.exchanges.keys().map(|name| &**name).collect()
    }

    #[test]
    fn an_exchange_that_deletes_itself_is_forgotten_with_its_last_binding() {
        let mut topology = topology();
        assert_eq!(exchanges(&topology), ["a", "b", "kept"]);
        // A binding that never was takes nothing away.
        let other = Request::QueueUnbind(QueueBind::new("other", "b"));
        topology.note(other, &Outcome::Done);
        assert_eq!(exchanges(&topology), ["a", "b", "kept"]);
        let unbind = Request::QueueUnbind(QueueBind::new("q", "b"));
        topology.note(unbind, &Outcome::Done);
        assert_eq!(exchanges(&topology), ["kept"]);
        let left: Vec<Step> = topology.plan().into_iter().flatten().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn an_exchange_that_deletes_itself_is_forgotten_with_its_last_queue() {
        let mut topology = topology();
        let delete = Request::QueueDelete(QueueDelete::new("q"));
        topology.note(delete, &Outcome::MessageCount(0));
        assert_eq!(exchanges(&topology), ["kept"]);
        assert_eq!(topology.plan().iter().flatten().count(), 1);
    }

    #[test]
    fn a_name_is_followed_through_every_change() {
        let mut topology = Topology::default();
        for (old, new) in [("1", "2"), ("2", "3"), ("3", "4")] {
            topology.rename(&old.into(), &new.into());
        }
        for old in ["1", "2", "3"] {
            let mut name = old.into();
            topology.names.follow_name(&mut name);
            assert_eq!(name, "4");
        }
    }

    /// How long it takes to make so many bindings, to rename their queues, and to take them away again.
    fn time(count: usize) -> Duration {
        let mut topology = Topology::default();
        let bind = |number: usize| {
            QueueBind::new(format!("q{number}"), "x").routing_key(number.to_string())
        };
        let start = crate::net::clock::now();
        for number in 0..count {
            topology.note(Request::QueueBind(bind(number)), &Outcome::Done);
        }
        for number in 0..count {
            topology.rename(&format!("q{number}").into(), &format!("r{number}").into());
        }
        for number in 0..count {
            let mut bind = bind(number);
            topology.names.follow_name(&mut bind.queue);
            topology.note(Request::QueueUnbind(bind), &Outcome::Done);
        }
        assert_eq!(topology.plan().iter().flatten().count(), 0);
        start.elapsed()
    }

    /// By what it grows, in one run: eight times as much takes some eight times as long, and not sixty-four times.
    #[test]
    fn many_bindings_cost_no_more_each_than_a_few() {
        time(500);
        let (few, many) = (time(2_000), time(16_000));
        assert!(many < 32 * few, "{few:?} for 2000, {many:?} for 16,000");
    }
}
