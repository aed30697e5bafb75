//! A TLS session: bytes in and out of rustls, over a socket that does not block. What to trust is in `tls/config.rs`,
//! what went wrong in `tls/failure.rs`. It knows nothing of AMQP.

mod config;
mod failure;
mod pem;
mod verify;

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

pub(crate) use config::TlsConfig;

use super::io::{ReadOutcome, retry, would_block};
use super::stream::Endpoint;
use crate::types::error::Disconnect;
use crate::types::tls_failure::TlsFailure;

/// How many bytes the session takes before they are out.
const WRITE_LIMIT: usize = 64 * 1024;

/// How many bytes one read of the socket asks for: some records.
const RECEIVE: usize = 64 * 1024;

/// How many reads go into finding out why the socket failed.
const LAST_READS: usize = 64;

pub(super) struct Session {
    connection: ClientConnection,
    /// What the socket gave, and what of it rustls has not taken yet.
    received: Box<[u8]>,
    unused: std::ops::Range<usize>,
    /// Whether the peer's first byte has come.
    heard: bool,
    /// Whether the handshake is done.
    up: bool,
    /// The end of what can be read, and why.
    end: Option<Disconnect>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("up", &self.up)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Begins a session with the server of this name.
    pub(super) fn new(config: &TlsConfig, host: &str) -> Result<Self, Disconnect> {
        let name = config.server_name.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| {
            TlsFailure::Other(format!("{name:?} is no name that a certificate could have"))
        });
        let mut connection = server
            .and_then(|server| {
                ClientConnection::new(config.config.clone(), server).map_err(failure::of)
            })
            .map_err(Disconnect::Tls)?;
        connection.set_buffer_limit(Some(WRITE_LIMIT));
        Ok(Self {
            connection,
            received: vec![0; RECEIVE].into(),
            unused: 0..0,
            heard: false,
            up: false,
            end: None,
        })
    }

    /// Reads until the buffers are full, or the socket has no more, and answers what TLS itself wants answered.
    pub(super) fn read(
        &mut self,
        socket: &mut Endpoint,
        buffers: [&mut [u8]; 2],
    ) -> Result<ReadOutcome, Disconnect> {
        let outcome = self.read_until(socket, buffers);
        // A write that fails does so again where its failure is looked at.
        let _ = self.flush(socket);
        outcome
    }

    fn read_until(
        &mut self,
        socket: &mut Endpoint,
        mut buffers: [&mut [u8]; 2],
    ) -> Result<ReadOutcome, Disconnect> {
        let mut count = 0;
        loop {
            for buffer in &mut buffers {
                let taken = self.take_plaintext(buffer);
                *buffer = &mut std::mem::take(buffer)[taken..];
                count += taken;
            }
            if buffers.iter().all(|buffer| buffer.is_empty()) {
                return Ok(ReadOutcome::Bytes(count));
            }
            if self.end.is_none() && !self.unused.is_empty() {
                // Nobody's poll knows of bytes that wait here, so none do.
                self.decrypt();
                continue;
            }
            if count > 0 && self.end.is_some() {
                return Ok(ReadOutcome::Bytes(count));
            }
            match &self.end {
                Some(Disconnect::Eof) => return Ok(ReadOutcome::Eof),
                Some(broken) => return Err(broken.clone()),
                None => {}
            }
            if !self.receive(socket) {
                return Ok(match count {
                    0 => ReadOutcome::WouldBlock,
                    _ => ReadOutcome::Bytes(count),
                });
            }
        }
    }

    /// How many bytes it was.
    fn take_plaintext(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while count < buffer.len() {
            match self.connection.reader().read(&mut buffer[count..]) {
                Ok(0) => {
                    self.end.get_or_insert(Disconnect::Eof);
                    break;
                }
                Ok(taken) => count += taken,
                // There is nothing yet, or the end was no proper one, which the socket tells.
                Err(_) => break,
            }
        }
        count
    }

    /// False if the socket has nothing for now.
    fn receive(&mut self, socket: &mut Endpoint) -> bool {
        match would_block(retry(|| socket.read(&mut self.received))) {
            Ok(None) => return false,
            Ok(Some(0)) if self.up => self.end = Some(Disconnect::Eof),
            Ok(Some(0)) => {
                let text = "the peer closed the socket during the handshake";
                self.end = Some(Disconnect::Tls(TlsFailure::Other(text.into())));
            }
            Ok(Some(count)) => {
                self.unused = 0..count;
                let first = self.received.first();
                // A session begins with a handshake record (22), or with an alert (21).
                if !self.heard && !matches!(first, Some(21 | 22)) {
                    self.end = Some(Disconnect::Tls(TlsFailure::NotTls));
                }
                self.heard = true;
            }
            Err(error) => self.end = Some(Disconnect::Io(Arc::new(error))),
        }
        true
    }

    /// Gives rustls what it takes of what was received.
    fn decrypt(&mut self) {
        let mut input = self.received.get(self.unused.clone()).unwrap_or_default();
        let fed = self.connection.read_tls(&mut input);
        self.unused.start = self.unused.end - input.len();
        let result = fed
            .map_err(|error| TlsFailure::Other(error.to_string()))
            .and_then(|count| {
                self.connection.process_new_packets().map_err(failure::of)?;
                Ok(count)
            });
        match result {
            // It takes nothing after the peer's goodbye.
            Ok(0) => self.end = Some(Disconnect::Eof),
            Ok(_) => {}
            Err(failure) => self.end = Some(Disconnect::Tls(failure)),
        }
        if !self.up && !self.connection.is_handshaking() {
            self.up = true;
            log::debug!(
                "TLS session is up: {:?}, {:?}",
                self.connection.protocol_version(),
                self.connection
                    .negotiated_cipher_suite()
                    .map(|suite| suite.suite())
            );
        }
    }

    /// How many bytes the session takes, to go out with [`flush`](Self::flush).
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(Disconnect::Tls(failure)) = &self.end {
            return Err(io::Error::other(failure.clone()));
        }
        self.connection.writer().write_vectored(slices)
    }

    /// Writes what the session has for the socket; false if that does not take all of it.
    pub(super) fn flush(&mut self, socket: &mut dyn Write) -> io::Result<bool> {
        while self.connection.wants_write() {
            match would_block(retry(|| self.connection.write_tls(&mut &mut *socket)))? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(_) => {}
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    pub(super) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// What the peer said before the socket failed, if it did: that tells more.
    pub(super) fn explain(&mut self, socket: &mut Endpoint, broken: Disconnect) -> Disconnect {
        let mut unread = vec![0; RECEIVE];
        for _ in 0..LAST_READS {
            match self.read_until(socket, [&mut unread, &mut []]) {
                Ok(ReadOutcome::Bytes(_)) => {}
                Err(failure @ Disconnect::Tls(_)) => return failure,
                _ => break,
            }
        }
        broken
    }

    /// Tells the peer that nothing more comes, as far as the socket takes it.
    pub(super) fn goodbye(&mut self, socket: &mut Endpoint) {
        self.connection.send_close_notify();
        let _ = self.flush(socket);
    }
}
