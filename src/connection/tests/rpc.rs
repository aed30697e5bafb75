//! Plain calls, and the channels they go over.

use std::collections::HashMap;

use super::script::{
    CONNECT, Script, TUNE, channel_close, server_properties, start, wire_declare, wire_declare_ok,
};
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{
    Consume, ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind,
    QueueDeclare, QueueDelete,
};
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicAck, BasicConsume, BasicConsumeOk, BasicGet, BasicGetEmpty, BasicPublish, BasicQos,
    BasicQosOk, ChannelCloseOk, ChannelFlow, ChannelFlowOk, ChannelOpen, ChannelOpenOk,
    ConfirmSelect, ConfirmSelectOk, ConnectionBlocked, ConnectionOpen, ConnectionOpenOk,
    ConnectionTuneOk, ConnectionUnblocked, ExchangeDeclareOk, FieldTable, FieldValue, Method,
    PROTOCOL_HEADER, Properties,
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
fn requests_before_the_connection_is_open_wait_for_it() {
    let mut script = Script::new(ClientOptions::new());
    let declared = script.declare("a");
    script.expect_bytes(PROTOCOL_HEADER);
    script.expect_nothing();
    script.send(0, start(&server_properties("3.13.7")));
    script.frame();
    script.send(0, TUNE);
    script.expect(
        0,
        ConnectionTuneOk {
            heartbeat: 0,
            ..tune_ok()
        },
    );
    script.expect(
        0,
        ConnectionOpen {
            virtual_host: b"/",
            ..Default::default()
        },
    );
    script.expect_nothing();
    script.send(0, ConnectionOpenOk::default());
    assert_matches!(script.result(CONNECT), Some(Ok(_)));
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.expect_nothing();
    assert_matches!(script.result(declared), None);
}

#[test]
fn publishes_before_the_connection_is_open_wait_for_it() {
    let mut script = Script::new(ClientOptions::new());
    let published = script.publish("", "a", "hello");
    assert!(script.connection.buffered() > PROTOCOL_HEADER.len() + 5);
    script.connect(TUNE);
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
    script.expect(
        1,
        BasicPublish {
            routing_key: b"a",
            ..Default::default()
        },
    );
    script.expect_content(1, &Properties::default(), b"hello");
    script.expect_nothing();
    assert_matches!(script.result(published), None);
}

#[test]
fn what_was_asked_before_a_publish_is_written_before_it() {
    let mut script = Script::new(ClientOptions::new());
    script.declare("a");
    script.publish("", "a", "hello");
    script.connect(TUNE);
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.expect(1, ChannelOpen::default());
}

fn tune_ok() -> ConnectionTuneOk {
    ConnectionTuneOk {
        channel_max: TUNE.channel_max,
        frame_max: TUNE.frame_max,
        heartbeat: TUNE.heartbeat,
    }
}

#[test]
fn empty_queue_names_are_refused() {
    let mut script = Script::connected();
    let no_queue = ConsumeMulti::new(Vec::<Consume>::new());
    for request in [
        Request::QueueDelete(QueueDelete::new("")),
        Request::QueuePurge("".into()),
        Request::QueueBind(QueueBind::new("", "logs")),
        Request::QueueUnbind(QueueBind::new("", "logs")),
        Request::Get(Get::new("")),
        Request::Consume(Consume::new("").into()),
        Request::Consume(ConsumeMulti::new(["a", ""])),
        Request::Consume(no_queue),
    ] {
        let refused = script.request(request);
        assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    }
    script.expect_nothing();
    // But the broker may be asked for a name.
    script.request(Request::QueueDeclare(QueueDeclare::server_named()));
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare(""));
}

#[test]
fn names_over_255_bytes_are_refused_and_nothing_is_written() {
    let long = "n".repeat(256);
    let long = long.as_str();
    let mut script = Script::connected();
    for request in [
        Request::QueueDeclare(QueueDeclare::new(long)),
        Request::QueueDeclare(QueueDeclare::new("a").argument(long, 1)),
        Request::QueueDelete(QueueDelete::new(long)),
        Request::QueuePurge(long.into()),
        Request::QueueBind(QueueBind::new("a", "b").routing_key(long)),
        Request::QueueUnbind(QueueBind::new("a", long)),
        Request::ExchangeDeclare(ExchangeDeclare::with_kind("a", long)),
        Request::ExchangeDelete(ExchangeDelete::new(long)),
        Request::ExchangeBind(ExchangeBind::new("a", long)),
        Request::ExchangeUnbind(ExchangeBind::new(long, "a")),
        Request::Get(Get::new(long)),
        Request::Consume(Consume::new(long).into()),
        Request::Consume(ConsumeMulti::new(["a", long])),
        Request::Consume(Consume::new("a").consumer_tag(long).into()),
    ] {
        let refused = script.request(request);
        assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
        script.expect_nothing();
    }
    let refused = script.publish("", long, "a");
    assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    // The channel that none of them took is there for the next, and 255 bytes are fine.
    let longest = &long[1..];
    script.declare(longest);
    script.publish("", longest, "a");
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare(longest));
    script.expect(
        1,
        BasicPublish {
            routing_key: longest.as_bytes(),
            ..Default::default()
        },
    );
}

#[test]
fn a_name_too_long_on_a_channel_of_the_pool_leaves_it_there() {
    let mut script = Script::connected();
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("a"));
    let refused = script.declare(&"n".repeat(256));
    assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    script.declare("b");
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
}

#[test]
fn a_request_that_no_frame_can_hold_is_refused() {
    let mut script = Script::connected_with(ClientOptions::new().frame_max(4096));
    let large = QueueDeclare::new("a").argument("x", "y".repeat(4100));
    let refused = script.request(Request::QueueDeclare(large));
    assert_matches!(
        script.result(refused),
        Some(Err(Error::InvalidArgument(text))) if text.contains("4096")
    );
    script.expect_nothing();
    // 4096 bytes are not too many: 8 of the frame, 4 of the method's numbers, 2 reserved, 2 of the name, 1 of flags,
    // 4 of the table's size, 7 of the entry beside its text.
    let fits = QueueDeclare::new("a").argument("x", "y".repeat(4096 - 28));
    script.request(Request::QueueDeclare(fits));
    script.expect(2, ChannelOpen::default());
    assert_eq!(script.frame().payload.len() + 8, 4096);
}

#[test]
fn every_call_has_its_method_and_its_reply() {
    let mut script = Script::connected();
    let arguments = FieldTable::new().with("k", FieldValue::I32(1));
    let mut is_new = true;
    let mut call = |request: Request, method: wire::Method<'_>, reply: wire::Method<'_>| {
        let promise = script.request(request);
        if std::mem::take(&mut is_new) {
            script.expect(2, ChannelOpen::default());
            script.send(2, ChannelOpenOk::default());
        }
        script.expect(2, method);
        script.expect_nothing();
        script.send(2, reply);
        script.result(promise)
    };

    let declare = QueueDeclare::new("q")
        .durable(true)
        .exclusive(true)
        .auto_delete(true);
    let declared = call(
        Request::QueueDeclare(declare.argument("k", FieldValue::I32(1))),
        wire::Method::QueueDeclare(wire::QueueDeclare {
            durable: true,
            exclusive: true,
            auto_delete: true,
            arguments: arguments.encoded(),
            ..wire_declare("q")
        }),
        wire::Method::QueueDeclareOk(wire_declare_ok("q")),
    );
    assert_matches!(declared, Some(Ok(Outcome::QueueDeclareOk(_))));

    let binding = QueueBind::new("q", "x")
        .routing_key("r")
        .argument("k", FieldValue::I32(1));
    let bound = call(
        Request::QueueBind(binding.clone()),
        wire::Method::QueueBind(wire::QueueBind {
            queue: b"q",
            exchange: b"x",
            routing_key: b"r",
            arguments: arguments.encoded(),
            ..Default::default()
        }),
        wire::Method::QueueBindOk(wire::QueueBindOk {}),
    );
    assert_matches!(bound, Some(Ok(Outcome::Done)));
    let unbound = call(
        Request::QueueUnbind(binding),
        wire::Method::QueueUnbind(wire::QueueUnbind {
            queue: b"q",
            exchange: b"x",
            routing_key: b"r",
            arguments: arguments.encoded(),
            ..Default::default()
        }),
        wire::Method::QueueUnbindOk(wire::QueueUnbindOk {}),
    );
    assert_matches!(unbound, Some(Ok(Outcome::Done)));

    let purged = call(
        Request::QueuePurge("q".into()),
        wire::Method::QueuePurge(wire::QueuePurge {
            queue: b"q",
            ..Default::default()
        }),
        wire::Method::QueuePurgeOk(wire::QueuePurgeOk { message_count: 5 }),
    );
    assert_matches!(purged, Some(Ok(Outcome::MessageCount(5))));
    let deleted = call(
        Request::QueueDelete(QueueDelete::new("q").if_unused(true).if_empty(true)),
        wire::Method::QueueDelete(wire::QueueDelete {
            queue: b"q",
            if_unused: true,
            if_empty: true,
            ..Default::default()
        }),
        wire::Method::QueueDeleteOk(wire::QueueDeleteOk { message_count: 6 }),
    );
    assert_matches!(deleted, Some(Ok(Outcome::MessageCount(6))));

    let declare = ExchangeDeclare::topic("x")
        .durable(true)
        .auto_delete(true)
        .internal(true);
    let declared = call(
        Request::ExchangeDeclare(declare.passive(true).argument("k", FieldValue::I32(1))),
        wire::Method::ExchangeDeclare(wire::ExchangeDeclare {
            exchange: b"x",
            kind: b"topic",
            passive: true,
            durable: true,
            auto_delete: true,
            internal: true,
            arguments: arguments.encoded(),
            ..Default::default()
        }),
        wire::Method::ExchangeDeclareOk(wire::ExchangeDeclareOk {}),
    );
    assert_matches!(declared, Some(Ok(Outcome::Done)));
    let binding = ExchangeBind::new("to", "from").routing_key("r");
    let bound = call(
        Request::ExchangeBind(binding.clone()),
        wire::Method::ExchangeBind(wire::ExchangeBind {
            destination: b"to",
            source: b"from",
            routing_key: b"r",
            ..Default::default()
        }),
        wire::Method::ExchangeBindOk(wire::ExchangeBindOk {}),
    );
    assert_matches!(bound, Some(Ok(Outcome::Done)));
    let unbound = call(
        Request::ExchangeUnbind(binding),
        wire::Method::ExchangeUnbind(wire::ExchangeUnbind {
            destination: b"to",
            source: b"from",
            routing_key: b"r",
            ..Default::default()
        }),
        wire::Method::ExchangeUnbindOk(wire::ExchangeUnbindOk {}),
    );
    assert_matches!(unbound, Some(Ok(Outcome::Done)));
    let deleted = call(
        Request::ExchangeDelete(ExchangeDelete::new("x").if_unused(true)),
        wire::Method::ExchangeDelete(wire::ExchangeDelete {
            exchange: b"x",
            if_unused: true,
            ..Default::default()
        }),
        wire::Method::ExchangeDeleteOk(wire::ExchangeDeleteOk {}),
    );
    assert_matches!(deleted, Some(Ok(Outcome::Done)));
}

/// A broker may refuse it, but a client that says more than its program has a 406 for the queue of any other client.
#[test]
fn a_queue_is_durable_if_the_program_says_so_whatever_the_broker() {
    for version in ["3.10.8", "4.2.9", "4.3.0", "5.0.0-rc.1", "odd"] {
        let mut script = Script::new(ClientOptions::new());
        script.expect_bytes(PROTOCOL_HEADER);
        script.send(0, start(&server_properties(version)));
        script.frame();
        script.send(0, TUNE);
        script.frame();
        script.frame();
        script.send(0, ConnectionOpenOk::default());
        let said = QueueDeclare::new("a").durable(true);
        for (channel, declare) in [(2, QueueDeclare::new("a")), (3, said)] {
            let durable = channel == 3;
            script.request(Request::QueueDeclare(declare));
            script.expect(channel, ChannelOpen::default());
            let expected = wire::QueueDeclare {
                durable,
                ..wire_declare("a")
            };
            script.expect(channel, expected);
        }
    }
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

#[test]
fn a_publish_from_before_the_opening_needs_no_channel_of_the_pool() {
    let mut script = Script::new(ClientOptions::new().channel_max(2));
    script.consume(Consume::new("work"));
    let held = script.declare("a");
    let published = script.publish("", "a", "hello");
    script.connect(TUNE);
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    script.send(
        2,
        BasicConsumeOk {
            consumer_tag: b"2.0.",
        },
    );
    assert_matches!(script.result(held), Some(Err(Error::NoFreeChannel(1))));
    assert_matches!(script.result(published), None);
    script.write(usize::MAX);
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    script.send(
        1,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    assert_matches!(script.result(published), Some(Ok(Outcome::Published)));
}

#[test]
fn publishes_from_before_the_opening_are_not_overtaken() {
    let mut script = Script::new(ClientOptions::new().channel_max(2));
    script.declare("a");
    script.declare("b");
    script.publish("", "first", "");
    script.connect(TUNE);
    script.publish("", "second", "");
    script.write(usize::MAX);
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("a"));
    let mut published = Vec::new();
    while published.len() < 2 {
        let frame = script.frame();
        if let Ok(wire::Method::BasicPublish(publish)) = wire::Method::decode(&frame.payload) {
            published.push(String::from_utf8(publish.routing_key.to_vec()).unwrap());
        }
    }
    assert_eq!(published, ["first", "second"]);
}
