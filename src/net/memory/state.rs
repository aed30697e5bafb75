//! All that is in the network, and what happens to it as time goes by.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::link::{Direction, Link, Phase};
use super::names::Names;
use super::peer::Peer;
use super::settings::Settings;
use crate::net::ready::Told;

/// What is to be done at some time.
pub(super) type Hook = Box<dyn FnOnce() + Send>;

/// Writes a heartbeat if it is time; when to come back.
pub(super) type Beat = Box<dyn FnMut() -> Option<Duration> + Send>;

/// How many faults are kept.
const FAULTS: usize = 100;

/// One client's poll.
#[derive(Debug)]
pub(super) struct Sleeper {
    pub(super) link: Option<u64>,
    pub(super) is_woken: bool,
    /// How much had happened when the program last heard of anything, and when that was.
    pub(super) news: (u64, Instant),
    /// How many polls there were since bytes moved, or time passed.
    pub(super) polls: u32,
    pub(super) seen: (u64, Instant),
}

pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) chance: Chance,
    pub(super) peer: Box<dyn Peer>,
    pub(super) names: Names,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) sleepers: BTreeMap<u64, Sleeper>,
    schedule: BTreeMap<(Instant, u64), Hook>,
    keepers: BTreeMap<(Instant, u64), Beat>,
    /// Counts all that has a number here.
    number: u64,
    /// Bytes that clients have read or written so far.
    pub(super) moved: u64,
    start: Instant,
    faults: Vec<String>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("links", &self.links)
            .field("sleepers", &self.sleepers)
            .finish_non_exhaustive()
    }
}

/// What is to run now, outside of the network's lock.
pub(super) enum Due {
    Hook(Hook),
    Beat(Beat),
}

impl State {
    pub(super) fn new(seed: u64, settings: Settings, peer: Box<dyn Peer>, start: Instant) -> Self {
        Self {
            settings,
            chance: Chance::new(seed),
            peer,
            names: Names::default(),
            links: BTreeMap::new(),
            sleepers: BTreeMap::new(),
            schedule: BTreeMap::new(),
            keepers: BTreeMap::new(),
            number: 0,
            moved: 0,
            start,
            faults: Vec::new(),
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn schedule(&mut self, at: Instant, hook: Hook) {
        let number = self.number();
        self.schedule.insert((at, number), hook);
    }

    pub(super) fn keep(&mut self, at: Instant, beat: Beat) {
        let number = self.number();
        self.keepers.insert((at, number), beat);
    }

    /// The first thing that is to run by now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Due> {
        if let Some(entry) = self.schedule.first_entry()
            && entry.key().0 <= now
        {
            return Some(Due::Hook(entry.remove()));
        }
        let entry = self.keepers.first_entry()?;
        (entry.key().0 <= now).then(|| Due::Beat(entry.remove()))
    }

    /// Something that a client should not do.
    pub(super) fn fault(&mut self, now: Instant, what: &str) {
        if self.faults.len() < FAULTS {
            let passed = now.saturating_duration_since(self.start);
            self.faults.push(format!("after {passed:?}: {what}"));
        }
    }

    pub(super) fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, link: Link) -> u64 {
        let number = self.number();
        self.links.insert(number, link);
        number
    }

    /// Everything that happens by now, until nothing does.
    pub(super) fn pump(&mut self, now: Instant) {
        for poller in self.names.take_woken(now) {
            self.wake(poller);
        }
        loop {
            let mut is_moving = false;
            let numbers: Vec<u64> = self.links.keys().copied().collect();
            for number in numbers {
                if let Some(link) = self.links.get_mut(&number) {
                    is_moving |=
                        pump_link(link, &mut *self.peer, now, &mut self.chance, &self.settings);
                }
            }
            if self.peer.poll_timeout().is_some_and(|at| at <= now) {
                self.peer.handle_timeout(now);
                is_moving |= self.peer.poll_timeout().is_none_or(|at| at > now);
            }
            if !is_moving {
                break;
            }
        }
        self.links
            .retain(|_, link| !link.is_closed || link.peer.is_some() || link.is_busy(now));
    }

    pub(super) fn wake(&mut self, poller: u64) {
        if let Some(sleeper) = self.sleepers.get_mut(&poller) {
            sleeper.is_woken = true;
        }
    }

    /// When anything happens next, after now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let links = self.links.values().flat_map(Link::next);
        let timers = [
            self.peer.poll_timeout(),
            self.schedule.keys().next().map(|(at, _)| *at),
            self.keepers.keys().next().map(|(at, _)| *at),
        ];
        let all = links
            .chain(self.names.next())
            .chain(timers.into_iter().flatten());
        all.filter(|at| *at > now).min()
    }

    /// Whether anything is to come but heartbeats.
    pub(super) fn is_expecting(&self, now: Instant) -> bool {
        self.peer.next_event().is_some()
            || !self.schedule.is_empty()
            || self.links.values().any(|link| link.is_busy(now))
    }

    /// The connection is lost, for both of its ends.
    pub(super) fn cut(&mut self, now: Instant, number: u64) {
        if let Some(link) = self.links.get_mut(&number) {
            link.fail(io::ErrorKind::ConnectionReset);
            leave(link, &mut *self.peer, now);
        }
    }
}

/// The peer hears that the socket is gone.
fn leave(link: &mut Link, peer: &mut dyn Peer, now: Instant) {
    if let Some(number) = link.peer.take() {
        peer.disconnected(now, number);
    }
}

/// What happens to one connection by now; whether anything did.
fn pump_link(
    link: &mut Link,
    peer: &mut dyn Peer,
    now: Instant,
    chance: &mut Chance,
    settings: &Settings,
) -> bool {
    let mut is_moving = answer(link, peer, now);
    if link.has_timed_out(now) {
        link.fail(io::ErrorKind::TimedOut);
        return true;
    }
    if link.is_silent || !link.is_up() {
        let is_noticed = match link.lingers_until {
            Some(until) => until <= now || link.peer.is_some_and(|number| peer.is_done(number)),
            None => link.is_closed,
        };
        if is_noticed {
            leave(link, peer, now);
        }
        return is_moving;
    }
    if link.blocked_until.is_some_and(|until| until <= now) {
        link.blocked_until = None;
    }
    is_moving |= deliver(link, peer, now);
    if link.is_to_be_cut(now) {
        // What has passed is there.
        link.to_client.arrive(now);
        link.fail(io::ErrorKind::ConnectionReset);
        leave(link, peer, now);
        return true;
    }
    is_moving |= answer_bytes(link, peer, now, chance, settings);
    if link.to_client.arrive(now) {
        is_moving = true;
        link.tell(Told {
            read: true,
            ..Told::default()
        });
    }
    if link.to_client.has_ended(now) && !link.has_told_end {
        link.has_told_end = true;
        link.tell(Told {
            read: true,
            write: false,
            ended: true,
        });
    }
    if link.wants_room && link.room() > 0 && link.to_peer.is_roomy() {
        link.wants_room = false;
        link.tell(Told {
            write: true,
            ..Told::default()
        });
    }
    is_moving
}

/// The answer to an attempt to connect.
fn answer(link: &mut Link, peer: &mut dyn Peer, now: Instant) -> bool {
    let Phase::Connecting(Some((at, accepts))) = link.phase else {
        return false;
    };
    if at > now || link.is_closed {
        return false;
    }
    if accepts {
        link.accept(now, peer);
    } else {
        link.fail(io::ErrorKind::ConnectionRefused);
    }
    true
}

/// The client's bytes to the peer, and its end.
fn deliver(link: &mut Link, peer: &mut dyn Peer, now: Instant) -> bool {
    link.to_peer.arrive(now);
    if link.is_sealing && link.to_peer.arrived() > 0 {
        link.to_peer.take(1);
        link.is_sealing = false;
        link.send(now, Direction::ToClient, &[SEAL], false, None);
        return true;
    }
    let Some(number) = link.peer else {
        // Nobody is there to read it.
        let lost = link.to_peer.arrived();
        link.to_peer.take(lost);
        return lost > 0;
    };
    let mut is_moving = false;
    if link.to_peer.arrived() > 0 && peer.wants_read(number) {
        let bytes = link.to_peer.take(usize::MAX);
        peer.receive(now, number, &bytes);
        is_moving = true;
    }
    if link.is_closed && link.to_peer.len() == 0 {
        leave(link, peer, now);
        is_moving = true;
    }
    is_moving
}

/// What the handshake of something like TLS begins with.
pub(crate) const SEAL: u8 = 22;

/// The peer's bytes to the client, and its end.
fn answer_bytes(
    link: &mut Link,
    peer: &mut dyn Peer,
    now: Instant,
    chance: &mut Chance,
    settings: &Settings,
) -> bool {
    let Some(number) = link.peer.filter(|_| !link.is_sealing) else {
        return false;
    };
    let mut is_moving = false;
    let room = link.to_client.room();
    if room > 0 && peer.has_output(number) {
        let bytes = peer.take_output(number, room);
        let tear = chance.once_in(settings.pieces);
        link.send(
            now,
            Direction::ToClient,
            &bytes,
            false,
            tear.then_some(&mut *chance),
        );
        is_moving = !bytes.is_empty();
    }
    if peer.is_done(number) && !peer.has_output(number) {
        link.is_ended = true;
        link.to_client.end(now);
        leave(link, peer, now);
        is_moving = true;
    }
    is_moving
}
