//! Waiting for one socket, in whatever world. It knows nothing of AMQP.
//!
//! A poll tells each change of readiness once, so what was told and not used up is kept, and whoever stops by a limit of his
//! own finds it again: [`is_readable`](Reactor::is_readable) and [`is_writable`](Reactor::is_writable) say that there is
//! something to do now, and nobody sleeps while one of them does. A program with a poll of its own uses everything but
//! [`Reactor::poll`].

mod elsewhere;
#[cfg(feature = "testing")]
mod in_memory;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(unix)]
use mio::{Interest, Token};

use crate::net::World;
use crate::net::connecting::Connecting;
pub(crate) use crate::net::connecting::Security;
use crate::net::poller::{Poller, Waker};
use crate::net::ready::{Belief, Ready};
use crate::net::transport::{ReadOutcome, SocketOptions, Stream, Transport, Watch};
use crate::types::error::Disconnect;

/// How many bytes one turn reads before it sees to writes and timers, and to what has come, while that is in the cache.
const BYTES_PER_TURN: usize = 256 * 1024;

/// What takes the bytes that a socket brings.
pub(crate) trait Inlet {
    /// Where they go: into one buffer, then the other.
    fn space(&mut self) -> [&mut [u8]; 2];

    /// So many are there, at this time; false if it has had enough.
    fn filled(&mut self, count: usize, now: Instant) -> bool;
}

#[derive(Debug)]
pub(crate) struct Reactor {
    world: World,
    /// Made when first needed: a program with its own poll never needs it.
    poller: Option<Poller>,
    socket: Option<Socket>,
    /// What is readable is not to be read for now.
    is_paused: bool,
    /// What the client believes, for a world that checks it.
    belief: Belief,
    /// Another poll to which the user gave the client: each new socket goes there, too.
    #[cfg(unix)]
    registered: Option<(mio::Registry, Token, Interest)>,
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

impl Reactor {
    pub(crate) fn new(world: World) -> Self {
        Self {
            world,
            poller: None,
            socket: None,
            is_paused: false,
            belief: Belief::default(),
            #[cfg(unix)]
            registered: None,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.now()
    }

    /// Begins to connect to the first of the addresses; each has its share of the time.
    pub(crate) fn connect(
        &mut self,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
        options: SocketOptions,
        tls: Option<Security>,
    ) -> Result<(), Disconnect> {
        self.try_next(Connecting::new(addresses, deadline, options, tls))
    }

    fn try_next(&mut self, connecting: Connecting) -> Result<(), Disconnect> {
        self.drop_socket();
        let (transport, connecting) = connecting.next(&self.world)?;
        self.enter(transport, Some(connecting))
    }

    /// Takes over a stream that is connected.
    pub(crate) fn adopt(
        &mut self,
        stream: Box<dyn Stream>,
        tls: Option<Security>,
    ) -> Result<(), Disconnect> {
        let mut transport = Transport::over(stream, self.world.clock());
        if let Some((config, name)) = &tls {
            transport.secure(config, name)?;
        }
        self.enter(transport, None)
    }

    fn enter(
        &mut self,
        transport: Transport,
        connecting: Option<Connecting>,
    ) -> Result<(), Disconnect> {
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
            .map_err(|error| Disconnect::Io(Arc::new(error)))
    }

    /// Whether the socket is connected, trying the next address where one failed.
    fn check_connected(&mut self) -> Result<bool, Disconnect> {
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
            Ok(false) if self.world.now() < connecting.deadline => return Ok(false),
            Ok(false) => "no answer in time".to_owned(),
            Err(error) => error.to_string(),
        };
        if let Some(mut connecting) = socket.connecting.take() {
            connecting.failed(&failure);
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
            Some(self.world.now())
        } else {
            until
        };
        let Some(poller) = &mut self.poller else {
            return Ok(());
        };
        let belief = Belief {
            is_paused: self.is_paused,
            ..self.belief
        };
        let told = poller.poll(until, belief)?;
        if let Some(socket) = &mut self.socket {
            socket.ready.note(told);
        }
        Ok(())
    }

    /// Sees whether the peer has ended a socket that is not read for a pause: there is no other way to hear of that.
    pub(crate) fn look_for_end(&mut self) {
        if self.is_paused && !self.has_ended() {
            // Should this poll fail, the one that sleeps tells.
            let _ = self.poll(Some(self.world.now()));
        }
    }

    /// What wakes this reactor's own poll up.
    pub(crate) fn waker(&mut self) -> io::Result<Waker> {
        self.enter_poll()?.waker()
    }

    /// Puts the socket into this reactor's own poll, if it is not there yet.
    pub(crate) fn enter_poll(&mut self) -> io::Result<&mut Poller> {
        let poller = match &mut self.poller {
            Some(poller) => poller,
            none => none.insert(self.world.poller()?),
        };
        if let Some(socket) = self.socket.as_mut().filter(|socket| !socket.in_poll) {
            poller.register(&mut socket.transport)?;
            socket.in_poll = true;
        }
        Ok(poller)
    }

    /// What the client believes when it goes to sleep next.
    pub(crate) fn set_belief(&mut self, belief: Belief) {
        self.belief = belief;
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
    pub(crate) fn read(&mut self, inlet: &mut impl Inlet) -> Result<(), Disconnect> {
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
                ReadOutcome::Eof => return Err(Disconnect::Eof),
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
            if count == 0 || !inlet.filled(count, self.world.now()) {
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
    pub(crate) fn flush(&mut self) -> Result<(), Disconnect> {
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
    pub(crate) fn write(
        &mut self,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Result<usize, Disconnect> {
        if !self.check_connected()? {
            return Ok(0);
        }
        let Some(socket) = self.socket.as_mut().filter(|socket| socket.ready.write) else {
            return Ok(0);
        };
        match socket.transport.write(slices, more)? {
            Some(count) => {
                if let Some(watch) = &mut socket.watch {
                    watch.wrote(|| self.world.now());
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
    pub(crate) fn handle_timeout(&mut self) -> Result<(), Disconnect> {
        self.check_connected()?;
        if let Some(socket) = &mut self.socket
            && let Some(watch) = socket.watch.as_mut().filter(|watch| watch.next().is_some())
        {
            let peer = || socket.transport.ask_for_peer();
            watch
                .look(self.world.now(), peer)
                .map_err(|error| Disconnect::Io(Arc::new(error)))?;
        }
        Ok(())
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
        self.socket.as_ref()?.transport.as_fd()
    }
}
