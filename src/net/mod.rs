//! The world outside: sockets, TLS, names, the clock. It knows nothing of AMQP.
//!
//! `net/reactor.rs` is one socket and what a poll has told of it, `group.rs` several asleep together, `transport/` the socket
//! itself, `lookup.rs` the addresses of a name.

pub(crate) mod clock;
pub(crate) mod group;
pub(crate) mod lookup;
pub(crate) mod reactor;
pub(crate) mod transport;
