//! Setting callbacks, and running them: here alone does the program's own code run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::Client;
use crate::client::closures::Callback;
use crate::client::jobs::Job;
use crate::client::promise::PromiseValue;
use crate::types::error::Result;
use crate::types::ids::{Promise, PromiseId};
use crate::types::results::Item;

/// How long callbacks may run, and how many, before a loop looks at the socket: a system call for each message would cost
/// more than all else.
const PATIENCE: Duration = Duration::from_micros(100);
const BATCH: usize = 1024;

/// How many deliveries a consumer's callback may get before others have their turn, and the clock is looked at.
const BURST: usize = 32;

impl Client {
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

    /// Callbacks until there are no more, or it is time to look at the socket: what the first ones have acknowledged
    /// should not wait for the last.
    pub(super) fn run_batch(&mut self) {
        if self.has_work() {
            self.driver.flush_unsent();
        }
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

    /// Whether there is something for [`run_any_callbacks`](Self::run_any_callbacks) to do. What only a callback could do
    /// that is running is nothing to do now.
    pub(super) fn has_work(&self) -> bool {
        self.driver.promises.runnable() > 0
            || self.on_event.is_some() && !self.driver.notices.is_empty()
            || self.jobs.as_ref().is_some_and(|jobs| jobs.count() > 0)
    }

    /// Whether a loop should read: not while its callbacks have more to do than they can in one go.
    pub(super) fn wants_more(&self) -> bool {
        !self.has_work() || self.driver.promises.backlog().count < BATCH
    }

    pub(super) fn attach(&mut self, id: PromiseId, callback: Callback<Self>) {
        self.driver.promises.attach(id, callback);
    }

    /// Runs a callback with an item, and a consumer's with what else has come for it, up to `limit` times, or until
    /// somebody wants the loop to end. How often it ran.
    pub(super) fn run_many(
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

    /// [`run_events`](Self::run_events), where the program waits: then what is to be written goes first.
    pub(super) fn write_and_run_events(&mut self) {
        if self.on_event.is_some() && !self.driver.notices.is_empty() {
            self.driver.flush_unsent();
        }
        self.run_events();
    }

    /// Tells the program what has become of the connection.
    pub(super) fn run_events(&mut self) {
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
        let count = self.jobs.as_ref().map_or(0, |jobs| jobs.count());
        for _ in 0..count {
            // Who is not in a loop runs all: what is left would be work that nobody does.
            if until.is_some() && self.is_broken {
                return;
            }
            match self.jobs.as_ref().and_then(|jobs| jobs.next()) {
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
    pub(super) fn finish_jobs(&mut self) {
        let count = self.jobs.as_ref().map_or(0, |jobs| jobs.count());
        for _ in 0..count {
            let Some(Job::Run(job)) = self.jobs.as_ref().and_then(|jobs| jobs.next_to_run()) else {
                return;
            };
            job(self);
        }
    }

    /// Runs something of the program's; a panic in it is for the caller to pass on.
    fn inside<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> Result<T, Box<dyn Any + Send>> {
        catch_unwind(AssertUnwindSafe(|| run(self)))
    }
}
