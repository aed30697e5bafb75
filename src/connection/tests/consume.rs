//! Consumers: how they start, deliver, change their prefetch and end; and `basic.get`.

use super::consuming::{CONSUMER, bodies, consume_ok, consuming, expect_consume, expect_qos, one};
use super::frames::{channel_close, content_of};
use super::script::{EPOCH, Script};
use crate::ClientOptions;
use crate::connection::Settle;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::types::requests::{Consume, ConsumeMulti, Requeue};
use crate::types::results::Outcome;
use crate::wire::{
    Arena, BasicAck, BasicConsume, BasicDeliver, BasicNack, BasicQosOk, BasicRecover,
    BasicRecoverOk, BasicReturn, ChannelCloseOk, ChannelOpen, ChannelOpenOk, ConfirmSelectOk,
    ContentHeader, FRAME_HEADER, FieldTable, FieldValue, Properties,
};

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
