//! Consumers that go on over another socket.

use super::recovering::{ack, consume, consume_ok, recovering, stream_delivery};
use crate::types::error::Error;
use crate::types::requests::Consume;
use crate::types::results::CancelledBy;
use crate::types::results::Outcome;
use crate::wire::{self, BasicQosOk, ChannelOpen, ChannelOpenOk};

#[test]
fn a_consumer_goes_on_and_deliveries_from_before_cannot_be_settled() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q").prefetch_count(2));
    let tag = format!("{consumer}.0.");
    script.deliver(2, &tag, 1, "read");
    let old = script.deliveries(consumer).remove(0);
    script.deliver(2, &tag, 2, "unread");
    script.lose();
    assert!(script.deliveries(consumer).is_empty());
    // Taken back, it comes again: that is nobody's failure.
    script.ack(&old).unwrap();

    script.reconnect();
    script.expect(2, ChannelOpen::default());
    let qos = wire::BasicQos {
        prefetch_count: 2,
        ..Default::default()
    };
    script.expect(2, qos);
    let again = wire::BasicConsume {
        queue: b"q",
        consumer_tag: tag.as_bytes(),
        ..Default::default()
    };
    script.expect(2, again);
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, consumer);
    script.deliver(2, &tag, 1, "read");
    assert!(!script.connection.holds(old.origin));
    script.ack(&old).unwrap();
    script.expect_nothing();
    let new = script.deliveries(consumer).remove(0);
    script.ack(&new).unwrap();
    script.expect(2, ack(1, false));
}

#[test]
fn a_consumer_that_was_being_cancelled_is_cancelled() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q"));
    let cancel = script.cancel(consumer);
    script.lose();
    assert_matches!(
        script.result(consumer),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Client
    );
    assert_matches!(script.result(cancel), Some(Ok(Outcome::CancelOk(_))));
    script.reconnect();
    script.expect_nothing();
}

#[test]
fn a_consumer_can_be_cancelled_and_changed_while_there_is_no_connection() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q").prefetch_count(5));
    script.lose();
    let changed = script.qos(consumer, 9);
    assert_matches!(script.result(changed), Some(Ok(Outcome::Done)));
    script.reconnect();
    script.expect(2, ChannelOpen::default());
    let qos = wire::BasicQos {
        prefetch_count: 9,
        ..Default::default()
    };
    script.expect(2, qos);
    script.lose();
    let cancel = script.cancel(consumer);
    assert_matches!(script.result(cancel), Some(Ok(Outcome::CancelOk(_))));
    assert_matches!(script.result(consumer), Some(Err(Error::Cancelled(_))));
    script.reconnect();
    script.expect_nothing();
}

#[test]
fn a_consumer_of_a_stream_goes_on_behind_what_was_acknowledged() {
    for (acked, next) in [(0, 7_i64), (1, 8), (3, 10)] {
        let mut script = recovering();
        let stream = Consume::new("s")
            .prefetch_count(9)
            .argument("x-stream-offset", "first");
        let consumer = consume(&mut script, stream);
        for tag in 1..=3 {
            stream_delivery(&mut script, consumer, tag, 6 + tag.cast_signed());
        }
        for delivery in script.deliveries(consumer).into_iter().take(acked) {
            script.ack(&delivery).unwrap();
        }
        script.methods();
        script.lose();
        script.reconnect();
        script.frame();
        script.frame();
        let arguments = wire::FieldTable::new().with("x-stream-offset", next);
        let tag = format!("{consumer}.0.");
        let again = wire::BasicConsume {
            queue: b"s",
            consumer_tag: tag.as_bytes(),
            arguments: arguments.encoded(),
            ..Default::default()
        };
        script.expect(2, again);
    }
}

#[test]
fn behind_the_last_offset_of_a_stream_there_is_no_other() {
    let mut script = recovering();
    let stream = Consume::new("s").argument("x-stream-offset", "first");
    let consumer = consume(&mut script, stream);
    stream_delivery(&mut script, consumer, 1, i64::MAX);
    assert_eq!(script.deliveries(consumer).len(), 1);
}
