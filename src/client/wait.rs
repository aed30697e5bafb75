//! Waiting for promises. The awaited promise's callback runs, and no other.

use std::time::{Duration, Instant};

use crate::Client;
use crate::client::promise::PromiseValue;
use crate::driver::waiting_for;
use crate::promises::Readiness;
use crate::types::error::{Error, Result};
use crate::types::ids::{Promise, PromiseId};
use crate::types::results::Item;

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
            self.write_and_run_events();
            if let Some(id) = self.first_ready(promises)? {
                if self.driver.hand_over(None)? {
                    return Ok(id);
                }
            } else {
                self.driver.check_unread()?;
                self.driver
                    .turn(None)
                    .map_err(waiting_for("waiting for one of several promises"))?;
            }
        }
    }

    /// Waits for each of the promises, in order; their results come in the same order.
    ///
    /// # Errors
    /// The first error ends it; the rest can still be waited for.
    pub fn wait_for_all<T: PromiseValue>(&mut self, promises: &[Promise<T>]) -> Result<Vec<T>> {
        promises.iter().map(|&promise| self.wait(promise)).collect()
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
            self.write_and_run_events();
            if !self.driver.is_active() {
                let error = self.driver.last_error.clone();
                return Err(error.unwrap_or(Error::NotConnected));
            }
            self.driver.turn(until)?;
            if until.is_some_and(|until| self.driver.now() >= until) {
                // A heartbeat that has just become due must not wait for the next call.
                self.driver.flush();
                return Ok(());
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
            self.write_and_run_events();
            let is_up = turned && until.is_some_and(|until| self.driver.now() >= until);
            if self.check(id)? == Readiness::Ready {
                if is_up || self.driver.hand_over(until)? {
                    return self.finish_wait(id).map(Some);
                }
            } else if is_up {
                return Ok(None);
            } else {
                self.driver.check_unread()?;
                let what = format_args!("waiting for promise {id}");
                self.driver.turn(until).map_err(waiting_for(what))?;
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
        self.run_many(id, callback, item, 1);
        copy
    }
}
