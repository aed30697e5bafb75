//! Plain calls, and the channels they go over.

use std::collections::HashMap;

use super::frames::{channel_close, wire_declare, wire_declare_ok};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, ExchangeDeclare, Get, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicConsume, BasicConsumeOk, BasicGet, BasicGetEmpty, BasicQos, BasicQosOk,
    ChannelCloseOk, ChannelFlow, ChannelFlowOk, ChannelOpen, ChannelOpenOk, ConnectionBlocked,
    ConnectionUnblocked, ExchangeDeclareOk, Method,
};

/// A script whose connection allows that many channels, the publisher's included.
fn with_channels(channel_max: u16) -> Script {
    Script::connected_with(ClientOptions::new().channel_max(channel_max))
}

#[test]
fn a_request_opens_its_channel_in_the_same_write() {
    let mut script = Script::connected();
    let declared = script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    assert_matches!(script.result(declared), None);
    let ok = wire::QueueDeclareOk {
        queue: b"a",
        message_count: 3,
        consumer_count: 4,
    };
    script.send(2, ok);
    assert_matches!(
        script.result(declared),
        Some(Ok(Outcome::QueueDeclareOk(ok))) if ok.queue == "a" && ok.message_count == 3 && ok.consumer_count == 4
    );
    script.expect_nothing();
}

#[test]
fn a_channel_is_used_again_after_success() {
    let mut script = Script::connected();
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("a"));
    let second = script.declare("b");
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
    script.send(2, wire_declare_ok("b"));
    assert_matches!(script.result(second), Some(Ok(Outcome::QueueDeclareOk(_))));
}

#[test]
fn requests_under_way_have_a_channel_each() {
    let mut script = Script::connected();
    let promises = ["a", "b", "c"].map(|queue| script.declare(queue));
    for (channel, queue) in [(2, "a"), (3, "b"), (4, "c")] {
        script.expect(channel, ChannelOpen::default());
        script.expect(channel, wire_declare(queue));
    }
    for channel in [4, 2, 3] {
        script.send(channel, ChannelOpenOk::default());
    }
    script.send(4, wire_declare_ok("c"));
    script.send(2, wire_declare_ok("a"));
    assert_matches!(script.result(promises[2]), Some(Ok(_)));
    assert_matches!(script.result(promises[0]), Some(Ok(_)));
    assert_matches!(script.result(promises[1]), None);
    // The channel that was released last comes first.
    script.declare("d");
    script.expect(2, wire_declare("d"));
    script.declare("e");
    script.expect(4, wire_declare("e"));
    script.expect_nothing();
}

#[test]
fn a_refused_declare_fails_only_its_own_promise() {
    let mut script = Script::connected();
    let refused = script.request(Request::QueueDeclare(QueueDeclare::new("a").passive(true)));
    let fine = script.declare("b");
    script.expect(2, ChannelOpen::default());
    script.expect(
        2,
        wire::QueueDeclare {
            passive: true,
            ..wire_declare("a")
        },
    );
    script.expect(3, ChannelOpen::default());
    script.expect(3, wire_declare("b"));
    script.send(2, ChannelOpenOk::default());
    script.send(3, ChannelOpenOk::default());
    let close = wire::ChannelClose {
        class_id: 50,
        method_id: 10,
        ..channel_close(404, "NOT_FOUND - no queue 'a' in vhost '/'")
    };
    script.send(2, close);
    script.expect(2, ChannelCloseOk {});
    script.expect_nothing();
    assert_matches!(
        script.result(refused),
        Some(Err(Error::NotFound(reply))) if reply.method() == Some("queue.declare") && reply.from_broker
    );
    assert_matches!(script.result(fine), None);
    script.send(3, wire_declare_ok("b"));
    assert_matches!(script.result(fine), Some(Ok(_)));
}

#[test]
fn the_number_of_a_closed_channel_is_opened_anew() {
    let mut script = Script::connected();
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(405, "RESOURCE_LOCKED"));
    script.expect(2, ChannelCloseOk {});
    let again = script.declare("b");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("b"));
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("b"));
    assert_matches!(script.result(again), Some(Ok(_)));
}

#[test]
fn an_idle_channel_that_the_broker_closes_leaves_the_pool() {
    let mut script = Script::connected();
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("a"));
    script.send(2, channel_close(406, "PRECONDITION_FAILED - of old"));
    script.expect(2, ChannelCloseOk {});
    script.declare("b");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
}

fn get(script: &mut Script, queue: &str) -> u64 {
    script.request(Request::Get(Get::new(queue)))
}

fn wire_get(queue: &str) -> BasicGet<'_> {
    BasicGet {
        queue: queue.as_bytes(),
        ..Default::default()
    }
}

#[test]
fn requests_beyond_channel_max_wait_their_turn() {
    let mut script = with_channels(3);
    let promises = ["a", "b", "c", "d", "e"].map(|queue| get(&mut script, queue));
    for (channel, queue) in [(2, "a"), (3, "b")] {
        script.expect(channel, ChannelOpen::default());
        script.expect(channel, wire_get(queue));
    }
    script.expect_nothing();
    for channel in [2, 3] {
        script.send(channel, ChannelOpenOk::default());
    }
    script.send(3, BasicGetEmpty::default());
    script.expect(3, wire_get("c"));
    script.expect_nothing();
    // A channel that was closed is one for the next, too.
    script.send(2, channel_close(404, "NOT_FOUND"));
    script.expect(2, ChannelCloseOk {});
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_get("d"));
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicGetEmpty::default());
    script.expect(2, wire_get("e"));
    script.send(2, BasicGetEmpty::default());
    script.send(3, BasicGetEmpty::default());
    assert_matches!(script.result(promises[0]), Some(Err(Error::NotFound(_))));
    for promise in &promises[1..] {
        assert_matches!(script.result(*promise), Some(Ok(_)));
    }
}

/// Declares so many queues, named by their number, at once.
fn declare_many(script: &mut Script, count: usize) -> Vec<u64> {
    (0..count)
        .map(|queue| script.declare(&queue.to_string()))
        .collect()
}

/// Takes the declares out of what the client has written: the queues by their channel.
fn declared_on(script: &mut Script) -> HashMap<u16, Vec<String>> {
    let mut declared: HashMap<u16, Vec<String>> = HashMap::new();
    script.write(usize::MAX);
    while !script.output.is_empty() {
        let frame = script.frame();
        if let Ok(Method::QueueDeclare(declare)) = Method::decode(&frame.payload) {
            let queue = String::from_utf8_lossy(declare.queue).into_owned();
            declared.entry(frame.channel).or_default().push(queue);
        }
    }
    declared
}

#[test]
fn many_calls_share_some_channels_and_get_their_own_replies() {
    let mut script = Script::connected();
    let promises = declare_many(&mut script, 40);
    let declared = declared_on(&mut script);
    assert_eq!(declared.len(), 16);
    for (channel, queues) in declared {
        assert!((2..=3).contains(&queues.len()), "{queues:?}");
        script.send(channel, ChannelOpenOk::default());
        for queue in queues {
            script.send(channel, wire_declare_ok(&queue));
        }
    }
    for (queue, promise) in promises.into_iter().enumerate() {
        assert_matches!(
            script.result(promise),
            Some(Ok(Outcome::QueueDeclareOk(ok))) if *ok.queue == *queue.to_string()
        );
    }
    // All channels are in the pool again.
    script.declare("last");
    assert_eq!(declared_on(&mut script).len(), 1);
}

#[test]
fn an_error_fails_the_call_that_it_belongs_to_and_those_behind_it_are_made_again() {
    let mut script = with_channels(2);
    let promises = declare_many(&mut script, 4);
    script.expect(2, ChannelOpen::default());
    for queue in ["0", "1", "2", "3"] {
        script.expect(2, wire_declare(queue));
    }
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("0"));
    script.send(
        2,
        channel_close(406, "PRECONDITION_FAILED - inequivalent arg"),
    );
    script.expect(2, ChannelCloseOk {});
    assert_matches!(script.result(promises[0]), Some(Ok(_)));
    assert_matches!(
        script.result(promises[1]),
        Some(Err(Error::PreconditionFailed(_)))
    );
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("2"));
    script.expect(2, wire_declare("3"));
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    for queue in ["2", "3"] {
        script.send(2, wire_declare_ok(queue));
    }
    assert_matches!(script.result(promises[2]), Some(Ok(_)));
    assert_matches!(script.result(promises[3]), Some(Ok(_)));
}

#[test]
fn a_call_that_cannot_be_written_leaves_those_it_would_have_joined() {
    let mut script = with_channels(2);
    let first = script.declare("a");
    let long = script.declare(&"q".repeat(256));
    assert_matches!(script.result(long), Some(Err(Error::InvalidArgument(_))));
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.expect_nothing();
    let waits = get(&mut script, "a");
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("a"));
    assert_matches!(script.result(first), Some(Ok(_)));
    script.expect(2, wire_get("a"));
    assert_matches!(script.result(waits), None);
}

#[test]
fn a_channel_takes_only_so_many_calls() {
    let mut script = with_channels(2);
    let promises = declare_many(&mut script, 65);
    assert_eq!(declared_on(&mut script)[&2].len(), 64);
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("0"));
    script.expect(2, wire_declare("64"));
    assert_matches!(script.result(promises[64]), None);
}

#[test]
fn a_reply_that_is_not_the_oldest_calls_breaks_the_protocol() {
    let mut script = with_channels(2);
    script.declare("a");
    script.request(Request::ExchangeDeclare(ExchangeDeclare::fanout("b")));
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    assert_eq!(script.methods(), ["0 connection.close"]);
}

#[test]
fn when_only_consumers_hold_the_channels_nothing_waits_for_one() {
    let mut script = with_channels(2);
    script.consume(Consume::new("work"));
    let waiting = script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, BasicQos::default());
    let consume = BasicConsume {
        queue: b"work",
        consumer_tag: b"2.0.",
        ..Default::default()
    };
    script.expect(2, consume);
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    assert_matches!(script.result(waiting), None);
    script.send(
        2,
        BasicConsumeOk {
            consumer_tag: b"2.0.",
        },
    );
    assert_matches!(script.result(waiting), Some(Err(Error::NoFreeChannel(1))));
    let later = script.declare("b");
    assert_matches!(script.result(later), Some(Err(Error::NoFreeChannel(1))));
    script.expect_nothing();
}

#[test]
fn a_connection_of_one_channel_is_for_publishing_alone() {
    let mut script = with_channels(1);
    let declared = script.declare("a");
    assert_matches!(script.result(declared), Some(Err(Error::NoFreeChannel(0))));
    script.publish("", "a", "b");
    script.expect(1, ChannelOpen::default());
}

#[test]
fn flow_is_answered_and_blocked_is_remembered() {
    let mut script = Script::connected();
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    for active in [false, true] {
        script.send(2, ChannelFlow { active });
        script.expect(2, ChannelFlowOk { active });
    }
    script.send(
        0,
        ConnectionBlocked {
            reason: b"low on memory",
        },
    );
    assert_eq!(script.connection.blocked(), Some("low on memory"));
    script.send(0, ConnectionUnblocked {});
    assert_eq!(script.connection.blocked(), None);
    script.expect_nothing();
}
