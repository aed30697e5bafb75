//! The time. No other file reads a clock.

#[cfg(feature = "testing")]
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The clock of a world.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The system's.
    System,
    /// One that only moves when it is told to.
    #[cfg(feature = "testing")]
    Memory(Arc<Virtual>),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            #[cfg(feature = "testing")]
            Self::Memory(time) => time.now(),
        }
    }
}

/// A time that moves when it is told to.
#[cfg(feature = "testing")]
#[derive(Debug)]
pub(crate) struct Virtual {
    start: Instant,
    nanos: AtomicU64,
}

#[cfg(feature = "testing")]
impl Virtual {
    pub(crate) fn new() -> Self {
        Self {
            // An instant cannot be made of nothing; nobody sees which it is.
            start: Instant::now(),
            nanos: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        after(self.start, self.elapsed())
    }

    /// The time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// It is this time now, unless it is later already.
    pub(crate) fn set(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.start).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.nanos.fetch_max(nanos, Ordering::Relaxed);
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
