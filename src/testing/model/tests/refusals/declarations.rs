//! What may not be declared.

use super::*;

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
