//! The socket: name lookup, connect, read, write. The only place that does I/O.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use mio::net::TcpStream;

/// The least that one read asks for, and the most.
const READ_MIN: usize = 16 * 1024;
const READ_MAX: usize = 256 * 1024;

/// The addresses of a host.
///
/// The system's lookup cannot be interrupted, so it has a thread of its own, which is left to itself when time is up.
///
/// # Errors
/// What the system says, or `TimedOut`.
pub(crate) fn resolve(host: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let host = host.to_owned();
    thread::Builder::new()
        .name("puka-resolve".into())
        .spawn(move || {
            let addresses = (host.as_str(), port)
                .to_socket_addrs()
                .map(Iterator::collect);
            // Nobody listens any more if time was up.
            let _ = sender.send(addresses);
        })?;
    match receiver.recv_timeout(timeout) {
        Ok(addresses) => addresses,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the name lookup took too long",
        )),
    }
}

/// One non-blocking socket.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: TcpStream,
    /// How much the next read asks for: more where reads fill up.
    read_size: usize,
}

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Bytes,
    /// Fewer bytes than there was room for: the socket is drained.
    LastBytes,
    WouldBlock,
    Eof,
}

impl Transport {
    /// Begins to connect; [`is_connected`](Self::is_connected) tells the end.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::connect(address)?,
            read_size: READ_MIN,
        })
    }

    /// Whether the socket is connected; an error if it never will be.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // Small frames must not wait for each other's acknowledgements. Nothing is lost if it cannot be set.
                let _ = self.stream.set_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut BytesMut) -> io::Result<ReadOutcome> {
        let filled = buffer.len();
        buffer.resize(filled + self.read_size, 0);
        let result = retry(|| self.stream.read(&mut buffer[filled..]));
        let count = *result.as_ref().unwrap_or(&0);
        buffer.truncate(filled + count);
        match result {
            Ok(0) => Ok(ReadOutcome::Eof),
            Ok(count) if count == self.read_size => {
                self.read_size = (2 * self.read_size).min(READ_MAX);
                Ok(ReadOutcome::Bytes)
            }
            Ok(count) => {
                self.read_size = (2 * count).clamp(READ_MIN, READ_MAX);
                Ok(ReadOutcome::LastBytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(ReadOutcome::WouldBlock),
            Err(error) => Err(error),
        }
    }

    /// How many bytes the socket took; `None`: none for now.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        match retry(|| self.stream.write_vectored(slices)) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What mio, or another poll, watches.
    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    #[cfg(unix)]
    pub(crate) fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.stream)
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
