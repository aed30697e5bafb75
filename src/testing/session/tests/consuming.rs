//! Deliveries, and what becomes of them.

use super::*;

/// A client that consumes from "q", with that prefetch, and messages "1" to "9" in it.
fn consumer(world: &mut World, prefetch_count: u16) -> LinkId {
    let link = world.open();
    world.queue(link, "q");
    for body in 1..=9 {
        world.publish(link, "q", &body.to_string());
    }
    let qos = wire::BasicQos {
        prefetch_count,
        ..Default::default()
    };
    world.say(link, 1, &qos);
    world.say(link, 1, &consume("q", "t"));
    assert_eq!(
        world.said(link)[..2],
        ["1 basic.qos-ok", "1 basic.consume-ok t"]
    );
    link
}

fn ack(delivery_tag: u64, multiple: bool) -> wire::BasicAck {
    wire::BasicAck {
        delivery_tag,
        multiple,
    }
}

#[test]
fn deliveries_come_after_consume_ok_in_order_within_the_prefetch() {
    for seed in 0..20 {
        let mut world = World::with_seed(seed);
        let link = world.open();
        world.queue(link, "q");
        for body in ["1", "2", "3"] {
            world.publish(link, "q", body);
        }
        let qos = wire::BasicQos {
            prefetch_count: 2,
            ..Default::default()
        };
        world.say(link, 1, &qos);
        world.say(link, 1, &consume("q", "t"));
        assert_eq!(
            world.said(link),
            [
                "1 basic.qos-ok",
                "1 basic.consume-ok t",
                "1 basic.deliver t 1 = 1",
                "1 basic.deliver t 2 = 2"
            ]
        );
        world.say(link, 1, &ack(2, false));
        assert_eq!(world.said(link), ["1 basic.deliver t 3 = 3"]);
    }
}

#[test]
fn an_ack_of_many_makes_room_for_many_and_a_wrong_one_closes_the_channel() {
    let mut world = World::new();
    let link = consumer(&mut world, 3);
    world.say(link, 1, &ack(3, true));
    assert_eq!(world.said(link).len(), 3);
    world.say(link, 1, &ack(3, false));
    let text = "1 channel.close PRECONDITION_FAILED - unknown delivery tag 3 60.80";
    assert_eq!(world.said(link), [text]);
    let queue = world.node.queue("/", "q").unwrap();
    let bodies: Vec<&[u8]> = queue
        .ready
        .iter()
        .map(|view| &view.message.body[..])
        .collect();
    assert_eq!(bodies, [b"4", b"5", b"6", b"7", b"8", b"9"]);
}

#[test]
fn what_is_rejected_goes_or_comes_again() {
    let mut world = World::new();
    let link = consumer(&mut world, 1);
    let reject = |delivery_tag, requeue| wire::BasicReject {
        delivery_tag,
        requeue,
    };
    world.say(link, 1, &reject(1, true));
    assert_eq!(world.said(link), ["1 basic.deliver t 2 again = 1"]);
    world.say(link, 1, &reject(2, false));
    assert_eq!(world.said(link), ["1 basic.deliver t 3 = 2"]);
    let nack = wire::BasicNack {
        delivery_tag: 3,
        multiple: false,
        requeue: true,
    };
    world.say(link, 1, &nack);
    assert_eq!(world.said(link), ["1 basic.deliver t 4 again = 2"]);
    world.say(link, 1, &wire::BasicRecover { requeue: true });
    assert_eq!(
        world.said(link),
        ["1 basic.recover-ok", "1 basic.deliver t 5 again = 2"]
    );
}

#[test]
fn get_takes_one_and_says_how_many_are_left() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.publish(link, "q", "1");
    world.publish(link, "q", "");
    let get = wire::BasicGet {
        queue: b"q",
        no_ack: true,
        ..Default::default()
    };
    for _ in 0..3 {
        world.say(link, 1, &get);
    }
    assert_eq!(
        world.said(link),
        [
            "1 basic.get-ok 1 +1 = 1",
            "1 basic.get-ok 2 +0 = ",
            "1 basic.get-empty"
        ]
    );
}

#[test]
fn a_cancelled_consumer_keeps_what_it_has_and_gets_no_more() {
    let mut world = World::new();
    let link = consumer(&mut world, 1);
    let cancel = wire::BasicCancel {
        consumer_tag: b"t",
        no_wait: false,
    };
    world.say(link, 1, &cancel);
    world.say(link, 1, &ack(1, false));
    assert_eq!(world.said(link), ["1 basic.cancel-ok t"]);
    world.say(link, 1, &cancel);
    assert_eq!(world.said(link), ["1 basic.cancel-ok t"]);
}

#[test]
fn a_consumer_whose_queue_goes_is_told_if_its_client_can_take_it() {
    for (capabilities, told) in [
        (&["consumer_cancel_notify"][..], &["1 basic.cancel t"][..]),
        (&[], &[]),
    ] {
        let mut world = World::new();
        world.capabilities = capabilities;
        let link = consumer(&mut world, 1);
        let _ = world.node.delete_queue("/", "q").unwrap();
        assert_eq!(world.said(link), told);
    }
    let mut world = World::new();
    let link = consumer(&mut world, 1);
    world.node.cancel_consumers("/", "q");
    assert_eq!(world.said(link), ["1 basic.cancel t"]);
}

#[test]
fn a_body_is_cut_to_the_frames_that_were_agreed_on() {
    for seed in 0..10 {
        let mut world = World::with_seed(seed);
        let link = world.open_with(10, 4096, 0);
        world.open_channel(link, 1);
        world.queue(link, "q");
        let message = crate::testing::model::Publish {
            routing_key: "q",
            body: "x".repeat(10_000).into(),
            ..Default::default()
        };
        world.node.publish("/", message).unwrap();
        world.say(link, 1, &consume("q", "t"));
        let mut bytes = BytesMut::from(&world.node.take_output(link, usize::MAX)[..]);
        let mut body = 0;
        while let Some(frame) = split_frame(&mut bytes, 4096).unwrap() {
            if frame.kind == FRAME_BODY {
                body += frame.payload.len();
            }
        }
        assert_eq!(body, 10_000);
    }
}

#[test]
fn a_tag_that_is_taken_closes_the_connection() {
    let mut world = World::new();
    let link = consumer(&mut world, 1);
    world.say(link, 1, &consume("q", "t"));
    let text = "0 connection.close NOT_ALLOWED - attempt to reuse consumer tag 't' 60.20";
    assert_eq!(world.said(link), [text]);
    let queue = world.node.queue("/", "q").unwrap();
    assert_eq!((queue.ready.len(), queue.consumers.len()), (9, 0));
}
