//! What bounds the results that nobody reads, and no callback wants.
//!
//! The newest [`UNREAD_MAX`](super::unread::UNREAD_MAX) are kept, or as many as take
//! [`UNREAD_BYTES`](super::unread::UNREAD_BYTES). What a consumer brings is kept while it lives; of what consumers that have
//! ended leave, as much as the client's options say.

use crate::promises::Promises;
use crate::promises::entry::{Entry, State};
use crate::types::ids::PromiseNumber;

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
