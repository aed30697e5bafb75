//! What a network in memory is like.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How a network treats its connections. Each number is how rare something is: once in so many times; 0: never.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long bytes are under way.
    pub(crate) latency: RangeInclusive<Duration>,
    /// How many bytes a connection takes in each direction that the other end has not read.
    pub(crate) capacity: usize,
    /// Bytes that were sent together arrive apart.
    pub(crate) pieces: u64,
    /// A read gets less than there is, a write takes less than there is room for.
    pub(crate) short: u64,
    /// A write takes nothing for a moment although there is room.
    pub(crate) would_block: u64,
    /// A poll tells what is not so, or returns for nothing.
    pub(crate) spurious: u64,
    /// As on Windows: what was told is told again only after a call that would have blocked.
    pub(crate) rearms: bool,
    /// With the limits of TLS: nothing is taken before the handshake, and what is taken need not be out.
    pub(crate) seals: bool,
}

impl Settings {
    /// At once, in order, and whole.
    pub(crate) fn perfect() -> Self {
        Self {
            latency: Duration::ZERO..=Duration::ZERO,
            capacity: 256 * 1024,
            pieces: 0,
            short: 0,
            would_block: 0,
            spurious: 0,
            rearms: false,
            seals: false,
        }
    }
}
