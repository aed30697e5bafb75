//! Waiting and looping: the only places where callbacks run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Client;
use crate::client::closures::Callback;
use crate::client::handle::{Handle, Job};
use crate::client::promise::PromiseValue;
use crate::net::group::Group;
use crate::promises::Readiness;
use crate::types::error::{Error, Result};
use crate::types::ids::{Promise, PromiseId};
use crate::types::results::Item;

/// How long callbacks may run, and how many, before a loop looks at the socket: a system call for each message would cost
/// more than all else.
const PATIENCE: Duration = Duration::from_micros(100);
const BATCH: usize = 1024;

/// How many deliveries a consumer's callback may get before others have their turn, and the clock is looked at.
const BURST: usize = 32;

impl Client {
    /// Waits for a promise's result, and takes it; for a consumer, the next delivery, or the end.
    ///
    /// When it returns, everything that you asked for before is with the operating system, be the result here already or
    /// not: what you acknowledged or published gets out, even if your program then works for an hour, or dies. (Not while
    /// the broker takes nothing: see [`Client::blocked`].) Each wait sends the heartbeats that are due. Callbacks of
    /// other promises do not run.
    ///
    /// If the promise has a callback, that runs with the result, and `wait` returns a copy of it. A delivery cannot be
    /// given twice: then `wait` returns [`Error::HandledByCallback`].
    ///
    /// Results that nobody waits for are kept, but only the last 65,536, and only so many as bring 32 MiB of messages (those
    /// that came back, say). Successful publishes count as one for as long as nothing else comes between them. To wait for
    /// one that was dropped is [`Error::UnknownPromise`].
    /// Deliveries that nobody reads are kept up to a [mark](crate::ClientOptions::unread_high_water_mark).
    ///
    /// # Errors
    /// Those of the request. [`Error::UnknownPromise`] if the result was given out before, [`Error::ForeignPromise`] for
    /// a promise of another client, [`Error::UnreadDeliveries`] if the result might be behind more deliveries than the
    /// client keeps, [`Error::Poll`] if the system's poll fails. After the last two, the promise can still be waited
    /// for.
    pub fn wait<T: PromiseValue>(&mut self, promise: Promise<T>) -> Result<T> {
        match self.wait_until(promise.id(), None)? {
            Some(item) => T::from_item(item, self),
            None => Err(Error::bug("a wait without a limit has run out of time")),
        }
    }

    /// [`wait`](Self::wait), but not for longer than `timeout`: then it returns `None`.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout<T: PromiseValue>(
        &mut self,
        promise: Promise<T>,
        timeout: Duration,
    ) -> Result<Option<T>> {
        // A time beyond the clock's reach is no limit.
        let until = self.driver.now().checked_add(timeout);
        self.wait_until(promise.id(), until)?
            .map(|item| T::from_item(item, self))
            .transpose()
    }

    /// Waits for the first of several promises to have a result, and returns that promise with its result.
    ///
    /// Where several are ready, it is the first in the list's order. Promises whose result was given out before are
    /// passed over while there is another, so a loop over the same list gets each result once:
    ///
    /// ```no_run
    /// # fn f(client: &mut puka::Client, promises: Vec<puka::Promise<()>>) -> puka::Result<()> {
    /// for _ in &promises {
    ///     let (promise, result) = client.wait_any(&promises)?;
    ///     println!("{promise}: {result:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// For promises of different types see [`wait_ready`](Self::wait_ready).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an empty list, [`Error::UnknownPromise`] if none of them has a result to wait for,
    /// [`Error::ForeignPromise`] if one is another client's, [`Error::UnreadDeliveries`], [`Error::Poll`]. What the
    /// promise itself came to is in the pair.
    pub fn wait_any<T: PromiseValue>(
        &mut self,
        promises: &[Promise<T>],
    ) -> Result<(Promise<T>, Result<T>)> {
        let ids: Vec<PromiseId> = promises.iter().map(|promise| promise.id()).collect();
        let first = self.wait_ready(&ids)?;
        let result = self
            .finish_wait(first)
            .and_then(|item| T::from_item(item, self));
        Ok((Promise::new(first), result))
    }

    /// Waits for the first of several promises, of whatever types, to have a result; the result stays to be waited for.
    ///
    /// ```no_run
    /// # fn f(client: &mut puka::Client, timer: puka::Promise<puka::Delivery>) -> puka::Result<()> {
    /// let declared = client.queue_declare("test");
    /// let published = client.basic_publish("", "test", "Hello world!");
    /// let first = client.wait_ready(&[declared.id(), published.id()])?;
    /// if first == declared.id() {
    ///     let queue = client.wait(declared)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`wait_any`](Self::wait_any); [`Error::UnreadDeliveries`].
    pub fn wait_ready(&mut self, promises: &[PromiseId]) -> Result<PromiseId> {
        if promises.is_empty() {
            return Err(Error::InvalidArgument(
                "there is no promise to wait for in an empty list".into(),
            ));
        }
        self.driver.attend(self.first_ready(promises)?.is_some());
        loop {
            self.run_events();
            if let Some(id) = self.first_ready(promises)? {
                if self.driver.hand_over(None)? {
                    return Ok(id);
                }
            } else {
                self.driver.check_unread()?;
                self.driver.turn(None)?;
            }
        }
    }

    /// The first of them that is ready. Those that have been given out are passed over, unless all have.
    fn first_ready(&self, promises: &[PromiseId]) -> Result<Option<PromiseId>> {
        let mut spent = None;
        let mut is_waiting = false;
        for &id in promises {
            match self.check(id) {
                Ok(Readiness::Ready) => return Ok(Some(id)),
                Ok(_) => is_waiting = true,
                Err(error @ Error::ForeignPromise(_)) => return Err(error),
                Err(error) => spent = spent.or(Some(error)),
            }
        }
        match spent {
            Some(error) if !is_waiting => Err(error),
            _ => Ok(None),
        }
    }

    /// Waits for each of the promises, in order; their results come in the same order.
    ///
    /// # Errors
    /// The first error ends it; the rest can still be waited for.
    pub fn wait_for_all<T: PromiseValue>(&mut self, promises: &[Promise<T>]) -> Result<Vec<T>> {
        promises.iter().map(|&promise| self.wait(promise)).collect()
    }

    fn check(&self, id: PromiseId) -> Result<Readiness> {
        let promises = &self.driver.promises;
        match promises.readiness(id.number) {
            readiness if promises.owns(id) && readiness != Readiness::Unknown => Ok(readiness),
            _ => Err(promises.no_result(id)),
        }
    }

    fn wait_until(&mut self, id: PromiseId, until: Option<Instant>) -> Result<Option<Item>> {
        let is_ready = self.check(id)? == Readiness::Ready;
        self.driver.attend(is_ready);
        let mut turned = false;
        loop {
            self.run_events();
            let is_up = turned && until.is_some_and(|until| self.driver.now() >= until);
            if self.check(id)? == Readiness::Ready {
                if is_up || self.driver.hand_over(until)? {
                    return self.finish_wait(id).map(Some);
                }
            } else if is_up {
                return Ok(None);
            } else {
                self.driver.check_unread()?;
                self.driver.turn(until)?;
            }
            // At least one turn: a limit of zero still looks at the socket.
            turned = true;
        }
    }

    /// Takes the result of a promise that is ready; its callback runs, if it has one.
    fn finish_wait(&mut self, id: PromiseId) -> Result<Item> {
        let promises = &mut self.driver.promises;
        let Some((item, callback)) = promises.take(id.number) else {
            return Err(promises.no_result(id));
        };
        promises.tidy();
        let Some(callback) = callback else {
            return item;
        };
        let copy = match &item {
            Ok(item) => item.copy().ok_or(Error::HandledByCallback),
            Err(error) => Err(error.clone()),
        };
        self.run(id, callback, item);
        copy
    }

    fn run(&mut self, id: PromiseId, callback: Callback<Self>, item: Result<Item>) {
        self.run_many(id, callback, item, 1);
    }

    /// Runs a callback with an item, and a consumer's with what else has come for it, up to `limit` times, or until
    /// somebody wants the loop to end. How often it ran.
    fn run_many(
        &mut self,
        id: PromiseId,
        callback: Callback<Self>,
        item: Result<Item>,
        limit: usize,
    ) -> usize {
        // Only a delivery is not the last thing that its promise gives.
        let is_last = !matches!(item, Ok(Item::Delivery(_)));
        if is_last {
            self.driver.promises.begin_last(id);
        }
        let mut callback = match callback {
            Callback::Once(callback) => {
                let ran = self.inside(|client| callback(client, item));
                if is_last {
                    self.driver.promises.end_last();
                }
                ran.unwrap_or_else(|panic| resume_unwind(panic));
                return 1;
            }
            Callback::Each(callback) => callback,
        };
        // Whatever the callback does, its consumer does not lose it: what a panic leaves is a client in its right mind.
        let ran = self.inside(|client| {
            callback(client, item);
            let mut count = 1;
            while count < limit
                && !client.is_broken
                && let Some(delivery) = client.driver.promises.next_delivery(id)
            {
                callback(client, Ok(Item::Delivery(delivery)));
                count += 1;
            }
            count
        });
        let promises = &mut self.driver.promises;
        if is_last {
            promises.end_last();
        }
        promises.restore(id, Callback::Each(callback));
        ran.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs something of the program's; a panic in it is for the caller to pass on.
    fn inside<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> std::thread::Result<T> {
        catch_unwind(AssertUnwindSafe(|| run(self)))
    }

    pub(crate) fn attach(&mut self, id: PromiseId, callback: Callback<Self>) {
        self.driver.promises.attach(id, callback);
    }

    /// Callbacks until there are no more, or it is time to look at the socket: what the first ones have acknowledged
    /// should not wait for the last.
    fn run_batch(&mut self) {
        let until = self.driver.now() + PATIENCE;
        let (mut count, mut check) = (0, 1);
        while !self.is_broken {
            self.run_events();
            self.run_jobs(Some(until));
            for _ in 0..self.driver.promises.runnable() {
                if self.is_broken {
                    return;
                }
                let Some((id, item, callback)) = self.driver.promises.next_callback() else {
                    break;
                };
                count += self.run_many(id, callback, item, check - count);
                // Whether they are slow is seen at the first ones, and ever less often where they are not.
                if count >= check {
                    if count >= BATCH || self.driver.now() >= until {
                        return;
                    }
                    check = count + count.min(BURST);
                }
            }
            if !self.has_work() || self.driver.now() >= until {
                return;
            }
        }
    }

    /// Sets the callback for every result of a promise, in place of any other: puka's name for
    /// [`then`](Promise::then) and [`for_each`](Promise::for_each).
    ///
    /// A callback may set another, or itself, for its own promise: that gets what comes next. One that is set while the last
    /// result is told gets nothing.
    pub fn set_callback<T: PromiseValue>(
        &mut self,
        promise: Promise<T>,
        mut callback: impl FnMut(&mut Self, Promise<T>, Result<T>) + Send + 'static,
    ) {
        let run = move |client: &mut Self, item: Result<Item>| {
            let result = item.and_then(|item| T::from_item(item, client));
            callback(client, promise, result);
        };
        self.attach(promise.id(), Callback::Each(Box::new(run)));
    }

    /// Waits for that long, and keeps the connection alive meanwhile: heartbeats go out and are seen, what is to be
    /// written is written. No promise's callback runs. Deliveries collect up to a
    /// [mark](crate::ClientOptions::unread_high_water_mark); what is beyond stays with the broker.
    ///
    /// A program that computes for long and has [`heartbeat`](crate::ClientOptions::heartbeat)s can call this now and
    /// then, with no time at all.
    ///
    /// # Errors
    /// The connection's end, if that comes first. [`Error::NotConnected`], [`Error::Poll`].
    pub fn sleep(&mut self, duration: Duration) -> Result<()> {
        let until = self.driver.now().checked_add(duration);
        loop {
            self.run_events();
            if !self.driver.is_active() {
                let error = self.driver.last_error.clone();
                return Err(error.unwrap_or(Error::NotConnected));
            }
            self.driver.turn(until)?;
            if until.is_some_and(|until| self.driver.now() >= until) {
                return Ok(());
            }
        }
    }

    /// Waits until there is room for a publish of so many bytes, as far as waiting makes room.
    pub(crate) fn make_room(&mut self, size: usize) -> Result<()> {
        loop {
            self.run_events();
            if !self.driver.lacks_room() {
                return Ok(());
            }
            if self.driver.is_full() {
                return self.driver.go_past_the_marks(size);
            }
            // A poll that fails will fail again where somebody can be told.
            if self.driver.turn(None).is_err() {
                return Ok(());
            }
        }
    }

    /// Tells the program what has become of the connection.
    fn run_events(&mut self) {
        // A callback that waits gets the next one when it has returned.
        while let Some(mut callback) = self.on_event.take() {
            let Some(event) = self.driver.notices.pop_front() else {
                self.on_event = Some(callback);
                return;
            };
            let ran = self.inside(|client| (callback.0)(client, event));
            // Unless the callback itself has set another.
            self.on_event.get_or_insert(callback);
            if let Err(panic) = ran {
                resume_unwind(panic);
            }
        }
    }

    /// Runs what other threads have asked for, until that time, or the end of the loop; what they ask for meanwhile is for
    /// the next time.
    fn run_jobs(&mut self, until: Option<Instant>) {
        let count = self.handle.as_ref().map_or(0, Handle::count);
        for _ in 0..count {
            if self.loops > 0 && self.is_broken {
                return;
            }
            match self.handle.as_ref().and_then(Handle::next) {
                Some(Job::Run(job)) => job(self),
                Some(Job::Break) if self.loops > 0 => self.is_broken = true,
                Some(Job::Break) => self.is_next_broken = true,
                None => return,
            }
            if until.is_some_and(|until| self.driver.now() >= until) {
                return;
            }
        }
    }

    /// Runs what other threads asked for before they asked for the end of a loop.
    fn finish_jobs(&mut self) {
        let count = self.handle.as_ref().map_or(0, Handle::count);
        for _ in 0..count {
            let Some(Job::Run(job)) = self.handle.as_ref().and_then(Handle::next_to_run) else {
                return;
            };
            job(self);
        }
    }

    /// Whether there is something for [`run_any_callbacks`](Self::run_any_callbacks) to do. What only a callback could do
    /// that is running is nothing to do now.
    pub(crate) fn has_work(&self) -> bool {
        self.driver.promises.runnable() > 0
            || self.on_event.is_some() && !self.driver.notices.is_empty()
            || self.handle.as_ref().is_some_and(Handle::has_jobs)
    }

    /// Whether a loop should read: not while its callbacks have more to do than they can in one go.
    fn wants_more(&self) -> bool {
        !self.has_work() || self.driver.promises.backlog().count < BATCH
    }

    /// Runs what other threads have asked for so far, and the callbacks of everything that is ready, until nothing is; it
    /// neither reads nor writes. A callback that makes something else ready each time it runs keeps this going.
    ///
    /// Consumers take turns. Results without a callback stay to be waited for.
    pub fn run_any_callbacks(&mut self) {
        self.run_jobs(None);
        loop {
            self.run_events();
            let runnable = self.driver.promises.runnable();
            if runnable == 0 {
                return;
            }
            for _ in 0..runnable {
                let Some((id, item, callback)) = self.driver.promises.next_callback() else {
                    break;
                };
                self.run_many(id, callback, item, BURST);
            }
        }
    }

    /// Runs callbacks, and waits for more, until a callback calls [`loop_break`](Self::loop_break) or the client is
    /// closed. (puka's `loop`, which is a word of Rust's.)
    ///
    /// # Errors
    /// The connection's end, once all callbacks have been told of it and none has connected anew:
    /// [`Error::ConnectionBroken`], the broker's word, or [`Error::NotConnected`] if there never was one.
    /// [`Error::UnreadDeliveries`] of consumers without a callback, [`Error::Poll`].
    pub fn loop_forever(&mut self) -> Result<()> {
        loop_until(&mut [self], None)
    }

    /// [`loop_forever`](Self::loop_forever), but not for longer than `timeout`.
    ///
    /// # Errors
    /// Those of [`loop_forever`](Self::loop_forever).
    pub fn loop_timeout(&mut self, timeout: Duration) -> Result<()> {
        let until = self.driver.now().checked_add(timeout);
        loop_until(&mut [self], until)
    }

    /// Ends the innermost loop that runs, as soon as the callback that calls this returns. What is ready stays for the
    /// next loop or wait. Where no loop runs it does nothing, as in puka.
    pub fn loop_break(&mut self) {
        self.is_broken = true;
    }

    /// Why a loop would wait in vain; `None` if it would not.
    fn idle(&self) -> Option<Result<()>> {
        if self.driver.is_active() || self.has_work() {
            return None;
        }
        Some(match &self.driver.last_error {
            None => Err(Error::NotConnected),
            Some(Error::Closed) => Ok(()),
            Some(error) => Err(error.clone()),
        })
    }
}

/// [`Client::loop_forever`] over several clients at once: until one of them calls [`Client::loop_break`], or none has
/// anything left to wait for. (puka's `puka.loop([c1, c2])`.)
///
/// # Errors
/// The end of a client's connection, once its callbacks have been told of it and none has connected anew; the other
/// clients can go on in a further call. [`Error::Poll`].
pub fn loop_forever(clients: &mut [&mut Client]) -> Result<()> {
    loop_until(clients, None)
}

/// [`loop_forever`], but not for longer than `timeout`.
///
/// # Errors
/// Those of [`loop_forever`].
pub fn loop_timeout(clients: &mut [&mut Client], timeout: Duration) -> Result<()> {
    let now = clients.first().map(|client| client.driver.now());
    loop_until(clients, now.and_then(|now| now.checked_add(timeout)))
}

fn loop_until(clients: &mut [&mut Client], until: Option<Instant>) -> Result<()> {
    let mut outer = Vec::with_capacity(clients.len());
    for client in &mut *clients {
        // A break is of the loop around the callback that asks for it, whatever loop that callback runs itself.
        let is_outer_broken = std::mem::take(&mut client.is_broken) && client.loops > 0;
        outer.push(is_outer_broken);
        client.is_broken = client.loops == 0 && std::mem::take(&mut client.is_next_broken);
        client.loops += 1;
    }
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let result = run_loop(clients, until);
        for client in &mut *clients {
            // What other threads asked for before they asked for the end, and acknowledgements of the last callbacks,
            // must get out, too.
            client.finish_jobs();
            client.driver.flush();
        }
        result
    }));
    for (client, is_broken) in clients.iter_mut().zip(outer) {
        client.is_broken = is_broken;
        // A callback may have put another client in the place of this one.
        client.loops = client.loops.saturating_sub(1);
    }
    ran.unwrap_or_else(|panic| resume_unwind(panic))
}

fn run_loop(clients: &mut [&mut Client], until: Option<Instant>) -> Result<()> {
    let mut group = match clients {
        [_] => None,
        _ => Some(
            Group::new(clients.iter_mut().map(|client| &mut client.driver.reactor))
                .map_err(poll_failed)?,
        ),
    };
    let mut turned = false;
    loop {
        for client in &mut *clients {
            client.run_batch();
            if client.is_broken {
                return Ok(());
            }
        }
        // At least one turn: a loop without time, or whose callbacks take all of it, still looks at sockets and timers.
        // One clock is theirs all.
        let now = || clients.first().map(|client| client.driver.now());
        if turned && until.is_some_and(|until| now().is_some_and(|now| now >= until)) {
            return Ok(());
        }
        turned = true;
        let mut idle = 0;
        for client in &*clients {
            match client.idle() {
                Some(Ok(())) => idle += 1,
                Some(error) => return error,
                None => {}
            }
        }
        if idle == clients.len() {
            return Ok(());
        }
        let has_work = clients.iter().any(|client| client.has_work());
        if !has_work {
            clients
                .iter()
                .try_for_each(|client| client.driver.check_unread())?;
        }
        let until = if has_work { now() } else { until };
        match (&mut group, &mut *clients) {
            (None, [client]) => client.driver.turn_and(client.wants_more(), until)?,
            (Some(group), clients) => turn_all(group, clients, until)?,
            (None, _) => return Ok(()),
        }
    }
}

/// One turn of every client; it sleeps until one of them has something to do.
fn turn_all(group: &mut Group, clients: &mut [&mut Client], until: Option<Instant>) -> Result<()> {
    let mut wake = until;
    for client in &mut *clients {
        client.driver.flush();
        wake = [wake, client.driver.wake_time()]
            .into_iter()
            .flatten()
            .min();
    }
    let reactors = clients.iter_mut().map(|client| &mut client.driver.reactor);
    group.poll(reactors, wake).map_err(poll_failed)?;
    for client in clients {
        let reads = client.wants_more();
        client.driver.after_poll(reads);
    }
    Ok(())
}

fn poll_failed(error: std::io::Error) -> Error {
    Error::Poll(Arc::new(error))
}
