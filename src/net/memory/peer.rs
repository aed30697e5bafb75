//! Whoever plays the other end of every connection. It has no socket and no clock: bytes and the time come as arguments.

use std::net::SocketAddr;
use std::time::Instant;

pub(crate) trait Peer: Send {
    /// A connection is there, made to this address; a number for it, never used twice.
    fn accept(&mut self, now: Instant, address: SocketAddr) -> u64;

    fn receive(&mut self, now: Instant, link: u64, bytes: &[u8]);

    /// Takes what is to be sent, at most `max` bytes.
    fn take_output(&mut self, link: u64, max: usize) -> Vec<u8>;

    fn has_output(&self, link: u64) -> bool;

    /// Whether it wants the socket closed, once all output is sent.
    fn is_done(&self, link: u64) -> bool;

    /// Whether it reads.
    fn wants_read(&self, link: u64) -> bool;

    /// The socket is gone; the number is not used again.
    fn disconnected(&mut self, now: Instant, link: u64);

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<Instant>;

    /// The same, for what can still change anything: without heartbeats.
    fn next_event(&self) -> Option<Instant>;

    fn handle_timeout(&mut self, now: Instant);
}
