//! Which host to try next, and when. It does no I/O, and knows nothing of AMQP.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::net::clock::after;
use crate::types::error::{Disconnect, Error};
use crate::types::recovery::Recovery;

/// One of the hosts of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// An attempt to connect has that long, however little time is left.
const FAIR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Dialer {
    hosts: Vec<Host>,
    shuffle: bool,
    /// What is left of this round, and what came of the rest.
    round: VecDeque<Host>,
    failures: Vec<(String, Error)>,
    current: Option<Host>,
    /// When the next round begins.
    pub(crate) next_round: Option<Instant>,
    /// Since when the connection is lost, or has done nothing; it was up once.
    lost_at: Option<Instant>,
    /// Whether a loss has had an attempt beyond the limit.
    is_overtime: bool,
    up_at: Option<Instant>,
    delay: Duration,
}

impl Dialer {
    /// At least one host.
    pub(crate) fn new(hosts: Vec<Host>, shuffle: bool) -> Self {
        Self {
            hosts,
            shuffle,
            round: VecDeque::new(),
            failures: Vec::new(),
            current: None,
            next_round: None,
            lost_at: None,
            is_overtime: false,
            up_at: None,
            delay: Duration::ZERO,
        }
    }

    /// Forgets what was.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(std::mem::take(&mut self.hosts), self.shuffle);
    }

    /// Begins with the first host; after a loss with the one after that which was lost.
    pub(crate) fn begin_round(&mut self, mut chance: impl FnMut() -> u64) {
        self.next_round = None;
        self.failures.clear();
        let mut round = self.hosts.clone();
        if self.shuffle {
            for index in (1..round.len()).rev() {
                round.swap(index, chance() as usize % (index + 1));
            }
        } else if let Some(current) = self.current.take()
            && let Some(index) = round.iter().position(|host| *host == current)
        {
            let next = (index + 1) % round.len();
            round.rotate_left(next);
        }
        self.round = round.into();
    }

    /// The next host of this round.
    pub(crate) fn next_host(&mut self) -> Option<Host> {
        self.current = self.round.pop_front();
        self.current.clone()
    }

    pub(crate) fn host_name(&self) -> String {
        let current = self.current.as_ref();
        current.map(|host| host.name.clone()).unwrap_or_default()
    }

    fn current(&self) -> String {
        self.current
            .as_ref()
            .map(Host::to_string)
            .unwrap_or_default()
    }

    /// Whether a connection that was up is to be made anew.
    pub(crate) fn is_recovering(&self) -> bool {
        self.lost_at.is_some()
    }

    /// Whether another attempt would follow a failure.
    pub(crate) fn may_go_on(&self) -> bool {
        self.hosts.len() > 1 || self.is_recovering()
    }

    pub(crate) fn failed(&mut self, error: Error) {
        let host = self.current();
        log::debug!("{host}: {error}");
        self.failures.push((host, error));
    }

    /// The connection is up; it may be told more than once.
    pub(crate) fn note_up(&mut self, now: Instant) {
        self.up_at.get_or_insert(now);
        self.failures.clear();
    }

    /// The connection that was up is lost. Whether to try again at once.
    pub(crate) fn note_lost(&mut self, now: Instant, recovery: &Recovery) -> bool {
        let enough = recovery.max_delay.min(recovery.limit.max(FAIR));
        let lasted = self
            .up_at
            .take()
            .is_some_and(|up_at| now >= after(up_at, enough));
        if lasted || self.lost_at.is_none() {
            self.begin_anew(now, recovery);
            return true;
        }
        // Every loss has its first attempt, but not one after the other for ever.
        let has_run_out = self.left(now, recovery).is_some_and(|left| left.is_zero());
        let is_first = has_run_out && !self.is_overtime;
        self.is_overtime |= has_run_out;
        is_first
    }

    /// Something was done on the connection that is lost now: all begins anew, but for a pause, so that a broker that dies
    /// each time is left in peace.
    pub(crate) fn has_got_on(&mut self, now: Instant, recovery: &Recovery) {
        if self.lost_at.is_some() {
            self.begin_anew(now, recovery);
        }
    }

    fn begin_anew(&mut self, now: Instant, recovery: &Recovery) {
        self.lost_at = Some(now);
        self.delay = recovery.first_delay;
        self.is_overtime = false;
    }

    /// How long to try yet, if there is an end to it.
    fn left(&self, now: Instant, recovery: &Recovery) -> Option<Duration> {
        let end = self.lost_at?.checked_add(recovery.limit)?;
        Some(end.saturating_duration_since(now))
    }

    /// Whether the time is up for the hosts that are left of this round. The first one of a round has its turn.
    pub(crate) fn is_too_late(&self, now: Instant, recovery: &Recovery) -> bool {
        let has_run_out = self.left(now, recovery).is_some_and(|left| left.is_zero());
        has_run_out && !self.failures.is_empty()
    }

    /// How long the next host may take: no longer than its share of what is left, unless that is too short for any.
    pub(crate) fn allowance(
        &self,
        now: Instant,
        recovery: &Recovery,
        longest: Duration,
    ) -> Duration {
        let hosts = u32::try_from(self.round.len() + 1).unwrap_or(u32::MAX);
        let share = self.left(now, recovery).map(|left| left / hosts);
        share.map_or(longest, |share| longest.min(share.max(FAIR)))
    }

    /// Whether it was up, and is no longer.
    pub(crate) fn was_up(&self) -> bool {
        self.up_at.is_some()
    }

    /// After a round in vain: sets the time of the next one; false if there is to be none.
    pub(crate) fn pause(&mut self, now: Instant, recovery: &Recovery, chance: u64) -> bool {
        let Some(lost_at) = self.lost_at else {
            return false;
        };
        let end = lost_at.checked_add(recovery.limit);
        if end.is_some_and(|end| now >= end) {
            return false;
        }
        // Between half of it and all of it.
        let pause = self
            .delay
            .mul_f64(0.5 + 0.5 * (chance % 1024) as f64 / 1024.0);
        self.delay = self.delay.saturating_mul(2).min(recovery.max_delay);
        let next = after(now, pause);
        self.next_round = Some(end.map_or(next, |end| next.min(end)));
        true
    }

    /// What a round in vain comes to.
    pub(crate) fn verdict(&mut self) -> Error {
        let failures = std::mem::take(&mut self.failures);
        let code = |(_, error): &(String, Error)| error.reply_code();
        match &failures[..] {
            [] => Error::NotConnected,
            [first, rest @ ..]
                if rest.is_empty()
                    || code(first).is_some()
                        && rest.iter().all(|other| code(other) == code(first)) =>
            {
                first.1.clone()
            }
            _ => Error::ConnectionBroken(Disconnect::Hosts(Arc::new(failures))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance() -> u64 {
        crate::net::World::default().chance()
    }

    fn host(name: &str) -> Host {
        Host {
            name: name.into(),
            port: 1,
        }
    }

    fn dialer(shuffle: bool) -> Dialer {
        Dialer::new(["a", "b", "c"].map(host).into(), shuffle)
    }

    fn round(dialer: &mut Dialer) -> String {
        dialer.begin_round(chance);
        std::iter::from_fn(|| dialer.next_host())
            .map(|host| host.name)
            .collect()
    }

    #[test]
    fn every_host_has_its_turn_and_after_a_loss_the_next_one_is_first() {
        let mut dialer = dialer(false);
        assert_eq!(round(&mut dialer), "abc");
        dialer.begin_round(chance);
        dialer.next_host();
        dialer.next_host();
        assert_eq!(round(&mut dialer), "cab");
    }

    #[test]
    fn a_shuffled_round_has_every_host_and_not_always_the_same_one_first() {
        let mut dialer = dialer(true);
        let rounds: Vec<String> = (0..200).map(|_| round(&mut dialer)).collect();
        for first in ["a", "b", "c"] {
            assert!(rounds.iter().any(|round| round.starts_with(first)));
        }
        for round in rounds {
            let mut names: Vec<char> = round.chars().collect();
            names.sort_unstable();
            assert_eq!(names, ['a', 'b', 'c']);
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_end_with_the_limit() {
        let second = Duration::from_secs(1);
        let recovery = Recovery::new().delay(second, 4 * second).limit(60 * second);
        let start = crate::net::clock::now();
        let mut dialer = dialer(false);
        dialer.note_up(start);
        assert!(dialer.note_lost(start, &recovery));
        for longest in [1, 2, 4, 4, 4] {
            assert!(dialer.pause(start, &recovery, chance()));
            let pause = dialer.next_round.unwrap() - start;
            assert!(pause <= longest * second && pause >= longest * second / 2);
        }
        assert!(dialer.pause(start + 59 * second, &recovery, chance()));
        assert!(dialer.next_round.unwrap() <= start + 60 * second);
        assert!(!dialer.pause(start + 60 * second, &recovery, chance()));
    }

    #[test]
    fn a_connection_that_does_not_last_counts_as_never_made() {
        let second = Duration::from_secs(1);
        let recovery = Recovery::new().delay(second, 4 * second).limit(60 * second);
        let start = crate::net::clock::now();
        let mut dialer = dialer(false);
        dialer.note_up(start);
        assert!(dialer.note_lost(start, &recovery));
        dialer.note_up(start + second);
        assert!(!dialer.note_lost(start + 2 * second, &recovery));
        assert!(!dialer.pause(start + 60 * second, &recovery, chance()));
        dialer.note_up(start + 60 * second);
        assert!(dialer.note_lost(start + 64 * second, &recovery));
        assert!(dialer.pause(start + 65 * second, &recovery, chance()));
    }

    #[test]
    fn a_connection_that_got_on_counts_as_made_and_is_made_anew_after_a_pause() {
        let second = Duration::from_secs(1);
        let recovery = Recovery::new().delay(second, 4 * second).limit(6 * second);
        let start = crate::net::clock::now();
        let mut dialer = dialer(false);
        dialer.note_up(start);
        // Before the first loss there is nothing to begin anew.
        dialer.has_got_on(start, &recovery);
        assert!(dialer.note_lost(start, &recovery));
        for number in 1..100 {
            let now = start + number * second;
            // Every other one is lost before all is restored.
            if number % 2 == 0 {
                dialer.note_up(now);
            }
            dialer.has_got_on(now, &recovery);
            if dialer.was_up() {
                assert!(!dialer.note_lost(now, &recovery));
            }
            assert!(dialer.pause(now, &recovery, chance()));
            let pause = dialer.next_round.unwrap() - now;
            assert!(pause >= second / 2 && pause <= second, "{pause:?}");
        }
        // One after the other that does nothing is the end.
        let ended = (100..110).position(|number| {
            let now = start + number * second;
            dialer.note_up(now);
            !dialer.note_lost(now, &recovery) && !dialer.pause(now, &recovery, chance())
        });
        assert_eq!(ended, Some(6));
    }

    #[test]
    fn every_loss_has_an_attempt_however_short_the_limit_is() {
        let second = Duration::from_secs(1);
        let recovery = Recovery::new().delay(second, 5 * second).limit(2 * second);
        let start = crate::net::clock::now();
        let mut dialer = dialer(false);
        dialer.note_up(start);
        for number in 0..10 {
            let now = start + number * 3 * second;
            assert!(dialer.note_lost(now, &recovery));
            dialer.begin_round(chance);
            assert!(!dialer.is_too_late(now, &recovery));
            dialer.note_up(now + second / 2);
        }
        // Not so those that do not last at all.
        let mut now = start + 28 * second;
        let attempts = std::iter::from_fn(|| {
            dialer.note_up(now);
            now += second / 2;
            (dialer.note_lost(now, &recovery) || dialer.pause(now, &recovery, chance()))
                .then_some(())
        });
        assert!(attempts.take(20).count() < 10);
        // Made at the last moment, and lost beyond the limit.
        dialer.reset();
        dialer.note_up(start);
        assert!(dialer.note_lost(start, &recovery));
        dialer.note_up(start + second * 3 / 2);
        assert!(dialer.note_lost(start + second * 5 / 2, &recovery));
        dialer.note_up(start + second * 5 / 2);
        assert!(!dialer.note_lost(start + 3 * second, &recovery));
        assert!(!dialer.pause(start + 3 * second, &recovery, chance()));
    }

    #[test]
    fn the_limit_holds_between_hosts_and_for_each_attempt() {
        let second = Duration::from_secs(1);
        let recovery = Recovery::new().limit(6 * second);
        let start = crate::net::clock::now();
        let mut dialer = dialer(false);
        let longest = 10 * second;
        dialer.begin_round(chance);
        dialer.next_host();
        // At first there is no limit.
        assert_eq!(dialer.allowance(start, &recovery, longest), longest);
        dialer.note_up(start);
        assert!(dialer.note_lost(start, &recovery));
        dialer.begin_round(chance);
        for (passed, allowance) in [(0, 2), (2, 2), (6, 1)] {
            let now = start + passed * second;
            assert_eq!(dialer.is_too_late(now, &recovery), passed == 6);
            dialer.next_host();
            assert_eq!(
                dialer.allowance(now, &recovery, longest),
                allowance * second
            );
            assert_eq!(dialer.allowance(now, &recovery, second / 2), second / 2);
            dialer.failed(Error::ConnectionBroken(Disconnect::Eof));
        }
        // A round that begins with the limit has one attempt.
        dialer.begin_round(chance);
        assert!(!dialer.is_too_late(start + 6 * second, &recovery));
    }

    #[test]
    fn the_verdict_names_every_host_unless_all_say_the_same() {
        let refused = |code, text: &str| {
            Error::from_reply(crate::types::reply::Reply::from_broker(
                code,
                text.as_bytes(),
                0,
                0,
            ))
        };
        let mut dialer = dialer(false);
        dialer.begin_round(chance);
        dialer.next_host();
        dialer.failed(refused(530, "no vhost"));
        assert!(matches!(dialer.verdict(), Error::NotAllowed(_)));
        for error in [
            refused(530, "no vhost"),
            Error::ConnectionBroken(Disconnect::Eof),
        ] {
            dialer.next_host();
            dialer.failed(error);
        }
        let text = dialer.verdict().to_string();
        assert!(
            text.contains("b:1: no vhost") && text.contains("c:1: connection broken"),
            "{text}"
        );
    }
}
