//! The readiness of a socket: what a poll tells, and what of it has not been used up. No I/O.

/// What a poll tells of a socket, each change once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// The peer has ended it, or it has failed.
    pub(crate) ended: bool,
}

#[cfg(feature = "testing")]
impl Told {
    pub(crate) const ALL: Self = Self {
        read: true,
        write: true,
        ended: true,
    };

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            write: self.write || other.write,
            ended: self.ended || other.ended,
        }
    }

    pub(crate) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// What a client believes when it goes to sleep. A world in memory looks whether it is so.
#[cfg_attr(
    not(feature = "testing"),
    allow(dead_code, reason = "the system's world does not look")
)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Belief {
    /// It does not want to read.
    pub(crate) is_paused: bool,
    /// It has bytes to write.
    pub(crate) has_unsent: bool,
    /// It is the program's own loop that sleeps.
    pub(crate) is_elsewhere: bool,
    /// The program has said how long to wait.
    pub(crate) has_limit: bool,
    /// Callbacks of the program's could run, and this is where they run.
    pub(crate) could_run: bool,
    /// Something of its own ends at some time: a call, a close.
    pub(crate) has_deadline: bool,
    /// How much has happened so far that the program may hear of.
    pub(crate) news: u64,
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
