//! Where messages go.

use super::*;

#[test]
fn the_default_exchange_has_every_queue_by_its_name() {
    let mut world = World::new();
    world.queue("q");
    let routed = Published {
        is_routed: true,
        is_accepted: true,
    };
    assert_eq!(world.send("", "q", "a"), routed);
    let nowhere = Published {
        is_routed: false,
        ..routed
    };
    assert_eq!(world.send("", "nope", "b"), nowhere);
    assert_eq!(world.ready("q"), ["a"]);
    let published = world.model.published().iter();
    let published: Vec<_> = published
        .map(|it| (text(&it.message), it.is_routed))
        .collect();
    assert_eq!(published, [("a".into(), true), ("b".into(), false)]);
}

#[test]
fn each_kind_of_exchange_routes_its_way_and_a_queue_gets_a_message_once() {
    let mut world = World::new();
    for queue in ["one", "two"] {
        world.queue(queue);
    }
    world.bind("one", "amq.direct", "a");
    world.bind("two", "amq.direct", "b");
    world.bind("one", "amq.topic", "a.*");
    world.bind("one", "amq.topic", "#.b");
    world.bind("two", "amq.topic", "a");
    world.bind("one", "amq.fanout", "whatever");
    world.bind("one", "amq.fanout", "more");
    world.bind("two", "amq.fanout", "");
    for (exchange, key, one, two) in [
        ("amq.direct", "a", 1, 0),
        ("amq.direct", "c", 0, 0),
        ("amq.topic", "a.b", 1, 0),
        ("amq.topic", "a", 0, 1),
        ("amq.fanout", "z", 1, 1),
    ] {
        let published = world.send(exchange, key, "m");
        assert_eq!(published.is_routed, one + two > 0, "{exchange} {key}");
        assert_eq!(
            world.model.purge_queue(on(1), "one"),
            Ok(one),
            "{exchange} {key}"
        );
        assert_eq!(
            world.model.purge_queue(on(1), "two"),
            Ok(two),
            "{exchange} {key}"
        );
    }
}

#[test]
fn an_exchange_may_be_bound_to_another_even_in_a_circle() {
    let mut world = World::new();
    world.queue("q");
    for exchange in ["a", "b", "c"] {
        world.exchange(exchange, "fanout");
    }
    for (source, destination) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let bind = Bind {
            source,
            destination,
            ..Bind::default()
        };
        world.model.bind_exchange(on(1), bind).unwrap();
    }
    world.bind("q", "c", "");
    assert!(world.send("a", "", "once").is_routed);
    assert_eq!(world.ready("q"), ["once"]);
}

#[test]
fn an_alternate_exchange_gets_what_matches_nothing() {
    let mut world = World::new();
    world.queue("known");
    world.queue("other");
    world.exchange("rest", "fanout");
    world.bind("other", "rest", "");
    let declare = ExchangeDeclare {
        exchange: "x",
        kind: "direct",
        arguments: table("alternate-exchange", "rest"),
        ..ExchangeDeclare::default()
    };
    world.model.declare_exchange(on(1), declare).unwrap();
    world.bind("known", "x", "k");
    world.send("x", "k", "a");
    assert!(world.send("x", "z", "b").is_routed);
    assert_eq!(
        (world.ready("known"), world.ready("other")),
        (vec!["a".into()], vec!["b".into()])
    );
    // Nobody minds if it is not there.
    world.model.delete_exchange(on(1), "rest", false).unwrap();
    assert!(!world.send("x", "z", "c").is_routed);
}

#[test]
fn copies_go_to_the_keys_in_cc_and_bcc_and_nobody_sees_bcc() {
    let mut world = World::new();
    for queue in ["to", "cc", "bcc"] {
        world.queue(queue);
    }
    let with = FieldTable::new()
        .with("CC", texts(&["cc"]))
        .with("BCC", texts(&["bcc"]));
    world.send_with("", "to", "m", headers(with));
    for queue in ["to", "cc", "bcc"] {
        let message = world.get(1, queue).unwrap().message;
        assert_eq!(message.routing_key, "to");
        assert_eq!(*message.properties.headers(), table("CC", texts(&["cc"])));
    }
}

#[test]
fn a_queue_that_is_full_loses_its_first_message() {
    let mut world = World::new();
    world.queue_with("count", table("x-max-length", 2));
    world.queue_with("bytes", table("x-max-length-bytes", 5));
    for body in ["aa", "bb", "cc"] {
        for queue in ["count", "bytes"] {
            assert!(world.send("", queue, body).is_accepted);
        }
    }
    assert_eq!(world.ready("count"), ["bb", "cc"]);
    assert_eq!(world.ready("bytes"), ["bb", "cc"]);
    // One that is not acknowledged does not count.
    world.get(1, "count");
    world.send("", "count", "dd");
    assert_eq!(world.ready("count"), ["cc", "dd"]);
    // Nor does one that somebody takes at once.
    world.queue_with("none", table("x-max-length", 0));
    world.consume(1, "none", "c");
    world.send("", "none", "straight");
    assert_eq!(world.delivered(), [seen("c", 2, "straight")]);
}

#[test]
fn a_queue_may_refuse_what_is_too_much() {
    let mut world = World::new();
    let refusing = |max: i32| table("x-max-length", max).with("x-overflow", "reject-publish");
    world.queue_with("one", refusing(1));
    world.queue("other");
    for queue in ["one", "other"] {
        world.bind(queue, "amq.fanout", "");
    }
    assert!(world.send("amq.fanout", "", "a").is_accepted);
    let refused = world.send("amq.fanout", "", "b");
    assert_eq!((refused.is_routed, refused.is_accepted), (true, false));
    assert_eq!(
        (world.ready("one"), world.ready("other")),
        (vec!["a".into()], vec!["a".into(), "b".into()])
    );
    assert_eq!(world.model.published().len(), 1);
    // Even if a consumer waits: RabbitMQ looks at the limit first.
    world.queue_with("none", refusing(0));
    world.consume(1, "none", "c");
    assert!(!world.send("", "none", "c").is_accepted);
}

#[test]
fn the_next_messages_are_refused_on_demand_but_only_where_somebody_is_told() {
    let mut world = World::new();
    world.queue("q");
    world.model.nack_next(2);
    let silent = Publish {
        routing_key: "q",
        body: Bytes::from_static(b"silent"),
        ..Publish::default()
    };
    assert!(world.model.publish(on(1), silent).unwrap().is_accepted);
    for accepted in [false, false, true] {
        assert_eq!(world.send("", "q", "m").is_accepted, accepted);
    }
    assert_eq!(world.ready("q"), ["silent", "m"]);
    assert_eq!(world.model.published().len(), 2);
}

#[test]
fn messages_of_higher_priority_are_in_front() {
    let mut world = World::new();
    world.queue_with("q", table("x-max-priority", 3).with("x-max-length", 3));
    for (body, priority) in [
        ("a", None),
        ("b", Some(3)),
        ("c", Some(9)),
        ("d", Some(1)),
        ("e", Some(0)),
    ] {
        let mut properties = Properties::default();
        if let Some(priority) = priority {
            properties.set_priority(priority);
        }
        world.send_with("", "q", body, properties);
    }
    // The first ones went, as in RabbitMQ: those of the highest priority.
    assert_eq!(world.ready("q"), ["d", "a", "e"]);
    // A queue without it does not care.
    world.queue("plain");
    let mut properties = Properties::default();
    properties.set_priority(5);
    world.send("", "plain", "first");
    world.send_with("", "plain", "second", properties);
    assert_eq!(world.ready("plain"), ["first", "second"]);
}

#[test]
fn a_quorum_queue_has_two_levels_since_rabbitmq_4_and_neither_starves() {
    let sent = ["a", "b", "c", "A", "B", "C", "D"];
    for (version, expected) in [
        (Version::V3, sent),
        (Version::V4, ["A", "B", "a", "C", "D", "b", "c"]),
    ] {
        let mut world = World::of(version);
        world.queue_with("q", table("x-queue-type", "quorum"));
        for body in sent {
            let mut properties = Properties::default();
            let is_high = body < "a";
            properties.set_priority(if is_high { 5 } else { 4 });
            world.send_with("", "q", body, properties);
        }
        let got = expected.map(|_| text(&world.get(1, "q").unwrap().message));
        assert_eq!(got, expected);
    }
}

#[test]
fn a_quorum_queue_refuses_when_it_is_too_late() {
    let mut world = World::new();
    let limited = table("x-max-length", 2).with("x-overflow", "reject-publish");
    world.queue_with("q", limited.with("x-queue-type", "quorum"));
    for accepted in [true, true, true, false] {
        assert_eq!(world.send("", "q", "m").is_accepted, accepted);
    }
    // And lets nobody in before it is at 80 % of its limit.
    world.get(1, "q").unwrap();
    assert!(!world.send("", "q", "m").is_accepted);
    world.get(1, "q").unwrap();
    assert!(world.send("", "q", "m").is_accepted);
}

#[test]
fn a_reply_goes_straight_to_the_channel_that_asked() {
    let mut world = World::new();
    let replies = Consume {
        queue: "amq.rabbitmq.reply-to",
        tag: "t",
        no_ack: true,
        ..Consume::default()
    };
    world
        .model
        .consume(channel_key(1), replies.clone())
        .unwrap();
    let again = world.model.consume(channel_key(1), replies).unwrap_err();
    assert_eq!(
        again.text,
        "PRECONDITION_FAILED - reply consumer already set"
    );
    world.queue("service");
    let mut request = Properties::default();
    request.set_reply_to("amq.rabbitmq.reply-to");
    world.send_with("", "service", "request", request);
    let request = world.get(11, "service").unwrap().message;
    let reply_to = request.properties.reply_to().unwrap().to_owned();
    assert!(reply_to.starts_with("amq.rabbitmq.reply-to."), "{reply_to}");
    let is_there = |world: &mut World| {
        let passive = QueueDeclare {
            queue: &reply_to,
            passive: true,
            ..QueueDeclare::default()
        };
        world.model.declare_queue(on(11), passive).is_ok()
    };
    assert!(is_there(&mut world));
    let reply = Publish {
        routing_key: &reply_to,
        body: Bytes::from_static(b"reply"),
        ..Publish::default()
    };
    // RabbitMQ says so until 4.2.
    assert!(
        !world
            .model
            .publish(on(11), reply.clone())
            .unwrap()
            .is_routed
    );
    assert_eq!(world.delivered(), [seen("t", 1, "reply")]);
    world.model.cancel(channel_key(1), "t");
    assert!(!is_there(&mut world));
    world.model.publish(on(11), reply).unwrap();
    assert_eq!(world.delivered(), []);
}
