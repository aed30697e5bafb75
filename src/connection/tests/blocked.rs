//! While the broker takes no messages.

use std::time::Duration;

use super::script::{Script, channel_close};
use crate::ClientOptions;
use crate::error::Error;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::recovery::ConnectionEvent;
use crate::wire::{
    BasicAck, BasicReturn, ChannelOpenOk, ConfirmSelectOk, ConnectionBlocked, ConnectionUnblocked,
    Properties,
};

const BLOCKED: ConnectionBlocked<'_> = ConnectionBlocked {
    reason: b"low on memory",
};

/// One publish is under way when the broker blocks.
fn blocked(options: ClientOptions) -> (Script, u64) {
    let mut script = Script::connected_with(options);
    let promise = script.publish("", "q", "1");
    script.methods();
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    script.send(0, BLOCKED);
    assert_eq!(script.connection.blocked(), Some("low on memory"));
    assert_matches!(
        script.changes.pop(),
        Some(ConnectionEvent::Blocked(reason)) if reason == "low on memory"
    );
    (script, promise)
}

#[test]
fn publishes_are_held_back_and_go_out_when_it_is_over() {
    let (mut script, first) = blocked(ClientOptions::new());
    let second = script.publish("", "q", "22");
    script.expect_nothing();
    assert!(script.connection.buffered() > 2);
    script.pass(Duration::from_secs(3600));
    script.send(0, ConnectionUnblocked {});
    assert_eq!(script.connection.blocked(), None);
    assert_matches!(script.changes.pop(), Some(ConnectionEvent::Unblocked));
    assert_eq!(script.methods(), ["1 basic.publish"]);
    let ack = BasicAck {
        delivery_tag: 2,
        multiple: true,
    };
    script.send(1, ack);
    for promise in [first, second] {
        assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
    }
}

#[test]
fn after_the_limit_those_that_wait_fail_and_further_ones_at_once() {
    let limit = Duration::from_secs(5);
    let (mut script, under_way) = blocked(ClientOptions::new().blocked_timeout(limit));
    let waiting = script.publish("", "q", "2");
    assert_eq!(script.connection.poll_timeout(), Some(script.now + limit));
    script.pass(limit - Duration::from_millis(1));
    assert_matches!(script.result(waiting), None);
    script.pass(Duration::from_millis(1));
    assert_matches!(
        script.result(waiting),
        Some(Err(Error::NotSent(cause))) if matches!(*cause, Error::Blocked(_))
    );
    assert_matches!(
        script.result(under_way),
        Some(Err(Error::OutcomeUnknown(cause))) if matches!(*cause, Error::Blocked(_))
    );
    let further = script.publish("", "q", "3");
    assert_matches!(script.result(further), Some(Err(Error::NotSent(_))));
    assert_eq!(script.connection.buffered(), 0);
    assert_eq!(script.connection.poll_timeout(), None);

    // The first one's confirm may still come, and tags go on behind it.
    script.send(0, ConnectionUnblocked {});
    let late = script.publish("", "q", "4");
    assert_eq!(script.methods(), ["1 basic.publish"]);
    let ack = BasicAck {
        delivery_tag: 2,
        multiple: true,
    };
    script.send(1, ack);
    assert_matches!(script.result(late), Some(Ok(Outcome::Published)));
}

#[test]
fn the_limit_counts_from_the_first_word_of_it() {
    let limit = Duration::from_secs(5);
    let (mut script, _) = blocked(ClientOptions::new().blocked_timeout(limit));
    script.pass(Duration::from_secs(3));
    script.send(0, BLOCKED);
    script.pass(Duration::from_secs(2));
    let refused = script.publish("", "q", "2");
    assert_matches!(script.result(refused), Some(Err(Error::NotSent(_))));
}

/// Publishes to these exchanges, all given up in a blocked time that is over; and one more, to the default exchange.
fn given_up(exchanges: &[&str]) -> (Script, u64) {
    let limit = Duration::from_secs(5);
    let (mut script, first) = blocked(ClientOptions::new().blocked_timeout(limit));
    script.send(
        1,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    assert_matches!(script.result(first), Some(Ok(_)));
    script.send(0, ConnectionUnblocked {});
    let given_up: Vec<_> = exchanges
        .iter()
        .map(|exchange| script.publish(exchange, "k", Message::new("lost").mandatory(true)))
        .collect();
    script.methods();
    script.send(0, BLOCKED);
    script.pass(limit);
    for promise in given_up {
        assert_matches!(script.result(promise), Some(Err(Error::OutcomeUnknown(_))));
    }
    script.send(0, ConnectionUnblocked {});
    let next = script.publish("", "k", "next");
    script.methods();
    (script, next)
}

#[test]
fn a_refusal_of_one_that_was_given_up_blames_nobody_else() {
    let (mut script, next) = given_up(&["gone"]);
    script.send(
        1,
        channel_close(404, "NOT_FOUND - no exchange 'gone' in vhost '/'"),
    );
    // It came surely later, so it goes out again.
    assert_matches!(script.result(next), None);
    let again = [
        "1 channel.close-ok",
        "1 channel.open",
        "1 confirm.select",
        "1 basic.publish",
    ];
    assert_eq!(script.methods(), again);
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    script.send(
        1,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    assert_matches!(script.result(next), Some(Ok(Outcome::Published)));
}

#[test]
fn the_return_of_one_that_was_given_up_is_dropped() {
    let (mut script, next) = given_up(&["x", "y"]);
    // The numbers of the two promises.
    for mark in [next - 2, next - 1] {
        let mut properties = Properties::default();
        properties
            .headers
            .insert("x-puka-delivery-tag", mark.cast_signed());
        let returned = BasicReturn {
            reply_code: 312,
            ..Default::default()
        };
        script.send_content(1, returned, &properties, b"lost");
    }
    script.send(
        1,
        BasicAck {
            delivery_tag: 4,
            multiple: true,
        },
    );
    assert_matches!(script.result(next), Some(Ok(Outcome::Published)));
    assert!(!script.connection.is_over());
}
