//! A queue: the messages that are ready, in order, and who wants them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::arguments::{ComesBack, Overflow, QueueSettings};
use super::request::{ConsumerKey, LinkId, Message};
use crate::wire::FieldTable;

/// Where a message is in its queue, for good: one that comes back finds its place again. Higher priorities are in front.
pub(super) type Place = (Reverse<u8>, u64);

/// The highest priority that is none yet, where there are two levels.
const MIDDLE: u8 = 4;
const LOW: u8 = 0;
const HIGH: u8 = 1;
/// In front of both levels.
const RETURNED: u8 = 2;

/// A message in a queue, or out of it and not acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) message: Message,
    pub(super) redelivered: bool,
    /// How often it has come back.
    pub(super) returns: u64,
    pub(super) expires_at: Option<Duration>,
    /// The BCC header, which nobody sees.
    pub(super) hidden_keys: Vec<String>,
    /// It has been a dead letter: the history in its headers is ours.
    pub(super) has_died: bool,
    /// A queue has sent it on with a key of its own: its CC header is history.
    pub(super) has_own_key: bool,
    /// Its queue tells how often it has come back.
    pub(super) counts_returns: bool,
}

impl Stored {
    pub(super) fn new(message: Message, hidden_keys: Vec<String>) -> Self {
        Self {
            message,
            redelivered: false,
            returns: 0,
            expires_at: None,
            hidden_keys,
            has_died: false,
            has_own_key: false,
            counts_returns: false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) key: ConsumerKey,
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) priority: i64,
    /// 0: no limit.
    pub(super) prefetch: u16,
    /// Deliveries that are out.
    pub(super) unacked: usize,
    /// It was full when its turn came: it waits beside the row until it has room.
    pub(super) is_blocked: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    /// No later queue of this name has it.
    pub(super) id: u64,
    pub(super) durable: bool,
    pub(super) owner: Option<LinkId>,
    pub(super) auto_delete: bool,
    pub(super) arguments: FieldTable,
    pub(super) settings: QueueSettings,
    pub(super) ready: BTreeMap<Place, Stored>,
    ready_bytes: u64,
    next: u64,
    /// Something came back, and nothing was delivered since.
    pub(super) has_returned: bool,
    /// A quorum queue that was too long refuses until it is well below its limit.
    is_closed: bool,
    /// How many of the higher level went since one of the lower did.
    in_a_row: u8,
    /// Those of higher priority in front; of one priority, whose turn it is.
    pub(super) consumers: Vec<Consumer>,
    /// The one that gets everything, if the queue is made so.
    pub(super) active: Option<ConsumerKey>,
    /// When it deletes itself if nobody uses it.
    pub(super) expires_at: Option<Duration>,
}

impl Queue {
    pub(super) fn new(id: u64, arguments: FieldTable, settings: QueueSettings) -> Self {
        Self {
            id,
            durable: false,
            owner: None,
            auto_delete: false,
            arguments,
            settings,
            ready: BTreeMap::new(),
            ready_bytes: 0,
            next: 0,
            has_returned: false,
            is_closed: false,
            in_a_row: 0,
            consumers: Vec::new(),
            active: None,
            expires_at: None,
        }
    }

    /// Somebody uses it: its own end is put off.
    pub(super) fn touch(&mut self, now: Duration) {
        let lease = self.settings.expires.filter(|_| self.consumers.is_empty());
        self.expires_at = lease.map(|lease| now + lease);
    }

    /// Whether one more is too many, and has to be refused.
    pub(super) fn refuses(&self, message: &Message) -> bool {
        let settings = &self.settings;
        let is_over = |limit: Option<u64>, would_be: u64| limit.is_some_and(|max| would_be > max);
        // A quorum queue notices when it is too late.
        if settings.is_quorum {
            return self.is_closed;
        }
        settings.overflow != Overflow::DropHead
            && (is_over(settings.max_length, self.ready.len() as u64 + 1)
                || is_over(settings.max_bytes, self.ready_bytes + size(message)))
    }

    /// A quorum queue that has become too long lets publishers in again at 80 % of its limits.
    pub(super) fn watch_limit(&mut self) {
        let settings = &self.settings;
        if !settings.is_quorum || settings.overflow == Overflow::DropHead {
            return;
        }
        let (length, bytes) = (self.ready.len() as u64, self.ready_bytes);
        let is_over = |limit: Option<u64>, is: u64| limit.is_some_and(|max| is > max);
        let is_low = |limit: Option<u64>, is: u64| {
            limit.is_none_or(|max| u128::from(is) <= u128::from(max) * 4 / 5)
        };
        if is_over(settings.max_length, length) || is_over(settings.max_bytes, bytes) {
            self.is_closed = true;
        } else if is_low(settings.max_length, length) && is_low(settings.max_bytes, bytes) {
            self.is_closed = false;
        }
    }

    /// Whether the first one has to go, for there are too many.
    pub(super) fn is_too_long(&self) -> bool {
        let settings = &self.settings;
        let is_over = |limit: Option<u64>, is: u64| limit.is_some_and(|max| is > max);
        settings.overflow == Overflow::DropHead
            && (is_over(settings.max_length, self.ready.len() as u64)
                || is_over(settings.max_bytes, self.ready_bytes))
    }

    /// A new message, at its end.
    pub(super) fn push(&mut self, mut stored: Stored, now: Duration) {
        let message = &stored.message;
        let own = message.properties.expiration();
        let own = own.and_then(|text| text.parse().ok());
        let ttls = [own.map(Duration::from_millis), self.settings.message_ttl];
        let most = self.settings.max_priority.unwrap_or(0);
        let priority = match message.properties.priority().unwrap_or(0) {
            priority if self.settings.is_fair => u8::from(priority > MIDDLE),
            priority => priority.min(most),
        };
        let place = (Reverse(priority), self.next);
        self.next += 1;
        stored.expires_at = ttls.into_iter().flatten().min().map(|ttl| now + ttl);
        stored.counts_returns = self.settings.is_quorum;
        self.put(place, stored);
    }

    /// A message that comes back.
    pub(super) fn put_back(&mut self, place: Place, stored: Stored) {
        let place = match self.settings.comes_back {
            ComesBack::Where => place,
            ComesBack::First => (Reverse(RETURNED), self.next),
            ComesBack::Last => (Reverse(0), self.next),
        };
        self.next += 1;
        // A quorum queue delivers first.
        self.has_returned = !self.settings.is_quorum;
        self.put(place, stored);
    }

    fn put(&mut self, place: Place, stored: Stored) {
        self.ready_bytes += size(&stored.message);
        self.ready.insert(place, stored);
    }

    /// The place of the message whose turn it is.
    fn first(&self) -> Option<Place> {
        let (&first, _) = self.ready.first_key_value()?;
        if self.settings.is_fair && first.0.0 == HIGH && self.in_a_row >= 2 {
            let mut low = self.ready.range((Reverse(LOW), 0)..);
            return low.next().map(|(&place, _)| place).or(Some(first));
        }
        Some(first)
    }

    pub(super) fn pop(&mut self) -> Option<(Place, Stored)> {
        let place = self.first()?;
        let stored = self.ready.remove(&place)?;
        match place.0.0 {
            LOW => self.in_a_row = 0,
            HIGH => self.in_a_row = self.in_a_row.saturating_add(1),
            _ => {}
        }
        self.ready_bytes -= size(&stored.message);
        Some((place, stored))
    }

    /// The first one, if its time is over, or ends now.
    pub(super) fn pop_expired(&mut self, now: Duration, or_now: bool) -> Option<Stored> {
        let first = self.ready.get(&self.first()?)?;
        let is_over = first
            .expires_at
            .is_some_and(|at| at < now || or_now && at == now);
        is_over.then(|| self.pop())?.map(|(_, stored)| stored)
    }

    /// How many there were.
    pub(super) fn purge(&mut self) -> usize {
        self.ready_bytes = 0;
        let purged = std::mem::take(&mut self.ready).len();
        self.watch_limit();
        purged
    }

    /// When something happens to it by itself: only the first message expires.
    pub(super) fn next_event(&self) -> Option<Duration> {
        let first = self.first().and_then(|place| self.ready.get(&place));
        let message = first.and_then(|first| first.expires_at);
        [message, self.expires_at].into_iter().flatten().min()
    }

    /// Behind those of its priority.
    pub(super) fn add_consumer(&mut self, consumer: Consumer) {
        let is_before = |other: &Consumer| other.priority >= consumer.priority;
        let place = self.consumers.partition_point(is_before);
        if self.settings.single_active && self.active.is_none() {
            self.active = Some(consumer.key.clone());
        }
        self.consumers.insert(place, consumer);
    }

    /// Whether it was there. Of single active ones, the next becomes active.
    pub(super) fn remove_consumer(&mut self, key: &ConsumerKey) -> bool {
        let before = self.consumers.len();
        self.consumers.retain(|consumer| consumer.key != *key);
        if self.active.as_ref() == Some(key) {
            self.active = self.consumers.first().map(|first| first.key.clone());
        }
        self.consumers.len() < before
    }

    /// A single active consumer of a quorum queue gives way to one of higher priority, as soon as nothing is out to it:
    /// whether that is still to come. Only RabbitMQ 4 does that.
    pub(super) fn waits_for_active(&mut self) -> bool {
        if !self.settings.is_quorum {
            return false;
        }
        let Some(first) = self.consumers.first() else {
            return false;
        };
        let is_active = |it: &&Consumer| self.active.as_ref() == Some(&it.key);
        let Some(active) = self.consumers.iter().find(is_active) else {
            return false;
        };
        if active.priority >= first.priority {
            return false;
        }
        if active.unacked > 0 {
            return true;
        }
        self.active = Some(first.key.clone());
        false
    }

    /// Those of a channel that were full and have room again go to the end of the row.
    pub(super) fn unblock(&mut self, has_room: impl Fn(&Consumer) -> bool) {
        let is_freed = |it: &&Consumer| it.is_blocked && has_room(it);
        let freed = self.consumers.iter().filter(is_freed);
        let freed: Vec<_> = freed.map(|it| it.key.clone()).collect();
        for key in freed {
            if let Some(place) = self.consumers.iter().position(|it| it.key == key) {
                self.consumers[place].is_blocked = false;
                self.rotate(place);
            }
        }
    }

    /// Its turn is over: it goes behind the others of its priority.
    pub(super) fn rotate(&mut self, place: usize) {
        let consumer = self.consumers.remove(place);
        let is_before = |other: &Consumer| other.priority >= consumer.priority;
        let place = self.consumers.partition_point(is_before);
        self.consumers.insert(place, consumer);
    }

    /// Persistent messages stay, but may have been delivered; nobody knows.
    pub(super) fn restart(&mut self, now: Duration) {
        let is_quorum = self.settings.is_quorum;
        self.ready
            .retain(|_, stored| is_quorum || stored.message.properties.delivery_mode() == Some(2));
        self.ready_bytes = self
            .ready
            .values()
            .map(|stored| size(&stored.message))
            .sum();
        self.consumers.clear();
        self.active = None;
        self.watch_limit();
        self.touch(now);
    }
}

fn size(message: &Message) -> u64 {
    message.body.len() as u64
}
