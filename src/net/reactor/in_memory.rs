//! What a world in memory has more than the system's.

use std::io;

use super::Reactor;
use crate::net::memory;
use crate::net::poller::Poller;
use crate::net::{Belief, World};

impl Reactor {
    /// Its part in a sleep of several, in memory.
    pub(crate) fn memory_poller(&mut self) -> io::Result<Option<(&memory::Poller, Belief)>> {
        let belief = Belief {
            is_paused: self.is_paused,
            ..self.belief
        };
        Ok(match self.enter_poll()? {
            Poller::Memory(poller) => Some((poller, belief)),
            Poller::System(_) => None,
        })
    }

    /// A sleep in a poll of the program's own, in memory: whether the socket is readable, and writable.
    ///
    /// # Errors
    /// [`Deadlock`](io::ErrorKind::Deadlock): nothing can ever end it.
    pub(crate) fn poll_elsewhere(&self, wish: memory::Wish) -> io::Result<(bool, bool)> {
        match &self.world {
            World::Memory(network) => {
                let told = network.poll(self.memory_link(), wish)?;
                Ok((told.read, told.write))
            }
            World::System => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The connection in memory that it has.
    pub(crate) fn memory_link(&self) -> Option<u64> {
        let endpoint = self.socket.as_ref()?.transport.memory();
        endpoint.map(memory::Endpoint::link)
    }
}
