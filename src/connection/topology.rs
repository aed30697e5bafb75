//! What this client has declared, for the day when it has to be declared again.
//!
//! It is kept only if the user asked for recovery. Names that the broker made change with each declaration: the new
//! ones are followed wherever the old ones are used.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::requests::Request;
use crate::message::Message;
use crate::options::{ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare};
use crate::outcome::Outcome;
use crate::wire::ShortStr;

/// In order, so that what is done again is done in the same order each time.
#[derive(Debug, Default)]
pub(super) struct Topology {
    exchanges: BTreeMap<ShortStr, ExchangeDeclare>,
    /// By the names they have now.
    queues: BTreeMap<ShortStr, QueueDeclare>,
    exchange_bindings: Vec<ExchangeBind>,
    queue_bindings: Vec<QueueBind>,
    /// From every name that the broker made to the one it has now.
    renamed: HashMap<ShortStr, ShortStr>,
}

/// One thing to declare again.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Exchange(ExchangeDeclare),
    /// With the name that it had.
    Queue(ShortStr, QueueDeclare),
    ExchangeBinding(ExchangeBind),
    QueueBinding(QueueBind),
}

/// Steps in the order in which one needs the other; those beside each other need not wait for each other.
pub(super) type Plan = [VecDeque<Step>; 3];

impl Step {
    /// Its place in a [`Plan`].
    pub(super) fn phase(&self) -> usize {
        match self {
            Self::Exchange(_) => 0,
            Self::Queue(..) | Self::ExchangeBinding(_) => 1,
            Self::QueueBinding(_) => 2,
        }
    }

    pub(super) fn request(&self) -> Request {
        match self {
            Self::Exchange(exchange) => Request::ExchangeDeclare(exchange.clone()),
            Self::Queue(_, queue) => Request::QueueDeclare(queue.clone()),
            Self::ExchangeBinding(binding) => Request::ExchangeBind(binding.clone()),
            Self::QueueBinding(binding) => Request::QueueBind(binding.clone()),
        }
    }

    /// What it is, for a person.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Exchange(exchange) => format!("exchange {:?}", &*exchange.exchange),
            Self::Queue(name, _) => format!("queue {:?}", &**name),
            Self::ExchangeBinding(binding) => format!(
                "binding of exchange {:?} to exchange {:?}",
                &*binding.destination, &*binding.source
            ),
            Self::QueueBinding(binding) => format!(
                "binding of queue {:?} to exchange {:?}",
                &*binding.queue, &*binding.exchange
            ),
        }
    }
}

impl Topology {
    /// The broker has done as asked.
    pub(super) fn note(&mut self, request: Request, outcome: &Outcome) {
        match request {
            Request::ExchangeDeclare(exchange) if !exchange.passive => {
                self.exchanges.insert(exchange.exchange.clone(), exchange);
            }
            Request::QueueDeclare(queue) if !queue.passive => {
                if let Outcome::QueueDeclareOk(ok) = outcome {
                    self.queues.insert(own(&ok.queue), queue);
                }
            }
            Request::ExchangeDelete(exchange) => self.forget_exchange(&exchange.exchange),
            Request::QueueDelete(queue) => self.forget_queue(&queue.queue),
            Request::ExchangeBind(binding) if !self.exchange_bindings.contains(&binding) => {
                self.exchange_bindings.push(binding);
            }
            Request::QueueBind(binding) if !self.queue_bindings.contains(&binding) => {
                self.queue_bindings.push(binding);
            }
            Request::ExchangeUnbind(binding) => {
                self.exchange_bindings.retain(|other| *other != binding);
            }
            Request::QueueUnbind(binding) => {
                self.queue_bindings.retain(|other| *other != binding);
            }
            _ => {}
        }
    }

    fn forget_exchange(&mut self, name: &ShortStr) {
        self.exchanges.remove(name);
        self.queue_bindings
            .retain(|binding| binding.exchange != *name);
        self.exchange_bindings
            .retain(|binding| binding.source != *name && binding.destination != *name);
    }

    /// The queue has gone, by the user's word or another's.
    pub(super) fn forget_queue(&mut self, name: &ShortStr) {
        self.queues.remove(name);
        self.queue_bindings.retain(|binding| binding.queue != *name);
    }

    /// A consumer of ours was the last reason for the queue to be, as far as we know.
    pub(super) fn forget_auto_deleted(&mut self, name: &ShortStr) {
        if self.queues.get(name).is_some_and(|queue| queue.auto_delete) {
            self.forget_queue(name);
        }
    }

    pub(super) fn plan(&self) -> Plan {
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

    /// The broker made another name for a queue.
    pub(super) fn rename(&mut self, old: &ShortStr, new: &ShortStr) {
        let new = own(new);
        if let Some(queue) = self.queues.remove(old) {
            self.queues.insert(new.clone(), queue);
        }
        for name in self.renamed.values_mut().filter(|name| *name == old) {
            name.clone_from(&new);
        }
        for binding in &mut self.queue_bindings {
            if binding.queue == *old {
                binding.queue = new.clone();
            }
        }
        self.renamed.insert(old.clone(), new);
    }

    /// The name that a queue has now.
    pub(super) fn follow_name(&self, name: &mut ShortStr) {
        if let Some(new) = self.renamed.get(name) {
            name.clone_from(new);
        }
    }

    /// The names that the queues of a request have now.
    pub(super) fn follow(&self, request: &mut Request) {
        if self.renamed.is_empty() {
            return;
        }
        match request {
            Request::QueueDeclare(request) => self.follow_name(&mut request.queue),
            Request::QueueDelete(request) => self.follow_name(&mut request.queue),
            Request::QueuePurge(queue) => self.follow_name(queue),
            Request::QueueBind(request) | Request::QueueUnbind(request) => {
                self.follow_name(&mut request.queue);
            }
            Request::Get(request) => self.follow_name(&mut request.queue),
            Request::Consume(request) => {
                for consumer in &mut request.consumers {
                    self.follow_name(&mut consumer.queue);
                }
            }
            Request::Send(request) if request.exchange.is_empty() => {
                self.follow_name(&mut request.routing_key);
            }
            _ => {}
        }
    }

    /// The names that a message uses; the routing key's, if it has another now.
    pub(super) fn follow_message(
        &self,
        exchange: &str,
        routing_key: &str,
        message: &mut Message,
    ) -> Option<ShortStr> {
        if self.renamed.is_empty() {
            return None;
        }
        if let Some(name) = message.properties.reply_to()
            && let Some(new) = self.renamed.get(&ShortStr::from(name))
        {
            message.properties.set_reply_to(new);
        }
        let new = self.renamed.get(&ShortStr::from(routing_key))?;
        exchange.is_empty().then(|| new.clone())
    }
}

/// A name of its own, that does not keep the buffer it was read into.
fn own(name: &ShortStr) -> ShortStr {
    name.to_string().into()
}
