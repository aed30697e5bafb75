//! A careful connection: whose turn it is.

use std::time::Duration;

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{consume, consume_ok, declare, recovering};
use super::script::Script;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, Get, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{BasicAck, BasicConsumeOk, BasicQosOk, ChannelOpenOk, Method, QueueDeclareOk};

const DECLARE: (u16, u16) = (50, 10);
const CONSUME: (u16, u16) = (60, 20);
const PUBLISH: (u16, u16) = (60, 40);

const HOUR: Duration = Duration::from_secs(3600);

/// Two publishes of which either may have been it.
fn suspect_publishes() -> (Script, [u64; 2]) {
    let mut script = recovering();
    let published = ["1", "2"].map(|body| script.publish("", "q", body));
    script.die_of(PUBLISH);
    (script, published)
}

fn get(script: &mut Script) -> u64 {
    script.request(Request::Get(Get::new("other")))
}

/// The program looks into a queue all the time, and so it does when the connection dies.
#[test]
fn a_deadly_publish_in_a_busy_program_is_found() {
    for is_busy in [false, true] {
        let mut script = recovering();
        let deadly = script.publish("", "q", "deadly");
        let mut deaths = 0;
        while script.result(deadly).is_none() {
            deaths += 1;
            assert!(deaths < 15, "{is_busy}");
            script.methods();
            // Without a word, at once.
            script.lose();
            script.reconnect();
            if is_busy {
                get(&mut script);
            }
            let mut was_sent = false;
            script.serve(|script, _, method| {
                let is_it = matches!(method, Method::BasicPublish(_));
                was_sent |= is_it;
                if is_it && is_busy {
                    get(script);
                }
                // It has come to the publish, and handles nothing more.
                was_sent
            });
        }
    }
}

#[test]
fn a_call_that_takes_an_hour_keeps_no_connection_careful() {
    let mut script = recovering();
    let declared = ["a", "b"].map(|queue| script.declare(queue));
    script.die_of(DECLARE);
    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 queue.declare"]);
    let called = script.call(HOUR);
    let published = script.publish("", "q", "1");
    script.send(2, ChannelOpenOk::default());
    for name in ["a", "b"] {
        script.send(2, wire_declare_ok(name));
    }
    assert!(script.methods().contains(&"1 basic.publish".into()));
    for promise in declared {
        assert_matches!(script.result(promise), Some(Ok(_)));
    }
    for promise in [called, published] {
        assert_matches!(script.result(promise), None);
    }
}

/// Publishes wait for a queue, so the connection stays a careful one, on which a call goes out.
#[test]
fn a_call_has_its_turn_when_the_broker_has_handled_its_message() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("down"), "down");
    let published = ["1", "2"].map(|body| script.publish("", "down", body));
    script.die_of(PUBLISH);
    script.reconnect();
    let mut is_down = true;
    let mut word = |script: &mut Script, channel: u16, method: &Method<'_>| {
        let refuses = is_down && matches!(method, Method::QueueDeclare(_));
        if refuses {
            script.send(channel, channel_close(404, "NOT_FOUND - not yet"));
            is_down = false;
        }
        refuses
    };
    script.serve(&mut word);
    assert!(script.connection.is_open());
    let called = script.call(HOUR);
    script.serve(&mut word);
    let got = get(&mut script);
    script.serve(&mut word);
    assert_matches!(script.result(got), Some(Ok(Outcome::Got(None))));
    script.live(Duration::from_secs(1));
    let mut sent = 0;
    script.serve(|script, _, method| {
        if matches!(method, Method::BasicPublish(_)) {
            sent += 1;
            let ack = BasicAck {
                delivery_tag: sent,
                multiple: false,
            };
            script.send(1, ack);
        }
        false
    });
    for promise in published {
        assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
    }
    assert_matches!(script.result(called), None);
    assert!(!script.connection.publishes_wait());
}

#[test]
fn a_publish_that_is_suspect_goes_before_a_call_of_now() {
    let (mut script, published) = suspect_publishes();
    script.call(HOUR);
    script.reconnect();
    assert!(script.methods().contains(&"1 basic.publish".into()));
    for promise in published {
        assert_matches!(script.result(promise), None);
    }
}

/// Two threads, say: each asks as soon as it has its answer, and there is always one that is under way.
#[test]
fn requests_of_now_starve_no_suspect() {
    let (mut script, _) = suspect_publishes();
    for _ in 0..2 {
        get(&mut script);
    }
    script.reconnect();
    let (mut publishes, mut asked) = (0, 0);
    script.serve(|script, _, method| {
        match method {
            Method::BasicPublish(_) => publishes += 1,
            Method::BasicGet(_) if asked < 100 && publishes < 2 => {
                asked += 1;
                get(script);
            }
            _ => {}
        }
        false
    });
    assert_eq!(publishes, 2);
    assert!(asked < 100);
}

/// What hangs at the broker does not hang all the rest.
#[test]
fn a_turn_does_not_last_for_ever() {
    let mut script = recovering();
    let declared = ["hangs", "a"].map(|queue| script.declare(queue));
    script.die_of(DECLARE);
    script.reconnect();
    let published = script.publish("", "a", "1");
    script.serve(
        |_, _, method| matches!(method, Method::QueueDeclare(declare) if declare.queue == b"hangs"),
    );
    assert_matches!(script.result(declared[1]), None);
    script.live(Duration::from_secs(30));
    script.serve(|_, _, _| false);
    assert_matches!(script.result(declared[1]), Some(Ok(_)));
    script.live(Duration::from_secs(30));
    assert!(!script.connection.publishes_wait());
    for promise in [declared[0], published] {
        assert_matches!(script.result(promise), None);
    }
}

/// Else the timer of a turn would be due for ever, while the next connection is made, or while this one is closed.
#[test]
fn a_turn_ends_with_its_connection() {
    for closes in [false, true] {
        let (mut script, _) = suspect_publishes();
        script.reconnect();
        assert!(script.methods().contains(&"1 basic.publish".into()));
        if closes {
            script.close();
        } else {
            script.disconnect(crate::types::error::Disconnect::BrokerSilent(HOUR));
            script.connection.restart();
        }
        script.live(Duration::from_secs(30));
        let due = script.connection.poll_timeout();
        assert!(due.is_none_or(|due| due > script.now), "{closes}");
    }
}

/// Two queues of before, of which either may have been it; the first cannot be had yet.
#[test]
fn a_declaration_that_waits_for_its_turn_is_not_forgotten() {
    let mut script = recovering();
    for queue in ["s1", "s2"] {
        declare(&mut script, QueueDeclare::new(queue), queue);
    }
    let consumer = consume(&mut script, Consume::new("other"));
    let published = script.publish("", "s1", "1");
    script.lose();
    script.reconnect();
    script.die_of(DECLARE);
    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 queue.declare"]);
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(404, "NOT_FOUND - down"));
    let methods = script.methods();
    assert_eq!(methods[1..], ["2 channel.open", "2 queue.declare"]);
    script.send(2, ChannelOpenOk::default());
    // It is time to try the first one again, and the second one is under way.
    script.live(Duration::from_secs(1));
    script.expect_nothing();
    script.send(2, wire_declare_ok("s2"));
    script.call(Duration::from_secs(10));
    let mut declared = false;
    for _ in 0..20 {
        script.live(Duration::from_secs(1));
        script.serve(|script, channel, method| {
            if let Method::QueueDeclare(declare) = method {
                assert_eq!(declare.queue, b"s1");
                declared = true;
                let ok = QueueDeclareOk {
                    queue: b"s1",
                    ..Default::default()
                };
                script.send(channel, ok);
                return true;
            }
            // Nor is the consumer's queue there yet.
            let refuses =
                !declared && matches!(method, Method::BasicConsume(consume) if !consume.no_wait);
            if refuses {
                script.send(channel, channel_close(404, "NOT_FOUND - down, too"));
            }
            refuses
        });
    }
    assert!(declared && !script.connection.publishes_wait());
    for promise in [consumer, published] {
        assert_matches!(script.result(promise), None);
    }
}

#[test]
fn a_suspect_consumer_whose_queue_is_not_there_yet_is_tried_again_beside_a_call() {
    let mut script = recovering();
    let consumers = ["a", "b"].map(|queue| script.consume(Consume::new(queue)));
    script.methods();
    for (channel, consumer) in (2..).zip(consumers) {
        script.send(channel, ChannelOpenOk::default());
        script.send(channel, BasicQosOk {});
        let tag = format!("{consumer}.0.");
        let consumer_tag = tag.as_bytes();
        script.send(channel, BasicConsumeOk { consumer_tag });
    }
    script.lose();
    script.reconnect();
    script.die_of(CONSUME);
    script.reconnect();
    let start = ["2 channel.open", "2 basic.qos", "2 basic.consume"];
    assert_eq!(script.methods(), start);
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    script.send(2, channel_close(404, "NOT_FOUND - down"));
    assert_eq!(script.methods()[1..], start);
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    script.call(HOUR);
    consume_ok(&mut script, consumers[1]);
    assert!(script.methods().contains(&"3 basic.publish".into()));
    script.live(Duration::from_secs(1));
    let methods = script.methods();
    assert!(
        methods
            .iter()
            .any(|method| method.ends_with("basic.consume")),
        "{methods:?}"
    );
    assert_matches!(script.result(consumers[0]), None);
}

/// A consumer that ends a turn with an error is over, and the next one has its turn.
#[test]
fn an_answer_that_is_a_refusal_ends_a_turn_too() {
    let mut script = recovering();
    let declared = ["a", "b"].map(|queue| script.declare(queue));
    script.die_of(DECLARE);
    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 queue.declare"]);
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(406, "PRECONDITION_FAILED - a"));
    let result = script.result(declared[0]);
    assert_matches!(result, Some(Err(Error::PreconditionFailed(_))));
    let methods = script.methods();
    assert_eq!(methods[1..], ["2 channel.open", "2 queue.declare"]);
}
