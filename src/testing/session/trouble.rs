//! The troubles of a broker, which only a simulation asks for: requests that it dies of, queues whose node is down.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::fault::Fault;
use crate::testing::model::{LinkId, Refusal};
use crate::wire::Method;

/// How a request ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// By `connection.close` with that code, which names the request's method.
    Naming(u16),
    /// By one that names none.
    NamingNothing(u16),
    /// The socket is closed.
    Wordless,
}

/// Somebody who was thrown out, for nothing came from him for two heartbeats.
#[derive(Debug, Clone)]
pub(crate) struct Missed {
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "programs are told by their names")
    )]
    pub(crate) link: LinkId,
    /// What the client calls itself.
    pub(crate) name: String,
    pub(crate) at: Instant,
    pub(crate) interval: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// Names of queues and exchanges, and correlation ids.
    deadly: BTreeMap<String, Death>,
    /// Queues whose node is down, and what is said of each.
    down: BTreeMap<String, String>,
    missed: Vec<Missed>,
}

impl Troubles {
    /// Whoever names this from now on is thrown out.
    pub(crate) fn poison(&mut self, name: &str, death: Death) {
        self.deadly.insert(name.into(), death);
    }

    /// Nobody can declare that queue, or consume from it, until it is up again.
    pub(crate) fn take_down(&mut self, queue: &str, text: &str) {
        self.down.insert(queue.into(), text.into());
    }

    /// Whether it was down.
    pub(crate) fn bring_up(&mut self, queue: &str) -> bool {
        self.down.remove(queue).is_some()
    }

    pub(super) fn note_missed(&mut self, missed: Missed) {
        self.missed.push(missed);
    }

    pub(crate) fn take_missed(&mut self) -> Vec<Missed> {
        std::mem::take(&mut self.missed)
    }

    /// What a request meets.
    pub(super) fn meet(&self, method: &Method<'_>) -> Result<(), Fault> {
        let (name, needs_node) = match method {
            Method::QueueDeclare(declare) => (declare.queue, true),
            Method::ExchangeDeclare(declare) => (declare.exchange, false),
            Method::BasicConsume(consume) => (consume.queue, true),
            _ => return Ok(()),
        };
        let name = String::from_utf8_lossy(name);
        self.die_of(&name)?;
        match self.down.get(&*name).filter(|_| needs_node) {
            Some(text) => Err(Refusal::channel(404, text).into()),
            None => Ok(()),
        }
    }

    /// What a name meets.
    pub(super) fn die_of(&self, name: &str) -> Result<(), Fault> {
        let text = format!("something went wrong with {name}");
        let refused = |code| Refusal::connection(code, text);
        match self.deadly.get(name) {
            None => Ok(()),
            Some(Death::Naming(code)) => Err(refused(*code).into()),
            Some(Death::NamingNothing(code)) => Err(Fault::from(refused(*code)).about((0, 0))),
            Some(Death::Wordless) => Err(Fault::Wordless),
        }
    }
}
