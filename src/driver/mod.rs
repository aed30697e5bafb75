//! One client's connection, socket and promises, and the moving of results between them. `turn.rs` moves the bytes and sees
//! to the timers, `dialing.rs` makes a connection, and makes it anew (`hosts.rs`: which host, and when), `presence.rs` has
//! heartbeats sent while the program is elsewhere.
//!
//! Nothing of the user's runs in here: results go into the promise table, and `client/` takes them out.

#[cfg(feature = "testing")]
mod audit;
mod deadline;
mod dialing;
pub(crate) mod hosts;
mod presence;
mod turn;

#[cfg(all(test, feature = "testing"))]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Event, Request, Settle};
use crate::net::World;
use crate::net::clock::after;
use crate::net::lookup::Lookup;
use crate::net::reactor::Reactor;
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

use deadline::{Deadline, Step};
use hosts::{Dialer, Host};
use presence::Presence;
use turn::write_last;
pub(crate) use turn::{poll_failed, waiting_for};

/// `C` is a callback of the client's.
pub(crate) struct Driver<C> {
    pub(crate) url: AmqpUrl,
    pub(crate) options: ClientOptions,
    client: u32,
    connections: u64,
    pub(crate) connection: Option<Connection>,
    dialer: Dialer,
    /// An attempt after a failure is being made.
    is_dialing: bool,
    /// The addresses of the host that is tried, until they are there.
    lookup: Option<Lookup>,
    world: World,
    pub(crate) reactor: Reactor,
    pub(crate) promises: Promises<C>,
    /// When connecting, or closing, has taken too long.
    deadline: Option<Deadline>,
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
    /// What was in the tables of connections that were over.
    #[cfg(feature = "testing")]
    left: Vec<&'static str>,
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
            is_dialing: false,
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
            #[cfg(feature = "testing")]
            left: Vec::new(),
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
                    limit,
                    step: Step::Closing,
                    is_fresh: true,
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

    /// Writes the last frames as far as the socket takes them, and closes it.
    fn say_goodbye(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.last_error = connection.take_end();
            if !matches!(self.last_error, None | Some(Error::Closed)) {
                self.lost_epochs = connection.epochs_end();
            }
            // What the socket does not take is lost, for there is no later.
            let _ = write_last(&mut self.reactor, &mut connection);
            #[cfg(feature = "testing")]
            self.left.extend(connection.leftovers());
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

    pub(crate) fn disconnected(&mut self, broken: Disconnect) {
        let broken = self.explain(broken);
        if let Some(connection) = &mut self.connection {
            connection.set_time(self.world.now());
            connection.disconnected(broken);
        }
        self.reactor.drop_socket();
        self.collect();
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
}
