//! The client's end of a connection: what a socket is in the system's world. It does not block.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::link::{Direction, Link, Phase};
use super::names::Answer;
use super::network::Network;
use super::state::State;
use crate::net::clock::after;
use crate::net::ready::Told;

#[derive(Debug)]
pub(crate) struct Endpoint {
    network: Network,
    link: u64,
    /// Whether the connection is closed with it.
    owns: bool,
}

impl Network {
    /// Begins to connect.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Endpoint> {
        let now = self.now();
        let mut state = self.lock();
        let answer = match state.names.answer(address) {
            Answer::Accepts(time) => Some((after(now, time), true)),
            Answer::Refuses(time) => Some((after(now, time), false)),
            Answer::Unreachable => return Err(io::ErrorKind::NetworkUnreachable.into()),
            Answer::Silent => None,
        };
        let State {
            settings, chance, ..
        } = &mut *state;
        let mut link = Link::new(address, answer, settings, chance);
        // Loopback's answer is there at once, too.
        if answer == Some((now, true)) {
            link.accept(now, &mut *state.peer);
        }
        let number = state.connect(link);
        drop(state);
        Ok(Endpoint {
            network: self.clone(),
            link: number,
            owns: true,
        })
    }
}

impl Endpoint {
    /// Another handle to it, with which it is not closed.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            network: self.network.clone(),
            link: self.link,
            owns: false,
        }
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn link(&self) -> u64 {
        self.link
    }

    /// What this system does about a host that vanishes.
    pub(crate) fn set_tcp_timeout(&self, timeout: Option<Duration>) {
        if let Some(link) = self.network.lock().links.get_mut(&self.link) {
            link.tcp_timeout = timeout;
        }
    }

    /// Whether it begins with a handshake, as TLS does.
    pub(crate) fn is_sealed(&self) -> bool {
        let state = self.network.lock();
        let link = state.links.get(&self.link);
        link.is_some_and(|link| link.is_sealing)
    }

    /// Whether it is connected; an error if it never will be.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        let state = self.network.lock();
        match state.links.get(&self.link).map(|link| link.phase) {
            Some(Phase::Up) => Ok(true),
            Some(Phase::Connecting(_)) => Ok(false),
            Some(Phase::Failed(kind)) => Err(kind.into()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether a read that did not fill its buffers has drained it, and what comes next is told anew.
    pub(crate) fn short_read_drains(&self) -> bool {
        !self.network.lock().settings.rearms
    }

    /// Whether everything written was acknowledged; `None`: nobody answers any more.
    pub(crate) fn is_acknowledged(&self) -> Option<bool> {
        let state = self.network.lock();
        let link = state.links.get(&self.link)?;
        let has_all = link.to_peer.len() == link.to_peer.arrived();
        (has_all || !link.is_silent).then_some(has_all)
    }

    /// Sends what is held back.
    pub(crate) fn push(&self) {
        let now = self.network.now();
        if let Some(link) = self.network.lock().links.get_mut(&self.link) {
            link.push(now);
        }
    }

    pub(crate) fn write_some(&self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let now = self.network.now();
        let mut state = self.network.lock();
        let State {
            links,
            chance,
            settings,
            moved,
            ..
        } = &mut *state;
        let link = links.get_mut(&self.link).ok_or_else(gone)?;
        check(link)?;
        if link.room() > 0 && chance.once_in(settings.would_block) {
            let pause = Duration::from_micros(1 + chance.next() % 5000);
            link.blocked_until = Some(after(now, pause));
        }
        let room = link.room();
        if room == 0 {
            link.wants_room = true;
            link.rearm();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut count = all.min(room);
        if count > 0 && chance.once_in(settings.short) {
            count = chance.up_to(count);
        }
        let mut bytes = Vec::with_capacity(count);
        for slice in slices {
            let part = slice.get(..count - bytes.len()).unwrap_or(slice);
            bytes.extend_from_slice(part);
        }
        *moved += bytes.len() as u64;
        let tear = chance.once_in(settings.pieces);
        let tear = tear.then_some(chance);
        link.send(now, Direction::ToPeer, &bytes, more, tear);
        Ok(count)
    }

    fn read_some(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let now = self.network.now();
        let mut state = self.network.lock();
        let State {
            links,
            chance,
            settings,
            moved,
            ..
        } = &mut *state;
        let link = links.get_mut(&self.link).ok_or_else(gone)?;
        let room: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let there = link.to_client.arrived();
        if there == 0 {
            check(link)?;
            if link.to_client.has_ended(now) {
                return Ok(0);
            }
            link.rearm();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut count = there.min(room);
        if count > 0 && chance.once_in(settings.short) {
            count = chance.up_to(count);
        }
        let bytes = link.to_client.take(count);
        let mut rest = &bytes[..];
        for buffer in buffers {
            let (part, later) = rest.split_at(rest.len().min(buffer.len()));
            buffer[..part.len()].copy_from_slice(part);
            rest = later;
        }
        *moved += count as u64;
        link.is_unsealed = false;
        if count < room && count < there {
            // It looks as if that had been all: the rest comes a moment later.
            link.tell(Told {
                read: true,
                ..Told::default()
            });
        }
        Ok(count)
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn check(link: &Link) -> io::Result<()> {
    match link.phase {
        Phase::Up => Ok(()),
        Phase::Connecting(_) => Err(gone()),
        Phase::Failed(kind) => Err(kind.into()),
    }
}

impl Read for Endpoint {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_some(buffers)
    }
}

impl Write for Endpoint {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_some(&[IoSlice::new(bytes)], false)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_some(slices, false)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In memory there is nothing that the system's polls could watch.
impl mio::event::Source for Endpoint {
    fn register(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reregister(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn deregister(&mut self, _: &mio::Registry) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if !self.owns {
            return;
        }
        let now = self.network.now();
        if let Some(link) = self.network.lock().links.get_mut(&self.link) {
            link.push(now);
            link.is_closed = true;
        }
    }
}
