//! Requests with one reply: how each is put on the wire, which reply ends it, and what its promise then gets.

use bytes::{Bytes, BytesMut};

use crate::error::{Error, Result};
use crate::message::Message;
use crate::options::{
    ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind, QueueDeclare,
    QueueDelete,
};
use crate::outcome::{Connected, Outcome, QueueDeclareOk};
use crate::wire::{self, EncodeError, Method, ShortStr, write_method};

/// The longest suffix of a consumer tag, in bytes.
const SUFFIX_MAX: usize = 200;

/// What a user asked for, while it waits for a channel, or for the connection.
#[derive(Debug)]
pub(crate) enum Request {
    QueueDeclare(QueueDeclare),
    QueueDelete(QueueDelete),
    QueuePurge(ShortStr),
    QueueBind(QueueBind),
    QueueUnbind(QueueBind),
    ExchangeDeclare(ExchangeDeclare),
    ExchangeDelete(ExchangeDelete),
    ExchangeBind(ExchangeBind),
    ExchangeUnbind(ExchangeBind),
    Get(Get),
    Consume(ConsumeMulti),
    /// Only until the connection is open; then publishes go straight to the output.
    Publish {
        exchange: ShortStr,
        routing_key: ShortStr,
        message: Box<Message>,
    },
}

/// A request of the first kind: one method out, one method in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    QueueDeclare,
    QueueDelete,
    QueuePurge,
    QueueBind,
    QueueUnbind,
    ExchangeDeclare,
    ExchangeDelete,
    ExchangeBind,
    ExchangeUnbind,
}

impl Call {
    /// What the promise gets, if `method` is the reply to this call.
    pub(crate) fn outcome(self, method: &Method<'_>, payload: &Bytes) -> Option<Outcome> {
        Some(match (self, method) {
            (Self::QueueDeclare, Method::QueueDeclareOk(ok)) => {
                Outcome::QueueDeclareOk(QueueDeclareOk {
                    queue: ShortStr::from_wire(payload, ok.queue),
                    message_count: ok.message_count,
                    consumer_count: ok.consumer_count,
                })
            }
            (Self::QueueDelete, Method::QueueDeleteOk(ok)) => {
                Outcome::MessageCount(ok.message_count)
            }
            (Self::QueuePurge, Method::QueuePurgeOk(ok)) => Outcome::MessageCount(ok.message_count),
            (Self::QueueBind, Method::QueueBindOk(_))
            | (Self::QueueUnbind, Method::QueueUnbindOk(_))
            | (Self::ExchangeDeclare, Method::ExchangeDeclareOk(_))
            | (Self::ExchangeDelete, Method::ExchangeDeleteOk(_))
            | (Self::ExchangeBind, Method::ExchangeBindOk(_))
            | (Self::ExchangeUnbind, Method::ExchangeUnbindOk(_)) => Outcome::Done,
            _ => return None,
        })
    }
}

impl Request {
    /// Refuses what would hit something else than was meant.
    pub(crate) fn check(&self) -> Result<()> {
        let queue = match self {
            Self::QueueDelete(request) => &request.queue,
            Self::QueuePurge(queue) => queue,
            Self::QueueBind(request) | Self::QueueUnbind(request) => &request.queue,
            Self::Get(request) => &request.queue,
            Self::Consume(request) if request.consumers.is_empty() => {
                return Err(Error::InvalidArgument(
                    "a consumer needs at least one queue".into(),
                ));
            }
            Self::Consume(request) => {
                // A consumer that is replaced gets a number more into its tag, which may have 255 bytes.
                if request
                    .consumers
                    .iter()
                    .any(|consumer| consumer.consumer_tag.len() > SUFFIX_MAX)
                {
                    let error =
                        format!("the suffix of a consumer tag may have {SUFFIX_MAX} bytes at most");
                    return Err(Error::InvalidArgument(error));
                }
                match request
                    .consumers
                    .iter()
                    .find(|consumer| consumer.queue.is_empty())
                {
                    Some(consumer) => &consumer.queue,
                    None => return Ok(()),
                }
            }
            _ => return Ok(()),
        };
        if queue.is_empty() {
            return Err(Error::InvalidArgument(
                "the queue's name is empty: to the broker that is the queue last declared on the same channel, which \
                 may be anybody's; use the name in QueueDeclareOk"
                    .into(),
            ));
        }
        Ok(())
    }

    /// Encodes a request that has one method as its reply.
    ///
    /// `None`: the request is not of that kind.
    pub(crate) fn encode(
        &self,
        channel: u16,
        out: &mut BytesMut,
        broker: &Connected,
    ) -> Result<Option<Call>, EncodeError> {
        let call = match self {
            Self::QueueDeclare(request) => {
                queue_declare(request, channel, out, broker)?;
                Call::QueueDeclare
            }
            Self::QueueDelete(request) => {
                let QueueDelete {
                    queue,
                    if_unused,
                    if_empty,
                } = request;
                let method = wire::QueueDelete {
                    queue: queue.as_bytes(),
                    if_unused: *if_unused,
                    if_empty: *if_empty,
                    ..Default::default()
                };
                write_method(out, channel, &method)?;
                Call::QueueDelete
            }
            Self::QueuePurge(queue) => {
                write_method(
                    out,
                    channel,
                    &wire::QueuePurge {
                        queue: queue.as_bytes(),
                        ..Default::default()
                    },
                )?;
                Call::QueuePurge
            }
            Self::QueueBind(request) => {
                request.arguments.check_encodable()?;
                let method = wire::QueueBind {
                    queue: request.queue.as_bytes(),
                    exchange: request.exchange.as_bytes(),
                    routing_key: request.routing_key.as_bytes(),
                    arguments: request.arguments.encoded(),
                    ..Default::default()
                };
                write_method(out, channel, &method)?;
                Call::QueueBind
            }
            Self::QueueUnbind(request) => {
                request.arguments.check_encodable()?;
                let method = wire::QueueUnbind {
                    queue: request.queue.as_bytes(),
                    exchange: request.exchange.as_bytes(),
                    routing_key: request.routing_key.as_bytes(),
                    arguments: request.arguments.encoded(),
                    ..Default::default()
                };
                write_method(out, channel, &method)?;
                Call::QueueUnbind
            }
            Self::ExchangeDeclare(_)
            | Self::ExchangeDelete(_)
            | Self::ExchangeBind(_)
            | Self::ExchangeUnbind(_) => return self.encode_exchange(channel, out),
            Self::Get(_) | Self::Consume(_) | Self::Publish { .. } => return Ok(None),
        };
        Ok(Some(call))
    }

    fn encode_exchange(
        &self,
        channel: u16,
        out: &mut BytesMut,
    ) -> Result<Option<Call>, EncodeError> {
        let call = match self {
            Self::ExchangeDeclare(request) => {
                request.arguments.check_encodable()?;
                let method = wire::ExchangeDeclare {
                    exchange: request.exchange.as_bytes(),
                    kind: request.kind.as_bytes(),
                    passive: request.passive,
                    durable: request.durable,
                    auto_delete: request.auto_delete,
                    internal: request.internal,
                    arguments: request.arguments.encoded(),
                    ..Default::default()
                };
                write_method(out, channel, &method)?;
                Call::ExchangeDeclare
            }
            Self::ExchangeDelete(request) => {
                let method = wire::ExchangeDelete {
                    exchange: request.exchange.as_bytes(),
                    if_unused: request.if_unused,
                    ..Default::default()
                };
                write_method(out, channel, &method)?;
                Call::ExchangeDelete
            }
            Self::ExchangeBind(request) => {
                request.arguments.check_encodable()?;
                let method = wire::ExchangeBind {
                    destination: request.destination.as_bytes(),
                    source: request.source.as_bytes(),
                    routing_key: request.routing_key.as_bytes(),
                    arguments: request.arguments.encoded(),
                    ..Default::default()
                };
                write_method(out, channel, &method)?;
                Call::ExchangeBind
            }
            Self::ExchangeUnbind(request) => {
                request.arguments.check_encodable()?;
                let method = wire::ExchangeUnbind {
                    destination: request.destination.as_bytes(),
                    source: request.source.as_bytes(),
                    routing_key: request.routing_key.as_bytes(),
                    arguments: request.arguments.encoded(),
                    ..Default::default()
                };
                write_method(out, channel, &method)?;
                Call::ExchangeUnbind
            }
            _ => return Ok(None),
        };
        Ok(Some(call))
    }
}

fn queue_declare(
    request: &QueueDeclare,
    channel: u16,
    out: &mut BytesMut,
    broker: &Connected,
) -> Result<(), EncodeError> {
    request.arguments.check_encodable()?;
    // RabbitMQ 4.3 refuses transient queues that others may use, by closing the connection.
    let durable = request
        .durable
        .unwrap_or(!request.exclusive && broker.is_at_least(4, 3));
    let method = wire::QueueDeclare {
        queue: request.queue.as_bytes(),
        passive: request.passive,
        durable,
        exclusive: request.exclusive,
        auto_delete: request.auto_delete,
        arguments: request.arguments.encoded(),
        ..Default::default()
    };
    write_method(out, channel, &method)
}
