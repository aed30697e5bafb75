//! The transport against peers in threads, over loopback. Nothing waits for a time to pass: only for what must happen,
//! within a limit that no working machine reaches.

#[cfg(feature = "tls")]
mod certificates;
mod keeper;
#[cfg(feature = "tls")]
mod pki;
mod plain;
#[cfg(feature = "tls")]
mod tls;

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::BytesMut;
use mio::{Events, Interest, Poll, Token};

use super::{ReadOutcome, SocketOptions, Transport};
use crate::net::clock::Clock;
use crate::types::error::Disconnect;

/// What does not happen in this time never will.
const LIMIT: Duration = Duration::from_secs(60);

/// A transport with a poll of its own.
struct Client {
    transport: Transport,
    poll: Poll,
    received: BytesMut,
}

impl Client {
    fn new(mut transport: Transport) -> Self {
        let poll = Poll::new().unwrap();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(transport.source(), Token(0), interest)
            .unwrap();
        Self {
            transport,
            poll,
            received: BytesMut::new(),
        }
    }

    fn connect(address: SocketAddr) -> Self {
        let options = SocketOptions {
            tcp_timeout: Some(LIMIT),
        };
        let mut client = Self::new(Transport::connect(address, &options, Clock::System).unwrap());
        while !client.transport.is_connected().unwrap() {
            client.wait();
        }
        client
    }

    fn wait(&mut self) {
        let mut events = Events::with_capacity(8);
        match self.poll.poll(&mut events, Some(LIMIT)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => {
                result.unwrap();
                assert!(!events.is_empty(), "nothing happened");
            }
        }
    }

    /// Writes what is taken now.
    fn write(&mut self, out: &mut &[u8]) -> Result<(), Disconnect> {
        while !out.is_empty() {
            match self.transport.write(&[IoSlice::new(out)], false)? {
                Some(count) if count > 0 => *out = &out[count..],
                _ => break,
            }
        }
        self.transport.write(&[], false).map(|_| ())
    }

    /// Reads what there is now; false at the end.
    fn read(&mut self) -> Result<bool, Disconnect> {
        loop {
            // An odd size, in two parts: neither TLS's records nor a socket's buffer end there.
            let (mut one, mut two) = ([0; 1000], vec![0; 50_001]);
            match self.transport.read([&mut one, &mut two])? {
                ReadOutcome::WouldBlock => return Ok(true),
                ReadOutcome::Eof => return Ok(false),
                ReadOutcome::Bytes(count) | ReadOutcome::LastBytes(count) => {
                    let all = [&one[..], &two[..]].concat();
                    self.received.extend_from_slice(&all[..count]);
                }
            }
        }
    }

    /// Writes all of it, and reads until so much has come.
    fn exchange(&mut self, mut out: &[u8], count: usize) -> Result<(), Disconnect> {
        loop {
            let before = self.received.len();
            self.write(&mut out)?;
            if !self.read()? {
                return Err(Disconnect::Eof);
            }
            let done = out.is_empty() && self.received.len() >= count;
            if done && !self.transport.wants_write() {
                return Ok(());
            }
            // A read may have made room for more: there is no event for that.
            let unsent = out.len();
            self.write(&mut out)?;
            if self.received.len() == before && out.len() == unsent {
                self.wait();
            }
        }
    }

    /// Reads to the end.
    fn drain(&mut self) -> Result<(), Disconnect> {
        while self.read()? {
            self.wait();
        }
        Ok(())
    }
}

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect()
}

/// A peer in a thread, of one connection.
fn serve<T: Send + 'static>(
    talk: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        talk(stream)
    });
    (address, peer)
}

/// Sends everything back, in small pieces, until it ends.
fn echo(stream: &mut (impl Read + Write)) {
    let mut piece = [0; 3000];
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => stream.write_all(&piece[..count]).unwrap(),
        }
    }
}
