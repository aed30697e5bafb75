//! The keeper: a thread that writes heartbeats while the client's own thread is away. It never reads, and never writes
//! anything else.
//!
//! It shares the write side with the client's thread, under a lock that nobody holds for longer than a non-blocking
//! write; and it writes only while the client has said that all it has written ends with a whole frame.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::lane::Lane;
use super::stream::Duplicate;
use crate::net::clock::Clock;
use crate::types::error::Disconnect;

/// A heartbeat more often than that serves nobody.
const EVERY_MIN: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    clock: Clock,
    pub(super) lane: Lane,
    /// Why the keeper gave up; the client hears it when it writes next.
    pub(super) failure: Option<Disconnect>,
    keeper: Option<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    /// The keeper's handle to the socket, which goes with the client's: the keeper has none of its own.
    socket: Duplicate,
    every: Duration,
    idle: bool,
    last_write: Instant,
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(State {
            clock,
            lane: Lane::default(),
            failure: None,
            keeper: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            // Nobody knows how much was written.
            state.failure.get_or_insert_with(|| {
                Disconnect::Io(Arc::new(io::Error::other(
                    "a thread panicked while it wrote",
                )))
            });
            state
        })
    }

    /// Starts the thread. It ends soon after [`close`](State::close).
    pub(super) fn keep(
        &self,
        socket: Duplicate,
        every: Duration,
        idle: bool,
    ) -> io::Result<JoinHandle<()>> {
        self.lock().start(socket, every.max(EVERY_MIN), idle);
        let shared = self.clone();
        let run = move || {
            loop {
                // Not in a `while let`, which would keep the lock while it sleeps.
                let pause = shared.lock().beat();
                let Some(pause) = pause else { return };
                thread::park_timeout(pause);
            }
        };
        let thread = thread::Builder::new().name("puka-keeper".into()).spawn(run);
        if thread.is_err() {
            self.lock().close();
        }
        thread
    }

    /// The same without a thread: what is to be called at once, and then after each pause that it asks for.
    #[cfg(feature = "testing")]
    pub(super) fn beats(
        &self,
        socket: Duplicate,
        every: Duration,
        idle: bool,
    ) -> Box<dyn FnMut() -> Option<Duration> + Send> {
        self.lock().start(socket, every.max(EVERY_MIN), idle);
        let shared = Arc::downgrade(&self.0);
        Box::new(move || Self(shared.upgrade()?).lock().beat())
    }

    #[cfg(test)]
    pub(super) fn downgrade(&self) -> std::sync::Weak<Mutex<State>> {
        Arc::downgrade(&self.0)
    }
}

impl State {
    pub(super) fn start(&mut self, socket: Duplicate, every: Duration, idle: bool) {
        self.keeper = Some(Keeper {
            socket,
            every,
            idle,
            last_write: self.clock.now(),
        });
    }

    /// Ends the keeper, and closes its handle to the socket.
    pub(super) fn close(&mut self) {
        self.keeper = None;
    }

    pub(super) fn set_idle(&mut self, idle: bool) {
        if let Some(keeper) = &mut self.keeper {
            keeper.idle = idle;
        }
    }

    /// The client has written.
    pub(super) fn wrote(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.idle = false;
            keeper.last_write = self.clock.now();
        }
    }

    /// Writes a heartbeat if it is time. When to come back; `None`: never.
    pub(super) fn beat(&mut self) -> Option<Duration> {
        let keeper = self.keeper.as_mut()?;
        if self.failure.is_some() {
            return None;
        }
        let quiet = self
            .clock
            .now()
            .saturating_duration_since(keeper.last_write);
        if quiet < keeper.every {
            return Some(keeper.every - quiet);
        }
        if keeper.idle {
            match self.lane.heartbeat(&mut keeper.socket) {
                Ok(true) => {
                    log::trace!("the keeper wrote a heartbeat");
                    keeper.last_write = self.clock.now();
                }
                // The socket is full, which the peer must see to first.
                Ok(false) => {}
                Err(error) => {
                    log::debug!("the keeper cannot write: {error}");
                    self.failure = Some(Disconnect::Io(Arc::new(error)));
                    return None;
                }
            }
        }
        Some(keeper.every)
    }
}
