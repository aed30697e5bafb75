//! What bounds the results that nobody reads, and no callback wants.
//!
//! The newest [`UNREAD_MAX`] are kept, or as many as take [`UNREAD_BYTES`]. What a consumer brings is kept while it lives;
//! of what consumers that have ended leave, as much as the client's options say.

use std::collections::VecDeque;

use crate::promises::Promises;
use crate::promises::entry::{Entry, State};
use crate::types::ids::PromiseNumber;

/// How many results are kept.
pub(crate) const UNREAD_MAX: usize = 65_536;

/// How many bytes of messages are kept in them: the newest result is, however large.
pub(crate) const UNREAD_BYTES: usize = 32 * 1024 * 1024;

/// Results with the bytes of their messages, oldest first; some have been read since.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    results: VecDeque<(PromiseNumber, usize)>,
    bytes: usize,
}

impl Unread {
    fn push(&mut self, number: PromiseNumber, bytes: usize) {
        self.results.push_back((number, bytes));
        self.bytes += bytes;
    }

    /// Takes the oldest one, if that is what is wanted.
    fn pop_if(&mut self, wanted: impl FnOnce(PromiseNumber) -> bool) -> Option<PromiseNumber> {
        let (number, bytes) = *self.results.front().filter(|(number, _)| wanted(*number))?;
        self.results.pop_front();
        self.bytes -= bytes;
        Some(number)
    }

    fn retain(&mut self, is_kept: impl Fn(PromiseNumber) -> bool) {
        self.results.retain(|(number, _)| is_kept(*number));
        self.bytes = self.results.iter().map(|(_, bytes)| bytes).sum();
    }

    /// Whether it is more than so many times what is kept.
    fn exceeds(&self, times: usize) -> bool {
        let count = self.results.len();
        count > times * UNREAD_MAX || self.bytes > times * UNREAD_BYTES && count > 1
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty()
    }
}

impl<C> Promises<C> {
    /// Bounds what nobody reads. Counting only at twice the limit makes it cheap.
    pub(super) fn keep_unread(&mut self, number: PromiseNumber, bytes: usize) {
        let (unread, entries) = (&mut self.unread, &mut self.entries);
        // Most are read in their order: what has been read need not be counted.
        while unread
            .pop_if(|number| !entries.contains_key(&number))
            .is_some()
        {}
        unread.push(number, bytes);
        if !unread.exceeds(2) {
            return;
        }
        unread.retain(|number| {
            entries
                .get(&number)
                .is_some_and(|entry| entry.state.is_over() && entry.callback.is_none())
        });
        while unread.exceeds(1)
            && let Some(number) = unread.pop_if(|_| true)
        {
            entries.remove(&number);
        }
    }

    /// Bounds what consumers that have ended leave unread; the last one's stays. The oldest goes first: what came with
    /// acks the broker has, and what came without was not sure to be read.
    pub(super) fn keep_ended(&mut self, number: PromiseNumber) {
        self.ended.push_back(number);
        while self.backlog.ended_bytes > self.ended_max && self.ended.len() > 1 {
            if let Some(number) = self.ended.pop_front()
                && self.drop_deliveries(number)
            {
                log::warn!(
                    "the deliveries of consumer {number}, which has ended, were not read, and are dropped"
                );
                // From now on it is a result like any other.
                self.keep_unread(number, 0);
            }
        }
        // Those that have been read, once they may be the most.
        if self.ended.len() == self.ended.capacity() {
            let entries = &self.entries;
            let is_unread = |entry: &Entry<C>| match &entry.state {
                State::Consumer { inbox, .. } => !inbox.is_empty(),
                _ => false,
            };
            self.ended
                .retain(|number| entries.get(number).is_some_and(is_unread));
        }
    }
}
