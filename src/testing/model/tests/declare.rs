//! Exchanges, queues and bindings come and go.

use super::*;

#[test]
fn a_queue_without_a_name_gets_one_and_is_the_channels_last() {
    let mut world = World::new();
    let declared = world
        .model
        .declare_queue(on(1), QueueDeclare::default())
        .unwrap();
    assert!(declared.queue.starts_with("amq.gen-"), "{declared:?}");
    assert_eq!((declared.messages, declared.consumers), (0, 0));
    let other = world
        .model
        .declare_queue(on(2), QueueDeclare::default())
        .unwrap();
    assert_ne!(declared.queue, other.queue);
    // With no name and no key it is bound by its own name.
    let bind = Bind {
        source: "amq.direct",
        ..Bind::default()
    };
    world.model.bind_queue(on(1), bind).unwrap();
    assert!(world.send("amq.direct", &declared.queue, "a").is_routed);
    assert_eq!(world.get(1, "").unwrap().message.body, "a");
}

#[test]
fn declare_ok_counts_what_is_ready_and_consumers() {
    let mut world = World::new();
    world.queue("q");
    for body in ["a", "b", "c"] {
        world.send("", "q", body);
    }
    world.prefetch(1, 1);
    world.consume(1, "q", "c");
    let passive = QueueDeclare {
        queue: "q",
        passive: true,
        ..QueueDeclare::default()
    };
    let declared = world.model.declare_queue(on(11), passive).unwrap();
    assert_eq!((declared.messages, declared.consumers), (2, 1));
    assert_eq!(world.model.purge_queue(on(11), "q"), Ok(2));
    assert_eq!(world.model.delete_queue(on(11), "q", false, false), Ok(0));
}

#[test]
fn an_exclusive_queue_goes_with_its_connection() {
    let mut world = World::new();
    let exclusive = QueueDeclare {
        queue: "mine",
        exclusive: true,
        durable: true,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(1), exclusive.clone()).unwrap();
    // Whether it is durable says nothing then.
    let again = QueueDeclare {
        durable: false,
        ..exclusive
    };
    world.model.declare_queue(on(2), again).unwrap();
    world.bind("mine", "amq.fanout", "");
    world.model.disconnected(LinkId(1));
    assert!(world.has_queue("mine"));
    world.model.disconnected(LinkId(0));
    assert!(!world.has_queue("mine"));
    world.open(1, "guest");
    assert!(!world.send("amq.fanout", "", "a").is_routed);
}

#[test]
fn an_auto_delete_queue_goes_after_its_last_consumer() {
    let mut world = World::new();
    let declare = QueueDeclare {
        queue: "q",
        auto_delete: true,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(1), declare.clone()).unwrap();
    world.get(1, "q");
    world.consume(1, "q", "a");
    world.consume(11, "q", "b");
    world.model.cancel(channel_key(1), "a");
    assert!(world.has_queue("q"));
    world.model.disconnected(LinkId(1));
    assert!(!world.has_queue("q"));
    // With its consumer's channel, too.
    world.model.declare_queue(on(1), declare).unwrap();
    world.consume(2, "q", "a");
    world.model.close_channel(channel_key(2));
    assert!(!world.has_queue("q"));
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let mut world = World::new();
    let declare = |exchange| ExchangeDeclare {
        exchange,
        kind: "fanout",
        auto_delete: true,
        ..ExchangeDeclare::default()
    };
    for exchange in ["first", "second"] {
        world
            .model
            .declare_exchange(on(1), declare(exchange))
            .unwrap();
    }
    world.queue("q");
    let chain = Bind {
        source: "first",
        destination: "second",
        ..Bind::default()
    };
    world.model.bind_exchange(on(1), chain).unwrap();
    world.bind("q", "second", "a");
    world.bind("q", "second", "b");
    let unbind = Bind {
        source: "second",
        destination: "q",
        routing_key: "a",
        ..Bind::default()
    };
    world.model.unbind_queue(on(1), unbind.clone()).unwrap();
    world.model.unbind_queue(on(1), unbind).unwrap();
    assert!(world.has_exchange("second"));
    world.model.delete_queue(on(1), "q", false, false).unwrap();
    assert!(!world.has_exchange("second"));
    assert!(!world.has_exchange("first"));
}

#[test]
fn unbinding_what_is_not_bound_or_not_there_is_no_error() {
    let mut world = World::new();
    world.queue("q");
    for (source, destination) in [("amq.direct", "q"), ("nope", "q"), ("amq.direct", "nope")] {
        let unbind = Bind {
            source,
            destination,
            ..Bind::default()
        };
        world.model.unbind_queue(on(1), unbind.clone()).unwrap();
        world.model.unbind_exchange(on(1), unbind).unwrap();
    }
}

#[test]
fn consumers_are_told_that_their_queue_has_gone() {
    let mut world = World::new();
    world.queue("q");
    world.consume(1, "q", "a");
    world.consume(11, "q", "b");
    world.model.delete_queue(on(1), "q", false, false).unwrap();
    assert_eq!(world.cancelled(), ["a", "b"]);
    // Its name is free, and so are their tags.
    world.queue("q");
    world.consume(1, "q", "a");
    world.model.cancel_consumers("/", "q");
    assert_eq!(world.cancelled(), ["a"]);
    assert_eq!(world.model.queue("/", "q").unwrap().consumers, []);
}

#[test]
fn a_restart_leaves_what_is_durable() {
    let mut world = World::new();
    let mut persistent = Properties::default();
    persistent.set_delivery_mode(2);
    for (queue, durable) in [("lasting", true), ("passing", false)] {
        let declare = QueueDeclare {
            queue,
            durable,
            ..QueueDeclare::default()
        };
        world.model.declare_queue(on(1), declare).unwrap();
        let declare = ExchangeDeclare {
            exchange: queue,
            kind: "fanout",
            durable,
            ..ExchangeDeclare::default()
        };
        world.model.declare_exchange(on(1), declare).unwrap();
        world.bind(queue, "amq.fanout", "");
        world.bind("lasting", queue, "");
        world.send_with("", queue, "kept", persistent.clone());
        world.send("", queue, "lost");
    }
    let out = world.get(1, "lasting").unwrap();
    assert_eq!(out.message.body, "kept");
    world.consume(2, "passing", "c");
    // Its consumer goes first, and then it.
    let passing = QueueDeclare {
        queue: "consumed",
        durable: true,
        auto_delete: true,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(1), passing).unwrap();
    world.consume(1, "consumed", "c");
    world.model.restart();
    assert_eq!(world.model.take_events(), []);
    assert_eq!(world.model.queue_names("/"), ["lasting"]);
    let queue = world.model.queue("/", "lasting").unwrap();
    assert_eq!(world.ready("lasting"), ["kept"]);
    assert!(queue.ready[0].redelivered && queue.unacknowledged.is_empty());
    world.open(1, "guest");
    assert!(!world.has_exchange("passing"));
    assert!(world.send("lasting", "", "a").is_routed);
    assert!(world.send("amq.fanout", "", "b").is_routed);
    assert_eq!(world.ready("lasting"), ["kept", "a", "b"]);
}

#[test]
fn an_operator_may_do_everything_in_its_virtual_host() {
    let mut world = World::new();
    world.model.add_vhost("other");
    let there = Caller::Operator("other");
    let declare = QueueDeclare {
        queue: "q",
        ..QueueDeclare::default()
    };
    world.model.declare_queue(there, declare).unwrap();
    let publish = Publish {
        routing_key: "q",
        body: Bytes::from_static(b"a"),
        ..Publish::default()
    };
    world.model.publish(there, publish).unwrap();
    assert!(!world.has_queue("q"));
    let got = world.model.get(there, "q", false).unwrap().unwrap();
    assert_eq!((got.delivery_tag, got.message_count), (0, 0));
    assert_eq!(world.model.get(there, "q", false), Ok(None));
    let nowhere = world.model.purge_queue(Caller::Operator("nope"), "q");
    assert_eq!(
        nowhere.unwrap_err().text,
        "NOT_ALLOWED - vhost nope not found"
    );
}
