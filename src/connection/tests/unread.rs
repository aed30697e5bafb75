//! Deliveries that nobody has read: what becomes of them when their consumer is cancelled, and how many are kept.

use super::consuming::{
    CONSUMER, bodies, cancel_ok, consume_ok, consuming, consuming_with, expect_cancel,
    expect_consume, expect_qos, two_queues,
};
use super::frames::{TUNE, wire_declare, wire_declare_ok};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Settle;
use crate::types::error::Error;
use crate::types::requests::{Consume, Requeue};
use crate::types::results::CancelledBy;
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicCancel, BasicNack, BasicQosOk, BasicReject, ChannelOpen, ChannelOpenOk,
    FieldTable,
};

/// Deliveries of the first queue with these tags, and the tags as bodies.
fn deliver(script: &mut Script, tags: std::ops::RangeInclusive<u64>) {
    for tag in tags {
        script.deliver(2, "2.0.", tag, &tag.to_string());
    }
}

#[track_caller]
fn expect_nack(script: &mut Script, delivery_tag: u64, multiple: bool) {
    let requeue = true;
    script.expect(
        2,
        BasicNack {
            delivery_tag,
            multiple,
            requeue,
        },
    );
}

fn cancel(script: &mut Script) -> u64 {
    let cancelled = script.cancel(CONSUMER);
    expect_cancel(script, "2.0.");
    cancelled
}

/// The channel is in the pool.
#[track_caller]
fn expect_free(script: &mut Script) {
    script.declare("free");
    script.expect(2, wire_declare("free"));
    script.expect_nothing();
}

#[test]
fn what_was_not_read_goes_back_in_order_and_what_was_stays() {
    let mut script = consuming(Consume::new("work"));
    deliver(&mut script, 1..=2);
    let held = script.deliveries(CONSUMER);
    deliver(&mut script, 3..=4);
    let cancelled = cancel(&mut script);
    // What was on its way is for nobody.
    deliver(&mut script, 5..=5);
    script.expect_nothing();
    cancel_ok(&mut script, "2.0.");
    for tag in 3..=5 {
        expect_nack(&mut script, tag, false);
    }
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end)))
            if end.by == CancelledBy::Client && end.queue == "work" && end.consumer_tag == "2.0."
    );
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
    assert_eq!(bodies(&script.deliveries(CONSUMER)), [""; 0]);
    for (delivery, delivery_tag) in held.iter().zip(1..) {
        script.ack(delivery).unwrap();
        let multiple = false;
        script.expect(
            2,
            BasicAck {
                delivery_tag,
                multiple,
            },
        );
    }
    expect_free(&mut script);
}

#[test]
fn where_all_is_unread_one_frame_gives_it_back() {
    let mut script = consuming(Consume::new("work"));
    deliver(&mut script, 1..=3);
    for delivery in script.deliveries(CONSUMER) {
        script
            .settle(&delivery, Settle::Reject(Requeue::No))
            .unwrap();
        script.frame();
    }
    deliver(&mut script, 4..=9);
    cancel(&mut script);
    cancel_ok(&mut script, "2.0.");
    expect_nack(&mut script, 9, true);
    expect_free(&mut script);
}

#[test]
fn a_broker_without_nacks_gets_rejections() {
    let mut script = Script::new(ClientOptions::new());
    let properties = FieldTable::new().with("product", "a broker of 2009");
    script.connect_to(&properties, TUNE);
    script.consume(Consume::new("work"));
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.");
    deliver(&mut script, 1..=2);
    cancel(&mut script);
    cancel_ok(&mut script, "2.0.");
    for delivery_tag in 1..=2 {
        let requeue = true;
        script.expect(
            2,
            BasicReject {
                delivery_tag,
                requeue,
            },
        );
    }
    expect_free(&mut script);
}

#[test]
fn what_came_without_acks_stays_to_be_read() {
    let mut script = Script::connected();
    script.consume(Consume::new("work").no_ack(true));
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.");
    deliver(&mut script, 1..=2);
    cancel(&mut script);
    deliver(&mut script, 3..=3);
    cancel_ok(&mut script, "2.0.");
    assert_eq!(bodies(&script.deliveries(CONSUMER)), ["1", "2", "3"]);
    expect_free(&mut script);
}

#[test]
fn of_a_queue_that_has_gone_it_stays_to_be_read_and_locks_nothing() {
    let mut script = consuming(two_queues(0));
    script.deliver(2, "2.0.", 1, "gone");
    script.deliver(2, "2.1.", 2, "back");
    let cancelled = BasicCancel {
        consumer_tag: b"2.0.",
        no_wait: true,
    };
    script.send(2, cancelled);
    expect_cancel(&mut script, "2.1.");
    cancel_ok(&mut script, "2.1.");
    expect_nack(&mut script, 2, true);
    let left = script.deliveries(CONSUMER);
    assert_eq!(bodies(&left), ["gone"]);
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end)))
            if end.by == CancelledBy::Broker && end.queue == "a" && end.consumer_tag == "2.0."
    );
    expect_free(&mut script);
    // It has gone back with its queue; to acknowledge it is no mistake.
    script.ack(&left[0]).unwrap();
    script.expect_nothing();
}

#[test]
fn whoever_waits_for_a_channel_gets_that_of_the_cancelled_consumer() {
    let mut script = Script::connected_with(ClientOptions::new().channel_max(2));
    script.consume(Consume::new("work"));
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.");
    deliver(&mut script, 1..=2);
    cancel(&mut script);
    let waiting = script.declare("a");
    cancel_ok(&mut script, "2.0.");
    expect_nack(&mut script, 2, true);
    script.expect(2, wire_declare("a"));
    script.send(2, wire_declare_ok("a"));
    assert_matches!(script.result(waiting), Some(Ok(_)));
}

fn with_mark(bytes: usize) -> ClientOptions {
    ClientOptions::new().unread_high_water_mark(bytes)
}

fn held(script: &Script) -> usize {
    script.connection.unbounded_held()
}

#[test]
fn a_gate_that_the_broker_does_not_bound_counts() {
    let mut script = consuming(Consume::new("work").exclusive(true));
    script.qos(CONSUMER, 1);
    deliver(&mut script, 1..=9);
    let first = script.deliveries(CONSUMER);
    assert_eq!(bodies(&first), ["1"]);
    let all = held(&script);
    assert!(all > 0);
    script.ack(&first[0]).unwrap();
    assert_eq!(held(&script), all / 8 * 7);
    script.qos(CONSUMER, 0);
    assert_eq!(held(&script), 0);
    assert_eq!(script.deliveries(CONSUMER).len(), 8);
}

#[test]
fn a_gate_that_is_full_is_in_no_cancels_way() {
    let mut script = consuming(Consume::new("work").exclusive(true));
    script.qos(CONSUMER, 1);
    deliver(&mut script, 1..=9);
    assert!(held(&script) > 0);
    cancel(&mut script);
    assert_eq!(held(&script), 0);
    cancel_ok(&mut script, "2.0.");
    expect_nack(&mut script, 9, true);
    expect_free(&mut script);
}

#[test]
fn a_broker_that_ignores_the_prefetch_is_counted() {
    let mut script = consuming(two_queues(2));
    // Two of each queue: the gate is there for that.
    for (tag, queue) in [(1, "2.0."), (2, "2.0."), (3, "2.1."), (4, "2.1.")] {
        script.deliver(2, queue, tag, "");
    }
    assert_eq!(held(&script), 0);
    script.deliver(2, "2.1.", 5, "");
    assert!(held(&script) > 0);
    let given = script.deliveries(CONSUMER);
    script.ack(&given[0]).unwrap();
    assert_eq!(held(&script), 0);
    script.disconnect(crate::types::error::Disconnect::Eof);
    assert_eq!(held(&script), 0);
}

#[test]
fn beyond_the_mark_what_is_on_its_way_to_a_cancelled_consumer_goes_back_after_the_answer() {
    let mut script = consuming_with(with_mark(2000), Consume::new("work"));
    cancel(&mut script);
    let body = "x".repeat(1500);
    for tag in 1..=4 {
        script.deliver(2, "2.0.", tag, &body);
    }
    // It took two to reach the mark.
    script.expect_nothing();
    assert_eq!(held(&script), 0, "the answer is behind it");
    cancel_ok(&mut script, "2.0.");
    expect_nack(&mut script, 4, true);
    expect_free(&mut script);
}

#[test]
fn beyond_the_mark_what_is_on_its_way_to_a_replaced_consumer_goes_back_after_the_answer() {
    let mut script = consuming_with(with_mark(2000), Consume::new("work"));
    let lowered = script.qos(CONSUMER, 1);
    expect_qos(&mut script, 1);
    expect_consume(&mut script, "work", "2.0.~1", false);
    expect_cancel(&mut script, "2.0.");
    let body = "x".repeat(1500);
    for tag in 1..=5 {
        script.deliver(2, "2.0.", tag, &body);
    }
    // One is with the program, and it took two to reach the mark.
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.~1");
    script.expect_nothing();
    cancel_ok(&mut script, "2.0.");
    expect_nack(&mut script, 4, false);
    expect_nack(&mut script, 5, false);
    assert_matches!(script.result(lowered), Some(Ok(Outcome::Done)));
    assert_eq!(held(&script), 0, "no more comes");
    assert_eq!(script.deliveries(CONSUMER).len(), 1);
    script.expect_nothing();
}

/// More than goes back one by one.
const MUCH: u64 = 4000;

#[test]
fn much_goes_back_in_one_frame_when_nothing_older_is_with_the_program() {
    let mut script = consuming(Consume::new("work"));
    deliver(&mut script, 1..=2);
    let read = script.deliveries(CONSUMER);
    deliver(&mut script, 3..=MUCH);
    cancel(&mut script);
    cancel_ok(&mut script, "2.0.");
    script.expect_nothing();
    // In any order.
    for (delivery, delivery_tag) in [(&read[1], 2), (&read[0], 1)] {
        script.expect_nothing();
        script.ack(delivery).unwrap();
        let multiple = false;
        script.expect(
            2,
            BasicAck {
                delivery_tag,
                multiple,
            },
        );
    }
    expect_nack(&mut script, MUCH, true);
    expect_free(&mut script);
}

#[test]
fn much_that_was_dropped_for_a_replaced_consumer_waits_for_what_is_older() {
    let mut script = consuming_with(with_mark(2000), Consume::new("work"));
    let lowered = script.qos(CONSUMER, 2);
    script.methods();
    let body = "x".repeat(1500);
    for tag in 1..=4 {
        script.deliver(2, "2.0.", tag, &body);
    }
    // Two are with the program, and two reach the mark.
    deliver(&mut script, 5..=MUCH);
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.~1");
    cancel_ok(&mut script, "2.0.");
    assert_matches!(script.result(lowered), Some(Ok(Outcome::Done)));
    script.deliver(2, "2.0.~1", MUCH + 1, "");
    script.expect_nothing();
    let read = script.deliveries(CONSUMER);
    script.ack(&read[0]).unwrap();
    script.ack(&read[1]).unwrap();
    let read = script.deliveries(CONSUMER);
    assert_eq!(script.methods().len(), 2);
    script.ack(&read[0]).unwrap();
    let last = script.deliveries(CONSUMER);
    assert_eq!(last[0].delivery_tag(), MUCH + 1);
    // All up to the last, but not what was dropped.
    script
        .settle(&last[0], Settle::Ack { multiple: true })
        .unwrap();
    for (delivery_tag, multiple) in [(3, false), (4, true)] {
        script.expect(
            2,
            BasicAck {
                delivery_tag,
                multiple,
            },
        );
    }
    expect_nack(&mut script, MUCH, true);
    script.expect(
        2,
        BasicAck {
            delivery_tag: MUCH + 1,
            multiple: true,
        },
    );
    assert_matches!(script.ack(&read[1]), Err(Error::AlreadySettled(4)));
    script.expect_nothing();
}

#[test]
fn a_cancelled_consumers_channel_may_close_before_it_is_free() {
    let mut script = consuming(Consume::new("work"));
    deliver(&mut script, 1..=2);
    let read = script.deliveries(CONSUMER);
    cancel(&mut script);
    cancel_ok(&mut script, "2.0.");
    script.expect_nothing();
    script.send(
        2,
        super::frames::channel_close(406, "PRECONDITION_FAILED - too late"),
    );
    script.frame();
    assert_matches!(script.ack(&read[0]), Err(Error::StaleDelivery(1)));
    script.declare("a");
    script.expect(2, ChannelOpen::default());
}
