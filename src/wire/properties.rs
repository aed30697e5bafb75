//! Content headers: a body's size, and the message's properties.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::arena::Arena;
use super::codec::{DecodeError, EncodeError, Reader, Writer};
use super::field_table::FieldTable;

const HEADERS: u32 = 13;
const DELIVERY_MODE: u32 = 12;
const PRIORITY: u32 = 11;
const TIMESTAMP: u32 = 6;
/// AMQP 0-9-1 has nothing below.
const LOWEST: u32 = 2;

/// All but those of the constants above.
const TEXTS: u16 = !(1 << HEADERS | 1 << DELIVERY_MODE | 1 << PRIORITY | 1 << TIMESTAMP | 0b11);

/// A message's [properties](https://www.rabbitmq.com/docs/publishers#message-properties): what
/// [`Message`](crate::Message) sets, and a delivery brings.
#[derive(Clone, Default, PartialEq)]
pub struct Properties {
    /// Which are set, by the specification's bits; but the headers are if there are any.
    set: u16,
    delivery_mode: u8,
    priority: u8,
    timestamp: u64,
    pub(crate) headers: FieldTable,
    /// The texts, as they are on the wire: each has its length in front. There may be nine, and most messages have
    /// one or none.
    texts: Option<Bytes>,
    /// Why they cannot be sent, if they were given what AMQP has no way to say.
    broken: Option<Box<EncodeError>>,
}

macro_rules! texts {
    ($($bit:literal $name:ident, $with:ident, $doc:literal;)*) => {
        impl Properties {
            $(
                #[doc = $doc]
                pub fn $name(&self) -> Option<&str> {
                    self.text($bit)
                }

                pub(crate) fn $with(&mut self, value: &str) {
                    self.set_text($bit, value);
                }
            )*
        }

        const NAMES: &[(u32, &str)] = &[$(($bit, stringify!($name))),*];
    };
}

// In the order of the specification, which is that of the bytes.
texts! {
    15 content_type, set_content_type, "The MIME type of the body.";
    14 content_encoding, set_content_encoding, "The encoding of the body (`gzip`, say).";
    10 correlation_id, set_correlation_id, "What ties a reply to its request.";
    9 reply_to, set_reply_to, "The queue that a reply should go to.";
    8 expiration, set_expiration, "The time to live: milliseconds, as text.";
    7 message_id, set_message_id, "A name for the message.";
    5 kind, set_kind, "The kind of the message (AMQP's `type`).";
    4 user_id, set_user_id, "The publishing user, which the broker has checked.";
    3 app_id, set_app_id, "The publishing program.";
    2 cluster_id, set_cluster_id, "Deprecated in AMQP, and of no meaning to RabbitMQ.";
}

impl Properties {
    /// The headers; empty if there are none.
    pub fn headers(&self) -> &FieldTable {
        &self.headers
    }

    /// 1: transient, 2: persistent.
    pub fn delivery_mode(&self) -> Option<u8> {
        self.has(DELIVERY_MODE).then_some(self.delivery_mode)
    }

    /// The priority.
    pub fn priority(&self) -> Option<u8> {
        self.has(PRIORITY).then_some(self.priority)
    }

    /// When the message was made, in seconds since 1970.
    pub fn timestamp(&self) -> Option<u64> {
        self.has(TIMESTAMP).then_some(self.timestamp)
    }

    pub(crate) fn set_delivery_mode(&mut self, value: u8) {
        self.set |= 1 << DELIVERY_MODE;
        self.delivery_mode = value;
    }

    pub(crate) fn set_priority(&mut self, value: u8) {
        self.set |= 1 << PRIORITY;
        self.priority = value;
    }

    pub(crate) fn set_timestamp(&mut self, value: u64) {
        self.set |= 1 << TIMESTAMP;
        self.timestamp = value;
    }

    /// The same with other headers, and without an expiration: a dead letter's.
    #[cfg(feature = "testing")]
    pub(crate) fn without_expiration(&self, headers: FieldTable) -> Self {
        const EXPIRATION: u32 = 8;
        let mut properties = Self {
            headers,
            set: self.set & !TEXTS,
            texts: None,
            ..self.clone()
        };
        for &(bit, _) in NAMES.iter().filter(|(bit, _)| *bit != EXPIRATION) {
            if let Some(text) = self.text(bit) {
                properties.set_text(bit, text);
            }
        }
        properties
    }

    /// The bytes that are not in the struct itself.
    pub(crate) fn shared_bytes(&self) -> usize {
        self.texts().len() + self.headers.raw_len()
    }

    fn texts(&self) -> &[u8] {
        self.texts.as_deref().unwrap_or_default()
    }

    fn has(&self, bit: u32) -> bool {
        self.set & 1 << bit != 0
    }

    /// Where a text is, or would be, and it.
    fn find(&self, bit: u32) -> (usize, &[u8]) {
        let texts = self.texts();
        let mut reader = Reader::new(texts);
        // Those of higher bits come before it.
        let before = self.set & TEXTS & !(u16::MAX >> (15 - bit));
        for _ in 0..before.count_ones() {
            let _ = reader.shortstr();
        }
        let start = texts.len() - reader.len();
        let text = if self.has(bit) {
            reader.shortstr().unwrap_or_default()
        } else {
            &[]
        };
        (start, text)
    }

    fn text(&self, bit: u32) -> Option<&str> {
        // It is UTF-8, always.
        self.has(bit)
            .then(|| str::from_utf8(self.find(bit).1).unwrap_or_default())
    }

    fn set_text(&mut self, bit: u32, value: &str) {
        let Ok(len) = u8::try_from(value.len()) else {
            let error = EncodeError::ShortStrTooLong { len: value.len() };
            self.broken.get_or_insert_with(|| Box::new(error));
            return;
        };
        let (start, old) = self.find(bit);
        let end = start + old.len() + usize::from(self.has(bit));
        let (before, after) = (&self.texts()[..start], &self.texts()[end..]);
        let texts = [before, &[len], value.as_bytes(), after].concat();
        self.texts = Some(texts.into());
        self.set |= 1 << bit;
    }

    pub(crate) const NONE: Self = Self {
        set: 0,
        delivery_mode: 0,
        priority: 0,
        timestamp: 0,
        headers: FieldTable::EMPTY,
        texts: None,
        broken: None,
    };

    /// Whether none is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.flags() == 0 && self.broken.is_none()
    }

    fn flags(&self) -> u16 {
        self.set | u16::from(!self.headers.is_empty()) << HEADERS
    }

    fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let flags = self.flags();
        if let Some(error) = self.broken.as_deref() {
            return Err(*error);
        }
        out.put_u16(flags);
        let mut texts = Reader::new(self.texts());
        let mut writer = Writer::new(out);
        for bit in (LOWEST..16).rev().filter(|bit| flags & 1 << bit != 0) {
            match bit {
                HEADERS => {
                    self.headers.check_encodable()?;
                    writer.table(self.headers.encoded())?;
                }
                DELIVERY_MODE => writer.octet(self.delivery_mode)?,
                PRIORITY => writer.octet(self.priority)?,
                TIMESTAMP => writer.timestamp(self.timestamp)?,
                _ => writer.shortstr(texts.shortstr().unwrap_or_default())?,
            }
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, arena: &mut Arena) -> Result<Self, DecodeError> {
        // AMQP 0-9-1 has no properties for the lowest bits. RabbitMQ passes them over, and passes them on.
        let flags = reader.short()? & !0b11;
        let mut properties = Self::default();
        if flags == 0 {
            return Ok(properties);
        }
        let whole = *reader;
        let mut headers: &[u8] = &[];
        for bit in (LOWEST..16).rev().filter(|bit| flags & 1 << bit != 0) {
            match bit {
                HEADERS => headers = reader.table()?,
                DELIVERY_MODE => properties.set_delivery_mode(reader.octet()?),
                PRIORITY => properties.set_priority(reader.octet()?),
                TIMESTAMP => properties.set_timestamp(reader.timestamp()?),
                _ => {
                    reader.shortstr()?;
                }
            }
        }
        properties.headers = FieldTable::from_wire(arena.copy(headers));
        properties.set |= flags & TEXTS;
        properties.texts = texts(whole, flags, arena)?;
        Ok(properties)
    }
}

/// All texts of a list of properties, which has been read once.
fn texts(
    mut reader: Reader<'_>,
    flags: u16,
    arena: &mut Arena,
) -> Result<Option<Bytes>, DecodeError> {
    if flags & TEXTS == 0 {
        return Ok(None);
    }
    for bit in (LOWEST..16).rev().filter(|bit| flags & 1 << bit != 0) {
        match bit {
            HEADERS => drop(reader.longstr()?),
            DELIVERY_MODE | PRIORITY => drop(reader.octet()?),
            TIMESTAMP => drop(reader.timestamp()?),
            _ => {
                let text = String::from_utf8_lossy(reader.shortstr()?);
                let mut len = text.len().min(255); // Longer only where something was replaced.
                while !text.is_char_boundary(len) {
                    len -= 1;
                }
                arena.put(&[len as u8]);
                arena.put(&text.as_bytes()[..len]);
            }
        }
    }
    Ok(Some(arena.take()))
}

/// Only those that are set.
impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Properties");
        for bit in (LOWEST..16)
            .rev()
            .filter(|bit| self.flags() & 1 << bit != 0)
        {
            match bit {
                HEADERS => out.field("headers", &self.headers),
                DELIVERY_MODE => out.field("delivery_mode", &self.delivery_mode),
                PRIORITY => out.field("priority", &self.priority),
                TIMESTAMP => out.field("timestamp", &self.timestamp),
                _ => {
                    let name = NAMES.iter().find(|(of, _)| *of == bit);
                    out.field(
                        name.map_or("", |(_, name)| name),
                        &self.text(bit).unwrap_or_default(),
                    )
                }
            };
        }
        out.finish()
    }
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

    /// The size of the body, if this is the header of a message without properties, as most are. It is what
    /// [`decode`](Self::decode) would find, but quicker.
    pub(crate) fn plain(payload: &[u8]) -> Option<u64> {
        let &[0, 60, _, _, a, b, c, d, e, f, g, h, 0, 0] = payload else {
            return None;
        };
        Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    pub(crate) fn decode(payload: &[u8], arena: &mut Arena) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let class_id = reader.short()?;
        let _weight = reader.short()?;
        let body_size = reader.longlong()?;
        let properties = Properties::decode(&mut reader, arena)?;
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
        let mut all = Properties::default();
        // Not in the order of the bytes.
        all.set_timestamp(4);
        all.set_cluster_id("k");
        all.set_correlation_id("replaced");
        all.set_content_type("a");
        all.headers = FieldTable::new().with("c", 1);
        all.set_priority(3);
        all.set_reply_to("e");
        all.set_app_id("j");
        all.set_correlation_id("d");
        all.set_kind("h");
        all.set_message_id("g");
        all.set_content_encoding("b");
        all.set_user_id("i");
        all.set_expiration("f");
        all.set_delivery_mode(2);
        all
    }

    fn decode(payload: &[u8]) -> Result<ContentHeader, DecodeError> {
        ContentHeader::decode(payload, &mut Arena::default())
    }

    #[test]
    fn each_is_what_was_set() {
        let all = all();
        let texts = [
            all.content_type(),
            all.content_encoding(),
            all.correlation_id(),
            all.reply_to(),
            all.expiration(),
            all.message_id(),
            all.kind(),
            all.user_id(),
            all.app_id(),
            all.cluster_id(),
        ];
        assert_eq!(texts.map(Option::unwrap).concat(), "abdefghijk");
        let numbers = (all.delivery_mode(), all.priority(), all.timestamp());
        assert_eq!(numbers, (Some(2), Some(3), Some(4)));
        let mut some = Properties::default();
        some.set_kind("");
        assert_eq!((some.kind(), some.app_id()), (Some(""), None));
        assert_eq!(format!("{some:?}"), r#"Properties { kind: "" }"#);
    }

    #[test]
    fn a_text_too_long_is_remembered() {
        let mut properties = Properties::default();
        properties.set_kind(&"k".repeat(256));
        let refused = properties.encode(&mut BytesMut::new());
        assert_eq!(refused, Err(EncodeError::ShortStrTooLong { len: 256 }));
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let mut payload = b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x80\x20\xff".to_vec();
        payload.extend([0xe4; 255]);
        payload.extend(b"\x01h");
        let properties = decode(&payload).unwrap().properties;
        assert_eq!(properties.content_type().unwrap(), "\u{fffd}".repeat(85));
        assert_eq!(properties.kind(), Some("h"));
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
        let header = decode(&payload).unwrap();
        assert_eq!(
            (header.class_id, header.body_size, header.properties),
            (60, 5, all())
        );
        for cut in 0..payload.len() {
            assert!(decode(&payload[..cut]).is_err(), "cut at {cut}");
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
    fn the_quick_way_reads_the_same() {
        let mut payload = *b"\0\x3c\0\0\x01\x02\x03\x04\x05\x06\x07\x08\0\0";
        let size = decode(&payload).unwrap().body_size;
        assert_eq!(ContentHeader::plain(&payload), Some(size));
        assert_eq!(ContentHeader::plain(&payload[1..]), None);
        payload[12] = 0x80;
        assert_eq!(ContentHeader::plain(&payload), None);
    }

    #[test]
    fn flags_of_no_property_are_passed_over() {
        for flags in [1_u8, 2, 3] {
            let mut payload = b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x80".to_vec();
            payload.extend([flags, 1, b'a']);
            let properties = decode(&payload).unwrap().properties;
            assert_eq!(properties.content_type(), Some("a"));
            let mut out = BytesMut::new();
            properties.encode(&mut out).unwrap();
            assert_eq!(&out[..], b"\x80\0\x01a");
        }
    }

    #[test]
    fn headers_that_nobody_understands_are_sent_as_they_came() {
        let headers = b"\x01aB\x01\x01bU?\x01cB\x01";
        let mut payload = b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x20\0\0\0\0".to_vec();
        payload.push(headers.len() as u8);
        payload.extend(headers);
        let mut properties = decode(&payload).unwrap().properties;
        assert_eq!(properties.headers.get("a"), Some(1_u8.into()));
        let mut out = BytesMut::new();
        properties.encode(&mut out).unwrap();
        assert_eq!(&out[6..], headers);
        // What is added comes before what cannot be read over, and so is found.
        properties.headers.insert("d", 2_u8);
        properties.headers.insert("a", 3_u8);
        assert!(properties.headers.remove("d"));
        assert_eq!(properties.headers.get("a"), Some(3_u8.into()));
        assert_eq!(properties.headers.encoded(), b"\x01aB\x03\x01bU?\x01cB\x01");
        assert_eq!(format!("{:?}", properties.headers), r#"{"a": 3, ..}"#);
    }
}
