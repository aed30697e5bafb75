//! What a request may say, and how each is written.

use super::frames::{TUNE, server_properties, start, wire_declare, wire_declare_ok};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{
    Consume, ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind,
    QueueDeclare, QueueDelete,
};
use crate::types::results::Outcome;
use crate::wire::{
    self, BasicPublish, ChannelOpen, ChannelOpenOk, ConfirmSelect, ConnectionOpenOk, FieldTable,
    FieldValue, PROTOCOL_HEADER,
};

#[test]
fn empty_queue_names_are_refused() {
    let mut script = Script::connected();
    let no_queue = ConsumeMulti::new(Vec::<Consume>::new());
    for request in [
        Request::QueueDelete(QueueDelete::new("")),
        Request::QueuePurge("".into()),
        Request::QueueBind(QueueBind::new("", "logs")),
        Request::QueueUnbind(QueueBind::new("", "logs")),
        Request::Get(Get::new("")),
        Request::Consume(Consume::new("").into()),
        Request::Consume(ConsumeMulti::new(["a", ""])),
        Request::Consume(no_queue),
    ] {
        let refused = script.request(request);
        assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    }
    script.expect_nothing();
    // But the broker may be asked for a name.
    script.request(Request::QueueDeclare(QueueDeclare::server_named()));
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare(""));
}

#[test]
fn names_over_255_bytes_are_refused_and_nothing_is_written() {
    let long = "n".repeat(256);
    let long = long.as_str();
    let mut script = Script::connected();
    for request in [
        Request::QueueDeclare(QueueDeclare::new(long)),
        Request::QueueDeclare(QueueDeclare::new("a").argument(long, 1)),
        Request::QueueDelete(QueueDelete::new(long)),
        Request::QueuePurge(long.into()),
        Request::QueueBind(QueueBind::new("a", "b").routing_key(long)),
        Request::QueueUnbind(QueueBind::new("a", long)),
        Request::ExchangeDeclare(ExchangeDeclare::with_kind("a", long)),
        Request::ExchangeDelete(ExchangeDelete::new(long)),
        Request::ExchangeBind(ExchangeBind::new("a", long)),
        Request::ExchangeUnbind(ExchangeBind::new(long, "a")),
        Request::Get(Get::new(long)),
        Request::Consume(Consume::new(long).into()),
        Request::Consume(ConsumeMulti::new(["a", long])),
        Request::Consume(Consume::new("a").consumer_tag(long).into()),
    ] {
        let refused = script.request(request);
        assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
        script.expect_nothing();
    }
    let refused = script.publish("", long, "a");
    assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    // The channel that none of them took is there for the next, and 255 bytes are fine.
    let longest = &long[1..];
    script.declare(longest);
    script.publish("", longest, "a");
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare(longest));
    script.expect(
        1,
        BasicPublish {
            routing_key: longest.as_bytes(),
            ..Default::default()
        },
    );
}

#[test]
fn a_name_too_long_on_a_channel_of_the_pool_leaves_it_there() {
    let mut script = Script::connected();
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("a"));
    let refused = script.declare(&"n".repeat(256));
    assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    script.declare("b");
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
}

#[test]
fn a_request_that_no_frame_can_hold_is_refused() {
    let mut script = Script::connected_with(ClientOptions::new().frame_max(4096));
    let large = QueueDeclare::new("a").argument("x", "y".repeat(4100));
    let refused = script.request(Request::QueueDeclare(large));
    assert_matches!(
        script.result(refused),
        Some(Err(Error::InvalidArgument(text))) if text.contains("4096")
    );
    script.expect_nothing();
    // 4096 bytes are not too many: 8 of the frame, 4 of the method's numbers, 2 reserved, 2 of the name, 1 of flags,
    // 4 of the table's size, 7 of the entry beside its text.
    let fits = QueueDeclare::new("a").argument("x", "y".repeat(4096 - 28));
    script.request(Request::QueueDeclare(fits));
    script.expect(2, ChannelOpen::default());
    assert_eq!(script.frame().payload.len() + 8, 4096);
}

#[test]
fn every_call_has_its_method_and_its_reply() {
    let mut script = Script::connected();
    let arguments = FieldTable::new().with("k", FieldValue::I32(1));
    let mut is_new = true;
    let mut call = |request: Request, method: wire::Method<'_>, reply: wire::Method<'_>| {
        let promise = script.request(request);
        if std::mem::take(&mut is_new) {
            script.expect(2, ChannelOpen::default());
            script.send(2, ChannelOpenOk::default());
        }
        script.expect(2, method);
        script.expect_nothing();
        script.send(2, reply);
        script.result(promise)
    };

    let declare = QueueDeclare::new("q")
        .durable(true)
        .exclusive(true)
        .auto_delete(true);
    let declared = call(
        Request::QueueDeclare(declare.argument("k", FieldValue::I32(1))),
        wire::Method::QueueDeclare(wire::QueueDeclare {
            durable: true,
            exclusive: true,
            auto_delete: true,
            arguments: arguments.encoded(),
            ..wire_declare("q")
        }),
        wire::Method::QueueDeclareOk(wire_declare_ok("q")),
    );
    assert_matches!(declared, Some(Ok(Outcome::QueueDeclareOk(_))));

    let binding = QueueBind::new("q", "x")
        .routing_key("r")
        .argument("k", FieldValue::I32(1));
    let bound = call(
        Request::QueueBind(binding.clone()),
        wire::Method::QueueBind(wire::QueueBind {
            queue: b"q",
            exchange: b"x",
            routing_key: b"r",
            arguments: arguments.encoded(),
            ..Default::default()
        }),
        wire::Method::QueueBindOk(wire::QueueBindOk {}),
    );
    assert_matches!(bound, Some(Ok(Outcome::Done)));
    let unbound = call(
        Request::QueueUnbind(binding),
        wire::Method::QueueUnbind(wire::QueueUnbind {
            queue: b"q",
            exchange: b"x",
            routing_key: b"r",
            arguments: arguments.encoded(),
            ..Default::default()
        }),
        wire::Method::QueueUnbindOk(wire::QueueUnbindOk {}),
    );
    assert_matches!(unbound, Some(Ok(Outcome::Done)));

    let purged = call(
        Request::QueuePurge("q".into()),
        wire::Method::QueuePurge(wire::QueuePurge {
            queue: b"q",
            ..Default::default()
        }),
        wire::Method::QueuePurgeOk(wire::QueuePurgeOk { message_count: 5 }),
    );
    assert_matches!(purged, Some(Ok(Outcome::MessageCount(5))));
    let deleted = call(
        Request::QueueDelete(QueueDelete::new("q").if_unused(true).if_empty(true)),
        wire::Method::QueueDelete(wire::QueueDelete {
            queue: b"q",
            if_unused: true,
            if_empty: true,
            ..Default::default()
        }),
        wire::Method::QueueDeleteOk(wire::QueueDeleteOk { message_count: 6 }),
    );
    assert_matches!(deleted, Some(Ok(Outcome::MessageCount(6))));

    let declare = ExchangeDeclare::topic("x")
        .durable(true)
        .auto_delete(true)
        .internal(true);
    let declared = call(
        Request::ExchangeDeclare(declare.passive(true).argument("k", FieldValue::I32(1))),
        wire::Method::ExchangeDeclare(wire::ExchangeDeclare {
            exchange: b"x",
            kind: b"topic",
            passive: true,
            durable: true,
            auto_delete: true,
            internal: true,
            arguments: arguments.encoded(),
            ..Default::default()
        }),
        wire::Method::ExchangeDeclareOk(wire::ExchangeDeclareOk {}),
    );
    assert_matches!(declared, Some(Ok(Outcome::Done)));
    let binding = ExchangeBind::new("to", "from").routing_key("r");
    let bound = call(
        Request::ExchangeBind(binding.clone()),
        wire::Method::ExchangeBind(wire::ExchangeBind {
            destination: b"to",
            source: b"from",
            routing_key: b"r",
            ..Default::default()
        }),
        wire::Method::ExchangeBindOk(wire::ExchangeBindOk {}),
    );
    assert_matches!(bound, Some(Ok(Outcome::Done)));
    let unbound = call(
        Request::ExchangeUnbind(binding),
        wire::Method::ExchangeUnbind(wire::ExchangeUnbind {
            destination: b"to",
            source: b"from",
            routing_key: b"r",
            ..Default::default()
        }),
        wire::Method::ExchangeUnbindOk(wire::ExchangeUnbindOk {}),
    );
    assert_matches!(unbound, Some(Ok(Outcome::Done)));
    let deleted = call(
        Request::ExchangeDelete(ExchangeDelete::new("x").if_unused(true)),
        wire::Method::ExchangeDelete(wire::ExchangeDelete {
            exchange: b"x",
            if_unused: true,
            ..Default::default()
        }),
        wire::Method::ExchangeDeleteOk(wire::ExchangeDeleteOk {}),
    );
    assert_matches!(deleted, Some(Ok(Outcome::Done)));
}

/// A broker may refuse it, but a client that says more than its program has a 406 for the queue of any other client.
#[test]
fn a_queue_is_durable_if_the_program_says_so_whatever_the_broker() {
    for version in ["3.10.8", "4.2.9", "4.3.0", "5.0.0-rc.1", "odd"] {
        let mut script = Script::new(ClientOptions::new());
        script.expect_bytes(PROTOCOL_HEADER);
        script.send(0, start(&server_properties(version)));
        script.frame();
        script.send(0, TUNE);
        script.frame();
        script.frame();
        script.send(0, ConnectionOpenOk::default());
        let said = QueueDeclare::new("a").durable(true);
        for (channel, declare) in [(2, QueueDeclare::new("a")), (3, said)] {
            let durable = channel == 3;
            script.request(Request::QueueDeclare(declare));
            script.expect(channel, ChannelOpen::default());
            let expected = wire::QueueDeclare {
                durable,
                ..wire_declare("a")
            };
            script.expect(channel, expected);
        }
    }
}
