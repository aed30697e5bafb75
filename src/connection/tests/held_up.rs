//! Publishes that wait for what is declared again.

use std::time::Duration;

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{consume, declare, expect_publish, expect_publisher, recovering, restored};
use super::replay::{COMING_BACK, LATER, bound, exchange, refuse};
use super::script::Script;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, ExchangeBind, ExchangeDeclare, QueueDeclare};
use crate::wire::{self, BasicQosOk, ChannelOpenOk, ExchangeDeclareOk, Method, QueueBindOk};

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
