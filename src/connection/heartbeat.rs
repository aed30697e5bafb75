//! Heartbeats: when to send one, and when to give the peer up.
//!
//! The interval is what both sides agreed on. Time comes in as an argument.

use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// None: no heartbeats on this connection.
    timers: Option<Timers>,
}

#[derive(Debug)]
struct Timers {
    interval: Duration,
    last_sent: Instant,
    last_received: Instant,
}

/// What the time has come for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Send,
    /// Nothing has come for that long.
    GiveUp(Duration),
}

impl Heartbeat {
    /// The smaller of two proposals counts, and 0 is none: but a user who asks for 0 gets 0, as in puka.
    pub(crate) fn negotiate(ours: u16, theirs: u16) -> u16 {
        match (ours, theirs) {
            (0, _) => 0,
            (ours, 0) => ours,
            (ours, theirs) => ours.min(theirs),
        }
    }

    pub(crate) fn start(&mut self, seconds: u16, now: Instant) {
        self.timers = (seconds > 0).then(|| Timers {
            interval: Duration::from_secs(seconds.into()),
            last_sent: now,
            last_received: now,
        });
    }

    pub(crate) fn stop(&mut self) {
        self.timers = None;
    }

    pub(crate) fn received(&mut self, now: Instant) {
        if let Some(timers) = &mut self.timers {
            timers.last_received = now;
        }
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        if let Some(timers) = &mut self.timers {
            timers.last_sent = now;
        }
    }

    pub(crate) fn due(&self, now: Instant) -> Due {
        match &self.timers {
            Some(timers) if now >= timers.last_received + 2 * timers.interval => {
                Due::GiveUp(2 * timers.interval)
            }
            Some(timers) if now >= timers.last_sent + timers.interval / 2 => Due::Send,
            _ => Due::Nothing,
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let timers = self.timers.as_ref()?;
        Some(
            (timers.last_sent + timers.interval / 2)
                .min(timers.last_received + 2 * timers.interval),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_interval_counts_and_zero_asks_for_none() {
        for (ours, theirs, agreed) in [
            (0, 60, 0),
            (0, 0, 0),
            (10, 60, 10),
            (600, 60, 60),
            (10, 0, 10),
            (1, 1, 1),
        ] {
            assert_eq!(Heartbeat::negotiate(ours, theirs), agreed);
        }
    }

    #[test]
    fn one_is_sent_at_half_the_interval_and_the_peer_given_up_after_two() {
        for seconds in [1, 2, 60, u16::MAX] {
            let start = crate::net::clock::now();
            let interval = Duration::from_secs(seconds.into());
            let moment = Duration::from_millis(1);
            let mut heartbeat = Heartbeat::default();
            assert_eq!(
                (heartbeat.next(), heartbeat.due(start)),
                (None, Due::Nothing)
            );
            heartbeat.start(seconds, start);
            assert_eq!(heartbeat.next(), Some(start + interval / 2));
            assert_eq!(heartbeat.due(start + interval / 2 - moment), Due::Nothing);
            assert_eq!(heartbeat.due(start + interval / 2), Due::Send);
            heartbeat.sent(start + interval / 2);
            assert_eq!(heartbeat.next(), Some(start + interval));
            heartbeat.sent(start + 2 * interval - moment);
            assert_eq!(heartbeat.due(start + 2 * interval - moment), Due::Nothing);
            assert_eq!(
                heartbeat.due(start + 2 * interval),
                Due::GiveUp(2 * interval)
            );
            heartbeat.received(start + 2 * interval - moment);
            assert_eq!(heartbeat.due(start + 2 * interval), Due::Nothing);
        }
    }
}
