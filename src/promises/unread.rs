//! The account of results that nobody has read.

use std::collections::VecDeque;

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
    pub(crate) fn push(&mut self, number: PromiseNumber, bytes: usize) {
        self.results.push_back((number, bytes));
        self.bytes += bytes;
    }

    /// Takes the oldest one, if that is what is wanted.
    pub(crate) fn pop_if(
        &mut self,
        wanted: impl FnOnce(PromiseNumber) -> bool,
    ) -> Option<PromiseNumber> {
        let (number, bytes) = *self.results.front().filter(|(number, _)| wanted(*number))?;
        self.results.pop_front();
        self.bytes -= bytes;
        Some(number)
    }

    pub(crate) fn retain(&mut self, is_kept: impl Fn(PromiseNumber) -> bool) {
        self.results.retain(|(number, _)| is_kept(*number));
        self.bytes = self.results.iter().map(|(_, bytes)| bytes).sum();
    }

    /// Whether it is more than so many times what is kept.
    pub(crate) fn exceeds(&self, times: usize) -> bool {
        let count = self.results.len();
        count > times * UNREAD_MAX || self.bytes > times * UNREAD_BYTES && count > 1
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty()
    }
}
