//! Deliveries are settled, or come back.

use super::*;

/// Messages "0" to "3", all out on channel 1 with tags 1 to 4.
fn four_out() -> World {
    let mut world = World::new();
    world.queue("q");
    for body in ["0", "1", "2", "3"] {
        world.send("", "q", body);
    }
    for _ in 0..4 {
        world.get(1, "q").unwrap();
    }
    world
}

#[test]
fn what_comes_back_finds_its_old_place() {
    let mut world = four_out();
    world.send("", "q", "4");
    let key = channel_key(1);
    world.model.nack(key, 3, false, true).unwrap();
    world.model.nack(key, 1, false, true).unwrap();
    assert_eq!(world.ready("q"), ["0", "2", "4"]);
    let queue = world.model.queue("/", "q").unwrap();
    let redelivered: Vec<_> = queue.ready.iter().map(|it| it.redelivered).collect();
    assert_eq!(redelivered, [true, true, false]);
    assert!(world.get(1, "q").unwrap().redelivered);
}

#[test]
fn multiple_is_all_up_to_a_tag_and_zero_is_all() {
    let mut world = four_out();
    let key = channel_key(1);
    world.model.ack(key, 2, true).unwrap();
    let queue = world.model.queue("/", "q").unwrap();
    let out: Vec<_> = queue
        .unacknowledged
        .iter()
        .map(|it| text(&it.message))
        .collect();
    assert_eq!(out, ["2", "3"]);
    world.model.nack(key, 0, true, true).unwrap();
    assert_eq!(world.ready("q"), ["2", "3"]);
    world.model.ack(key, 0, true).unwrap();
}

#[test]
fn a_tag_that_is_not_out_is_unknown() {
    let mut world = four_out();
    let key = channel_key(1);
    world.model.ack(key, 2, false).unwrap();
    for (tag, multiple) in [(2, false), (2, true), (7, false), (7, true), (0, false)] {
        let refused = world.model.ack(key, tag, multiple).unwrap_err();
        assert_eq!(refused.code, 406);
        assert_eq!(
            refused.text,
            format!("PRECONDITION_FAILED - unknown delivery tag {tag}")
        );
        assert_eq!(refused.scope, Scope::Channel);
    }
    // Of another channel.
    assert!(world.model.ack(channel_key(2), 1, false).is_err());
    assert_eq!(world.model.queue("/", "q").unwrap().unacknowledged.len(), 3);
}

#[test]
fn a_rejected_message_is_gone() {
    let mut world = four_out();
    world.model.nack(channel_key(1), 4, true, false).unwrap();
    let queue = world.model.queue("/", "q").unwrap();
    assert!(queue.ready.is_empty() && queue.unacknowledged.is_empty());
}

#[test]
fn recover_brings_all_back() {
    let mut world = four_out();
    let key = channel_key(1);
    world.consume(11, "q", "c");
    world.model.recover(key, true).unwrap();
    let bodies: Vec<_> = world.delivered().into_iter().map(|it| it.2).collect();
    assert_eq!(bodies, ["0", "1", "2", "3"]);
    world.model.recover(key, true).unwrap();
    let refused = world.model.recover(key, false).unwrap_err();
    assert_eq!(refused.text, "NOT_IMPLEMENTED - requeue=false");
    assert_eq!(refused.scope, Scope::Connection);
}

#[test]
fn a_channel_that_ends_gives_back_what_it_had() {
    let mut world = four_out();
    world.model.close_channel(channel_key(1));
    assert_eq!(world.ready("q"), ["0", "1", "2", "3"]);
    world.model.open_channel(channel_key(1));
    assert_eq!(world.get(1, "q").unwrap().delivery_tag, 1);
    world.model.disconnected(LinkId(0));
    assert_eq!(world.ready("q"), ["0", "1", "2", "3"]);
}

#[test]
fn nothing_comes_back_to_another_queue_of_the_same_name() {
    let mut world = four_out();
    world.model.delete_queue(on(1), "q", false, false).unwrap();
    world.queue("q");
    world.model.nack(channel_key(1), 0, true, true).unwrap();
    assert!(world.ready("q").is_empty());
}

#[test]
fn a_quorum_queue_counts_how_often_a_message_came_back() {
    for (version, first) in [(Version::V3, Some(0)), (Version::V4, None)] {
        let mut world = World::of(version);
        world.queue("dead");
        let mut arguments = table("x-queue-type", "quorum").with("x-delivery-limit", 2);
        arguments.extend(dead_letters().iter());
        world.queue_with("q", arguments);
        world.send("", "q", "m");
        for count in [first, Some(1), Some(2)] {
            let got = world.get(1, "q").unwrap();
            let header = got.message.properties.headers().get("x-delivery-count");
            assert_eq!(header, count.map(FieldValue::I64));
            world
                .model
                .nack(channel_key(1), got.delivery_tag, false, true)
                .unwrap();
        }
        assert_eq!(world.ready("q").len(), 0);
        let dead = world.get(1, "dead").unwrap().message;
        let reason = dead.properties.headers().get("x-first-death-reason");
        assert_eq!(reason, Some("delivery_limit".into()));
    }
}

#[test]
fn in_a_quorum_queue_what_comes_back_is_first_or_last() {
    let without = table("x-queue-type", "quorum");
    let limited = || table("x-queue-type", "quorum").with("x-delivery-limit", 9);
    for (version, arguments, expected) in [
        (Version::V3, without.clone(), ["3", "2", "0", "1"]),
        (Version::V3, limited(), ["2", "0", "1", "3"]),
        (Version::V4, without, ["2", "0", "1", "3"]),
    ] {
        let mut world = World::of(version);
        world.queue_with("q", arguments);
        for body in ["0", "1", "2", "3"] {
            world.send("", "q", body);
        }
        for _ in 0..3 {
            world.get(1, "q").unwrap();
        }
        for tag in [3, 1, 2] {
            world.model.nack(channel_key(1), tag, false, true).unwrap();
        }
        assert_eq!(world.ready("q"), expected);
    }
}

#[test]
fn a_quorum_queue_of_rabbitmq_4_lets_a_message_come_back_twenty_times() {
    for (version, limit) in [(Version::V3, None), (Version::V4, Some(20))] {
        let mut world = World::of(version);
        world.queue_with("q", table("x-queue-type", "quorum"));
        world.send("", "q", "m");
        for _ in 0..limit.unwrap_or(30) {
            world.get(1, "q").unwrap();
            world.model.recover(channel_key(1), true).unwrap();
        }
        world.get(1, "q").unwrap();
        world.model.recover(channel_key(1), true).unwrap();
        assert_eq!(world.ready("q").is_empty(), limit.is_some());
    }
}

#[test]
fn what_comes_back_to_a_full_queue_is_dropped_before_anybody_gets_it() {
    let mut world = World::new();
    world.queue("dead");
    let mut arguments = table("x-max-length", 2);
    arguments.extend(dead_letters().iter());
    world.queue_with("q", arguments);
    world.prefetch(1, 1);
    world.consume(1, "q", "c");
    for body in ["1", "2", "3"] {
        world.send("", "q", body);
    }
    assert_eq!(world.delivered(), [seen("c", 1, "1")]);
    world.model.nack(channel_key(1), 1, false, true).unwrap();
    assert_eq!(world.delivered(), [seen("c", 2, "2")]);
    assert_eq!(world.ready("dead"), ["1"]);
    assert_eq!(world.ready("q"), ["3"]);
}

#[test]
fn a_quorum_queue_counts_what_was_out_when_it_restarted() {
    let mut world = World::new();
    let arguments = table("x-queue-type", "quorum").with("x-delivery-limit", 1);
    world.queue_with("q", arguments);
    world.send("", "q", "m");
    world.get(1, "q").unwrap();
    world.model.restart();
    world.open(1, "guest");
    let got = world.get(1, "q").unwrap();
    let count = got.message.properties.headers().get("x-delivery-count");
    assert_eq!((got.redelivered, count), (true, Some(1_i64.into())));
    world.model.restart();
    assert!(world.ready("q").is_empty());
}
