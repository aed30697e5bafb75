//! One direction of a connection: bytes that are held back, under way, and there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::settings::Settings;
use crate::net::clock::after;

/// After so long the system sends what it was told to hold back.
const HELD_FOR: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) latency: Duration,
    /// Bytes per second, if that has a limit.
    pub(super) rate: Option<u64>,
    capacity: usize,
    /// What the sender's system holds back, since more may follow, and until when.
    held: Vec<u8>,
    held_until: Option<Instant>,
    /// When each piece arrives.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    arrived: VecDeque<u8>,
    /// Until when the line is busy.
    busy_until: Option<Instant>,
    /// When the sender's end arrives.
    ends_at: Option<Instant>,
}

impl Pipe {
    pub(super) fn new(settings: &Settings, chance: &mut Chance) -> Self {
        Self {
            latency: chance.within(&settings.latency),
            rate: None,
            capacity: settings.capacity,
            held: Vec::new(),
            held_until: None,
            under_way: VecDeque::new(),
            arrived: VecDeque::new(),
            busy_until: None,
            ends_at: None,
        }
    }

    /// Bytes that the other end has not read.
    pub(super) fn len(&self) -> usize {
        let under_way: usize = self.under_way.iter().map(|(_, bytes)| bytes.len()).sum();
        self.held.len() + under_way + self.arrived.len()
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.len())
    }

    /// Whether there is so much room that a poll tells of it.
    pub(super) fn is_roomy(&self) -> bool {
        self.room() > self.capacity / 3
    }

    pub(super) fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// Bytes that are there to be read.
    pub(super) fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Sends bytes; when they arrive. With `more` they may wait.
    pub(super) fn send(&mut self, now: Instant, bytes: &[u8], more: bool) -> Instant {
        self.held.extend_from_slice(bytes);
        if more {
            let until = after(now, HELD_FOR);
            return *self.held_until.get_or_insert(until);
        }
        self.push(now)
    }

    /// Sends what is held back; when it arrives.
    pub(super) fn push(&mut self, now: Instant) -> Instant {
        self.held_until = None;
        let bytes = std::mem::take(&mut self.held);
        let free = self.busy_until.map_or(now, |busy| busy.max(now));
        let takes = match self.rate {
            Some(rate) => Duration::from_secs_f64(bytes.len() as f64 / rate.max(1) as f64),
            None => Duration::ZERO,
        };
        let sent = after(free, takes);
        self.busy_until = Some(sent);
        let at = after(sent, self.latency);
        // What was sent earlier arrives earlier, even if the network has become faster.
        let last = self.under_way.back().map_or(at, |(last, _)| *last);
        let at = at.max(last);
        if !bytes.is_empty() {
            self.under_way.push_back((at, bytes));
        }
        at
    }

    /// Tears the last piece: its second part arrives later.
    pub(super) fn tear(&mut self, chance: &mut Chance) {
        if let Some((at, mut bytes)) = self.under_way.pop_back() {
            let rest = bytes.split_off(chance.up_to(bytes.len()));
            self.under_way.push_back((at, bytes));
            if !rest.is_empty() {
                let pause = Duration::from_micros(chance.next() % 2000);
                self.under_way.push_back((after(at, pause), rest));
            }
        }
    }

    /// Nothing more is sent.
    pub(super) fn end(&mut self, now: Instant) {
        let at = self.push(now);
        self.ends_at.get_or_insert(at);
    }

    /// Whether the sender's end is there, though what came before may be unread.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.ends_at.is_some_and(|at| at <= now) && self.under_way.is_empty()
    }

    /// Whatever is not there is lost.
    pub(super) fn lose(&mut self) {
        self.held.clear();
        self.held_until = None;
        self.under_way.clear();
    }

    /// When something arrives next.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = self.under_way.front().map(|(at, _)| *at);
        [first, self.held_until, self.ends_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the last piece arrives that is under way.
    pub(super) fn last_arrival(&self) -> Option<Instant> {
        self.under_way.back().map(|(at, _)| *at)
    }

    /// What has come to be there by now; whether that is anything.
    pub(super) fn arrive(&mut self, now: Instant) -> bool {
        if self.held_until.is_some_and(|until| until <= now) {
            self.push(now);
        }
        let before = self.arrived.len();
        while self.under_way.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, bytes)) = self.under_way.pop_front() {
                self.arrived.extend(bytes);
            }
        }
        self.arrived.len() > before
    }

    /// Takes what is there.
    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.arrived.len());
        let mut taken = Vec::with_capacity(count);
        // As slices: byte by byte it would be most of the time of a test that is not optimized.
        let (first, second) = self.arrived.as_slices();
        taken.extend_from_slice(first.get(..count).unwrap_or(first));
        taken.extend_from_slice(second.get(..count - taken.len()).unwrap_or(second));
        self.arrived.drain(..count);
        taken
    }
}
