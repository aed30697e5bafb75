//! How many deliveries a consumer has with the user, and how that number changes.

use super::consuming::{
    CONSUMER, bodies, cancel_ok, consume_ok, consuming, expect_cancel, expect_consume, expect_qos,
    one, two_queues,
};
use crate::connection::Settle;
use crate::types::error::Error;
use crate::types::requests::{Consume, Requeue};
use crate::types::results::Outcome;
use crate::wire::{BasicAck, BasicNack, BasicQosOk, BasicReject};

#[test]
fn queues_of_one_consumer_share_its_prefetch() {
    let mut script = consuming(two_queues(1));
    script.deliver(2, "2.0.", 1, "first");
    script.deliver(2, "2.1.", 2, "second");
    let first = one(&mut script);
    assert_eq!(
        (&*first.body_str(), &*first.consumer_tag),
        ("first", "2.0.")
    );
    script.expect_nothing();
    script.ack(&first).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    script.deliver(2, "2.0.", 3, "third");
    let second = one(&mut script);
    assert_eq!(
        (&*second.body_str(), &*second.consumer_tag),
        ("second", "2.1.")
    );
    script.settle(&second, Settle::Reject(Requeue::No)).unwrap();
    script.expect(
        2,
        BasicReject {
            delivery_tag: 2,
            requeue: false,
        },
    );
    let third = one(&mut script);
    script
        .settle(
            &third,
            Settle::Nack {
                multiple: false,
                requeue: Requeue::Yes,
            },
        )
        .unwrap();
    script.expect(
        2,
        BasicNack {
            delivery_tag: 3,
            multiple: false,
            requeue: true,
        },
    );
    script.expect_nothing();
}

#[test]
fn a_multiple_ack_opens_the_gate_for_as_many() {
    let mut script = consuming(two_queues(2));
    for (tag, consumer) in [(1, "2.0."), (2, "2.0."), (3, "2.1."), (4, "2.1.")] {
        script.deliver(2, consumer, tag, &tag.to_string());
    }
    let given = script.deliveries(CONSUMER);
    assert_eq!(bodies(&given), ["1", "2"]);
    script
        .settle(&given[1], Settle::Ack { multiple: true })
        .unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 2,
            multiple: true,
        },
    );
    assert_eq!(bodies(&script.deliveries(CONSUMER)), ["3", "4"]);
}

#[test]
fn another_prefetch_starts_new_consumers_before_the_old_ones_end() {
    let mut script = consuming(two_queues(1));
    script.deliver(2, "2.0.", 1, "a");
    script.deliver(2, "2.1.", 2, "b");
    assert_eq!(bodies(&script.deliveries(CONSUMER)), ["a"]);
    let raised = script.qos(CONSUMER, 3);
    expect_qos(&mut script, 3);
    expect_consume(&mut script, "a", "2.0.~1", false);
    expect_cancel(&mut script, "2.0.");
    expect_consume(&mut script, "b", "2.1.~1", false);
    expect_cancel(&mut script, "2.1.");
    script.expect_nothing();
    // The gate need not wait for the broker.
    assert_eq!(bodies(&script.deliveries(CONSUMER)), ["b"]);
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.~1");
    // The user knows one tag, whichever the broker's is.
    script.deliver(2, "2.0.~1", 3, "c");
    assert_eq!(one(&mut script).consumer_tag, "2.0.");
    script.deliver(2, "2.1.", 4, "d");
    cancel_ok(&mut script, "2.0.");
    assert_matches!(script.result(raised), None);
    consume_ok(&mut script, "2.1.~1");
    cancel_ok(&mut script, "2.1.");
    assert_matches!(script.result(raised), Some(Ok(Outcome::Done)));
    // Three are out.
    assert_eq!(bodies(&script.deliveries(CONSUMER)), [""; 0]);
    let cancelled = script.cancel(CONSUMER);
    expect_cancel(&mut script, "2.0.~1");
    expect_cancel(&mut script, "2.1.~1");
    cancel_ok(&mut script, "2.0.~1");
    cancel_ok(&mut script, "2.1.~1");
    script.expect(
        2,
        BasicNack {
            delivery_tag: 4,
            multiple: false,
            requeue: true,
        },
    );
    assert_matches!(
        script.result(cancelled),
        Some(Ok(Outcome::CancelOk(ok))) if ok.consumer_tag == "2.1."
    );
}

#[test]
fn changes_of_the_prefetch_follow_one_another() {
    let mut script = consuming(Consume::new("work").prefetch_count(1));
    let changes = [script.qos(CONSUMER, 2), script.qos(CONSUMER, 3)];
    let cancelled = script.cancel(CONSUMER);
    expect_qos(&mut script, 2);
    expect_consume(&mut script, "work", "2.0.~1", false);
    expect_cancel(&mut script, "2.0.");
    script.expect_nothing();
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.~1");
    expect_qos(&mut script, 3);
    expect_consume(&mut script, "work", "2.0.~2", false);
    expect_cancel(&mut script, "2.0.~1");
    cancel_ok(&mut script, "2.0.");
    assert_matches!(script.result(changes[0]), Some(Ok(Outcome::Done)));
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.~2");
    expect_cancel(&mut script, "2.0.~2");
    cancel_ok(&mut script, "2.0.~1");
    assert_matches!(script.result(changes[1]), Some(Ok(Outcome::Done)));
    cancel_ok(&mut script, "2.0.~2");
    assert_matches!(script.result(cancelled), Some(Ok(Outcome::CancelOk(_))));
    assert_matches!(script.result(CONSUMER), Some(Err(Error::Cancelled(_))));
}

#[test]
fn the_same_prefetch_is_no_change() {
    let mut script = consuming(Consume::new("work").prefetch_count(4));
    let same = script.qos(CONSUMER, 4);
    assert_matches!(script.result(same), Some(Ok(Outcome::Done)));
    script.expect_nothing();
}

#[test]
fn an_exclusive_consumer_cannot_have_more_but_may_have_less() {
    let mut script = consuming(Consume::new("work").exclusive(true).prefetch_count(2));
    for more in [3, 0] {
        let raised = script.qos(CONSUMER, more);
        assert_matches!(script.result(raised), Some(Err(Error::InvalidArgument(_))));
    }
    let lowered = script.qos(CONSUMER, 1);
    assert_matches!(script.result(lowered), Some(Ok(Outcome::Done)));
    script.expect_nothing();
    script.deliver(2, "2.0.", 1, "a");
    script.deliver(2, "2.0.", 2, "b");
    assert_eq!(bodies(&script.deliveries(CONSUMER)), ["a"]);
    let raised = script.qos(CONSUMER, 2);
    assert_matches!(script.result(raised), Some(Ok(Outcome::Done)));
    assert_eq!(bodies(&script.deliveries(CONSUMER)), ["b"]);
}
