//! The write side of a connection: the TLS session if there is one, and heartbeats between whole frames. It has no
//! socket of its own, for two write on it: the client's thread, and the keeper's.

use std::io::{self, IoSlice, Write};

use super::io::would_block;
use super::seal::Seal;

/// AMQP's heartbeat frame.
pub(super) const HEARTBEAT: &[u8] = &[8, 0, 0, 0, 0, 0, 0, 0xCE];

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) session: Option<Seal>,
    /// What the socket did not take of a heartbeat: it goes before any other byte. Always empty with TLS, where the
    /// session keeps what the socket does not take.
    remainder: &'static [u8],
}

impl Lane {
    pub(super) fn wants_write(&self) -> bool {
        !self.remainder.is_empty() || self.session.as_ref().is_some_and(Seal::wants_write)
    }

    /// Writes what is left from before; false if the socket does not take all of it.
    pub(super) fn flush(&mut self, socket: &mut dyn Write) -> io::Result<bool> {
        while !self.remainder.is_empty() {
            match would_block(socket.write(self.remainder))? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(count) => self.remainder = self.remainder.get(count..).unwrap_or_default(),
                None => return Ok(false),
            }
        }
        match &mut self.session {
            Some(session) => session.flush(socket),
            None => Ok(true),
        }
    }

    /// How much was taken; `None`: the socket takes none for now. Some of 0: the TLS session takes none until it has
    /// read.
    pub(super) fn write(
        &mut self,
        socket: &mut dyn Write,
        slices: &[IoSlice<'_>],
    ) -> io::Result<Option<usize>> {
        let drained = self.flush(socket)?;
        if slices.iter().all(|slice| slice.is_empty()) {
            return Ok(drained.then_some(0));
        }
        match &mut self.session {
            Some(session) => {
                let mut count = session.write(slices)?;
                let mut drained = session.flush(socket)?;
                if count == 0 && drained && session.is_up() {
                    // It was full, and the socket has taken all of it since.
                    count = session.write(slices)?;
                    drained = session.flush(socket)?;
                }
                Ok((count > 0 || drained).then_some(count))
            }
            None if !drained => Ok(None),
            None => match would_block(socket.write_vectored(slices))? {
                Some(0) => Err(io::ErrorKind::WriteZero.into()),
                count => Ok(count),
            },
        }
    }

    /// Writes a heartbeat, or what is left of one; false if the socket does not take any of it for now.
    pub(super) fn heartbeat(&mut self, socket: &mut dyn Write) -> io::Result<bool> {
        let begun = !self.remainder.is_empty();
        if !self.flush(socket)? || begun {
            return Ok(begun && self.remainder.is_empty());
        }
        match &mut self.session {
            Some(session) if !session.is_up() => Ok(false),
            Some(session) => {
                // The session's buffer is empty, so it takes the whole frame.
                if session.write(&[IoSlice::new(HEARTBEAT)])? < HEARTBEAT.len() {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                session.flush(socket)?;
                Ok(true)
            }
            None => {
                self.remainder = HEARTBEAT;
                let result = self.flush(socket);
                let begun = self.remainder.len() < HEARTBEAT.len();
                if !begun {
                    self.remainder = &[];
                }
                result.map(|_| begun)
            }
        }
    }
}
