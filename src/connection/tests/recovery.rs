//! From one socket to the next.

use std::time::Duration;

use super::frames::{TUNE, channel_close, frame_of, wire_declare, wire_declare_ok};
use super::recovering::{
    ack, bind, consume, declare, expect_publish, expect_publisher, recovering, restored,
    send_publisher,
};
use super::script::{CONNECT, Script};
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::message::Message;
use crate::types::recovery::{ConnectionEvent, Recovery};
use crate::types::requests::{Consume, ExchangeDeclare, Get, QueueDeclare, QueueDelete};
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicQosOk, ChannelCloseOk, ChannelOpen, ChannelOpenOk, ConnectionClose,
    ConnectionCloseOk, ExchangeDeclareOk, QueueBindOk,
};

#[test]
fn a_connection_that_is_lost_in_the_read_that_opens_it_recovers() {
    let mut script = Script::new(ClientOptions::new().recovery(Recovery::new()));
    script.frame_of_login();
    script.send(0, TUNE);
    let close = wire::ConnectionClose {
        reply_code: 320,
        ..Default::default()
    };
    let open_ok = frame_of(0, &wire::ConnectionOpenOk::default());
    script.send_bytes(&[open_ok, frame_of(0, &close)].concat());
    assert_matches!(script.result(CONNECT), Some(Ok(_)));
    assert!(script.connection.is_suspended());
}

#[test]
fn what_was_not_confirmed_is_published_again_in_order_under_the_same_promises() {
    let mut script = recovering();
    let large = vec![b'x'; 200_000];
    let first = script.publish("", "a", "1");
    let second = script.publish("", "a", "2");
    let third = script.publish("", "b", large.clone());
    script.methods();
    send_publisher(&mut script);
    script.send(1, ack(1, false));
    assert_matches!(script.result(first), Some(Ok(Outcome::Published)));
    script.lose();
    assert_matches!(script.changes.pop(), Some(ConnectionEvent::Lost(_)));
    let early = script.publish("", "c", "4");
    assert!(script.connection.buffered() >= large.len());

    script.reconnect();
    expect_publisher(&mut script);
    expect_publish(&mut script, "a", b"2");
    expect_publish(&mut script, "b", &large);
    expect_publish(&mut script, "c", b"4");
    script.expect_nothing();
    assert_eq!(restored(&mut script).republished, 2);
    send_publisher(&mut script);
    script.send(1, ack(3, true));
    for promise in [second, third, early] {
        assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
    }
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn a_second_loss_on_the_way_changes_nothing() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q"), "q");
    let promise = script.publish("", "a", "1");
    script.methods();
    script.lose();
    // During the login, then while the queue is declared, and when it is published again.
    script.connection.restart();
    script.lose();
    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 queue.declare"]);
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("q"));
    expect_publisher(&mut script);
    expect_publish(&mut script, "a", b"1");
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("q"));
    expect_publisher(&mut script);
    expect_publish(&mut script, "a", b"1");
    send_publisher(&mut script);
    script.send(1, ack(1, false));
    assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
    let lost = |change: &&ConnectionEvent| matches!(change, ConnectionEvent::Lost(_));
    // The first loss, and the one after the restoration; those in between are not news.
    assert_eq!(script.changes.iter().filter(lost).count(), 2);
}

#[test]
fn a_publish_that_is_given_up_says_whether_it_may_have_arrived() {
    let mut script = recovering();
    let sent = script.publish("", "a", "1");
    script.methods();
    let unsent = script.publish("", "a", "2");
    script.lose();
    let early = script.publish("", "a", "3");
    script.connection.end(&Error::Closed);
    script.collect();
    assert_matches!(script.result(sent), Some(Err(Error::OutcomeUnknown(_))));
    assert_matches!(script.result(unsent), Some(Err(Error::NotSent(_))));
    assert_matches!(script.result(early), Some(Err(Error::NotSent(_))));
    assert_eq!(script.connection.buffered(), 0);
}

/// Another attempt's refusal says nothing of the first one, which may have been taken.
#[test]
fn what_was_sent_before_and_is_refused_now_is_unknown() {
    let mut script = recovering();
    let sent = script.publish("", "a", "1");
    script.methods();
    script.lose();
    script.reconnect();
    let fresh = script.publish("nowhere", "a", "2");
    script.methods();
    send_publisher(&mut script);
    let text = "NOT_FOUND - no exchange 'nowhere' in vhost '/'";
    script.send(1, channel_close(404, text));
    assert_matches!(script.result(sent), Some(Err(Error::OutcomeUnknown(_))));
    assert_matches!(script.result(fresh), Some(Err(Error::NotFound(_))));
}

#[test]
fn what_was_declared_is_declared_again_each_before_what_needs_it() {
    let mut script = recovering();
    let exchange = script.request(Request::ExchangeDeclare(ExchangeDeclare::fanout("x")));
    script.methods();
    script.send(2, ExchangeDeclareOk {});
    assert_matches!(script.result(exchange), Some(Ok(_)));
    declare(&mut script, QueueDeclare::new("q"), "q");
    declare(&mut script, QueueDeclare::new("gone"), "gone");
    declare(&mut script, QueueDeclare::new("seen").passive(true), "seen");
    for queue in ["q", "gone"] {
        script.request(Request::QueueBind(bind(queue)));
        script.methods();
        script.send(2, QueueBindOk {});
    }
    script.request(Request::QueueDelete(QueueDelete::new("gone")));
    script.methods();
    script.send(2, wire::QueueDeleteOk { message_count: 0 });
    let consumer = script.consume(Consume::new("q"));
    let waiting = script.publish("", "q", "1");
    script.methods();
    script.lose();

    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 exchange.declare"]);
    let meanwhile = script.declare("new");
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    script.expect(2, wire_declare("q"));
    script.expect_nothing();
    script.send(2, wire_declare_ok("q"));
    script.expect(
        2,
        wire::QueueBind {
            queue: b"q",
            exchange: b"x",
            routing_key: b"k",
            ..Default::default()
        },
    );
    script.expect_nothing();
    assert!(!script.connection.is_open());
    script.send(2, QueueBindOk {});
    assert!(script.connection.is_open());
    let methods = script.methods();
    for method in ["2 basic.consume", "1 basic.publish", "3 queue.declare"] {
        assert!(methods.iter().any(|other| other == method), "{methods:?}");
    }
    assert_matches!(script.result(consumer), None);
    assert_matches!(script.result(waiting), None);
    assert_matches!(script.result(meanwhile), None);
    assert!(restored(&mut script).failed.is_empty());
}

#[test]
fn a_name_that_the_broker_made_is_followed() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::server_named(), "amq.gen-1");
    script.request(Request::QueueBind(bind("amq.gen-1")));
    script.methods();
    script.send(2, QueueBindOk {});
    script.consume(Consume::new("amq.gen-1"));
    script.methods();
    for (old, new) in [("amq.gen-1", "amq.gen-2"), ("amq.gen-2", "amq.gen-3")] {
        script.lose();
        script.reconnect();
        script.expect(2, ChannelOpen::default());
        script.expect(2, wire_declare(""));
        script.send(2, ChannelOpenOk::default());
        script.send(2, wire_declare_ok(new));
        script.expect(
            2,
            wire::QueueBind {
                queue: new.as_bytes(),
                exchange: b"x",
                routing_key: b"k",
                ..Default::default()
            },
        );
        script.send(2, QueueBindOk {});
        let report = restored(&mut script);
        assert_eq!(report.renamed, [(old.into(), new.into())]);
        script.frame();
        let consume = script.frame();
        assert!(
            consume
                .payload
                .windows(9)
                .any(|part| part == new.as_bytes())
        );
        script.methods();
    }
    // Whoever still uses the first name means the queue that there is now.
    script.request(Request::Get(Get::new("amq.gen-1")));
    script.frame();
    let get = script.frame();
    assert!(get.payload.windows(9).any(|part| part == b"amq.gen-3"));
    script.publish("", "amq.gen-1", Message::new("").reply_to("amq.gen-1"));
    expect_publisher(&mut script);
    let publish = script.frame();
    assert!(publish.payload.windows(9).any(|part| part == b"amq.gen-3"));
    let header = script.frame();
    assert!(header.payload.windows(9).any(|part| part == b"amq.gen-3"));
    // Not a routing key of another exchange.
    script.publish("x", "amq.gen-1", "");
    let publish = script.frame();
    assert!(publish.payload.windows(9).any(|part| part == b"amq.gen-1"));
}

#[test]
fn declarations_under_way_are_made_again_and_what_may_not_be_doubled_fails() {
    let mut script = recovering();
    let declared = script.declare("q");
    let deleted = script.request(Request::QueueDelete(QueueDelete::new("other")));
    let got = script.request(Request::Get(Get::new("q")));
    script.methods();
    script.lose();
    assert_matches!(
        script.result(deleted),
        Some(Err(Error::ConnectionBroken(_)))
    );
    assert_matches!(script.result(got), Some(Err(Error::ConnectionBroken(_))));
    script.reconnect();
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("q"));
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("q"));
    assert_matches!(
        script.result(declared),
        Some(Ok(Outcome::QueueDeclareOk(_)))
    );
}

/// An exclusive queue is locked until the broker has noticed that its old connection is dead.
#[test]
fn a_locked_queue_holds_everything_up_until_it_can_be_had() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q").exclusive(true), "q");
    let promise = script.publish("", "q", "1");
    script.methods();
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(405, "RESOURCE_LOCKED - q"));
    script.expect(2, ChannelCloseOk {});
    script.expect_nothing();
    assert!(!script.connection.is_open());
    script.pass(Duration::from_secs(1));
    assert_eq!(script.methods(), ["2 channel.open", "2 queue.declare"]);
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("q"));
    expect_publisher(&mut script);
    expect_publish(&mut script, "q", b"1");
    assert_matches!(script.result(promise), None);
    assert!(restored(&mut script).failed.is_empty());
}

#[test]
fn a_queue_on_a_node_that_is_down_holds_up_only_its_own_consumer() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("down"));
    script.lose();
    script.reconnect();
    script.methods();
    let promise = script.publish("", "other", "1");
    assert!(script.methods().contains(&"1 basic.publish".into()));
    let refuse =
        "NOT_FOUND - home node 'x' of durable queue 'down' in vhost '/' is down or inaccessible";
    for _ in 0..3 {
        script.send(2, ChannelOpenOk::default());
        script.send(2, BasicQosOk {});
        script.send(2, channel_close(404, refuse));
        assert_eq!(script.methods(), ["2 channel.close-ok"]);
        script.pass(Duration::from_secs(1));
        assert_eq!(
            script.methods(),
            ["2 channel.open", "2 basic.qos", "2 basic.consume"]
        );
    }
    assert_matches!(script.result(promise), None);
    assert_matches!(script.result(consumer), None);
    // For as long as the limit says.
    script.pass(Duration::from_secs(300));
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(404, refuse));
    assert_matches!(script.result(consumer), Some(Err(Error::NotFound(_))));
}

#[test]
fn what_cannot_be_declared_again_is_reported() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q"), "q");
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(
        2,
        channel_close(406, "PRECONDITION_FAILED - inequivalent arg"),
    );
    let report = restored(&mut script);
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].0, "queue \"q\"");
    assert!(script.connection.is_open());
}

#[test]
fn what_was_to_be_tried_again_does_not_keep_a_closing_connection_awake() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q").exclusive(true), "q");
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(405, "RESOURCE_LOCKED - q"));
    let retry_at = script
        .connection
        .poll_timeout()
        .expect("it is to be tried again");
    script.close();
    script.pass(retry_at - script.now);
    assert_eq!(script.connection.poll_timeout(), None);
}

/// Whatever it was: what has killed the connection fails by itself.
#[test]
fn every_end_of_an_open_connection_is_recovered_from() {
    for code in [320, 402, 501, 503, 506, 530, 540, 541] {
        let mut script = recovering();
        let consumer = consume(&mut script, Consume::new("q"));
        let close = ConnectionClose {
            reply_code: code,
            reply_text: b"no",
            ..Default::default()
        };
        script.send(0, close);
        script.expect(0, ConnectionCloseOk {});
        assert!(script.connection.is_suspended(), "{code}");
        assert_matches!(script.result(consumer), None);
    }
}

/// A peer that breaks the protocol is told so, and left; its successor may do better.
#[test]
fn a_peers_violation_is_a_loss_like_any_other() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q"));
    let published = script.publish("", "q", "1");
    script.methods();
    let unsent = script.publish("", "q", "2");
    script.send(2, ExchangeDeclareOk {});
    assert_eq!(script.methods(), ["0 connection.close"]);
    assert!(script.connection.is_suspended());
    script.reconnect();
    let methods = script.methods();
    let publishes = methods.iter().filter(|method| *method == "1 basic.publish");
    assert_eq!(publishes.count(), 2, "{methods:?}");
    for promise in [consumer, published, unsent] {
        assert_matches!(script.result(promise), None);
    }
}

#[test]
fn a_login_that_is_refused_ends_it_with_that() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q"));
    script.lose();
    script.connection.restart();
    script.frame_of_login();
    let close = ConnectionClose {
        reply_code: 403,
        reply_text: b"ACCESS_REFUSED",
        ..Default::default()
    };
    script.send(0, close);
    assert!(script.connection.is_over());
    assert_matches!(script.result(consumer), Some(Err(Error::AccessRefused(_))));
}

#[test]
fn close_ends_it_while_there_is_no_connection() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q"));
    let published = script.publish("", "q", "1");
    script.methods();
    script.lose();
    let close = script.close();
    assert_matches!(script.result(close), Some(Ok(Outcome::Done)));
    assert_matches!(script.result(consumer), Some(Err(Error::Closed)));
    assert_matches!(
        script.result(published),
        Some(Err(Error::OutcomeUnknown(_)))
    );
    assert!(script.connection.is_over());
}

#[test]
fn without_recovery_nothing_is_kept() {
    let mut script = Script::connected();
    let published = script.publish("", "q", "1");
    script.methods();
    script.disconnect(crate::types::error::Disconnect::Eof);
    assert!(script.connection.is_over());
    assert_matches!(
        script.result(published),
        Some(Err(Error::OutcomeUnknown(_)))
    );
}
