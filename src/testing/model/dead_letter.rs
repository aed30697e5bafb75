//! Messages that leave a queue without being acknowledged go to its dead letter exchange, with their history.

use super::Model;
use super::queue::{Queue, Stored};
use super::request::{Message, Version};
use super::vhost::copied_to;
use crate::wire::{FieldTable, FieldValue};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Rejected,
    Expired,
    MaxLen,
    DeliveryLimit,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLen => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message on its way to a dead letter exchange.
#[derive(Debug)]
pub(super) struct DeadLetter {
    vhost: String,
    queue: String,
    exchange: String,
    routing_key: Option<String>,
    stored: Stored,
    reason: Reason,
}

/// The second that the model's time begins in: its clock is nobody's.
const EPOCH: u64 = 1_700_000_000;

impl DeadLetter {
    /// None, if the queue has no dead letter exchange.
    pub(super) fn new(
        vhost: &str,
        name: &str,
        queue: &Queue,
        stored: Stored,
        reason: Reason,
    ) -> Option<Self> {
        Some(Self {
            vhost: vhost.to_owned(),
            queue: name.to_owned(),
            exchange: queue.settings.dead_letter_exchange.clone()?,
            routing_key: queue.settings.dead_letter_routing_key.clone(),
            stored,
            reason,
        })
    }

    /// The keys that it is routed by.
    fn keys(&self) -> Vec<String> {
        if let Some(key) = &self.routing_key {
            return vec![key.clone()];
        }
        let mut keys = self.stored.open_keys();
        keys.extend(self.stored.hidden_keys.iter().cloned());
        keys
    }

    /// One more death in the headers.
    fn headers(&self, version: Version, seconds: u64) -> FieldTable {
        let message = &self.stored.message;
        let mut headers = message.properties.headers.clone();
        // Since 4.0 what a client writes there says nothing.
        if version >= Version::V4 && !self.stored.has_died {
            headers.remove("x-death");
            for when in ["first", "last"] {
                for what in ["exchange", "queue", "reason"] {
                    headers.remove(&format!("x-{when}-death-{what}"));
                }
            }
        }
        let reason = self.reason.name();
        let mut deaths = deaths(&headers);
        let place = deaths.iter().position(|death| {
            text(death, "queue").as_deref() == Some(&self.queue)
                && text(death, "reason").as_deref() == Some(reason)
        });
        let death = match place.map(|place| deaths.remove(place)) {
            Some(death) => {
                let count = death.get("count").and_then(|count| count.as_i64());
                death.with("count", count.unwrap_or(0) + 1)
            }
            None => self.death(seconds),
        };
        deaths.insert(0, death);
        let deaths = deaths.into_iter().map(FieldValue::Table).collect();
        headers.insert("x-death", FieldValue::Array(deaths));
        let mut remember = |when: &str, always: bool| {
            for (what, value) in [
                ("exchange", message.exchange.as_str()),
                ("queue", self.queue.as_str()),
                ("reason", reason),
            ] {
                let name = format!("x-{when}-death-{what}");
                if always || !headers.contains(&name) {
                    headers.insert(name, value.to_owned());
                }
            }
        };
        remember("first", false);
        if version >= Version::V4 {
            remember("last", true);
        }
        if self.routing_key.is_some() && version < Version::V4 {
            headers.remove("CC");
        }
        headers
    }

    fn death(&self, seconds: u64) -> FieldTable {
        let message = &self.stored.message;
        let keys = self.stored.open_keys();
        let keys = keys.into_iter().map(FieldValue::from).collect();
        let mut death = FieldTable::new()
            .with("count", 1_i64)
            .with("exchange", message.exchange.clone());
        if let Some(expiration) = message.properties.expiration() {
            death.insert("original-expiration", expiration.to_owned());
        }
        death
            .with("queue", self.queue.clone())
            .with("reason", self.reason.name())
            .with("routing-keys", FieldValue::Array(keys))
            .with("time", FieldValue::Timestamp(EPOCH + seconds))
    }
}

impl Stored {
    /// The keys that everybody may see.
    fn open_keys(&self) -> Vec<String> {
        let mut keys = vec![self.message.routing_key.clone()];
        if !self.has_own_key {
            keys.extend(copied_to(&self.message.properties.headers, "CC").unwrap_or_default());
        }
        keys
    }
}

fn text(death: &FieldTable, key: &str) -> Option<String> {
    let value = death.get(key)?;
    value.as_str().map(str::to_owned)
}

fn deaths(headers: &FieldTable) -> Vec<FieldTable> {
    let Some(FieldValue::Array(deaths)) = headers.get("x-death") else {
        return Vec::new();
    };
    let tables = deaths.into_iter().filter_map(|death| match death {
        FieldValue::Table(death) => Some(death),
        _ => None,
    });
    tables.collect()
}

/// Whether it was in that queue before, and nobody has rejected it since: it would go round for ever.
fn is_cycle(deaths: &[FieldTable], queue: &str) -> bool {
    let is_here = |death: &FieldTable| text(death, "queue").as_deref() == Some(queue);
    let before = deaths.iter().position(is_here);
    let is_rejected =
        |death: &FieldTable| text(death, "reason").as_deref() == Some(Reason::Rejected.name());
    before.is_some_and(|before| !deaths[..=before].iter().any(is_rejected))
}

impl Model {
    /// Publishes it again, if somebody wants it.
    pub(super) fn bury(&mut self, dead: DeadLetter) {
        let now = self.now;
        let keys = dead.keys();
        let headers = dead.headers(self.settings.version, now.as_secs());
        let deaths = deaths(&headers);
        let Some(vhost) = self.vhosts.get_mut(&dead.vhost) else {
            return;
        };
        let mut queues = vhost.route(&dead.exchange, &keys, &headers);
        if dead.reason != Reason::Rejected {
            queues.retain(|queue| !is_cycle(&deaths, queue));
        }
        // With a key of the queue's, those of the message are forgotten.
        let has_own_key = dead.routing_key.is_some();
        let hidden_keys = match has_own_key {
            true => Vec::new(),
            false => dead.stored.hidden_keys,
        };
        let old = dead.stored.message;
        let message = Message {
            exchange: dead.exchange,
            routing_key: dead.routing_key.unwrap_or(old.routing_key),
            properties: old.properties.without_expiration(headers),
            body: old.body,
        };
        for name in queues {
            let Some(queue) = vhost.queues.get_mut(&name) else {
                continue;
            };
            let stored = Stored {
                has_died: true,
                has_own_key: has_own_key || dead.stored.has_own_key,
                ..Stored::new(message.clone(), hidden_keys.clone())
            };
            // Nobody is told that there was no room.
            if queue.refuses(&message) {
                continue;
            }
            queue.push(stored, now);
            self.changed.insert((dead.vhost.clone(), name));
        }
    }
}
