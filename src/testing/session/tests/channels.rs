//! Channels: opened, closed, refused.

use super::*;

fn channel_close() -> wire::ChannelClose<'static> {
    wire::ChannelClose {
        reply_code: 200,
        ..Default::default()
    }
}

const MISSING: &str = "1 channel.close NOT_FOUND - no queue 'none' in vhost '/' 50.10";

fn passive() -> wire::QueueDeclare<'static> {
    wire::QueueDeclare {
        passive: true,
        ..declare("none")
    }
}

#[test]
fn a_channel_opens_and_closes_and_opens_again() {
    let mut world = World::new();
    let link = world.open();
    for _ in 0..3 {
        world.say(link, 1, &channel_close());
        assert_eq!(world.said(link), ["1 channel.close-ok"]);
        world.open_channel(link, 1);
    }
}

#[test]
fn an_error_closes_its_channel_only_and_its_frames_are_ignored_until_close_ok() {
    let mut world = World::new();
    let link = world.open();
    world.open_channel(link, 2);
    let mut bytes = method_frame(1, &declare("before"));
    bytes.extend(method_frame(1, &passive()));
    bytes.extend(method_frame(1, &declare("behind")));
    bytes.extend(publish(1, ("", "before"), false, "x"));
    bytes.extend(method_frame(2, &declare("other")));
    world.send(link, &bytes);
    assert_eq!(
        world.said(link),
        [
            "1 queue.declare-ok before 0 0",
            MISSING,
            "2 queue.declare-ok other 0 0"
        ]
    );
    assert_eq!(world.node.queue_names("/"), ["before", "other"]);
    assert!(world.node.published().is_empty());
    world.say(link, 1, &declare("still behind"));
    assert_eq!(world.said(link), Vec::<String>::new());
    world.say(link, 1, &wire::ChannelCloseOk {});
    world.open_channel(link, 1);
    world.queue(link, "behind");
}

#[test]
fn frames_of_a_closed_channel_must_still_make_sense() {
    let mut world = World::new();
    let link = world.open();
    world.say(link, 1, &passive());
    world.send(link, &frame(FRAME_BODY, 1, b"abc"));
    let text = "0 connection.close UNEXPECTED_FRAME - expected method frame, got non method frame instead 0.0";
    assert_eq!(world.said(link), [MISSING, text]);
}

#[test]
fn a_message_that_an_error_meets_half_way_is_ignored_to_its_end() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.say(link, 1, &passive());
    let whole = publish(1, ("", "q"), false, "abc");
    let (one, two) = whole.split_at(30);
    world.send(link, one);
    world.send(link, two);
    assert_eq!(world.said(link), [MISSING]);
    assert_eq!(world.node.queue("/", "q").unwrap().ready, []);
}

#[test]
fn both_sides_may_close_a_channel_at_once() {
    let mut world = World::new();
    let link = world.open();
    world.say(link, 1, &passive());
    world.say(link, 1, &channel_close());
    assert_eq!(world.said(link), [MISSING, "1 channel.close-ok"]);
    // Its own close-ok is still to come.
    world.say(link, 1, &declare("q"));
    assert_eq!(world.said(link), Vec::<String>::new());
    world.say(link, 1, &wire::ChannelCloseOk {});
    world.open_channel(link, 1);
}

#[test]
fn a_closed_channel_counts_until_close_ok() {
    let mut world = World::new();
    let link = world.open_with(1, 131_072, 0);
    world.open_channel(link, 7);
    world.say(link, 8, &wire::ChannelOpen::default());
    let text = "0 connection.close NOT_ALLOWED - number of channels opened (1) has reached the negotiated channel_max (1) 0.0";
    assert_eq!(world.said(link), [text]);
}

#[test]
fn a_reply_text_has_255_bytes_at_most() {
    let mut world = World::new();
    let link = world.open();
    let long = "q".repeat(255);
    let missing = wire::QueueDeclare {
        queue: long.as_bytes(),
        ..passive()
    };
    world.say(link, 1, &missing);
    let whole = format!("NOT_FOUND - no queue '{long}");
    let cut = format!("1 channel.close {}... 50.10", &whole[..252]);
    assert_eq!(world.said(link), [cut]);
}

#[test]
fn what_a_channel_had_goes_back_when_it_closes() {
    let mut world = World::new();
    let link = world.open();
    world.open_channel(link, 2);
    world.queue(link, "q");
    world.publish(link, "q", "x");
    world.say(link, 2, &consume("q", "t"));
    world.said(link);
    world.say(link, 1, &consume("q", "u"));
    world.said(link);
    world.say(link, 2, &channel_close());
    assert_eq!(
        world.said(link),
        ["2 channel.close-ok", "1 basic.deliver u 1 again = x"]
    );
}

#[test]
fn no_wait_is_not_answered() {
    let mut world = World::new();
    let link = world.open();
    let declare = wire::QueueDeclare {
        no_wait: true,
        ..declare("q")
    };
    world.say(link, 1, &declare);
    let consume = wire::BasicConsume {
        no_wait: true,
        ..consume("q", "t")
    };
    world.say(link, 1, &consume);
    let cancel = wire::BasicCancel {
        consumer_tag: b"t",
        no_wait: true,
    };
    world.say(link, 1, &cancel);
    world.say(link, 1, &wire::ConfirmSelect { no_wait: true });
    assert_eq!(world.said(link), Vec::<String>::new());
    world.say(link, 1, &declare_passive("q"));
    assert_eq!(world.said(link), ["1 queue.declare-ok q 0 0"]);
}

fn declare_passive(queue: &str) -> wire::QueueDeclare<'_> {
    wire::QueueDeclare {
        passive: true,
        ..declare(queue)
    }
}

fn exchange(name: &str) -> wire::ExchangeDeclare<'_> {
    wire::ExchangeDeclare {
        exchange: name.as_bytes(),
        kind: b"fanout",
        ..Default::default()
    }
}

#[test]
fn exchanges_and_queues_are_bound_and_unbound() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.say(link, 1, &exchange("x"));
    world.say(link, 1, &exchange("y"));
    let bind = wire::QueueBind {
        queue: b"q",
        exchange: b"y",
        ..Default::default()
    };
    world.say(link, 1, &bind);
    let between = wire::ExchangeBind {
        destination: b"y",
        source: b"x",
        ..Default::default()
    };
    world.say(link, 1, &between);
    world.send(link, &publish(1, ("x", ""), false, "a"));
    let unbind = wire::ExchangeUnbind {
        destination: b"y",
        source: b"x",
        ..Default::default()
    };
    world.say(link, 1, &unbind);
    world.send(link, &publish(1, ("x", ""), false, "b"));
    world.send(link, &publish(1, ("y", ""), false, "c"));
    let unbind = wire::QueueUnbind {
        queue: b"q",
        exchange: b"y",
        ..Default::default()
    };
    world.say(link, 1, &unbind);
    world.send(link, &publish(1, ("y", ""), false, "d"));
    assert_eq!(
        world.said(link),
        [
            "1 exchange.declare-ok",
            "1 exchange.declare-ok",
            "1 queue.bind-ok",
            "1 exchange.bind-ok",
            "1 exchange.unbind-ok",
            "1 queue.unbind-ok"
        ]
    );
    let queue = world.node.queue("/", "q").unwrap();
    let bodies: Vec<&[u8]> = queue
        .ready
        .iter()
        .map(|view| &view.message.body[..])
        .collect();
    assert_eq!(bodies, [b"a", b"c"]);
}

#[test]
fn queues_are_purged_and_deleted_and_exchanges_too() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.publish(link, "q", "x");
    world.publish(link, "q", "y");
    let purge = wire::QueuePurge {
        queue: b"q",
        ..Default::default()
    };
    world.say(link, 1, &purge);
    world.publish(link, "q", "z");
    let delete = wire::QueueDelete {
        queue: b"q",
        ..Default::default()
    };
    world.say(link, 1, &delete);
    world.say(link, 1, &exchange("x"));
    let delete = wire::ExchangeDelete {
        exchange: b"x",
        ..Default::default()
    };
    world.say(link, 1, &delete);
    assert_eq!(
        world.said(link),
        [
            "1 queue.purge-ok 2",
            "1 queue.delete-ok 1",
            "1 exchange.declare-ok",
            "1 exchange.delete-ok"
        ]
    );
    assert!(world.node.queue("/", "q").is_none());
}

#[test]
fn small_questions_are_answered() {
    let mut world = World::new();
    let link = world.open();
    world.say(link, 1, &wire::ChannelFlow { active: true });
    world.say(link, 1, &wire::AccessRequest::default());
    world.say(link, 1, &wire::BasicQos::default());
    world.say(link, 0, &wire::ConnectionUpdateSecret::default());
    assert_eq!(
        world.said(link),
        [
            "1 channel.flow-ok",
            "1 access.request-ok",
            "1 basic.qos-ok",
            "0 connection.update-secret-ok"
        ]
    );
}
