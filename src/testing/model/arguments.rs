//! The optional arguments of queues: what they mean, and which are refused.

use std::time::Duration;

use super::refusal::{Outcome, Refusal};
use super::request::{QueueDeclare, Version};
use super::resource::{Resource, erlang, type_name};
use crate::wire::{FieldTable, FieldValue};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Overflow {
    #[default]
    DropHead,
    RejectPublish,
    RejectPublishDlx,
}

/// Where a message goes that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ComesBack {
    /// To its old place: classic queues.
    #[default]
    Where,
    /// In front of all, in the order of coming back: quorum queues.
    First,
    /// Behind all: quorum queues without a delivery limit, of RabbitMQ 3.
    Last,
}

/// What a queue's arguments say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct QueueSettings {
    pub(super) is_quorum: bool,
    pub(super) message_ttl: Option<Duration>,
    pub(super) expires: Option<Duration>,
    pub(super) dead_letter_exchange: Option<String>,
    pub(super) dead_letter_routing_key: Option<String>,
    pub(super) max_length: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) overflow: Overflow,
    pub(super) max_priority: Option<u8>,
    pub(super) single_active: bool,
    /// How often a message may come back.
    pub(super) delivery_limit: Option<u64>,
    pub(super) comes_back: ComesBack,
    /// Two levels of priority, of which neither starves: quorum queues of RabbitMQ 4.
    pub(super) is_fair: bool,
}

/// What a queue that is declared again is compared by.
pub(super) const COMPARED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-delivery-limit",
];

/// RabbitMQ's longest time, in milliseconds: ten years.
pub(super) const LONGEST: u64 = 315_360_000_000;

struct Reader<'a> {
    arguments: &'a FieldTable,
    resource: Resource<'a>,
}

/// Whether it is to be a quorum queue.
pub(super) fn is_quorum(resource: Resource<'_>, arguments: &FieldTable) -> Outcome<bool> {
    Reader {
        arguments,
        resource,
    }
    .queue_type()
}

impl Reader<'_> {
    fn invalid(&self, key: &str, why: &str) -> Refusal {
        let text = format!("invalid arg '{key}' for {}: {why}", self.resource);
        Refusal::channel(406, text)
    }

    fn wrong_type(&self, key: &str, value: &FieldValue) -> Refusal {
        self.invalid(key, &format!("{{unacceptable_type,{}}}", type_name(value)))
    }

    fn number(&self, key: &str) -> Outcome<Option<u64>> {
        let Some(value) = self.arguments.get(key) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .ok_or_else(|| no_integer(self, key, &value))?;
        u64::try_from(number)
            .map(Some)
            .map_err(|_| self.invalid(key, &format!("{{value_negative,{number}}}")))
    }

    fn time(&self, key: &str) -> Outcome<Option<Duration>> {
        let number = self.number(key)?;
        if let Some(number) = number.filter(|&number| number > LONGEST) {
            return Err(self.invalid(key, &format!("{{value_too_large,{number}}}")));
        }
        Ok(number.map(Duration::from_millis))
    }

    fn text(&self, key: &str) -> Outcome<Option<String>> {
        match self.arguments.get(key) {
            None => Ok(None),
            Some(FieldValue::LongString(text)) => {
                Ok(Some(String::from_utf8_lossy(&text).into_owned()))
            }
            Some(other) => Err(self.wrong_type(key, &other)),
        }
    }

    fn yes(&self, key: &str) -> Outcome<bool> {
        match self.arguments.get(key) {
            None => Ok(false),
            Some(FieldValue::Bool(yes)) => Ok(yes),
            Some(other) => Err(self.wrong_type(key, &other)),
        }
    }

    fn overflow(&self) -> Outcome<Overflow> {
        let key = "x-overflow";
        match self.text(key)?.as_deref() {
            None | Some("drop-head") => Ok(Overflow::DropHead),
            Some("reject-publish") => Ok(Overflow::RejectPublish),
            Some("reject-publish-dlx") => Ok(Overflow::RejectPublishDlx),
            Some(_) => Err(self.invalid(key, "invalid_overflow")),
        }
    }

    fn max_priority(&self) -> Outcome<Option<u8>> {
        let key = "x-max-priority";
        let Some(number) = self.number(key)? else {
            return Ok(None);
        };
        u8::try_from(number)
            .map(Some)
            .map_err(|_| self.invalid(key, &format!("{{max_value_exceeded,{number}}}")))
    }

    /// Whether it is a quorum queue.
    fn queue_type(&self) -> Outcome<bool> {
        let key = "x-queue-type";
        match self.text(key)?.as_deref() {
            None | Some("classic") => Ok(false),
            Some("quorum") => Ok(true),
            Some("stream") => Err(Refusal::unsupported("streams")),
            Some(other) => {
                let why = format!("\"unsupported queue type '{other}'\"");
                Err(self.invalid(key, &why))
            }
        }
    }
}

fn no_integer(reader: &Reader<'_>, key: &str, value: &FieldValue) -> Refusal {
    reader.invalid(
        key,
        &format!("\"expected integer, got {}\"", type_name(value)),
    )
}

/// A consumer's priority.
pub(super) fn consumer_priority(arguments: &FieldTable, resource: Resource<'_>) -> Outcome<i64> {
    let key = "x-priority";
    let reader = Reader {
        arguments,
        resource,
    };
    arguments.get(key).map_or(Ok(0), |value| {
        let number = value.as_i64();
        number.ok_or_else(|| no_integer(&reader, key, &value))
    })
}

impl QueueSettings {
    /// Checks a declaration as RabbitMQ does.
    pub(super) fn new(
        version: Version,
        resource: Resource<'_>,
        declare: &QueueDeclare<'_>,
    ) -> Outcome<Self> {
        let reader = Reader {
            arguments: &declare.arguments,
            resource,
        };
        let is_quorum = reader.queue_type()?;
        reader.check_known(is_quorum, version)?;
        let expires = reader.time("x-expires")?;
        if expires == Some(Duration::ZERO) {
            return Err(reader.invalid("x-expires", "{value_zero,0}"));
        }
        let overflow = match reader.overflow()? {
            // Quorum queues take it, and do not do it.
            Overflow::RejectPublishDlx if is_quorum => Overflow::DropHead,
            overflow => overflow,
        };
        let delivery_limit = reader.delivery_limit(is_quorum, version);
        let comes_back = match (is_quorum, version) {
            (false, _) => ComesBack::Where,
            (true, Version::V3) if delivery_limit.is_none() => ComesBack::Last,
            (true, _) => ComesBack::First,
        };
        let settings = Self {
            is_quorum,
            comes_back,
            is_fair: is_quorum && version >= Version::V4,
            message_ttl: reader.time("x-message-ttl")?,
            expires,
            dead_letter_exchange: reader.text("x-dead-letter-exchange")?,
            dead_letter_routing_key: reader.text("x-dead-letter-routing-key")?,
            max_length: reader.number("x-max-length")?,
            max_bytes: reader.number("x-max-length-bytes")?,
            overflow,
            max_priority: reader.max_priority()?,
            single_active: reader.yes("x-single-active-consumer")?,
            delivery_limit,
        };
        if settings.dead_letter_routing_key.is_some() && settings.dead_letter_exchange.is_none() {
            let why = "routing_key_but_no_dlx_defined";
            return Err(reader.invalid("x-dead-letter-routing-key", why));
        }
        if is_quorum {
            check_quorum(resource, declare)?;
        }
        Ok(settings)
    }
}

/// What is of other types of queues only.
const NOT_CLASSIC: &[&str] = &[
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-in-memory-length",
    "x-quorum-initial-group-size",
    "x-stream-max-segment-size-bytes",
];
const NOT_QUORUM: &[&str] = &[
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-priority",
    "x-queue-master-locator",
    "x-queue-mode",
    "x-queue-version",
    "x-stream-max-segment-size-bytes",
];

impl Reader<'_> {
    fn check_known(&self, is_quorum: bool, version: Version) -> Outcome<()> {
        let (name, wrong) = match is_quorum {
            true => ("rabbit_quorum_queue", NOT_QUORUM),
            false => ("rabbit_classic_queue", NOT_CLASSIC),
        };
        let mut wrong = wrong.iter().copied();
        let locator = (!is_quorum && version == Version::V3).then_some("x-queue-leader-locator");
        let is_there = |key: &&str| self.arguments.contains(key);
        if let Some(key) = wrong.find(is_there).or(locator.filter(is_there)) {
            let text = format!(
                "invalid arg '{key}' for {} of queue type {name}",
                self.resource
            );
            return Err(Refusal::channel(406, text));
        }
        if self.arguments.get("x-dead-letter-strategy") == Some("at-least-once".into()) {
            return Err(Refusal::unsupported(
                "dead letters that are sent at least once",
            ));
        }
        for (key, what, known) in [
            ("x-queue-mode", "mode", ["default", "lazy"]),
            ("x-queue-version", "version", ["1", "2"]),
        ] {
            let value = self.arguments.get(key).map(|value| erlang(&value));
            if let Some(value) = value.filter(|value| !known.contains(&value.as_str())) {
                let why = format!("\"unsupported queue {what} '{value}'\"");
                return Err(self.invalid(key, &why));
            }
        }
        Ok(())
    }

    /// RabbitMQ 4 has one for every quorum queue that says nothing else; RabbitMQ checks nothing here.
    fn delivery_limit(&self, is_quorum: bool, version: Version) -> Option<u64> {
        let value = self.arguments.get("x-delivery-limit");
        let default = || (version >= Version::V4).then_some(20);
        match value.and_then(|value| value.as_i64()) {
            _ if !is_quorum => None,
            None => default(),
            Some(limit) => u64::try_from(limit).ok(),
        }
    }
}

fn check_quorum(resource: Resource<'_>, declare: &QueueDeclare<'_>) -> Outcome<()> {
    let invalid = if !declare.durable {
        "non-durable"
    } else if declare.exclusive {
        "exclusive-owner"
    } else if declare.auto_delete {
        "auto-delete"
    } else {
        return Ok(());
    };
    let text = format!("invalid property '{invalid}' for {resource}");
    Err(Refusal::channel(406, text))
}
