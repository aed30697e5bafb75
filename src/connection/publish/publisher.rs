//! The state of the confirm channel: which publishes the broker has yet to answer, and what it has handled.

use std::collections::VecDeque;

use crate::connection::publish::line::Line;
use crate::connection::publish::output::Span;
use crate::types::ids::PromiseNumber;

/// A publish that the broker has not answered, or whose turn in `in_flight` has not come.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) promise: PromiseNumber,
    pub(crate) span: Span,
    /// The promise has its result, and the span is unpinned.
    pub(crate) resolved: bool,
    /// An earlier connection may have taken it, too.
    pub(crate) sent_before: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Publisher {
    /// Whether the broker confirms; else it is emulated.
    pub(crate) confirms: bool,
    pub(crate) is_open: bool,
    /// The channel is open, and nothing waits: a publish may be written at once.
    pub(crate) flows: bool,
    /// The delivery tag of `in_flight[0]`.
    pub(crate) first_tag: u64,
    pub(crate) in_flight: VecDeque<InFlight>,
    /// The broker has surely handled everything up to this tag.
    pub(crate) handled: u64,
    /// What is not on the wire.
    pub(crate) line: Line,
}

impl Publisher {
    pub(crate) fn entry(&mut self, tag: u64) -> Option<&mut InFlight> {
        let index = usize::try_from(tag.checked_sub(self.first_tag)?).ok()?;
        self.in_flight.get_mut(index)
    }

    /// The tag of a promise's publish. Promises rise with their tags.
    pub(crate) fn tag_of(&self, promise: PromiseNumber) -> Option<u64> {
        let index = self
            .in_flight
            .binary_search_by_key(&promise, |entry| entry.promise)
            .ok()?;
        Some(self.first_tag + index as u64)
    }

    /// Forgets the answered entries in front; not those that were only given up: the broker may have more to say of them.
    pub(crate) fn advance(&mut self) {
        while self.first_tag <= self.handled
            && self.in_flight.front().is_some_and(|entry| entry.resolved)
        {
            self.in_flight.pop_front();
            self.first_tag += 1;
        }
    }

    /// All entries with their tags, once the channel has gone.
    pub(crate) fn take_in_flight(&mut self) -> Vec<(u64, InFlight)> {
        let tags = self.first_tag..;
        tags.zip(std::mem::take(&mut self.in_flight)).collect()
    }

    /// Those of them that are yet to be answered.
    pub(crate) fn take_unresolved(&mut self) -> impl Iterator<Item = (u64, InFlight)> + use<> {
        let entries = self.take_in_flight().into_iter();
        entries.filter(|(_, entry)| !entry.resolved)
    }

    /// The tag of the last publish on this channel.
    pub(crate) fn last_tag(&self) -> u64 {
        self.first_tag + self.in_flight.len() as u64 - 1
    }

    pub(crate) fn handled_up_to(&mut self, tag: u64) {
        self.handled = self.handled.max(tag);
        self.advance();
    }

    pub(crate) fn channel_gone(&mut self) {
        self.is_open = false;
        self.flows = false;
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.line.is_empty()
    }
}
