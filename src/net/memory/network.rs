//! The network: what it does to its connections, on demand, and how its time goes by.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::{Direction, Link};
use super::names::{Addresses, Answer, Name};
use super::peer::Peer;
use super::settings::Settings;
use super::state::{Beat, Due, State};
use crate::net::clock::{Clock, Virtual, after};

/// A network in memory, with its time: shared by all its clients, and by whoever plays the peers.
///
/// It is for one thread. The clock moves only when somebody sleeps, or [`advance`](Self::advance)s it: then it jumps to
/// whatever happens next.
#[derive(Clone)]
pub(crate) struct Network {
    time: Arc<Virtual>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("elapsed", &self.time.elapsed())
            .finish_non_exhaustive()
    }
}

impl Network {
    /// The same seed is the same network.
    pub(crate) fn new(seed: u64, settings: Settings, peer: Box<dyn Peer>) -> Self {
        let time = Arc::new(Virtual::new());
        let state = State::new(seed, settings, peer, time.now());
        Self {
            time,
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is this very network.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock::Memory(self.time.clone())
    }

    pub(crate) fn now(&self) -> Instant {
        self.time.now()
    }

    /// The time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.time.elapsed()
    }

    /// A number of chance.
    pub(crate) fn chance(&self) -> u64 {
        self.lock().chance.next()
    }

    /// Lets time pass: the network and the peers go on, clients do nothing.
    pub(crate) fn advance(&self, time: Duration) {
        let until = after(self.now(), time);
        self.settle();
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.time.set(next);
            self.settle();
        }
        self.time.set(until);
        self.settle();
    }

    /// Runs this after so long, while a client sleeps or time [passes](Self::advance). It must not use a client.
    pub(crate) fn schedule(&self, time: Duration, hook: impl FnOnce() + Send + 'static) {
        let at = after(self.now(), time);
        self.lock().schedule(at, Box::new(hook));
    }

    /// Calls this from now on, each time after the pause that it asks for.
    pub(crate) fn keep(&self, beat: Beat) {
        let now = self.now();
        self.lock().keep(now, beat);
    }

    /// All that happens now, until nothing does.
    pub(super) fn settle(&self) {
        loop {
            let now = self.now();
            let due = {
                let mut state = self.lock();
                state.pump(now);
                state.take_due(now)
            };
            match due {
                Some(Due::Hook(hook)) => hook(),
                Some(Due::Beat(mut beat)) => {
                    if let Some(pause) = beat() {
                        let at = after(now, pause.max(Duration::from_nanos(1)));
                        self.lock().keep(at, beat);
                    }
                }
                None => return,
            }
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.lock().next(self.now())
    }

    pub(super) fn jump(&self, to: Instant) {
        self.time.set(to);
    }

    /// Begins to look up a name; the number of the look-up.
    pub(super) fn look_up(&self, name: &str, port: u16, wakes: Option<u64>) -> u64 {
        let now = self.now();
        self.lock().names.ask(now, name, port, wakes)
    }

    pub(super) fn take_addresses(&self, number: u64) -> Option<Addresses> {
        let now = self.now();
        self.lock().names.take(now, number)
    }

    /// What comes of looking this name up, from now on.
    pub(crate) fn set_name(&self, name: &str, is: Name) {
        self.lock().names.set_name(name, is);
    }

    /// What comes of connecting to this address, from now on.
    pub(crate) fn set_answer(&self, address: IpAddr, answer: Answer) {
        self.lock().names.set_answer(address, answer);
    }

    /// Whether nobody accepts connections, from now on.
    pub(crate) fn refuse_connections(&self, refuses: bool) {
        self.lock().names.refuses_all = refuses;
    }

    /// The connections that are there, in the order in which they were begun, with the peer's number of each.
    pub(crate) fn links(&self) -> Vec<(u64, Option<u64>)> {
        let state = self.lock();
        let open = state.links.iter().filter(|(_, link)| !link.is_closed);
        open.map(|(number, link)| (*number, link.peer)).collect()
    }

    /// Of those, the ones that were made to this address.
    pub(crate) fn links_to(&self, address: IpAddr) -> Vec<u64> {
        let state = self.lock();
        let open = state.links.iter().filter(|(_, link)| !link.is_closed);
        let there = open.filter(|(_, link)| link.address.ip() == address);
        there.map(|(number, _)| *number).collect()
    }

    fn with(&self, link: u64, change: impl FnOnce(&mut Link, Instant)) {
        let now = self.now();
        if let Some(link) = self.lock().links.get_mut(&link) {
            change(link, now);
        }
    }

    /// The connection is reset, at both ends.
    pub(crate) fn cut(&self, link: u64) {
        let now = self.now();
        self.lock().cut(now, link);
    }

    /// The connection is reset at the client's end; the peer sees that when so long has passed.
    pub(crate) fn cut_unnoticed(&self, link: u64, time: Duration) {
        self.with(link, |link, now| {
            link.lingers_until = Some(after(now, time));
            link.fail(io::ErrorKind::ConnectionReset);
        });
    }

    /// So many bytes more pass, and then it is cut.
    pub(crate) fn cut_after(&self, link: u64, direction: Direction, bytes: usize) {
        self.with(link, |link, _| link.passes = Some((direction, bytes)));
    }

    /// The peer's host is gone without a word.
    pub(crate) fn silence(&self, link: u64) {
        self.with(link, Link::silence);
    }

    /// What the peer sends is lost from now on; it hears the client.
    pub(crate) fn deafen(&self, link: u64) {
        self.with(link, |link, _| link.is_deaf = true);
    }

    /// So many bytes a second pass in each direction; `None`: as many as come.
    pub(crate) fn slow(&self, link: u64, rate: Option<u64>) {
        self.with(link, |link, _| {
            link.to_peer.rate = rate;
            link.to_client.rate = rate;
        });
    }

    /// So long bytes are under way in each direction.
    pub(crate) fn delay(&self, link: u64, latency: Duration) {
        self.with(link, |link, _| {
            link.to_peer.latency = latency;
            link.to_client.latency = latency;
        });
    }

    /// Whether the client's system takes no bytes for it.
    #[cfg(test)]
    pub(crate) fn refuse_writes(&self, link: u64, refuses: bool) {
        self.with(link, |link, _| link.refuses_writes = refuses);
    }

    /// What clients have done that none should, since this was asked last: slept while something could go on, mostly.
    pub(crate) fn take_faults(&self) -> Vec<String> {
        self.lock().take_faults()
    }
}
