//! The readiness of a socket: what a poll tells, and what of it has not been used up. No I/O.

/// What a poll tells of a socket, each change once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// The peer has ended it, or it has failed.
    pub(crate) ended: bool,
}

/// What was told of a socket, and has not been used up.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    pub(crate) read: bool,
    /// A short read does not tell that the socket is drained: its end may have been told already.
    pub(crate) must_drain: bool,
    /// The peer has ended it: what is left to read is no more than the system has.
    pub(crate) ended: bool,
    pub(crate) write: bool,
    /// TLS takes nothing before it has read.
    pub(crate) read_first: bool,
}

impl Ready {
    pub(crate) fn note(&mut self, told: Told) {
        self.read |= told.read || told.ended;
        self.must_drain |= told.ended;
        self.ended |= told.ended;
        self.write |= told.write;
    }

    pub(crate) fn drained(&mut self) {
        self.read = false;
        self.must_drain = false;
    }
}
