//! Consumers from one socket to the next.

use super::recovery::{consume, consume_ok, recovering, stream_delivery};
use super::script::Script;
use crate::error::{CancelledBy, Error};
use crate::options::Consume;
use crate::outcome::Outcome;
use crate::wire::{self, BasicConsumeOk, BasicQosOk, ChannelOpenOk};

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
