//! Promises: the numbers that stand for results to come, and the table that keeps the results.
//!
//! The table knows nothing of AMQP: results come in by number, and go out to whoever waits, or to a callback. When
//! callbacks run is decided in `client/wait.rs`.
//!
//! Promises may be ignored, so the table must not grow with what nobody reads. The commonest, a publish, costs no entry:
//! under way it is a bit, and runs of those that succeeded are kept as ranges. Of all other results without a callback
//! the newest [`UNREAD_MAX`] are kept, or as many as take [`UNREAD_BYTES`]. What a consumer brings is never dropped.

pub(crate) mod inbox;
mod numbers;
mod ranges;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::marker::PhantomData;
use std::time::Duration;

use crate::Client;
use crate::promises::inbox::{Backlog, Inbox};
use crate::promises::numbers::Numbers;
use crate::promises::ranges::Ranges;
use crate::types::error::{Error, Result};
use crate::types::ids::{PromiseId, PromiseNumber};
use crate::types::message::{Delivery, Origin};
use crate::types::results::{Item, Outcome, PromiseValue};
use crate::wire::ShortStr;

/// How many results that nobody has read, and no callback wants, are kept.
pub(crate) const UNREAD_MAX: usize = 65_536;

/// How many bytes of messages are kept in them: the newest result is, however large.
const UNREAD_BYTES: usize = 32 * 1024 * 1024;

/// The number of a result to come, and its type.
///
/// A promise is a plain number (`Copy`, no more): it may be waited for, given a callback, or ignored. It belongs to
/// the [`Client`] that made it; to every other client it is an error.
pub struct Promise<T> {
    id: PromiseId,
    result: PhantomData<fn() -> T>,
}

impl<T> Promise<T> {
    pub(crate) fn new(id: PromiseId) -> Self {
        Self {
            id,
            result: PhantomData,
        }
    }

    /// The number: the first promise of a client is 1.
    pub fn number(self) -> u64 {
        self.id.number()
    }

    /// The promise without the type of its result: what [`Client::wait_ready`] takes.
    pub fn id(self) -> PromiseId {
        self.id
    }
}

impl<T: PromiseValue> Promise<T> {
    /// [`Client::wait`], the other way round.
    ///
    /// # Errors
    /// Those of [`Client::wait`].
    pub fn wait(self, client: &mut Client) -> Result<T> {
        client.wait(self)
    }

    /// [`Client::wait_timeout`], the other way round.
    ///
    /// # Errors
    /// Those of [`Client::wait`].
    pub fn wait_timeout(self, client: &mut Client, timeout: Duration) -> Result<Option<T>> {
        client.wait_timeout(self, timeout)
    }

    /// Sets the callback for the promise's result, in place of any other, and hands the promise back.
    ///
    /// The callback runs inside [`Client::loop_forever`] and its kin, or when this promise is waited for; never at
    /// once. On a consumer it takes one delivery, the next; [`for_each`](Promise::for_each) takes them all.
    /// On a promise that has nothing more to give it runs with [`Error::UnknownPromise`].
    pub fn then(
        self,
        client: &mut Client,
        callback: impl FnOnce(&mut Client, Self, Result<T>) + Send + 'static,
    ) -> Self {
        let run = move |client: &mut Client, item: Result<Item>| {
            let result = item.and_then(|item| T::from_item(item, client));
            callback(client, self, result);
        };
        client.attach(self.id, Callback::Once(Box::new(run)));
        self
    }
}

impl Promise<Delivery> {
    /// Sets the callback for every delivery of a consumer, in place of any other, and hands the promise back.
    ///
    /// Its last call brings the error that says how the consumer ended.
    pub fn for_each(
        self,
        client: &mut Client,
        callback: impl FnMut(&mut Client, Self, Result<Delivery>) + Send + 'static,
    ) -> Self {
        client.set_callback(self, callback);
        self
    }
}

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Promise<T> {}

impl<T> PartialEq for Promise<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Promise<T> {}

impl<T> Hash for Promise<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<T> fmt::Display for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

type Once = dyn FnOnce(&mut Client, Result<Item>) + Send;
type Each = dyn FnMut(&mut Client, Result<Item>) + Send;

/// A user's callback; it knows its promise by itself.
pub(crate) enum Callback {
    Once(Box<Once>),
    Each(Box<Each>),
}

/// What a promise's entry is waiting for, or has.
enum State {
    /// A request whose reply has not come.
    Waiting,
    /// Its reply.
    Done(Result<Outcome>),
    /// A consumer; the end comes after all deliveries.
    Consumer { inbox: Inbox, end: Option<Error> },
}

struct Entry {
    state: State,
    callback: Option<Callback>,
    /// Whether the number is in `ready`, where it stands at most once.
    queued: bool,
}

impl Entry {
    fn is_ready(&self) -> bool {
        match &self.state {
            State::Waiting => false,
            State::Done(_) => true,
            State::Consumer { inbox, end } => !inbox.is_empty() || end.is_some(),
        }
    }

    /// Whether the entry holds the last thing it will ever give, and no delivery.
    fn is_over(&self) -> bool {
        match &self.state {
            State::Waiting => false,
            State::Done(_) => true,
            State::Consumer { inbox, end } => inbox.is_empty() && end.is_some(),
        }
    }
}

/// All promises of one client.
pub(crate) struct Promises {
    client: u32,
    last: PromiseNumber,
    entries: HashMap<PromiseNumber, Entry, BuildHasherDefault<NumberHasher>>,
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
    publishing: Numbers,
    /// Publishes that succeeded and that nobody has asked for yet.
    succeeded: Ranges,
    /// Promises that ended without a callback, and the bytes of their results, oldest first; some have been read since.
    unread: VecDeque<(PromiseNumber, usize)>,
    unread_bytes: usize,
    /// Callbacks that were set on a promise with nothing more to give.
    orphans: VecDeque<(PromiseId, Callback)>,
    /// Promises whose last result a callback is being told; the innermost is the last one.
    ending: Vec<PromiseId>,
}

impl fmt::Debug for Promises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promises")
            .field("last", &self.last)
            .field("open", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// What a look at a promise finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Ready,
    Waiting,
    Unknown,
}

impl Promises {
    pub(crate) fn new(client: u32, ended_max: usize) -> Self {
        Self {
            client,
            last: PromiseNumber(0),
            entries: HashMap::default(),
            backlog: Backlog::default(),
            taken: 0,
            ended: VecDeque::new(),
            ended_max,
            ready: VecDeque::new(),
            publishing: Numbers::default(),
            succeeded: Ranges::default(),
            unread: VecDeque::new(),
            unread_bytes: 0,
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
        self.publishing.push(self.last.0);
        self.id(self.last)
    }

    /// A promise of deliveries, and an end.
    pub(crate) fn consumer(&mut self, prefetch_count: u16, no_ack: bool) -> PromiseId {
        self.add(State::Consumer {
            inbox: Inbox::new(prefetch_count, no_ack),
            end: None,
        })
    }

    /// The inbox of a consumer of this client's, and the account of all.
    pub(crate) fn inbox_of(&mut self, id: PromiseId) -> Option<(&mut Inbox, &mut Backlog)> {
        if id.client != self.client {
            return None;
        }
        self.inbox(id.number)
    }

    fn inbox(&mut self, number: PromiseNumber) -> Option<(&mut Inbox, &mut Backlog)> {
        match &mut self.entries.get_mut(&number)?.state {
            State::Consumer { inbox, .. } => Some((inbox, &mut self.backlog)),
            _ => None,
        }
    }

    fn add(&mut self, state: State) -> PromiseId {
        self.last.0 += 1;
        self.insert(self.last, state);
        self.id(self.last)
    }

    fn insert(&mut self, number: PromiseNumber, state: State) {
        self.entries.insert(
            number,
            Entry {
                state,
                callback: None,
                queued: false,
            },
        );
    }

    pub(crate) fn id(&self, number: PromiseNumber) -> PromiseId {
        PromiseId {
            client: self.client,
            number,
        }
    }

    /// The result of a single promise, or the end of a consumer.
    pub(crate) fn resolve(&mut self, number: PromiseNumber, result: Result<Outcome>) {
        if self.publishing.remove(number.0) {
            match result {
                Ok(_) => self.succeeded.insert(number.0, number.0),
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

    /// Bounds what consumers that have ended leave unread; the last one's stays. The oldest goes first: what came with
    /// acks the broker has, and what came without was not sure to be read.
    fn keep_ended(&mut self, number: PromiseNumber) {
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
            let is_unread = |entry: &Entry| match &entry.state {
                State::Consumer { inbox, .. } => !inbox.is_empty(),
                _ => false,
            };
            self.ended
                .retain(|number| entries.get(number).is_some_and(is_unread));
        }
    }

    /// The publishes of all promises from `first` to `last` have succeeded.
    pub(crate) fn resolve_published(&mut self, first: PromiseNumber, last: PromiseNumber) {
        if self.publishing.remove_all(first.0, last.0) {
            self.succeeded.insert(first.0, last.0);
            return;
        }
        for number in first.0..=last.0 {
            self.resolve(PromiseNumber(number), Ok(Outcome::Published));
        }
    }

    pub(crate) fn deliver(&mut self, number: PromiseNumber, delivery: Box<Delivery>) {
        if let Some(entry) = self.entries.get_mut(&number) {
            if let State::Consumer { inbox, .. } = &mut entry.state {
                inbox.push(delivery, &mut self.backlog);
            }
            if entry.callback.is_some() && !entry.queued {
                entry.queued = true;
                self.ready.push_back(number);
            }
        }
    }

    /// The next delivery of a consumer whose callback is running, unless that has set another.
    pub(crate) fn next_delivery(&mut self, id: PromiseId) -> Option<Box<Delivery>> {
        if id.client != self.client {
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
        let Some((inbox, all)) = self.inbox(number) else {
            return false;
        };
        let some = !inbox.is_empty();
        inbox.clear(all);
        some
    }

    /// What nobody has read of a consumer that is cancelled; of these tags, whose queues are no more, it stays.
    pub(crate) fn take_unread(&mut self, number: PromiseNumber, gone: &[ShortStr]) -> Vec<Origin> {
        let inbox = self.inbox(number);
        inbox.map_or_else(Vec::new, |(inbox, all)| inbox.take_unread(gone, all))
    }

    fn enqueue(&mut self, number: PromiseNumber) {
        if let Some(entry) = self.entries.get_mut(&number)
            && !entry.queued
        {
            entry.queued = true;
            self.ready.push_back(number);
        }
    }

    /// Bounds what nobody reads. Counting only at twice the limit makes it cheap.
    fn keep_unread(&mut self, number: PromiseNumber, bytes: usize) {
        // Most are read in their order: what has been read need not be counted.
        while let Some((read, bytes)) = self.unread.front()
            && !self.entries.contains_key(read)
        {
            self.unread_bytes -= bytes;
            self.unread.pop_front();
        }
        self.unread.push_back((number, bytes));
        self.unread_bytes += bytes;
        if self.unread.len() <= 2 * UNREAD_MAX && self.unread_bytes <= 2 * UNREAD_BYTES {
            return;
        }
        let entries = &mut self.entries;
        let idle = |entry: &Entry| entry.is_over() && entry.callback.is_none();
        self.unread
            .retain(|(number, _)| entries.get(number).is_some_and(idle));
        self.unread_bytes = self.unread.iter().map(|(_, bytes)| bytes).sum();
        while self.unread.len() > UNREAD_MAX
            || self.unread_bytes > UNREAD_BYTES && self.unread.len() > 1
        {
            if let Some((number, bytes)) = self.unread.pop_front() {
                entries.remove(&number);
                self.unread_bytes -= bytes;
            }
        }
    }

    pub(crate) fn look(&self, number: PromiseNumber) -> Look {
        match self.entries.get(&number) {
            Some(entry) if entry.is_ready() => Look::Ready,
            Some(_) => Look::Waiting,
            None if self.publishing.contains(number.0) => Look::Waiting,
            None if self.succeeded.contains(number.0) => Look::Ready,
            None => Look::Unknown,
        }
    }

    /// Takes one result of a promise that is ready, and its callback if it has one.
    ///
    /// A callback for every delivery is to be handed back to [`restore`](Self::restore) after it ran.
    pub(crate) fn take(
        &mut self,
        number: PromiseNumber,
    ) -> Option<(Result<Item>, Option<Callback>)> {
        let Some(entry) = self.entries.get_mut(&number) else {
            return self
                .succeeded
                .remove(number.0)
                .then(|| (Ok(Item::Outcome(Outcome::Published)), None));
        };
        let item = match &mut entry.state {
            State::Waiting => return None,
            State::Done(_) => None,
            State::Consumer { inbox, end } => match inbox.pop(&mut self.backlog) {
                Some(delivery) => {
                    self.taken += 1;
                    Some(Ok(Item::Delivery(delivery)))
                }
                None => Some(Err(end.clone()?)),
            },
        };
        let gone = item.as_ref().is_none_or(|item| item.is_err());
        if !gone {
            let callback = entry.callback.take();
            return item.map(|item| (item, callback));
        }
        let entry = self.entries.remove(&number)?;
        let item = match entry.state {
            State::Done(result) => result.map(Item::Outcome),
            State::Waiting | State::Consumer { .. } => item?,
        };
        Some((item, entry.callback))
    }

    /// Puts a consumer's callback back, unless the callback itself has set another.
    pub(crate) fn restore(&mut self, id: PromiseId, callback: Callback) {
        let number = id.number;
        if id.client == self.client
            && let Some(entry) = self.entries.get_mut(&number)
            && entry.callback.is_none()
        {
            entry.callback = Some(callback);
            if entry.is_ready() {
                self.enqueue(number);
            }
        }
    }

    pub(crate) fn attach(&mut self, id: PromiseId, callback: Callback) {
        if id.client == self.client {
            // What has a callback has an entry.
            if self.publishing.remove(id.number.0) {
                self.insert(id.number, State::Waiting);
            } else if self.succeeded.remove(id.number.0) {
                self.insert(id.number, State::Done(Ok(Outcome::Published)));
            }
        }
        match self.entries.get_mut(&id.number) {
            Some(entry) if id.client == self.client => {
                entry.callback = Some(callback);
                if entry.is_ready() {
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
    pub(crate) fn next_callback(&mut self) -> Option<(PromiseId, Result<Item>, Callback)> {
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

    /// Why there is nothing to wait for.
    pub(crate) fn no_result(&self, id: PromiseId) -> Error {
        if id.client == self.client {
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

/// Promise numbers are their own hash: they are handed out one after the other, by nobody hostile.
#[derive(Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 << 8) | u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Spreads the bits to the top, where the table looks.
        self.0 = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::message::Returned;

    fn resolved(promises: &mut Promises) -> PromiseNumber {
        let id = promises.publish();
        promises.resolve(id.number, Ok(Outcome::Published));
        id.number
    }

    #[test]
    fn ignored_publishes_leave_one_range() {
        let mut promises = Promises::new(1, usize::MAX);
        for _ in 0..1_000_000 {
            resolved(&mut promises);
        }
        assert_eq!(promises.succeeded.len(), 1);
        assert!(promises.entries.is_empty() && promises.unread.is_empty());
        assert!(promises.take(PromiseNumber(500_000)).is_some());
        assert!(promises.take(PromiseNumber(500_000)).is_none());
        assert_eq!(promises.succeeded.len(), 2);
    }

    #[test]
    fn successes_between_failures_are_bounded_as_these_are() {
        let mut promises = Promises::new(1, usize::MAX);
        let all = 4 * UNREAD_MAX as u64;
        for _ in 0..all / 2 {
            resolved(&mut promises);
            let id = promises.publish();
            promises.resolve(id.number, Err(Error::Nacked));
        }
        assert_eq!(promises.succeeded.len(), UNREAD_MAX);
        assert_eq!(promises.look(PromiseNumber(1)), Look::Unknown);
        assert_eq!(promises.look(PromiseNumber(all - 1)), Look::Ready);
    }

    #[test]
    fn unread_results_are_bounded_and_the_newest_stay() {
        let mut promises = Promises::new(1, usize::MAX);
        let all = 5 * UNREAD_MAX as u64;
        for _ in 0..all {
            let id = promises.single();
            promises.resolve(id.number, Err(Error::Nacked));
        }
        assert!(promises.entries.len() <= 2 * UNREAD_MAX);
        assert_eq!(promises.look(PromiseNumber(all)), Look::Ready);
        assert_eq!(
            promises.look(PromiseNumber(all - UNREAD_MAX as u64)),
            Look::Ready
        );
        assert_eq!(promises.look(PromiseNumber(1)), Look::Unknown);
    }

    /// The return of a message of that many bytes.
    fn returned(bytes: usize) -> Error {
        Error::NoRoute(Box::new(Returned {
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
            exchange: "".into(),
            routing_key: "".into(),
            properties: Default::default(),
            body: vec![0; bytes].into(),
        }))
    }

    #[test]
    fn unread_results_are_bounded_by_their_bytes_too() {
        let mut promises = Promises::new(1, usize::MAX);
        let kept = |promises: &Promises| {
            let results = promises.entries.values().map(|entry| match &entry.state {
                State::Done(result) => shared_bytes(result),
                _ => 0,
            });
            results.sum::<usize>()
        };
        for number in 0..1000 {
            let id = promises.publish();
            let error = returned(1 << 20);
            let error = match number % 2 {
                0 => Error::OutcomeUnknown(Box::new(error)),
                _ => error,
            };
            promises.resolve(id.number, Err(error));
            assert!(kept(&promises) <= 2 * UNREAD_BYTES + (2 << 20));
        }
        assert!(kept(&promises) >= UNREAD_BYTES / 2);
        assert_eq!(promises.look(PromiseNumber(1000)), Look::Ready);
        assert_eq!(promises.look(PromiseNumber(1)), Look::Unknown);
        // What was read meanwhile does not count, and the newest stays, however large.
        let mut promises = Promises::new(1, usize::MAX);
        let first = promises.publish();
        promises.resolve(first.number, Err(returned(1 << 20)));
        for _ in 0..100 {
            let id = promises.single();
            promises.resolve(id.number, Err(returned(1 << 20)));
            assert!(promises.take(id.number).is_some());
        }
        assert_eq!(promises.look(first.number), Look::Ready);
        let large = promises.publish();
        promises.resolve(large.number, Err(returned(3 * UNREAD_BYTES)));
        assert_eq!(promises.look(large.number), Look::Ready);
        assert_eq!(promises.look(first.number), Look::Unknown);
    }

    #[test]
    fn a_callback_of_another_clients_promise_gets_nothing_of_its_namesake() {
        let mut promises = Promises::new(1, usize::MAX);
        let own = promises.consumer(0, false);
        promises.deliver(own.number, Box::new(Delivery::blank()));
        let foreign = PromiseId { client: 2, ..own };
        assert!(promises.next_delivery(foreign).is_none());
        promises.restore(foreign, Callback::Each(Box::new(|_, _| {})));
        assert_eq!(promises.runnable(), 0);
        assert!(promises.next_delivery(own).is_some());
    }
}
