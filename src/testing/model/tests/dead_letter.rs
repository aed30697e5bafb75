//! Where messages go that nobody acknowledged, and what is written on them.

use super::*;

fn reject(world: &mut World, queue: &str) -> Message {
    let got = world.get(1, queue).expect("a message");
    world
        .model
        .nack(channel_key(1), got.delivery_tag, false, false)
        .unwrap();
    got.message
}

fn deaths(message: &Message) -> Vec<FieldTable> {
    let Some(FieldValue::Array(deaths)) = message.properties.headers().get("x-death") else {
        return Vec::new();
    };
    let tables = deaths.into_iter().map(|death| match death {
        FieldValue::Table(death) => death,
        other => panic!("{other:?}"),
    });
    tables.collect()
}

fn counts(message: &Message) -> Vec<(String, String, i64)> {
    let text = |death: &FieldTable, key| death.get(key).unwrap().as_str().unwrap().to_owned();
    let deaths = deaths(message).into_iter();
    let counts = deaths.map(|death| {
        let count = death.get("count").and_then(|count| count.as_i64()).unwrap();
        (text(&death, "queue"), text(&death, "reason"), count)
    });
    counts.collect()
}

#[test]
fn a_rejected_message_goes_on_with_its_history() {
    for version in [Version::V3, Version::V4] {
        let mut world = World::of(version);
        world.queue("dead");
        world.queue_with("q", dead_letters());
        let mut properties = headers(table("CC", texts(&["elsewhere"])).with("a", 1));
        properties.set_expiration("60000");
        properties.set_message_id("id");
        properties.set_delivery_mode(2);
        world.send_with("", "q", "m", properties);
        reject(&mut world, "q");
        let dead = world.get(1, "dead").unwrap().message;
        assert_eq!(
            (dead.exchange.as_str(), dead.routing_key.as_str()),
            ("", "dead")
        );
        assert_eq!(text(&dead), "m");
        let properties = &dead.properties;
        assert_eq!(properties.expiration(), None);
        assert_eq!(
            (properties.message_id(), properties.delivery_mode()),
            (Some("id"), Some(2))
        );
        let headers = properties.headers();
        assert_eq!(headers.get("a"), Some(1.into()));
        assert_eq!(headers.contains("CC"), version == Version::V4);
        for (name, value) in [("exchange", ""), ("queue", "q"), ("reason", "rejected")] {
            let first = headers.get(&format!("x-first-death-{name}"));
            assert_eq!(first, Some(value.into()));
            let last = headers.get(&format!("x-last-death-{name}"));
            assert_eq!(last, (version == Version::V4).then(|| value.into()));
        }
        let [death] = &deaths(&dead)[..] else {
            panic!("{headers:?}");
        };
        assert_eq!(death.get("count"), Some(1_i64.into()));
        assert_eq!(death.get("original-expiration"), Some("60000".into()));
        assert_eq!(death.get("routing-keys"), Some(texts(&["q", "elsewhere"])));
        assert!(matches!(death.get("time"), Some(FieldValue::Timestamp(_))));
    }
}

#[test]
fn without_a_key_of_its_own_a_dead_letter_keeps_the_messages() {
    let mut world = World::new();
    world.queue("dead");
    world.queue("copy");
    world.exchange("dlx", "direct");
    world.bind("dead", "dlx", "q");
    world.bind("copy", "dlx", "hidden");
    world.queue_with("q", table("x-dead-letter-exchange", "dlx"));
    world.send_with("", "q", "m", headers(table("BCC", texts(&["hidden"]))));
    reject(&mut world, "q");
    for queue in ["dead", "copy"] {
        let dead = world.get(1, queue).unwrap().message;
        assert_eq!(
            (dead.exchange.as_str(), dead.routing_key.as_str()),
            ("dlx", "q")
        );
    }
}

#[test]
fn a_message_that_goes_round_is_counted() {
    let mut world = World::new();
    let through = |queue: &'static str| {
        table("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", queue)
    };
    world.queue_with("work", through("wait"));
    world.queue_with("wait", through("work").with("x-message-ttl", 100));
    world.send("", "work", "m");
    let first = reject(&mut world, "work");
    assert_eq!(counts(&first), []);
    world.at(100);
    let second = reject(&mut world, "work");
    let entry = |queue: &str, reason: &str, count| (queue.to_owned(), reason.to_owned(), count);
    assert_eq!(
        counts(&second),
        [entry("wait", "expired", 1), entry("work", "rejected", 1)]
    );
    world.at(199);
    assert_eq!(world.get(1, "work"), None);
    world.at(200);
    let third = reject(&mut world, "work");
    assert_eq!(
        counts(&third),
        [entry("wait", "expired", 2), entry("work", "rejected", 2)]
    );
    let headers = third.properties.headers();
    assert_eq!(headers.get("x-first-death-reason"), Some("rejected".into()));
    assert_eq!(headers.get("x-last-death-reason"), Some("expired".into()));
}

#[test]
fn a_circle_that_nobody_rejects_in_is_cut() {
    let mut world = World::new();
    let to = |queue: &'static str| {
        table("x-dead-letter-exchange", "")
            .with("x-dead-letter-routing-key", queue)
            .with("x-message-ttl", 10)
    };
    world.queue_with("a", to("b"));
    world.queue_with("b", to("a"));
    world.queue_with("self", to("self"));
    world.send("", "a", "m");
    world.send("", "self", "m");
    world.at(10);
    assert_eq!((world.ready("a").len(), world.ready("b").len()), (0, 1));
    assert_eq!(world.ready("self").len(), 0);
    world.at(20);
    assert_eq!((world.ready("a").len(), world.ready("b").len()), (0, 0));
    assert_eq!(world.model.poll_timeout(), None);
}

#[test]
fn what_is_too_much_is_a_dead_letter() {
    let mut world = World::new();
    world.queue("dead");
    world.queue_with("head", dead_letters().with("x-max-length", 1));
    let refusing = dead_letters()
        .with("x-max-length", 1)
        .with("x-overflow", "reject-publish-dlx");
    world.queue_with("refuses", refusing);
    for queue in ["head", "refuses"] {
        for body in ["old", "new"] {
            let accepted = world.send("", queue, body).is_accepted;
            assert_eq!(accepted, (queue, body) != ("refuses", "new"));
        }
        let dead = world.get(1, "dead").unwrap().message;
        assert_eq!(text(&dead), if queue == "head" { "old" } else { "new" });
        assert_eq!(counts(&dead), [(queue.to_owned(), "maxlen".to_owned(), 1)]);
    }
}

#[test]
fn what_a_client_writes_into_the_history_counts_until_rabbitmq_4() {
    for (version, count) in [(Version::V3, 5), (Version::V4, 1)] {
        let mut world = World::of(version);
        world.queue("dead");
        world.queue_with("q", dead_letters());
        let death = table("count", 4_i64)
            .with("queue", "q")
            .with("reason", "rejected");
        let forged =
            table("x-death", vec![FieldValue::Table(death)]).with("x-first-death-queue", "foo");
        world.send_with("", "q", "m", headers(forged));
        reject(&mut world, "q");
        let dead = world.get(1, "dead").unwrap().message;
        assert_eq!(
            counts(&dead),
            [("q".to_owned(), "rejected".to_owned(), count)]
        );
        let first = dead.properties.headers().get("x-first-death-queue");
        let expected = if version == Version::V3 { "foo" } else { "q" };
        assert_eq!(first, Some(expected.into()));
    }
}

#[test]
fn a_dead_letter_for_which_nobody_is_there_is_gone() {
    let mut world = World::new();
    world.queue_with("q", table("x-dead-letter-exchange", "nope"));
    world.send("", "q", "m");
    reject(&mut world, "q");
    let queue = world.model.queue("/", "q").unwrap();
    assert!(queue.ready.is_empty() && queue.unacknowledged.is_empty());
}

#[test]
fn after_a_key_of_the_queues_own_the_copies_are_no_keys_any_more() {
    for version in [Version::V3, Version::V4] {
        let mut world = World::of(version);
        world.queue("elsewhere");
        world.queue("hidden");
        world.exchange("end", "fanout");
        world.queue("last");
        world.bind("last", "end", "");
        world.queue_with("dead2", table("x-dead-letter-exchange", "end"));
        world.queue_with(
            "q2",
            table("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "dead2"),
        );
        let keys = table("CC", texts(&["elsewhere"])).with("BCC", texts(&["hidden"]));
        world.send_with("", "q2", "m", headers(keys));
        for queue in ["elsewhere", "hidden"] {
            world.get(1, queue).unwrap();
        }
        for queue in ["q2", "dead2"] {
            reject(&mut world, queue);
        }
        let dead = world.get(1, "last").unwrap().message;
        assert_eq!(
            deaths(&dead)[0].get("routing-keys"),
            Some(texts(&["dead2"]))
        );
    }
}
