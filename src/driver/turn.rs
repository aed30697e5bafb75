//! One turn: write, sleep, read, see to the timers; and each of these alone, for programs with a loop of their own.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Driver;
use super::deadline::Deadline;
use crate::connection::{Connection, SLICES};
use crate::net::Belief;
use crate::net::clock::after;
use crate::net::reactor::{Inlet, Reactor};
use crate::types::error::{Disconnect, Error, Result};

/// How many writes one turn makes before it sees to reads and timers.
const WRITES_PER_TURN: usize = 64;

/// For how long after a packet the next bytes may wait for more, where a program waits again and again: a packet for each
/// of a hundred thousand acknowledgements a second would cost more than all else.
const PATIENCE: Duration = Duration::from_micros(100);

/// How many bytes of deliveries may come, beyond the mark, for consumers that are about to be cancelled: what was on its way
/// is before the broker's answer.
const ON_ITS_WAY: usize = 64 * 1024 * 1024;

/// How many turns of reading one call makes before timers and callbacks have theirs.
const READS: usize = 16;

impl<C> Driver<C> {
    /// Before something of the program's may take its time: a keeper writes nothing behind what is not out.
    pub(crate) fn flush_unsent(&mut self) {
        if self.has_unsent() {
            self.flush();
        }
    }

    /// Writes what there is, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        self.note_presence();
        self.flush_and(false, None);
    }

    /// [`flush`](Self::flush); with `more` the system may hold it back for a moment, because more is likely to follow.
    fn flush_and(&mut self, more: bool, now: Option<Instant>) {
        self.has_news = false;
        if let Some(deadline) = &mut self.deadline {
            deadline.is_fresh = false;
        }
        self.reactor.set_paused(self.is_full());
        if !self.has_unsent() && !self.reactor.is_connecting() {
            if !more {
                // Who may sleep next leaves nothing behind. A write would push it, too.
                self.reactor.push();
            }
            return;
        }
        let now = now.unwrap_or_else(|| self.now());
        let more = more && now.saturating_duration_since(self.pushed) < PATIENCE;
        if !more {
            self.pushed = now;
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        if let Err(broken) = write_some(&mut self.reactor, connection, more, now) {
            // The peer may have said why, before it went.
            self.reactor.set_readable();
            let _ = self.reactor.read(connection);
            self.disconnected(broken);
        }
    }

    /// The program begins to wait: what it has asked for is written, and timers that are due are seen to, whether or not
    /// there is anything to wait for. `more`: it is likely to be back with more at once.
    pub(crate) fn attend(&mut self, more: bool) {
        self.note_presence();
        let now = self.now();
        if self.next_timeout().is_some_and(|next| next <= now) {
            self.handle_timeout();
        }
        self.flush_and(more, Some(now));
    }

    /// Whether all that was asked for is with the system; it does what it takes for that, and is to be asked again. What a
    /// peer does not take, who has said so or cannot be read, is left.
    pub(crate) fn hand_over(&mut self, until: Option<Instant>) -> Result<bool> {
        if self.has_handed_over() {
            return Ok(true);
        }
        self.flush();
        if self.has_handed_over() {
            return Ok(true);
        }
        if !self.can_write() {
            self.turn(until)?;
        }
        Ok(false)
    }

    fn has_handed_over(&self) -> bool {
        let has_more = self.connection.as_ref().is_some_and(Connection::has_more);
        !(self.has_unsent() || has_more)
            || !self.is_open()
            || self.blocked().is_some()
            || self.is_full()
    }

    /// Whether so much lies unread that the socket must wait. Only an open connection can wait: any other has an answer
    /// to come. Of one that the peer has ended there is no more to come than the system holds.
    pub(crate) fn is_full(&self) -> bool {
        let mark = self.options.unread_high_water_mark;
        let on_its_way = mark.saturating_add(mark.max(ON_ITS_WAY));
        let unread = self.unread_bytes();
        let is_full =
            unread > 0 && unread >= mark || self.promises.backlog().ending_bytes >= on_its_way;
        is_full && self.is_open() && !self.reactor.has_ended()
    }

    /// Bytes of deliveries that nobody has read, or may have yet, and of which the broker sends ever more.
    pub(super) fn unread_bytes(&self) -> usize {
        let connection = self.connection.as_ref();
        let held = connection.map_or(0, Connection::unbounded_held);
        self.promises.backlog().unbounded_bytes + held
    }

    /// The way out of a wait, or a loop, that could only end by reading more.
    pub(crate) fn check_unread(&self) -> Result<()> {
        if self.is_full() {
            let ending = self.promises.backlog().ending_bytes;
            let bytes = self.unread_bytes().max(ending);
            return Err(Error::UnreadDeliveries(bytes));
        }
        Ok(())
    }

    /// Whether there is something to read that no poll will tell of again.
    pub(crate) fn can_read(&self) -> bool {
        self.reactor.has_unread() && !self.is_full()
    }

    /// Whether there is something to write that the socket may take now: who has stopped before must go on.
    pub(crate) fn can_write(&self) -> bool {
        self.has_unsent() && self.reactor.is_writable()
    }

    /// Looks for the end of a connection that is not read for now.
    pub(crate) fn look_for_end(&mut self) {
        self.reactor.set_paused(self.is_full());
        self.reactor.look_for_end();
    }

    /// Reads what there is, within reason.
    pub(crate) fn read(&mut self) {
        self.reactor.set_paused(self.is_full());
        if !self.reactor.is_readable() {
            return;
        }
        let Self {
            connection,
            reactor,
            ..
        } = self;
        let Some(connection) = connection else {
            return;
        };
        let result = reactor.read(connection);
        // What came before an end comes before it.
        self.collect();
        if let Err(broken) = result {
            self.disconnected(broken);
        }
    }

    /// Sees to every timer whose time has come.
    pub(crate) fn handle_timeout(&mut self) {
        let now = self.now();
        if self.is_full()
            && let Some(connection) = &mut self.connection
        {
            // Where nobody reads, silence says nothing.
            connection.postpone_silence(now);
        }
        self.handle_dialing(now);
        self.hear(now);
        if let Some(deadline) = &mut self.deadline
            && std::mem::take(&mut deadline.is_fresh)
            && now >= deadline.at
        {
            deadline.at = after(now, deadline.limit);
        }
        if self.deadline.is_some_and(|deadline| now >= deadline.at)
            && let Some(Deadline { step, .. }) = self.deadline.take()
        {
            // The addresses that were tried say more than the time does.
            let tried = self.reactor.handle_timeout().err();
            return self.disconnected(tried.unwrap_or_else(|| Disconnect::TimedOut {
                what: step.name(),
                limit: self.options.connect_timeout_or_default(),
            }));
        }
        if let Err(broken) = self.reactor.handle_timeout() {
            return self.disconnected(broken);
        }
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now);
            self.collect();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let timers = [
            self.deadline.map(|deadline| deadline.at),
            self.dialing_timeout(),
            self.reactor.poll_timeout(),
            self.connection.as_ref().and_then(Connection::poll_timeout),
        ];
        timers.into_iter().flatten().min()
    }

    /// When a client that goes to sleep until that time (`None` is for ever) has to wake up. `in_loop`: where callbacks run.
    pub(crate) fn fall_asleep(&mut self, until: Option<Instant>, in_loop: bool) -> Option<Instant> {
        if self.world.checks_sleep() {
            let deadline = self.connection.as_ref().and_then(Connection::next_deadline);
            self.reactor.set_belief(Belief {
                is_paused: false,
                is_elsewhere: false,
                has_unsent: self.has_unsent(),
                has_limit: until.is_some(),
                could_run: in_loop && self.promises.runnable() > 0,
                has_deadline: self.deadline.is_some() || deadline.is_some(),
                news: self.news,
            });
        }
        [until, self.wake_time()].into_iter().flatten().min()
    }

    /// How long one may sleep after a [`flush`](Self::flush).
    fn wake_time(&self) -> Option<Instant> {
        if self.has_news || self.can_write() {
            return Some(self.now());
        }
        self.next_timeout()
    }

    /// Writes, sleeps until something happens or the time is up (`None` is for ever), reads, and sees to the timers.
    pub(crate) fn turn(&mut self, until: Option<Instant>) -> Result<()> {
        self.turn_and(true, until, false)
    }

    /// [`turn`](Self::turn) of a loop, where callbacks run; it reads nothing unless told to.
    pub(crate) fn turn_in_loop(&mut self, reads: bool, until: Option<Instant>) -> Result<()> {
        self.turn_and(reads, until, true)
    }

    fn turn_and(&mut self, reads: bool, until: Option<Instant>, in_loop: bool) -> Result<()> {
        self.flush();
        let wake = self.fall_asleep(until, in_loop);
        self.reactor.poll(wake).map_err(poll_failed)?;
        self.after_poll(reads);
        Ok(())
    }

    /// Uses what a poll has told, and sees to the timers.
    pub(crate) fn after_poll(&mut self, reads: bool) {
        self.note_sleep();
        self.flush();
        if reads {
            self.read();
        }
        self.handle_timeout();
    }

    /// A poll of the program's own has told that there is something to read: reads what there is, as far as it should.
    pub(crate) fn on_readable(&mut self) {
        self.note_presence();
        self.look_for_end();
        self.reactor.set_readable();
        self.read_empty();
        self.attend(false);
    }

    /// The same for writing.
    pub(crate) fn on_writable(&mut self) {
        self.reactor.set_writable();
        self.attend(false);
    }

    /// Sees to every timer whose time has come, and goes on where it stopped before all was done.
    pub(crate) fn on_time(&mut self) {
        self.note_presence();
        self.look_for_end();
        if self.can_read() {
            self.read_empty();
        }
        self.handle_timeout();
        self.flush();
    }

    /// What has come before a time is judged by it: the program may have been elsewhere, with an answer, or the broker's
    /// heartbeats, unread.
    fn hear(&mut self, now: Instant) {
        let deadline = self.deadline.map(|deadline| deadline.at);
        let timer = self.connection.as_ref().and_then(Connection::poll_timeout);
        if deadline.into_iter().chain(timer).any(|at| at <= now) {
            self.reactor.set_readable();
            self.read_empty();
        }
    }

    fn read_empty(&mut self) {
        for _ in 0..READS {
            self.read();
            if !self.reactor.is_readable() {
                break;
            }
        }
    }

    /// The last frames to a socket that is given up.
    pub(crate) fn write_rest(&mut self) {
        if let Some(connection) = &mut self.connection {
            let _ = write_last(&mut self.reactor, connection);
        }
    }

    /// Whether there are bytes for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        let out = self.connection.as_ref().map(|connection| &connection.out);
        out.is_some_and(|out| !out.is_empty()) || self.reactor.wants_write()
    }

    pub(crate) fn needs_write(&self) -> bool {
        self.has_unsent() || self.reactor.is_connecting()
    }
}

impl Inlet for Connection {
    fn space(&mut self) -> [&mut [u8]; 2] {
        self.read_space()
    }

    fn filled(&mut self, count: usize, now: Instant) -> bool {
        self.handle_read(count, now);
        !self.is_done() && !self.has_many_events()
    }
}

/// What a sleep comes to that failed.
pub(crate) fn poll_failed(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::Deadlock => Error::WaitsForever(error.to_string()),
        _ => Error::Poll(Arc::new(error)),
    }
}

/// The same error; that of a wait which nothing can end says what was waited for.
pub(crate) fn waiting_for(what: impl fmt::Display) -> impl FnOnce(Error) -> Error {
    move |error| match error {
        Error::WaitsForever(why) => Error::WaitsForever(format!("{what}: {why}")),
        error => error,
    }
}

/// Writes as much as the socket takes, within reason.
fn write_some(
    reactor: &mut Reactor,
    connection: &mut Connection,
    more: bool,
    now: Instant,
) -> Result<(), Disconnect> {
    reactor.flush()?;
    for _ in 0..WRITES_PER_TURN {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = connection.out.slices(&mut slices);
        if used == 0 && !reactor.is_connecting() {
            break;
        }
        let count = reactor.write(&slices[..used], more)?;
        if count == 0 {
            break;
        }
        connection.handle_written(count, now);
    }
    reactor.set_idle(connection.out.is_empty());
    Ok(())
}

/// Writes as much as the socket takes at all, for there is no later.
pub(super) fn write_last(
    reactor: &mut Reactor,
    connection: &mut Connection,
) -> Result<(), Disconnect> {
    loop {
        write_some(reactor, connection, false, reactor.now())?;
        if connection.out.is_empty() || !reactor.is_writable() {
            return Ok(());
        }
    }
}
