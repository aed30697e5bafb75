//! Connections that die of one thing: what it was is found, and what it was not is left alone.

use std::time::Duration;

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{bind, consume, consume_ok, declare, recovering};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, ExchangeDeclare, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{self, BasicQosOk, ChannelOpenOk, ExchangeDeclareOk, Method, QueueBindOk};

const DECLARE: (u16, u16) = (50, 10);
const PUBLISH: (u16, u16) = (60, 40);

/// How often a connection dies of the declaration of that queue, which is not there.
fn deaths_of(script: &mut Script, deadly: &str) -> usize {
    let mut deaths = 0;
    for _ in 0..20 {
        script.reconnect();
        for _ in 0..50 {
            let mut dies = false;
            script.serve(|script, channel, method| {
                let gone = channel_close(404, "NOT_FOUND - no queue");
                match method {
                    Method::QueueDeclare(declare) if declare.queue == deadly.as_bytes() => {
                        dies = true;
                    }
                    Method::QueueBind(bind) if bind.queue == deadly.as_bytes() => {
                        script.send(channel, gone);
                    }
                    Method::BasicConsume(consume) if consume.queue == deadly.as_bytes() => {
                        script.send(channel, gone);
                    }
                    _ => return dies,
                }
                true
            });
            if dies {
                break;
            }
            script.live(Duration::from_millis(600));
        }
        if script.connection.is_open() {
            return deaths;
        }
        script.die_of(DECLARE);
        deaths += 1;
    }
    deaths
}

/// Its binding finds nothing, and would have it declared once more.
#[test]
fn a_queue_that_is_left_out_is_not_declared_for_the_sake_of_its_binding() {
    let mut script = recovering();
    script.request(Request::ExchangeDeclare(ExchangeDeclare::fanout("x")));
    script.methods();
    script.send(2, ExchangeDeclareOk {});
    declare(&mut script, QueueDeclare::new("deadly"), "deadly");
    script.request(Request::QueueBind(bind("deadly")));
    script.methods();
    script.send(2, QueueBindOk {});
    let published = script.publish("", "other", "1");
    script.lose();
    assert_eq!(deaths_of(&mut script, "deadly"), 1);
    // Nobody waits for that binding.
    assert!(!script.connection.publishes_wait());
    assert_matches!(script.result(published), None);
    // The program may have it declared, and then it is again: on a channel that the broker has closed before.
    let promise = script.request(Request::QueueDeclare(QueueDeclare::new("deadly")));
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("deadly"));
    assert_matches!(script.result(promise), Some(Ok(Outcome::QueueDeclareOk(_))));
    script.lose();
    script.reconnect();
    let mut declared = 0;
    script.serve(|_, _, method| {
        declared += usize::from(matches!(method, Method::QueueDeclare(_)));
        false
    });
    assert_eq!(declared, 1);
}

#[test]
fn a_queue_that_is_left_out_is_not_declared_for_the_sake_of_its_consumer() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("deadly"), "deadly");
    let consumer = consume(&mut script, Consume::new("deadly"));
    script.lose();
    assert_eq!(deaths_of(&mut script, "deadly"), 1);
    let result = script.result(consumer);
    assert_matches!(result, Some(Err(Error::InternalError(_))));
}

/// Whether the connection has died of one publish or the other, or of a call, the broker does not say.
#[test]
fn what_was_given_up_may_be_what_the_connection_dies_of() {
    let limit = Duration::from_secs(1);
    let mut script = Script::recovering(ClientOptions::new().blocked_timeout(limit));
    let given_up = script.publish("", "q", "deadly");
    script.methods();
    script.send(0, wire::ConnectionBlocked { reason: b"" });
    script.pass(limit);
    assert_matches!(script.result(given_up), Some(Err(Error::OutcomeUnknown(_))));
    script.send(0, wire::ConnectionUnblocked {});
    let innocent = script.publish("", "q", "innocent");
    script.die_of(PUBLISH);
    assert_matches!(script.result(innocent), None);

    let mut script = recovering();
    let called = script.call(limit);
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.pass(limit);
    assert_matches!(script.result(called), Some(Err(Error::NoReply(_))));
    let innocent = script.publish("", "q", "innocent");
    script.die_of(PUBLISH);
    assert_matches!(script.result(innocent), None);
}

const DAY: Duration = Duration::from_secs(86_400);

/// Networks break twice at times.
#[test]
fn a_consumer_that_ran_in_between_has_not_killed_three_connections_in_a_row() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q"));
    for loss in 0..5 {
        script.now += DAY;
        script.lose();
        script.reconnect();
        script.methods();
        script.lose();
        assert!(script.result(consumer).is_none(), "loss {loss}");
        script.reconnect();
        script.methods();
        script.send(2, ChannelOpenOk::default());
        script.send(2, BasicQosOk {});
        consume_ok(&mut script, consumer);
    }
}

#[test]
fn a_queue_that_was_declared_in_between_has_not_killed_three_connections_in_a_row() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q"), "q");
    for loss in 0..5 {
        script.now += DAY;
        script.lose();
        script.reconnect();
        script.methods();
        script.lose();
        script.reconnect();
        let methods = script.methods();
        assert_eq!(
            methods,
            ["2 channel.open", "2 queue.declare"],
            "loss {loss}"
        );
        script.send(2, ChannelOpenOk::default());
        script.send(2, wire_declare_ok("q"));
    }
    let declared = script.declare("q");
    script.methods();
    script.send(2, wire_declare_ok("q"));
    assert_matches!(
        script.result(declared),
        Some(Ok(Outcome::QueueDeclareOk(_)))
    );
}
