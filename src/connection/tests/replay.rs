//! What cannot be made anew at once.

use std::time::Duration;

use super::recovery::{
    bind, consume, consume_ok, declare, expect_publish, expect_publisher, recovering, restored,
};
use super::script::{Script, channel_close, wire_declare_ok};
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::recovery::ConnectionEvent;
use crate::types::requests::{Consume, ExchangeBind, ExchangeDeclare, QueueDeclare, QueueDelete};
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicQosOk, ChannelOpenOk, ExchangeDeclareOk, Method, QueueBindOk, QueueDeleteOk,
};

/// What a cluster says while a node comes back, on several versions.
const COMING_BACK: &[(u16, &str)] = &[
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
const LATER: Duration = Duration::from_secs(1);

fn exchange(script: &mut Script, exchange: ExchangeDeclare) {
    let promise = script.request(Request::ExchangeDeclare(exchange));
    script.methods();
    script.send(2, ExchangeDeclareOk {});
    assert_matches!(script.result(promise), Some(Ok(_)));
}

fn bound(script: &mut Script, queue: &str) {
    script.request(Request::QueueBind(bind(queue)));
    script.methods();
    script.send(2, QueueBindOk {});
}

fn refuse(script: &mut Script, code: u16, text: &str) {
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
fn publishes_wait_for_the_queue_and_the_rest_goes_on() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("down").durable(true), "down");
    let consumer = consume(&mut script, Consume::new("other"));
    let saved = script.publish("", "down", "1");
    script.methods();
    script.lose();
    script.reconnect();
    script.methods();
    refuse_and_go_on(&mut script);
    let report = restored(&mut script);
    assert_eq!(report.failed[0].0, "queue \"down\"");
    let new = script.publish("", "down", "2");
    assert!(
        !script
            .methods()
            .iter()
            .any(|method| method == "1 basic.publish")
    );
    let requested = script.declare("new");
    assert!(
        script
            .methods()
            .iter()
            .any(|method| method.ends_with("queue.declare"))
    );
    assert!(script.connection.buffered() > 0);
    script.pass(LATER);
    let methods = script.methods();
    let again = methods
        .iter()
        .find(|method| method.ends_with("queue.declare"));
    let channel = again.unwrap().split(' ').next().unwrap().parse().unwrap();
    script.send(channel, ChannelOpenOk::default());
    script.send(channel, wire_declare_ok("down"));
    expect_publisher(&mut script);
    expect_publish(&mut script, "down", b"1");
    expect_publish(&mut script, "down", b"2");
    for promise in [saved, new, requested, consumer] {
        assert_matches!(script.result(promise), None);
    }
}

fn refuse_and_go_on(script: &mut Script) {
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(404, COMING_BACK[0].1));
    let methods = script.methods();
    assert!(
        methods.contains(&"2 basic.consume".to_owned()),
        "{methods:?}"
    );
    assert!(script.connection.is_open());
}

#[test]
fn after_the_limit_publishes_go_on_without_the_queue_and_its_consumer_ends() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("down").durable(true), "down");
    let consumer = consume(&mut script, Consume::new("down"));
    let saved = script.publish("", "down", "1");
    script.methods();
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(404, COMING_BACK[1].1));
    assert_eq!(script.methods(), ["2 channel.close-ok"]);
    script.pass(Duration::from_secs(300));
    expect_publisher(&mut script);
    expect_publish(&mut script, "down", b"1");
    assert_matches!(script.result(saved), None);
    assert_matches!(script.result(consumer), Some(Err(Error::NotFound(_))));
    script.pass(LATER);
    script.expect_nothing();
}

#[test]
fn without_a_limit_it_is_tried_for_ever() {
    let recovery = crate::Recovery::new()
        .limit(Duration::MAX)
        .delay(LATER, Duration::MAX);
    let mut script = Script::connected_with(crate::ClientOptions::new().recovery(recovery));
    let consumer = consume(&mut script, Consume::new("q"));
    script.lose();
    script.reconnect();
    for _ in 0..10 {
        script.methods();
        script.send(2, ChannelOpenOk::default());
        script.send(2, BasicQosOk {});
        script.send(2, channel_close(404, COMING_BACK[0].1));
        assert_eq!(script.methods(), ["2 channel.close-ok"]);
        script.pass(Duration::from_secs(1_000_000));
    }
    script.lose();
    assert_matches!(script.result(consumer), None);
}

/// The broker has a queue of that name, and a consumer needs no more.
#[test]
fn a_queue_that_is_there_and_different_keeps_nobody_waiting() {
    let mut script = recovering();
    exchange(&mut script, ExchangeDeclare::fanout("x"));
    declare(&mut script, QueueDeclare::new("q"), "q");
    bound(&mut script, "q");
    let consumer = consume(&mut script, Consume::new("q"));
    script.lose();
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    script.methods();
    let different = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'";
    script.send(2, channel_close(406, different));
    assert_eq!(
        script.methods(),
        ["2 channel.close-ok", "2 channel.open", "2 queue.bind"]
    );
    script.send(2, ChannelOpenOk::default());
    script.send(2, QueueBindOk {});
    assert_eq!(script.methods(), ["2 basic.qos", "2 basic.consume"]);
    assert_matches!(script.result(consumer), None);
    assert_eq!(restored(&mut script).failed.len(), 1);
}

/// Whoever has it when the broker must have noticed the loss is somebody else.
#[test]
fn a_queue_that_somebody_else_has_locked_holds_publishes_up_for_a_while_only() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q").exclusive(true), "q");
    script.publish("", "q", "1");
    script.methods();
    script.lose();
    script.reconnect();
    script.methods();
    refuse(&mut script, 405, "RESOURCE_LOCKED - q");
    script.pass(Duration::from_secs(200));
    assert_eq!(script.methods(), ["2 channel.open", "2 queue.declare"]);
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(405, "RESOURCE_LOCKED - q"));
    let methods = script.methods();
    assert!(
        methods.contains(&"1 basic.publish".to_owned()),
        "{methods:?}"
    );
    assert_eq!(restored(&mut script).failed.len(), 1);
}

/// Serves for so long that no loss explains it any more, and says whether a publish came.
fn publishes_go(
    script: &mut Script,
    refusal: fn(&Method<'_>) -> Option<wire::ChannelClose<'static>>,
) -> bool {
    let mut is_sent = false;
    for _ in 0..290 {
        script.live(LATER);
        script.serve(|script, channel, method| {
            is_sent |= matches!(method, Method::BasicPublish(_));
            let refusal = refusal(method);
            let refuses = refusal.is_some();
            if let Some(refusal) = refusal {
                script.send(channel, refusal);
            }
            refuses
        });
    }
    is_sent
}

#[test]
fn nor_does_a_binding_of_that_queue() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q").exclusive(true), "q");
    bound(&mut script, "q");
    script.publish("", "other", "1");
    script.methods();
    script.lose();
    script.reconnect();
    assert!(publishes_go(&mut script, |method| match method {
        Method::QueueDeclare(_) => Some(channel_close(405, "RESOURCE_LOCKED - q")),
        _ => None,
    }));
}

/// It was somebody else's, and whether it comes back nobody knows.
#[test]
fn a_binding_of_what_somebody_else_has_made_holds_no_publishes_up() {
    for is_queue in [true, false] {
        let mut script = recovering();
        exchange(&mut script, ExchangeDeclare::fanout("x"));
        if is_queue {
            bound(&mut script, "theirs");
        } else {
            let binding = ExchangeBind::new("x", "theirs");
            script.request(Request::ExchangeBind(binding));
            script.methods();
            script.send(2, wire::ExchangeBindOk {});
        }
        script.publish("", "other", "1");
        script.methods();
        script.lose();
        script.reconnect();
        let is_sent = publishes_go(&mut script, |method| match method {
            Method::QueueBind(_) | Method::ExchangeBind(_) => {
                Some(channel_close(404, "NOT_FOUND - theirs"))
            }
            _ => None,
        });
        assert!(is_sent, "{is_queue}");
    }
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
