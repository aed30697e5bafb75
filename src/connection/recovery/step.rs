//! What can be declared again, how to name it, and what waits for it while it cannot be had.

use std::collections::{BTreeSet, VecDeque};

use crate::connection::recovery::bindings::Binding;
use crate::connection::recovery::bindings::Key;
use crate::connection::request::Request;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::requests::{ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare};
use crate::wire::ShortStr;

/// One thing to declare again.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Exchange(ExchangeDeclare),
    /// With the name that it had.
    Queue(ShortStr, QueueDeclare),
    ExchangeBinding(ExchangeBind),
    QueueBinding(QueueBind),
}

/// What tells a step from all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum StepKey {
    Exchange(ShortStr),
    Queue(ShortStr),
    ExchangeBinding(Key),
    QueueBinding(Key),
}

impl StepKey {
    /// Whether it is an exchange that is always there.
    pub(crate) fn is_brokers(&self) -> bool {
        match self {
            Self::Exchange(name) => name.is_empty() || name.starts_with("amq."),
            _ => false,
        }
    }
}

/// Steps in the order in which one needs the other; those beside each other need not wait for each other.
pub(crate) type Plan = [VecDeque<Step>; 3];

impl Step {
    /// Its place in a [`Plan`].
    pub(crate) fn phase(&self) -> usize {
        match self {
            Self::Exchange(_) => 0,
            Self::Queue(..) | Self::ExchangeBinding(_) => 1,
            Self::QueueBinding(_) => 2,
        }
    }

    pub(crate) fn key(&self) -> StepKey {
        match self {
            Self::Exchange(exchange) => StepKey::Exchange(exchange.exchange.clone()),
            Self::Queue(name, _) => StepKey::Queue(name.clone()),
            Self::ExchangeBinding(binding) => StepKey::ExchangeBinding(binding.key()),
            Self::QueueBinding(binding) => StepKey::QueueBinding(binding.key()),
        }
    }

    pub(crate) fn request(&self) -> Request {
        match self {
            Self::Exchange(exchange) => Request::ExchangeDeclare(exchange.clone()),
            Self::Queue(_, queue) => Request::QueueDeclare(queue.clone()),
            Self::ExchangeBinding(binding) => Request::ExchangeBind(binding.clone()),
            Self::QueueBinding(binding) => Request::QueueBind(binding.clone()),
        }
    }

    /// What a binding binds.
    pub(crate) fn ends(&self) -> Option<[StepKey; 2]> {
        match self {
            Self::Exchange(_) | Self::Queue(..) => None,
            Self::ExchangeBinding(binding) => Some([
                StepKey::Exchange(binding.source.clone()),
                StepKey::Exchange(binding.destination.clone()),
            ]),
            Self::QueueBinding(binding) => Some([
                StepKey::Exchange(binding.exchange.clone()),
                StepKey::Queue(binding.queue.clone()),
            ]),
        }
    }

    /// What it is, for a person.
    pub(crate) fn name(&self) -> String {
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

/// A step that is to be tried again.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) step: Step,
    pub(crate) error: Error,
    pub(crate) holds: Holds,
}

/// What waits for a step that is to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Nothing,
    Publishes,
    /// All else, for as long as a replay holds for locked queues; later nothing.
    Everything,
}

/// Names of what has to be declared once more.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub(crate) exchanges: BTreeSet<ShortStr>,
    pub(crate) queues: BTreeSet<ShortStr>,
    /// Whether publishes wait for it.
    pub(crate) holds: bool,
}

impl Gone {
    pub(crate) fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.queues.is_empty()
    }

    pub(crate) fn insert(&mut self, end: &StepKey) {
        match end {
            StepKey::Exchange(name) => self.exchanges.insert(name.clone()),
            StepKey::Queue(name) => self.queues.insert(name.clone()),
            StepKey::ExchangeBinding(_) | StepKey::QueueBinding(_) => false,
        };
    }
}

/// Something that may be under way: a step, or what a promise is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    Step(StepKey),
    Promise(PromiseNumber),
}
