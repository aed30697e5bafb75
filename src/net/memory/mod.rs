//! A world in memory: a network, names, a clock and chance, all from one seed. No socket, no thread.
//!
//! `network.rs` has what may be asked of it, `sleep.rs` how clients sleep in it, `state.rs` what happens as time goes by.
//! A connection is a [`Link`](link::Link) of two pipes (`pipe.rs`); the client's end of it is an `endpoint.rs`, at the
//! other end is whoever is the [`Peer`]. Nothing in here knows AMQP.

mod chance;
mod endpoint;
mod link;
mod lookup;
mod names;
mod network;
mod peer;
mod pipe;
mod settings;
mod sleep;
mod state;

pub(crate) use chance::Chance as Numbers;
pub(crate) use endpoint::Endpoint;
pub(crate) use link::Direction;
pub(crate) use lookup::Lookup;
pub(crate) use names::{Answer, Name};
pub(crate) use network::Network;
pub(crate) use peer::Peer;
pub(crate) use settings::Settings;
pub(crate) use sleep::{Poller, Waker, Wish, sleep};
pub(crate) use state::SEAL;

#[cfg(test)]
mod tests;
