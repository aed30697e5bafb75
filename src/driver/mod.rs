//! One client's connection, socket and promises, and the moving of bytes and results between them. How a connection is
//! made, and made anew, is in `driver/dialing.rs`.
//!
//! Nothing of the user's runs in here: results go into the promise table, and `client/` takes them out.

mod dialing;
pub(crate) mod hosts;

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Event, Request, SLICES, Settle};
use crate::driver::hosts::{Dialer, Host};
use crate::net::clock::after;
use crate::net::lookup::Lookup;
use crate::net::reactor::{Inlet, Reactor};
use crate::net::{Belief, World};
use crate::promises::Promises;
use crate::types::client_options::ClientOptions;
use crate::types::error::{Disconnect, Error, Result};
use crate::types::ids::{PromiseId, PromiseNumber};
use crate::types::message::{Delivery, Message, Origin};
use crate::types::recovery::ConnectionEvent;
use crate::types::requests::ConsumeMulti;
use crate::types::results::{Connected, Outcome};
use crate::types::url::AmqpUrl;
use crate::wire::ShortStr;

/// How many writes one turn makes before it sees to reads and timers.
const WRITES_PER_TURN: usize = 64;

/// For how long after a packet the next bytes may wait for more, where a program waits again and again: a packet for each
/// of a hundred thousand acknowledgements a second would cost more than all else.
const PATIENCE: Duration = Duration::from_micros(100);

/// How often to see whether a host has been looked up, where the lookup cannot wake who waits for it.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// How many bytes of deliveries may come, beyond the mark, for consumers that are about to be cancelled: what was on its way
/// is before the broker's answer.
const ON_ITS_WAY: usize = 64 * 1024 * 1024;

/// `C` is a callback of the client's.
pub(crate) struct Driver<C> {
    pub(crate) url: AmqpUrl,
    pub(crate) options: ClientOptions,
    pub(crate) client: u32,
    pub(crate) connections: u64,
    pub(crate) connection: Option<Connection>,
    pub(crate) dialer: Dialer,
    /// The addresses of the host that is tried, until they are there.
    pub(crate) lookup: Option<Lookup>,
    world: World,
    pub(crate) reactor: Reactor,
    pub(crate) promises: Promises<C>,
    /// When connecting, or closing, has taken too long.
    pub(crate) deadline: Option<Deadline>,
    /// Channels of lower epochs were lost with their connections, not closed by the program.
    lost_epochs: u64,
    /// Why there is no connection, once there was one.
    pub(crate) last_error: Option<Error>,
    /// What has become of the connection, if the program wants to know.
    pub(crate) notices: VecDeque<ConnectionEvent>,
    pub(crate) wants_notices: bool,
    presence: Presence,
    /// Whether something has come of the last [`flush`](Self::flush): then there may be nothing to sleep for.
    has_news: bool,
    /// How much has come of anything so far.
    news: u64,
    /// When bytes were last written that the system did not hold back.
    pushed: Instant,
    /// How many bytes were published past both marks since so many deliveries had been taken.
    past: (u64, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) what: &'static str,
}

/// When the program was here last, if there are heartbeats to be sent.
#[derive(Debug, Default)]
struct Presence {
    last: Option<Instant>,
    /// For how long it was away, if that was too long, and when it came back.
    away: Option<(Duration, Instant)>,
}

impl Presence {
    /// For how long the program was away lately. What the broker makes of that shows within a heartbeat.
    fn away(&self, heartbeat: Duration, now: Instant) -> Option<Duration> {
        let (away, since) = self.away?;
        (now < since + heartbeat).then_some(away)
    }
}

/// Not what is in the buffers: the login is among it.
impl<C> fmt::Debug for Driver<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("url", &self.url)
            .field("connected", &self.connected())
            .field("promises", &self.promises)
            .finish_non_exhaustive()
    }
}

impl<C> Driver<C> {
    pub(crate) fn new(
        client: u32,
        url: AmqpUrl,
        options: ClientOptions,
        hosts: Vec<Host>,
        world: World,
    ) -> Self {
        let promises = Promises::new(client, options.unread_high_water_mark);
        Self {
            dialer: Dialer::new(hosts, options.shuffle_hosts),
            url,
            options,
            client,
            connections: 0,
            connection: None,
            lookup: None,
            reactor: Reactor::new(world.clone()),
            promises,
            deadline: None,
            last_error: None,
            lost_epochs: 0,
            notices: VecDeque::new(),
            wants_notices: false,
            presence: Presence::default(),
            has_news: false,
            news: 0,
            pushed: world.now(),
            world,
            past: (0, 0),
        }
    }

    /// The time, in this client's world.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.world.now()
    }

    /// So much later.
    pub(crate) fn after(&self, time: Duration) -> Instant {
        after(self.now(), time)
    }

    /// Begins to close.
    pub(crate) fn close(&mut self) -> PromiseId {
        let promise = self.promises.single();
        match &mut self.connection {
            Some(connection) => {
                connection.close(promise.number);
                let limit = self.options.connect_timeout_or_default();
                self.deadline.get_or_insert_with(|| Deadline {
                    at: after(self.world.now(), limit),
                    what: "closing",
                });
                self.collect();
            }
            None => self
                .promises
                .resolve(promise.number, Err(Error::NotConnected)),
        }
        promise
    }

    /// Tells the broker a new secret, which is the password from now on.
    pub(crate) fn update_secret(&mut self, secret: String, reason: ShortStr) -> PromiseId {
        self.url.password.clone_from(&secret);
        self.ask(|connection, number| connection.update_secret(number, secret, &reason))
    }

    /// A promise of one result, for what the connection is told to do in `ask`.
    pub(crate) fn ask(&mut self, ask: impl FnOnce(&mut Connection, PromiseNumber)) -> PromiseId {
        let promise = self.promises.single();
        self.tell(promise, ask);
        promise
    }

    /// A promise of one result, for a plain request.
    pub(crate) fn request(&mut self, request: Request) -> PromiseId {
        self.ask(|connection, number| connection.request(number, request))
    }

    /// A promise of deliveries.
    pub(crate) fn consume(&mut self, consumers: ConsumeMulti) -> PromiseId {
        let promise = self
            .promises
            .consumer(consumers.prefetch_count, consumers.no_ack);
        self.tell(promise, |connection, number| {
            connection.request(number, Request::Consume(consumers));
        });
        promise
    }

    fn tell(&mut self, promise: PromiseId, ask: impl FnOnce(&mut Connection, PromiseNumber)) {
        match &mut self.connection {
            Some(connection) => {
                ask(connection, promise.number);
                self.collect();
            }
            None => self
                .promises
                .resolve(promise.number, Err(Error::NotConnected)),
        }
    }

    pub(crate) fn publish(
        &mut self,
        exchange: &str,
        routing_key: &str,
        message: Message,
    ) -> PromiseId {
        let promise = self.promises.publish();
        match &mut self.connection {
            Some(connection) => {
                connection.publish(promise.number, exchange, routing_key, message);
                self.collect();
            }
            // Like every other publish that was surely not sent.
            None => {
                let error = Error::NotSent(Box::new(Error::NotConnected));
                self.promises.resolve(promise.number, Err(error));
            }
        }
        promise
    }

    /// A publish that fails before it is made.
    pub(crate) fn refuse_publish(&mut self, error: Error) -> PromiseId {
        let promise = self.promises.publish();
        self.promises
            .resolve(promise.number, Err(Error::NotSent(Box::new(error))));
        promise
    }

    /// Whether a publish has to wait for room.
    pub(crate) fn lacks_room(&self) -> bool {
        self.options.blocking_publish && !self.has_room() && self.takes_publishes()
    }

    /// The confirms that would make room lie behind what is not read. Whoever takes deliveries gets there, and may publish
    /// for each of them; whoever takes none would wait, or fill memory, for ever.
    pub(crate) fn go_past_the_marks(&mut self, size: usize) -> Result<()> {
        let taken = self.promises.taken();
        if self.past.0 != taken {
            self.past = (taken, 0);
        }
        let marks = [
            self.options.high_water_mark,
            self.options.unread_high_water_mark,
        ];
        if marks.iter().all(|&mark| self.past.1 >= mark) {
            return self.check_unread();
        }
        self.past.1 = self.past.1.saturating_add(size);
        Ok(())
    }

    /// Settles a delivery, if that is of any use.
    pub(crate) fn settle(&mut self, origin: Origin, how: Settle) -> Result<()> {
        let is_lost = origin.epoch < self.lost_epochs;
        match self.with_connection(|connection| connection.settle(origin, how)) {
            // The program has connected anew since.
            Some(Err(Error::StaleDelivery(_))) if is_lost => Ok(()),
            Some(result) => result,
            None if origin.no_ack => Err(Error::NoAck(origin.tag)),
            None if origin.is_returned => Ok(()),
            None => Err(match &self.last_error {
                Some(error) if is_lost => error.clone(),
                _ => Error::StaleDelivery(origin.tag),
            }),
        }
    }

    /// Whether a delivery could be settled now.
    pub(crate) fn holds(&self, origin: Origin) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.holds(origin))
    }

    /// What the connection is told on behalf of a promise of its own; an error if there is none.
    pub(crate) fn with_connection<T>(
        &mut self,
        tell: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Option<Result<T>> {
        let result = tell(self.connection.as_mut()?);
        self.collect();
        Some(result)
    }

    /// A delivery for the user; its box serves the next one.
    pub(crate) fn unpack(&mut self, mut delivery: Box<Delivery>) -> Delivery {
        let unpacked = std::mem::replace(&mut *delivery, Delivery::blank());
        if let Some(connection) = &mut self.connection {
            connection.recycle(delivery);
        }
        unpacked
    }

    fn takes_publishes(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.refusal().is_none())
    }

    /// Results to the promises; and what follows when the connection has done with its socket.
    pub(crate) fn collect(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        while let Some(event) = connection.poll_event() {
            self.has_news = true;
            self.news += 1;
            match event {
                Event::Published { first, last } => {
                    self.promises.resolve_published(first, last);
                }
                Event::Resolved(number, result) => {
                    if let Ok(Outcome::Connected(_)) = result {
                        self.dialer.note_up(self.world.now());
                    }
                    self.promises.resolve(number, result);
                }
                Event::Delivery(number, delivery) => self.promises.deliver(number, delivery),
                Event::Stale(number) => drop(self.promises.drop_deliveries(number)),
                Event::Unread {
                    consumer,
                    channel,
                    gone,
                } => {
                    let unread = self.promises.take_unread(consumer, &gone);
                    connection.give_back(channel, &unread);
                }
                Event::Notice(event) => {
                    if let ConnectionEvent::Restored(_) = event {
                        self.dialer.note_up(self.world.now());
                    }
                    if self.wants_notices {
                        self.notices.push_back(event);
                    }
                }
            }
        }
        if connection.is_over() {
            self.say_goodbye();
        } else if connection.is_suspended() {
            self.redial();
        } else if connection.is_up() && self.deadline.is_some_and(|deadline| deadline.is_connect())
        {
            self.deadline = None;
            self.keep();
        }
    }

    /// Has heartbeats sent while the program is elsewhere, if it wants that.
    fn keep(&mut self) {
        let heartbeat = self.heartbeat();
        self.presence = Presence {
            last: heartbeat.map(|_| self.now()),
            away: None,
        };
        let idle = !self.has_unsent();
        if let Some(heartbeat) = heartbeat.filter(|_| self.options.background_heartbeats)
            && let Err(error) = self.reactor.keep(heartbeat / 2, idle)
        {
            log::warn!("there is no thread to keep the connection: {error}");
        }
    }

    /// The interval that was agreed on.
    fn heartbeat(&self) -> Option<Duration> {
        let connected = self.connection.as_ref()?.connected()?;
        (connected.heartbeat > 0).then(|| Duration::from_secs(connected.heartbeat.into()))
    }

    /// The program is here. For how long it was elsewhere is noted, too.
    pub(crate) fn note_presence(&mut self) {
        if let Some(last) = self.presence.last {
            let now = self.world.now();
            let away = now.saturating_duration_since(last);
            if self
                .heartbeat()
                .is_some_and(|heartbeat| away > 2 * heartbeat)
            {
                self.presence.away = Some((away, now));
            }
            self.presence.last = Some(now);
        }
    }

    /// Writes the last frames as far as the socket takes them, and closes it.
    fn say_goodbye(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.last_error = connection.take_end();
            if !matches!(self.last_error, None | Some(Error::Closed)) {
                self.lost_epochs = connection.epochs_end();
            }
            let _ = write_last(&mut self.reactor, &mut connection);
        }
        self.dialer.reset();
        self.drop_socket();
    }

    pub(crate) fn drop_socket(&mut self) {
        self.reactor.drop_socket();
        self.deadline = None;
        self.lookup = None;
        self.presence = Presence::default();
    }

    /// The last frames to a socket that is given up.
    pub(crate) fn write_rest(&mut self) {
        if let Some(connection) = &mut self.connection {
            let _ = write_last(&mut self.reactor, connection);
        }
    }

    pub(crate) fn disconnected(&mut self, broken: Disconnect) {
        let broken = match (broken, self.heartbeat()) {
            (broken, Some(interval))
                if broken.is_by_peer() && !self.options.background_heartbeats =>
            {
                match self.presence.away(interval, self.now()) {
                    Some(away) => Disconnect::ProgramAway { away, interval },
                    None => broken,
                }
            }
            (broken, _) => broken,
        };
        if let Some(connection) = &mut self.connection {
            connection.set_time(self.world.now());
            connection.disconnected(broken);
        }
        self.reactor.drop_socket();
        self.collect();
    }

    /// Writes what there is, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        self.note_presence();
        self.flush_and(false, None);
    }

    /// [`flush`](Self::flush); with `more` the system may hold it back for a moment, because more is likely to follow.
    fn flush_and(&mut self, more: bool, now: Option<Instant>) {
        self.has_news = false;
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
    fn unread_bytes(&self) -> usize {
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
        if self.deadline.is_some_and(|deadline| now >= deadline.at)
            && let Some(Deadline { what, .. }) = self.deadline.take()
        {
            // The addresses that were tried say more than the time does.
            let limit = self.options.connect_timeout_or_default();
            let broken = self
                .reactor
                .handle_timeout()
                .err()
                .unwrap_or(Disconnect::TimedOut { what, limit });
            return self.disconnected(broken);
        }
        if let Err(broken) = self.reactor.handle_timeout() {
            return self.disconnected(broken);
        }
        let is_silent = |connection: &Connection| connection.is_silent(now);
        if self.connection.as_ref().is_some_and(is_silent) {
            // The program may have been elsewhere, with the broker's heartbeats unread.
            self.reactor.set_readable();
            self.read();
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

    /// When a client that goes to sleep until that time (`None` is for ever) has to wake up.
    pub(crate) fn fall_asleep(&mut self, until: Option<Instant>) -> Option<Instant> {
        if self.world.checks_sleep() {
            let deadline = self.connection.as_ref().and_then(Connection::next_deadline);
            self.reactor.set_belief(Belief {
                is_paused: false,
                has_unsent: self.has_unsent(),
                has_limit: until.is_some(),
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
        self.turn_and(true, until)
    }

    /// [`turn`](Self::turn), which reads nothing unless told to.
    pub(crate) fn turn_and(&mut self, reads: bool, until: Option<Instant>) -> Result<()> {
        self.flush();
        let wake = self.fall_asleep(until);
        self.reactor.poll(wake).map_err(poll_failed)?;
        self.after_poll(reads);
        Ok(())
    }

    /// Uses what a poll has told, and sees to the timers.
    pub(crate) fn after_poll(&mut self, reads: bool) {
        if let Some(last) = &mut self.presence.last {
            *last = self.world.now();
        }
        self.flush();
        if reads {
            self.read();
        }
        self.handle_timeout();
    }

    pub(crate) fn is_active(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_open)
    }

    pub(crate) fn connected(&self) -> Option<&Arc<Connected>> {
        self.connection
            .as_ref()
            .filter(|connection| connection.is_open())?
            .connected()
    }

    pub(crate) fn blocked(&self) -> Option<&str> {
        self.connection.as_ref()?.blocked()
    }

    pub(crate) fn buffered(&self) -> usize {
        self.connection.as_ref().map_or(0, Connection::buffered)
    }

    /// Whether one more publish may be held; one always may.
    pub(crate) fn has_room(&self) -> bool {
        let buffered = self.buffered();
        buffered == 0 || buffered < self.options.high_water_mark
    }

    /// Whether there are bytes for the socket.
    fn has_unsent(&self) -> bool {
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

impl Deadline {
    pub(crate) fn is_connect(self) -> bool {
        self.what == CONNECTING
    }
}

/// What a [`Deadline`] is for.
pub(crate) const CONNECTING: &str = "connecting";

/// What a sleep comes to that failed.
pub(crate) fn poll_failed(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::Deadlock => Error::WaitsForever(error.to_string()),
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
fn write_last(reactor: &mut Reactor, connection: &mut Connection) -> Result<(), Disconnect> {
    loop {
        write_some(reactor, connection, false, reactor.now())?;
        if connection.out.is_empty() || !reactor.is_writable() {
            return Ok(());
        }
    }
}
