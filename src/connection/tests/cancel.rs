//! The end of a consumer, by the client, the broker, or both.

use super::consuming::{
    CONSUMER, bodies, cancel_ok, consume_ok, consuming, expect_cancel, one, two_queues,
};
use super::frames::wire_declare;
use super::script::Script;
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::requests::{Consume, ConsumeMulti};
use crate::types::results::CancelledBy;
use crate::types::results::Outcome;
use crate::wire::{BasicAck, BasicCancel, BasicNack, BasicQosOk, ChannelOpen, ChannelOpenOk};

#[test]
fn cancel_ends_the_consumer_and_frees_its_channel() {
    let mut script = consuming(Consume::new("work").consumer_tag(""));
    script.deliver(2, "2.0.", 1, "last");
    let last = one(&mut script);
    let cancelled = script.cancel(CONSUMER);
    expect_cancel(&mut script, "2.0.");
    cancel_ok(&mut script, "2.0.");
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Client
    );
    assert_matches!(
        script.result(cancelled),
        Some(Ok(Outcome::CancelOk(ok))) if ok.consumer_tag == "2.0."
    );
    // Its channel is kept for the delivery that is out.
    script.declare("a");
    script.expect(3, ChannelOpen::default());
    script.expect(3, wire_declare("a"));
    script.ack(&last).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    script.declare("b");
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
}

#[test]
fn cancel_puts_back_what_the_user_has_not_seen() {
    let mut script = consuming(two_queues(1));
    script.deliver(2, "2.0.", 1, "seen");
    script.deliver(2, "2.1.", 2, "held");
    script.deliver(2, "2.1.", 3, "held");
    let seen = one(&mut script);
    let cancelled = script.cancel(CONSUMER);
    expect_cancel(&mut script, "2.0.");
    expect_cancel(&mut script, "2.1.");
    cancel_ok(&mut script, "2.0.");
    script.expect_nothing();
    assert_matches!(script.result(CONSUMER), None);
    cancel_ok(&mut script, "2.1.");
    for delivery_tag in [2, 3] {
        script.expect(
            2,
            BasicNack {
                delivery_tag,
                multiple: false,
                requeue: true,
            },
        );
    }
    script.expect_nothing();
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Client
    );
    assert_matches!(
        script.result(cancelled),
        Some(Ok(Outcome::CancelOk(ok))) if ok.consumer_tag == "2.1."
    );
    assert_eq!(bodies(&script.deliveries(CONSUMER)), [""; 0]);
    script.ack(&seen).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
}

#[test]
fn a_second_cancel_gets_the_same_answer_and_a_third_comes_too_late() {
    let mut script = consuming(Consume::new("work"));
    let cancels = [script.cancel(CONSUMER), script.cancel(CONSUMER)];
    expect_cancel(&mut script, "2.0.");
    script.expect_nothing();
    cancel_ok(&mut script, "2.0.");
    for cancel in cancels {
        assert_matches!(script.result(cancel), Some(Ok(Outcome::CancelOk(_))));
    }
    let late = script.cancel(CONSUMER);
    assert_matches!(script.result(late), Some(Err(Error::UnknownPromise(id))) if id.number() == CONSUMER);
    script.expect_nothing();
}

#[test]
fn a_cancel_waits_until_the_consumer_has_started() {
    let mut script = Script::connected();
    script.consume(two_queues(0));
    script.write(usize::MAX);
    for _ in 0..4 {
        script.frame();
    }
    let cancelled = script.cancel(CONSUMER);
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.");
    script.expect_nothing();
    consume_ok(&mut script, "2.1.");
    expect_cancel(&mut script, "2.0.");
    expect_cancel(&mut script, "2.1.");
    cancel_ok(&mut script, "2.0.");
    cancel_ok(&mut script, "2.1.");
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
}

#[test]
fn a_cancel_while_the_consumer_waits_for_a_channel_is_done_at_once() {
    let mut script = Script::connected_with(ClientOptions::new().channel_max(2));
    script.declare("a");
    let consumer = script.consume(Consume::new("work"));
    let fine = script.declare("b");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    let raised = script.qos(consumer, 5);
    assert_matches!(script.result(raised), Some(Ok(Outcome::Done)));
    let cancelled = script.cancel(consumer);
    assert_matches!(
        script.result(consumer),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Client
    );
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
    script.send(2, ChannelOpenOk::default());
    script.send(2, super::frames::wire_declare_ok("a"));
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
    assert_matches!(script.result(fine), None);
}

#[test]
fn a_cancel_before_the_start_names_the_tag_that_it_would_have_had() {
    let mut script = Script::connected_with(ClientOptions::new().channel_max(2));
    script.declare("a");
    let consumers = [Consume::new("a"), Consume::new("b").consumer_tag("slow")];
    let consumer = script.consume(ConsumeMulti::new(consumers));
    let cancelled = script.cancel(consumer);
    assert_matches!(
        script.result(cancelled),
        Some(Ok(Outcome::CancelOk(ok))) if ok.consumer_tag == "3.1.slow"
    );
}

#[test]
fn the_brokers_cancel_of_one_queue_ends_the_others() {
    let mut script = consuming(two_queues(1));
    script.deliver(2, "2.1.", 1, "seen");
    script.deliver(2, "2.1.", 2, "held");
    let seen = one(&mut script);
    assert_eq!(seen.body, "seen");
    script.send(
        2,
        BasicCancel {
            consumer_tag: b"2.0.",
            no_wait: true,
        },
    );
    expect_cancel(&mut script, "2.1.");
    script.expect_nothing();
    assert_matches!(script.result(CONSUMER), None);
    cancel_ok(&mut script, "2.1.");
    script.expect(
        2,
        BasicNack {
            delivery_tag: 2,
            multiple: false,
            requeue: true,
        },
    );
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Broker
    );
}

#[test]
fn the_brokers_cancel_of_the_only_queue_needs_no_answer() {
    let mut script = consuming(Consume::new("work"));
    script.send(
        2,
        BasicCancel {
            consumer_tag: b"2.0.",
            no_wait: true,
        },
    );
    script.expect_nothing();
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Broker
    );
    script.declare("a");
    script.expect(2, wire_declare("a"));
}

#[test]
fn the_brokers_cancel_before_the_start_leaves_nothing_waiting() {
    let mut script = Script::connected();
    script.consume(Consume::new("work").prefetch_count(1));
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    let cancel = BasicCancel {
        consumer_tag: b"2.0.",
        no_wait: true,
    };
    script.send(2, cancel);
    let raised = script.qos(CONSUMER, 3);
    let cancelled = script.cancel(CONSUMER);
    consume_ok(&mut script, "2.0.");
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Broker
    );
    assert_matches!(script.result(raised), Some(Err(Error::UnknownPromise(_))));
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
    script.expect_nothing();
}

#[test]
fn a_cancel_by_both_at_once_ends_as_the_clients() {
    let mut script = consuming(Consume::new("work"));
    let cancelled = script.cancel(CONSUMER);
    expect_cancel(&mut script, "2.0.");
    script.send(
        2,
        BasicCancel {
            consumer_tag: b"2.0.",
            no_wait: true,
        },
    );
    script.expect_nothing();
    cancel_ok(&mut script, "2.0.");
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::Cancelled(end))) if end.by == CancelledBy::Client
    );
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
}
