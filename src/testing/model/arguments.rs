//! The optional arguments of queues: what they mean, and which are refused.

use std::time::Duration;

use super::refusal::{Outcome, Refusal};
use super::request::{QueueDeclare, Version};
use super::resource::{Resource, type_name};
use crate::wire::{FieldTable, FieldValue};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Overflow {
    #[default]
    DropHead,
    RejectPublish,
    RejectPublishDlx,
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

/// RabbitMQ's longest time: 2^32 - 1 milliseconds.
const LONGEST: i64 = 0xffff_ffff;

struct Reader<'a> {
    arguments: &'a FieldTable,
    resource: Resource<'a>,
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
        let number = value.as_i64().ok_or_else(|| self.wrong_type(key, &value))?;
        u64::try_from(number)
            .map(Some)
            .map_err(|_| self.invalid(key, &format!("{{value_negative,{number}}}")))
    }

    fn time(&self, key: &str) -> Outcome<Option<Duration>> {
        let number = self.number(key)?;
        if let Some(number) = number.filter(|&number| number > LONGEST as u64) {
            return Err(self.invalid(key, &format!("{{value_too_big,{number}}}")));
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
            Some(other) => Err(self.invalid(key, &format!("{{invalid_overflow,<<\"{other}\">>}}"))),
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
                let why = format!("unsupported queue type '{other}'");
                Err(Refusal::channel(406, why))
            }
        }
    }
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
        if is_quorum {
            check_quorum(resource, declare)?;
        }
        let expires = reader.time("x-expires")?;
        if expires == Some(Duration::ZERO) {
            return Err(reader.invalid("x-expires", "{value_zero,0}"));
        }
        let settings = Self {
            is_quorum,
            message_ttl: reader.time("x-message-ttl")?,
            expires,
            dead_letter_exchange: reader.text("x-dead-letter-exchange")?,
            dead_letter_routing_key: reader.text("x-dead-letter-routing-key")?,
            max_length: reader.number("x-max-length")?,
            max_bytes: reader.number("x-max-length-bytes")?,
            overflow: reader.overflow()?,
            max_priority: reader.max_priority()?,
            single_active: reader.yes("x-single-active-consumer")?,
            delivery_limit: delivery_limit(version, is_quorum, &reader)?,
        };
        if settings.dead_letter_routing_key.is_some() && settings.dead_letter_exchange.is_none() {
            let why = "routing_key_but_no_dlx_defined";
            return Err(reader.invalid("x-dead-letter-routing-key", why));
        }
        Ok(settings)
    }
}

/// RabbitMQ 4 has one for every quorum queue; a negative one there is none.
fn delivery_limit(version: Version, is_quorum: bool, reader: &Reader<'_>) -> Outcome<Option<u64>> {
    let key = "x-delivery-limit";
    if !is_quorum {
        return Ok(None);
    }
    match reader.arguments.get(key).and_then(|value| value.as_i64()) {
        Some(number) if number < 0 && version >= Version::V4 => Ok(None),
        _ => {
            let default = (version >= Version::V4).then_some(20);
            Ok(reader.number(key)?.or(default))
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
        return check_quorum_arguments(resource, declare);
    };
    let text = format!("invalid property '{invalid}' for {resource}");
    Err(Refusal::channel(406, text))
}

fn check_quorum_arguments(resource: Resource<'_>, declare: &QueueDeclare<'_>) -> Outcome<()> {
    let unknown = ["x-max-priority", "x-queue-mode"];
    if let Some(key) = unknown.iter().find(|key| declare.arguments.contains(key)) {
        let text = format!("invalid arg '{key}' for {resource} of queue type rabbit_quorum_queue");
        return Err(Refusal::channel(406, text));
    }
    if declare.arguments.contains("x-dead-letter-strategy") {
        return Err(Refusal::unsupported(
            "dead letters that are sent at least once",
        ));
    }
    Ok(())
}
