//! A client from other threads: what they may ask for, and how the client hears of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Client;
use crate::net::poller::Waker;
use crate::types::error::{Error, Result};

/// What another thread has asked for.
pub(crate) enum Job {
    Run(Box<dyn FnOnce(&mut Client) + Send>),
    /// The end of the loop.
    Break,
}

/// A client, for other threads: it runs what they ask for inside its loop. See [`Client::handle`].
///
/// ```no_run
/// # fn f(mut client: puka::Client) -> puka::Result<()> {
/// let handle = client.handle()?;
/// std::thread::spawn(move || {
///     let report = "computed for a long time";
///     handle.run(move |client| {
///         client.basic_publish("", "reports", report);
///     })?;
///     handle.loop_break()
/// });
/// client.loop_forever()?;
/// client.close().wait(&mut client)?; // writes what the loop has not
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    waker: Waker,
    /// None: the client is gone.
    jobs: Mutex<Option<VecDeque<Job>>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            shared: Arc::new(Shared {
                waker,
                jobs: Mutex::new(Some(VecDeque::new())),
            }),
        }
    }

    /// Has the client run this inside its loop, and wakes the loop up. Calls of one thread run in their order, each
    /// once, or never: those that the client has not run when it is dropped are dropped with it, and nobody is told. To know
    /// that yours has run, let it say so: by a channel that it sends to, say, whose other end sees the drop.
    ///
    /// They run where callbacks run: in [`Client::loop_forever`] and its kin, and in
    /// [`Client::run_any_callbacks`]. What is asked for while the client is elsewhere waits for the next of those. A
    /// program with an event loop of its own has to wake that up itself.
    ///
    /// # Errors
    /// [`Error::ClientGone`] if the client has been dropped, [`Error::Poll`] if it could not be woken up; it will run
    /// this when something else does.
    pub fn run(&self, job: impl FnOnce(&mut Client) + Send + 'static) -> Result<()> {
        self.ask(Job::Run(Box::new(job)))
    }

    fn ask(&self, job: Job) -> Result<()> {
        match &mut *self.jobs() {
            Some(jobs) => jobs.push_back(job),
            None => return Err(Error::ClientGone),
        }
        self.shared
            .waker
            .wake()
            .map_err(|error| Error::Poll(Arc::new(error)))
    }

    /// [`Client::loop_break`] from another thread. Where no loop runs, the next one ends at once.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn loop_break(&self) -> Result<()> {
        self.ask(Job::Break)
    }

    fn jobs(&self) -> MutexGuard<'_, Option<VecDeque<Job>>> {
        // Nothing that can panic runs under this lock.
        self.shared
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_jobs(&self) -> bool {
        self.jobs().as_ref().is_some_and(|jobs| !jobs.is_empty())
    }

    pub(crate) fn count(&self) -> usize {
        self.jobs().as_ref().map_or(0, VecDeque::len)
    }

    pub(crate) fn next(&self) -> Option<Job> {
        self.jobs().as_mut()?.pop_front()
    }

    /// The next one, unless that is the end of a loop.
    pub(crate) fn next_to_run(&self) -> Option<Job> {
        let mut jobs = self.jobs();
        let jobs = jobs.as_mut()?;
        match jobs.front()? {
            Job::Run(_) => jobs.pop_front(),
            Job::Break => None,
        }
    }

    /// The client is gone, and what was left is dropped.
    pub(crate) fn close(&self) {
        let jobs = self.jobs().take();
        // Outside of the lock: what is dropped may have a handle of its own.
        drop(jobs);
    }
}
