//! Heartbeats, as RabbitMQ keeps them: it looks every half interval whether it has sent anything, and every interval
//! whether anything came.

use std::time::{Duration, Instant};

/// The clocks of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    interval: Duration,
    send_at: Instant,
    check_at: Instant,
    has_sent: bool,
    has_received: bool,
    /// It has looked once, and nothing had come.
    is_late: bool,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Due {
    /// A heartbeat is to be sent.
    pub(super) send: bool,
    /// Nothing came for two intervals.
    pub(super) is_dead: bool,
}

impl Heartbeat {
    /// None if both agreed on 0.
    pub(super) fn start(now: Instant, seconds: u16) -> Option<Self> {
        let interval = Duration::from_secs(seconds.into());
        (seconds > 0).then(|| Self {
            interval,
            send_at: now + interval / 2,
            check_at: now + interval,
            has_sent: false,
            has_received: false,
            is_late: false,
        })
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Something else than a heartbeat goes out.
    pub(super) fn sent(&mut self) {
        self.has_sent = true;
    }

    /// Bytes have come in.
    pub(super) fn received(&mut self) {
        self.has_received = true;
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.send_at.min(self.check_at)
    }

    /// `is_reading`: what is not read cannot be missed.
    pub(super) fn handle_timeout(&mut self, now: Instant, is_reading: bool) -> Due {
        let mut due = Due::default();
        if now >= self.send_at {
            due.send = !std::mem::take(&mut self.has_sent);
            self.send_at = now + self.interval / 2;
        }
        if now >= self.check_at {
            let is_silent = is_reading && !std::mem::take(&mut self.has_received);
            due.is_dead = is_silent && self.is_late;
            self.is_late = is_silent;
            self.check_at = now + self.interval;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn zero_is_none() {
        assert!(Heartbeat::start(Instant::now(), 0).is_none());
    }

    #[test]
    fn a_silent_peer_is_dead_at_the_second_look() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::start(start, 10).unwrap();
        heartbeat.received();
        assert!(!heartbeat.handle_timeout(second(start, 10), true).is_dead);
        assert!(!heartbeat.handle_timeout(second(start, 20), true).is_dead);
        assert!(heartbeat.handle_timeout(second(start, 30), true).is_dead);
    }

    #[test]
    fn what_is_not_read_is_not_missed() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::start(start, 10).unwrap();
        for seconds in 1..10 {
            let due = heartbeat.handle_timeout(second(start, 10 * seconds), false);
            assert!(!due.is_dead);
        }
    }

    #[test]
    fn one_is_sent_where_nothing_else_was_for_half_an_interval() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::start(start, 10).unwrap();
        assert_eq!(heartbeat.poll_timeout(), second(start, 5));
        heartbeat.sent();
        assert!(!heartbeat.handle_timeout(second(start, 5), true).send);
        assert!(heartbeat.handle_timeout(second(start, 10), true).send);
        assert!(heartbeat.handle_timeout(second(start, 15), true).send);
    }
}
