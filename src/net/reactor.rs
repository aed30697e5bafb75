//! Waiting for one socket: mio, the clock, and the turn of addresses while connecting. It knows nothing of AMQP, and is
//! the only place that polls.
//!
//! mio tells each change of readiness once, so what was told and not used up is kept, and whoever stops by a limit of his
//! own finds it again: [`is_readable`](Reactor::is_readable) and [`is_writable`](Reactor::is_writable) say that there is
//! something to do now, and nobody sleeps while one of them does. A program with a poll of its own uses everything but
//! [`Reactor::poll`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::net::clock::now;
use crate::net::transport::{ReadOutcome, SocketOptions, Stream, TlsConfig, Transport, Watch};
use crate::types::error::Broken;

/// How many bytes one turn reads before it sees to writes and timers, and to what has come, while that is in the cache.
const BYTES_PER_TURN: usize = 256 * 1024;

/// What takes the bytes that a socket brings.
pub(crate) trait Inlet {
    /// Where they go: into one buffer, then the other.
    fn space(&mut self) -> [&mut [u8]; 2];

    /// So many are there; false if it has had enough.
    fn filled(&mut self, count: usize) -> bool;
}

/// In this reactor's own poll.
const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

#[derive(Debug)]
pub(crate) struct Reactor {
    /// Made when first needed: a program with its own poll never needs it.
    poll: Option<(Poll, Events)>,
    socket: Option<Socket>,
    /// What is readable is not to be read for now.
    is_paused: bool,
    /// Another poll to which the user gave the client: each new socket goes there, too.
    #[cfg(unix)]
    registered: Option<(mio::Registry, Token, Interest)>,
    /// What wakes the poll up: there may be one of a kind, so all share it.
    waker: Option<Arc<Waker>>,
}

#[derive(Debug)]
struct Socket {
    transport: Transport,
    connecting: Option<Connecting>,
    in_poll: bool,
    ready: Ready,
    /// Over TCP, if the user wants to know of a host that vanishes.
    watch: Option<Watch>,
}

/// What was told of a socket, and has not been used up.
#[derive(Debug, Default)]
struct Ready {
    read: bool,
    /// A short read does not tell that the socket is drained: its end may have been told already.
    must_drain: bool,
    /// The peer has ended it: what is left to read is no more than the system has.
    ended: bool,
    write: bool,
    /// TLS takes nothing before it has read.
    read_first: bool,
}

impl Ready {
    fn note(&mut self, event: &Event) {
        let ended = event.is_read_closed() || event.is_error();
        self.read |= event.is_readable() || ended;
        self.must_drain |= ended;
        self.ended |= ended;
        self.write |= event.is_writable() || event.is_error();
    }

    fn drained(&mut self) {
        self.read = false;
        self.must_drain = false;
    }
}

/// What is left to try.
#[derive(Debug)]
struct Connecting {
    address: SocketAddr,
    next: VecDeque<SocketAddr>,
    /// When this address has had its share of the time.
    deadline: Instant,
    /// When all of them have.
    last_deadline: Instant,
    failures: Vec<String>,
    options: SocketOptions,
    tls: Option<Security>,
}

/// TLS, and the name that the peer's certificate must have.
pub(crate) type Security = (TlsConfig, String);

impl Connecting {
    /// Begins to connect to the next address.
    fn next(mut self) -> Result<(Transport, Self), Broken> {
        while let Some(address) = self.next.pop_front() {
            let now = now();
            let left = self.last_deadline.saturating_duration_since(now);
            match Transport::connect(address, &self.options) {
                Ok(mut transport) => {
                    log::debug!("connecting to {address}");
                    if let Some((config, name)) = &self.tls {
                        transport.secure(config, name)?;
                    }
                    self.address = address;
                    // Each that is left has its share of the time.
                    let shares = u32::try_from(self.next.len() + 1).unwrap_or(u32::MAX);
                    self.deadline = now + left / shares;
                    return Ok((transport, self));
                }
                Err(error) => self.failures.push(format!("{address}: {error}")),
            }
        }
        if self.failures.is_empty() {
            self.failures.push("the host has no address".into());
        }
        Err(Broken::Connect(self.failures.join("; ")))
    }
}

impl Reactor {
    pub(crate) fn new() -> Self {
        Self {
            poll: None,
            socket: None,
            is_paused: false,
            #[cfg(unix)]
            registered: None,
            waker: None,
        }
    }

    /// Begins to connect to the first of the addresses; each has its share of the time.
    pub(crate) fn connect(
        &mut self,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
        options: SocketOptions,
        tls: Option<Security>,
    ) -> Result<(), Broken> {
        self.try_next(Connecting {
            address: SocketAddr::from(([0; 4], 0)), // None yet.
            next: addresses.into(),
            deadline,
            last_deadline: deadline,
            failures: Vec::new(),
            options,
            tls,
        })
    }

    fn try_next(&mut self, connecting: Connecting) -> Result<(), Broken> {
        self.drop_socket();
        let (transport, connecting) = connecting.next()?;
        self.enter(transport, Some(connecting))
    }

    /// Takes over a stream that is connected.
    pub(crate) fn adopt(
        &mut self,
        stream: Box<dyn Stream>,
        tls: Option<Security>,
    ) -> Result<(), Broken> {
        let mut transport = Transport::over(stream);
        if let Some((config, name)) = &tls {
            transport.secure(config, name)?;
        }
        self.enter(transport, None)
    }

    fn enter(
        &mut self,
        transport: Transport,
        connecting: Option<Connecting>,
    ) -> Result<(), Broken> {
        self.socket = Some(Socket {
            transport,
            connecting,
            in_poll: false,
            ready: Ready {
                write: true,
                ..Ready::default()
            },
            watch: None,
        });
        self.register_elsewhere()
            .map_err(|error| Broken::Io(Arc::new(error)))
    }

    /// Whether the socket is connected, trying the next address where one failed.
    fn check_connected(&mut self) -> Result<bool, Broken> {
        let Some(socket) = &mut self.socket else {
            return Ok(false);
        };
        let Some(connecting) = &socket.connecting else {
            return Ok(true);
        };
        let failure = match socket.transport.is_connected() {
            Ok(true) => {
                log::debug!("TCP connection to {} is up", connecting.address);
                socket.watch = connecting.options.tcp_timeout.map(Watch::new);
                socket.connecting = None;
                return Ok(true);
            }
            Ok(false) if now() < connecting.deadline => return Ok(false),
            Ok(false) => "no answer in time".to_owned(),
            Err(error) => error.to_string(),
        };
        if let Some(mut connecting) = socket.connecting.take() {
            let address = connecting.address;
            log::debug!("cannot connect to {address}: {failure}");
            connecting.failures.push(format!("{address}: {failure}"));
            self.try_next(connecting)?;
        }
        Ok(false)
    }

    /// Closes the socket.
    pub(crate) fn drop_socket(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.transport.goodbye();
        }
        // The poll forgets a socket that is closed.
        self.socket = None;
    }

    /// Sleeps until the socket is ready, or the time has come; `None` is for ever. Never sleeps on what is known already.
    pub(crate) fn poll(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.enter_poll()?;
        let until = if self.is_readable() {
            Some(now())
        } else {
            until
        };
        let Some((poll, events)) = &mut self.poll else {
            return Ok(());
        };
        poll_until(poll, events, until)?;
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        for event in events.iter().filter(|event| event.token() == SOCKET) {
            socket.ready.note(event);
        }
        Ok(())
    }

    /// Sees whether the peer has ended a socket that is not read for a pause: there is no other way to hear of that.
    pub(crate) fn look_for_end(&mut self) {
        if self.is_paused && !self.has_ended() {
            // Should this poll fail, the one that sleeps tells.
            let _ = self.poll(Some(now()));
        }
    }

    /// What wakes this reactor's own poll up.
    pub(crate) fn waker(&mut self) -> io::Result<Arc<Waker>> {
        self.enter_poll()?;
        match (&self.waker, &self.poll) {
            (Some(waker), _) => Ok(waker.clone()),
            (None, Some((poll, _))) => {
                let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
                Ok(self.waker.insert(waker).clone())
            }
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Puts the socket into this reactor's own poll, if it is not there yet.
    pub(crate) fn enter_poll(&mut self) -> io::Result<()> {
        let (poll, _) = match &mut self.poll {
            Some(poll) => poll,
            none => none.insert((Poll::new()?, Events::with_capacity(8))),
        };
        if let Some(socket) = self.socket.as_mut().filter(|socket| !socket.in_poll) {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(socket.transport.source(), SOCKET, interest)?;
            socket.in_poll = true;
        }
        Ok(())
    }

    /// Another poll has told, or somebody wants to see.
    pub(crate) fn set_readable(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.ready.read = true;
            socket.ready.must_drain = true;
        }
    }

    /// Another poll has told.
    pub(crate) fn set_writable(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.ready.write = true;
        }
    }

    /// Whether there may be something to read now.
    pub(crate) fn is_readable(&self) -> bool {
        !self.is_paused && self.has_unread()
    }

    /// Whether the socket may take something now.
    pub(crate) fn is_writable(&self) -> bool {
        let is_writable = |socket: &Socket| {
            socket.connecting.is_none() && socket.ready.write && !socket.ready.read_first
        };
        self.socket.as_ref().is_some_and(is_writable)
    }

    /// Whether the peer has ended the connection, as far as the poll has told.
    pub(crate) fn has_ended(&self) -> bool {
        self.socket
            .as_ref()
            .is_some_and(|socket| socket.ready.ended)
    }

    /// Whether what is readable is left unread.
    pub(crate) fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Whether a poll has told of bytes that were not read, be it for a pause.
    pub(crate) fn has_unread(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.ready.read)
    }

    /// Reads what there is, within reason, until the inlet has had enough.
    pub(crate) fn read(&mut self, inlet: &mut impl Inlet) -> Result<(), Broken> {
        if !self.check_connected()? {
            if let Some(socket) = &mut self.socket {
                socket.ready.read = false;
            }
            return Ok(());
        }
        let mut total = 0;
        while total < BYTES_PER_TURN {
            let Some(socket) = self.socket.as_mut().filter(|socket| socket.ready.read) else {
                break;
            };
            // A short read has drained the socket, as epoll(7) says, unless its end was told with it.
            let (count, drained) = match socket.transport.read(inlet.space())? {
                ReadOutcome::Eof => return Err(Broken::Eof),
                ReadOutcome::Bytes(count) => (count, false),
                ReadOutcome::LastBytes(count) => (count, !socket.ready.must_drain),
                ReadOutcome::WouldBlock => (0, true),
            };
            // Whatever TLS has read, it may take more for it.
            socket.ready.read_first = false;
            if drained {
                socket.ready.drained();
            }
            if count > 0
                && let Some(watch) = &mut socket.watch
            {
                watch.heard();
            }
            // A read that brought nothing is no sign of life.
            if count == 0 || !inlet.filled(count) {
                break;
            }
            total += count;
        }
        Ok(())
    }

    /// Whether the transport has bytes for the socket that it was given before.
    pub(crate) fn wants_write(&self) -> bool {
        self.socket
            .as_ref()
            .is_some_and(|socket| socket.transport.wants_write())
    }

    /// Writes those.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        if self.wants_write() {
            self.write(&[], false)?;
        }
        Ok(())
    }

    /// Has the system send what it may have held back.
    pub(crate) fn push(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.transport.push();
        }
    }

    /// Has a thread write a heartbeat after so much silence; `idle` as in [`set_idle`](Self::set_idle).
    pub(crate) fn keep(&mut self, every: Duration, idle: bool) -> io::Result<()> {
        match &mut self.socket {
            Some(socket) => socket.transport.keep(every, idle),
            None => Ok(()),
        }
    }

    /// Whether everything written so far ends with a whole frame, and nothing is left.
    pub(crate) fn set_idle(&mut self, idle: bool) {
        if let Some(socket) = &mut self.socket {
            socket.transport.set_idle(idle);
        }
    }

    /// Writes once; 0: the socket takes nothing for now. With `more` the system may hold the bytes back for a moment, or
    /// until the next [`push`](Self::push).
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>], more: bool) -> Result<usize, Broken> {
        if !self.check_connected()? {
            return Ok(0);
        }
        let Some(socket) = self.socket.as_mut().filter(|socket| socket.ready.write) else {
            return Ok(0);
        };
        match socket.transport.write(slices, more)? {
            Some(count) => {
                if let Some(watch) = &mut socket.watch {
                    watch.wrote(now);
                }
                let has_bytes = slices.iter().any(|slice| !slice.is_empty());
                socket.ready.read_first = count == 0 && has_bytes;
                Ok(count)
            }
            None => {
                socket.ready.write = false;
                Ok(0)
            }
        }
    }

    /// Sees to an address whose time is up, and to a peer whose host may be gone.
    pub(crate) fn handle_timeout(&mut self) -> Result<(), Broken> {
        self.check_connected()?;
        if let Some(socket) = &mut self.socket
            && let Some(watch) = socket.watch.as_mut().filter(|watch| watch.next().is_some())
        {
            let peer = || socket.transport.ask_for_peer();
            watch
                .look(now(), peer)
                .map_err(|error| Broken::Io(Arc::new(error)))?;
        }
        Ok(())
    }

    /// The descriptor of this reactor's own poll, which tells when that has something to tell.
    #[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
    pub(crate) fn poll_fd(&self) -> Option<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.poll.as_ref().map(|(poll, _)| poll.as_raw_fd())
    }

    /// Whether the socket is not connected yet: then it becomes writable when it is.
    pub(crate) fn is_connecting(&self) -> bool {
        self.socket
            .as_ref()
            .is_some_and(|socket| socket.connecting.is_some())
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let socket = self.socket.as_ref()?;
        match &socket.connecting {
            Some(connecting) => Some(connecting.deadline),
            None => socket.watch.as_ref()?.next(),
        }
    }

    #[cfg(unix)]
    pub(crate) fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(self.socket.as_ref()?.transport.as_fd())
    }

    #[cfg(unix)]
    fn register_elsewhere(&mut self) -> io::Result<()> {
        match &self.registered {
            Some((registry, token, interest)) => self.register_fd(registry, *token, *interest),
            None => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn register_elsewhere(&mut self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(unix)]
    fn register_fd(
        &self,
        registry: &mio::Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        match self.as_fd() {
            Some(fd) => {
                registry.register(&mut mio::unix::SourceFd(&fd.as_raw_fd()), token, interest)
            }
            None => Ok(()),
        }
    }
}

pub(crate) fn poll_until(
    poll: &mut Poll,
    events: &mut Events,
    until: Option<Instant>,
) -> io::Result<()> {
    let timeout = until.map(|until| round_up(until.saturating_duration_since(now())));
    match poll.poll(events, timeout) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result,
    }
}

/// To whole milliseconds, as polls count: or they would wake just before the time, and spin.
fn round_up(duration: Duration) -> Duration {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(unix)]
impl mio::event::Source for Reactor {
    fn register(
        &mut self,
        registry: &mio::Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.registered = Some((registry.try_clone()?, token, interest));
        self.register_fd(registry, token, interest)
    }

    fn reregister(
        &mut self,
        registry: &mio::Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        self.registered = Some((registry.try_clone()?, token, interest));
        match self.as_fd() {
            Some(fd) => {
                registry.reregister(&mut mio::unix::SourceFd(&fd.as_raw_fd()), token, interest)
            }
            None => Ok(()),
        }
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        self.registered = None;
        match self.as_fd() {
            Some(fd) => registry.deregister(&mut mio::unix::SourceFd(&fd.as_raw_fd())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address where nobody listens.
    fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    /// Turns until the socket is connected, or cannot be.
    fn connect(addresses: Vec<SocketAddr>) -> Result<SocketAddr, Broken> {
        let mut reactor = Reactor::new();
        let deadline = now() + Duration::from_secs(30);
        reactor.connect(addresses, deadline, SocketOptions::default(), None)?;
        while reactor.is_connecting() {
            reactor.poll(reactor.poll_timeout()).unwrap();
            reactor.handle_timeout()?;
        }
        let socket = reactor.socket.unwrap();
        Ok(socket.transport.peer_addr().unwrap())
    }

    #[test]
    fn each_address_is_tried_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert_eq!(connect(vec![open]).unwrap(), open);
        assert_eq!(connect(vec![closed(), closed(), open]).unwrap(), open);
    }

    #[test]
    fn where_no_address_answers_all_are_named() {
        let (one, two) = (closed(), closed());
        let error = connect(vec![one, two]).unwrap_err().to_string();
        assert!(
            error.contains(&one.to_string()) && error.contains(&two.to_string()),
            "{error}"
        );
        let error = connect(Vec::new()).unwrap_err().to_string();
        assert!(error.contains("no address"), "{error}");
    }
}
