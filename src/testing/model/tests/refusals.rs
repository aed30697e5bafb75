//! The refusals' texts, as a real broker was seen to write them.

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

const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'locked' in vhost '/'. It could be \
     originally declared on another connection or the exclusive property value does not match that of the original \
     declaration.";

#[test]
fn a_declaration_that_differs_is_refused_in_rabbitmqs_words() {
    check(&[
        (
            |it| exchange(it, "x", "fanout", none()),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
        ),
        (
            |it| exchange(it, "x", "direct", table("alternate-exchange", "foo")),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received the value 'foo' of type 'longstr' but current is none",
        ),
        (
            |it| durable(it, "q", none()),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            |it| queue(it, "q", table("x-message-ttl", 1000)),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '1000' of type 'signedint' but current is none",
        ),
        (
            |it| queue(it, "full", table("x-max-length", 6)),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'full' in vhost '/': received '6' but current is '5'",
        ),
        (
            |it| queue(it, "full", none()),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'full' in vhost '/': received none but current is the value '5' of type 'signedint'",
        ),
        (
            |it| durable(it, "qq", table("x-queue-type", "classic")),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'qq' in vhost '/': received 'classic' but current is 'quorum'",
        ),
    ]);
}

#[test]
fn the_same_in_other_words_is_the_same() {
    for version in [Version::V3, Version::V4] {
        let mut world = prepared(version);
        queue(&mut world, "full", table("x-max-length", 5_i64)).unwrap();
        queue(&mut world, "q", table("x-queue-type", "classic")).unwrap();
        queue(&mut world, "q", table("x-whatever", 1)).unwrap();
        exchange(&mut world, "x", "direct", table("x-whatever", 1)).unwrap();
        passive(&mut world, "full").unwrap();
    }
}

#[test]
fn where_versions_differ_each_has_its_own_words() {
    let cases: [(Try, _, _); 3] = [
        (
            |it| exchange(it, "n", "zzznope", none()),
            (503, "COMMAND_INVALID - unknown exchange type 'zzznope'"),
            (406, "PRECONDITION_FAILED - unknown exchange type 'zzznope'"),
        ),
        (
            |it| durable(it, "qq", none()),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'qq' in vhost '/': received none but current is the value 'quorum' of type 'longstr'",
            ),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'qq' in vhost '/': received 'classic' but current is 'quorum'",
            ),
        ),
        (
            |it| {
                queue(it, "n", table("x-queue-leader-locator", "balanced"))
                    .and(Err(Refusal::channel(406, "taken")))
            },
            (
                406,
                "PRECONDITION_FAILED - invalid arg 'x-queue-leader-locator' for queue 'n' in vhost '/' of queue type rabbit_classic_queue",
            ),
            (406, "PRECONDITION_FAILED - taken"),
        ),
    ];
    for (request, three, four) in cases {
        for (version, (code, text)) in [(Version::V3, three), (Version::V4, four)] {
            let refused = request(&mut prepared(version)).expect_err(text);
            assert_eq!((refused.code, refused.text.as_str()), (code, text));
        }
    }
}

#[test]
fn an_argument_that_makes_no_sense_is_refused_in_rabbitmqs_words() {
    let cases: &[(FieldTable, &str)] = &[
        (
            table("x-overflow", "foo"),
            "'x-overflow' for queue 'n' in vhost '/': invalid_overflow",
        ),
        (
            table("x-overflow", 5),
            "'x-overflow' for queue 'n' in vhost '/': {unacceptable_type,signedint}",
        ),
        (
            table("x-queue-type", "foo"),
            "'x-queue-type' for queue 'n' in vhost '/': \"unsupported queue type 'foo'\"",
        ),
        (
            table("x-queue-type", 3),
            "'x-queue-type' for queue 'n' in vhost '/': {unacceptable_type,signedint}",
        ),
        (
            table("x-message-ttl", -1),
            "'x-message-ttl' for queue 'n' in vhost '/': {value_negative,-1}",
        ),
        (
            table("x-message-ttl", "1"),
            "'x-message-ttl' for queue 'n' in vhost '/': \"expected integer, got longstr\"",
        ),
        (
            table("x-message-ttl", 1.0),
            "'x-message-ttl' for queue 'n' in vhost '/': \"expected integer, got double\"",
        ),
        (
            table("x-message-ttl", 315_360_000_001_i64),
            "'x-message-ttl' for queue 'n' in vhost '/': {value_too_large,315360000001}",
        ),
        (
            table("x-expires", 0),
            "'x-expires' for queue 'n' in vhost '/': {value_zero,0}",
        ),
        (
            table("x-max-length", -1),
            "'x-max-length' for queue 'n' in vhost '/': {value_negative,-1}",
        ),
        (
            table("x-max-priority", 256),
            "'x-max-priority' for queue 'n' in vhost '/': {max_value_exceeded,256}",
        ),
        (
            table("x-max-priority", -1),
            "'x-max-priority' for queue 'n' in vhost '/': {value_negative,-1}",
        ),
        (
            table("x-single-active-consumer", "yes"),
            "'x-single-active-consumer' for queue 'n' in vhost '/': {unacceptable_type,longstr}",
        ),
        (
            table("x-dead-letter-routing-key", "k"),
            "'x-dead-letter-routing-key' for queue 'n' in vhost '/': routing_key_but_no_dlx_defined",
        ),
        (
            table("x-delivery-limit", 3),
            "'x-delivery-limit' for queue 'n' in vhost '/' of queue type rabbit_classic_queue",
        ),
        (
            table("x-queue-mode", "foo"),
            "'x-queue-mode' for queue 'n' in vhost '/': \"unsupported queue mode 'foo'\"",
        ),
        (
            table("x-queue-version", 7),
            "'x-queue-version' for queue 'n' in vhost '/': \"unsupported queue version '7'\"",
        ),
        (
            table("x-max-age", "1D"),
            "'x-max-age' for queue 'n' in vhost '/' of queue type rabbit_classic_queue",
        ),
        (
            table("x-queue-type", "quorum").with("x-max-priority", 3),
            "'x-max-priority' for queue 'n' in vhost '/' of queue type rabbit_quorum_queue",
        ),
    ];
    for (arguments, text) in cases {
        let refused = queue(&mut World::new(), "n", arguments.clone()).expect_err(text);
        assert_eq!(
            refused.text,
            format!("PRECONDITION_FAILED - invalid arg {text}")
        );
        assert_eq!(refused.scope, Scope::Channel);
    }
    for arguments in [
        table("x-message-ttl", 315_360_000_000_i64),
        table("x-expires", 1_u8),
        table("x-max-priority", 0),
        table("x-queue-mode", "lazy"),
    ] {
        queue(&mut World::new(), "n", arguments).unwrap();
    }
}

#[test]
fn a_queue_that_cannot_be_is_refused_in_rabbitmqs_words() {
    check(&[
        (
            |it| queue(it, "n", table("x-dead-letter-exchange", 3)),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'n' in vhost '/'",
        ),
        (
            |it| queue(it, "n", table("x-queue-type", "quorum")),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'n' in vhost '/'",
        ),
        (
            |it| durable(it, "", table("x-queue-type", "quorum")),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue",
        ),
        (
            |it| queue(it, "amq.foo", none()),
            403,
            Scope::Channel,
            "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
        ),
        (
            |it| exchange(it, "amq.foo", "direct", none()),
            403,
            Scope::Channel,
            "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
        ),
        (
            |it| exchange(it, "", "direct", none()),
            403,
            Scope::Channel,
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
        (
            |it| exchange(it, "n", "direct", table("alternate-exchange", 5)),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'n' in vhost '/'",
        ),
        (
            |it| durable(it, "n", table("x-queue-type", "stream")),
            540,
            Scope::Connection,
            "NOT_IMPLEMENTED - puka::testing has no streams",
        ),
    ]);
}

#[test]
fn what_is_not_there_or_locked_is_refused_in_rabbitmqs_words() {
    let no_queue = "NOT_FOUND - no queue 'nope' in vhost '/'";
    let no_exchange = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    let unnamed = "NOT_FOUND - no previously declared queue";
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    let channel = Scope::Channel;
    check(&[
        (|it| passive(it, "nope"), 404, channel, no_queue),
        (
            |it| passive(it, ""),
            404,
            channel,
            "NOT_FOUND - no queue '' in vhost '/'",
        ),
        (
            |it| it.model.purge_queue(on(1), "nope").map(|_| ()),
            404,
            channel,
            no_queue,
        ),
        (
            |it| it.model.get(on(1), "nope", true).map(|_| ()),
            404,
            channel,
            no_queue,
        ),
        (
            |it| consume(it, "nope", false, none()),
            404,
            channel,
            no_queue,
        ),
        (|it| bind(it, "nope", "x", none()), 404, channel, no_queue),
        (
            |it| bind(it, "q", "nope", none()),
            404,
            channel,
            no_exchange,
        ),
        (
            |it| bind(it, "nope", "nope", none()),
            404,
            channel,
            no_exchange,
        ),
        (|it| send(it, "nope", |_| ()), 404, channel, no_exchange),
        (
            |it| it.model.get(on(2), "", true).map(|_| ()),
            404,
            channel,
            unnamed,
        ),
        (|it| bind(it, "q", "", none()), 403, channel, default),
        (
            |it| it.model.delete_exchange(on(1), "", false),
            403,
            channel,
            default,
        ),
        (|it| passive(it, "locked"), 405, channel, LOCKED),
        (|it| queue(it, "locked", none()), 405, channel, LOCKED),
        (
            |it| consume(it, "locked", false, none()),
            405,
            channel,
            LOCKED,
        ),
        (
            |it| it.model.get(on(1), "locked", true).map(|_| ()),
            405,
            channel,
            LOCKED,
        ),
        (
            |it| it.model.purge_queue(on(1), "locked").map(|_| ()),
            405,
            channel,
            LOCKED,
        ),
        (
            |it| {
                it.model
                    .delete_queue(on(1), "locked", false, false)
                    .map(|_| ())
            },
            405,
            channel,
            LOCKED,
        ),
        (|it| bind(it, "locked", "x", none()), 405, channel, LOCKED),
    ]);
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let channel = Scope::Channel;
    check(&[
        (
            |it| it.model.delete_exchange(on(1), "x", true),
            406,
            channel,
            "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use",
        ),
        (
            |it| it.model.delete_exchange(on(1), "amq.direct", false),
            403,
            channel,
            "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
        ),
        (
            |it| it.model.delete_queue(on(1), "con", true, false).map(|_| ()),
            406,
            channel,
            "PRECONDITION_FAILED - queue 'con' in vhost '/' in use",
        ),
        (
            |it| it.model.delete_queue(on(1), "full", true, true).map(|_| ()),
            406,
            channel,
            "PRECONDITION_FAILED - queue 'full' in vhost '/' not empty",
        ),
        (
            |it| it.model.delete_queue(on(1), "qq", true, false).map(|_| ()),
            540,
            Scope::Connection,
            "NOT_IMPLEMENTED - cannot delete queue 'qq' in vhost '/'. queue.delete operations with if-unused flag set are not supported by quorum queues",
        ),
    ]);
    let mut world = World::new();
    assert_eq!(world.model.delete_queue(on(1), "nope", true, true), Ok(0));
    assert_eq!(world.model.delete_exchange(on(1), "nope", true), Ok(()));
}

#[test]
fn a_binding_of_headers_has_a_mode_that_there_is() {
    check(&[
        (
            |it| bind(it, "q", "hx", table("x-match", "some")),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x",
        ),
        (
            |it| bind(it, "q", "hx", table("x-match", 5)),
            406,
            Scope::Channel,
            "PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr",
        ),
    ]);
}

#[test]
fn a_consumer_that_cannot_be_is_refused_in_rabbitmqs_words() {
    let channel = Scope::Channel;
    check(&[
        (
            |it| consume(it, "con", true, none()),
            403,
            channel,
            "ACCESS_REFUSED - queue 'con' in vhost '/' in exclusive use",
        ),
        (
            |it| consume(it, "econ", false, none()),
            403,
            channel,
            "ACCESS_REFUSED - queue 'econ' in vhost '/' in exclusive use",
        ),
        (
            |it| consume(it, "sac", true, none()),
            403,
            channel,
            "ACCESS_REFUSED - queue 'sac' in vhost '/' in exclusive use",
        ),
        (
            |it| consume(it, "q", false, table("x-priority", "5")),
            406,
            channel,
            "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
        ),
        (
            |it| {
                it.consume(1, "q", "t");
                let consume = Consume {
                    queue: "q",
                    tag: "t",
                    ..Consume::default()
                };
                it.model.consume(channel_key(1), consume).map(|_| ())
            },
            530,
            Scope::Connection,
            "NOT_ALLOWED - attempt to reuse consumer tag 't'",
        ),
        (
            |it| it.model.qos(channel_key(1), 5, 1, false),
            540,
            Scope::Connection,
            "NOT_IMPLEMENTED - prefetch_size!=0 (5)",
        ),
        (
            |it| {
                it.model.qos(channel_key(1), 0, 5, true).unwrap();
                consume(it, "qq", false, none())
            },
            540,
            Scope::Connection,
            "NOT_IMPLEMENTED - queue 'qq' in vhost '/' does not support global qos",
        ),
        (
            |it| consume(it, "amq.rabbitmq.reply-to", false, none()),
            406,
            channel,
            "PRECONDITION_FAILED - reply consumer cannot acknowledge",
        ),
    ]);
}

#[test]
fn a_message_that_cannot_be_is_refused_in_rabbitmqs_words() {
    let channel = Scope::Channel;
    check(&[
        (
            |it| send(it, "inner", |_| ()),
            403,
            channel,
            "ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'",
        ),
        (
            |it| send(it, "", |publish| publish.immediate = true),
            540,
            Scope::Connection,
            "NOT_IMPLEMENTED - immediate=true",
        ),
        (
            |it| send(it, "", |publish| publish.body = vec![0; 1001].into()),
            406,
            channel,
            "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000",
        ),
        (
            |it| send(it, "", |publish| publish.properties.set_user_id("foo")),
            406,
            channel,
            "PRECONDITION_FAILED - user_id property set to 'foo' but authenticated user was 'guest'",
        ),
        (
            |it| {
                send(it, "", |publish| {
                    publish.properties = headers(table("CC", "a"))
                })
            },
            406,
            channel,
            "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
        ),
        (
            |it| {
                send(it, "", |publish| {
                    publish.properties.set_reply_to("amq.rabbitmq.reply-to")
                })
            },
            406,
            channel,
            "PRECONDITION_FAILED - fast reply consumer does not exist",
        ),
        (
            |it| expiring(it, "abc"),
            406,
            channel,
            "PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
        ),
        (
            |it| expiring(it, "10x"),
            406,
            channel,
            "PRECONDITION_FAILED - invalid expiration '10x': {leftover_string,\"x\"}",
        ),
        (
            |it| expiring(it, "1.5"),
            406,
            channel,
            "PRECONDITION_FAILED - invalid expiration '1.5': {leftover_string,\".5\"}",
        ),
        (
            |it| expiring(it, "-1"),
            406,
            channel,
            "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}",
        ),
        (
            |it| expiring(it, ""),
            406,
            channel,
            "PRECONDITION_FAILED - invalid expiration '': no_integer",
        ),
        (
            |it| expiring(it, " 5"),
            406,
            channel,
            "PRECONDITION_FAILED - invalid expiration ' 5': no_integer",
        ),
    ]);
    let mut world = prepared(Version::V3);
    for fine in ["0", "+5", "99999999999"] {
        expiring(&mut world, fine).unwrap();
    }
    send(&mut world, "", |publish| {
        publish.properties.set_user_id("guest")
    })
    .unwrap();
    let odd = FieldValue::Array(vec![FieldValue::I32(5)]);
    send(&mut world, "", |publish| {
        publish.properties = headers(table("BCC", odd))
    })
    .unwrap();
}
