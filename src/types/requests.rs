//! What a user may say of each request.
//!
//! Every request takes a plain name for the simple case, and one of these for the rest. They are builders by value:
//! `QueueDeclare::new("work").durable(true)`. How they are put on the wire is in `connection/encode.rs`.

use crate::wire::{FieldTable, FieldValue, ShortStr};

/// A by-value setter for each flag.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: bool) -> Self {
                self.$name = $name;
                self
            }
        )*
    };
}

/// The setter for an optional argument.
macro_rules! arguments {
    ($(#[$doc:meta])*) => {
        $(#[$doc])*
        #[must_use]
        pub fn argument(mut self, name: impl Into<ShortStr>, value: impl Into<FieldValue>) -> Self {
            self.arguments.insert(name, value);
            self
        }

        /// All arguments at once, in place of those that are there.
        #[must_use]
        pub fn arguments(mut self, arguments: FieldTable) -> Self {
            self.arguments = arguments;
            self
        }
    };
}

/// A plain name is the request with nothing but the name.
macro_rules! from_name {
    ($($request:ident)*) => {
        $(
            from_name!(@ $request: &str, String, &String, ShortStr, &ShortStr);
        )*
    };
    (@ $request:ident: $($name:ty),*) => {
        $(
            impl From<$name> for $request {
                fn from(name: $name) -> Self {
                    Self::new(name)
                }
            }
        )*
    };
}

from_name!(QueueDeclare QueueDelete ExchangeDeclare ExchangeDelete Consume Get);

/// A [queue](https://www.rabbitmq.com/docs/queues) to declare.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct QueueDeclare {
    pub(crate) queue: ShortStr,
    pub(crate) passive: bool,
    pub(crate) durable: bool,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: FieldTable,
}

impl QueueDeclare {
    /// A queue of that name; an empty one asks the broker for a name.
    pub fn new(queue: impl Into<ShortStr>) -> Self {
        Self {
            queue: queue.into(),
            ..Self::default()
        }
    }

    /// A queue that the broker names; the name is in [`QueueDeclareOk`](crate::QueueDeclareOk).
    pub fn server_named() -> Self {
        Self::default()
    }

    flags! {
        /// Whether the queue outlives a restart of the broker; `false` if you do not say, as in puka and in every other
        /// client.
        ///
        /// Some brokers refuse a queue that is neither durable nor [exclusive](Self::exclusive) (RabbitMQ 4.3.0 and
        /// 4.3.1 by default, others where
        /// [`deprecated_features.permit.transient_nonexcl_queues`](https://www.rabbitmq.com/docs/deprecated-features) is
        /// `false`) and close the connection: [`InternalError`](crate::Error::InternalError), which says so.
        durable
        /// Only asks whether the queue is there: [`NotFound`](crate::Error::NotFound) if not.
        passive
        /// For this connection alone, and deleted with it.
        exclusive
        /// Deleted when its last consumer goes.
        auto_delete
    }

    arguments! {
        /// An [optional argument](https://www.rabbitmq.com/docs/queues#optional-arguments), `x-message-ttl` say.
    }
}

/// A queue to delete. It is no error if there is none.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct QueueDelete {
    pub(crate) queue: ShortStr,
    pub(crate) if_unused: bool,
    pub(crate) if_empty: bool,
}

impl QueueDelete {
    /// The queue of that name.
    pub fn new(queue: impl Into<ShortStr>) -> Self {
        Self {
            queue: queue.into(),
            ..Self::default()
        }
    }

    flags! {
        /// Only if it has no consumers; else [`PreconditionFailed`](crate::Error::PreconditionFailed).
        if_unused
        /// Only if it has no messages; else [`PreconditionFailed`](crate::Error::PreconditionFailed).
        if_empty
    }
}

/// A binding of a queue to an exchange, to make or to take away.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct QueueBind {
    pub(crate) queue: ShortStr,
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) arguments: FieldTable,
}

impl QueueBind {
    /// Messages of `exchange` go to `queue`.
    pub fn new(queue: impl Into<ShortStr>, exchange: impl Into<ShortStr>) -> Self {
        Self {
            queue: queue.into(),
            exchange: exchange.into(),
            ..Self::default()
        }
    }

    /// The routing key, or the pattern of a topic; empty by default.
    #[must_use]
    pub fn routing_key(mut self, routing_key: impl Into<ShortStr>) -> Self {
        self.routing_key = routing_key.into();
        self
    }

    arguments! {
        /// An argument: what a headers exchange matches, say.
    }
}

/// An [exchange](https://www.rabbitmq.com/docs/exchanges) to declare.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExchangeDeclare {
    pub(crate) exchange: ShortStr,
    pub(crate) kind: ShortStr,
    pub(crate) passive: bool,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: FieldTable,
}

impl ExchangeDeclare {
    /// A direct exchange, as in puka: the same as [`direct`](Self::direct). The other types are [`fanout`](Self::fanout),
    /// [`topic`](Self::topic) and [`headers`](Self::headers); for a plugin's see [`with_kind`](Self::with_kind).
    pub fn new(exchange: impl Into<ShortStr>) -> Self {
        Self::direct(exchange)
    }

    /// An exchange of any type, a plugin's too.
    pub fn with_kind(exchange: impl Into<ShortStr>, kind: impl Into<ShortStr>) -> Self {
        Self {
            exchange: exchange.into(),
            kind: kind.into(),
            passive: false,
            durable: false,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::new(),
        }
    }

    /// A message goes to the queues bound with its routing key.
    pub fn direct(exchange: impl Into<ShortStr>) -> Self {
        Self::with_kind(exchange, "direct")
    }

    /// A message goes to every queue bound.
    pub fn fanout(exchange: impl Into<ShortStr>) -> Self {
        Self::with_kind(exchange, "fanout")
    }

    /// A message goes to the queues whose pattern its routing key matches.
    pub fn topic(exchange: impl Into<ShortStr>) -> Self {
        Self::with_kind(exchange, "topic")
    }

    /// A message goes to the queues whose arguments its headers match.
    pub fn headers(exchange: impl Into<ShortStr>) -> Self {
        Self::with_kind(exchange, "headers")
    }

    flags! {
        /// Only asks whether the exchange is there: [`NotFound`](crate::Error::NotFound) if not.
        passive
        /// Whether the exchange outlives a restart of the broker.
        durable
        /// Deleted when its last binding goes.
        auto_delete
        /// Only for messages from other exchanges.
        internal
    }

    arguments! {
        /// An optional argument, `alternate-exchange` say.
    }
}

/// An exchange to delete. It is no error if there is none.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ExchangeDelete {
    pub(crate) exchange: ShortStr,
    pub(crate) if_unused: bool,
}

impl ExchangeDelete {
    /// The exchange of that name.
    pub fn new(exchange: impl Into<ShortStr>) -> Self {
        Self {
            exchange: exchange.into(),
            ..Self::default()
        }
    }

    flags! {
        /// Only if nothing is bound to it; else [`PreconditionFailed`](crate::Error::PreconditionFailed).
        if_unused
    }
}

/// A binding [between two exchanges](https://www.rabbitmq.com/docs/e2e), to make or to take away.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ExchangeBind {
    pub(crate) destination: ShortStr,
    pub(crate) source: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) arguments: FieldTable,
}

impl ExchangeBind {
    /// Messages of `source` go to `destination`, too.
    pub fn new(destination: impl Into<ShortStr>, source: impl Into<ShortStr>) -> Self {
        Self {
            destination: destination.into(),
            source: source.into(),
            ..Self::default()
        }
    }

    /// The routing key, or the pattern of a topic; empty by default.
    #[must_use]
    pub fn routing_key(mut self, routing_key: impl Into<ShortStr>) -> Self {
        self.routing_key = routing_key.into();
        self
    }

    arguments! {
        /// An argument: what a headers exchange matches, say.
    }
}

/// A [consumer](https://www.rabbitmq.com/docs/consumers) of one queue.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Consume {
    pub(crate) queue: ShortStr,
    pub(crate) prefetch_count: u16,
    pub(crate) no_local: bool,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) arguments: FieldTable,
    pub(crate) consumer_tag: ShortStr,
}

impl Consume {
    /// A consumer of that queue.
    pub fn new(queue: impl Into<ShortStr>) -> Self {
        Self {
            queue: queue.into(),
            ..Self::default()
        }
    }

    /// How many deliveries may be [out and unacknowledged](https://www.rabbitmq.com/docs/consumer-prefetch) at once; 0,
    /// the default, sets no limit.
    #[must_use]
    pub fn prefetch_count(mut self, prefetch_count: u16) -> Self {
        self.prefetch_count = prefetch_count;
        self
    }

    /// A suffix for the consumer tag, which is `<promise>.<index>.<suffix>`: it tells the queues of one
    /// [`basic_consume_multi`](crate::Client::basic_consume_multi) apart.
    #[must_use]
    pub fn consumer_tag(mut self, suffix: impl Into<ShortStr>) -> Self {
        self.consumer_tag = suffix.into();
        self
    }

    flags! {
        /// Not the messages that this connection published. RabbitMQ takes the flag and ignores it.
        no_local
        /// The broker forgets each message as it sends it: nothing to acknowledge, and what is under way is lost with
        /// the connection.
        no_ack
        /// Nobody else may consume from the queue.
        exclusive
    }

    arguments! {
        /// An optional argument, `x-priority` say.
    }
}

/// Consumers of several queues, as one promise that shares one prefetch.
///
/// ```no_run
/// # fn consume(client: &mut puka::Client) {
/// use puka::{Consume, ConsumeMulti};
///
/// let queues = ConsumeMulti::new(["fast".into(), Consume::new("slow").argument("x-priority", -1)]);
/// let consumer = client.basic_consume_multi(queues.prefetch_count(10));
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ConsumeMulti {
    pub(crate) consumers: Vec<Consume>,
    pub(crate) prefetch_count: u16,
    pub(crate) no_ack: bool,
}

impl ConsumeMulti {
    /// Consumers of these queues; each may be a plain name.
    ///
    /// `prefetch_count` and `no_ack` are those of the whole: what the items say of them is not used.
    pub fn new(consumers: impl IntoIterator<Item = impl Into<Consume>>) -> Self {
        Self {
            consumers: consumers.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// How many deliveries of all queues together may be out and unacknowledged at once; 0, the default, sets no limit.
    ///
    /// RabbitMQ counts for each queue; the client sees to the sum, and holds what is beyond until there is room.
    #[must_use]
    pub fn prefetch_count(mut self, prefetch_count: u16) -> Self {
        self.prefetch_count = prefetch_count;
        self
    }

    flags! {
        /// The broker forgets each message as it sends it.
        no_ack
    }
}

impl From<Consume> for ConsumeMulti {
    fn from(consumer: Consume) -> Self {
        Self {
            prefetch_count: consumer.prefetch_count,
            no_ack: consumer.no_ack,
            consumers: vec![consumer],
        }
    }
}

/// One message to fetch from a queue.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Get {
    pub(crate) queue: ShortStr,
    pub(crate) no_ack: bool,
}

impl Get {
    /// From the queue of that name.
    pub fn new(queue: impl Into<ShortStr>) -> Self {
        Self {
            queue: queue.into(),
            ..Self::default()
        }
    }

    flags! {
        /// The broker forgets the message as it sends it: nothing to acknowledge.
        no_ack
    }
}

/// Whether a refused message goes back to its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requeue {
    /// Back to its queue, for anybody.
    Yes,
    /// Dropped, or [dead-lettered](https://www.rabbitmq.com/docs/dlx) if the queue has a dead letter exchange.
    No,
}
