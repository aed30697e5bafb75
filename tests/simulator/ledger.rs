//! Every message that a program has sent: what it is, what the program was told of it, and where it was seen since.

use std::collections::BTreeMap;

use puka::Message;

/// What the program was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing yet.
    Open,
    /// The broker has it.
    Taken,
    /// The broker never had it.
    NotSent,
    /// No queue was there for it.
    NoRoute,
    /// The broker refused it.
    Refused,
    /// The same, by `basic.nack`.
    Nacked,
    Unknown,
}

/// A message of a program's.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Whose.
    pub(crate) by: usize,
    /// Whether its client publishes again what a loss has left unknown.
    pub(crate) recovers: bool,
    /// Whether the broker confirms it, not puka's emulation.
    pub(crate) is_confirmed: bool,
    pub(crate) message: Message,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) claim: Claim,
    /// Its queues, and what came of it in each.
    pub(crate) seen: BTreeMap<String, Seen>,
}

/// What programs have seen of a message in a queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// How often it was delivered.
    pub(crate) deliveries: u32,
    /// How often a program has said that it is done with it: acknowledged, dropped, or taken without.
    pub(crate) done: u32,
    /// Of those, how often that surely has reached the broker, or will.
    pub(crate) done_by: Vec<(usize, u32)>,
    /// A program has given it back.
    pub(crate) returns: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    messages: BTreeMap<u64, Sent>,
    last: u64,
}

/// The body of a message; all bodies differ.
pub(crate) fn body_of(id: u64, len: usize) -> Vec<u8> {
    let bytes = (0..len as u64).map(|index| (id.wrapping_mul(31).wrapping_add(index)) as u8);
    bytes.collect()
}

impl Ledger {
    /// A number that no other message has.
    pub(crate) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(crate) fn add(&mut self, id: u64, sent: Sent) {
        self.messages.insert(id, sent);
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Sent> {
        self.messages.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Sent> {
        self.messages.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Sent)> {
        self.messages.iter().map(|(&id, sent)| (id, sent))
    }

    /// What is known of a message in a queue.
    pub(crate) fn seen(&mut self, id: u64, queue: &str) -> Option<&mut Seen> {
        let sent = self.messages.get_mut(&id)?;
        Some(sent.seen.entry(queue.into()).or_default())
    }
}
