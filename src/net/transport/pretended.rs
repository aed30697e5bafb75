//! In memory, what has the limits of a TLS session without being one: it takes nothing before a handshake of one byte each
//! way, a little at a time, and before the socket does; and what the socket gave may wait in it.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use super::io::{ReadOutcome, would_block};
use super::stream::Endpoint;
use crate::net::memory::SEAL;
use crate::types::error::Disconnect;

/// How many bytes it takes before they are out.
const WRITE_LIMIT: usize = 16 * 1024;

/// How many bytes one read of the socket asks for.
const RECEIVE: usize = 8 * 1024;

#[derive(Debug)]
pub(super) struct Pretended {
    out: Vec<u8>,
    received: Vec<u8>,
    is_up: bool,
    end: Option<Disconnect>,
}

impl Pretended {
    pub(super) fn new() -> Self {
        Self {
            out: vec![SEAL],
            received: Vec::new(),
            is_up: false,
            end: None,
        }
    }

    /// After the handshake.
    #[cfg(test)]
    pub(super) fn up() -> Self {
        Self {
            out: Vec::new(),
            is_up: true,
            ..Self::new()
        }
    }

    pub(super) fn read(
        &mut self,
        socket: &mut Endpoint,
        mut buffers: [&mut [u8]; 2],
    ) -> Result<ReadOutcome, Disconnect> {
        let mut count = 0;
        loop {
            for buffer in &mut buffers {
                let taken = self.received.len().min(buffer.len());
                let (now, later) = std::mem::take(buffer).split_at_mut(taken);
                now.copy_from_slice(&self.received[..taken]);
                *buffer = later;
                self.received.drain(..taken);
                count += taken;
            }
            let is_full = buffers.iter().all(|buffer| buffer.is_empty());
            if is_full || count > 0 && self.end.is_some() {
                break;
            }
            match &self.end {
                Some(Disconnect::Eof) => return Ok(ReadOutcome::Eof),
                Some(why) => return Err(why.clone()),
                None => {}
            }
            if !self.receive(socket) {
                break;
            }
        }
        // A write that fails does so again where its failure is looked at.
        let _ = self.flush(socket);
        Ok(match count {
            0 => ReadOutcome::WouldBlock,
            _ => ReadOutcome::Bytes(count),
        })
    }

    /// False if the socket has nothing for now.
    fn receive(&mut self, socket: &mut Endpoint) -> bool {
        let mut bytes = vec![0; RECEIVE];
        match would_block(socket.read(&mut bytes)) {
            Ok(None) => return false,
            Ok(Some(0)) => self.end = Some(Disconnect::Eof),
            Ok(Some(count)) => {
                let skipped = usize::from(!self.is_up);
                self.is_up = true;
                self.received.extend_from_slice(&bytes[skipped..count]);
            }
            Err(error) => self.end = Some(Disconnect::Io(Arc::new(error))),
        }
        true
    }

    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let mut count = 0;
        for slice in slices {
            if self.is_up {
                let room = WRITE_LIMIT.saturating_sub(self.out.len());
                let part = slice.get(..room).unwrap_or(slice);
                self.out.extend_from_slice(part);
                count += part.len();
            }
        }
        count
    }

    pub(super) fn flush(&mut self, socket: &mut dyn Write) -> io::Result<bool> {
        while !self.out.is_empty() {
            match would_block(socket.write(&self.out))? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(count) => drop(self.out.drain(..count)),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.out.is_empty()
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }
}
