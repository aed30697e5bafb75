//! What requests come to: one type of result for each kind of promise.

use std::fmt;
use std::sync::Arc;

use crate::types::message::{Delivery, Response};
use crate::types::text::Printable;
use crate::wire::{FieldTable, FieldValue, ShortStr};

/// What the broker said when the connection was made, and what both agreed on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Connected {
    /// The broker's own properties: `product`, `version`, `capabilities` and more.
    pub server_properties: FieldTable,
    /// How many channels there may be, and so how many requests and consumers at once.
    pub channel_max: u16,
    /// The largest frame, in bytes.
    pub frame_max: u32,
    /// The heartbeat interval in seconds; 0 for none.
    pub heartbeat: u16,
    /// Whether publishes are confirmed by the broker, not by puka's emulation.
    pub pubacks: bool,
}

impl Connected {
    /// The broker's version as it says it; empty if it does not.
    pub fn version(&self) -> String {
        self.server_properties
            .get("version")
            .and_then(|value| value.as_str().map(String::from))
            .unwrap_or_default()
    }

    /// Whether the broker lists that capability (`publisher_confirms`, say).
    pub fn has_capability(&self, name: &str) -> bool {
        match self.server_properties.get("capabilities") {
            Some(FieldValue::Table(table)) => {
                matches!(table.get(name), Some(FieldValue::Bool(true)))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = self.server_properties.get("product");
        let product = product
            .as_ref()
            .and_then(|value| value.as_str())
            .unwrap_or("a broker");
        write!(f, "{} {}", Printable(product), Printable(&self.version()))
    }
}

/// A queue as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDeclareOk {
    /// Its name; the broker's choice if none was given.
    pub queue: ShortStr,
    /// Messages ready for delivery.
    pub message_count: u32,
    /// Consumers of the queue.
    pub consumer_count: u32,
}

/// A consumer is cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CancelOk {
    /// Its tag; the last one's, if the consumer had several queues.
    pub consumer_tag: ShortStr,
}

/// How a consumer was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancelled {
    /// Who ended it.
    pub by: CancelledBy,
    /// Its queue; of several, the one that the broker cancelled, or the last one.
    pub queue: ShortStr,
    /// The consumer tag for that queue, `<promise>.<index>.<suffix>`.
    pub consumer_tag: ShortStr,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            by,
            queue,
            consumer_tag,
        } = self;
        write!(
            f,
            "the consumer {consumer_tag:?} of queue {queue:?} was cancelled by {by}"
        )
    }
}

/// Who ended a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelledBy {
    /// [`Client::basic_cancel`](crate::Client::basic_cancel).
    Client,
    /// The broker: its queue was deleted, or moved away.
    /// See [consumer cancellation](https://www.rabbitmq.com/docs/consumer-cancel).
    Broker,
}

impl fmt::Display for CancelledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "the client",
            Self::Broker => "the broker (was its queue deleted?)",
        })
    }
}

/// The result of a promise, before it gets its type.
#[derive(Debug)]
pub enum Outcome {
    /// A publish succeeded.
    Published,
    Done,
    Connected(Arc<Connected>),
    QueueDeclareOk(QueueDeclareOk),
    MessageCount(u32),
    Got(Option<Box<Delivery>>),
    CancelOk(CancelOk),
    Response(Box<Response>),
}

impl Outcome {
    /// The bytes of a message that are not in the value itself.
    pub(crate) fn shared_bytes(&self) -> usize {
        match self {
            Self::Got(Some(delivery)) => {
                let names = delivery.exchange.len() + delivery.routing_key.len();
                delivery.body.len() + delivery.properties.shared_bytes() + names
            }
            Self::Response(response) => response.body.len() + response.properties.shared_bytes(),
            _ => 0,
        }
    }
}

/// One thing that a promise gives.
#[derive(Debug)]
pub enum Item {
    Outcome(Outcome),
    Delivery(Box<Delivery>),
}

impl Item {
    /// A second one for whoever waits on a promise with a callback; a delivery has none.
    pub(crate) fn copy(&self) -> Option<Self> {
        let Self::Outcome(outcome) = self else {
            return None;
        };
        Some(Self::Outcome(match outcome {
            Outcome::Published => Outcome::Published,
            Outcome::Done => Outcome::Done,
            Outcome::Connected(connected) => Outcome::Connected(connected.clone()),
            Outcome::QueueDeclareOk(ok) => Outcome::QueueDeclareOk(ok.clone()),
            Outcome::MessageCount(count) => Outcome::MessageCount(*count),
            Outcome::Got(None) => Outcome::Got(None),
            Outcome::Got(Some(_)) => return None,
            Outcome::CancelOk(ok) => Outcome::CancelOk(ok.clone()),
            Outcome::Response(response) => Outcome::Response(response.clone()),
        }))
    }
}
