//! The client: puka's calls, each a few lines. The protocol is in `connection/`, waiting in `client/wait.rs`, and what a
//! program with an event loop of its own needs in `client/embed.rs`.

pub(crate) mod closures;
pub(crate) mod connect;
mod embed;
pub(crate) mod handle;
pub(crate) mod promise;
pub(crate) mod wait;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::client::closures::{Callback, OnEvent};
use crate::client::handle::Handle;
use crate::connection::{Request, Sending, Settle};
use crate::driver::Driver;
use crate::driver::hosts::Host;
use crate::net::World;
use crate::types::client_options::ClientOptions;
use crate::types::error::{Error, Result};
use crate::types::ids::{Promise, PromiseId};
use crate::types::message::{Delivery, Message, Response};
use crate::types::requests::{
    Consume, ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind,
    QueueDeclare, QueueDelete, Requeue,
};
use crate::types::results::{CancelOk, QueueDeclareOk};
use crate::types::url::{AmqpUrl, parse_address};
use crate::wire::ShortStr;

/// How long a call waits for its reply.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Tells the promises of one client from another's.
static CLIENTS: AtomicU32 = AtomicU32::new(0);

/// A client of one RabbitMQ broker.
///
/// Every request returns a [`Promise`] at once and never fails at the call: what goes wrong comes from the wait or
/// the callback. Nothing is written before the program waits or loops, but that a publish past the
/// [high-water mark](ClientOptions::high_water_mark) makes room.
///
/// **A client that is dropped writes nothing more.** What you have asked for since the last wait or loop is lost with it,
/// publishes and acknowledgements too, and so it is where `main` returns. End with [`close`](Self::close) and wait for it:
/// that writes everything. (To know that a publish has arrived, wait for its promise.)
///
/// An AMQP error of one request touches no other: each has a channel of the connection to itself, or, if it is one of
/// many plain calls (declares, binds, deletes, purges), is made again where an error took its channel. Requests beyond the
/// broker's limit (2047 channels, unless it is told otherwise) wait their turn; where consumers and unacknowledged
/// deliveries hold all channels, so that the turn might never come, they fail with [`Error::NoFreeChannel`].
///
/// So requests that are under way at once have no order among each other: wait for a queue to be declared before
/// publishing to it. Only publishes have: they all go over one channel, in the order of their calls.
///
/// Requests made while the connection is being opened wait for it. Without a connection they fail with
/// [`Error::NotConnected`], publishes with [`Error::NotSent`] of that.
///
/// A panic in a callback goes through to whoever waits or loops; one who catches it has a client that is whole: what the
/// callback asked for is under way, its delivery is dropped unsettled, and a consumer keeps its callback.
#[derive(Debug)]
pub struct Client {
    id: u32,
    pub(crate) driver: Driver<Callback<Self>>,
    /// Set by `loop_break`, for the innermost of the loops that run.
    pub(crate) is_broken: bool,
    /// How many loops run, one inside the other.
    pub(crate) loops: usize,
    /// Another thread has asked for the end of a loop where none ran: of the next one, then.
    pub(crate) is_next_broken: bool,
    pub(crate) on_event: Option<OnEvent<Self>>,
    /// What other threads have.
    pub(crate) handle: Option<Handle>,
}

/// The URL's host, and further ones.
fn hosts(url: &AmqpUrl, further: &[String]) -> Result<Vec<Host>> {
    let mut hosts = vec![Host {
        name: url.host.clone(),
        port: url.port,
    }];
    for host in further {
        let (name, port) = parse_address(host)
            .map_err(|wrong| Error::InvalidArgument(format!("the host {host:?}: {wrong}")))?;
        let port = port.unwrap_or(url.port);
        hosts.push(Host { name, port });
    }
    Ok(hosts)
}

impl Client {
    /// A client of the broker at an [AMQP URL](https://www.rabbitmq.com/docs/uri-spec); it does not connect yet.
    ///
    /// `amqp://user:password@host:port/vhost`, each part percent-encoded where needed. All parts but the scheme have
    /// defaults: `guest`, `guest`, `localhost`, 5672 and `/`. An empty vhost is `/`, as in puka, and so is `//`. `amqps://` is TLS, on
    /// port 5671, and needs the crate's feature `tls`.
    ///
    /// [Query parameters](https://www.rabbitmq.com/docs/uri-query-parameters) set what [`ClientOptions`] sets, which
    /// win: `heartbeat` (seconds), `connection_timeout` (milliseconds), `channel_max`, `frame_max`, `auth_mechanism`
    /// (`plain`, `amqplain` or `external`; may be repeated), `connection_name`, and for TLS `cacertfile`, `certfile`,
    /// `keyfile`, `verify` (`verify_peer` or `verify_none`) and `server_name_indication`. An unknown one is an error.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(url: &str) -> Result<Self> {
        Self::with_options(url, ClientOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`]; [`Error::InvalidArgument`] for a [host](ClientOptions::hosts) that is none, and for
    /// [`TlsOptions`](crate::TlsOptions) that say something where the URL is not `amqps://`.
    pub fn with_options(url: &str, options: ClientOptions) -> Result<Self> {
        Self::in_world(url, options, World::default())
    }

    /// The same, in a world that need not be the system's.
    pub(crate) fn in_world(url: &str, options: ClientOptions, world: World) -> Result<Self> {
        let url = AmqpUrl::parse(url).map_err(Error::InvalidUrl)?;
        if url.tls && !cfg!(feature = "tls") {
            return Err(Error::InvalidUrl(
                "amqps:// needs the crate's feature tls: puka = { version = \"0.1\", features = [\"tls\"] }"
                    .into(),
            ));
        }
        // The URL's own parameters of this kind are refused where they are read.
        if !url.tls && !options.tls.is_empty() {
            return Err(Error::InvalidArgument(
                "TlsOptions need an amqps:// URL: nothing is encrypted, and nobody's certificate checked, at an amqp:// one"
                    .into(),
            ));
        }
        let options = options.or(url.options.clone());
        let hosts = hosts(&url, &options.hosts)?;
        let id = CLIENTS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            id,
            driver: Driver::new(id, url, options, hosts, world),
            is_broken: false,
            loops: 0,
            is_next_broken: false,
            on_event: None,
            handle: None,
        })
    }

    fn request<T>(&mut self, request: Request) -> Promise<T> {
        Promise::new(self.driver.request(request))
    }

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

    /// Publishes a message. The promise succeeds when the broker has
    /// [confirmed](https://www.rabbitmq.com/docs/confirms#publisher-confirms) it, and may be ignored.
    ///
    /// The broker confirms a message that no queue takes, too, and drops it. Only a [`mandatory`](Message::mandatory)
    /// message says so, and its promise succeeds only if it is in a queue.
    ///
    /// Messages go out in the order of their calls, but confirms come in any: a success says nothing of the publishes
    /// before it. Wait for each that matters ([`wait_for_all`](Self::wait_for_all)), or give it a callback. One whose
    /// promise you ignore is written with the next wait or loop, or by [`close`](Self::close); it is lost if the client is
    /// dropped before.
    ///
    /// It writes nothing by itself: bytes go out while the program waits or loops. But where more than the
    /// [high-water mark](ClientOptions::high_water_mark) is unsent or unconfirmed, it first makes room, unless
    /// [`blocking_publish`](ClientOptions::blocking_publish) is off. Where deliveries lie unread up to
    /// [their mark](ClientOptions::unread_high_water_mark), too, the confirms are behind them, and no waiting makes room: the
    /// publish is accepted past the mark while your program goes on taking deliveries, and fails as not sent where it takes
    /// none for another mark's bytes.
    ///
    /// # Errors
    /// The promise fails with
    /// - [`Error::NoRoute`]: the message was [`mandatory`](Message::mandatory), and no queue took it;
    /// - [`Error::Nacked`]: the broker refused it;
    /// - [`Error::NotFound`], [`Error::AccessRefused`], [`Error::PreconditionFailed`]: no such exchange, no right to
    ///   it, a message too large, or a property that the broker does not take. Publishes that came after it are sent
    ///   again by the client itself ([`resend_after_refusal`](ClientOptions::resend_after_refusal)); those before it may fail with the next one;
    /// - [`Error::OutcomeUnknown`]: it was sent, but its confirm was lost with the channel or the connection; or the
    ///   broker refused one publish, and this may be the one or not (of several to the same exchange, say, which may
    ///   have been there for the first of them); or it was published again after a loss, and then refused;
    /// - [`Error::NotSent`]: it was surely never taken. The cause is inside: there is no connection, say
    ///   ([`Error::NotConnected`]), or the program has closed it ([`Error::Closed`]);
    /// - [`Error::InvalidArgument`]: a name over 255 bytes, headers larger than a frame.
    ///
    /// # When no confirm comes
    /// A broker may owe a confirm for ever, on a connection that is alive. RabbitMQ 3.10 does where a quorum queue is
    /// deleted under load: neither what was under way to it, nor what the same connection publishes to that name
    /// afterwards, is ever confirmed; 4.0 closes the connection then. Whoever cannot wait for ever uses
    /// [`wait_timeout`](Self::wait_timeout), and takes the outcome as unknown; a new connection is confirmed again.
    pub fn basic_publish(
        &mut self,
        exchange: impl AsRef<str>,
        routing_key: impl AsRef<str>,
        message: impl Into<Message>,
    ) -> Promise<()> {
        let message = message.into();
        if self.driver.lacks_room()
            && let Err(error) = self.make_room(message.body.len())
        {
            return Promise::new(self.driver.refuse_publish(error));
        }
        let (exchange, routing_key) = (exchange.as_ref(), routing_key.as_ref());
        Promise::new(self.driver.publish(exchange, routing_key, message))
    }

    /// Sends a message to another program, and gives its reply:
    /// [RPC](https://www.rabbitmq.com/tutorials/tutorial-six-python) by [direct
    /// reply-to](https://www.rabbitmq.com/docs/direct-reply-to).
    ///
    /// The other program replies as usual: to the default exchange, with the request's `reply_to` as the routing key, and
    /// with its `correlation_id`. Both are set by the client, whatever the message says of them. Any number of calls may
    /// be under way, each on a channel of its own. A call waits 30 seconds for its reply;
    /// [`call_timeout`](Self::call_timeout) has another limit.
    ///
    /// ```no_run
    /// # fn f(mut client: puka::Client) -> puka::Result<()> {
    /// let calls: Vec<_> = ["1", "2", "3"].map(|n| client.call("", "fibonacci", n)).into();
    /// for call in calls {
    ///     println!("{}", client.wait(call)?.body_str());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The promise fails with [`Error::NoRoute`] if no queue takes the message; [`Error::NoReply`] if no reply with its
    /// `correlation_id` comes in time (one without any is logged as a warning, and dropped); the broker's error if it
    /// refuses the message, [`Error::NotFound`] if there is no such exchange, say; [`Error::ConnectionBroken`] if the
    /// connection is lost before the reply, when the other program may have the message or not; and
    /// [`Error::NotConnected`], [`Error::Closed`], [`Error::InvalidArgument`].
    pub fn call(
        &mut self,
        exchange: impl Into<ShortStr>,
        routing_key: impl Into<ShortStr>,
        message: impl Into<Message>,
    ) -> Promise<Response> {
        self.call_timeout(exchange, routing_key, message, CALL_TIMEOUT)
    }

    /// [`call`](Self::call), but waiting for the reply for as long as `timeout`.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_timeout(
        &mut self,
        exchange: impl Into<ShortStr>,
        routing_key: impl Into<ShortStr>,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Promise<Response> {
        self.request(Request::Send(Box::new(Sending {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            message: message.into(),
            timeout,
            deadline: self.driver.after(timeout),
        })))
    }

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
    /// What consumers that have ended leave unread is kept up to the [mark](ClientOptions::unread_high_water_mark), the newest
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
    /// [mark](ClientOptions::unread_high_water_mark).
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
        ask: impl FnOnce(&mut crate::connection::Connection, u64, u64),
    ) -> PromiseId {
        if consumer.client != self.id {
            let promise = self.driver.promises.single();
            self.driver
                .promises
                .resolve(promise.number, Err(Error::ForeignPromise(consumer)));
            return promise;
        }
        self.driver
            .ask(|connection, number| ask(connection, number, consumer.number()))
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

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_go_to_another_thread_and_a_promise_is_a_plain_number() {
        fn is_send<T: Send>() {}
        fn is_plain<
            T: Copy + Eq + std::hash::Hash + std::fmt::Debug + std::fmt::Display + Send + Sync,
        >() {
        }
        is_send::<Client>();
        is_plain::<Promise<Delivery>>();
        let promise = Client::new("amqp:///").map(|mut client| client.queue_declare("a"));
        assert!(promise.is_ok_and(|promise| promise.number() == 1 && promise.to_string() == "1"));
    }

    #[test]
    fn options_of_tls_are_not_passed_over_where_nothing_is_encrypted() {
        use crate::TlsOptions;

        let all = [
            TlsOptions::new().ca_file("ca.pem"),
            TlsOptions::new().client_certificate("client.pem", "client.key"),
            TlsOptions::new().server_name("rabbit.example"),
            TlsOptions::new().dangerous_accept_any_certificate(),
        ];
        for tls in all {
            let options = ClientOptions::new().tls(tls);
            let error = Client::with_options("amqp://localhost/", options.clone()).unwrap_err();
            assert!(
                matches!(&error, Error::InvalidArgument(text) if text.contains("amqps://")),
                "{error}"
            );
            let made = Client::with_options("amqps://localhost/", options);
            assert_eq!(made.is_ok(), cfg!(feature = "tls"));
        }
        // What says nothing harms nobody.
        let options = ClientOptions::new().tls(TlsOptions::new());
        assert!(Client::with_options("amqp://localhost/", options).is_ok());
    }

    #[test]
    fn a_callback_that_sets_itself_anew_is_told_the_end_once() {
        use std::sync::{Arc, Mutex};

        fn listen(client: &mut Client, promise: Promise<QueueDeclareOk>, told: Arc<Mutex<usize>>) {
            promise.then(client, move |client, promise, result| {
                assert!(result.is_err());
                let count = {
                    let mut count = told.lock().unwrap();
                    *count += 1;
                    *count
                };
                assert!(count < 10, "it is told the end for ever");
                listen(client, promise, told);
            });
        }

        let mut client = Client::new("amqp:///").unwrap();
        let mut other = Client::new("amqp:///").unwrap();
        let told = Arc::new(Mutex::new(0));
        // There is no connection; and it is another client's.
        let promise = client.queue_declare("a");
        listen(&mut client, promise, told.clone());
        listen(&mut other, promise, told.clone());
        client.run_any_callbacks();
        other.run_any_callbacks();
        assert_eq!(*told.lock().unwrap(), 2);
        // Whoever asks later is told that there is nothing.
        listen(&mut client, promise, told.clone());
        client.run_any_callbacks();
        assert_eq!(*told.lock().unwrap(), 3);
    }
}
