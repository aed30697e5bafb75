//! Consumers: how they start, deliver, change their prefetch and end; and `basic.get`.

use super::script::{EPOCH, Script, channel_close, content_of, wire_declare};
use crate::ClientOptions;
use crate::connection::{Request, Settle};
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::message::{Delivery, Message};
use crate::types::requests::{Consume, ConsumeMulti, Get, Requeue};
use crate::types::results::CancelledBy;
use crate::types::results::Outcome;
use crate::wire::{
    Arena, BasicAck, BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk, BasicDeliver,
    BasicGet, BasicGetEmpty, BasicGetOk, BasicNack, BasicQos, BasicQosOk, BasicRecover,
    BasicRecoverOk, BasicReject, BasicReturn, ChannelCloseOk, ChannelOpen, ChannelOpenOk,
    ConfirmSelectOk, ContentHeader, FRAME_HEADER, FieldTable, FieldValue, Properties,
};

#[track_caller]
pub(super) fn expect_qos(script: &mut Script, prefetch_count: u16) {
    script.expect(
        2,
        BasicQos {
            prefetch_count,
            ..Default::default()
        },
    );
}

#[track_caller]
pub(super) fn expect_consume(script: &mut Script, queue: &str, tag: &str, no_ack: bool) {
    let consume = BasicConsume {
        queue: queue.as_bytes(),
        consumer_tag: tag.as_bytes(),
        no_ack,
        ..Default::default()
    };
    script.expect(2, consume);
}

#[track_caller]
pub(super) fn expect_cancel(script: &mut Script, tag: &str) {
    script.expect(
        2,
        BasicCancel {
            consumer_tag: tag.as_bytes(),
            no_wait: false,
        },
    );
}

pub(super) fn consume_ok(script: &mut Script, tag: &str) {
    script.send(
        2,
        BasicConsumeOk {
            consumer_tag: tag.as_bytes(),
        },
    );
}

pub(super) fn cancel_ok(script: &mut Script, tag: &str) {
    script.send(
        2,
        BasicCancelOk {
            consumer_tag: tag.as_bytes(),
        },
    );
}

/// The first promise of a script, and so the consumer's here.
pub(super) const CONSUMER: u64 = 2;

/// A script with a consumer on channel 2, with the tags 2.0., 2.1. and so on.
pub(super) fn consuming(request: impl Into<ConsumeMulti>) -> Script {
    consuming_with(ClientOptions::new(), request)
}

pub(super) fn consuming_with(options: ClientOptions, request: impl Into<ConsumeMulti>) -> Script {
    let request = request.into();
    let mut script = Script::connected_with(options);
    assert_eq!(script.consume(request.clone()), CONSUMER);
    script.expect(2, ChannelOpen::default());
    expect_qos(&mut script, request.prefetch_count);
    let tags: Vec<_> = (0..request.consumers.len())
        .map(|index| format!("2.{index}."))
        .collect();
    for _ in &tags {
        script.frame();
    }
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    for tag in &tags {
        consume_ok(&mut script, tag);
    }
    script
}

pub(super) fn two_queues(prefetch: u16) -> ConsumeMulti {
    ConsumeMulti::new(["a", "b"]).prefetch_count(prefetch)
}

/// The bodies that have come for the consumer.
pub(super) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|delivery| delivery.body_str().into_owned())
        .collect()
}

pub(super) fn one(script: &mut Script) -> Delivery {
    let mut deliveries = script.deliveries(CONSUMER);
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries.remove(0)
}

#[test]
fn a_consumer_opens_its_channel_and_starts_in_one_write() {
    let mut script = Script::connected();
    let consumers = [
        Consume::new("a"),
        Consume::new("b")
            .consumer_tag("slow")
            .exclusive(true)
            .no_local(true)
            .argument("x-priority", FieldValue::I32(5)),
    ];
    let consumer = script.consume(ConsumeMulti::new(consumers).prefetch_count(10));
    script.expect(2, ChannelOpen::default());
    expect_qos(&mut script, 10);
    expect_consume(&mut script, "a", "2.0.", false);
    let arguments = FieldTable::new().with("x-priority", FieldValue::I32(5));
    let consume = BasicConsume {
        queue: b"b",
        consumer_tag: b"2.1.slow",
        exclusive: true,
        no_local: true,
        arguments: arguments.encoded(),
        ..Default::default()
    };
    script.expect(2, consume);
    script.expect_nothing();
    assert_matches!(script.result(consumer), None);
}

#[test]
fn a_delivery_has_what_the_broker_says_of_it() {
    let mut script = consuming(Consume::new("work").consumer_tag("suffix"));
    let mut properties = Properties::default();
    properties.headers.insert("k", "v");
    let plain = properties.clone();
    // Of a mandatory message, by this client or another.
    properties
        .headers
        .insert("x-puka-delivery-tag", FieldValue::I64(99));
    let deliver = BasicDeliver {
        consumer_tag: b"2.0.suffix",
        delivery_tag: 1,
        redelivered: true,
        exchange: b"logs",
        routing_key: b"info",
    };
    script.send_bytes(&content_of(
        2,
        &deliver,
        &properties,
        &[b"hel", b"lo", b"!"],
    ));
    let delivery = one(&mut script);
    assert_eq!(delivery.body, "hello!");
    assert_eq!(delivery.properties, plain);
    assert_eq!(
        (&*delivery.exchange, &*delivery.routing_key),
        ("logs", "info")
    );
    assert_eq!(delivery.consumer_tag, "2.0.suffix");
    assert!(delivery.redelivered);
    assert_eq!(
        (delivery.delivery_tag(), delivery.promise().number()),
        (1, CONSUMER)
    );
    assert_eq!(delivery.promise().client, 7);
    assert_eq!(
        (delivery.origin.channel.0, delivery.origin.epoch),
        (2, EPOCH)
    );
}

/// A table that some peer may send, which is not understood down to its end.
fn odd_headers() -> FieldTable {
    let deep = (0..100).fold(FieldTable::new(), |inner, _| {
        FieldTable::new().with("t", inner)
    });
    let mut wire = FieldTable::new().with("deep", deep).encoded().to_vec();
    wire.extend(b"\x03oddU??\x04lostB\x01");
    FieldTable::from_wire(wire.into())
}

#[test]
fn headers_that_nobody_understands_end_nothing_and_go_on_as_they_came() {
    let mut script = consuming(Consume::new("work"));
    let mut properties = Properties::default();
    properties.headers = odd_headers();
    let deliver = BasicDeliver {
        consumer_tag: b"2.0.",
        delivery_tag: 1,
        ..Default::default()
    };
    script.send_content(2, deliver, &properties, b"odd");
    script.deliver(2, "2.0.", 2, "plain");
    let deliveries = script.deliveries(CONSUMER);
    assert_eq!(bodies(&deliveries), ["odd", "plain"]);
    let headers = deliveries[0].properties.headers();
    assert!(headers.contains("deep") && headers.get("odd").is_none());
    // A mandatory one gets puka's mark, by which it is known when it comes back.
    let again = Message::new("odd")
        .properties(deliveries[0].properties.clone())
        .mandatory(true);
    let published = script.publish("", "nowhere", again);
    let mut header = None;
    for _ in 0..5 {
        let frame = script.frame();
        if frame.kind == FRAME_HEADER {
            header = Some(frame);
        }
    }
    let header = header.expect("a header").payload;
    let marked = ContentHeader::decode(&header, &mut Arena::default()).unwrap();
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    let returned = BasicReturn {
        reply_code: 312,
        reply_text: b"NO_ROUTE",
        exchange: b"",
        routing_key: b"nowhere",
    };
    script.send_content(1, returned, &marked.properties, b"odd");
    let multiple = false;
    script.send(
        1,
        BasicAck {
            delivery_tag: 1,
            multiple,
        },
    );
    assert_matches!(
        script.result(published),
        Some(Err(Error::NoRoute(returned))) if *returned.properties.headers() == odd_headers()
    );
}

#[test]
fn an_empty_body_needs_no_body_frame() {
    let mut script = consuming(Consume::new("work"));
    script.deliver(2, "2.0.", 1, "");
    assert_eq!(one(&mut script).body, "");
}

#[test]
fn deliveries_may_come_before_the_consume_ok() {
    let mut script = Script::connected();
    let consumer = script.consume(Consume::new("work"));
    script.write(usize::MAX);
    script.send(2, ChannelOpenOk::default());
    script.deliver(2, "2.0.", 1, "early");
    assert_eq!(bodies(&script.deliveries(consumer)), ["early"]);
    // Even the replies may change places: the queue sends one, the channel the other.
    consume_ok(&mut script, "2.0.");
    script.send(2, BasicQosOk {});
    script.deliver(2, "2.0.", 2, "late");
    assert_eq!(bodies(&script.deliveries(consumer)), ["late"]);
}

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
fn a_delivery_is_settled_once() {
    let mut script = consuming(Consume::new("work"));
    for tag in 1..=4 {
        script.deliver(2, "2.0.", tag, "");
    }
    let given = script.deliveries(CONSUMER);
    script.ack(&given[3]).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 4,
            multiple: false,
        },
    );
    script
        .settle(
            &given[1],
            Settle::Nack {
                multiple: true,
                requeue: Requeue::No,
            },
        )
        .unwrap();
    script.expect(
        2,
        BasicNack {
            delivery_tag: 2,
            multiple: true,
            requeue: false,
        },
    );
    for (settled, tag) in [(&given[3], 4), (&given[0], 1), (&given[1], 2)] {
        assert_matches!(script.ack(settled), Err(Error::AlreadySettled(found)) if found == tag);
        assert_matches!(
            script.settle(settled, Settle::Ack { multiple: true }),
            Err(Error::AlreadySettled(_))
        );
    }
    script.expect_nothing();
    script.ack(&given[2]).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 3,
            multiple: false,
        },
    );
}

#[test]
fn what_came_with_no_ack_cannot_be_acknowledged() {
    let mut script = Script::connected();
    let consumer = script.consume(Consume::new("work").no_ack(true).prefetch_count(1));
    script.expect(2, ChannelOpen::default());
    expect_qos(&mut script, 1);
    expect_consume(&mut script, "work", "2.0.", true);
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, "2.0.");
    // No prefetch holds what nobody will acknowledge.
    script.deliver(2, "2.0.", 1, "a");
    script.deliver(2, "2.0.", 2, "b");
    let given = script.deliveries(consumer);
    assert_eq!(bodies(&given), ["a", "b"]);
    assert_matches!(script.ack(&given[0]), Err(Error::NoAck(1)));
    script.expect_nothing();
}

#[test]
fn a_delivery_does_not_outlive_its_channel() {
    let mut script = consuming(Consume::new("work"));
    script.deliver(2, "2.0.", 1, "");
    let stale = one(&mut script);
    script.send(
        2,
        channel_close(
            406,
            "PRECONDITION_FAILED - delivery acknowledgement timed out",
        ),
    );
    script.expect(2, ChannelCloseOk {});
    assert_matches!(
        script.result(CONSUMER),
        Some(Err(Error::PreconditionFailed(_)))
    );
    assert_matches!(script.ack(&stale), Err(Error::StaleDelivery(1)));
    // Nor does it fit the next channel of that number.
    let consumer = script.consume(Consume::new("work"));
    script.write(usize::MAX);
    script.send(2, ChannelOpenOk::default());
    script.deliver(2, &format!("{consumer}.0."), 1, "");
    for _ in 0..3 {
        script.frame();
    }
    assert_matches!(script.ack(&stale), Err(Error::StaleDelivery(1)));
    script.expect_nothing();
    let fresh = script.deliveries(consumer).remove(0);
    script.ack(&fresh).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
}

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
    script.send(2, super::script::wire_declare_ok("a"));
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

#[test]
fn recover_takes_nothing_from_a_consumer_with_no_ack() {
    let mut script = consuming(Consume::new("q").no_ack(true));
    script.deliver(2, "2.0.", 1, "before");
    let recovered = script.promise();
    script
        .connection
        .recover(PromiseNumber(recovered), PromiseNumber(2));
    script.collect();
    script.expect(2, BasicRecover { requeue: true });
    script.deliver(2, "2.0.", 2, "meanwhile");
    script.send(2, BasicRecoverOk {});
    assert_matches!(script.result(recovered), Some(Ok(Outcome::Done)));
    assert_eq!(bodies(&script.deliveries(2)), ["before", "meanwhile"]);
}

#[test]
fn recover_has_all_that_is_with_the_user_come_again() {
    let mut script = consuming(Consume::new("q"));
    script.deliver(2, "2.0.", 1, "read");
    let read = one(&mut script);
    script.deliver(2, "2.0.", 2, "unread");
    let recovered = script.promise();
    script
        .connection
        .recover(PromiseNumber(recovered), PromiseNumber(2));
    script.collect();
    script.expect(2, BasicRecover { requeue: true });
    // The broker sent it before it took all of them back.
    script.deliver(2, "2.0.", 3, "meanwhile");
    script.send(2, BasicRecoverOk {});
    assert_matches!(script.result(recovered), Some(Ok(Outcome::Done)));
    assert_matches!(script.ack(&read), Err(Error::AlreadySettled(1)));
    script.deliver(2, "2.0.", 4, "read");
    assert_eq!(bodies(&script.deliveries(2)), ["read"]);
    script.expect_nothing();
}

#[test]
fn a_channel_error_ends_the_consumer_and_all_that_was_asked_of_it() {
    let mut script = consuming(Consume::new("work").prefetch_count(1));
    let promises = [
        script.qos(CONSUMER, 2),
        script.qos(CONSUMER, 3),
        script.cancel(CONSUMER),
    ];
    script.write(usize::MAX);
    script.send(
        2,
        channel_close(404, "NOT_FOUND - no queue 'work' in vhost '/'"),
    );
    for promise in [CONSUMER, promises[0], promises[1], promises[2]] {
        assert_matches!(script.result(promise), Some(Err(Error::NotFound(_))));
    }
    let late = script.qos(CONSUMER, 1);
    assert_matches!(script.result(late), Some(Err(Error::UnknownPromise(_))));
}

#[test]
fn arguments_that_no_frame_can_hold_are_refused() {
    let mut script = Script::connected_with(ClientOptions::new().frame_max(4096));
    let large = Consume::new("work").argument("x", "y".repeat(4100));
    let refused = script.consume(large);
    assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    script.expect_nothing();
}

fn got(script: &mut Script, promise: u64) -> Delivery {
    match script.result(promise) {
        Some(Ok(Outcome::Got(Some(delivery)))) => *delivery,
        other => panic!("{other:?}"),
    }
}

#[test]
fn get_of_an_empty_queue_is_none() {
    let mut script = Script::connected();
    let get = script.request(Request::Get(Get::new("work")));
    script.expect(2, ChannelOpen::default());
    script.expect(
        2,
        BasicGet {
            queue: b"work",
            ..Default::default()
        },
    );
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicGetEmpty::default());
    assert_matches!(script.result(get), Some(Ok(Outcome::Got(None))));
    script.declare("a");
    script.expect(2, wire_declare("a"));
}

#[test]
fn get_keeps_its_channel_until_the_delivery_is_settled() {
    let mut script = Script::connected();
    let get = script.request(Request::Get(Get::new("work")));
    script.expect(2, ChannelOpen::default());
    script.expect(
        2,
        BasicGet {
            queue: b"work",
            ..Default::default()
        },
    );
    script.send(2, ChannelOpenOk::default());
    let ok = BasicGetOk {
        delivery_tag: 1,
        redelivered: true,
        exchange: b"logs",
        routing_key: b"info",
        message_count: 5,
    };
    script.send_content(2, ok, &Properties::default(), b"hello");
    let delivery = got(&mut script, get);
    assert_eq!(
        (delivery.body_str(), delivery.message_count),
        ("hello".into(), 5)
    );
    assert_eq!(
        (&*delivery.exchange, &*delivery.routing_key),
        ("logs", "info")
    );
    assert_eq!(
        (&*delivery.consumer_tag, delivery.promise().number()),
        ("", get)
    );
    assert!(delivery.redelivered);
    script.declare("a");
    script.expect(3, ChannelOpen::default());
    script.expect(3, wire_declare("a"));
    script.ack(&delivery).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    assert_matches!(script.ack(&delivery), Err(Error::AlreadySettled(1)));
    script.declare("b");
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
}

#[test]
fn get_with_no_ack_frees_its_channel_at_once() {
    let mut script = Script::connected();
    let get = script.request(Request::Get(Get::new("work").no_ack(true)));
    script.expect(2, ChannelOpen::default());
    script.expect(
        2,
        BasicGet {
            queue: b"work",
            no_ack: true,
            ..Default::default()
        },
    );
    script.send(2, ChannelOpenOk::default());
    let ok = BasicGetOk {
        delivery_tag: 1,
        ..Default::default()
    };
    script.send_content(2, ok, &Properties::default(), b"");
    let delivery = got(&mut script, get);
    assert_matches!(script.ack(&delivery), Err(Error::NoAck(1)));
    script.declare("a");
    script.expect(2, wire_declare("a"));
}

#[test]
fn a_delivery_that_is_not_settled_may_leave_no_channel_for_others() {
    let mut script = Script::connected_with(ClientOptions::new().channel_max(2));
    let get = script.request(Request::Get(Get::new("work")));
    let waiting = script.declare("a");
    script.write(usize::MAX);
    script.send(2, ChannelOpenOk::default());
    let ok = BasicGetOk {
        delivery_tag: 1,
        ..Default::default()
    };
    script.send_content(2, ok, &Properties::default(), b"");
    got(&mut script, get);
    assert_matches!(script.result(waiting), Some(Err(Error::NoFreeChannel(1))));
}
