//! Messages: what a user publishes, what comes back, and what is delivered.
//!
//! How they look on the wire is in `wire/properties.rs`; how they are put together from frames, in
//! `connection/incoming/content.rs`.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::types::ids::{ChannelId, PromiseId};
use crate::types::text::Printable;
use crate::wire::{FieldTable, FieldValue, Properties, ShortStr};

/// A message to publish: a body, and whatever properties it needs.
///
/// A plain `&'static str`, `String`, `Vec<u8>` or [`Bytes`] is a message too, and none of them is copied.
///
/// ```
/// use puka::Message;
///
/// let message = Message::new("report.pdf").persistent().header("attempt", 1).mandatory(true);
/// assert_eq!(message.properties.delivery_mode(), Some(2));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The body.
    pub body: Bytes,
    /// The [properties](https://www.rabbitmq.com/docs/publishers#message-properties); unset by default.
    pub properties: Properties,
    /// Whether the broker is to return the message when it reaches no queue; `false` by default.
    pub mandatory: bool,
}

/// One setter a property, by value.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident, $set:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, value: impl Into<ShortStr>) -> Self {
                self.properties.$set(&value.into());
                self
            }
        )*
    };
}

impl Message {
    /// A message with this body and no properties.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// Asks the broker to give the message back when no queue takes it: the promise then fails with
    /// [`Error::NoRoute`](crate::Error::NoRoute). Without this the broker drops such a message, and confirms it. See [unroutable
    /// messages](https://www.rabbitmq.com/docs/publishers#unroutable).
    #[must_use]
    pub fn mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = mandatory;
        self
    }

    /// Delivery mode 2: a durable queue keeps the message over a restart of the broker.
    #[must_use]
    pub fn persistent(self) -> Self {
        self.delivery_mode(2)
    }

    /// Adds a header, or replaces the one of that name.
    #[must_use]
    pub fn header(mut self, name: impl Into<ShortStr>, value: impl Into<FieldValue>) -> Self {
        self.properties.headers.insert(name, value);
        self
    }

    /// Replaces all properties, by those of a delivery, say.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// All headers at once.
    #[must_use]
    pub fn headers(mut self, headers: FieldTable) -> Self {
        self.properties.headers = headers;
        self
    }

    /// 1: transient, 2: persistent.
    #[must_use]
    pub fn delivery_mode(mut self, value: u8) -> Self {
        self.properties.set_delivery_mode(value);
        self
    }

    /// The [priority](https://www.rabbitmq.com/docs/priority), in queues that have priorities.
    #[must_use]
    pub fn priority(mut self, value: u8) -> Self {
        self.properties.set_priority(value);
        self
    }

    /// When the message was made, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, value: u64) -> Self {
        self.properties.set_timestamp(value);
        self
    }

    setters! {
        /// The MIME type of the body, for those who read it.
        content_type, set_content_type;
        /// The encoding of the body (`gzip`, say), for those who read it.
        content_encoding, set_content_encoding;
        /// What ties a reply to its request.
        correlation_id, set_correlation_id;
        /// The queue that a reply should go to.
        reply_to, set_reply_to;
        /// The [time to live](https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers): milliseconds, as text.
        expiration, set_expiration;
        /// A name for the message.
        message_id, set_message_id;
        /// The kind of the message (AMQP's `type`).
        kind, set_kind;
        /// The publishing user, which the broker [checks](https://www.rabbitmq.com/docs/validated-user-id).
        user_id, set_user_id;
        /// The publishing program.
        app_id, set_app_id;
        /// Deprecated in AMQP, and of no meaning to RabbitMQ.
        cluster_id, set_cluster_id;
    }
}

macro_rules! message_from {
    ($($type:ty),*) => {
        $(
            impl From<$type> for Message {
                fn from(body: $type) -> Self {
                    Self::new(body)
                }
            }
        )*
    };
}

message_from!(&'static str, &'static [u8], String, Vec<u8>, Bytes);

impl<const N: usize> From<&'static [u8; N]> for Message {
    fn from(body: &'static [u8; N]) -> Self {
        Self::new(body.as_slice())
    }
}

/// A message that the broker gave to this client: by [`basic_consume`](crate::Client::basic_consume) or
/// [`basic_get`](crate::Client::basic_get).
///
/// It is not `Clone`, and to settle it ([`basic_ack`](crate::Client::basic_ack) and the like) takes it away, so that
/// nobody can acknowledge it twice:
///
/// ```compile_fail,E0382
/// # fn twice(client: &mut puka::Client, delivery: puka::Delivery) -> puka::Result<()> {
/// client.basic_ack(delivery)?;
/// client.basic_ack(delivery)?;
/// # Ok(())
/// # }
/// ```
///
/// Dropped, it stays unacknowledged, and its promise's channel stays taken, until the connection ends.
///
/// A small body shares memory with its neighbours, and may keep some tens of kilobytes alive: copy what is kept for
/// long.
#[derive(PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// The body.
    pub body: Bytes,
    /// The properties.
    pub properties: Properties,
    /// The exchange it was published to; empty for the default exchange.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// The consumer tag, `<promise>.<index>.<suffix>`; empty after `basic_get`.
    pub consumer_tag: ShortStr,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many messages are left in the queue, after `basic_get`; else 0.
    pub message_count: u32,
    pub(crate) origin: Origin,
}

/// Where a delivery came from, and so where its acknowledgement must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) promise: PromiseId,
    pub(crate) channel: ChannelId,
    /// The channel's own number in this client's life: a channel number is used again, an epoch never.
    pub(crate) epoch: u64,
    pub(crate) tag: u64,
    pub(crate) no_ack: bool,
    /// The client itself has settled it: its consumer was cancelled before it was read, and its queue has gone.
    pub(crate) is_returned: bool,
}

impl Delivery {
    /// One that nothing is known of yet.
    pub(crate) const fn blank() -> Self {
        Self {
            body: Bytes::new(),
            properties: Properties::NONE,
            exchange: ShortStr::EMPTY,
            routing_key: ShortStr::EMPTY,
            consumer_tag: ShortStr::EMPTY,
            redelivered: false,
            message_count: 0,
            origin: Origin {
                promise: PromiseId::NOBODYS,
                channel: ChannelId(0),
                epoch: 0,
                tag: 0,
                no_ack: false,
                is_returned: false,
            },
        }
    }

    /// What it takes in memory, nearly.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.body.len() + self.properties.shared_bytes()
    }

    /// The promise it came by.
    pub fn promise(&self) -> PromiseId {
        self.origin.promise
    }

    /// The broker's number for it, which counts from 1 on each channel.
    pub fn delivery_tag(&self) -> u64 {
        self.origin.tag
    }

    /// The header of that name.
    pub fn header(&self, name: &str) -> Option<FieldValue> {
        self.properties.headers.get(name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn body_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Delivery");
        out.field("body", &self.body)
            .field("properties", &self.properties)
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("redelivered", &self.redelivered);
        if self.consumer_tag.is_empty() {
            out.field("message_count", &self.message_count);
        } else {
            out.field("consumer_tag", &self.consumer_tag);
        }
        out.field("delivery_tag", &self.origin.tag)
            .field("promise", &self.origin.promise)
            .finish()
    }
}

/// The reply to a [call](crate::Client::call).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// The body.
    pub body: Bytes,
    /// The properties.
    pub properties: Properties,
}

impl Response {
    /// The header of that name.
    pub fn header(&self, name: &str) -> Option<FieldValue> {
        self.properties.headers.get(name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn body_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// A `mandatory` message that reached no queue, as the broker gave it back.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Returned {
    /// 312, `NO_ROUTE`.
    pub reply_code: u16,
    /// The broker's words.
    pub reply_text: ShortStr,
    /// The exchange it was published to.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// Its properties.
    pub properties: Properties,
    /// Its body.
    pub body: Bytes,
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exchange {:?} has no queue for the routing key {:?} ({} {}, {} bytes)",
            &*self.exchange,
            &*self.routing_key,
            self.reply_code,
            Printable(&self.reply_text),
            self.body.len()
        )
    }
}
