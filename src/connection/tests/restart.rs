//! Consumers from one socket to the next.

use std::time::Duration;

use super::frames::channel_close;
use super::recovering::{ack, consume, consume_ok, recovering, stream_delivery};
use super::script::Script;
use crate::types::error::Error;
use crate::types::requests::{Consume, ConsumeMulti};
use crate::types::results::CancelledBy;
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicCancel, BasicCancelOk, BasicConsumeOk, BasicNack, BasicQosOk, ChannelOpenOk,
    FRAME_METHOD, FieldTable, Method, split_frame,
};

/// What the client writes to start a consumer is `basic.consume` with these arguments.
#[track_caller]
fn expect_consume(script: &mut Script, consumer: u64, arguments: &wire::FieldTable) {
    script.frame();
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

/// A stream that was not asked for an offset begins with what comes next: after a loss that would be a gap.
#[test]
fn a_stream_is_known_by_its_deliveries() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("s").prefetch_count(9));
    for tag in 1..=2 {
        stream_delivery(&mut script, consumer, tag, 6 + tag.cast_signed());
    }
    let deliveries = script.deliveries(consumer);
    script.ack(&deliveries[0]).unwrap();
    script.methods();
    // Nor can it be replaced without a gap.
    let widened = script.qos(consumer, 20);
    assert_matches!(script.result(widened), Some(Err(Error::InvalidArgument(_))));
    script.expect_nothing();
    script.lose();
    script.reconnect();
    let arguments = wire::FieldTable::new().with("x-stream-offset", 8_i64);
    expect_consume(&mut script, consumer, &arguments);
}

#[test]
fn a_queue_that_is_no_stream_stays_none_and_may_be_one_after_a_loss() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("s").prefetch_count(9));
    script.deliver(2, &format!("{consumer}.0."), 1, "plain");
    stream_delivery(&mut script, consumer, 2, 5);
    script.methods();
    script.lose();
    script.reconnect();
    expect_consume(&mut script, consumer, &wire::FieldTable::new());
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, consumer);
    stream_delivery(&mut script, consumer, 1, 7);
    script.lose();
    script.reconnect();
    let arguments = wire::FieldTable::new().with("x-stream-offset", 7_i64);
    expect_consume(&mut script, consumer, &arguments);
}

/// RabbitMQ 3.10 says it twice when the leader of a quorum queue restarts.
#[test]
fn a_consume_ok_that_comes_twice_does_no_harm() {
    let mut script = Script::connected();
    let consumer = consume(&mut script, Consume::new("q"));
    consume_ok(&mut script, consumer);
    assert!(script.connection.is_open());
    // Nor does it count for another consumer that is starting.
    let other = script.qos(consumer, 5);
    script.methods();
    consume_ok(&mut script, consumer);
    script.send(2, BasicQosOk {});
    let cancelled = script.cancel(consumer);
    script.expect_nothing();
    let tag = format!("{consumer}.0.~1");
    script.send(
        2,
        BasicConsumeOk {
            consumer_tag: tag.as_bytes(),
        },
    );
    assert_eq!(script.methods(), ["2 basic.cancel"]);
    for tag in [format!("{consumer}.0."), tag] {
        let ok = wire::BasicCancelOk {
            consumer_tag: tag.as_bytes(),
        };
        script.send(2, ok);
    }
    assert_matches!(script.result(other), Some(Ok(Outcome::Done)));
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
    // And when it is over.
    consume_ok(&mut script, consumer);
    assert!(script.connection.is_open());
}

#[test]
fn a_consumer_without_a_channel_can_be_cancelled_and_has_nothing_to_recover() {
    let mut script = recovering();
    let suspended = consume(&mut script, Consume::new("q"));
    script.lose();
    let waiting = script.consume(Consume::new("q"));
    for consumer in [suspended, waiting] {
        let recovered = script.recover(consumer);
        assert_matches!(script.result(recovered), Some(Ok(Outcome::Done)));
        let cancelled = script.cancel(consumer);
        assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
        assert_matches!(
            script.result(consumer),
            Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Client
        );
    }
    script.reconnect();
    script.expect_nothing();
}

/// The offset that the client consumes the stream `s` from, next.
#[track_caller]
fn offset_asked_for(script: &mut Script) -> i64 {
    script.write(usize::MAX);
    let mut found = None;
    while let Some(frame) = split_frame(&mut script.output, usize::MAX).unwrap() {
        if frame.kind == FRAME_METHOD
            && let Method::BasicConsume(consume) = Method::decode(&frame.payload).unwrap()
            && consume.queue == b"s"
        {
            let arguments = FieldTable::from_wire(consume.arguments.to_vec().into());
            found = arguments.get("x-stream-offset");
        }
    }
    found.and_then(|offset| offset.as_i64()).unwrap()
}

/// The consumer of a stream that has had 10, 11 and 12, and has acknowledged none.
fn with_a_stream() -> (Script, u64) {
    let mut script = recovering();
    let stream = Consume::new("s").argument("x-stream-offset", "first");
    let consumer = consume(&mut script, stream.prefetch_count(9));
    for tag in 1..=3 {
        stream_delivery(&mut script, consumer, tag, 9 + tag.cast_signed());
    }
    script.methods();
    (script, consumer)
}

#[test]
fn what_a_stream_has_not_acknowledged_comes_again_after_a_second_loss() {
    let (mut script, consumer) = with_a_stream();
    for _ in 0..2 {
        script.lose();
        script.reconnect();
        assert_eq!(offset_asked_for(&mut script), 10);
    }
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, consumer);
    stream_delivery(&mut script, consumer, 1, 10);
    let delivery = script.deliveries(consumer).pop().unwrap();
    script.ack(&delivery).unwrap();
    script.lose();
    script.reconnect();
    assert_eq!(offset_asked_for(&mut script), 11);
}

#[test]
fn what_a_stream_has_not_acknowledged_comes_again_after_a_refusal() {
    let (mut script, _) = with_a_stream();
    script.lose();
    script.reconnect();
    for _ in 0..2 {
        assert_eq!(offset_asked_for(&mut script), 10);
        script.send(2, ChannelOpenOk::default());
        script.send(2, BasicQosOk {});
        script.send(2, channel_close(406, "no running replica"));
        script.pass(Duration::from_secs(1));
    }
}

/// The channel, and with it what was delivered, goes for the other queue's sake.
#[test]
fn what_a_stream_has_not_acknowledged_comes_again_after_the_refusal_of_a_queue_beside_it() {
    let mut script = recovering();
    let both = ConsumeMulti::new([Consume::new("s"), Consume::new("q")]).prefetch_count(9);
    let consumer = script.consume(both);
    let start = |script: &mut Script, queues| {
        script.methods();
        script.send(2, ChannelOpenOk::default());
        script.send(2, BasicQosOk {});
        for index in 0..queues {
            let tag = format!("{consumer}.{index}.");
            let consumer_tag = tag.as_bytes();
            script.send(2, BasicConsumeOk { consumer_tag });
        }
    };
    start(&mut script, 2);
    script.lose();
    script.reconnect();
    start(&mut script, 1);
    for tag in 1..=3 {
        stream_delivery(&mut script, consumer, tag, 9 + tag.cast_signed());
    }
    let first = script.deliveries(consumer).swap_remove(0);
    script.ack(&first).unwrap();
    script.send(2, channel_close(404, "no queue 'q' yet"));
    script.methods();
    script.pass(Duration::from_secs(1));
    assert_eq!(offset_asked_for(&mut script), 11);
}

/// To a stream `basic.recover` is an acknowledgement, or the end of the connection.
#[test]
fn a_stream_is_recovered_by_a_new_consumer_at_the_oldest_that_is_not_settled() {
    let (mut script, consumer) = with_a_stream();
    let deliveries = script.deliveries(consumer);
    script.ack(&deliveries[0]).unwrap();
    script.methods();
    let recovered = script.recover(consumer);
    script.expect(2, cancel(format!("{consumer}.0.").as_bytes()));
    script.expect(2, ack(3, true));
    assert_eq!(offset_asked_for(&mut script), 11);
    // What was on its way comes again, too.
    stream_delivery(&mut script, consumer, 4, 13);
    assert!(script.deliveries(consumer).is_empty());
    script.expect(2, ack(4, false));
    assert_matches!(script.ack(&deliveries[1]), Err(Error::AlreadySettled(_)));
    assert_matches!(script.result(recovered), None);
    cancel_ok(&mut script, &format!("{consumer}.0."));
    assert_matches!(script.result(recovered), Some(Ok(Outcome::Done)));
    // A cancel waits for the consume-ok, and a second recover, too, which then has nothing to do.
    let again = script.recover(consumer);
    let cancelled = script.cancel(consumer);
    script.expect_nothing();
    let tag = format!("{consumer}.0.~1");
    let consumer_tag = tag.as_bytes();
    script.send(2, BasicConsumeOk { consumer_tag });
    assert_matches!(script.result(again), Some(Ok(Outcome::Done)));
    script.expect(2, cancel(consumer_tag));
    cancel_ok(&mut script, &tag);
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
    assert_matches!(script.result(consumer), Some(Err(Error::Cancelled(_))));
    assert!(script.connection.is_open());
}

fn cancel(consumer_tag: &[u8]) -> BasicCancel<'_> {
    BasicCancel {
        consumer_tag,
        no_wait: false,
    }
}

fn cancel_ok(script: &mut Script, tag: &str) {
    let consumer_tag = tag.as_bytes();
    script.send(2, BasicCancelOk { consumer_tag });
}

#[test]
fn a_stream_that_is_lost_while_it_is_recovered_begins_with_the_oldest_that_is_not_settled() {
    // Twice: while the first is answered, the second waits for the consume-ok.
    let (mut script, consumer) = with_a_stream();
    let recovered = script.recover(consumer);
    assert_eq!(offset_asked_for(&mut script), 10);
    let again = script.recover(consumer);
    script.lose();
    for promise in [recovered, again] {
        assert_matches!(script.result(promise), Some(Ok(Outcome::Done)));
    }
    script.reconnect();
    assert_eq!(offset_asked_for(&mut script), 10);
}

#[test]
fn a_stream_among_several_queues_is_not_recovered_and_nothing_is_written() {
    let mut script = Script::connected();
    let both = [
        Consume::new("s").argument("x-stream-offset", "first"),
        Consume::new("q"),
    ];
    let consumer = script.consume(ConsumeMulti::new(both));
    script.methods();
    stream_delivery(&mut script, consumer, 1, 10);
    let recovered = script.recover(consumer);
    assert_matches!(
        script.result(recovered),
        Some(Err(Error::InvalidArgument(_)))
    );
    script.expect_nothing();
}

/// RabbitMQ 3.10 closes the connection where a stream is told anything but an acknowledgement.
#[test]
fn what_nobody_has_read_of_a_stream_is_acknowledged_when_it_is_cancelled() {
    let (mut script, consumer) = with_a_stream();
    let first = script.deliveries(consumer).swap_remove(0);
    stream_delivery(&mut script, consumer, 4, 13);
    stream_delivery(&mut script, consumer, 5, 14);
    script.cancel(consumer);
    script.methods();
    cancel_ok(&mut script, &format!("{consumer}.0."));
    for tag in [4, 5] {
        script.expect(2, ack(tag, false));
    }
    script.ack(&first).unwrap();
    script.expect(2, ack(1, false));

    let mut script = Script::connected();
    let stream = Consume::new("s").argument("x-stream-offset", "first");
    let both = ConsumeMulti::new([stream, Consume::new("q")]);
    let consumer = script.consume(both);
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    for index in 0..2 {
        let tag = format!("{consumer}.{index}.");
        let consumer_tag = tag.as_bytes();
        script.send(2, BasicConsumeOk { consumer_tag });
    }
    stream_delivery(&mut script, consumer, 1, 10);
    script.deliver(2, &format!("{consumer}.1."), 2, "of a queue");
    script.cancel(consumer);
    script.methods();
    for index in 0..2 {
        cancel_ok(&mut script, &format!("{consumer}.{index}."));
    }
    script.expect(2, ack(1, false));
    let nack = BasicNack {
        delivery_tag: 2,
        multiple: false,
        requeue: true,
    };
    script.expect(2, nack);
    script.expect_nothing();
}
