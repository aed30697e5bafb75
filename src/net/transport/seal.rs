//! What is between a client's bytes and its socket's, if anything: TLS, or in memory what has the limits of TLS.

use std::io::{self, IoSlice, Write};

use super::io::ReadOutcome;
#[cfg(feature = "testing")]
use super::pretended::Pretended;
use super::stream::Endpoint;
use super::tls::Session;
use crate::types::error::Disconnect;

#[derive(Debug)]
pub(super) enum Seal {
    Tls(Box<Session>),
    #[cfg(feature = "testing")]
    Pretended(Pretended),
}

impl Seal {
    /// Reads until the buffers are full, or the socket has no more, and answers what the peer wants answered.
    pub(super) fn read(
        &mut self,
        socket: &mut Endpoint,
        buffers: [&mut [u8]; 2],
    ) -> Result<ReadOutcome, Disconnect> {
        match self {
            Self::Tls(session) => session.read(socket, buffers),
            #[cfg(feature = "testing")]
            Self::Pretended(session) => session.read(socket, buffers),
        }
    }

    /// How many bytes it takes, to go out with [`flush`](Self::flush).
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tls(session) => session.write(slices),
            #[cfg(feature = "testing")]
            Self::Pretended(session) => Ok(session.write(slices)),
        }
    }

    /// Writes what it has for the socket; false if that does not take all of it.
    pub(super) fn flush(&mut self, socket: &mut dyn Write) -> io::Result<bool> {
        match self {
            Self::Tls(session) => session.flush(socket),
            #[cfg(feature = "testing")]
            Self::Pretended(session) => session.flush(socket),
        }
    }

    pub(super) fn wants_write(&self) -> bool {
        match self {
            Self::Tls(session) => session.wants_write(),
            #[cfg(feature = "testing")]
            Self::Pretended(session) => session.wants_write(),
        }
    }

    /// Whether the handshake is done.
    pub(super) fn is_up(&self) -> bool {
        match self {
            Self::Tls(session) => session.is_up(),
            #[cfg(feature = "testing")]
            Self::Pretended(session) => session.is_up(),
        }
    }

    /// What the peer said before the socket failed, if it did: that tells more.
    pub(super) fn explain(&mut self, socket: &mut Endpoint, why: Disconnect) -> Disconnect {
        match self {
            Self::Tls(session) => session.explain(socket, why),
            #[cfg(feature = "testing")]
            Self::Pretended(_) => why,
        }
    }

    /// Tells the peer that nothing more comes, as far as the socket takes it.
    pub(super) fn goodbye(&mut self, socket: &mut Endpoint) {
        match self {
            Self::Tls(session) => session.goodbye(socket),
            #[cfg(feature = "testing")]
            Self::Pretended(session) => {
                let _ = session.flush(socket);
            }
        }
    }
}
