//! Getting and consuming messages, and settling them.

use crate::Client;
use crate::connection::{Connection, Request, Settle};
use crate::types::error::{Error, Result};
use crate::types::ids::{Promise, PromiseId, PromiseNumber};
use crate::types::message::Delivery;
use crate::types::requests::{Consume, ConsumeMulti, Get, Requeue};
use crate::types::results::CancelOk;

impl Client {
    /// Fetches one message of a queue; `None`: it is empty.
    ///
    /// Unless it is [`no_ack`](Get::no_ack), the message holds a channel until it is settled.
    ///
    /// # Errors
    /// The promise fails with [`Error::NotFound`] if there is no such queue.
    pub fn basic_get(&mut self, queue: impl Into<Get>) -> Promise<Option<Delivery>> {
        self.request(Request::Get(queue.into()))
    }

    /// Consumes a queue: the promise gives one delivery after another, to each wait or to
    /// [`for_each`](Promise::for_each).
    ///
    /// # Errors
    /// The promise's last result is an error that says who ended the consumer: [`Error::Cancelled`], a channel error
    /// such as [`Error::NotFound`], [`Error::ConnectionBroken`], or [`Error::Closed`]. It comes after all deliveries
    /// that came before the end, but those that a [cancelled](Self::basic_cancel) consumer gives back to its queue. Where the
    /// broker cancels the consumer, for its queue was deleted, say, what came of that queue comes before the end, too.
    ///
    /// What consumers that have ended leave unread is kept up to the [mark](crate::ClientOptions::unread_high_water_mark), the newest
    /// of it.
    pub fn basic_consume(&mut self, consumer: impl Into<Consume>) -> Promise<Delivery> {
        self.basic_consume_multi(consumer.into().into())
    }

    /// Consumes several queues under one promise, which shares one prefetch.
    ///
    /// # Errors
    /// Those of [`basic_consume`](Self::basic_consume). When one queue fails, or is deleted, the whole consumer ends.
    pub fn basic_consume_multi(&mut self, consumers: ConsumeMulti) -> Promise<Delivery> {
        Promise::new(self.driver.consume(consumers))
    }

    /// Changes the [prefetch](https://www.rabbitmq.com/docs/consumer-prefetch) of a consumer while it runs; 0 sets no
    /// limit. Never are more deliveries than that with the program and unsettled, once there are fewer.
    ///
    /// RabbitMQ itself cannot change it: the client replaces the broker's consumer by a new one on the same channel, so
    /// a queue with a single active consumer may turn to another in between. An exclusive consumer, or one of a stream, cannot be
    /// replaced: what the broker sends beyond the prefetch the client holds back, up to the
    /// [mark](crate::ClientOptions::unread_high_water_mark).
    ///
    /// # Errors
    /// The promise fails with [`Error::UnknownPromise`] if the consumer has ended, and with [`Error::InvalidArgument`]
    /// if an exclusive consumer, or one of a stream, is to get more: those cannot be replaced without a gap.
    pub fn basic_qos(&mut self, consumer: Promise<Delivery>, prefetch_count: u16) -> Promise<()> {
        let asked = self.of_consumer(consumer.id(), |connection, number, consumer| {
            connection.qos(number, consumer, prefetch_count);
        });
        self.driver
            .promises
            .set_prefetch(consumer.id(), prefetch_count);
        Promise::new(asked)
    }

    /// Cancels a consumer, with all its queues.
    ///
    /// What the program has not read when the broker's answer comes goes back to its queue, and the consumer's promise ends
    /// with [`Error::Cancelled`]. Deliveries that the program has read it can settle as before; their channel stays with them
    /// until then. What came with [`no_ack`](Consume::no_ack) can still be waited for, and comes before the end.
    ///
    /// Where more than some 2000 have not been read, and the program holds an older delivery of that consumer unsettled, they go
    /// back when it has settled that: one by one, they would keep the broker busy for minutes. A small
    /// [`prefetch_count`](Consume::prefetch_count) avoids that, too.
    ///
    /// Before RabbitMQ 4.3, a quorum queue counts each return against its
    /// [delivery limit](https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling): a program that cancels again and
    /// again should consume with a small [`prefetch_count`](Consume::prefetch_count).
    ///
    /// # Errors
    /// The promise fails with [`Error::UnknownPromise`] if the consumer has ended.
    pub fn basic_cancel(&mut self, consumer: Promise<Delivery>) -> Promise<CancelOk> {
        let asked = self.of_consumer(consumer.id(), |connection, number, consumer| {
            connection.cancel(number, consumer);
        });
        self.driver.promises.set_ending(consumer.id());
        Promise::new(asked)
    }

    /// Asks the broker to give all deliveries of a consumer that are not settled again
    /// ([basic.recover](https://www.rabbitmq.com/amqp-0-9-1-reference#basic.recover)), to this consumer or another one.
    /// Those that the program still has cannot be settled any more ([`Error::AlreadySettled`]); those that it has not
    /// read are dropped.
    ///
    /// A [stream](https://www.rabbitmq.com/docs/streams) is read again from the oldest of them on, those that are settled
    /// behind it, too.
    ///
    /// # Errors
    /// The promise fails with [`Error::UnknownPromise`] if the consumer has ended, and with [`Error::InvalidArgument`] if it
    /// has several queues and one of them is a stream: cancel it, and consume anew.
    pub fn basic_recover(&mut self, consumer: Promise<Delivery>) -> Promise<()> {
        Promise::new(
            self.of_consumer(consumer.id(), |connection, number, consumer| {
                connection.recover(number, consumer);
            }),
        )
    }

    fn of_consumer(
        &mut self,
        consumer: PromiseId,
        ask: impl FnOnce(&mut Connection, PromiseNumber, PromiseNumber),
    ) -> PromiseId {
        if consumer.client != self.id {
            let promise = self.driver.promises.single();
            self.driver
                .promises
                .resolve(promise.number, Err(Error::ForeignPromise(consumer)));
            return promise;
        }
        self.driver
            .ask(|connection, number| ask(connection, number, consumer.number))
    }

    /// [Acknowledges](https://www.rabbitmq.com/docs/confirms#acknowledgement-modes) a delivery. It goes out with the
    /// next wait or loop.
    ///
    /// A delivery that came over a connection which was lost since cannot be acknowledged: the broker has queued its message
    /// again, and it comes again, marked [`redelivered`](Delivery::redelivered). So does one whose acknowledgement was on its way.
    /// That is no failure of the program, so where there is another connection, or [`Recovery`](crate::Recovery) will make one,
    /// this succeeds and does nothing. [`is_stale`](Self::is_stale) tells.
    ///
    /// # Errors
    /// - The connection's own error ([`Error::ConnectionBroken`], say) if that was lost and there is no other;
    /// - [`Error::StaleDelivery`] if the broker has closed its channel (because nobody acknowledged in time, say), or the program
    ///   has closed its connection;
    /// - [`Error::AlreadySettled`] if it went with an acknowledgement of many, or was asked for again;
    /// - [`Error::NoAck`] if there is nothing to acknowledge;
    /// - [`Error::ForeignPromise`] if it is another client's.
    ///
    /// Nothing is sent then.
    pub fn basic_ack(&mut self, delivery: Delivery) -> Result<()> {
        self.settle(&delivery, Settle::Ack { multiple: false })
    }

    /// Acknowledges a delivery and all before it that came by the same promise, read or not.
    ///
    /// # Errors
    /// Those of [`basic_ack`](Self::basic_ack).
    pub fn basic_ack_multiple(&mut self, delivery: Delivery) -> Result<()> {
        self.settle(&delivery, Settle::Ack { multiple: true })
    }

    /// Refuses a delivery.
    ///
    /// # Errors
    /// Those of [`basic_ack`](Self::basic_ack).
    pub fn basic_reject(&mut self, delivery: Delivery, requeue: Requeue) -> Result<()> {
        self.settle(&delivery, Settle::Reject(requeue))
    }

    /// Refuses a delivery by [`basic.nack`](https://www.rabbitmq.com/docs/nack). Since RabbitMQ 4.3 a quorum queue does
    /// not count such a return against its delivery limit, as it counts a rejection.
    ///
    /// # Errors
    /// Those of [`basic_ack`](Self::basic_ack).
    pub fn basic_nack(&mut self, delivery: Delivery, requeue: Requeue) -> Result<()> {
        self.settle(
            &delivery,
            Settle::Nack {
                multiple: false,
                requeue,
            },
        )
    }

    /// Refuses a delivery and all before it that came by the same promise, read or not.
    ///
    /// # Errors
    /// Those of [`basic_ack`](Self::basic_ack).
    pub fn basic_nack_multiple(&mut self, delivery: Delivery, requeue: Requeue) -> Result<()> {
        self.settle(
            &delivery,
            Settle::Nack {
                multiple: true,
                requeue,
            },
        )
    }

    /// Whether a delivery cannot be settled any more, for the broker has it again: its connection was lost, its channel closed,
    /// or its consumer's deliveries were asked for again. Then its message comes again, and work on it would be done twice.
    ///
    /// `false` for one that came with [`no_ack`](Consume::no_ack). A program need not ask: it saves work, and the answer may be
    /// another a moment later.
    pub fn is_stale(&self, delivery: &Delivery) -> bool {
        let origin = delivery.origin;
        let is_ours = origin.promise.client == self.id;
        is_ours && !origin.no_ack && !self.driver.holds(origin)
    }

    fn settle(&mut self, delivery: &Delivery, how: Settle) -> Result<()> {
        let origin = delivery.origin;
        if origin.promise.client != self.id {
            return Err(Error::ForeignPromise(origin.promise));
        }
        self.driver.settle(origin, how)
    }
}
