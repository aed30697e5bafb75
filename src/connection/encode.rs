//! The bytes of plain requests: each of a user's options, in the field that AMQP has for it.

use bytes::BytesMut;

use crate::connection::request::{Call, Request};
use crate::types::requests::{
    ExchangeBind, ExchangeDeclare, ExchangeDelete, QueueBind, QueueDeclare, QueueDelete,
};
use crate::wire::{self, EncodeError, FieldTable, ShortStr, write_method};

/// Where a request goes.
pub(crate) struct Target<'a> {
    pub(crate) out: &'a mut BytesMut,
    pub(crate) channel: u16,
}

impl Request {
    /// Encodes a request that has one method as its reply.
    ///
    /// `None`: the request is not of that kind.
    pub(crate) fn encode(&self, target: &mut Target<'_>) -> Result<Option<Call>, EncodeError> {
        Ok(Some(match self {
            Self::QueueDeclare(request) => target.queue_declare(request)?,
            Self::QueueDelete(request) => target.queue_delete(request)?,
            Self::QueuePurge(queue) => target.queue_purge(queue)?,
            Self::QueueBind(request) => target.queue_bind(request)?,
            Self::QueueUnbind(request) => target.queue_unbind(request)?,
            Self::ExchangeDeclare(request) => target.exchange_declare(request)?,
            Self::ExchangeDelete(request) => target.exchange_delete(request)?,
            Self::ExchangeBind(request) => target.exchange_bind(request)?,
            Self::ExchangeUnbind(request) => target.exchange_unbind(request)?,
            Self::Get(_) | Self::Consume(_) | Self::Rpc(_) => return Ok(None),
        }))
    }
}

/// A user's arguments, if AMQP can say them.
fn arguments(table: &FieldTable) -> Result<&[u8], EncodeError> {
    table.check_encodable()?;
    Ok(table.encoded())
}

impl Target<'_> {
    fn write<M: wire::WireMethod>(&mut self, method: &M, call: Call) -> Result<Call, EncodeError> {
        write_method(self.out, self.channel, method)?;
        Ok(call)
    }

    fn queue_declare(&mut self, request: &QueueDeclare) -> Result<Call, EncodeError> {
        let method = wire::QueueDeclare {
            queue: request.queue.as_bytes(),
            passive: request.passive,
            durable: request.durable,
            exclusive: request.exclusive,
            auto_delete: request.auto_delete,
            arguments: arguments(&request.arguments)?,
            ..Default::default()
        };
        self.write(&method, Call::QueueDeclare)
    }

    fn queue_delete(&mut self, request: &QueueDelete) -> Result<Call, EncodeError> {
        let method = wire::QueueDelete {
            queue: request.queue.as_bytes(),
            if_unused: request.if_unused,
            if_empty: request.if_empty,
            ..Default::default()
        };
        self.write(&method, Call::QueueDelete)
    }

    fn queue_purge(&mut self, queue: &ShortStr) -> Result<Call, EncodeError> {
        let method = wire::QueuePurge {
            queue: queue.as_bytes(),
            ..Default::default()
        };
        self.write(&method, Call::QueuePurge)
    }

    fn queue_bind(&mut self, request: &QueueBind) -> Result<Call, EncodeError> {
        let method = wire::QueueBind {
            queue: request.queue.as_bytes(),
            exchange: request.exchange.as_bytes(),
            routing_key: request.routing_key.as_bytes(),
            arguments: arguments(&request.arguments)?,
            ..Default::default()
        };
        self.write(&method, Call::QueueBind)
    }

    fn queue_unbind(&mut self, request: &QueueBind) -> Result<Call, EncodeError> {
        let method = wire::QueueUnbind {
            queue: request.queue.as_bytes(),
            exchange: request.exchange.as_bytes(),
            routing_key: request.routing_key.as_bytes(),
            arguments: arguments(&request.arguments)?,
            ..Default::default()
        };
        self.write(&method, Call::QueueUnbind)
    }

    fn exchange_declare(&mut self, request: &ExchangeDeclare) -> Result<Call, EncodeError> {
        let method = wire::ExchangeDeclare {
            exchange: request.exchange.as_bytes(),
            kind: request.kind.as_bytes(),
            passive: request.passive,
            durable: request.durable,
            auto_delete: request.auto_delete,
            internal: request.internal,
            arguments: arguments(&request.arguments)?,
            ..Default::default()
        };
        self.write(&method, Call::ExchangeDeclare)
    }

    fn exchange_delete(&mut self, request: &ExchangeDelete) -> Result<Call, EncodeError> {
        let method = wire::ExchangeDelete {
            exchange: request.exchange.as_bytes(),
            if_unused: request.if_unused,
            ..Default::default()
        };
        self.write(&method, Call::ExchangeDelete)
    }

    fn exchange_bind(&mut self, request: &ExchangeBind) -> Result<Call, EncodeError> {
        let method = wire::ExchangeBind {
            destination: request.destination.as_bytes(),
            source: request.source.as_bytes(),
            routing_key: request.routing_key.as_bytes(),
            arguments: arguments(&request.arguments)?,
            ..Default::default()
        };
        self.write(&method, Call::ExchangeBind)
    }

    fn exchange_unbind(&mut self, request: &ExchangeBind) -> Result<Call, EncodeError> {
        let method = wire::ExchangeUnbind {
            destination: request.destination.as_bytes(),
            source: request.source.as_bytes(),
            routing_key: request.routing_key.as_bytes(),
            arguments: arguments(&request.arguments)?,
            ..Default::default()
        };
        self.write(&method, Call::ExchangeUnbind)
    }
}
