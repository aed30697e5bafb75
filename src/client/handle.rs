//! A client from other threads: what they may ask for.

use std::fmt;
use std::sync::Arc;

use crate::Client;
use crate::client::jobs::{Job, Jobs};
use crate::types::error::{Error, Result};

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
    jobs: Arc<Jobs<Client>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
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
        self.jobs.push(Job::Run(Box::new(job)))
    }

    /// [`Client::loop_break`] from another thread. Where no loop runs, the next one ends at once.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn loop_break(&self) -> Result<()> {
        self.jobs.push(Job::Break)
    }
}

impl Client {
    /// A handle with which other threads can ask this client for something, and end its loop.
    ///
    /// # Errors
    /// [`Error::Poll`] if the system has no more of what it takes to wake a thread.
    pub fn handle(&mut self) -> Result<Handle> {
        if let Some(jobs) = &self.jobs {
            return Ok(Handle { jobs: jobs.clone() });
        }
        let waker = self.driver.reactor.waker();
        let waker = waker.map_err(|error| Error::Poll(Arc::new(error)))?;
        let jobs = self.jobs.insert(Arc::new(Jobs::new(waker))).clone();
        Ok(Handle { jobs })
    }
}
