//! What a broker gives a program, made without one: for tests of functions that take it.

use crate::types::error::Error;
use crate::types::message::{Delivery, Message, Response, Returned};
use crate::types::reply::Reply;
use crate::types::results::{Cancelled, CancelledBy};
use crate::wire::ShortStr;

/// A delivery of this message. Its fields say the rest, and can be set.
///
/// ```
/// use puka::{Delivery, Message, testing};
///
/// fn attempts(delivery: &Delivery) -> i64 {
///     delivery.header("attempt").and_then(|value| value.as_i64()).unwrap_or(0)
/// }
///
/// let mut delivery = testing::delivery(Message::new("report.pdf").header("attempt", 2));
/// delivery.routing_key = "work".into();
/// assert_eq!(attempts(&delivery), 2);
/// ```
///
/// It is no client's: to settle it is [`Error::ForeignPromise`]. One that can be settled comes from a broker, in memory
/// or not.
pub fn delivery(message: impl Into<Message>) -> Delivery {
    let message = message.into();
    let mut delivery = Delivery::blank();
    delivery.body = message.body;
    delivery.properties = message.properties;
    delivery
}

/// The reply to a [call](crate::Client::call).
///
/// ```
/// assert_eq!(puka::testing::response("144").body_str(), "144");
/// ```
pub fn response(message: impl Into<Message>) -> Response {
    let message = message.into();
    Response {
        body: message.body,
        properties: message.properties,
    }
}

/// A [`mandatory`](Message::mandatory) message that reached no queue, as [`Error::NoRoute`] has it. Its fields say the rest,
/// and can be set.
///
/// ```
/// use puka::{Error, testing};
///
/// let error = Error::NoRoute(Box::new(testing::returned("report.pdf")));
/// assert!(error.to_string().starts_with("no route"));
/// ```
pub fn returned(message: impl Into<Message>) -> Returned {
    let message = message.into();
    Returned {
        reply_code: 312,
        reply_text: "NO_ROUTE".into(),
        exchange: ShortStr::EMPTY,
        routing_key: ShortStr::EMPTY,
        properties: message.properties,
        body: message.body,
    }
}

/// What a broker says of a request that it refuses: AMQP's reply code, and the text. `class_id` and `method_id` say of
/// which, and can be set.
pub fn reply(code: u16, text: impl AsRef<str>) -> Reply {
    Reply::from_broker(code, text.as_ref().as_bytes(), 0, 0)
}

/// The error of such a reply.
///
/// ```
/// use puka::{Error, testing};
///
/// let error = testing::refusal(404, "NOT_FOUND - no queue 'work' in vhost '/'");
/// assert!(matches!(error, Error::NotFound(_)));
/// ```
pub fn refusal(code: u16, text: impl AsRef<str>) -> Error {
    Error::from_reply(reply(code, text))
}

/// The end of a consumer of that queue, as [`Error::Cancelled`] has it.
pub fn cancelled(queue: impl Into<ShortStr>, by: CancelledBy) -> Cancelled {
    Cancelled {
        by,
        queue: queue.into(),
        consumer_tag: "1.0.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    #[test]
    fn a_delivery_that_no_broker_gave_is_settled_by_nobody() {
        // The very first clients of this process have low numbers.
        for _ in 0..3 {
            let mut client = Client::new("amqp:///").unwrap();
            let made = delivery("a");
            assert!(!client.is_stale(&made));
            let error = client.basic_ack(made).unwrap_err();
            assert!(matches!(error, Error::ForeignPromise(_)), "{error}");
        }
    }

    #[test]
    fn what_is_made_reads_as_what_comes() {
        let message = Message::new("a").header("attempt", 1);
        assert!(delivery(message.clone()).header("attempt").is_some());
        assert!(response(message.clone()).header("attempt").is_some());
        let error = Error::NoRoute(Box::new(returned(message)));
        assert_eq!(error.reply_code(), Some(312));
        let error = refusal(541, "INTERNAL_ERROR - Feature `transient_nonexcl_queues`");
        assert!(error.to_string().contains("durable(true)"), "{error}");
        let error = Error::Cancelled(Box::new(cancelled("q", CancelledBy::Broker)));
        assert!(error.to_string().contains("\"q\""), "{error}");
    }
}
