//! Heartbeats, both ways.

use super::*;

#[test]
fn a_silent_client_gets_heartbeats_and_is_cut_off_after_the_second_look() {
    let mut world = World::new();
    let link = world.open_with(10, 131_072, 2);
    // The answer to connection.open was enough.
    world.pass(1);
    assert_eq!(world.said(link), Vec::<String>::new());
    for _ in 0..4 {
        world.pass(1);
        assert_eq!(world.said(link), ["heartbeat"]);
    }
    assert!(!world.node.is_done(link));
    world.pass(1);
    assert!(world.node.is_done(link));
}

#[test]
fn a_client_that_sends_heartbeats_lives() {
    let mut world = World::new();
    let link = world.open_with(10, 131_072, 10);
    for _ in 0..100 {
        world.pass(10);
        world.send(link, &heartbeat());
    }
    assert!(world.node.open_links().contains(&link));
}

#[test]
fn heartbeats_do_not_pile_up_for_who_does_not_read() {
    let mut world = World::new();
    let link = world.open_with(10, 131_072, 10);
    for _ in 0..100 {
        world.pass(10);
        world.send(link, &heartbeat());
    }
    assert_eq!(world.said(link), ["heartbeat"]);
}

#[test]
fn zero_is_no_heartbeat_and_no_end() {
    let mut world = World::new();
    let link = world.open();
    assert_eq!(world.node.poll_timeout(), None);
    world.pass(10_000);
    assert_eq!(world.said(link), Vec::<String>::new());
    assert!(world.node.open_links().contains(&link));
}

#[test]
fn only_heartbeats_are_not_the_next_event() {
    let mut world = World::new();
    let link = world.open_with(10, 131_072, 10);
    assert_eq!(world.node.next_event(), None);
    let first = world.now + Duration::from_secs(5);
    assert_eq!(world.node.poll_timeout(), Some(first));
    world
        .node
        .close_link(world.now, link, 320, "CONNECTION_FORCED - by a test");
    assert!(
        world.node.next_event().is_some(),
        "it may be cut off by itself"
    );
}

#[test]
fn who_is_not_read_because_of_an_alarm_misses_none() {
    let mut world = World::new();
    let link = world.open_with(10, 131_072, 2);
    world.open_channel(link, 1);
    world.queue(link, "q");
    world.node.block("low on memory");
    world.publish(link, "q", "x");
    assert_eq!(world.said(link), ["0 connection.blocked low on memory"]);
    world.pass(100);
    assert!(!world.node.wants_read(link) && !world.node.is_done(link));
    world.node.unblock();
    world.pass(6);
    assert!(world.node.is_done(link));
}
