//! Who may do what.

use super::*;

fn world(version: Version) -> World {
    let mut world = World::of(version);
    world.model.add_user("bob", "secret");
    let own = || "^bob-".to_owned();
    let permissions = Permissions {
        configure: own(),
        write: own(),
        read: own(),
    };
    world
        .model
        .set_permissions("bob", "/", permissions)
        .unwrap();
    world.queue("other");
    world.queue("bob-q");
    world.exchange("bob-x", "fanout");
    world.open(21, "bob");
    world
}

#[test]
fn a_user_has_a_password_and_virtual_hosts() {
    let mut world = world(Version::V4);
    let model = &mut world.model;
    assert!(model.has_user("bob") && !model.has_user("eve"));
    assert!(model.is_password("bob", "secret"));
    assert!(!model.is_password("bob", "guess") && !model.is_password("eve", "secret"));
    let refused = model.connected(LinkId(9), "bob", "nope").unwrap_err();
    assert_eq!(refused.text, "NOT_ALLOWED - vhost nope not found");
    assert_eq!((refused.code, refused.scope), (530, Scope::Connection));
    model.add_vhost("v1");
    let refused = model.connected(LinkId(9), "bob", "v1").unwrap_err();
    assert_eq!(
        refused.text,
        "NOT_ALLOWED - access to vhost 'v1' refused for user 'bob'"
    );
}

#[test]
fn what_a_user_may_not_do_is_refused_in_rabbitmqs_words() {
    type Try = fn(&mut World) -> Outcome<()>;
    fn declare(it: &mut World, queue: &str, arguments: FieldTable) -> Outcome<()> {
        let declare = QueueDeclare {
            queue,
            arguments,
            ..QueueDeclare::default()
        };
        it.model.declare_queue(on(21), declare).map(|_| ())
    }
    fn bind(it: &mut World, destination: &str, source: &str) -> Outcome<()> {
        let bind = Bind {
            source,
            destination,
            ..Bind::default()
        };
        it.model.bind_queue(on(21), bind)
    }
    fn send(it: &mut World, exchange: &str) -> Outcome<()> {
        let publish = Publish {
            exchange,
            routing_key: "bob-q",
            ..Publish::default()
        };
        it.model.publish(on(21), publish).map(|_| ())
    }
    let dead = || table("x-dead-letter-exchange", "foo");
    let cases: [(Try, &str, &str); 9] = [
        (
            |it| declare(it, "foo", FieldTable::new()),
            "configure",
            "queue 'foo'",
        ),
        (
            |it| declare(it, "bob-1", table("x-dead-letter-exchange", "foo")),
            "write",
            "exchange 'foo'",
        ),
        (|it| bind(it, "other", "bob-x"), "write", "queue 'other'"),
        (
            |it| bind(it, "bob-q", "amq.direct"),
            "read",
            "exchange 'amq.direct'",
        ),
        (
            |it| it.model.get(on(21), "other", true).map(|_| ()),
            "read",
            "queue 'other'",
        ),
        (
            |it| it.model.purge_queue(on(21), "nope").map(|_| ()),
            "read",
            "queue 'nope'",
        ),
        (
            |it| {
                it.model
                    .delete_queue(on(21), "other", false, false)
                    .map(|_| ())
            },
            "configure",
            "queue 'other'",
        ),
        (|it| send(it, ""), "write", "exchange 'amq.default'"),
        (|it| send(it, "foo"), "write", "exchange 'foo'"),
    ];
    for version in [Version::V3, Version::V4] {
        for (request, verb, what) in &cases {
            let refused = request(&mut world(version)).expect_err(what);
            let verb = if version == Version::V4 {
                format!("{verb} ")
            } else {
                String::new()
            };
            let text = format!(
                "ACCESS_REFUSED - {verb}access to {what} in vhost '/' refused for user 'bob'"
            );
            assert_eq!(
                (refused.code, refused.scope, refused.text),
                (403, Scope::Channel, text)
            );
        }
    }
    // What is its own it may do; and ask, whatever it is.
    let mut world = world(Version::V4);
    declare(
        &mut world,
        "bob-1",
        dead().with("x-dead-letter-exchange", "bob-x"),
    )
    .unwrap();
    bind(&mut world, "bob-1", "bob-x").unwrap();
    send(&mut world, "bob-x").unwrap();
    assert_eq!(world.model.purge_queue(on(21), "bob-1"), Ok(1));
    let passive = QueueDeclare {
        queue: "other",
        passive: true,
        ..QueueDeclare::default()
    };
    world.model.declare_queue(on(21), passive).unwrap();
}

#[test]
fn permissions_that_cannot_be_understood_are_refused_in_words() {
    let mut world = World::new();
    let permissions = |read: &str| Permissions {
        configure: ".*".into(),
        write: String::new(),
        read: read.into(),
    };
    let refused = world
        .model
        .set_permissions("guest", "/", permissions("^(a|b)$"));
    assert!(
        refused
            .unwrap_err()
            .contains("puka::testing does not understand")
    );
    let refused = world.model.set_permissions("eve", "/", permissions(".*"));
    assert_eq!(refused.unwrap_err(), "there is no user \"eve\"");
}
