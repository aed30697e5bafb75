//! Who gets what.

use super::*;

#[test]
fn consumers_take_turns() {
    let mut world = World::new();
    world.queue("q");
    world.send("", "q", "waiting");
    world.consume(1, "q", "a");
    assert_eq!(world.delivered(), [seen("a", 1, "waiting")]);
    world.consume(11, "q", "b");
    for body in ["1", "2", "3"] {
        world.send("", "q", body);
    }
    let expected = [seen("a", 2, "1"), seen("b", 1, "2"), seen("a", 3, "3")];
    assert_eq!(world.delivered(), expected);
    let queue = world.model.queue("/", "q").unwrap();
    assert_eq!((queue.ready.len(), queue.unacknowledged.len()), (0, 4));
}

#[test]
fn a_consumer_gets_no_more_than_its_prefetch() {
    let mut world = World::new();
    world.queue("q");
    world.prefetch(1, 2);
    world.consume(1, "q", "a");
    world.prefetch(1, 1);
    world.consume(1, "q", "b");
    for body in ["1", "2", "3", "4", "5"] {
        world.send("", "q", body);
    }
    let expected = [seen("a", 1, "1"), seen("b", 2, "2"), seen("a", 3, "3")];
    assert_eq!(world.delivered(), expected);
    assert_eq!(world.ready("q"), ["4", "5"]);
    world.model.ack(channel_key(1), 2, false).unwrap();
    assert_eq!(world.delivered(), [seen("b", 4, "4")]);
    world.model.nack(channel_key(1), 1, false, false).unwrap();
    assert_eq!(world.delivered(), [seen("a", 5, "5")]);
}

#[test]
fn a_prefetch_may_be_for_the_whole_channel() {
    let mut world = World::new();
    world.queue("q");
    let key = channel_key(1);
    world.model.qos(key, 0, 2, true).unwrap();
    world.consume(1, "q", "a");
    world.consume(1, "q", "b");
    for body in ["1", "2", "3", "4"] {
        world.send("", "q", body);
    }
    assert_eq!(world.delivered().len(), 2);
    // It holds at once for those that are there.
    world.model.qos(key, 0, 3, true).unwrap();
    assert_eq!(world.delivered(), [seen("a", 3, "3")]);
    // What basic.get took does not count.
    world.get(1, "q").unwrap();
    world.model.ack(key, 1, false).unwrap();
    world.send("", "q", "5");
    assert_eq!(world.delivered(), [seen("b", 5, "5")]);
    world.send("", "q", "6");
    assert_eq!(world.delivered(), []);
    // A cancelled consumer's deliveries do.
    world.model.cancel(key, "a");
    world.model.ack(key, 3, false).unwrap();
    assert_eq!(world.delivered(), [seen("b", 6, "6")]);
}

#[test]
fn who_acknowledges_nothing_gets_everything() {
    let mut world = World::new();
    world.queue("q");
    world.prefetch(1, 1);
    let consume = Consume {
        queue: "q",
        tag: "c",
        no_ack: true,
        ..Consume::default()
    };
    world.model.consume(channel_key(1), consume).unwrap();
    world.send("", "q", "1");
    world.send("", "q", "2");
    assert_eq!(world.delivered(), [seen("c", 1, "1"), seen("c", 2, "2")]);
    assert!(
        world
            .model
            .queue("/", "q")
            .unwrap()
            .unacknowledged
            .is_empty()
    );
    assert!(world.model.ack(channel_key(1), 1, false).is_err());
}

#[test]
fn a_consumer_of_higher_priority_comes_first_while_it_has_room() {
    let mut world = World::new();
    world.queue("q");
    world.consume_with(1, "q", "low", table("x-priority", 1));
    world.consume_with(1, "q", "high", table("x-priority", 5));
    world.prefetch(1, 1);
    world.consume_with(1, "q", "narrow", table("x-priority", 5));
    for body in ["1", "2", "3", "4"] {
        world.send("", "q", body);
    }
    let tags: Vec<_> = world.delivered().into_iter().map(|it| it.0).collect();
    assert_eq!(tags, ["high", "narrow", "high", "high"]);
    world.model.cancel(channel_key(1), "high");
    world.send("", "q", "5");
    assert_eq!(world.delivered(), [seen("low", 5, "5")]);
}

#[test]
fn of_single_active_consumers_the_next_begins_when_the_first_ends() {
    let mut world = World::new();
    world.queue_with("q", table("x-single-active-consumer", true));
    world.prefetch(1, 1);
    world.consume(1, "q", "a");
    world.consume_with(11, "q", "b", table("x-priority", 5));
    for body in ["1", "2", "3"] {
        world.send("", "q", body);
    }
    assert_eq!(world.delivered(), [seen("a", 1, "1")]);
    world.model.close_channel(channel_key(1));
    let expected = [seen("b", 1, "1"), seen("b", 2, "2"), seen("b", 3, "3")];
    assert_eq!(world.delivered(), expected);
}

#[test]
fn an_exclusive_consumer_is_the_only_one() {
    let mut world = World::new();
    world.queue("q");
    let exclusive = Consume {
        queue: "q",
        tag: "a",
        exclusive: true,
        ..Consume::default()
    };
    world
        .model
        .consume(channel_key(1), exclusive.clone())
        .unwrap();
    assert!(
        world
            .model
            .consume(channel_key(11), exclusive.clone())
            .is_err()
    );
    world.model.cancel(channel_key(1), "a");
    world.model.consume(channel_key(11), exclusive).unwrap();
}

#[test]
fn a_tag_is_made_if_none_is_given() {
    let mut world = World::new();
    world.queue("q");
    let consume = Consume {
        queue: "q",
        ..Consume::default()
    };
    let first = world
        .model
        .consume(channel_key(1), consume.clone())
        .unwrap();
    let second = world.model.consume(channel_key(1), consume).unwrap();
    assert!(first.starts_with("amq.ctag-") && first != second);
}

#[test]
fn what_is_not_acknowledged_stays_so_when_its_consumer_is_cancelled() {
    let mut world = World::new();
    world.queue("q");
    world.send("", "q", "m");
    world.consume(1, "q", "a");
    world.model.cancel(channel_key(1), "a");
    world.model.cancel(channel_key(1), "a");
    assert_eq!(world.ready("q").len(), 0);
    world.model.ack(channel_key(1), 1, false).unwrap();
    world.model.close_channel(channel_key(1));
    assert_eq!(world.ready("q").len(), 0);
}

#[test]
fn get_says_what_is_left() {
    let mut world = World::new();
    world.queue("q");
    assert_eq!(world.get(1, "q"), None);
    world.send("", "q", "a");
    world.send("", "q", "b");
    let got = world.get(1, "q").unwrap();
    assert_eq!(
        (got.delivery_tag, got.redelivered, got.message_count),
        (1, false, 1)
    );
    let got = world.model.get(on(1), "q", true).unwrap().unwrap();
    assert_eq!((got.delivery_tag, text(&got.message)), (2, "b".into()));
    assert_eq!(world.model.queue("/", "q").unwrap().unacknowledged.len(), 1);
}

#[test]
fn a_consumer_that_was_full_goes_to_the_end_of_the_row() {
    let mut world = World::new();
    world.queue("q");
    world.prefetch(1, 1);
    world.consume(1, "q", "a");
    world.consume(11, "q", "b");
    for body in ["1", "2", "3", "4"] {
        world.send("", "q", body);
    }
    let tags: Vec<_> = world.delivered().into_iter().map(|it| it.0).collect();
    assert_eq!(tags, ["a", "b", "b", "b"]);
    world.model.ack(channel_key(1), 1, false).unwrap();
    for body in ["5", "6", "7", "8"] {
        world.send("", "q", body);
    }
    let tags: Vec<_> = world.delivered().into_iter().map(|it| it.0).collect();
    assert_eq!(tags, ["b", "a", "b", "b"]);
}

#[test]
fn in_a_quorum_queue_of_rabbitmq_4_a_higher_priority_becomes_the_single_active_one() {
    for (version, takes_over) in [(Version::V3, false), (Version::V4, true)] {
        let mut world = World::of(version);
        let single = table("x-single-active-consumer", true);
        world.queue_with("q", single.with("x-queue-type", "quorum"));
        world.prefetch(1, 2);
        world.consume(1, "q", "a");
        for body in ["0", "1", "2", "3"] {
            world.send("", "q", body);
        }
        assert_eq!(world.delivered(), [seen("a", 1, "0"), seen("a", 2, "1")]);
        world.consume_with(11, "q", "p", table("x-priority", 5));
        world.model.ack(channel_key(1), 1, false).unwrap();
        let next = world.delivered();
        if takes_over {
            assert_eq!(next, []);
            world.model.ack(channel_key(1), 2, false).unwrap();
            assert_eq!(world.delivered(), [seen("p", 1, "2"), seen("p", 2, "3")]);
        } else {
            assert_eq!(next, [seen("a", 3, "2")]);
        }
        let refused = world.model.get(on(1), "q", false).unwrap_err();
        assert_eq!(
            refused.text,
            "RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get operations are not supported by \
             quorum queues with single active consumer"
        );
        assert_eq!((refused.code, refused.scope), (405, Scope::Channel));
    }
}

#[test]
fn get_does_not_count_what_is_too_old_behind_it() {
    let mut world = World::new();
    world.queue("q");
    for (body, expiration) in [("first", "10000"), ("second", "50"), ("third", "0")] {
        let mut properties = Properties::default();
        properties.set_expiration(expiration);
        world.send_with("", "q", body, properties);
    }
    world.at(600);
    assert_eq!(world.get(1, "q").unwrap().message_count, 0);
}
