//! The methods of AMQP 0-9-1, with RabbitMQ's own, as one table: reading, writing and names come from it.
//!
//! A row is a method, as the specification has it: its numbers, its name, and its fields with their domains, which are
//! the methods of [`Reader`] and [`Writer`]. A short or long string, and a table (its encoded entries), is a slice of
//! the bytes it is read from, or written from: `shortstr` may hold what is not UTF-8, since foreign clients may.

use bytes::BytesMut;

use super::codec::{DecodeError, EncodeError, Reader, Writer};

/// What every row of the table is.
pub(crate) trait WireMethod {
    /// Writes the method, its numbers first. On an error it may have written a part.
    fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError>;
}

/// The Rust type of a domain.
macro_rules! domain {
    (bit) => { bool };
    (octet) => { u8 };
    (short) => { u16 };
    (long) => { u32 };
    (longlong) => { u64 };
    ($bytes:ident) => { &'a [u8] };
}

macro_rules! methods {
    ($(
        ($class:literal, $id:literal) $name:literal $method:ident $(<$a:lifetime>)? {
            $($field:ident: $domain:ident),* $(,)?
        }
    )*) => {
        $(
            #[doc = $name]
            #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
            pub(crate) struct $method $(<$a>)? {
                $(pub(crate) $field: domain!($domain),)*
            }

            impl $(<$a>)? WireMethod for $method $(<$a>)? {
                fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
                    let mut writer = Writer::new(out);
                    writer.short($class)?;
                    writer.short($id)?;
                    $(writer.$domain(self.$field)?;)*
                    Ok(())
                }
            }
        )*

        /// Any method.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Method<'a> {
            $($method($method $(<$a>)?),)*
        }

        impl<'a> Method<'a> {
            /// Reads a method frame's payload, all of it.
            pub(crate) fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
                let mut r = Reader::new(payload);
                let (class, id) = (r.short()?, r.short()?);
                let method = match (class, id) {
                    $(($class, $id) => Self::$method($method { $($field: r.$domain()?),* }),)*
                    (class, method) => return Err(DecodeError::UnknownMethod { class, method }),
                };
                r.finish(method.name())?;
                Ok(method)
            }

            /// `queue.declare`, say.
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$method(_) => $name,)*
                }
            }

            /// Class and method.
            pub(crate) fn id(&self) -> (u16, u16) {
                match self {
                    $(Self::$method(_) => ($class, $id),)*
                }
            }
        }

        #[cfg(test)]
        impl WireMethod for Method<'_> {
            fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
                match self {
                    $(Self::$method(method) => method.encode(out),)*
                }
            }
        }

        /// The name of the method with these numbers.
        pub(crate) fn method_name(class: u16, method: u16) -> Option<&'static str> {
            match (class, method) {
                $(($class, $id) => Some($name),)*
                _ => None,
            }
        }

        /// Every row: name, numbers, domains.
        #[cfg(test)]
        const TABLE: &[(&str, u16, u16, &[&str])] = &[
            $(($name, $class, $id, &[$(stringify!($domain)),*]),)*
        ];
    };
}

methods! {
    (10, 10) "connection.start" ConnectionStart<'a> {
        version_major: octet, version_minor: octet, server_properties: table, mechanisms: longstr, locales: longstr,
    }
    (10, 11) "connection.start-ok" ConnectionStartOk<'a> {
        client_properties: table, mechanism: shortstr, response: longstr, locale: shortstr,
    }
    (10, 20) "connection.secure" ConnectionSecure<'a> { challenge: longstr }
    (10, 21) "connection.secure-ok" ConnectionSecureOk<'a> { response: longstr }
    (10, 30) "connection.tune" ConnectionTune { channel_max: short, frame_max: long, heartbeat: short }
    (10, 31) "connection.tune-ok" ConnectionTuneOk { channel_max: short, frame_max: long, heartbeat: short }
    (10, 40) "connection.open" ConnectionOpen<'a> { virtual_host: shortstr, capabilities: shortstr, insist: bit }
    (10, 41) "connection.open-ok" ConnectionOpenOk<'a> { known_hosts: shortstr }
    (10, 50) "connection.close" ConnectionClose<'a> {
        reply_code: short, reply_text: shortstr, class_id: short, method_id: short,
    }
    (10, 51) "connection.close-ok" ConnectionCloseOk {}
    (10, 60) "connection.blocked" ConnectionBlocked<'a> { reason: shortstr }
    (10, 61) "connection.unblocked" ConnectionUnblocked {}
    (10, 70) "connection.update-secret" ConnectionUpdateSecret<'a> { new_secret: longstr, reason: shortstr }
    (10, 71) "connection.update-secret-ok" ConnectionUpdateSecretOk {}

    (20, 10) "channel.open" ChannelOpen<'a> { out_of_band: shortstr }
    (20, 11) "channel.open-ok" ChannelOpenOk<'a> { channel_id: longstr }
    (20, 20) "channel.flow" ChannelFlow { active: bit }
    (20, 21) "channel.flow-ok" ChannelFlowOk { active: bit }
    (20, 40) "channel.close" ChannelClose<'a> {
        reply_code: short, reply_text: shortstr, class_id: short, method_id: short,
    }
    (20, 41) "channel.close-ok" ChannelCloseOk {}

    (30, 10) "access.request" AccessRequest<'a> {
        realm: shortstr, exclusive: bit, passive: bit, active: bit, write: bit, read: bit,
    }
    (30, 11) "access.request-ok" AccessRequestOk { reserved_1: short }

    (40, 10) "exchange.declare" ExchangeDeclare<'a> {
        reserved_1: short, exchange: shortstr, kind: shortstr, passive: bit, durable: bit, auto_delete: bit,
        internal: bit, no_wait: bit, arguments: table,
    }
    (40, 11) "exchange.declare-ok" ExchangeDeclareOk {}
    (40, 20) "exchange.delete" ExchangeDelete<'a> {
        reserved_1: short, exchange: shortstr, if_unused: bit, no_wait: bit,
    }
    (40, 21) "exchange.delete-ok" ExchangeDeleteOk {}
    (40, 30) "exchange.bind" ExchangeBind<'a> {
        reserved_1: short, destination: shortstr, source: shortstr, routing_key: shortstr, no_wait: bit,
        arguments: table,
    }
    (40, 31) "exchange.bind-ok" ExchangeBindOk {}
    (40, 40) "exchange.unbind" ExchangeUnbind<'a> {
        reserved_1: short, destination: shortstr, source: shortstr, routing_key: shortstr, no_wait: bit,
        arguments: table,
    }
    (40, 51) "exchange.unbind-ok" ExchangeUnbindOk {}

    (50, 10) "queue.declare" QueueDeclare<'a> {
        reserved_1: short, queue: shortstr, passive: bit, durable: bit, exclusive: bit, auto_delete: bit,
        no_wait: bit, arguments: table,
    }
    (50, 11) "queue.declare-ok" QueueDeclareOk<'a> { queue: shortstr, message_count: long, consumer_count: long }
    (50, 20) "queue.bind" QueueBind<'a> {
        reserved_1: short, queue: shortstr, exchange: shortstr, routing_key: shortstr, no_wait: bit,
        arguments: table,
    }
    (50, 21) "queue.bind-ok" QueueBindOk {}
    (50, 30) "queue.purge" QueuePurge<'a> { reserved_1: short, queue: shortstr, no_wait: bit }
    (50, 31) "queue.purge-ok" QueuePurgeOk { message_count: long }
    (50, 40) "queue.delete" QueueDelete<'a> {
        reserved_1: short, queue: shortstr, if_unused: bit, if_empty: bit, no_wait: bit,
    }
    (50, 41) "queue.delete-ok" QueueDeleteOk { message_count: long }
    (50, 50) "queue.unbind" QueueUnbind<'a> {
        reserved_1: short, queue: shortstr, exchange: shortstr, routing_key: shortstr, arguments: table,
    }
    (50, 51) "queue.unbind-ok" QueueUnbindOk {}

    (60, 10) "basic.qos" BasicQos { prefetch_size: long, prefetch_count: short, global: bit }
    (60, 11) "basic.qos-ok" BasicQosOk {}
    (60, 20) "basic.consume" BasicConsume<'a> {
        reserved_1: short, queue: shortstr, consumer_tag: shortstr, no_local: bit, no_ack: bit, exclusive: bit,
        no_wait: bit, arguments: table,
    }
    (60, 21) "basic.consume-ok" BasicConsumeOk<'a> { consumer_tag: shortstr }
    (60, 30) "basic.cancel" BasicCancel<'a> { consumer_tag: shortstr, no_wait: bit }
    (60, 31) "basic.cancel-ok" BasicCancelOk<'a> { consumer_tag: shortstr }
    (60, 40) "basic.publish" BasicPublish<'a> {
        reserved_1: short, exchange: shortstr, routing_key: shortstr, mandatory: bit, immediate: bit,
    }
    (60, 50) "basic.return" BasicReturn<'a> {
        reply_code: short, reply_text: shortstr, exchange: shortstr, routing_key: shortstr,
    }
    (60, 60) "basic.deliver" BasicDeliver<'a> {
        consumer_tag: shortstr, delivery_tag: longlong, redelivered: bit, exchange: shortstr, routing_key: shortstr,
    }
    (60, 70) "basic.get" BasicGet<'a> { reserved_1: short, queue: shortstr, no_ack: bit }
    (60, 71) "basic.get-ok" BasicGetOk<'a> {
        delivery_tag: longlong, redelivered: bit, exchange: shortstr, routing_key: shortstr, message_count: long,
    }
    (60, 72) "basic.get-empty" BasicGetEmpty<'a> { cluster_id: shortstr }
    (60, 80) "basic.ack" BasicAck { delivery_tag: longlong, multiple: bit }
    (60, 90) "basic.reject" BasicReject { delivery_tag: longlong, requeue: bit }
    (60, 100) "basic.recover-async" BasicRecoverAsync { requeue: bit }
    (60, 110) "basic.recover" BasicRecover { requeue: bit }
    (60, 111) "basic.recover-ok" BasicRecoverOk {}
    (60, 120) "basic.nack" BasicNack { delivery_tag: longlong, multiple: bit, requeue: bit }

    (90, 10) "tx.select" TxSelect {}
    (90, 11) "tx.select-ok" TxSelectOk {}
    (90, 20) "tx.commit" TxCommit {}
    (90, 21) "tx.commit-ok" TxCommitOk {}
    (90, 30) "tx.rollback" TxRollback {}
    (90, 31) "tx.rollback-ok" TxRollbackOk {}

    (85, 10) "confirm.select" ConfirmSelect { no_wait: bit }
    (85, 11) "confirm.select-ok" ConfirmSelectOk {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All methods of the specification that RabbitMQ publishes, with the basic types of their fields.
    const SPECIFICATION: &[(&str, u16, u16, &str)] = &[
        (
            "connection.start",
            10,
            10,
            "octet octet table longstr longstr",
        ),
        (
            "connection.start-ok",
            10,
            11,
            "table shortstr longstr shortstr",
        ),
        ("connection.secure", 10, 20, "longstr"),
        ("connection.secure-ok", 10, 21, "longstr"),
        ("connection.tune", 10, 30, "short long short"),
        ("connection.tune-ok", 10, 31, "short long short"),
        ("connection.open", 10, 40, "shortstr shortstr bit"),
        ("connection.open-ok", 10, 41, "shortstr"),
        ("connection.close", 10, 50, "short shortstr short short"),
        ("connection.close-ok", 10, 51, ""),
        ("connection.blocked", 10, 60, "shortstr"),
        ("connection.unblocked", 10, 61, ""),
        ("connection.update-secret", 10, 70, "longstr shortstr"),
        ("connection.update-secret-ok", 10, 71, ""),
        ("channel.open", 20, 10, "shortstr"),
        ("channel.open-ok", 20, 11, "longstr"),
        ("channel.flow", 20, 20, "bit"),
        ("channel.flow-ok", 20, 21, "bit"),
        ("channel.close", 20, 40, "short shortstr short short"),
        ("channel.close-ok", 20, 41, ""),
        ("access.request", 30, 10, "shortstr bit bit bit bit bit"),
        ("access.request-ok", 30, 11, "short"),
        (
            "exchange.declare",
            40,
            10,
            "short shortstr shortstr bit bit bit bit bit table",
        ),
        ("exchange.declare-ok", 40, 11, ""),
        ("exchange.delete", 40, 20, "short shortstr bit bit"),
        ("exchange.delete-ok", 40, 21, ""),
        (
            "exchange.bind",
            40,
            30,
            "short shortstr shortstr shortstr bit table",
        ),
        ("exchange.bind-ok", 40, 31, ""),
        (
            "exchange.unbind",
            40,
            40,
            "short shortstr shortstr shortstr bit table",
        ),
        ("exchange.unbind-ok", 40, 51, ""),
        (
            "queue.declare",
            50,
            10,
            "short shortstr bit bit bit bit bit table",
        ),
        ("queue.declare-ok", 50, 11, "shortstr long long"),
        (
            "queue.bind",
            50,
            20,
            "short shortstr shortstr shortstr bit table",
        ),
        ("queue.bind-ok", 50, 21, ""),
        ("queue.purge", 50, 30, "short shortstr bit"),
        ("queue.purge-ok", 50, 31, "long"),
        ("queue.delete", 50, 40, "short shortstr bit bit bit"),
        ("queue.delete-ok", 50, 41, "long"),
        (
            "queue.unbind",
            50,
            50,
            "short shortstr shortstr shortstr table",
        ),
        ("queue.unbind-ok", 50, 51, ""),
        ("basic.qos", 60, 10, "long short bit"),
        ("basic.qos-ok", 60, 11, ""),
        (
            "basic.consume",
            60,
            20,
            "short shortstr shortstr bit bit bit bit table",
        ),
        ("basic.consume-ok", 60, 21, "shortstr"),
        ("basic.cancel", 60, 30, "shortstr bit"),
        ("basic.cancel-ok", 60, 31, "shortstr"),
        ("basic.publish", 60, 40, "short shortstr shortstr bit bit"),
        ("basic.return", 60, 50, "short shortstr shortstr shortstr"),
        (
            "basic.deliver",
            60,
            60,
            "shortstr longlong bit shortstr shortstr",
        ),
        ("basic.get", 60, 70, "short shortstr bit"),
        (
            "basic.get-ok",
            60,
            71,
            "longlong bit shortstr shortstr long",
        ),
        ("basic.get-empty", 60, 72, "shortstr"),
        ("basic.ack", 60, 80, "longlong bit"),
        ("basic.reject", 60, 90, "longlong bit"),
        ("basic.recover-async", 60, 100, "bit"),
        ("basic.recover", 60, 110, "bit"),
        ("basic.recover-ok", 60, 111, ""),
        ("basic.nack", 60, 120, "longlong bit bit"),
        ("tx.select", 90, 10, ""),
        ("tx.select-ok", 90, 11, ""),
        ("tx.commit", 90, 20, ""),
        ("tx.commit-ok", 90, 21, ""),
        ("tx.rollback", 90, 30, ""),
        ("tx.rollback-ok", 90, 31, ""),
        ("confirm.select", 85, 10, "bit"),
        ("confirm.select-ok", 85, 11, ""),
    ];

    #[test]
    fn the_table_is_the_specifications() {
        assert_eq!(SPECIFICATION.len(), 66);
        let table: Vec<_> = TABLE
            .iter()
            .map(|&(name, class, id, types)| (name, class, id, types.join(" ")))
            .collect();
        let specification: Vec<_> = SPECIFICATION
            .iter()
            .map(|&(name, class, id, types)| (name, class, id, types.to_owned()))
            .collect();
        assert_eq!(table, specification);
    }

    /// A method with something in every field.
    fn sample(types: &[&str], class: u16, id: u16) -> BytesMut {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.short(class).unwrap();
        writer.short(id).unwrap();
        for kind in types {
            match *kind {
                "bit" => writer.bit(true),
                "octet" => writer.octet(0x11),
                "short" => writer.short(0x2222),
                "long" => writer.long(0x3333_3333),
                "longlong" => writer.longlong(0x4444_4444_4444_4444),
                "shortstr" => writer.shortstr(b"short"),
                "longstr" => writer.longstr(b"long"),
                "table" => writer.table(b"\x01kt\x01"),
                kind => panic!("{kind}"),
            }
            .unwrap();
        }
        out
    }

    #[test]
    fn every_method_is_written_as_it_was_read() {
        for (name, class, id, types) in TABLE {
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
        for (name, class, id, types) in TABLE {
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
}
