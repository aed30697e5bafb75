//! While the broker takes no messages.

use std::time::Duration;

use super::script::Script;
use crate::ClientOptions;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::recovery::ConnectionEvent;
use crate::wire::{
    BasicAck, ChannelOpenOk, ConfirmSelectOk, ConnectionBlocked, ConnectionUnblocked,
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
