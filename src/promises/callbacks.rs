//! The callbacks of promises: which are set, and which could run. The client runs them.

use crate::promises::Promises;
use crate::promises::entry::State;
use crate::types::error::Result;
use crate::types::ids::{PromiseId, PromiseNumber};
use crate::types::results::{Item, Outcome};

impl<C> Promises<C> {
    /// Its callback could run.
    pub(super) fn enqueue(&mut self, number: PromiseNumber) {
        if let Some(entry) = self.entries.get_mut(&number)
            && !entry.queued
        {
            entry.queued = true;
            self.ready.push_back(number);
        }
    }

    /// Puts a consumer's callback back, unless the callback itself has set another.
    pub(crate) fn restore(&mut self, id: PromiseId, callback: C) {
        let number = id.number;
        if self.owns(id)
            && let Some(entry) = self.entries.get_mut(&number)
            && entry.callback.is_none()
        {
            entry.callback = Some(callback);
            if entry.state.is_ready() {
                self.enqueue(number);
            }
        }
    }

    /// Sets a callback, in place of any other.
    pub(crate) fn attach(&mut self, id: PromiseId, callback: C) {
        if self.owns(id) {
            // What has a callback has an entry.
            if self.publishing.remove(id.number) {
                self.insert(id.number, State::Waiting);
            } else if self.succeeded.remove(id.number) {
                self.insert(id.number, State::Done(Ok(Outcome::Published)));
            }
        }
        match self.entries.get_mut(&id.number) {
            Some(entry) if id.client == self.client => {
                entry.callback = Some(callback);
                if entry.state.is_ready() {
                    self.enqueue(id.number);
                }
            }
            // It would be told the end once more, and could set itself once more, for ever.
            _ if self.ending.contains(&id) => {
                log::debug!(
                    "a callback that is set for promise {id} while its last result is told gets nothing"
                );
            }
            _ => self.orphans.push_back((id, callback)),
        }
    }

    /// A callback is told the last thing that its promise gives.
    pub(crate) fn begin_last(&mut self, id: PromiseId) {
        self.ending.push(id);
    }

    /// It has returned.
    pub(crate) fn end_last(&mut self) {
        self.ending.pop();
    }

    /// How many callbacks could run now.
    pub(crate) fn runnable(&self) -> usize {
        self.ready.len() + self.orphans.len()
    }

    /// The next callback to run, with its promise's number and what it is to be given.
    pub(crate) fn next_callback(&mut self) -> Option<(PromiseId, Result<Item>, C)> {
        if let Some((id, callback)) = self.orphans.pop_front() {
            return Some((id, Err(self.no_result(id)), callback));
        }
        while let Some(number) = self.ready.pop_front() {
            let Some(entry) = self.entries.get_mut(&number) else {
                continue; // It was waited for meanwhile.
            };
            entry.queued = false;
            if entry.callback.is_none() {
                continue;
            }
            if let Some((item, Some(callback))) = self.take(number) {
                return Some((self.id(number), item, callback));
            }
        }
        None
    }

    /// Forgets callbacks of promises that were waited for, so that a program that only waits keeps none of them.
    pub(crate) fn tidy(&mut self) {
        while self
            .ready
            .front()
            .is_some_and(|number| !self.entries.contains_key(number))
        {
            self.ready.pop_front();
        }
    }
}
