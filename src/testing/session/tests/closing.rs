//! `connection.close`, from both sides, and frames that no connection survives.

use super::*;

#[test]
fn a_client_closes_and_the_socket_is_its_own_to_close() {
    let mut world = World::new();
    let link = world.open();
    world.say(link, 0, &close());
    assert_eq!(world.said(link), ["0 connection.close-ok"]);
    assert!(world.node.open_links().is_empty());
    world.send(link, &heartbeat());
    world.publish(link, "q", "too late");
    world.pass(29);
    assert!(!world.node.is_done(link));
    world.pass(1);
    assert!(world.node.is_done(link));
    assert!(world.node.published().is_empty());
}

#[test]
fn exclusive_queues_are_gone_before_close_ok_and_deliveries_go_back() {
    let mut world = World::new();
    let (link, other) = (world.open(), world.open());
    let own = wire::QueueDeclare {
        exclusive: true,
        ..declare("own")
    };
    world.say(link, 1, &own);
    world.queue(other, "q");
    world.publish(other, "q", "x");
    world.say(link, 1, &consume("q", "t"));
    world.say(other, 1, &consume("q", "u"));
    world.said(other);
    world.said(link);
    world.say(link, 0, &close());
    assert!(world.node.queue("/", "own").is_none());
    assert_eq!(world.said(other), ["1 basic.deliver u 1 again = x"]);
}

#[test]
fn an_operator_closes_and_everything_but_close_ok_is_ignored() {
    let mut world = World::new();
    let (link, other) = (world.open(), world.open());
    world
        .node
        .close_link(world.now, link, 320, "CONNECTION_FORCED - by an operator");
    let text = "0 connection.close CONNECTION_FORCED - by an operator 0.0";
    assert_eq!(world.said(link), [text]);
    world.say(link, 1, &declare("q"));
    world.send(link, &frame(7, 3, b"nonsense"));
    assert!(world.node.queue("/", "q").is_none());
    assert!(!world.node.is_done(link));
    world.say(link, 0, &wire::ConnectionCloseOk {});
    assert!(world.node.is_done(link));
    assert_eq!(world.node.open_links(), [other]);

    world
        .node
        .close_connections(world.now, 320, "CONNECTION_FORCED - all");
    let text = "0 connection.close CONNECTION_FORCED - all 0.0";
    assert_eq!(world.said(other), [text]);
    assert_eq!(world.said(link), Vec::<String>::new());
}

#[test]
fn both_sides_may_close_at_once() {
    let mut world = World::new();
    let link = world.open();
    world
        .node
        .close_link(world.now, link, 320, "CONNECTION_FORCED - a test");
    world.said(link);
    world.say(link, 0, &close());
    assert_eq!(world.said(link), ["0 connection.close-ok"]);
    assert!(!world.node.is_done(link));
    world.say(link, 0, &wire::ConnectionCloseOk {});
    assert!(world.node.is_done(link));
}

#[test]
fn who_never_says_close_ok_is_cut_off() {
    let mut world = World::new();
    for (heartbeat, seconds) in [(0, 30), (60, 30), (7, 7)] {
        let link = world.open_with(10, 131_072, heartbeat);
        let now = world.now;
        world.node.close_link(now, link, 320, "CONNECTION_FORCED");
        world.pass(seconds - 1);
        assert!(!world.node.is_done(link));
        world.pass(1);
        assert!(world.node.is_done(link), "{heartbeat}");
    }
}

#[test]
fn by_chance_what_was_not_sent_is_lost_when_the_node_closes() {
    let mut counts = [0; 2];
    for seed in 1..40 {
        let mut world = World::with_seed(seed);
        let link = world.open();
        world.say(link, 1, &declare("q"));
        let now = world.now;
        world.node.close_link(now, link, 320, "CONNECTION_FORCED");
        let said = world.said(link);
        assert_eq!(
            said.last().unwrap(),
            "0 connection.close CONNECTION_FORCED 0.0"
        );
        counts[said.len() - 1] += 1;
    }
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}

/// What the node says to these bytes, with channel 1 open.
fn answer(bytes: &[u8]) -> Vec<String> {
    let mut world = World::new();
    let link = world.open();
    world.send(link, bytes);
    let said = world.said(link);
    assert!(world.node.open_links().is_empty());
    // The broker itself is well.
    world.open();
    said
}

#[track_caller]
fn closes(bytes: &[u8], text: &str) {
    assert_eq!(answer(bytes), [format!("0 connection.close {text}")]);
}

fn publish_start() -> Vec<u8> {
    method_frame(1, &wire::BasicPublish::default())
}

fn after_publish(frames: &[Vec<u8>]) -> Vec<u8> {
    [publish_start(), frames.concat()].concat()
}

#[test]
fn frames_out_of_place_close_the_connection_in_rabbitmqs_words() {
    closes(
        &frame(FRAME_BODY, 1, b"abc"),
        "UNEXPECTED_FRAME - expected method frame, got non method frame instead 0.0",
    );
    closes(
        &frame(5, 1, b"abc"),
        "FRAME_ERROR - type 5, all octets = <<\"abc\">>: unknown_frame 0.0",
    );
    closes(
        &frame(FRAME_HEARTBEAT, 1, b""),
        "UNEXPECTED_FRAME - type 8, all octets = <<>> 0.0",
    );
    closes(
        &frame(FRAME_BODY, 0, b"abc"),
        "UNEXPECTED_FRAME - type 3, all octets = <<\"abc\">> 0.0",
    );
    closes(
        &after_publish(&[frame(FRAME_BODY, 1, b"abc")]),
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead 60.40",
    );
    let mut of_50 = header(1);
    of_50[1] = 50;
    closes(
        &after_publish(&[frame(FRAME_HEADER, 1, &of_50)]),
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead 60.40",
    );
    closes(
        &after_publish(&[frame(FRAME_HEADER, 1, &header(2)), publish_start()]),
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead 60.40",
    );
    closes(
        &after_publish(&[
            frame(FRAME_HEADER, 1, &header(2)),
            frame(FRAME_BODY, 1, b"abc"),
        ]),
        "FRAME_ERROR - puka::testing has got a body of at least 3 bytes, whose header says 2 60.40",
    );
}

#[test]
fn methods_that_cannot_be_read_close_the_connection_in_rabbitmqs_words() {
    let raw = |payload: &[u8]| frame(FRAME_METHOD, 1, payload);
    closes(
        &raw(b"\0\x32\0\x0a\0"),
        "FRAME_ERROR - cannot decode <<0>> 50.10",
    );
    closes(
        &raw(b"\0\x32\0\x0a\0\0\x01x\0\0\0\0\0zz"),
        "FRAME_ERROR - cannot decode <<0,0,1,120,0,0,0,0,0,122,122>> 50.10",
    );
    let mut odd = declare("q");
    odd.queue = b"q\xff";
    closes(
        &method_frame(1, &odd),
        "FRAME_ERROR - Malformed UTF-8 in shortstr 0.0",
    );
    let mut bad = BytesMut::from(&header(0)[..]);
    bad[12] = 0x20;
    bad.extend_from_slice(b"\0\0\0\x03\x01aU");
    closes(
        &after_publish(&[frame(FRAME_HEADER, 1, &bad)]),
        "INTERNAL_ERROR 0.0",
    );
}

#[test]
fn what_rabbitmq_dies_of_closes_the_socket_without_a_word() {
    let mut bad = declare("q");
    bad.arguments = b"\x01aU";
    for bytes in [
        frame(FRAME_METHOD, 1, b"\0\x42\0\x42"),
        method_frame(1, &bad),
    ] {
        assert_eq!(answer(&bytes), Vec::<String>::new());
    }
}

#[test]
fn methods_of_the_wrong_place_close_the_connection_in_rabbitmqs_words() {
    closes(
        &method_frame(2, &declare("q")),
        "CHANNEL_ERROR - expected 'channel.open' 50.10",
    );
    closes(
        &publish(2, ("", "q"), false, "x"),
        "CHANNEL_ERROR - expected 'channel.open' 60.40",
    );
    closes(
        &method_frame(1, &wire::ChannelOpen::default()),
        "CHANNEL_ERROR - second 'channel.open' seen 20.10",
    );
    closes(
        &method_frame(1, &wire::BasicConsumeOk::default()),
        "COMMAND_INVALID - unimplemented method 60.21",
    );
    closes(
        &method_frame(1, &wire::ChannelCloseOk {}),
        "COMMAND_INVALID - unimplemented method 20.41",
    );
    closes(
        &method_frame(0, &declare("q")),
        "CHANNEL_ERROR - unexpected method in connection state running 50.10",
    );
    closes(
        &method_frame(1, &wire::ChannelFlow { active: false }),
        "NOT_IMPLEMENTED - active=false 20.20",
    );
    closes(
        &method_frame(1, &wire::TxSelect {}),
        "NOT_IMPLEMENTED - puka::testing has no transactions 90.10",
    );
    closes(
        &method_frame(1, &wire::BasicRecover { requeue: false }),
        "NOT_IMPLEMENTED - requeue=false 60.110",
    );
    let qos = wire::BasicQos {
        prefetch_size: 1,
        ..Default::default()
    };
    closes(
        &method_frame(1, &qos),
        "NOT_IMPLEMENTED - prefetch_size!=0 (1) 60.10",
    );
}

#[test]
fn after_a_frame_that_cannot_be_told_from_the_next_nothing_is_read() {
    let mut too_large = frame(FRAME_BODY, 1, b"")[..3].to_vec();
    too_large.extend(200_000_u32.to_be_bytes());
    let mut bad_end = frame(FRAME_BODY, 1, b"abc");
    *bad_end.last_mut().unwrap() = 1;
    for (bytes, text) in [
        (
            too_large,
            "0 connection.close FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,200000,131064} 0.0",
        ),
        (
            bad_end,
            "0 connection.close FRAME_ERROR - type 3, all octets = <<\"abc\">>: {invalid_frame_end_marker,1} 0.0",
        ),
    ] {
        let mut world = World::new();
        let link = world.open();
        world.send(link, &bytes);
        assert_eq!(world.said(link), [text]);
        assert!(!world.node.wants_read(link) && !world.node.is_done(link));
        world.say(link, 0, &wire::ConnectionCloseOk {});
        assert!(!world.node.is_done(link));
        world.pass(3);
        assert!(world.node.is_done(link));
    }
}
