//! By when a step must have come to an end.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Connecting,
    Closing,
}

impl Step {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Closing => "closing",
        }
    }
}

/// When a step has taken too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) limit: Duration,
    pub(crate) step: Step,
    /// The program has not given the client a turn since: what it does meanwhile is not the step's time.
    pub(crate) is_fresh: bool,
}

impl Deadline {
    pub(crate) fn is_connect(self) -> bool {
        self.step == Step::Connecting
    }
}
