//! What one asks of the model, and what it tells: plain data.

use std::time::Duration;

use bytes::Bytes;

use crate::wire::{FieldTable, Properties};

/// A connection: a number that is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// A channel of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelKey {
    pub(crate) link: LinkId,
    pub(crate) channel: u16,
}

/// A consumer: its tag is unique in its channel only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerKey {
    pub(crate) channel: ChannelKey,
    pub(crate) tag: String,
}

/// Who asks. What a channel may do depends on its user; an empty queue name is its last declared queue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller<'a> {
    Channel(ChannelKey),
    /// A test, or some other program: it may do everything, in that virtual host.
    Operator(&'a str),
}

/// Where RabbitMQ 3 and 4 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// 3.10 to 3.13.
    V3,
    V4,
}

/// What a cluster is set to.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    /// The largest body that it takes.
    pub(crate) max_message_size: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ExchangeDeclare<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) passive: bool,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: FieldTable,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct QueueDeclare<'a> {
    /// Empty: the broker finds a name.
    pub(crate) queue: &'a str,
    pub(crate) passive: bool,
    pub(crate) durable: bool,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: FieldTable,
}

/// `queue.declare-ok`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueDeclared {
    pub(crate) queue: String,
    /// Those that are ready.
    pub(crate) messages: u32,
    pub(crate) consumers: u32,
}

/// Of a queue to an exchange, or of an exchange to another (`destination` gets what `source` gets).
#[derive(Debug, Clone, Default)]
pub(crate) struct Bind<'a> {
    pub(crate) source: &'a str,
    pub(crate) destination: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) arguments: FieldTable,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Consume<'a> {
    pub(crate) queue: &'a str,
    /// Empty: the broker finds one.
    pub(crate) tag: &'a str,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) arguments: FieldTable,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Publish<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) immediate: bool,
    /// The channel confirms: only then do the refusals that `nack_next` asks for count.
    pub(crate) is_confirmed: bool,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// A `mandatory` message that is not is to be returned (312 NO_ROUTE), before it is confirmed.
    pub(crate) is_routed: bool,
    /// `basic.ack`; if not, `basic.nack`.
    pub(crate) is_accepted: bool,
}

/// A message as it is sent to who wants it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
}

/// `basic.get-ok`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Got {
    pub(crate) delivery_tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) message: Message,
    /// How many are ready behind it.
    pub(crate) message_count: u32,
}

/// What the broker does by itself; in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// `basic.deliver`. The tag is the channel's next, in one row with those of `get`.
    Deliver {
        consumer: ConsumerKey,
        delivery_tag: u64,
        redelivered: bool,
        message: Message,
    },
    /// `basic.cancel`, if the client can take it (`consumer_cancel_notify`): its queue is gone, say.
    Cancel(ConsumerKey),
}

/// A user's rights in a virtual host: regular expressions over names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) configure: String,
    pub(crate) write: String,
    pub(crate) read: String,
}

/// One message of a queue, for a test to look at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MessageView {
    pub(crate) message: Message,
    pub(crate) redelivered: bool,
}

/// A queue, for a test to look at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueueView {
    pub(crate) name: String,
    pub(crate) durable: bool,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: FieldTable,
    /// In the order in which they will be delivered; those of higher priority first.
    pub(crate) ready: Vec<MessageView>,
    /// In the order in which they were published.
    pub(crate) unacknowledged: Vec<MessageView>,
    pub(crate) consumers: Vec<ConsumerKey>,
}

/// A message that was published and accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PublishedView {
    pub(crate) vhost: String,
    pub(crate) message: Message,
    pub(crate) is_routed: bool,
    /// When, since the model began.
    pub(crate) at: Duration,
}
