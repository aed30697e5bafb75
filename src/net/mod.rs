//! The world outside: sockets, TLS, names, the time, chance. It knows nothing of AMQP.
//!
//! [`World`] is the seam: a client asks nothing else for what is outside of the process. `reactor.rs` keeps what a poll has
//! told of a client's one socket, whatever the world; `connecting.rs` takes the addresses of a host in turn; `group.rs`
//! has several reactors sleep together. Below the seam: `poller.rs` sleeps, `lookup.rs` finds the addresses of a name,
//! `transport/` is the socket itself, `clock.rs` the time.

pub(crate) mod clock;
mod connecting;
pub(crate) mod group;
pub(crate) mod lookup;
#[cfg(feature = "testing")]
pub(crate) mod memory;
pub(crate) mod poller;
pub(crate) mod reactor;
mod ready;
pub(crate) mod transport;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use clock::Clock;
use lookup::Lookup;
use poller::{Poller, Waker};
pub(crate) use ready::Belief;
use transport::{SocketOptions, Transport};

/// What a client lives in.
#[derive(Debug, Clone, Default)]
pub(crate) enum World {
    /// The operating system's: sockets, threads, its clock.
    #[default]
    System,
    /// A network, and a clock, in memory.
    #[cfg(feature = "testing")]
    Memory(memory::Network),
}

impl World {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => Clock::System.now(),
            #[cfg(feature = "testing")]
            Self::Memory(network) => network.now(),
        }
    }

    /// Whether it checks that a client has reason to sleep.
    #[inline]
    pub(crate) fn checks_sleep(&self) -> bool {
        match self {
            Self::System => false,
            #[cfg(feature = "testing")]
            Self::Memory(_) => true,
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        match self {
            Self::System => Clock::System,
            #[cfg(feature = "testing")]
            Self::Memory(network) => network.clock(),
        }
    }

    /// A number of chance.
    pub(crate) fn chance(&self) -> u64 {
        match self {
            // Each of the standard library's hashers has its own key.
            Self::System => RandomState::new().build_hasher().finish(),
            #[cfg(feature = "testing")]
            Self::Memory(network) => network.chance(),
        }
    }

    /// Begins to look up a host; the answer may be there at once. It wakes a poll up, if it can.
    pub(crate) fn look_up(
        &self,
        host: &str,
        port: u16,
        waker: Option<Waker>,
    ) -> io::Result<Lookup> {
        match self {
            Self::System => Lookup::new(host, port, waker),
            #[cfg(feature = "testing")]
            Self::Memory(network) => Ok(Lookup::memory(network, host, port, waker.as_ref())),
        }
    }

    /// Begins to connect.
    pub(crate) fn connect(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> io::Result<Transport> {
        match self {
            Self::System => Transport::connect(address, options, self.clock()),
            #[cfg(feature = "testing")]
            Self::Memory(network) => Transport::connect_in(network, address, options),
        }
    }

    /// What a client sleeps in.
    pub(crate) fn poller(&self) -> io::Result<Poller> {
        match self {
            Self::System => Poller::system(),
            #[cfg(feature = "testing")]
            Self::Memory(network) => Ok(Poller::Memory(network.poller())),
        }
    }
}
