//! What may not be done with what is there.

use super::*;

const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'locked' in vhost '/'. It could be \
     originally declared on another connection or the exclusive property value does not match that of the original \
     declaration.";

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
