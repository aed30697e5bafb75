//! What is asked for before the connection is open.

use super::frames::{TUNE, server_properties, start, wire_declare, wire_declare_ok};
use super::script::{CONNECT, Script};
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::requests::Consume;
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicAck, BasicConsumeOk, BasicPublish, BasicQosOk, ChannelOpen, ChannelOpenOk,
    ConfirmSelect, ConfirmSelectOk, ConnectionOpen, ConnectionOpenOk, ConnectionTuneOk,
    PROTOCOL_HEADER, Properties,
};

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
