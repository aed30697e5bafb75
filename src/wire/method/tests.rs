//! The table, held against the specification.

use super::*;

/// All methods of the specification that RabbitMQ publishes, with their fields and basic types; `type` is `kind`
/// here, `nowait` is `no_wait`, and `ticket` is reserved.
const SPECIFICATION: &str = "\
10 10 connection.start version_major:octet version_minor:octet server_properties:table mechanisms:longstr locales:longstr
10 11 connection.start-ok client_properties:table mechanism:shortstr response:longstr locale:shortstr
10 20 connection.secure challenge:longstr
10 21 connection.secure-ok response:longstr
10 30 connection.tune channel_max:short frame_max:long heartbeat:short
10 31 connection.tune-ok channel_max:short frame_max:long heartbeat:short
10 40 connection.open virtual_host:shortstr capabilities:shortstr insist:bit
10 41 connection.open-ok known_hosts:shortstr
10 50 connection.close reply_code:short reply_text:shortstr class_id:short method_id:short
10 51 connection.close-ok
10 60 connection.blocked reason:shortstr
10 61 connection.unblocked
10 70 connection.update-secret new_secret:longstr reason:shortstr
10 71 connection.update-secret-ok
20 10 channel.open out_of_band:shortstr
20 11 channel.open-ok channel_id:longstr
20 20 channel.flow active:bit
20 21 channel.flow-ok active:bit
20 40 channel.close reply_code:short reply_text:shortstr class_id:short method_id:short
20 41 channel.close-ok
30 10 access.request realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit
30 11 access.request-ok reserved_1:short
40 10 exchange.declare reserved_1:short exchange:shortstr kind:shortstr passive:bit durable:bit auto_delete:bit internal:bit no_wait:bit arguments:table
40 11 exchange.declare-ok
40 20 exchange.delete reserved_1:short exchange:shortstr if_unused:bit no_wait:bit
40 21 exchange.delete-ok
40 30 exchange.bind reserved_1:short destination:shortstr source:shortstr routing_key:shortstr no_wait:bit arguments:table
40 31 exchange.bind-ok
40 40 exchange.unbind reserved_1:short destination:shortstr source:shortstr routing_key:shortstr no_wait:bit arguments:table
40 51 exchange.unbind-ok
50 10 queue.declare reserved_1:short queue:shortstr passive:bit durable:bit exclusive:bit auto_delete:bit no_wait:bit arguments:table
50 11 queue.declare-ok queue:shortstr message_count:long consumer_count:long
50 20 queue.bind reserved_1:short queue:shortstr exchange:shortstr routing_key:shortstr no_wait:bit arguments:table
50 21 queue.bind-ok
50 30 queue.purge reserved_1:short queue:shortstr no_wait:bit
50 31 queue.purge-ok message_count:long
50 40 queue.delete reserved_1:short queue:shortstr if_unused:bit if_empty:bit no_wait:bit
50 41 queue.delete-ok message_count:long
50 50 queue.unbind reserved_1:short queue:shortstr exchange:shortstr routing_key:shortstr arguments:table
50 51 queue.unbind-ok
60 10 basic.qos prefetch_size:long prefetch_count:short global:bit
60 11 basic.qos-ok
60 20 basic.consume reserved_1:short queue:shortstr consumer_tag:shortstr no_local:bit no_ack:bit exclusive:bit no_wait:bit arguments:table
60 21 basic.consume-ok consumer_tag:shortstr
60 30 basic.cancel consumer_tag:shortstr no_wait:bit
60 31 basic.cancel-ok consumer_tag:shortstr
60 40 basic.publish reserved_1:short exchange:shortstr routing_key:shortstr mandatory:bit immediate:bit
60 50 basic.return reply_code:short reply_text:shortstr exchange:shortstr routing_key:shortstr
60 60 basic.deliver consumer_tag:shortstr delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr
60 70 basic.get reserved_1:short queue:shortstr no_ack:bit
60 71 basic.get-ok delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr message_count:long
60 72 basic.get-empty cluster_id:shortstr
60 80 basic.ack delivery_tag:longlong multiple:bit
60 90 basic.reject delivery_tag:longlong requeue:bit
60 100 basic.recover-async requeue:bit
60 110 basic.recover requeue:bit
60 111 basic.recover-ok
60 120 basic.nack delivery_tag:longlong multiple:bit requeue:bit
90 10 tx.select
90 11 tx.select-ok
90 20 tx.commit
90 21 tx.commit-ok
90 30 tx.rollback
90 31 tx.rollback-ok
85 10 confirm.select no_wait:bit
85 11 confirm.select-ok";

#[test]
fn the_table_is_the_specifications() {
    let row = |&(name, class, id, fields): &(&str, u16, u16, &[(&str, &str)])| {
        let mut row = format!("{class} {id} {name}");
        for (name, domain) in fields {
            row += &format!(" {name}:{domain}");
        }
        row
    };
    let table: Vec<String> = METHODS.iter().map(row).collect();
    let specification: Vec<&str> = SPECIFICATION.lines().collect();
    assert_eq!(specification.len(), 66);
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
