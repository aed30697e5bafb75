//! The socket: connect, read, write. The only place that does I/O.
//!
//! `stream.rs` has what is below (TCP, or a stream of the user's), `tls.rs` what may be between, `lane.rs` the write
//! side that the client shares with `keeper.rs`, the thread that writes heartbeats; `watch.rs` finds a host that has
//! vanished.

mod held;
mod io;
mod keeper;
mod lane;
#[cfg(feature = "testing")]
mod pretended;
mod seal;
mod stream;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod watch;

#[cfg(test)]
mod tests;

use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::net::clock::Clock;
#[cfg(feature = "testing")]
use crate::net::memory;
use crate::types::error::Disconnect;
use keeper::Shared;
use seal::Seal;
use stream::Endpoint;

pub(crate) use io::ReadOutcome;
pub(crate) use stream::SocketOptions;
pub use stream::Stream;
pub(crate) use tls::TlsConfig;
use watch::Peer;
pub(crate) use watch::Watch;

/// Who writes heartbeats while the program is elsewhere.
#[derive(Debug)]
enum Keeper {
    Thread(JoinHandle<()>),
    /// The network in memory does.
    #[cfg(feature = "testing")]
    Memory,
}

/// One non-blocking connection.
#[derive(Debug)]
pub(crate) struct Transport {
    endpoint: Endpoint,
    /// The TLS session, and what else it takes to write.
    shared: Shared,
    keeper: Option<Keeper>,
    is_secure: bool,
}

impl Transport {
    /// Begins to connect; [`is_connected`](Self::is_connected) tells the end.
    pub(crate) fn connect(
        address: SocketAddr,
        options: &SocketOptions,
        clock: Clock,
    ) -> std::io::Result<Self> {
        Endpoint::connect(address, *options).map(|endpoint| Self::new(endpoint, clock))
    }

    /// Begins to connect in a network in memory.
    #[cfg(feature = "testing")]
    pub(crate) fn connect_in(
        network: &memory::Network,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> std::io::Result<Self> {
        let stream = network.connect(address)?;
        stream.set_tcp_timeout(options.tcp_timeout);
        let is_sealed = stream.is_sealed();
        let endpoint = Endpoint::Memory {
            stream,
            more: false,
        };
        let mut transport = Self::new(endpoint, network.clock());
        if is_sealed {
            let seal = Seal::Pretended(pretended::Pretended::new());
            transport.shared.lock().lane.session = Some(seal);
            transport.is_secure = true;
        }
        Ok(transport)
    }

    /// Over a stream that is connected.
    pub(crate) fn over(stream: Box<dyn Stream>, clock: Clock) -> Self {
        Self::new(Endpoint::Given(stream), clock)
    }

    fn new(endpoint: Endpoint, clock: Clock) -> Self {
        Self {
            endpoint,
            shared: Shared::new(clock),
            keeper: None,
            is_secure: false,
        }
    }

    /// Whether the socket is connected; an error if it never will be.
    pub(crate) fn is_connected(&self) -> std::io::Result<bool> {
        self.endpoint.is_connected()
    }

    /// Begins a TLS session, before anything is written. The server must have this name, unless `config` has one.
    pub(crate) fn secure(
        &mut self,
        config: &TlsConfig,
        server_name: &str,
    ) -> Result<(), Disconnect> {
        let session = tls::Session::new(config, server_name)?;
        self.shared.lock().lane.session = Some(Seal::Tls(Box::new(session)));
        self.is_secure = true;
        Ok(())
    }

    /// Reads once, into one buffer and then the other.
    pub(crate) fn read(&mut self, buffers: [&mut [u8]; 2]) -> Result<ReadOutcome, Disconnect> {
        let mut shared = self.shared.lock();
        let outcome = match &mut shared.lane.session {
            Some(session) => session.read(&mut self.endpoint, buffers)?,
            None => self.endpoint.read_once(buffers)?,
        };
        match (&outcome, &shared.failure) {
            // The system tells an error once, and the keeper has heard it.
            (ReadOutcome::Eof, Some(failure)) => Err(failure.clone()),
            _ => Ok(outcome),
        }
    }

    /// What the system knows of the peer's host.
    pub(crate) fn ask_for_peer(&self) -> Peer {
        self.endpoint.ask_for_peer()
    }

    /// How many bytes were taken; `None`: none until the socket is writable again.
    ///
    /// 0, if there was anything to write: the TLS session takes no more until its handshake is done.
    /// With `more` the system may hold the bytes back for a moment, or until [`push`](Self::push).
    pub(crate) fn write(
        &mut self,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Result<Option<usize>, Disconnect> {
        self.endpoint.set_more(more);
        let mut shared = self.shared.lock();
        let result = match &shared.failure {
            Some(failure) => Err(failure.clone()),
            None => shared
                .lane
                .write(&mut self.endpoint, slices)
                .map_err(|error| Disconnect::Io(Arc::new(error))),
        };
        match result {
            Ok(count) => {
                if count.is_some_and(|count| count > 0) {
                    shared.wrote();
                }
                Ok(count)
            }
            Err(broken) => Err(match &mut shared.lane.session {
                Some(session) => session.explain(&mut self.endpoint, broken),
                None => broken,
            }),
        }
    }

    /// Has the system send what it holds back.
    pub(crate) fn push(&mut self) {
        self.endpoint.push();
    }

    /// Whether there are bytes for the socket that have been taken before: a write of nothing writes them.
    pub(crate) fn wants_write(&self) -> bool {
        // Only TLS and the keeper take bytes that the socket has not: who has neither needs no lock.
        (self.is_secure || self.keeper.is_some()) && self.shared.lock().lane.wants_write()
    }

    /// Tells the peer that nothing more comes, as far as that can be told.
    pub(crate) fn goodbye(&mut self) {
        let mut shared = self.shared.lock();
        shared.set_idle(false);
        if let Some(session) = &mut shared.lane.session {
            session.goodbye(&mut self.endpoint);
        }
    }

    /// Starts a thread that writes a heartbeat whenever the connection is [idle](Self::set_idle), and nothing has been
    /// written for so long. Only over TCP. `idle` says how it is now, for there may be no write to come that would.
    pub(crate) fn keep(&mut self, every: Duration, idle: bool) -> std::io::Result<()> {
        self.stop_keeper();
        let duplicate = self.endpoint.duplicate()?;
        self.keeper = Some(match &self.endpoint {
            #[cfg(feature = "testing")]
            Endpoint::Memory { stream, .. } => {
                stream
                    .network()
                    .keep(self.shared.beats(duplicate, every, idle));
                Keeper::Memory
            }
            _ => Keeper::Thread(self.shared.keep(duplicate, every, idle)?),
        });
        Ok(())
    }

    /// Whether all that was written ends with a whole frame, and nothing is left to write. Each write says no.
    pub(crate) fn set_idle(&mut self, idle: bool) {
        if self.keeper.is_some() {
            self.shared.lock().set_idle(idle);
        }
    }

    fn stop_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            self.shared.lock().close();
            match keeper {
                Keeper::Thread(thread) => thread.thread().unpark(),
                // Its next beat is the last.
                #[cfg(feature = "testing")]
                Keeper::Memory => {}
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        match &self.endpoint {
            Endpoint::Tcp { stream, .. } => stream.peer_addr(),
            _ => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    /// Where it is a connection in memory.
    #[cfg(feature = "testing")]
    pub(crate) fn memory(&self) -> Option<&memory::Endpoint> {
        match &self.endpoint {
            Endpoint::Memory { stream, .. } => Some(stream),
            _ => None,
        }
    }

    /// What mio, or another poll, watches.
    pub(crate) fn source(&mut self) -> &mut dyn mio::event::Source {
        self.endpoint.source()
    }

    #[cfg(unix)]
    pub(crate) fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.endpoint.as_fd()
    }
}

impl Drop for Transport {
    /// The socket is closed, and forgotten by every poll, only when no handle to it is left.
    fn drop(&mut self) {
        self.stop_keeper();
    }
}
