//! What cannot be made anew at once.

use std::time::Duration;

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{bind, consume, consume_ok, declare, recovering, restored};
use super::script::Script;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::recovery::ConnectionEvent;
use crate::types::requests::{Consume, ExchangeDeclare, QueueDeclare, QueueDelete};
use crate::types::results::Outcome;
use crate::wire::{BasicQosOk, ChannelOpenOk, ExchangeDeclareOk, QueueBindOk, QueueDeleteOk};

/// What a cluster says while a node comes back, on several versions.
pub(super) const COMING_BACK: &[(u16, &str)] = &[
    (
        404,
        "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor",
    ),
    (
        404,
        "NOT_FOUND - home node 'x' of durable queue 'q' in vhost '/' is down or inaccessible",
    ),
    (
        406,
        "PRECONDITION_FAILED - stream queue 'q' does not have a running replica on the local node",
    ),
    (
        403,
        "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
    ),
    (405, "RESOURCE_LOCKED - words of another broker"),
];

/// Long enough for another try, as long as not much time has passed.
pub(super) const LATER: Duration = Duration::from_secs(1);

pub(super) fn exchange(script: &mut Script, exchange: ExchangeDeclare) {
    let promise = script.request(Request::ExchangeDeclare(exchange));
    script.methods();
    script.send(2, ExchangeDeclareOk {});
    assert_matches!(script.result(promise), Some(Ok(_)));
}

pub(super) fn bound(script: &mut Script, queue: &str) {
    script.request(Request::QueueBind(bind(queue)));
    script.methods();
    script.send(2, QueueBindOk {});
}

pub(super) fn refuse(script: &mut Script, code: u16, text: &str) {
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(code, text));
    assert_eq!(script.methods(), ["2 channel.close-ok"]);
}

/// The old connection's queue goes after the exchange was declared anew, and takes the exchange with it.
#[test]
fn a_binding_that_finds_nothing_is_tried_again_with_what_it_needs() {
    let mut script = recovering();
    exchange(&mut script, ExchangeDeclare::fanout("x").auto_delete(true));
    declare(&mut script, QueueDeclare::new("q").exclusive(true), "q");
    bound(&mut script, "q");
    let consumer = consume(&mut script, Consume::new("q"));
    let publish = script.publish("x", "k", "1");
    script.methods();
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    script.send(2, wire_declare_ok("q"));
    assert_eq!(script.methods(), ["2 queue.declare", "2 queue.bind"]);
    let gone = "NOT_FOUND - no exchange 'x' in vhost '/'";
    script.send(2, channel_close(404, gone));
    // The consumer goes on; a publish would find no exchange, or no queue.
    assert_eq!(
        script.methods(),
        [
            "2 channel.close-ok",
            "2 channel.open",
            "2 basic.qos",
            "2 basic.consume"
        ]
    );
    let report = restored(&mut script);
    assert_eq!(report.failed.len(), 1, "{report:?}");
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, consumer);
    let later = script.publish("x", "k", "2");
    script.pass(LATER);
    let mut answered = Vec::new();
    for _ in 0..2 {
        for method in script.methods() {
            let channel = method.split(' ').next().unwrap().parse().unwrap();
            match &method[2..] {
                "channel.open" => script.send(channel, ChannelOpenOk::default()),
                "exchange.declare" => script.send(channel, ExchangeDeclareOk {}),
                "queue.declare" => script.send(channel, wire_declare_ok("q")),
                other => panic!("{other}"),
            }
            answered.push(method);
        }
    }
    assert!(
        answered.contains(&"3 exchange.declare".to_owned()),
        "{answered:?}"
    );
    let methods = script.methods();
    assert!(
        methods.iter().any(|method| method.ends_with("queue.bind")),
        "{methods:?}"
    );
    let channel = methods[0].split(' ').next().unwrap().parse().unwrap();
    script.send(channel, QueueBindOk {});
    let methods = script.methods();
    let publishes = methods.iter().filter(|method| *method == "1 basic.publish");
    assert_eq!(publishes.count(), 2, "{methods:?}");
    for promise in [publish, later] {
        assert_matches!(script.result(promise), None);
    }
}

#[test]
fn what_was_declared_before_is_declared_again_whatever_the_broker_says_meanwhile() {
    for &(code, text) in COMING_BACK {
        let mut script = recovering();
        declare(&mut script, QueueDeclare::new("q"), "q");
        script.lose();
        script.reconnect();
        script.methods();
        for _ in 0..3 {
            refuse(&mut script, code, text);
            script.pass(LATER);
            assert_eq!(
                script.methods(),
                ["2 channel.open", "2 queue.declare"],
                "{text}"
            );
        }
        script.send(2, ChannelOpenOk::default());
        script.send(2, wire_declare_ok("q"));
        assert!(script.connection.is_open());
        script.pass(LATER);
        script.expect_nothing();
    }
}

#[test]
fn a_consumer_that_ran_before_is_started_again_whatever_the_broker_says_meanwhile() {
    for &(code, text) in COMING_BACK {
        let mut script = recovering();
        let consumer = consume(&mut script, Consume::new("q").exclusive(true));
        script.lose();
        script.reconnect();
        script.methods();
        for _ in 0..3 {
            script.send(2, ChannelOpenOk::default());
            script.send(2, BasicQosOk {});
            script.send(2, channel_close(code, text));
            assert_eq!(script.methods(), ["2 channel.close-ok"]);
            script.pass(LATER);
            assert_eq!(
                script.methods(),
                ["2 channel.open", "2 basic.qos", "2 basic.consume"],
                "{text}"
            );
        }
        script.send(2, ChannelOpenOk::default());
        script.send(2, BasicQosOk {});
        consume_ok(&mut script, consumer);
        script.pass(LATER);
        script.expect_nothing();
        assert_matches!(script.result(consumer), None);
    }
}

/// One that starts for the first time has the broker's word at once.
#[test]
fn what_was_never_there_is_not_waited_for() {
    let mut script = recovering();
    script.lose();
    script.reconnect();
    let consumer = script.consume(Consume::new("q"));
    script.methods();
    refuse(&mut script, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    assert_matches!(script.result(consumer), Some(Err(Error::NotFound(_))));
    script.pass(LATER);
    script.expect_nothing();
}

#[test]
fn a_consumer_whose_own_queue_has_gone_has_it_declared_once_more_and_bound() {
    let mut script = recovering();
    exchange(&mut script, ExchangeDeclare::fanout("x"));
    declare(&mut script, QueueDeclare::new("q").auto_delete(true), "q");
    bound(&mut script, "q");
    let consumer = consume(&mut script, Consume::new("q"));
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    script.send(2, wire_declare_ok("q"));
    script.send(2, QueueBindOk {});
    script.methods();
    script.send(2, BasicQosOk {});
    // The broker has noticed the loss only now, and the queue went with its last consumer.
    script.send(
        2,
        channel_close(404, "NOT_FOUND - no queue 'q' in vhost '/'"),
    );
    script.methods();
    let publish = script.publish("x", "k", "1");
    script.expect_nothing();
    script.pass(LATER);
    assert_eq!(script.methods(), ["2 channel.open", "2 exchange.declare"]);
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    script.send(2, wire_declare_ok("q"));
    script.send(2, QueueBindOk {});
    let methods = script.methods();
    assert_eq!(
        methods[..4],
        [
            "2 queue.declare",
            "2 queue.bind",
            "2 basic.qos",
            "2 basic.consume"
        ]
    );
    assert!(
        methods.contains(&"1 basic.publish".to_owned()),
        "{methods:?}"
    );
    assert_matches!(script.result(publish), None);
    assert_matches!(script.result(consumer), None);
}

#[test]
fn a_queue_that_gets_its_new_name_late_is_told_of_by_itself() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::server_named(), "made-1");
    script.lose();
    script.reconnect();
    script.methods();
    refuse(&mut script, 404, COMING_BACK[1].1);
    assert!(restored(&mut script).renamed.is_empty());
    script.pass(LATER);
    assert_eq!(script.methods(), ["2 channel.open", "2 queue.declare"]);
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("made-2"));
    let renamed = restored(&mut script).renamed;
    assert_eq!(renamed, [("made-1".into(), "made-2".into())]);
}

/// The first of two new names was never told.
#[test]
fn a_queue_that_is_named_anew_twice_is_told_of_by_the_name_that_is_known() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::server_named(), "made-1");
    declare(&mut script, QueueDeclare::new("q"), "q");
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("made-2"));
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("made-3"));
    script.send(3, ChannelOpenOk::default());
    script.send(3, wire_declare_ok("q"));
    let renamed = restored(&mut script).renamed;
    assert_eq!(renamed, [("made-1".into(), "made-3".into())]);
}

#[test]
fn what_is_deleted_while_it_cannot_be_had_is_not_declared_again() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q"), "q");
    script.lose();
    script.reconnect();
    script.methods();
    refuse(&mut script, 404, COMING_BACK[0].1);
    let deleted = script.request(Request::QueueDelete(QueueDelete::new("q")));
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, QueueDeleteOk { message_count: 0 });
    assert_matches!(script.result(deleted), Some(Ok(Outcome::MessageCount(0))));
    let published = script.publish("", "q", "1");
    script.expect_nothing();
    script.pass(LATER);
    assert!(script.methods().contains(&"1 basic.publish".to_owned()));
    assert_matches!(script.result(published), None);
}

#[test]
fn giving_up_is_told() {
    let mut script = recovering();
    script.lose();
    script.connection.end(&Error::ConnectionBroken(
        crate::types::error::Disconnect::Eof,
    ));
    script.collect();
    assert_matches!(script.changes.pop(), Some(ConnectionEvent::GivenUp(_)));
    // Not what the user has asked for.
    let mut script = recovering();
    script.lose();
    script.close();
    assert_matches!(script.changes.pop(), Some(ConnectionEvent::Lost(_)));
}
