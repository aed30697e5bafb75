//! The methods of AMQP 0-9-1, with RabbitMQ's own, as one table: reading, writing and names come from it.
//!
//! A row is a method, as the specification has it: its numbers, its name, and its fields with their domains, which are
//! the methods of [`Reader`] and [`Writer`]. A short or long string, and a table (its encoded entries), is a slice of
//! the bytes it is read from, or written from: `shortstr` may hold what is not UTF-8, since foreign clients may.

use bytes::BytesMut;

use super::codec::{DecodeError, EncodeError, Reader, Writer};

/// The numbers of a method: its class's, and its own.
pub(crate) type MethodId = (u16, u16);

/// The class of all that has to do with messages.
pub(crate) const CLASS_BASIC: u16 = BasicPublish::ID.0;

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

            impl $(<$a>)? $method $(<$a>)? {
                /// Class and method.
                pub(crate) const ID: MethodId = ($class, $id);
            }

            impl $(<$a>)? WireMethod for $method $(<$a>)? {
                fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
                    let mut writer = Writer::new(out);
                    writer.short(Self::ID.0)?;
                    writer.short(Self::ID.1)?;
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
            pub(crate) fn id(&self) -> MethodId {
                match self {
                    $(Self::$method(_) => $method::ID,)*
                }
            }
        }

        #[cfg(any(test, fuzzing))]
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

        /// Every row: name, numbers, fields with their domains.
        #[cfg(any(test, fuzzing))]
        pub(crate) const METHODS: &[(&str, u16, u16, &[(&str, &str)])] = &[
            $(($name, $class, $id, &[$((stringify!($field), stringify!($domain))),*]),)*
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
mod tests;
