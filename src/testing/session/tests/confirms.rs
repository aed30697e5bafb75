//! Publishes, and what the client is told of them.

use std::collections::BTreeSet;

use super::*;
use crate::testing::model::{Publish, QueueDeclare};

#[test]
fn without_confirms_nothing_is_said() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.publish(link, "q", "x");
    assert_eq!(world.said(link), Vec::<String>::new());
    assert_eq!(world.node.queue("/", "q").unwrap().ready.len(), 1);
}

#[test]
fn what_comes_together_is_confirmed_together_and_at_once() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.confirm(link, 1);
    world.publish(link, "q", "1");
    assert_eq!(world.said(link), ["1 basic.ack 1"]);
    let three = [
        publish(1, ("", "q"), false, "x"),
        publish(1, ("", "none"), false, "y"),
    ];
    world.send(link, &three.concat());
    assert_eq!(world.said(link), ["1 basic.ack 3 multiple"]);
    assert_eq!(world.node.next_event(), None);
}

#[test]
fn each_channel_counts_for_itself_and_from_its_opening() {
    let mut world = World::new();
    let link = world.open();
    world.open_channel(link, 2);
    world.confirm(link, 1);
    world.confirm(link, 2);
    for _ in 0..2 {
        world.send(link, &publish(2, ("", "none"), false, ""));
        world.send(link, &publish(1, ("", "none"), false, ""));
    }
    assert_eq!(
        world.said(link),
        [
            "2 basic.ack 1",
            "1 basic.ack 1",
            "2 basic.ack 2",
            "1 basic.ack 2"
        ]
    );
}

#[test]
fn a_return_comes_before_its_confirm_which_ends_the_burst() {
    let mut held = 0;
    for seed in 0..100 {
        let mut world = World::with_seed(seed);
        let link = world.open();
        world.queue(link, "q");
        world.confirm(link, 1);
        let mut bytes = Vec::new();
        for tag in 1..=9 {
            let queue = if tag % 3 == 0 { "none" } else { "q" };
            bytes.extend(publish(1, ("", queue), true, &tag.to_string()));
        }
        world.send(link, &bytes);
        let mut said = world.said(link);
        held += usize::from(world.node.next_event().is_some());
        while let Some(next) = world.node.next_event() {
            world.now = next;
            world.node.handle_timeout(next);
            said.extend(world.said(link));
        }
        let mut open: BTreeSet<u64> = (1..=9).collect();
        let mut returned: BTreeSet<u64> = BTreeSet::new();
        let mut burst = None;
        for line in said {
            if let Some((_, body)) = line.split_once("basic.return NO_ROUTE = ") {
                assert_eq!(burst, None, "{seed}");
                burst = Some(body.parse::<u64>().unwrap());
                returned.insert(body.parse().unwrap());
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[..2], ["1", "basic.ack"]);
            let tag: u64 = words[2].parse().unwrap();
            if words.len() == 4 {
                open = open.split_off(&(tag + 1));
            } else {
                assert!(open.remove(&tag), "{seed}: {tag} twice");
            }
            assert!(!tag.is_multiple_of(3) || returned.contains(&tag));
            assert!(burst.is_none_or(|last| tag <= last));
            burst = burst.filter(|last| *last != tag);
        }
        assert!(open.is_empty() && returned.len() == 3, "{seed}");
    }
    assert!(held > 10, "chance keeps confirms in {held} lives");
}

#[test]
fn refused_messages_are_nacked_and_not_published() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.confirm(link, 1);
    world.node.nack_next(2);
    let three: Vec<u8> = (0..3)
        .flat_map(|_| publish(1, ("", "q"), false, "x"))
        .collect();
    world.send(link, &three);
    assert_eq!(
        world.said(link),
        ["1 basic.nack 2 multiple", "1 basic.ack 3"]
    );
    assert_eq!(world.node.published().len(), 1);
}

#[test]
fn a_channel_error_loses_the_confirms_before_it() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.confirm(link, 1);
    let mut bytes = publish(1, ("", "q"), false, "1");
    bytes.extend(publish(1, ("none", "q"), false, "2"));
    bytes.extend(publish(1, ("", "q"), false, "3"));
    world.send(link, &bytes);
    let text = "1 channel.close NOT_FOUND - no exchange 'none' in vhost '/' 60.40";
    assert_eq!(world.said(link), [text]);
    let queue = world.node.queue("/", "q").unwrap();
    assert_eq!(queue.ready.len(), 1);
}

#[test]
fn a_large_message_is_refused_when_it_is_whole() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    let size = 16 * 1024 * 1024 + 1;
    let piece = "x".repeat(131_064);
    world.say(link, 1, &wire::BasicPublish::default());
    world.send(link, &frame(FRAME_HEADER, 1, &header(size)));
    let mut left = size;
    while left > 0 {
        assert_eq!(world.said(link), Vec::<String>::new());
        let len = left.min(piece.len());
        world.send(link, &frame(FRAME_BODY, 1, &piece.as_bytes()[..len]));
        left -= len;
    }
    let text = "1 channel.close PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216 60.40";
    assert_eq!(world.said(link), [text]);
}

#[test]
fn in_an_alarm_who_publishes_is_told_and_not_read() {
    let mut world = World::new();
    let (link, reader) = (world.open(), world.open());
    world.queue(link, "q");
    world.confirm(link, 1);
    world.node.block("low on disk");
    // Who does not publish is not troubled.
    world.say(reader, 1, &consume("q", "t"));
    assert_eq!(world.said(reader), ["1 basic.consume-ok t"]);
    assert!(world.node.wants_read(link));
    world.publish(link, "q", "1");
    world.publish(link, "q", "2");
    assert_eq!(world.said(link), ["0 connection.blocked low on disk"]);
    assert!(!world.node.wants_read(link) && world.node.wants_read(reader));
    world.node.unblock();
    assert!(world.node.wants_read(link));
    assert_eq!(
        world.said(link),
        ["0 connection.unblocked", "1 basic.ack 2 multiple"]
    );
    assert_eq!(
        world.said(reader),
        ["1 basic.deliver t 1 = 1", "1 basic.deliver t 2 = 2"]
    );
}

#[test]
fn who_cannot_take_it_is_not_told_of_an_alarm() {
    let mut world = World::new();
    world.capabilities = &[];
    let link = world.open();
    world.node.block("low on disk");
    world.publish(link, "q", "1");
    assert!(!world.node.wants_read(link));
    world.node.unblock();
    assert_eq!(world.said(link), Vec::<String>::new());
    assert_eq!(world.node.published().len(), 1);
}

#[test]
fn another_program_publishes_and_takes_away() {
    let mut world = World::new();
    let declare = QueueDeclare {
        queue: "q",
        ..Default::default()
    };
    world.node.declare_queue("/", declare).unwrap();
    let publish = |world: &mut World, body: &'static str| {
        let message = Publish {
            routing_key: "q",
            body: body.into(),
            ..Default::default()
        };
        assert!(world.node.publish("/", message).unwrap().is_routed);
    };
    publish(&mut world, "1");
    let got = world.node.get("/", "q").unwrap().unwrap();
    assert_eq!(&got.message.body[..], b"1");
    let link = world.open();
    world.say(link, 1, &consume("q", "t"));
    publish(&mut world, "2");
    assert_eq!(
        world.said(link),
        ["1 basic.consume-ok t", "1 basic.deliver t 1 = 2"]
    );
}
