//! While the broker takes no messages.

use std::time::Duration;

use super::frames::channel_close;
use super::script::Script;
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::message::Message;
use crate::types::recovery::ConnectionEvent;
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicReturn, ChannelOpenOk, ConfirmSelectOk, ConnectionBlocked, ConnectionUnblocked,
    FieldValue, Properties,
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

/// The broker gives back what it cannot route; the mark says whose it is.
fn give_back(script: &mut Script, promise: u64, footer: bool) {
    let mut properties = Properties::default();
    let mark = FieldValue::I64(promise.cast_signed());
    properties.headers.insert("x-puka-delivery-tag", mark);
    if footer {
        properties.headers.insert("x-puka-footer", true);
    }
    script.send_content(1, BasicReturn::default(), &properties, b"");
}

#[test]
fn what_was_given_up_may_yet_be_returned() {
    let limit = Duration::from_secs(5);
    let (mut script, first) = blocked(ClientOptions::new().blocked_timeout(limit));
    script.send(0, ConnectionUnblocked {});
    let mandatory = script.publish("", "nowhere", Message::new("2").mandatory(true));
    script.methods();
    script.send(0, BLOCKED);
    script.pass(limit);
    for promise in [first, mandatory] {
        assert_matches!(script.result(promise), Some(Err(Error::OutcomeUnknown(_))));
    }
    script.send(0, ConnectionUnblocked {});
    let ack = |delivery_tag| BasicAck {
        delivery_tag,
        multiple: false,
    };
    script.send(1, ack(1));
    give_back(&mut script, mandatory, false);
    script.send(1, ack(2));
    let next = script.publish("", "q", "3");
    script.methods();
    script.send(1, ack(3));
    assert_matches!(script.result(next), Some(Ok(Outcome::Published)));
}

#[test]
fn what_was_given_up_may_yet_be_confirmed_where_that_is_emulated() {
    let limit = Duration::from_secs(5);
    let options = ClientOptions::new().pubacks(false).blocked_timeout(limit);
    let mut script = Script::connected_with(options);
    let given_up = [(); 2].map(|()| script.publish("", "q", "1"));
    script.methods();
    script.send(1, ChannelOpenOk::default());
    script.send(0, BLOCKED);
    script.pass(limit);
    script.send(0, ConnectionUnblocked {});
    let next = script.publish("", "q", "2");
    script.methods();
    for promise in given_up {
        assert_matches!(script.result(promise), Some(Err(Error::OutcomeUnknown(_))));
        give_back(&mut script, promise, true);
    }
    give_back(&mut script, next, true);
    assert_matches!(script.result(next), Some(Ok(Outcome::Published)));
}
