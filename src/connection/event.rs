//! What comes out of a connection, beside bytes.

use crate::types::error::Result;
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::Delivery;
use crate::types::recovery::ConnectionEvent;
use crate::types::results::Outcome;
use crate::wire::ShortStr;

/// Something for a promise.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its result; or the end of a consumer.
    Resolved(PromiseNumber, Result<Outcome>),
    /// The publishes of all promises from `first` to `last` have succeeded.
    Published {
        first: PromiseNumber,
        last: PromiseNumber,
    },
    Delivery(PromiseNumber, Box<Delivery>),
    /// The deliveries of a consumer that nobody has read will come again.
    Stale(PromiseNumber),
    /// A consumer is cancelled: what nobody has read of it goes back, by `Connection::give_back`, which has to be called.
    Unread {
        consumer: PromiseNumber,
        channel: ChannelId,
        /// The tags of queues that are no more, as far as anybody knows: what came of these stays to be read.
        gone: Vec<ShortStr>,
    },
    /// Something for the program, and no promise.
    Notice(ConnectionEvent),
}
