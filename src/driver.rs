//! One client's connection, socket and promises, and the moving of bytes and results between them.
//!
//! Nothing of the user's runs in here: results go into the promise table, and `waiting.rs` takes them out.

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use crate::client_options::ClientOptions;
use crate::connection::{Config, Connection, Event, Login, Request, SLICES};
use crate::error::{Broken, Error, Result};
use crate::message::Message;
use crate::outcome::{Connected, Outcome};
use crate::promise::{PromiseId, Promises};
use crate::reactor::{Reactor, now};
use crate::transport;
use crate::url::AmqpUrl;
use crate::wire::MIN_FRAME_MAX;

/// How many writes one turn makes before it sees to reads and timers.
const WRITES_PER_TURN: usize = 64;

/// Channel epochs of one connection stay below this.
const EPOCHS: u64 = 1 << 40;

pub(crate) struct Driver {
    url: AmqpUrl,
    options: ClientOptions,
    client: u32,
    connections: u64,
    connection: Option<Connection>,
    pub(crate) reactor: Reactor,
    pub(crate) promises: Promises,
    input: BytesMut,
    /// When connecting, or closing, has taken too long.
    deadline: Option<(Instant, &'static str)>,
    /// Why there is no connection, once there was one.
    pub(crate) last_error: Option<Error>,
}

/// Not what is in the buffers: the login is among it.
impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("url", &self.url)
            .field("connected", &self.connected())
            .field("promises", &self.promises)
            .finish_non_exhaustive()
    }
}

impl Driver {
    pub(crate) fn new(client: u32, url: AmqpUrl, options: ClientOptions) -> Self {
        Self {
            url,
            options,
            client,
            connections: 0,
            connection: None,
            reactor: Reactor::new(),
            promises: Promises::new(client),
            input: BytesMut::new(),
            deadline: None,
            last_error: None,
        }
    }

    /// Begins to connect.
    pub(crate) fn connect(&mut self) -> PromiseId {
        let promise = self.promises.single();
        if self.connection.is_some() {
            self.promises
                .settle(promise.number, Err(Error::AlreadyConnected));
            return promise;
        }
        if (1..MIN_FRAME_MAX).contains(&self.options.frame_max) {
            let error = format!(
                "frame_max is {}, and AMQP asks for {MIN_FRAME_MAX} at least",
                self.options.frame_max
            );
            self.promises
                .settle(promise.number, Err(Error::InvalidArgument(error)));
            return promise;
        }
        let limit = self.options.connect_timeout;
        let deadline = now() + limit;
        self.connections += 1;
        let login = Login {
            username: self.url.username.clone(),
            password: self.url.password.clone(),
            vhost: self.url.vhost.clone(),
        };
        let epoch = self.connections * EPOCHS;
        let config = Config {
            login,
            options: self.options.clone(),
            client: self.client,
            epoch,
        };
        self.input.clear();
        self.last_error = None;
        self.connection = Some(Connection::new(promise.number, config));
        self.deadline = Some((deadline, "connecting"));
        let started = transport::resolve(&self.url.host, self.url.port, limit)
            .map_err(|error| Broken::Resolve {
                host: self.url.host.clone(),
                error: Arc::new(error),
            })
            .and_then(|addresses| self.reactor.connect(addresses, deadline));
        if let Err(broken) = started {
            self.disconnected(broken);
        }
        promise
    }

    /// Begins to close.
    pub(crate) fn close(&mut self) -> PromiseId {
        let promise = self.promises.single();
        match &mut self.connection {
            Some(connection) => {
                connection.close(promise.number);
                self.deadline = Some((now() + self.options.connect_timeout, "closing"));
                self.collect();
            }
            None => self
                .promises
                .settle(promise.number, Err(Error::NotConnected)),
        }
        promise
    }

    /// A promise of one result, for what the connection is told to do in `ask`.
    pub(crate) fn ask(&mut self, ask: impl FnOnce(&mut Connection, u64)) -> PromiseId {
        let promise = self.promises.single();
        self.tell(promise, ask);
        promise
    }

    /// A promise of one result, for a plain request.
    pub(crate) fn request(&mut self, request: Request) -> PromiseId {
        self.ask(|connection, number| connection.request(number, request))
    }

    /// A promise of deliveries.
    pub(crate) fn consume(&mut self, request: Request) -> PromiseId {
        let promise = self.promises.consumer();
        self.tell(promise, |connection, number| {
            connection.request(number, request)
        });
        promise
    }

    fn tell(&mut self, promise: PromiseId, ask: impl FnOnce(&mut Connection, u64)) {
        match &mut self.connection {
            Some(connection) => {
                ask(connection, promise.number);
                self.collect();
            }
            None => self
                .promises
                .settle(promise.number, Err(Error::NotConnected)),
        }
    }

    pub(crate) fn publish(
        &mut self,
        exchange: &str,
        routing_key: &str,
        message: Message,
    ) -> PromiseId {
        if self.options.blocking_publish {
            // A poll that fails will fail again where somebody can be told.
            while !self.has_room() && self.connection.is_some() && self.turn(None).is_ok() {}
        }
        self.ask(|connection, number| connection.publish(number, exchange, routing_key, message))
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

    /// Results to the promises; and the end of a connection that is over.
    fn collect(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Settled(number, result) => {
                    if let Ok(Outcome::Connected(_)) = result {
                        self.deadline = None;
                    }
                    self.promises.settle(number, result);
                }
                Event::Delivery(number, delivery) => self.promises.deliver(number, delivery),
            }
        }
        if connection.is_over() {
            self.say_goodbye();
        }
    }

    /// Writes the last frames as far as the socket takes them, and closes it.
    fn say_goodbye(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.last_error = connection.take_end();
            let _ = write_all(&mut self.reactor, &mut connection);
        }
        self.reactor.drop_socket();
        self.input.clear();
        self.deadline = None;
    }

    fn disconnected(&mut self, broken: Broken) {
        if let Some(connection) = &mut self.connection {
            connection.handle_disconnect(broken);
        }
        self.reactor.drop_socket();
        self.collect();
    }

    /// Writes what there is, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if connection.out.is_empty() && !self.reactor.is_connecting() {
            return;
        }
        if let Err(broken) = write_all(&mut self.reactor, connection) {
            self.disconnected(broken);
        }
    }

    /// Reads what there is, within reason.
    pub(crate) fn read(&mut self) {
        if !self.reactor.is_readable() {
            return;
        }
        let Self {
            connection,
            reactor,
            input,
            ..
        } = self;
        let Some(connection) = connection else {
            return;
        };
        let result = reactor.read(input, |input| {
            connection.handle_input(input, now());
            !connection.is_over()
        });
        // What came before an end comes before it.
        self.collect();
        if let Err(broken) = result {
            self.disconnected(broken);
        }
    }

    /// Sees to every timer whose time has come.
    pub(crate) fn handle_timeout(&mut self) {
        let now = now();
        if self.deadline.is_some_and(|(deadline, _)| now >= deadline)
            && let Some((_, what)) = self.deadline.take()
        {
            // The addresses that were tried say more than the time does.
            let limit = self.options.connect_timeout;
            let broken = self
                .reactor
                .handle_timeout()
                .err()
                .unwrap_or(Broken::TimedOut { what, limit });
            return self.disconnected(broken);
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
            self.deadline.map(|(deadline, _)| deadline),
            self.reactor.poll_timeout(),
            self.connection.as_ref().and_then(Connection::poll_timeout),
        ];
        timers.into_iter().flatten().min()
    }

    /// Writes, sleeps until something happens or the time is up (`None` is for ever), reads, and sees to the timers.
    pub(crate) fn turn(&mut self, until: Option<Instant>) -> Result<()> {
        self.flush();
        let wake = [until, self.next_timeout()].into_iter().flatten().min();
        self.reactor
            .poll(wake)
            .map_err(|error| Error::Poll(Arc::new(error)))?;
        self.after_poll();
        Ok(())
    }

    /// Uses what a poll has told, and sees to the timers.
    pub(crate) fn after_poll(&mut self) {
        self.flush();
        self.read();
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

    pub(crate) fn has_room(&self) -> bool {
        self.buffered() < self.options.high_water_mark
    }

    pub(crate) fn needs_write(&self) -> bool {
        let unsent = self
            .connection
            .as_ref()
            .is_some_and(|connection| !connection.out.is_empty());
        unsent || self.reactor.is_connecting()
    }
}

fn write_all(reactor: &mut Reactor, connection: &mut Connection) -> Result<(), Broken> {
    for _ in 0..WRITES_PER_TURN {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = connection.out.slices(&mut slices);
        if used == 0 && !reactor.is_connecting() {
            break;
        }
        let count = reactor.write(&slices[..used])?;
        if count == 0 {
            break;
        }
        connection.handle_written(count, now());
    }
    Ok(())
}
