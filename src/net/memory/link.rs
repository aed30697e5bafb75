//! One connection between a client and a peer, as the client's system sees it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::peer::Peer;
use super::pipe::Pipe;
use super::settings::Settings;
use crate::net::clock::after;
use crate::net::ready::Told;

/// How long the system sends what nobody acknowledges.
const PATIENCE: Duration = Duration::from_secs(924);

/// The way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToPeer,
    ToClient,
    /// Whichever.
    Either,
}

/// What came, or will come, of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// When there is an answer, and which; `None`: never.
    Connecting(Option<(Instant, bool)>),
    Up,
    Failed(io::ErrorKind),
}

/// Who sleeps: a client's own poll, and one of the program's.
pub(super) const OWN: usize = 0;
pub(super) const ELSEWHERE: usize = 1;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    pub(super) phase: Phase,
    /// The peer's number for it.
    pub(super) peer: Option<u64>,
    pub(super) to_peer: Pipe,
    pub(super) to_client: Pipe,
    /// What each of the two polls is told next.
    pending: [Told; 2],
    /// What may be told, where that has to be rearmed.
    rearms: bool,
    armed: Told,
    /// A write has found no room, and waits to hear of some.
    pub(super) wants_room: bool,
    /// No write is taken, until that time, or until that ends.
    pub(super) blocked_until: Option<Instant>,
    pub(super) refuses_writes: bool,
    /// So many bytes pass, then it is cut.
    pub(super) passes: Option<(Direction, usize)>,
    cut_at: Option<Instant>,
    /// The client has closed its socket.
    pub(super) is_closed: bool,
    /// The peer has.
    pub(super) is_ended: bool,
    pub(super) has_told_end: bool,
    /// The peer's host is gone without a word, and since when the system has tried in vain.
    pub(super) is_silent: bool,
    /// What the peer sends is lost.
    pub(super) is_deaf: bool,
    pub(super) tcp_timeout: Option<Duration>,
    fails_at: Option<Instant>,
    /// The client's end is gone, and the peer does not know that before.
    pub(super) lingers_until: Option<Instant>,
    /// What the handshake of something like TLS still has to bring from the client: one byte, which is answered by one.
    pub(super) is_sealing: bool,
    /// The answer to that has not been read.
    pub(super) is_unsealed: bool,
}

impl Link {
    pub(super) fn new(
        address: SocketAddr,
        answer: Option<(Instant, bool)>,
        settings: &Settings,
        chance: &mut Chance,
    ) -> Self {
        Self {
            address,
            phase: Phase::Connecting(answer),
            peer: None,
            to_peer: Pipe::new(settings, chance),
            to_client: Pipe::new(settings, chance),
            pending: [Told::default(); 2],
            rearms: settings.rearms,
            armed: Told::ALL,
            wants_room: false,
            blocked_until: None,
            refuses_writes: false,
            passes: None,
            cut_at: None,
            is_closed: false,
            is_ended: false,
            has_told_end: false,
            is_silent: false,
            is_deaf: false,
            tcp_timeout: None,
            fails_at: None,
            lingers_until: None,
            is_sealing: settings.seals,
            is_unsealed: settings.seals,
        }
    }

    /// It is connected.
    pub(super) fn accept(&mut self, now: Instant, peer: &mut dyn Peer) {
        self.phase = Phase::Up;
        self.peer = Some(peer.accept(now, self.address));
        self.tell(Told {
            write: true,
            ..Told::default()
        });
    }

    /// Sends what the client's system holds back.
    pub(super) fn push(&mut self, now: Instant) {
        if self.to_peer.holds_back() {
            self.to_peer.push(now);
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    pub(super) fn tell(&mut self, told: Told) {
        for pending in &mut self.pending {
            *pending = pending.and(told);
        }
    }

    /// What is so, whether or not it was told.
    fn level(&self, now: Instant) -> Told {
        let failed = matches!(self.phase, Phase::Failed(_));
        let ended = failed || self.to_client.has_ended(now);
        Told {
            read: ended || self.to_client.arrived() > 0,
            write: failed || self.takes_writes() && self.to_peer.is_roomy(),
            ended,
        }
    }

    /// What one of the two polls would be told now.
    pub(super) fn told(&self, who: usize, now: Instant) -> Told {
        if who != OWN || !self.rearms {
            return self.pending[who];
        }
        let level = self.level(now);
        Told {
            read: level.read && self.armed.read,
            write: level.write && self.armed.write,
            ended: level.ended && self.armed.read,
        }
    }

    /// Tells it.
    pub(super) fn take_told(&mut self, who: usize, now: Instant) -> Told {
        let told = self.told(who, now);
        self.pending[who] = Told::default();
        if who == OWN {
            self.armed.read &= !told.read;
            self.armed.write &= !told.write;
        }
        told
    }

    /// A call would have blocked.
    pub(super) fn rearm(&mut self) {
        self.armed = Told::ALL;
    }

    /// For a poll that tells what is so again and again.
    pub(super) fn is_readable(&self, now: Instant) -> bool {
        self.level(now).read
    }

    pub(super) fn is_writable(&self, now: Instant) -> bool {
        self.level(now).write
    }

    fn takes_writes(&self) -> bool {
        self.is_up() && self.blocked_until.is_none() && !self.refuses_writes
    }

    /// How many bytes a write is taken of now.
    pub(super) fn room(&self) -> usize {
        if self.takes_writes() {
            self.to_peer.room()
        } else {
            0
        }
    }

    /// Sends bytes of one of the two, as far as they pass.
    pub(super) fn send(
        &mut self,
        now: Instant,
        direction: Direction,
        bytes: &[u8],
        more: bool,
        tear: Option<&mut Chance>,
    ) {
        if self.is_deaf && direction == Direction::ToClient {
            return;
        }
        let mut passing = bytes;
        let mut is_last = false;
        if let Some((which, left)) = &mut self.passes
            && (*which == direction || *which == Direction::Either)
        {
            passing = bytes.get(..*left).unwrap_or(bytes);
            *left -= passing.len();
            is_last = *left == 0;
        }
        let pipe = match direction {
            Direction::ToPeer => &mut self.to_peer,
            _ => &mut self.to_client,
        };
        let at = pipe.send(now, passing, more && !is_last);
        if let Some(chance) = tear
            && !more
        {
            pipe.tear(chance);
        }
        if is_last {
            let at = pipe.last_arrival().map_or(at, |last| last.max(at));
            self.cut_at.get_or_insert(at);
        }
        if self.is_silent && direction == Direction::ToPeer {
            self.fails_at = Some(after(now, PATIENCE));
        }
    }

    /// Whether enough has passed.
    pub(super) fn is_to_be_cut(&self, now: Instant) -> bool {
        self.cut_at.is_some_and(|at| at <= now)
    }

    /// The peer's host is gone: nothing arrives any more.
    pub(super) fn silence(&mut self, now: Instant) {
        self.is_silent = true;
        self.fails_at = match self.to_peer.len() {
            0 => self.tcp_timeout.map(|timeout| after(now, timeout)),
            _ => Some(after(now, PATIENCE)),
        };
    }

    /// Whether the system has given up.
    pub(super) fn has_timed_out(&self, now: Instant) -> bool {
        self.is_silent && self.is_up() && self.fails_at.is_some_and(|at| at <= now)
    }

    /// The connection is gone; what has arrived can be read.
    pub(super) fn fail(&mut self, kind: io::ErrorKind) {
        if !matches!(self.phase, Phase::Failed(_)) {
            self.phase = Phase::Failed(kind);
            self.to_peer.lose();
            self.to_client.lose();
            self.tell(Told::ALL);
        }
    }

    /// When something happens next; some of it may be past.
    pub(super) fn next(&self) -> impl Iterator<Item = Instant> {
        let answer = match self.phase {
            Phase::Connecting(answer) => answer.map(|(at, _)| at),
            _ => None,
        };
        let is_live = !self.is_silent && self.is_up();
        let pipes = [self.to_peer.next(), self.to_client.next(), self.cut_at];
        let pipes = pipes.into_iter().filter(move |_| is_live);
        let fails_at = self.fails_at.filter(|_| self.is_silent && self.is_up());
        let lingers_until = self.lingers_until.filter(|_| self.peer.is_some());
        [answer, self.blocked_until, fails_at, lingers_until]
            .into_iter()
            .chain(pipes)
            .flatten()
    }

    /// Whether bytes are on their way, or an answer.
    pub(super) fn is_busy(&self, now: Instant) -> bool {
        self.next().any(|at| at > now)
    }
}
