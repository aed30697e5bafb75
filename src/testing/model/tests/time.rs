//! What happens by itself.

use super::*;

fn expiring(milliseconds: &str) -> Properties {
    let mut properties = Properties::default();
    properties.set_expiration(milliseconds);
    properties
}

#[test]
fn messages_expire_by_the_shorter_of_their_own_time_and_the_queues() {
    let mut world = World::new();
    world.queue_with("q", table("x-message-ttl", 50));
    world.send_with("", "q", "short", expiring("20"));
    world.send_with("", "q", "long", expiring("80"));
    world.send("", "q", "plain");
    let start = world.start;
    let next = |world: &World| world.model.poll_timeout().map(|at| at - start);
    assert_eq!(next(&world), Some(Duration::from_millis(20)));
    world.at(19);
    assert_eq!(world.ready("q"), ["short", "long", "plain"]);
    world.at(20);
    assert_eq!(world.ready("q"), ["long", "plain"]);
    assert_eq!(next(&world), Some(Duration::from_millis(50)));
    world.at(49);
    assert_eq!(world.ready("q").len(), 2);
    world.at(50);
    assert_eq!(world.ready("q").len(), 0);
    assert_eq!(next(&world), None);
}

#[test]
fn only_the_first_message_expires_as_in_classic_queues() {
    let mut world = World::new();
    world.queue("q");
    world.send("", "q", "first");
    world.send_with("", "q", "second", expiring("10"));
    world.at(20);
    assert_eq!(world.ready("q"), ["first", "second"]);
    // When it becomes the first it is gone, and nobody gets it.
    world.consume(1, "q", "c");
    assert_eq!(world.delivered(), [seen("c", 1, "first")]);
    assert_eq!(world.ready("q").len(), 0);
}

#[test]
fn what_comes_back_too_late_is_gone() {
    let mut world = World::new();
    world.queue_with("q", table("x-message-ttl", 10));
    world.send("", "q", "m");
    world.get(1, "q").unwrap();
    world.at(10);
    assert_eq!(world.model.queue("/", "q").unwrap().unacknowledged.len(), 1);
    world.model.recover(channel_key(1), true).unwrap();
    assert_eq!(world.ready("q").len(), 0);
}

#[test]
fn a_message_without_any_time_is_delivered_if_somebody_waits() {
    let mut world = World::new();
    world.queue("q");
    world.send_with("", "q", "nobody", expiring("0"));
    assert_eq!(world.ready("q").len(), 0);
    world.consume(1, "q", "c");
    world.send_with("", "q", "somebody", expiring("0"));
    assert_eq!(world.delivered(), [seen("c", 1, "somebody")]);
}

#[test]
fn get_never_gives_what_is_too_old() {
    let mut world = World::new();
    world.queue("q");
    world.send("", "q", "first");
    world.send_with("", "q", "old", expiring("10"));
    world.send("", "q", "last");
    world.at(20);
    let bodies: Vec<_> = (0..2)
        .map(|_| text(&world.get(1, "q").unwrap().message))
        .collect();
    assert_eq!(bodies, ["first", "last"]);
}

#[test]
fn a_queue_that_nobody_uses_goes() {
    let mut world = World::new();
    world.queue_with("q", table("x-expires", 100));
    world.at(90);
    world.get(1, "q");
    world.at(180);
    world.queue_with("q", table("x-expires", 100));
    world.at(270);
    world.consume(1, "q", "c");
    assert_eq!(world.model.poll_timeout(), None);
    world.at(1000);
    world.model.cancel(channel_key(1), "c");
    world.at(1099);
    assert!(world.has_queue("q"));
    world.at(1100);
    assert!(!world.has_queue("q"));
}

#[test]
fn many_things_happen_in_their_order_however_late_one_asks() {
    let mut world = World::new();
    world.queue("end");
    let next = |queue: &'static str| {
        table("x-dead-letter-exchange", "")
            .with("x-dead-letter-routing-key", queue)
            .with("x-message-ttl", 1000)
    };
    world.queue_with("b", next("end"));
    world.queue_with("a", next("b").with("x-expires", 5000));
    world.send("", "a", "m");
    world.at(3_600_000);
    assert_eq!(world.ready("end"), ["m"]);
    assert!(!world.has_queue("a") && world.has_queue("b"));
}
