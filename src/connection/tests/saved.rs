//! What was under way when a socket was lost, and goes over another one: to another broker, perhaps.

use bytes::Bytes;

use super::frames::{TUNE, channel_close, server_properties, start, wire_declare, wire_declare_ok};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::message::Message;
use crate::types::requests::QueueDeclare;
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicNack, BasicPublish, BasicReturn, ChannelOpen, ChannelOpenOk, ConfirmSelect,
    ConfirmSelectOk, ConnectionOpenOk, ConnectionStart, ConnectionTune, FieldTable, FieldValue,
    PROTOCOL_HEADER, Properties,
};

fn recovering() -> Script {
    Script::recovering(ClientOptions::new())
}

fn open(script: &mut Script) {
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
}

fn ack(script: &mut Script, delivery_tag: u64) {
    let multiple = true;
    script.send(
        1,
        BasicAck {
            delivery_tag,
            multiple,
        },
    );
}

#[track_caller]
fn expect_publish(script: &mut Script, key: &str, properties: &Properties, body: &[u8]) {
    let publish = BasicPublish {
        routing_key: key.as_bytes(),
        ..Default::default()
    };
    script.expect(1, publish);
    script.expect_content(1, properties, body);
}

/// A script whose broker has made a queue with the name "amq.gen-1".
fn with_a_named_queue() -> Script {
    let mut script = recovering();
    let declared = script.request(Request::QueueDeclare(QueueDeclare::server_named()));
    script.methods();
    script.send(2, wire_declare_ok("amq.gen-1"));
    assert_matches!(script.result(declared), Some(Ok(_)));
    script
}

#[test]
fn what_was_under_way_follows_a_queue_that_gets_another_name() {
    let mut script = with_a_named_queue();
    let large = vec![b'x'; 200_000];
    let reply_to = |name: &str| {
        let message = Message::new(large.clone()).reply_to(name).header("k", "v");
        message.message_id("5").persistent()
    };
    let mandatory = Message::new("2").mandatory(true);
    let promises = [
        script.publish("", "amq.gen-1", "1"),
        script.publish("", "amq.gen-1", mandatory),
        script.publish("", "other", reply_to("amq.gen-1")),
        script.publish("x", "amq.gen-1", "4"),
    ];
    script.methods();
    // Twice, so that it is not only the first name that is followed.
    for (old, new) in [("amq.gen-1", "amq.gen-2"), ("amq.gen-2", "amq.gen-3")] {
        script.lose();
        script.reconnect();
        script.expect(2, ChannelOpen::default());
        script.expect(2, wire_declare(""));
        script.send(2, ChannelOpenOk::default());
        script.send(2, wire_declare_ok(new));
        open(&mut script);
        expect_publish(&mut script, new, &Properties::default(), b"1");
        let publish = BasicPublish {
            routing_key: new.as_bytes(),
            mandatory: true,
            ..Default::default()
        };
        script.expect(1, publish);
        let mut marked = Properties::default();
        let mark = FieldValue::I64(promises[1].cast_signed());
        marked.headers.insert("x-puka-delivery-tag", mark);
        script.expect_content(1, &marked, b"2");
        let properties = reply_to(new).properties;
        expect_publish(&mut script, "other", &properties, &large);
        let publish = BasicPublish {
            exchange: b"x",
            routing_key: b"amq.gen-1",
            ..Default::default()
        };
        script.expect(1, publish);
        script.expect_content(1, &Properties::default(), b"4");
        script.expect_nothing();
        assert_ne!(old, new);
    }
    ack(&mut script, 4);
    for promise in promises {
        assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
    }
    assert_eq!(script.connection.buffered(), 0);
}

fn small_frames() -> ConnectionTune {
    ConnectionTune {
        frame_max: 4096,
        ..TUNE
    }
}

#[test]
fn a_broker_with_smaller_frames_gets_smaller_frames() {
    let mut script = recovering();
    let large: Bytes = (0..200_000).map(|index| (index % 251) as u8).collect();
    let headers = Message::new("3").header("k", "v".repeat(5000));
    let promises = [
        script.publish("", "a", "1"),
        script.publish("", "a", large.clone()),
        script.publish("", "a", headers),
        script.publish("", "a", "4"),
    ];
    script.methods();
    let unsent = script.publish("", "a", Message::new("5").header("k", "v".repeat(5000)));
    script.lose();
    script.connection.restart();
    script.connect(small_frames());
    // What no frame can hold fails, and nothing else.
    assert_matches!(
        script.result(promises[2]),
        Some(Err(Error::OutcomeUnknown(cause))) if matches!(*cause, Error::InvalidArgument(_))
    );
    assert_matches!(script.result(unsent), Some(Err(Error::InvalidArgument(_))));
    open(&mut script);
    expect_publish(&mut script, "a", &Properties::default(), b"1");
    let publish = BasicPublish {
        routing_key: b"a",
        ..Default::default()
    };
    script.expect(1, publish);
    script.frame();
    let mut body = Vec::new();
    while body.len() < large.len() {
        let frame = script.frame();
        assert!(frame.payload.len() <= 4096 - 8);
        body.extend_from_slice(&frame.payload);
    }
    assert!(body == large, "another body than was published");
    expect_publish(&mut script, "a", &Properties::default(), b"4");
    script.expect_nothing();
    ack(&mut script, 3);
    for promise in [promises[0], promises[1], promises[3]] {
        assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
    }
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn a_broker_without_confirms_gets_the_messages_that_stand_in_for_them_and_another_does_not() {
    let mut script = recovering();
    let promise = script.publish("", "a", "1");
    script.methods();
    script.lose();
    script.connection.restart();
    script.expect_bytes(PROTOCOL_HEADER);
    let none = FieldTable::new();
    script.send(0, start(&none));
    script.frame();
    script.send(0, TUNE);
    script.methods();
    script.send(0, ConnectionOpenOk::default());
    let out = script.methods();
    assert_eq!(
        out,
        ["1 channel.open", "1 basic.publish", "1 basic.publish"]
    );
    script.lose();
    script.reconnect();
    open(&mut script);
    expect_publish(&mut script, "a", &Properties::default(), b"1");
    script.expect_nothing();
    ack(&mut script, 1);
    assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
}

/// A host that cannot be logged in to is passed over: the next one gets what was under way.
#[test]
fn an_odd_host_among_several_fails_nothing() {
    let properties = server_properties("3.13.7");
    let odd_start = ConnectionStart {
        mechanisms: b"ODD",
        ..start(&properties)
    };
    let odd_tune = ConnectionTune {
        frame_max: 100,
        ..TUNE
    };
    let mut script = recovering();
    let sent = script.publish("", "a", "1");
    script.methods();
    let unsent = script.publish("", "a", "2");
    script.lose();
    let early = script.publish("", "a", "3");
    for is_start in [true, false] {
        script.connection.restart();
        script.expect_bytes(PROTOCOL_HEADER);
        if is_start {
            script.send(0, odd_start);
        } else {
            script.send(0, start(&properties));
            script.frame();
            script.send(0, odd_tune);
        }
        assert!(script.connection.is_suspended());
        script.output.clear();
        for promise in [sent, unsent, early] {
            assert_matches!(script.result(promise), None);
        }
    }
    script.reconnect();
    open(&mut script);
    for body in [b"1", b"2", b"3"] {
        expect_publish(&mut script, "a", &Properties::default(), body);
    }
    ack(&mut script, 3);
    for promise in [sent, unsent, early] {
        assert_matches!(script.result(promise), Some(Ok(Outcome::Published)));
    }
}

/// The first copy may be in its queue, whatever the broker says of the second.
#[test]
fn what_was_published_again_and_refused_is_unknown() {
    let mut script = recovering();
    let again = [
        script.publish("", "full", "1"),
        script.publish("", "a", Message::new("2").mandatory(true)),
        script.publish("bad", "a", "3"),
    ];
    script.methods();
    script.lose();
    script.reconnect();
    let fresh = [
        script.publish("", "full", "4"),
        script.publish("", "a", Message::new("5").mandatory(true)),
    ];
    script.methods();
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    let nack = |delivery_tag| BasicNack {
        delivery_tag,
        ..Default::default()
    };
    let give_back = |script: &mut Script, promise: u64| {
        let mut properties = Properties::default();
        let mark = FieldValue::I64(promise.cast_signed());
        properties.headers.insert("x-puka-delivery-tag", mark);
        script.send_content(1, BasicReturn::default(), &properties, b"");
    };
    script.send(1, nack(1));
    give_back(&mut script, again[1]);
    assert_matches!(
        script.result(again[0]),
        Some(Err(Error::OutcomeUnknown(cause))) if matches!(*cause, Error::Nacked)
    );
    assert_matches!(
        script.result(again[1]),
        Some(Err(Error::OutcomeUnknown(cause))) if matches!(*cause, Error::NoRoute(_))
    );
    let text = "NOT_FOUND - no exchange 'bad' in vhost '/'";
    script.send(1, channel_close(404, text));
    assert_matches!(
        script.result(again[2]),
        Some(Err(Error::OutcomeUnknown(cause))) if matches!(*cause, Error::NotFound(_))
    );
    // What had not been sent before is refused, and no more.
    script.methods();
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    script.send(1, nack(1));
    give_back(&mut script, fresh[1]);
    assert_matches!(script.result(fresh[0]), Some(Err(Error::Nacked)));
    assert_matches!(script.result(fresh[1]), Some(Err(Error::NoRoute(_))));
}

/// Memory is memory, whichever part of a message takes it.
#[test]
fn what_is_held_back_counts_with_its_headers() {
    let headers = || Message::new("").header("k", "v".repeat(60_000));
    let counted = |script: &Script, count: usize| {
        let buffered = script.connection.buffered();
        let least = count * 60_000;
        assert!(
            (least..least + count * 2000).contains(&buffered),
            "{buffered}"
        );
    };
    // Connecting; blocked; between two sockets.
    let mut script = Script::new(ClientOptions::new());
    script.write(usize::MAX);
    (0..10).for_each(|_| _ = script.publish("", "a", headers()));
    counted(&script, 10);
    let mut script = recovering();
    script.send(0, crate::wire::ConnectionBlocked { reason: b"" });
    (0..10).for_each(|_| _ = script.publish("", "a", headers()));
    counted(&script, 10);
    let mut script = recovering();
    (0..10).for_each(|_| _ = script.publish("", "a", headers()));
    counted(&script, 10);
    script.write(usize::MAX);
    script.lose();
    counted(&script, 10);
    (0..10).for_each(|_| _ = script.publish("", "a", headers()));
    counted(&script, 20);
    // A message of nothing is not nothing.
    let mut script = Script::new(ClientOptions::new());
    script.write(usize::MAX);
    (0..1000).for_each(|_| _ = script.publish("", "", ""));
    assert!(script.connection.buffered() >= 100_000);
}
