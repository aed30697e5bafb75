//! What a connection may run over: a TCP socket of our own, or any stream that the user gives.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

use super::held::Held;
use super::io::{ReadOutcome, retry, would_block};
#[cfg(target_os = "linux")]
use super::watch;
use super::watch::Peer;
#[cfg(feature = "testing")]
use crate::net::memory;
use crate::types::error::Disconnect;

/// A stream to run a connection over, in place of the client's own TCP socket: a [`mio::net::UnixStream`], a
/// [`mio::net::TcpStream`] that is connected already, or a type of one's own. Whatever has these traits is one.
///
/// It must be connected, and must not block: what cannot be done now fails with [`WouldBlock`](io::ErrorKind::WouldBlock),
/// and the readiness that mio tells of its source says when to try again. What `write` takes must get out without
/// `flush`, which is never called.
#[cfg(unix)]
pub trait Stream: Read + Write + Source + AsFd + Send {}
#[cfg(unix)]
impl<T: Read + Write + Source + AsFd + Send> Stream for T {}

/// A stream to run a connection over, in place of the client's own TCP socket: a [`mio::net::TcpStream`] that is
/// connected already, or a type of one's own. Whatever has these traits is one.
///
/// It must be connected, and must not block: what cannot be done now fails with [`WouldBlock`](io::ErrorKind::WouldBlock),
/// and the readiness that mio tells of its source says when to try again. What `write` takes must get out without
/// `flush`, which is never called.
#[cfg(not(unix))]
pub trait Stream: Read + Write + Source + Send {}
#[cfg(not(unix))]
impl<T: Read + Write + Source + Send> Stream for T {}

/// What to tell the system about a TCP connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SocketOptions {
    /// About how long a peer may be gone without a word until the system notices.
    pub(crate) tcp_timeout: Option<Duration>,
}

impl SocketOptions {
    /// Nothing is lost if one cannot be set.
    fn apply(self, stream: &TcpStream) {
        // Small frames must not wait for each other's acknowledgements.
        let _ = stream.set_nodelay(true);
        let Some(timeout) = self.tcp_timeout else {
            return;
        };
        // It only watches a silent connection. While bytes are on their way, `watch.rs` does.
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive(timeout));
    }
}

/// Probes begin after half the time, and four of them fill the other half.
fn keepalive(timeout: Duration) -> TcpKeepalive {
    let idle = whole_seconds(timeout / 2);
    let keepalive = TcpKeepalive::new().with_time(idle);
    #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "windows",
    ))]
    let keepalive = keepalive
        .with_interval(whole_seconds(timeout / 8))
        .with_retries(4);
    keepalive
}

/// The system counts in seconds, and takes no 0, nor what does not fit its counters.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().clamp(1, 32_767))
}

/// Whether a read that did not fill its buffer has drained the socket, and what comes next is told anew. Elsewhere mio
/// tells of more only after a read that would have blocked.
const SHORT_READ_DRAINS: bool = cfg!(all(
    not(mio_unsupported_force_poll_poll),
    any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
    )
));

/// Another handle to a socket, for the keeper.
#[derive(Debug)]
pub(super) enum Duplicate {
    Socket(socket2::Socket),
    #[cfg(feature = "testing")]
    Memory(memory::Endpoint),
}

impl Write for Duplicate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => (&*socket).write(bytes),
            #[cfg(feature = "testing")]
            Self::Memory(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One of them, non-blocking.
pub(super) enum Endpoint {
    Tcp {
        stream: TcpStream,
        options: SocketOptions,
        held: Held,
    },
    Given(Box<dyn Stream>),
    #[cfg(feature = "testing")]
    Memory {
        stream: memory::Endpoint,
        more: bool,
    },
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { stream, .. } => stream.fmt(f),
            Self::Given(_) => f.write_str("Given(..)"),
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => stream.fmt(f),
        }
    }
}

impl Endpoint {
    pub(super) fn connect(address: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Ok(Self::Tcp {
            stream,
            options,
            held: Held::default(),
        })
    }

    /// Whether what is written from now on may wait in the system for more to follow.
    pub(super) fn set_more(&mut self, more: bool) {
        match self {
            Self::Tcp { held, .. } => held.set_more(more),
            Self::Given(_) => {}
            #[cfg(feature = "testing")]
            Self::Memory { more: held, .. } => *held = more,
        }
    }

    /// Has the system send what it holds back.
    pub(super) fn push(&mut self) {
        match self {
            Self::Tcp { stream, held, .. } => held.push(stream),
            Self::Given(_) => {}
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => stream.push(),
        }
    }

    /// Whether it is connected; an error if it never will be.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        let (stream, options) = match self {
            Self::Tcp {
                stream, options, ..
            } => (stream, options),
            Self::Given(_) => return Ok(true),
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => return stream.is_connected(),
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => {
                options.apply(stream);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads once, into one buffer and then the other.
    pub(super) fn read_once(&mut self, buffers: [&mut [u8]; 2]) -> Result<ReadOutcome, Disconnect> {
        let room: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let result = match buffers {
            [[], one] | [one, []] => self.read(one),
            buffers => self.read_vectored(&mut buffers.map(IoSliceMut::new)),
        };
        match would_block(result).map_err(|error| Disconnect::Io(Arc::new(error)))? {
            None => Ok(ReadOutcome::WouldBlock),
            Some(0) => Ok(ReadOutcome::Eof),
            Some(count) if count < room && self.short_read_drains() => {
                Ok(ReadOutcome::LastBytes(count))
            }
            Some(count) => Ok(ReadOutcome::Bytes(count)),
        }
    }

    fn short_read_drains(&self) -> bool {
        match self {
            Self::Tcp { .. } => SHORT_READ_DRAINS,
            // Of a user's own stream nobody knows.
            Self::Given(_) => false,
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => stream.short_read_drains(),
        }
    }

    /// What the system knows of the peer's host.
    pub(super) fn ask_for_peer(&self) -> Peer {
        #[cfg(target_os = "linux")]
        if let Self::Tcp { stream, .. } = self
            && let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr())
        {
            return watch::ask(local, peer);
        }
        #[cfg(feature = "testing")]
        if let Self::Memory { stream, .. } = self {
            return match stream.is_acknowledged() {
                Some(true) => Peer::HasAll,
                Some(false) => Peer::Answers,
                None => Peer::IsSilent,
            };
        }
        Peer::Unknown
    }

    /// Another handle to the same socket.
    pub(super) fn duplicate(&self) -> io::Result<Duplicate> {
        match self {
            Self::Tcp { stream, .. } => SockRef::from(stream).try_clone().map(Duplicate::Socket),
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => Ok(Duplicate::Memory(stream.duplicate())),
            Self::Given(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp { stream, .. } => stream,
            Self::Given(stream) => &mut **stream,
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => stream,
        }
    }

    #[cfg(unix)]
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Tcp { stream, .. } => Some(stream.as_fd()),
            Self::Given(stream) => Some(stream.as_fd()),
            #[cfg(feature = "testing")]
            Self::Memory { .. } => None,
        }
    }
}

impl Read for Endpoint {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, .. } => retry(|| stream.read(buffer)),
            // A count that is too high must not become a panic somewhere else.
            Self::Given(stream) => retry(|| stream.read(buffer)).map(|n| n.min(buffer.len())),
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => stream.read(buffer),
        }
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        match self {
            Self::Tcp { stream, .. } => retry(|| stream.read_vectored(buffers)),
            Self::Given(stream) => retry(|| stream.read_vectored(buffers)).map(|n| n.min(room)),
            #[cfg(feature = "testing")]
            Self::Memory { stream, .. } => stream.read_vectored(buffers),
        }
    }
}

impl Write for Endpoint {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, held, .. } => retry(|| held.write(stream, slices)),
            Self::Given(stream) => {
                let all = slices.iter().map(|slice| slice.len()).sum();
                retry(|| stream.write_vectored(slices)).map(|count| count.min(all))
            }
            #[cfg(feature = "testing")]
            Self::Memory { stream, more } => stream.write_some(slices, *more),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
