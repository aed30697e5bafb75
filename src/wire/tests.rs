//! What is written is read back the same, whatever it is.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::codec::{DecodeError, EncodeError, Reader, Writer};
use super::nesting::check_table as check;
use super::*;

/// A seed that has failed is in the test's output: no file is written.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

/// Any text that fits into a short string.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "(?s).{0,12}",
        1 => "(?s).{63}",
        1 => Just("n".repeat(255)),
    ]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

/// A value of every type; floats of all bits that are numbers.
fn value() -> impl Strategy<Value = FieldValue> {
    let one = prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        any::<u32>()
            .prop_map(f32::from_bits)
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(FieldValue::F32),
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(FieldValue::F64),
        any::<(u8, i32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        any::<u64>().prop_map(FieldValue::Timestamp),
        bytes().prop_map(FieldValue::LongString),
        bytes().prop_map(FieldValue::Bytes),
        Just(FieldValue::Void),
    ];
    one.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(FieldValue::Array),
            vec((name(), inner), 0..5)
                .prop_map(|entries| FieldValue::Table(entries.into_iter().collect::<FieldTable>())),
        ]
    })
}

fn table() -> impl Strategy<Value = FieldTable> {
    vec((name(), value()), 0..4).prop_map(|entries| entries.into_iter().collect())
}

/// A value as text, floats by their bits: zeros differ.
fn shown(value: &FieldValue) -> String {
    match value {
        FieldValue::F32(value) => format!("F32({:08x})", value.to_bits()),
        FieldValue::F64(value) => format!("F64({:016x})", value.to_bits()),
        FieldValue::Array(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            format!("[{}]", values.join(", "))
        }
        FieldValue::Table(table) => {
            let entries = table.iter();
            let entries: Vec<String> = entries
                .map(|(name, value)| format!("{name:?}: {}", shown(&value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        value => format!("{value:?}"),
    }
}

/// A value of one of AMQP's domains.
#[derive(Debug, Clone)]
enum Field {
    Bit(bool),
    Octet(u8),
    Short(u16),
    Long(u32),
    Longlong(u64),
    Shortstr(Vec<u8>),
    Longstr(Vec<u8>),
    Table(FieldTable),
}

impl Field {
    fn of(domain: &str) -> BoxedStrategy<Self> {
        match domain {
            "bit" => any::<bool>().prop_map(Self::Bit).boxed(),
            "octet" => any::<u8>().prop_map(Self::Octet).boxed(),
            "short" => any::<u16>().prop_map(Self::Short).boxed(),
            "long" => any::<u32>().prop_map(Self::Long).boxed(),
            "longlong" => any::<u64>().prop_map(Self::Longlong).boxed(),
            // Not always UTF-8: foreign clients may send anything.
            "shortstr" => vec(any::<u8>(), 0..256).prop_map(Self::Shortstr).boxed(),
            "longstr" => vec(any::<u8>(), 0..600).prop_map(Self::Longstr).boxed(),
            "table" => table().prop_map(Self::Table).boxed(),
            domain => panic!("{domain}"),
        }
    }

    fn any() -> impl Strategy<Value = Self> {
        let domains = [
            "bit", "bit", "bit", "octet", "short", "long", "longlong", "shortstr", "longstr",
            "table",
        ];
        select(domains.to_vec()).prop_flat_map(Self::of)
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Bit(value) => writer.bit(*value),
            Self::Octet(value) => writer.octet(*value),
            Self::Short(value) => writer.short(*value),
            Self::Long(value) => writer.long(*value),
            Self::Longlong(value) => writer.longlong(*value),
            Self::Shortstr(value) => writer.shortstr(value),
            Self::Longstr(value) => writer.longstr(value),
            Self::Table(value) => writer.table(value.encoded()),
        }
    }

    /// Whether this is what comes next.
    fn is_next(&self, reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
        Ok(match self {
            Self::Bit(value) => reader.bit()? == *value,
            Self::Octet(value) => reader.octet()? == *value,
            Self::Short(value) => reader.short()? == *value,
            Self::Long(value) => reader.long()? == *value,
            Self::Longlong(value) => reader.longlong()? == *value,
            Self::Shortstr(value) => reader.shortstr()? == value,
            Self::Longstr(value) => reader.longstr()? == value,
            Self::Table(value) => reader.table()? == value.encoded(),
        })
    }
}

/// Class, method, and a value for each of its fields.
fn method() -> impl Strategy<Value = (u16, u16, Vec<Field>)> {
    select(METHODS).prop_flat_map(|(_, class, id, fields)| {
        let fields: Vec<_> = fields.iter().map(|(_, domain)| Field::of(domain)).collect();
        (Just(class), Just(id), fields)
    })
}

fn encoded(method: &impl WireMethod) -> BytesMut {
    let mut out = BytesMut::new();
    method.encode(&mut out).unwrap();
    out
}

/// All frames of a message, in the ways that any message can go.
fn message(channel: u16, method: &BasicPublish<'_>, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    write_method(&mut out, channel, method).unwrap();
    let header = ContentHeader {
        class_id: 60,
        body_size: body.len() as u64,
        ..Default::default()
    };
    let mark = begin_frame(&mut out, FRAME_HEADER, channel);
    header.encode(&mut out).unwrap();
    end_frame(&mut out, mark);
    if !body.is_empty() {
        let mark = begin_frame(&mut out, FRAME_BODY, channel);
        out.extend_from_slice(body);
        end_frame(&mut out, mark);
    }
    out
}

/// The properties that are texts: how each is set, and read.
type Text = (
    fn(&mut Properties, &str),
    for<'a> fn(&'a Properties) -> Option<&'a str>,
);
const TEXTS: [Text; 10] = [
    (Properties::set_content_type, Properties::content_type),
    (
        Properties::set_content_encoding,
        Properties::content_encoding,
    ),
    (Properties::set_correlation_id, Properties::correlation_id),
    (Properties::set_reply_to, Properties::reply_to),
    (Properties::set_expiration, Properties::expiration),
    (Properties::set_message_id, Properties::message_id),
    (Properties::set_kind, Properties::kind),
    (Properties::set_user_id, Properties::user_id),
    (Properties::set_app_id, Properties::app_id),
    (Properties::set_cluster_id, Properties::cluster_id),
];

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn any_domains_in_any_order(fields in vec(Field::any(), 0..20)) {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        for field in &fields {
            prop_assert_eq!(field.write(&mut writer), Ok(()));
        }
        let mut reader = Reader::new(&out);
        for field in &fields {
            prop_assert_eq!(field.is_next(&mut reader), Ok(true), "{:?}", field);
        }
        prop_assert_eq!(reader.finish("it"), Ok(()));
    }

    #[test]
    fn any_method((class, id, fields) in method()) {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.short(class).unwrap();
        writer.short(id).unwrap();
        for field in &fields {
            field.write(&mut writer).unwrap();
        }
        let method = Method::decode(&out).unwrap();
        prop_assert_eq!(method.id(), (class, id));
        prop_assert_eq!(&encoded(&method), &out);
        for cut in 0..out.len() {
            prop_assert!(Method::decode(&out[..cut]).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn any_table(entries in vec((name(), value()), 0..8)) {
        let table: FieldTable = entries.clone().into_iter().collect();
        prop_assert_eq!(table.check_encodable(), Ok(()));
        prop_assert_eq!(check(table.encoded()), Ok(()));
        let read = FieldTable::from_wire(Bytes::copy_from_slice(table.encoded()));
        prop_assert_eq!(&read, &table);
        // The last one of each name, where it was inserted.
        let mut expected: Vec<(String, String)> = Vec::new();
        for (name, value) in &entries {
            expected.retain(|(other, _)| other != name);
            expected.push((name.clone(), shown(value)));
        }
        let found = read.iter().map(|(name, value)| (name.to_string(), shown(&value)));
        prop_assert_eq!(found.collect::<Vec<_>>(), &expected[..]);
        for (name, value) in expected {
            prop_assert_eq!(read.get(&name).as_ref().map(shown), Some(value));
            let mut others = read.clone();
            prop_assert!(others.remove(&name) && !others.contains(&name));
            prop_assert_eq!(others.len() + 1, read.len());
        }
    }

    #[test]
    fn any_properties(
        texts in vec(proptest::option::of(name()), 10),
        order in Just((0..10).collect::<Vec<usize>>()).prop_shuffle(),
        headers in table(),
        delivery_mode in any::<Option<u8>>(),
        priority in any::<Option<u8>>(),
        timestamp in any::<Option<u64>>(),
        body_size in any::<u64>(),
    ) {
        let mut properties = Properties::default();
        for index in order {
            if let Some(text) = &texts[index] {
                let (set, _) = TEXTS[index];
                set(&mut properties, "something else before");
                set(&mut properties, text);
            }
        }
        properties.headers = headers.clone();
        if let Some(value) = delivery_mode {
            properties.set_delivery_mode(value);
        }
        if let Some(value) = priority {
            properties.set_priority(value);
        }
        if let Some(value) = timestamp {
            properties.set_timestamp(value);
        }
        let header = ContentHeader { class_id: 60, body_size, properties };
        let mut out = BytesMut::new();
        prop_assert_eq!(header.encode(&mut out), Ok(()));
        let read = ContentHeader::decode(&out, &mut Arena::default()).unwrap();
        prop_assert_eq!(&read, &header);
        for ((_, get), text) in TEXTS.into_iter().zip(&texts) {
            prop_assert_eq!(get(&read.properties), text.as_deref());
        }
        prop_assert_eq!(read.properties.headers(), &headers);
        prop_assert_eq!(read.properties.delivery_mode(), delivery_mode);
        prop_assert_eq!(read.properties.priority(), priority);
        prop_assert_eq!(read.properties.timestamp(), timestamp);
        let is_plain = ContentHeader::plain(&out) == Some(body_size);
        prop_assert_eq!(is_plain, read.properties.is_empty());
        for cut in 0..out.len() {
            let payload = &out[..cut];
            prop_assert!(ContentHeader::decode(payload, &mut Arena::default()).is_err());
            prop_assert_eq!(ContentHeader::plain(payload), None);
        }
    }

    #[test]
    fn any_text(text in "(?s).{0,300}") {
        let mut out = BytesMut::new();
        let written = Writer::new(&mut out).shortstr(text.as_bytes());
        if text.len() > 255 {
            prop_assert_eq!(written, Err(EncodeError::ShortStrTooLong { len: text.len() }));
            return Ok(());
        }
        let memory = out.freeze();
        let part = Reader::new(&memory).shortstr().unwrap();
        prop_assert_eq!(part, text.as_bytes());
        prop_assert_eq!(ShortStr::from_memory(&memory, part), text.as_str());
        prop_assert_eq!(ShortStr::from_wire(part, &mut Arena::default()), text.as_str());
    }

    #[test]
    fn the_quick_ways_write_and_read_the_same(
        channel in any::<u16>(),
        delivery_tag in any::<u64>(),
        flags in any::<[bool; 3]>(),
        names in any::<[u8; 3]>(),
        body in vec(any::<u8>(), 0..5_000),
    ) {
        let [multiple, mandatory, immediate] = flags;
        let mut quick = BytesMut::new();
        write_ack(&mut quick, channel, delivery_tag, multiple);
        let mut out = BytesMut::new();
        write_method(&mut out, channel, &BasicAck { delivery_tag, multiple }).unwrap();
        prop_assert_eq!(&quick, &out);

        let [exchange, routing_key, consumer_tag] = names.map(|len| vec![len; len.into()]);
        let publish = BasicPublish {
            exchange: &exchange,
            routing_key: &routing_key,
            mandatory,
            immediate,
            ..Default::default()
        };
        let mut quick = BytesMut::new();
        write_plain_message(&mut quick, channel, &publish, &body);
        prop_assert_eq!(&quick, &message(channel, &publish, &body));

        let deliver = BasicDeliver {
            consumer_tag: &consumer_tag,
            delivery_tag,
            redelivered: multiple,
            exchange: &exchange,
            routing_key: &routing_key,
        };
        let out = encoded(&deliver);
        prop_assert_eq!(BasicDeliver::decode(&out), Some(deliver));
        prop_assert_eq!(Method::decode(&out), Ok(Method::BasicDeliver(deliver)));
        for cut in 0..out.len() {
            prop_assert_eq!(BasicDeliver::decode(&out[..cut]), None);
        }
    }
}
