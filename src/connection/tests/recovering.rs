//! Set-ups of tests of what goes over to another socket.

use super::frames::wire_declare_ok;
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::recovery::{ConnectionEvent, Restored};
use crate::types::requests::{Consume, QueueBind, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicConsumeOk, BasicDeliver, BasicPublish, BasicQosOk, ChannelOpen, ChannelOpenOk,
    ConfirmSelect, ConfirmSelectOk, Properties,
};

pub(super) fn recovering() -> Script {
    Script::recovering(ClientOptions::new())
}

pub(super) fn ack(tag: u64, multiple: bool) -> BasicAck {
    BasicAck {
        delivery_tag: tag,
        multiple,
    }
}

#[track_caller]
pub(super) fn expect_publish(script: &mut Script, routing_key: &str, body: &[u8]) {
    let publish = BasicPublish {
        routing_key: routing_key.as_bytes(),
        ..Default::default()
    };
    script.expect(1, publish);
    script.expect_content(1, &Properties::default(), body);
}

#[track_caller]
pub(super) fn expect_publisher(script: &mut Script) {
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
}

pub(super) fn send_publisher(script: &mut Script) {
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
}

/// What the program is told after a reconnection.
#[track_caller]
pub(super) fn restored(script: &mut Script) -> Restored {
    match script.changes.pop() {
        Some(ConnectionEvent::Restored(restored)) => restored,
        other => panic!("{other:?}"),
    }
}

pub(super) fn declare(script: &mut Script, queue: QueueDeclare, name: &str) {
    let channel = 2;
    let promise = script.request(Request::QueueDeclare(queue));
    script.methods();
    script.send(channel, wire_declare_ok(name));
    assert_matches!(script.result(promise), Some(Ok(Outcome::QueueDeclareOk(_))));
}

pub(super) fn consume(script: &mut Script, request: Consume) -> u64 {
    let consumer = script.consume(request);
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(script, consumer);
    consumer
}

pub(super) fn consume_ok(script: &mut Script, consumer: u64) {
    let tag = format!("{consumer}.0.");
    script.send(
        2,
        BasicConsumeOk {
            consumer_tag: tag.as_bytes(),
        },
    );
}

pub(super) fn stream_delivery(script: &mut Script, consumer: u64, tag: u64, offset: i64) {
    let consumer_tag = format!("{consumer}.0.");
    let deliver = BasicDeliver {
        consumer_tag: consumer_tag.as_bytes(),
        delivery_tag: tag,
        ..Default::default()
    };
    let mut properties = Properties::default();
    properties.headers.insert("x-stream-offset", offset);
    script.send_content(2, deliver, &properties, b"");
}

pub(super) fn bind(queue: &str) -> QueueBind {
    QueueBind::new(queue, "x").routing_key("k")
}
