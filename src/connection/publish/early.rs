//! Publishes that wait for the broker to take messages: for the connection to open, say. They are not encoded yet.

use crate::connection::Connection;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::wire::ShortStr;

/// A publish from before the connection was open.
#[derive(Debug)]
pub(crate) struct EarlyPublish {
    pub(crate) promise: PromiseNumber,
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) message: Message,
}

impl EarlyPublish {
    /// Bytes of this process that it takes.
    pub(crate) fn size(&self) -> usize {
        let names = self.exchange.len() + self.routing_key.len();
        let message = self.message.body.len() + self.message.properties.shared_bytes();
        size_of::<Self>() + names + message
    }
}

impl Connection {
    /// The broker takes messages: everything from before, in the order of the calls.
    pub(crate) fn serve_early(&mut self) {
        if self.blocked.is_some() || self.publishes_wait() {
            return self.serve_waiting();
        }
        self.early_bytes = 0;
        for early in std::mem::take(&mut self.early) {
            self.serve_before(early.promise);
            self.publish_now(
                early.promise,
                &early.exchange,
                &early.routing_key,
                early.message,
            );
        }
        self.serve_waiting();
    }

    /// The publishes that wait.
    pub(crate) fn fail_early(&mut self, error: &Error) {
        self.early_bytes = 0;
        for early in std::mem::take(&mut self.early) {
            self.resolve(early.promise, Err(Error::NotSent(Box::new(error.clone()))));
        }
    }
}
