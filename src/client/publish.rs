//! Publishing, and calls to other programs.

use std::time::Duration;

use crate::Client;
use crate::connection::{Request, RpcRequest};
#[cfg(doc)]
use crate::types::error::Error;
use crate::types::error::Result;
use crate::types::ids::Promise;
use crate::types::message::{Message, Response};
use crate::wire::ShortStr;

/// How long a call waits for its reply.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
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
    /// [high-water mark](crate::ClientOptions::high_water_mark) is unsent or unconfirmed, it first makes room, unless
    /// [`blocking_publish`](crate::ClientOptions::blocking_publish) is off. Where deliveries lie unread up to
    /// [their mark](crate::ClientOptions::unread_high_water_mark), too, the confirms are behind them, and no waiting makes room: the
    /// publish is accepted past the mark while your program goes on taking deliveries, and fails as not sent where it takes
    /// none for another mark's bytes.
    ///
    /// # Errors
    /// The promise fails with
    /// - [`Error::NoRoute`]: the message was [`mandatory`](Message::mandatory), and no queue took it;
    /// - [`Error::Nacked`]: the broker refused it;
    /// - [`Error::NotFound`], [`Error::AccessRefused`], [`Error::PreconditionFailed`]: no such exchange, no right to
    ///   it, a message too large, or a property that the broker does not take. Publishes that came after it are sent
    ///   again by the client itself ([`resend_after_refusal`](crate::ClientOptions::resend_after_refusal)); those before it may fail with the next one;
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
        self.request(Request::Rpc(Box::new(RpcRequest {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            message: message.into(),
            timeout,
            deadline: self.driver.after(timeout),
        })))
    }

    /// Waits until there is room for a publish of so many bytes, as far as waiting makes room.
    fn make_room(&mut self, size: usize) -> Result<()> {
        loop {
            self.write_and_run_events();
            if !self.driver.lacks_room() {
                return Ok(());
            }
            // What is in the way may only have to be written, and no answer come of that.
            self.driver.flush();
            if !self.driver.lacks_room() {
                return Ok(());
            }
            if self.driver.is_full() {
                return self.driver.go_past_the_marks(size);
            }
            // A poll that fails will fail again where somebody can be told.
            if self.driver.turn(None).is_err() {
                return Ok(());
            }
        }
    }
}
