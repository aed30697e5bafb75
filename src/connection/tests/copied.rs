//! Queues whose messages look like a stream's: they are copied from one.

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{ack, consume, consume_ok, declare, recovering, stream_delivery};
use super::script::Script;
use crate::types::requests::{Consume, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicDeliver, BasicQosOk, ChannelCloseOk, ChannelOpen, ChannelOpenOk, FieldTable,
    FieldValue, Properties,
};

fn consumer(script: &mut Script) -> u64 {
    consume(script, Consume::new("s").prefetch_count(9))
}

fn copy(script: &mut Script, consumer: u64, tag: u64, offset: impl Into<FieldValue>) {
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

#[track_caller]
fn expect_start(script: &mut Script, consumer: u64, arguments: &FieldTable) {
    script.expect(2, ChannelOpen::default());
    script.frame();
    let tag = format!("{consumer}.0.");
    let consume = wire::BasicConsume {
        queue: b"s",
        consumer_tag: tag.as_bytes(),
        arguments: arguments.encoded(),
        ..Default::default()
    };
    script.expect(2, consume);
}

fn cancel(script: &mut Script, consumer: u64) {
    script.cancel(consumer);
    script.methods();
    let tag = format!("{consumer}.0.");
    let consumer_tag = tag.as_bytes();
    script.send(2, wire::BasicCancelOk { consumer_tag });
}

#[test]
fn an_offset_that_the_broker_refuses_is_not_asked_for_again() {
    let mut script = recovering();
    let consumer = consumer(&mut script);
    for tag in 1..=2 {
        stream_delivery(&mut script, consumer, tag, 6 + tag.cast_signed());
    }
    script.methods();
    script.lose();
    script.reconnect();
    let guess = FieldTable::new().with("x-stream-offset", 7_i64);
    expect_start(&mut script, consumer, &guess);
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    script.send(2, channel_close(406, "no replica of the queue"));
    // That may be a stream, and the next word may be another.
    script.expect(2, ChannelCloseOk {});
    script.expect_nothing();
    script.pass(std::time::Duration::from_secs(1));
    expect_start(&mut script, consumer, &guess);
    script.send(2, ChannelOpenOk::default());
    script.send(2, channel_close(406, "invalid arg 'x-stream-offset'"));
    script.expect(2, ChannelCloseOk {});
    // At once.
    expect_start(&mut script, consumer, &FieldTable::new());
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, consumer);
    assert_matches!(script.result(consumer), None);
    assert!(script.connection.is_open());
}

#[test]
fn a_queue_where_the_offset_is_not_a_streams_has_its_prefetch_widened() {
    let copies: [fn(&mut Script, u64); 5] = [
        |script, consumer| copy(script, consumer, 1, 17_i64),
        |script, consumer| copy(script, consumer, 1, 17_i32),
        |script, consumer| copy(script, consumer, 1, "17"),
        |script, consumer| {
            copy(script, consumer, 1, 17_i64);
            copy(script, consumer, 2, 17_i64);
        },
        |script, consumer| {
            copy(script, consumer, 1, 17_i64);
            copy(script, consumer, 2, 18_i64);
            script.deliver(2, &format!("{consumer}.0."), 3, "plain");
        },
    ];
    for copy in copies {
        let mut script = recovering();
        let consumer = consumer(&mut script);
        copy(&mut script, consumer);
        let widened = script.qos(consumer, 20);
        assert_matches!(script.result(widened), None);
        assert_eq!(
            script.methods(),
            ["2 basic.qos", "2 basic.consume", "2 basic.cancel"]
        );
    }
}

/// What a stream keeps, any other queue would lose.
#[test]
fn what_only_looks_like_a_stream_is_never_acknowledged_for_the_program() {
    let mut script = recovering();
    let one = consumer(&mut script);
    for tag in 1..=2 {
        stream_delivery(&mut script, one, tag, 6 + tag.cast_signed());
    }
    cancel(&mut script, one);
    assert_eq!(script.methods(), ["2 basic.nack"]);

    let mut script = recovering();
    let one = consumer(&mut script);
    stream_delivery(&mut script, one, 1, 7);
    let recovered = script.recover(one);
    assert_eq!(script.methods(), ["2 basic.recover"]);
    script.send(2, wire::BasicRecoverOk {});
    assert_matches!(script.result(recovered), Some(Ok(Outcome::Done)));
}

#[test]
fn a_queue_that_was_declared_as_a_stream_is_one_and_one_that_cannot_be_is_none() {
    let declared = QueueDeclare::new("s").durable(true);
    let stream = declared.clone().argument("x-queue-type", "stream");
    let mut script = recovering();
    declare(&mut script, stream, "s");
    let one = consumer(&mut script);
    stream_delivery(&mut script, one, 1, 7);
    cancel(&mut script, one);
    script.expect(2, ack(1, false));

    let others = [
        declared.argument("x-queue-type", "quorum"),
        QueueDeclare::new("s"),
    ];
    for other in others {
        let mut script = recovering();
        declare(&mut script, other, "s");
        let one = consumer(&mut script);
        stream_delivery(&mut script, one, 1, 7);
        stream_delivery(&mut script, one, 2, 8);
        script.methods();
        script.lose();
        script.reconnect();
        script.methods();
        script.send(2, ChannelOpenOk::default());
        script.send(2, wire_declare_ok("s"));
        script.frame();
        let tag = format!("{one}.0.");
        let consume = wire::BasicConsume {
            queue: b"s",
            consumer_tag: tag.as_bytes(),
            ..Default::default()
        };
        script.expect(2, consume);
    }
}
