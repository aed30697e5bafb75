//! Queues, exchanges and bindings.

use crate::Client;
use crate::connection::Request;
#[cfg(doc)]
use crate::types::error::Error;
use crate::types::ids::Promise;
use crate::types::requests::{
    ExchangeBind, ExchangeDeclare, ExchangeDelete, QueueBind, QueueDeclare, QueueDelete,
};
use crate::types::results::QueueDeclareOk;
use crate::wire::ShortStr;

impl Client {
    /// Declares a [queue](https://www.rabbitmq.com/docs/queues): makes it, or sees that it is as described.
    ///
    /// # Errors
    /// The promise fails with [`Error::PreconditionFailed`] if it is there and different, [`Error::NotFound`] if it is
    /// to be [`passive`](QueueDeclare::passive) and not there, [`Error::ResourceLocked`] if it is exclusive to another
    /// connection.
    pub fn queue_declare(&mut self, queue: impl Into<QueueDeclare>) -> Promise<QueueDeclareOk> {
        self.request(Request::QueueDeclare(queue.into()))
    }

    /// Deletes a queue; the result is how many messages it had. It is no error if there is no such queue.
    ///
    /// # Errors
    /// The promise fails with [`Error::PreconditionFailed`] if the queue is not unused, or not empty, as asked.
    pub fn queue_delete(&mut self, queue: impl Into<QueueDelete>) -> Promise<u32> {
        self.request(Request::QueueDelete(queue.into()))
    }

    /// Drops all messages of a queue that are not out with a consumer; the result is how many those were.
    ///
    /// # Errors
    /// The promise fails with [`Error::NotFound`] if there is no such queue.
    pub fn queue_purge(&mut self, queue: impl Into<ShortStr>) -> Promise<u32> {
        self.request(Request::QueuePurge(queue.into()))
    }

    /// Binds a queue to an exchange.
    ///
    /// # Errors
    /// The promise fails with [`Error::NotFound`] if either is not there.
    pub fn queue_bind(&mut self, binding: QueueBind) -> Promise<()> {
        self.request(Request::QueueBind(binding))
    }

    /// Takes a binding away. It is no error if there is none.
    ///
    /// # Errors
    /// Those of the broker.
    pub fn queue_unbind(&mut self, binding: QueueBind) -> Promise<()> {
        self.request(Request::QueueUnbind(binding))
    }

    /// Declares an [exchange](https://www.rabbitmq.com/docs/exchanges); a plain name is a direct one, as in puka.
    ///
    /// # Errors
    /// The promise fails with [`Error::PreconditionFailed`] if it is there and different, [`Error::NotFound`] if it is
    /// to be [`passive`](ExchangeDeclare::passive) and not there. A type that the broker does not know is
    /// [`Error::PreconditionFailed`], too; before RabbitMQ 4.0 it is [`Error::CommandInvalid`], and the broker closes the
    /// connection.
    pub fn exchange_declare(&mut self, exchange: impl Into<ExchangeDeclare>) -> Promise<()> {
        self.request(Request::ExchangeDeclare(exchange.into()))
    }

    /// Deletes an exchange. It is no error if there is no such exchange.
    ///
    /// # Errors
    /// The promise fails with [`Error::PreconditionFailed`] if the exchange is not unused, as asked.
    pub fn exchange_delete(&mut self, exchange: impl Into<ExchangeDelete>) -> Promise<()> {
        self.request(Request::ExchangeDelete(exchange.into()))
    }

    /// [Binds an exchange to another](https://www.rabbitmq.com/docs/e2e).
    ///
    /// # Errors
    /// The promise fails with [`Error::NotFound`] if either is not there.
    pub fn exchange_bind(&mut self, binding: ExchangeBind) -> Promise<()> {
        self.request(Request::ExchangeBind(binding))
    }

    /// Takes a binding between exchanges away. It is no error if there is none.
    ///
    /// # Errors
    /// Those of the broker.
    pub fn exchange_unbind(&mut self, binding: ExchangeBind) -> Promise<()> {
        self.request(Request::ExchangeUnbind(binding))
    }
}
