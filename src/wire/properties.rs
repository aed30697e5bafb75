//! Content headers: a body's size, and the message's properties.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::codec::{DecodeError, EncodeError, Reader, Writer};
use super::field_table::FieldTable;
use super::short_str::ShortStr;

/// How a property of each domain is kept, shown, read and written.
macro_rules! property {
    (@type shortstr) => { Option<ShortStr> };
    (@type octet) => { Option<u8> };
    (@type timestamp) => { Option<u64> };
    (@type table) => { FieldTable };
    (@shown shortstr) => { Option<&str> };
    (@shown octet) => { Option<u8> };
    (@shown timestamp) => { Option<u64> };
    (@shown table) => { &FieldTable };
    (@show shortstr $value:expr) => { $value.as_deref() };
    (@show table $value:expr) => { &$value };
    (@show $number:ident $value:expr) => { $value };
    (@is_set table $value:expr) => { !$value.is_empty() };
    (@is_set $option:ident $value:expr) => { $value.is_some() };
    (@read shortstr $reader:expr, $payload:expr) => { Some(ShortStr::from_wire($payload, $reader.shortstr()?)) };
    (@read table $reader:expr, $payload:expr) => { FieldTable::from_wire($payload, $reader.table()?) };
    (@read $number:ident $reader:expr, $payload:expr) => { Some($reader.$number()?) };
    (@write shortstr $writer:expr, $value:expr) => {
        if let Some(value) = &$value {
            $writer.shortstr(value.as_bytes())?;
        }
    };
    (@write table $writer:expr, $value:expr) => {
        if !$value.is_empty() {
            $value.check_encodable()?;
            $writer.table($value.encoded())?;
        }
    };
    (@write $number:ident $writer:expr, $value:expr) => {
        if let Some(value) = $value {
            $writer.$number(value)?;
        }
    };
}

macro_rules! properties {
    ($($bit:literal $name:ident: $domain:ident, $doc:literal;)*) => {
        /// A message's [properties](https://www.rabbitmq.com/docs/publishers#message-properties): what
        /// [`Message`](crate::Message) sets, and a delivery brings.
        #[derive(Clone, Default, PartialEq)]
        pub struct Properties {
            $(pub(crate) $name: property!(@type $domain),)*
        }

        impl Properties {
            $(
                #[doc = $doc]
                pub fn $name(&self) -> property!(@shown $domain) {
                    property!(@show $domain self.$name)
                }
            )*

            fn flags(&self) -> u16 {
                let mut flags = 0;
                $(if property!(@is_set $domain self.$name) { flags |= 1 << $bit; })*
                flags
            }

            fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
                out.put_u16(self.flags());
                let mut writer = Writer::new(out);
                $(property!(@write $domain writer, self.$name);)*
                Ok(())
            }

            fn decode(reader: &mut Reader<'_>, payload: &Bytes) -> Result<Self, DecodeError> {
                let flags = reader.short()?;
                let mut properties = Self::default();
                if flags == 0 {
                    return Ok(properties);
                }
                // Bit 0 announces more flags, and AMQP 0-9-1 has none for bit 1.
                if flags & 0b11 != 0 {
                    return Err(DecodeError::UnknownProperties);
                }
                $(if flags & 1 << $bit != 0 {
                    properties.$name = property!(@read $domain reader, payload);
                })*
                Ok(properties)
            }
        }

        /// Only those that are set.
        impl fmt::Debug for Properties {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_struct("Properties");
                $(if property!(@is_set $domain self.$name) {
                    out.field(stringify!($name), &self.$name);
                })*
                out.finish()
            }
        }
    };
}

// In the order of the specification, which is that of the bytes.
properties! {
    15 content_type: shortstr, "The MIME type of the body.";
    14 content_encoding: shortstr, "The encoding of the body (`gzip`, say).";
    13 headers: table, "The headers; empty if there are none.";
    12 delivery_mode: octet, "1: transient, 2: persistent.";
    11 priority: octet, "The priority.";
    10 correlation_id: shortstr, "What ties a reply to its request.";
    9 reply_to: shortstr, "The queue that a reply should go to.";
    8 expiration: shortstr, "The time to live: milliseconds, as text.";
    7 message_id: shortstr, "A name for the message.";
    6 timestamp: timestamp, "When the message was made, in seconds since 1970.";
    5 kind: shortstr, "The kind of the message (AMQP's `type`).";
    4 user_id: shortstr, "The publishing user, which the broker has checked.";
    3 app_id: shortstr, "The publishing program.";
    2 cluster_id: shortstr, "Deprecated in AMQP, and of no meaning to RabbitMQ.";
}

/// The payload of a header frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ContentHeader {
    pub(crate) class_id: u16,
    pub(crate) body_size: u64,
    pub(crate) properties: Properties,
}

impl ContentHeader {
    /// On an error it may have written a part.
    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.put_u16(self.class_id);
        out.put_u16(0); // The weight, which is unused.
        out.put_u64(self.body_size);
        self.properties.encode(out)
    }

    pub(crate) fn decode(payload: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let class_id = reader.short()?;
        let _weight = reader.short()?;
        let body_size = reader.longlong()?;
        let properties = Properties::decode(&mut reader, payload)?;
        reader.finish("a content header")?;
        Ok(Self {
            class_id,
            body_size,
            properties,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Properties {
        Properties {
            content_type: Some("a".into()),
            content_encoding: Some("b".into()),
            headers: FieldTable::new().with("c", 1),
            delivery_mode: Some(2),
            priority: Some(3),
            correlation_id: Some("d".into()),
            reply_to: Some("e".into()),
            expiration: Some("f".into()),
            message_id: Some("g".into()),
            timestamp: Some(4),
            kind: Some("h".into()),
            user_id: Some("i".into()),
            app_id: Some("j".into()),
            cluster_id: Some("k".into()),
        }
    }

    #[test]
    fn every_property_has_its_place() {
        let mut out = BytesMut::new();
        ContentHeader {
            class_id: 60,
            body_size: 5,
            properties: all(),
        }
        .encode(&mut out)
        .unwrap();
        let expected: &[u8] = b"\x00\x3c\0\0\0\0\0\0\0\0\0\x05\xff\xfc\x01a\x01b\0\0\0\x07\x01cI\0\0\0\x01\x02\x03\x01d\
            \x01e\x01f\x01g\0\0\0\0\0\0\0\x04\x01h\x01i\x01j\x01k";
        assert_eq!(&out[..], expected);
        let payload = out.freeze();
        let header = ContentHeader::decode(&payload).unwrap();
        assert_eq!(
            (header.class_id, header.body_size, header.properties),
            (60, 5, all())
        );
        for cut in 0..payload.len() {
            assert!(
                ContentHeader::decode(&payload.slice(..cut)).is_err(),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn no_property_is_two_bytes() {
        let mut out = BytesMut::new();
        ContentHeader {
            class_id: 60,
            ..Default::default()
        }
        .encode(&mut out)
        .unwrap();
        assert_eq!(out.len(), 14);
        assert_eq!(format!("{:?}", Properties::default()), "Properties");
    }

    #[test]
    fn properties_that_nobody_knows_are_an_error() {
        for flags in [1_u8, 2] {
            let payload = Bytes::from(vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags, 0, 0]);
            assert_eq!(
                ContentHeader::decode(&payload),
                Err(DecodeError::UnknownProperties)
            );
        }
    }
}
