//! What one program knows of its client: what it has asked for, what it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use puka::Delivery;

use super::answer::Any;
use super::options::Chosen;

/// A request, as far as the judge has to know it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    /// For the transcript.
    pub(crate) text: String,
    /// The AMQP methods that it is made of: one of these is named in its refusal.
    pub(crate) methods: &'static [&'static str],
    /// The queues and exchanges that it names.
    pub(crate) names: Vec<String>,
    /// With which codes the broker may refuse it.
    pub(crate) refusals: &'static [u16],
    /// The client itself may refuse it (`InvalidArgument`).
    pub(crate) is_odd: bool,
    /// The broker ends the connection for it, or may.
    pub(crate) is_deadly: bool,
    /// Recovery asks for it again after a loss.
    pub(crate) is_repeatable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    Close,
    UpdateSecret,
    /// A declaration, a binding, a deletion, `basic.get`.
    Plain,
    /// By the number of its message.
    Publish(u64),
    /// A request to another program, by the number of its message.
    Rpc(u64),
    Consumer,
    /// `basic_cancel`, `basic_qos`, `basic_recover` of that consumer.
    OfConsumer(u64),
}

/// A promise, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) any: Any,
    pub(crate) asked: Asked,
    pub(crate) is_done: bool,
    pub(crate) has_failed: bool,
    pub(crate) has_callback: bool,
    /// What the client was when it was asked for.
    pub(crate) was_active: bool,
    /// How many troubles the client had had.
    pub(crate) troubles: u32,
}

/// What a consumer is, and what has come of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Consumer {
    pub(crate) queues: Vec<String>,
    pub(crate) no_ack: bool,
    /// The delivery tag that came last, and the troubles until then.
    pub(crate) last: Option<u64>,
    /// How often the client had lost a connection then.
    pub(crate) losses: u32,
    /// Tags may be missing: it was recovered, changed, or what it had not read was dropped.
    pub(crate) may_skip: bool,
    /// The program has cancelled it.
    pub(crate) is_cancelled: bool,
}

/// A delivery that the program has not settled.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) delivery: Delivery,
    pub(crate) queue: String,
    pub(crate) message: Option<u64>,
    /// The broker may close its channel for another queue of its consumer, which cannot be consumed from.
    pub(crate) is_shaky: bool,
}

/// One program with one client.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    /// How many clients it had before.
    pub(crate) lives: u32,
    pub(crate) chosen: Chosen,
    pub(crate) promises: BTreeMap<u64, Entry>,
    pub(crate) consumers: BTreeMap<u64, Consumer>,
    pub(crate) held: Vec<Held>,
    /// What it will never settle by itself, but perhaps with others.
    pub(crate) left: Vec<Held>,
    /// Names that the broker has made for it.
    pub(crate) made: Vec<String>,
    /// How often something happened that may end its connection, or hinder it.
    pub(crate) troubles: u32,
    /// When the last of these happened, and when it last had, or lost, a connection to its knowledge.
    pub(crate) troubled: Duration,
    pub(crate) noticed: Duration,
    /// A keeper has nothing to do where there is no open connection, and can do nothing behind what is unsent: how that was
    /// when the program last came out of a call.
    pub(crate) is_kept: bool,
    /// Recovery has given up once: all that was open failed with the cause.
    pub(crate) has_given_up: bool,
    /// It is being told what has become of its connection, and hears of nothing new until it has done with that.
    pub(crate) is_told: bool,
    /// How often it was told that its connection was lost.
    pub(crate) losses: u32,
    /// How often it has asked for a connection.
    pub(crate) connects: u32,
    /// How many publishes it has made that the broker refuses, or may.
    pub(crate) refusals: u32,
    /// How many of its requests were made to end the connection.
    pub(crate) deaths: u32,
    /// How often it has closed.
    pub(crate) closes: u32,
    /// When it last came out of a call that sees to the connection.
    pub(crate) seen: Duration,
    /// When it was away, and for how long: the ends of absences.
    pub(crate) absences: Vec<(Duration, Duration)>,
    /// The calls that it is in, one in another.
    pub(crate) depth: u32,
    /// Until when the network is in its way.
    pub(crate) hindered: Duration,
    /// When a callback last waited, or looped.
    pub(crate) nested: Option<Duration>,
    /// When it worked inside of a call, and for how long.
    pub(crate) works: Vec<(Duration, Duration)>,
}

impl Actor {
    pub(crate) fn new(name: String, chosen: Chosen) -> Self {
        Self {
            name,
            lives: 0,
            chosen,
            promises: BTreeMap::new(),
            consumers: BTreeMap::new(),
            held: Vec::new(),
            left: Vec::new(),
            made: Vec::new(),
            troubles: 0,
            troubled: Duration::ZERO,
            is_kept: false,
            has_given_up: false,
            is_told: false,
            noticed: Duration::ZERO,
            losses: 0,
            connects: 0,
            refusals: 0,
            deaths: 0,
            closes: 0,
            seen: Duration::ZERO,
            absences: Vec::new(),
            depth: 0,
            hindered: Duration::ZERO,
            nested: None,
            works: Vec::new(),
        }
    }

    /// Changes with each connection, or whatever may end one.
    pub(crate) fn breaks(&self) -> u32 {
        self.troubles + self.losses + self.connects
    }

    /// Whether it may have lost its connection, and not know.
    pub(crate) fn is_unaware(&self) -> bool {
        self.is_told || self.troubles > 0 && self.noticed <= self.troubled
    }

    /// Whether the network was in its way then, or later.
    pub(crate) fn was_hindered(&self, since: Duration) -> bool {
        self.hindered > Duration::ZERO && self.hindered >= since
    }

    /// For how long callbacks have worked since then.
    pub(crate) fn worked_since(&self, since: Duration) -> Duration {
        let lately = self.works.iter().filter(|(end, _)| *end >= since);
        lately.map(|(_, time)| *time).sum()
    }

    /// Promises that have given no result yet, but consumers.
    pub(crate) fn open(&self) -> impl Iterator<Item = (u64, &Entry)> {
        let open = self.promises.iter().filter(|(_, entry)| !entry.is_done);
        open.filter(|(_, entry)| entry.asked.kind != Kind::Consumer)
            .map(|(&number, entry)| (number, entry))
    }

    /// Consumers that have not ended.
    pub(crate) fn live_consumers(&self) -> impl Iterator<Item = (u64, &Consumer)> {
        let live = self.consumers.iter().filter(|(number, _)| {
            let entry = self.promises.get(number);
            entry.is_some_and(|entry| !entry.is_done)
        });
        live.map(|(&number, consumer)| (number, consumer))
    }
}
