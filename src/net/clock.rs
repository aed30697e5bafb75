//! The time. No other file reads a clock.

use std::time::{Duration, Instant};

/// The clock of a world.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The system's.
    System,
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
        }
    }
}

/// So much later; a time beyond the clock's reach is a year.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    start.checked_add(time).unwrap_or_else(|| start + YEAR)
}

/// Some time, for tests to begin at.
#[cfg(any(test, fuzzing))]
pub(crate) fn now() -> Instant {
    Clock::System.now()
}
