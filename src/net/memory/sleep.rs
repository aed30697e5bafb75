//! How clients sleep: until there is something to tell, while the clock jumps from one thing that happens to the next. It
//! looks whether each has reason to sleep.

use std::io;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::link::{ELSEWHERE, Link, OWN};
use super::network::Network;
use super::state::{Sleeper, State};
use crate::net::ready::{Belief, Told};

/// What a client that hears of nothing for so long, but heartbeats and attempts to connect, will never hear.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How many polls in a row may find nothing, and no time to sleep.
const POLLS: u32 = 100_000;

/// One client's poll.
#[derive(Debug)]
pub(crate) struct Poller {
    network: Network,
    number: u64,
}

/// What wakes it up.
#[derive(Debug, Clone)]
pub(crate) struct Waker {
    network: Network,
    poller: u64,
}

impl Waker {
    pub(crate) fn wake(&self) {
        self.network.lock().wake(self.poller);
    }

    pub(super) fn poller(&self) -> u64 {
        self.poller
    }
}

/// What a program with a poll of its own waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Whether each change is told once, or what is so again and again.
    pub(crate) is_edge: bool,
    pub(crate) until: Option<Instant>,
}

impl Network {
    pub(crate) fn poller(&self) -> Poller {
        let now = self.now();
        let mut state = self.lock();
        let number = state.number();
        let sleeper = Sleeper {
            link: None,
            is_woken: false,
            news: (0, now),
            polls: 0,
            seen: (0, now),
        };
        state.sleepers.insert(number, sleeper);
        Poller {
            network: self.clone(),
            number,
        }
    }

    /// A sleep in the program's own poll; what is told of this connection.
    pub(crate) fn poll(&self, link: Option<u64>, wish: Wish) -> io::Result<Told> {
        loop {
            self.settle();
            let now = self.now();
            let mut state = self.lock();
            let told = match link.and_then(|link| state.links.get_mut(&link)) {
                Some(link) => elsewhere(link, wish, now),
                None => Told::default(),
            };
            if !told.is_nothing() || wish.until.is_some_and(|until| until <= now) {
                return Ok(told);
            }
            if let Some(number) = link {
                let belief = Belief {
                    is_paused: !wish.read,
                    has_unsent: wish.write,
                    is_elsewhere: true,
                    ..Belief::default()
                };
                state.watch(Some(number), belief, now);
            }
            let next = state.next(now).into_iter().chain(wish.until).min();
            drop(state);
            self.jump(next.ok_or_else(|| hopeless("nothing is to happen any more"))?);
        }
    }
}

/// What the program's own poll tells.
fn elsewhere(link: &mut Link, wish: Wish, now: Instant) -> Told {
    if wish.is_edge {
        return link.take_told(ELSEWHERE, now);
    }
    Told {
        read: wish.read && link.is_readable(now),
        write: wish.write && link.is_writable(now),
        ended: false,
    }
}

impl Poller {
    pub(crate) fn waker(&self) -> Waker {
        Waker {
            network: self.network.clone(),
            poller: self.number,
        }
    }

    pub(crate) fn register(&self, endpoint: &Endpoint) {
        if let Some(sleeper) = self.network.lock().sleepers.get_mut(&self.number) {
            sleeper.link = Some(endpoint.link());
        }
    }

    /// Sleeps until there is something to tell of its connection, or the time has come; `None` is for ever.
    ///
    /// # Errors
    /// [`Deadlock`](io::ErrorKind::Deadlock): nothing can ever end this.
    pub(crate) fn poll(&mut self, until: Option<Instant>, belief: Belief) -> io::Result<Told> {
        sleep(&[(self, belief)], until)?;
        let now = self.network.now();
        let mut state = self.network.lock();
        let is_spurious = {
            let rarity = state.settings.spurious;
            state.chance.once_in(rarity)
        };
        let told = state.take(self.number, now);
        Ok(Told {
            read: told.read || is_spurious,
            ..told
        })
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.network.lock().sleepers.remove(&self.number);
    }
}

/// Sleeps until one of these has something to hear.
///
/// # Errors
/// [`Deadlock`](io::ErrorKind::Deadlock): nothing can ever end this.
pub(crate) fn sleep(who: &[(&Poller, Belief)], until: Option<Instant>) -> io::Result<()> {
    let Some((first, _)) = who.first() else {
        return Ok(());
    };
    let network = &first.network;
    if who.iter().any(|(other, _)| !other.network.is(network)) {
        let text = "clients of different worlds cannot sleep together";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    loop {
        network.settle();
        let now = network.now();
        let mut state = network.lock();
        for (poller, belief) in who {
            state.note(poller.number, *belief, now)?;
        }
        let is_up = until.is_some_and(|until| until <= now);
        if is_up
            || who
                .iter()
                .any(|(poller, _)| state.has_news_for(poller.number, now))
        {
            return Ok(());
        }
        let rarity = state.settings.spurious;
        if state.chance.once_in(rarity) {
            return Ok(());
        }
        for (poller, belief) in who {
            let link = state.sleepers.get(&poller.number).and_then(|one| one.link);
            state.watch(link, *belief, now);
        }
        let mut all = who.iter();
        if !state.is_expecting(now)
            && all.all(|(one, belief)| state.is_hopeless(one.number, *belief, now))
        {
            return Err(hopeless(
                "only heartbeats, or attempts to connect, went on for a day",
            ));
        }
        let next = state.next(now).into_iter().chain(until).min();
        drop(state);
        network.jump(next.ok_or_else(|| hopeless("nothing is to happen any more"))?);
    }
}

fn hopeless(why: &str) -> io::Error {
    let text = format!("nothing in this world can end the wait: {why}");
    io::Error::new(io::ErrorKind::Deadlock, text)
}

impl State {
    fn has_news_for(&self, poller: u64, now: Instant) -> bool {
        let Some(sleeper) = self.sleepers.get(&poller) else {
            return true;
        };
        let link = sleeper.link.and_then(|link| self.links.get(&link));
        sleeper.is_woken || link.is_some_and(|link| !link.told(OWN, now).is_nothing())
    }

    fn take(&mut self, poller: u64, now: Instant) -> Told {
        let Some(sleeper) = self.sleepers.get_mut(&poller) else {
            return Told::default();
        };
        sleeper.is_woken = false;
        let link = sleeper.link.and_then(|link| self.links.get_mut(&link));
        link.map(|link| link.take_told(OWN, now))
            .unwrap_or_default()
    }

    /// Counts what a client has heard of, and polls that come to nothing.
    fn note(&mut self, poller: u64, belief: Belief, now: Instant) -> io::Result<()> {
        let moved = self.moved;
        let Some(sleeper) = self.sleepers.get_mut(&poller) else {
            return Ok(());
        };
        if sleeper.news.0 != belief.news || belief.has_limit {
            sleeper.news = (belief.news, now);
        }
        if sleeper.seen != (moved, now) {
            sleeper.seen = (moved, now);
            sleeper.polls = 0;
        }
        sleeper.polls += 1;
        if sleeper.polls < POLLS {
            return Ok(());
        }
        sleeper.polls = 0;
        self.fault(now, "the client polls again and again, and never sleeps");
        let text = "the clock in memory moves only while somebody sleeps, and nobody has for 100,000 polls";
        Err(io::Error::other(text))
    }

    /// Whether only heartbeats can wake this client, or its own attempts to connect.
    fn is_hopeless(&self, poller: u64, belief: Belief, now: Instant) -> bool {
        let Some(sleeper) = self.sleepers.get(&poller) else {
            return false;
        };
        let for_long = now.saturating_duration_since(sleeper.news.1) > FOR_EVER;
        for_long && !belief.has_limit && !belief.has_deadline
    }

    /// Sees whether a client has reason to sleep.
    fn watch(&mut self, link: Option<u64>, belief: Belief, now: Instant) {
        if belief.could_run {
            self.fault(now, "the client sleeps in a loop, and callbacks could run");
        }
        let Some(link) = link.and_then(|link| self.links.get(&link)) else {
            return;
        };
        if link.is_closed {
            return;
        }
        let unread = link.to_client.arrived();
        let mut faults = Vec::new();
        if unread > 0 && !belief.is_paused {
            faults.push(format!(
                "the client sleeps, and {unread} bytes are there to be read"
            ));
        }
        // A poll of the program's own that is not asked for what to read does not tell the end either.
        let is_deaf = belief.is_elsewhere && belief.is_paused;
        if link.has_told_end && unread == 0 && !is_deaf {
            faults.push("the client sleeps, and the peer has ended the connection".into());
        }
        let room = if link.wants_room || link.is_unsealed {
            0
        } else {
            link.room()
        };
        if belief.has_unsent && room > 0 {
            faults.push(format!(
                "the client sleeps on bytes to write, and there is room for {room}"
            ));
        }
        // A program with a loop of its own gets them out within 0.2 s; and so does a system whose buffer is full.
        if link.to_peer.holds_back() && !link.wants_room && !belief.is_elsewhere {
            faults.push("the client sleeps, and the system holds bytes back".into());
        }
        for fault in faults {
            self.fault(now, &fault);
        }
    }
}
