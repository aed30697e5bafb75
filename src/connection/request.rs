//! What a user asks of the broker: which request, the method that it is written as, and the reply that ends it.
//!
//! When it is sent, and on which channel, is decided in `requests.rs`; its bytes are in `encode.rs`.

use std::time::{Duration, Instant};

use crate::types::error::{Error, Result};
use crate::types::message::Message;
use crate::types::requests::{
    ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind, QueueDeclare,
    QueueDelete,
};
use crate::types::results::{Outcome, QueueDeclareOk};
use crate::wire::{self, Method, MethodId, ShortStr};

/// The longest suffix of a consumer tag, in bytes.
const SUFFIX_MAX: usize = 200;

/// What a user asked for, while it waits for a channel, or for the connection.
#[derive(Debug, Clone)]
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
    /// A message to another program, for a reply.
    Rpc(Box<RpcRequest>),
}

/// A message to another program, for its reply.
#[derive(Debug, Clone)]
pub(crate) struct RpcRequest {
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) message: Message,
    /// How long it may take, and when that time is up.
    pub(crate) timeout: Duration,
    pub(crate) deadline: Instant,
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
    pub(crate) fn outcome(self, method: &Method<'_>) -> Option<Outcome> {
        Some(match (self, method) {
            (Self::QueueDeclare, Method::QueueDeclareOk(ok)) => {
                Outcome::QueueDeclareOk(QueueDeclareOk {
                    queue: String::from_utf8_lossy(ok.queue).into_owned().into(),
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
    /// Whether it is one method out, one method in.
    pub(crate) fn is_call(&self) -> bool {
        !matches!(self, Self::Get(_) | Self::Consume(_) | Self::Rpc(_))
    }

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

    /// Whether doing it twice is as good as doing it once.
    pub(crate) fn may_be_repeated(&self) -> bool {
        match self {
            Self::QueueDeclare(_)
            | Self::QueueBind(_)
            | Self::QueueUnbind(_)
            | Self::ExchangeDeclare(_)
            | Self::ExchangeBind(_)
            | Self::ExchangeUnbind(_) => true,
            Self::QueueDelete(_)
            | Self::QueuePurge(_)
            | Self::ExchangeDelete(_)
            | Self::Get(_)
            | Self::Consume(_)
            | Self::Rpc(_) => false,
        }
    }

    /// The class and method that it is written as.
    pub(crate) fn method(&self) -> MethodId {
        match self {
            Self::ExchangeDeclare(_) => wire::ExchangeDeclare::ID,
            Self::ExchangeDelete(_) => wire::ExchangeDelete::ID,
            Self::ExchangeBind(_) => wire::ExchangeBind::ID,
            Self::ExchangeUnbind(_) => wire::ExchangeUnbind::ID,
            Self::QueueDeclare(_) => wire::QueueDeclare::ID,
            Self::QueueBind(_) => wire::QueueBind::ID,
            Self::QueuePurge(_) => wire::QueuePurge::ID,
            Self::QueueDelete(_) => wire::QueueDelete::ID,
            Self::QueueUnbind(_) => wire::QueueUnbind::ID,
            Self::Consume(_) => wire::BasicConsume::ID,
            Self::Rpc(_) => wire::BasicPublish::ID,
            Self::Get(_) => wire::BasicGet::ID,
        }
    }
}
