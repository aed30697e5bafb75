//! What other threads have asked a client for, and how it hears of that. `C` is the client.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::poller::Waker;
use crate::types::error::{Error, Result};

/// What another thread has asked for.
pub(crate) enum Job<C> {
    Run(Box<dyn FnOnce(&mut C) + Send>),
    /// The end of the loop.
    Break,
}

pub(crate) struct Jobs<C> {
    waker: Waker,
    /// None: the client is gone.
    jobs: Mutex<Option<VecDeque<Job<C>>>>,
}

impl<C> fmt::Debug for Jobs<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

impl<C> Jobs<C> {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            waker,
            jobs: Mutex::new(Some(VecDeque::new())),
        }
    }

    pub(crate) fn push(&self, job: Job<C>) -> Result<()> {
        match &mut *self.lock() {
            Some(jobs) => jobs.push_back(job),
            None => return Err(Error::ClientGone),
        }
        self.waker
            .wake()
            .map_err(|error| Error::Poll(Arc::new(error)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Job<C>>>> {
        // Nothing that can panic runs under this lock.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().as_ref().map_or(0, VecDeque::len)
    }

    pub(crate) fn next(&self) -> Option<Job<C>> {
        self.lock().as_mut()?.pop_front()
    }

    /// The next one, unless that is the end of a loop.
    pub(crate) fn next_to_run(&self) -> Option<Job<C>> {
        let mut jobs = self.lock();
        let jobs = jobs.as_mut()?;
        match jobs.front()? {
            Job::Run(_) => jobs.pop_front(),
            Job::Break => None,
        }
    }

    /// The client is gone, and what was left is dropped.
    pub(crate) fn close(&self) {
        let jobs = self.lock().take();
        // Outside of the lock: what is dropped may have a handle of its own.
        drop(jobs);
    }
}
