//! Promises: the numbers that stand for results to come, and the table that keeps the results.
//!
//! The table knows nothing of AMQP, nor of the client: results come in by number, and go out to whoever waits, or to a
//! callback, of whatever type that is. When callbacks run is decided in `client/`.
//!
//! Promises may be ignored, so the table must not grow with what nobody reads. The commonest, a publish, costs no entry:
//! those under way, and those that succeeded, are kept as ranges. What is kept of other results is said in `bounds.rs`.

mod bounds;
mod callbacks;
mod entry;
mod inbox;
mod number_set;
mod unread;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::promises::entry::{Entry, State};
use crate::promises::inbox::{Backlog, Inbox};
use crate::promises::number_set::NumberSet;
use crate::promises::unread::{UNREAD_MAX, Unread};
use crate::types::error::{Error, Result};
use crate::types::ids::{PromiseId, PromiseNumber};
use crate::types::message::{Delivery, Origin};
use crate::types::results::{Item, Outcome};
use crate::wire::ShortStr;

/// All promises of one client; `C` is a callback.
pub(crate) struct Promises<C> {
    client: u32,
    last: PromiseNumber,
    entries: BTreeMap<PromiseNumber, Entry<C>>,
    /// The deliveries that wait to be taken.
    backlog: Backlog,
    /// How often a delivery has been asked for.
    taken: u64,
    /// Consumers that have ended with deliveries unread, oldest first; some have been read since.
    ended: VecDeque<PromiseNumber>,
    /// How many bytes of these are kept.
    ended_max: usize,
    /// Promises with a result and a callback, in the order in which they became ready.
    ready: VecDeque<PromiseNumber>,
    /// Publishes under way that have no callback.
    publishing: NumberSet,
    /// Publishes that succeeded and that nobody has asked for yet.
    succeeded: NumberSet,
    /// Promises that ended without a callback.
    unread: Unread,
    /// Callbacks that were set on a promise with nothing more to give.
    orphans: VecDeque<(PromiseId, C)>,
    /// Promises whose last result a callback is being told; the innermost is the last one.
    ending: Vec<PromiseId>,
}

impl<C> fmt::Debug for Promises<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promises")
            .field("last", &self.last)
            .field("open", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// What is to be had of a promise now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    Waiting,
    /// There is no such promise, or it has nothing more to give.
    Unknown,
}

impl<C> Promises<C> {
    pub(crate) fn new(client: u32, ended_max: usize) -> Self {
        Self {
            client,
            last: PromiseNumber(0),
            entries: BTreeMap::new(),
            backlog: Backlog::default(),
            taken: 0,
            ended: VecDeque::new(),
            ended_max,
            ready: VecDeque::new(),
            publishing: NumberSet::new(usize::MAX),
            succeeded: NumberSet::new(UNREAD_MAX),
            unread: Unread::default(),
            orphans: VecDeque::new(),
            ending: Vec::new(),
        }
    }

    /// A promise of one result.
    pub(crate) fn single(&mut self) -> PromiseId {
        self.add(State::Waiting)
    }

    /// A promise of a publish.
    pub(crate) fn publish(&mut self) -> PromiseId {
        self.last.0 += 1;
        self.publishing.insert(self.last, self.last);
        self.id(self.last)
    }

    /// A promise of deliveries, and an end.
    pub(crate) fn consumer(&mut self, prefetch_count: u16, no_ack: bool) -> PromiseId {
        self.add(State::Consumer {
            inbox: Inbox::new(prefetch_count, no_ack),
            end: None,
        })
    }

    /// The prefetch of a consumer has been changed.
    pub(crate) fn set_prefetch(&mut self, id: PromiseId, prefetch_count: u16) {
        if self.owns(id) {
            self.with_inbox(id.number, |inbox, all| {
                inbox.set_prefetch(prefetch_count, all)
            });
        }
    }

    /// A consumer is to be cancelled.
    pub(crate) fn set_ending(&mut self, id: PromiseId) {
        if self.owns(id) {
            self.with_inbox(id.number, Inbox::set_ending);
        }
    }

    /// Does something with a consumer's inbox, and the account of all.
    fn with_inbox<T: Default>(
        &mut self,
        number: PromiseNumber,
        run: impl FnOnce(&mut Inbox, &mut Backlog) -> T,
    ) -> T {
        match self.entries.get_mut(&number).map(|entry| &mut entry.state) {
            Some(State::Consumer { inbox, .. }) => run(inbox, &mut self.backlog),
            _ => T::default(),
        }
    }

    fn add(&mut self, state: State) -> PromiseId {
        self.last.0 += 1;
        self.insert(self.last, state);
        self.id(self.last)
    }

    fn insert(&mut self, number: PromiseNumber, state: State) {
        self.entries.insert(number, Entry::new(state));
    }

    /// Whether a promise is of this client.
    pub(crate) fn owns(&self, id: PromiseId) -> bool {
        id.client == self.client
    }

    fn id(&self, number: PromiseNumber) -> PromiseId {
        PromiseId {
            client: self.client,
            number,
        }
    }

    /// The result of a single promise, or the end of a consumer.
    pub(crate) fn resolve(&mut self, number: PromiseNumber, result: Result<Outcome>) {
        if self.publishing.remove(number) {
            match result {
                Ok(_) => self.succeeded.insert(number, number),
                Err(_) => {
                    let bytes = shared_bytes(&result);
                    self.insert(number, State::Done(result));
                    self.keep_unread(number, bytes);
                }
            }
            return;
        }
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let bytes = shared_bytes(&result);
        let mut leaves_some = false;
        match (&mut entry.state, result) {
            (State::Consumer { inbox, end }, result) => {
                *end = result.err().or(Some(Error::Closed));
                inbox.set_ended(&mut self.backlog);
                leaves_some = !inbox.is_empty();
            }
            (state, result) => *state = State::Done(result),
        }
        if entry.callback.is_some() {
            self.enqueue(number);
        } else {
            self.keep_unread(number, bytes);
        }
        if leaves_some {
            self.keep_ended(number);
        }
    }

    /// The publishes of all promises from `first` to `last` have succeeded.
    pub(crate) fn resolve_published(&mut self, first: PromiseNumber, last: PromiseNumber) {
        if self.publishing.remove_all(first, last) {
            self.succeeded.insert(first, last);
            return;
        }
        for number in first.0..=last.0 {
            self.resolve(PromiseNumber(number), Ok(Outcome::Published));
        }
    }

    /// A delivery for a consumer.
    pub(crate) fn deliver(&mut self, number: PromiseNumber, delivery: Box<Delivery>) {
        if let Some(entry) = self.entries.get_mut(&number)
            && let State::Consumer { inbox, .. } = &mut entry.state
        {
            inbox.push(delivery, &mut self.backlog);
            if entry.callback.is_some() && !entry.queued {
                entry.queued = true;
                self.ready.push_back(number);
            }
        }
    }

    /// The next delivery of a consumer whose callback is running, unless that has set another.
    pub(crate) fn next_delivery(&mut self, id: PromiseId) -> Option<Box<Delivery>> {
        if !self.owns(id) {
            return None;
        }
        let entry = self.entries.get_mut(&id.number)?;
        match &mut entry.state {
            State::Consumer { inbox, .. } if entry.callback.is_none() => {
                self.taken += 1;
                inbox.pop(&mut self.backlog)
            }
            _ => None,
        }
    }

    /// A number that changes whenever the program takes a delivery.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The deliveries that wait to be taken.
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// The deliveries of a consumer that nobody has read will come again. Whether there were some.
    pub(crate) fn drop_deliveries(&mut self, number: PromiseNumber) -> bool {
        self.with_inbox(number, |inbox, all| {
            let some = !inbox.is_empty();
            inbox.clear(all);
            some
        })
    }

    /// What nobody has read of a consumer that is cancelled; of these tags, whose queues are no more, it stays.
    pub(crate) fn take_unread(&mut self, number: PromiseNumber, gone: &[ShortStr]) -> Vec<Origin> {
        self.with_inbox(number, |inbox, all| inbox.take_unread(gone, all))
    }

    pub(crate) fn readiness(&self, number: PromiseNumber) -> Readiness {
        match self.entries.get(&number) {
            Some(entry) if entry.state.is_ready() => Readiness::Ready,
            Some(_) => Readiness::Waiting,
            None if self.publishing.contains(number) => Readiness::Waiting,
            None if self.succeeded.contains(number) => Readiness::Ready,
            None => Readiness::Unknown,
        }
    }

    /// Takes one result of a promise that is ready, and its callback if it has one.
    ///
    /// A callback for every delivery is to be handed back to [`restore`](Self::restore) after it ran.
    pub(crate) fn take(&mut self, number: PromiseNumber) -> Option<(Result<Item>, Option<C>)> {
        let Some(entry) = self.entries.get_mut(&number) else {
            let item = Ok(Item::Outcome(Outcome::Published));
            return self.succeeded.remove(number).then_some((item, None));
        };
        if let State::Consumer { inbox, .. } = &mut entry.state
            && let Some(delivery) = inbox.pop(&mut self.backlog)
        {
            self.taken += 1;
            return Some((Ok(Item::Delivery(delivery)), entry.callback.take()));
        }
        if !entry.state.is_over() {
            return None;
        }
        let entry = self.entries.remove(&number)?;
        Some((entry.state.into_last()?, entry.callback))
    }

    /// What is not empty. Results that nobody has asked for are among it.
    #[cfg(feature = "testing")]
    pub(crate) fn leftovers(&self) -> Vec<&'static str> {
        let left = [
            ("promises", !self.entries.is_empty()),
            ("publishes under way", self.publishing.ranges() > 0),
            ("publishes that succeeded", self.succeeded.ranges() > 0),
            ("callbacks to run", self.runnable() > 0),
            ("deliveries", self.backlog.count > 0),
            ("last results that are told", !self.ending.is_empty()),
        ];
        let full = left.into_iter().filter(|(_, is_full)| *is_full);
        full.map(|(name, _)| name).collect()
    }

    /// Why there is nothing to wait for.
    pub(crate) fn no_result(&self, id: PromiseId) -> Error {
        if self.owns(id) {
            Error::UnknownPromise(id)
        } else {
            Error::ForeignPromise(id)
        }
    }
}

/// The bytes of messages and texts that a result keeps in memory.
fn shared_bytes(result: &Result<Outcome>) -> usize {
    match result {
        Ok(outcome) => outcome.shared_bytes(),
        Err(error) => error.shared_bytes(),
    }
}

#[cfg(test)]
mod tests;
