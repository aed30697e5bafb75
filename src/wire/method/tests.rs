//! The table, held against the specification.

use super::*;

/// All methods of the specification that RabbitMQ publishes, with their fields and basic types; `type` is `kind`
/// here, `nowait` is `no_wait`, and `ticket` is reserved.
const SPECIFICATION: &[(&str, u16, u16, &str)] = &[
    (
        "connection.start",
        10,
        10,
        "version_major:octet version_minor:octet server_properties:table mechanisms:longstr locales:longstr",
    ),
    (
        "connection.start-ok",
        10,
        11,
        "client_properties:table mechanism:shortstr response:longstr locale:shortstr",
    ),
    ("connection.secure", 10, 20, "challenge:longstr"),
    ("connection.secure-ok", 10, 21, "response:longstr"),
    (
        "connection.tune",
        10,
        30,
        "channel_max:short frame_max:long heartbeat:short",
    ),
    (
        "connection.tune-ok",
        10,
        31,
        "channel_max:short frame_max:long heartbeat:short",
    ),
    (
        "connection.open",
        10,
        40,
        "virtual_host:shortstr capabilities:shortstr insist:bit",
    ),
    ("connection.open-ok", 10, 41, "known_hosts:shortstr"),
    (
        "connection.close",
        10,
        50,
        "reply_code:short reply_text:shortstr class_id:short method_id:short",
    ),
    ("connection.close-ok", 10, 51, ""),
    ("connection.blocked", 10, 60, "reason:shortstr"),
    ("connection.unblocked", 10, 61, ""),
    (
        "connection.update-secret",
        10,
        70,
        "new_secret:longstr reason:shortstr",
    ),
    ("connection.update-secret-ok", 10, 71, ""),
    ("channel.open", 20, 10, "out_of_band:shortstr"),
    ("channel.open-ok", 20, 11, "channel_id:longstr"),
    ("channel.flow", 20, 20, "active:bit"),
    ("channel.flow-ok", 20, 21, "active:bit"),
    (
        "channel.close",
        20,
        40,
        "reply_code:short reply_text:shortstr class_id:short method_id:short",
    ),
    ("channel.close-ok", 20, 41, ""),
    (
        "access.request",
        30,
        10,
        "realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit",
    ),
    ("access.request-ok", 30, 11, "reserved_1:short"),
    (
        "exchange.declare",
        40,
        10,
        "reserved_1:short exchange:shortstr kind:shortstr passive:bit durable:bit auto_delete:bit internal:bit no_wait:bit arguments:table",
    ),
    ("exchange.declare-ok", 40, 11, ""),
    (
        "exchange.delete",
        40,
        20,
        "reserved_1:short exchange:shortstr if_unused:bit no_wait:bit",
    ),
    ("exchange.delete-ok", 40, 21, ""),
    (
        "exchange.bind",
        40,
        30,
        "reserved_1:short destination:shortstr source:shortstr routing_key:shortstr no_wait:bit arguments:table",
    ),
    ("exchange.bind-ok", 40, 31, ""),
    (
        "exchange.unbind",
        40,
        40,
        "reserved_1:short destination:shortstr source:shortstr routing_key:shortstr no_wait:bit arguments:table",
    ),
    ("exchange.unbind-ok", 40, 51, ""),
    (
        "queue.declare",
        50,
        10,
        "reserved_1:short queue:shortstr passive:bit durable:bit exclusive:bit auto_delete:bit no_wait:bit arguments:table",
    ),
    (
        "queue.declare-ok",
        50,
        11,
        "queue:shortstr message_count:long consumer_count:long",
    ),
    (
        "queue.bind",
        50,
        20,
        "reserved_1:short queue:shortstr exchange:shortstr routing_key:shortstr no_wait:bit arguments:table",
    ),
    ("queue.bind-ok", 50, 21, ""),
    (
        "queue.purge",
        50,
        30,
        "reserved_1:short queue:shortstr no_wait:bit",
    ),
    ("queue.purge-ok", 50, 31, "message_count:long"),
    (
        "queue.delete",
        50,
        40,
        "reserved_1:short queue:shortstr if_unused:bit if_empty:bit no_wait:bit",
    ),
    ("queue.delete-ok", 50, 41, "message_count:long"),
    (
        "queue.unbind",
        50,
        50,
        "reserved_1:short queue:shortstr exchange:shortstr routing_key:shortstr arguments:table",
    ),
    ("queue.unbind-ok", 50, 51, ""),
    (
        "basic.qos",
        60,
        10,
        "prefetch_size:long prefetch_count:short global:bit",
    ),
    ("basic.qos-ok", 60, 11, ""),
    (
        "basic.consume",
        60,
        20,
        "reserved_1:short queue:shortstr consumer_tag:shortstr no_local:bit no_ack:bit exclusive:bit no_wait:bit arguments:table",
    ),
    ("basic.consume-ok", 60, 21, "consumer_tag:shortstr"),
    ("basic.cancel", 60, 30, "consumer_tag:shortstr no_wait:bit"),
    ("basic.cancel-ok", 60, 31, "consumer_tag:shortstr"),
    (
        "basic.publish",
        60,
        40,
        "reserved_1:short exchange:shortstr routing_key:shortstr mandatory:bit immediate:bit",
    ),
    (
        "basic.return",
        60,
        50,
        "reply_code:short reply_text:shortstr exchange:shortstr routing_key:shortstr",
    ),
    (
        "basic.deliver",
        60,
        60,
        "consumer_tag:shortstr delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr",
    ),
    (
        "basic.get",
        60,
        70,
        "reserved_1:short queue:shortstr no_ack:bit",
    ),
    (
        "basic.get-ok",
        60,
        71,
        "delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr message_count:long",
    ),
    ("basic.get-empty", 60, 72, "cluster_id:shortstr"),
    ("basic.ack", 60, 80, "delivery_tag:longlong multiple:bit"),
    ("basic.reject", 60, 90, "delivery_tag:longlong requeue:bit"),
    ("basic.recover-async", 60, 100, "requeue:bit"),
    ("basic.recover", 60, 110, "requeue:bit"),
    ("basic.recover-ok", 60, 111, ""),
    (
        "basic.nack",
        60,
        120,
        "delivery_tag:longlong multiple:bit requeue:bit",
    ),
    ("tx.select", 90, 10, ""),
    ("tx.select-ok", 90, 11, ""),
    ("tx.commit", 90, 20, ""),
    ("tx.commit-ok", 90, 21, ""),
    ("tx.rollback", 90, 30, ""),
    ("tx.rollback-ok", 90, 31, ""),
    ("confirm.select", 85, 10, "no_wait:bit"),
    ("confirm.select-ok", 85, 11, ""),
];

#[test]
fn the_table_is_the_specifications() {
    assert_eq!(SPECIFICATION.len(), 66);
    let fields = |fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, domain)| format!("{name}:{domain}"))
            .collect();
        fields.join(" ")
    };
    let table: Vec<_> = METHODS
        .iter()
        .map(|&(name, class, id, f)| (name, class, id, fields(f)))
        .collect();
    let specification: Vec<_> = SPECIFICATION
        .iter()
        .map(|&(name, class, id, fields)| (name, class, id, fields.to_owned()))
        .collect();
    assert_eq!(table, specification);
}

/// A method with something in every field.
fn sample(fields: &[(&str, &str)], class: u16, id: u16) -> BytesMut {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer.short(class).unwrap();
    writer.short(id).unwrap();
    for (_, domain) in fields {
        match *domain {
            "bit" => writer.bit(true),
            "octet" => writer.octet(0x11),
            "short" => writer.short(0x2222),
            "long" => writer.long(0x3333_3333),
            "longlong" => writer.longlong(0x4444_4444_4444_4444),
            "shortstr" => writer.shortstr(b"short"),
            "longstr" => writer.longstr(b"long"),
            "table" => writer.table(b"\x01kt\x01"),
            domain => panic!("{domain}"),
        }
        .unwrap();
    }
    out
}

#[test]
fn every_method_is_written_as_it_was_read() {
    for (name, class, id, types) in METHODS {
        let bytes = sample(types, *class, *id);
        let method = Method::decode(&bytes).unwrap();
        assert_eq!((method.name(), method.id()), (*name, (*class, *id)));
        assert_eq!(method_name(*class, *id), Some(*name));
        let mut out = BytesMut::new();
        method.encode(&mut out).unwrap();
        assert_eq!(out, bytes, "{name}");
    }
}

#[test]
fn every_prefix_of_every_method_is_an_error() {
    for (name, class, id, types) in METHODS {
        let bytes = sample(types, *class, *id);
        for cut in 0..bytes.len() {
            assert!(
                Method::decode(&bytes[..cut]).is_err(),
                "{name} cut at {cut}"
            );
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(
            Method::decode(&longer),
            Err(DecodeError::TrailingBytes(name))
        );
    }
}

#[test]
fn a_declare_is_these_bytes() {
    let declare = QueueDeclare {
        queue: b"test",
        durable: true,
        auto_delete: true,
        ..Default::default()
    };
    let mut out = BytesMut::new();
    declare.encode(&mut out).unwrap();
    assert_eq!(&out[..], b"\0\x32\0\x0a\0\0\x04test\x0a\0\0\0\0");
}

#[test]
fn unknown_numbers_are_an_error() {
    let unknown = DecodeError::UnknownMethod {
        class: 50,
        method: 60,
    };
    assert_eq!(Method::decode(b"\0\x32\0\x3c"), Err(unknown));
    assert_eq!(method_name(50, 60), None);
}
