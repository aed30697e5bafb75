//! The refusals' texts, as a real broker was seen to write them.

mod declarations;
mod requests;

use super::*;

type Try = fn(&mut World) -> Outcome<()>;

fn queue(world: &mut World, queue: &str, arguments: FieldTable) -> Outcome<()> {
    let declare = QueueDeclare {
        queue,
        arguments,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(1), declare).map(|_| ())
}

fn durable(world: &mut World, queue: &str, arguments: FieldTable) -> Outcome<()> {
    let declare = QueueDeclare {
        queue,
        durable: true,
        arguments,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(1), declare).map(|_| ())
}

fn passive(world: &mut World, queue: &str) -> Outcome<()> {
    let declare = QueueDeclare {
        queue,
        passive: true,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(1), declare).map(|_| ())
}

fn exchange(world: &mut World, exchange: &str, kind: &str, arguments: FieldTable) -> Outcome<()> {
    let declare = ExchangeDeclare {
        exchange,
        kind,
        arguments,
        ..ExchangeDeclare::default()
    };
    world.model.declare_exchange(on(1), declare)
}

fn bind(world: &mut World, destination: &str, source: &str, arguments: FieldTable) -> Outcome<()> {
    let bind = Bind {
        source,
        destination,
        arguments,
        ..Bind::default()
    };
    world.model.bind_queue(on(1), bind)
}

fn consume(world: &mut World, queue: &str, exclusive: bool, arguments: FieldTable) -> Outcome<()> {
    let consume = Consume {
        queue,
        exclusive,
        arguments,
        ..Consume::default()
    };
    world.model.consume(channel_key(1), consume).map(|_| ())
}

fn send(world: &mut World, exchange: &str, set: impl FnOnce(&mut Publish<'_>)) -> Outcome<()> {
    let mut publish = Publish {
        exchange,
        routing_key: "q",
        ..Publish::default()
    };
    set(&mut publish);
    world.model.publish(on(1), publish).map(|_| ())
}

fn expiring(world: &mut World, expiration: &str) -> Outcome<()> {
    send(world, "", |it| it.properties.set_expiration(expiration))
}

fn none() -> FieldTable {
    FieldTable::new()
}

/// What is there before each of them.
fn prepared(version: Version) -> World {
    let mut world = World::of(version);
    world.queue("q");
    world.queue_with("full", table("x-max-length", 5));
    world.send("", "full", "a");
    world.exchange("x", "direct");
    world.exchange("hx", "headers");
    world.bind("q", "x", "k");
    world.queue_with("qq", table("x-queue-type", "quorum"));
    world.queue_with("sac", table("x-single-active-consumer", true));
    world.queue("con");
    world.consume(11, "con", "c");
    world.queue("econ");
    let exclusive = Consume {
        queue: "econ",
        exclusive: true,
        ..Consume::default()
    };
    world.model.consume(channel_key(11), exclusive).unwrap();
    let inner = ExchangeDeclare {
        exchange: "inner",
        kind: "fanout",
        internal: true,
        ..ExchangeDeclare::default()
    };
    world.model.declare_exchange(on(1), inner).unwrap();
    let locked = QueueDeclare {
        queue: "locked",
        exclusive: true,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(11), locked).unwrap();
    world
}

fn check(cases: &[(Try, u16, Scope, &str)]) {
    for version in [Version::V3, Version::V4] {
        for (number, (request, code, scope, text)) in cases.iter().enumerate() {
            let refused = request(&mut prepared(version)).expect_err(text);
            assert_eq!(
                (refused.code, refused.scope, refused.text.as_str()),
                (*code, *scope, *text),
                "{version:?}, case {number}"
            );
        }
    }
}
