//! Several connections, and connections that are lost.

use super::*;

#[test]
fn what_a_lost_connection_had_goes_to_others() {
    let mut world = World::new();
    let (link, other) = (world.open(), world.open());
    world.queue(link, "q");
    world.publish(link, "q", "x");
    world.say(link, 1, &consume("q", "t"));
    world.say(other, 1, &consume("q", "u"));
    assert_eq!(world.said(other), ["1 basic.consume-ok u"]);
    world.node.disconnected(world.now, link);
    assert_eq!(world.said(other), ["1 basic.deliver u 1 again = x"]);
    assert!(world.node.is_done(link) && !world.node.has_output(link));
    assert_eq!(world.node.open_links(), [other]);
}

#[test]
fn a_number_of_a_connection_is_never_used_twice() {
    let mut world = World::new();
    let first = world.open();
    world.node.disconnected(world.now, first);
    let second = world.open();
    assert!(first < second);
    // The old one is deaf and mute.
    world.send(first, &heartbeat());
    assert_eq!(world.node.take_output(first, 100), b"");
}

#[test]
fn another_connections_exclusive_queue_is_locked() {
    let mut world = World::new();
    let (link, other) = (world.open(), world.open());
    let own = wire::QueueDeclare {
        exclusive: true,
        ..declare("own")
    };
    world.say(link, 1, &own);
    world.say(other, 1, &declare("own"));
    let said = world.said(other);
    assert!(
        said[0].starts_with("1 channel.close RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'own' in vhost '/'"),
        "{said:?}"
    );
}

#[test]
fn a_restart_takes_connections_and_all_that_is_not_durable() {
    let mut world = World::new();
    let (link, early) = (world.open(), world.connect());
    let durable = wire::QueueDeclare {
        durable: true,
        ..declare("durable")
    };
    world.say(link, 1, &durable);
    world.say(link, 1, &declare("transient"));
    world.node.block("low on memory");
    world.node.restart(world.now);
    for link in [link, early] {
        assert!(world.node.is_done(link) && !world.node.has_output(link));
        world.node.disconnected(world.now, link);
    }
    assert_eq!(world.node.queue_names("/"), ["durable"]);
    let link = world.open();
    world.confirm(link, 1);
    world.publish(link, "durable", "x");
    assert_eq!(world.said(link), ["1 basic.ack 1"]);
}

#[test]
fn output_is_taken_in_any_pieces() {
    let mut world = World::new();
    let link = world.open();
    world.say(link, 1, &declare("q"));
    let mut bytes = Vec::new();
    while world.node.has_output(link) {
        let piece = world.node.take_output(link, 3);
        assert!((1..=3).contains(&piece.len()));
        bytes.extend(piece);
    }
    let ok = wire::QueueDeclareOk {
        queue: b"q",
        ..Default::default()
    };
    assert_eq!(bytes, method_frame(1, &ok));
}

#[test]
fn the_same_seed_is_the_same_life() {
    let life = |seed| {
        let mut world = World::with_seed(seed);
        let link = world.open();
        world.open_channel(link, 2);
        world.queue(link, "q");
        world.confirm(link, 1);
        world.say(link, 2, &consume("q", "t"));
        let bytes: Vec<u8> = (0..20)
            .flat_map(|_| publish(1, ("", "q"), false, "abc"))
            .collect();
        world.send(link, &bytes);
        world.node.take_output(link, usize::MAX)
    };
    assert_eq!(life(3), life(3));
    assert!((4..10).any(|seed| life(seed) != life(3)));
}
