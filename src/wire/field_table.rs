//! Field tables, with the types that RabbitMQ reads and writes, which are not quite the specification's:
//! <https://www.rabbitmq.com/amqp-0-9-1-errata#section_3>.
//!
//! A [`FieldTable`] is its encoded entries: to send one is to copy them, to receive one is to keep a slice, after
//! [`check`] has seen that they are well-formed; values are decoded when somebody looks.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::codec::{DecodeError, EncodeError, Reader, Writer};
use super::short_str::ShortStr;

/// How many tables and arrays may be inside each other.
pub(crate) const MAX_DEPTH: usize = 32;

/// A table of names and values: headers, arguments, a peer's properties.
///
/// ```
/// use puka::{FieldTable, FieldValue};
///
/// let table = FieldTable::new().with("x-match", "any").with("attempt", 1);
/// assert_eq!(table.get("attempt"), Some(FieldValue::I32(1)));
/// ```
///
/// Two tables are equal if they have the same entries in the same order, of the same types.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldTable {
    /// Well-formed, unless `broken`.
    entries: Bytes,
    /// Why it cannot be sent, if it was given what AMQP has no way to say.
    broken: Option<EncodeError>,
}

/// A value in a [`FieldTable`], with the letter that AMQP has for its type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, and `L` from some peers
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`.
    Decimal {
        /// How many digits are behind the point.
        scale: u8,
        /// All digits.
        value: i32,
    },
    /// `S`: mostly text, but any bytes.
    LongString(Bytes),
    /// `A`
    Array(Vec<Self>),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `F`
    Table(FieldTable),
    /// `V`
    Void,
    /// `x`
    Bytes(Bytes),
}

impl FieldTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, or replaces the one of that name.
    ///
    /// A name over 255 bytes, or a nesting of more than 32 levels, shows as
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when the table is to be sent.
    pub fn insert(&mut self, name: impl Into<ShortStr>, value: impl Into<FieldValue>) {
        let (name, value) = (name.into(), value.into());
        if !self.entries.is_empty() {
            self.remove(&name);
        }
        let mut out = BytesMut::from(std::mem::take(&mut self.entries));
        let before = out.len();
        let mut writer = Writer::new(&mut out);
        let written = writer
            .shortstr(name.as_bytes())
            .and_then(|()| value.encode(&mut out, 1));
        if let Err(error) = written {
            out.truncate(before);
            self.broken.get_or_insert(error);
        }
        self.entries = out.freeze();
    }

    /// [`insert`](Self::insert), by value.
    #[must_use]
    pub fn with(mut self, name: impl Into<ShortStr>, value: impl Into<FieldValue>) -> Self {
        self.insert(name, value);
        self
    }

    /// The value of that name; the first one, if a peer has sent several.
    pub fn get(&self, name: &str) -> Option<FieldValue> {
        let mut entries = self.raw();
        let (_, place) = entries.find(|(entry, _)| *entry == name.as_bytes())?;
        FieldValue::decode(&mut Reader::new(self.entries.get(place)?), &self.entries).ok()
    }

    /// Whether there is a value of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.raw().any(|(entry, _)| entry == name.as_bytes())
    }

    /// Takes the value of that name away; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let found = self.raw().find(|(entry, _)| *entry == name.as_bytes());
        let Some((entry, value)) = found else {
            return false;
        };
        let start = value.start - entry.len() - 1;
        let rest = [&self.entries[..start], &self.entries[value.end..]].concat();
        self.entries = rest.into();
        true
    }

    /// All entries, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (ShortStr, FieldValue)> + '_ {
        self.raw().map_while(|(name, place)| {
            let value =
                FieldValue::decode(&mut Reader::new(self.entries.get(place)?), &self.entries)
                    .ok()?;
            Some((ShortStr::from_wire(&self.entries, name), value))
        })
    }

    /// How many entries there are. It counts them.
    pub fn len(&self) -> usize {
        self.raw().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.broken.is_none()
    }

    /// Names, and where their values are in `entries`.
    fn raw(&self) -> impl Iterator<Item = (&[u8], std::ops::Range<usize>)> {
        let all: &[u8] = &self.entries;
        let mut reader = Reader::new(all);
        std::iter::from_fn(move || {
            let name = reader.shortstr().ok()?;
            let start = all.len() - reader.len();
            skip_value(&mut reader).ok()?;
            Some((name, start..all.len() - reader.len()))
        })
    }

    /// The entries, as they are sent.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.entries
    }

    /// Whether all that was inserted is there.
    pub(crate) fn check_encodable(&self) -> Result<(), EncodeError> {
        self.broken.map_or(Ok(()), Err)
    }

    /// A part of a frame's payload that [`Reader::table`] has given, without a copy.
    pub(crate) fn from_wire(payload: &Bytes, part: &[u8]) -> Self {
        let entries = if part.is_empty() {
            Bytes::new()
        } else {
            payload.slice_ref(part)
        };
        Self {
            entries,
            broken: None,
        }
    }
}

impl<K: Into<ShortStr>, V: Into<FieldValue>> Extend<(K, V)> for FieldTable {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (name, value) in entries {
            self.insert(name, value);
        }
    }
}

impl<K: Into<ShortStr>, V: Into<FieldValue>> FromIterator<(K, V)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut table = Self::new();
        table.extend(entries);
        table
    }
}

impl fmt::Debug for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, Shown(value))))
            .finish()
    }
}

impl fmt::Display for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A value as `Debug` of the value itself, not of its type.
struct Shown(FieldValue);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FieldValue {
    /// The text, if it is a string of UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::LongString(text) => str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The number, if it is an integer of any size.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I8(number) => Some(number.into()),
            Self::U8(number) => Some(number.into()),
            Self::I16(number) => Some(number.into()),
            Self::U16(number) => Some(number.into()),
            Self::I32(number) => Some(number.into()),
            Self::U32(number) => Some(number.into()),
            Self::I64(number) => Some(number),
            _ => None,
        }
    }

    fn encode(&self, out: &mut BytesMut, depth: usize) -> Result<(), EncodeError> {
        match self {
            Self::Bool(value) => out.put_slice(&[b't', (*value).into()]),
            Self::I8(value) => {
                out.put_u8(b'b');
                out.put_i8(*value);
            }
            Self::U8(value) => out.put_slice(&[b'B', *value]),
            Self::I16(value) => {
                out.put_u8(b's');
                out.put_i16(*value);
            }
            Self::U16(value) => {
                out.put_u8(b'u');
                out.put_u16(*value);
            }
            Self::I32(value) => {
                out.put_u8(b'I');
                out.put_i32(*value);
            }
            Self::U32(value) => {
                out.put_u8(b'i');
                out.put_u32(*value);
            }
            Self::I64(value) => {
                out.put_u8(b'l');
                out.put_i64(*value);
            }
            Self::F32(value) => {
                out.put_u8(b'f');
                out.put_f32(*value);
            }
            Self::F64(value) => {
                out.put_u8(b'd');
                out.put_f64(*value);
            }
            Self::Decimal { scale, value } => {
                out.put_slice(&[b'D', *scale]);
                out.put_i32(*value);
            }
            Self::Timestamp(value) => {
                out.put_u8(b'T');
                out.put_u64(*value);
            }
            Self::Void => out.put_u8(b'V'),
            Self::LongString(_) | Self::Array(_) | Self::Table(_) | Self::Bytes(_) => {
                return self.encode_long(out, depth);
            }
        }
        Ok(())
    }

    fn encode_long(&self, out: &mut BytesMut, depth: usize) -> Result<(), EncodeError> {
        match self {
            Self::LongString(bytes) => {
                out.put_u8(b'S');
                Writer::new(out).longstr(bytes)
            }
            Self::Bytes(bytes) => {
                out.put_u8(b'x');
                Writer::new(out).longstr(bytes)
            }
            Self::Table(table) => {
                table.check_encodable()?;
                check_depth(&table.entries, depth + 1).map_err(|_| EncodeError::TableTooDeep)?;
                out.put_u8(b'F');
                Writer::new(out).table(table.encoded())
            }
            Self::Array(values) if depth >= MAX_DEPTH && !values.is_empty() => {
                Err(EncodeError::TableTooDeep)
            }
            Self::Array(values) => {
                out.put_u8(b'A');
                let mut items = BytesMut::new();
                values
                    .iter()
                    .try_for_each(|value| value.encode(&mut items, depth + 1))?;
                Writer::new(out).longstr(&items)
            }
            _ => Ok(()),
        }
    }

    /// Reads one value; what is long in it is a slice of `memory`, which `reader` reads from.
    fn decode(reader: &mut Reader<'_>, memory: &Bytes) -> Result<Self, DecodeError> {
        let slice = |bytes: &[u8]| {
            if bytes.is_empty() {
                Bytes::new()
            } else {
                memory.slice_ref(bytes)
            }
        };
        Ok(match reader.octet()? {
            b't' => Self::Bool(reader.octet()? != 0),
            b'b' => Self::I8(reader.octet()?.cast_signed()),
            b'B' => Self::U8(reader.octet()?),
            b's' => Self::I16(reader.short()?.cast_signed()),
            b'u' => Self::U16(reader.short()?),
            b'I' => Self::I32(reader.long()?.cast_signed()),
            b'i' => Self::U32(reader.long()?),
            b'l' | b'L' => Self::I64(reader.longlong()?.cast_signed()),
            b'f' => Self::F32(f32::from_bits(reader.long()?)),
            b'd' => Self::F64(f64::from_bits(reader.longlong()?)),
            b'D' => Self::Decimal {
                scale: reader.octet()?,
                value: reader.long()?.cast_signed(),
            },
            b'S' => Self::LongString(slice(reader.longstr()?)),
            b'T' => Self::Timestamp(reader.timestamp()?),
            b'V' => Self::Void,
            b'x' => Self::Bytes(slice(reader.longstr()?)),
            b'F' => Self::Table(FieldTable::from_wire(memory, reader.longstr()?)),
            b'A' => {
                let mut items = Reader::new(reader.longstr()?);
                let mut values = Vec::new();
                while !items.is_empty() {
                    values.push(Self::decode(&mut items, memory)?);
                }
                Self::Array(values)
            }
            other => return Err(DecodeError::UnknownFieldType(other)),
        })
    }
}

/// Whether these are a table's entries, not nested too deeply.
pub(crate) fn check(entries: &[u8]) -> Result<(), DecodeError> {
    check_depth(entries, 1)
}

fn check_depth(entries: &[u8], depth: usize) -> Result<(), DecodeError> {
    if depth > MAX_DEPTH && !entries.is_empty() {
        return Err(DecodeError::TableTooDeep);
    }
    let mut reader = Reader::new(entries);
    while !reader.is_empty() {
        reader.shortstr()?;
        check_value(&mut reader, depth)?;
    }
    Ok(())
}

fn check_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    match reader.peek()? {
        b'F' => {
            reader.octet()?;
            check_depth(reader.longstr()?, depth + 1)
        }
        b'A' => {
            reader.octet()?;
            let mut items = Reader::new(reader.longstr()?);
            if depth >= MAX_DEPTH && !items.is_empty() {
                return Err(DecodeError::TableTooDeep);
            }
            while !items.is_empty() {
                check_value(&mut items, depth + 1)?;
            }
            Ok(())
        }
        _ => skip_value(reader),
    }
}

fn skip_value(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let len = match reader.octet()? {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' | b'F' | b'A' => return reader.longstr().map(|_| ()),
        other => return Err(DecodeError::UnknownFieldType(other)),
    };
    reader.bytes(len).map(|_| ())
}

macro_rules! value_from {
    ($($type:ty => $variant:ident;)*) => {
        $(
            impl From<$type> for FieldValue {
                fn from(value: $type) -> Self {
                    Self::$variant(value.into())
                }
            }
        )*
    };
}

value_from! {
    bool => Bool;
    i8 => I8;
    u8 => U8;
    i16 => I16;
    u16 => U16;
    i32 => I32;
    u32 => U32;
    i64 => I64;
    f32 => F32;
    f64 => F64;
    String => LongString;
    Vec<Self> => Array;
    FieldTable => Table;
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::LongString(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<&String> for FieldValue {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&ShortStr> for FieldValue {
    fn from(text: &ShortStr) -> Self {
        text.as_str().into()
    }
}

impl From<ShortStr> for FieldValue {
    fn from(text: ShortStr) -> Self {
        (&text).into()
    }
}

/// The value alone: texts in quotes, bytes that are no text escaped.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I8(value) => value.fmt(f),
            Self::U8(value) => value.fmt(f),
            Self::I16(value) => value.fmt(f),
            Self::U16(value) => value.fmt(f),
            Self::I32(value) => value.fmt(f),
            Self::U32(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::F32(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Decimal { scale, value } => write!(f, "{value}e-{scale}"),
            Self::LongString(text) => match str::from_utf8(text) {
                Ok(text) => fmt::Debug::fmt(text, f),
                Err(_) => write!(f, "\"{}\"", text.escape_ascii()),
            },
            Self::Array(values) => f
                .debug_list()
                .entries(values.iter().cloned().map(Shown))
                .finish(),
            Self::Timestamp(value) => write!(f, "@{value}"),
            Self::Table(table) => table.fmt(f),
            Self::Void => f.write_str("null"),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each type with its bytes, letter first.
    fn values() -> Vec<(FieldValue, &'static [u8])> {
        vec![
            (true.into(), b"t\x01"),
            ((-2_i8).into(), b"b\xfe"),
            (254_u8.into(), b"B\xfe"),
            ((-2_i16).into(), b"s\xff\xfe"),
            (0xfffe_u16.into(), b"u\xff\xfe"),
            ((-2_i32).into(), b"I\xff\xff\xff\xfe"),
            (0xffff_fffe_u32.into(), b"i\xff\xff\xff\xfe"),
            ((-2_i64).into(), b"l\xff\xff\xff\xff\xff\xff\xff\xfe"),
            (1.5_f32.into(), b"f\x3f\xc0\0\0"),
            (1.5_f64.into(), b"d\x3f\xf8\0\0\0\0\0\0"),
            (
                FieldValue::Decimal {
                    scale: 2,
                    value: -314,
                },
                b"D\x02\xff\xff\xfe\xc6",
            ),
            ("text".into(), b"S\0\0\0\x04text"),
            (
                FieldValue::LongString(Bytes::from_static(b"\xff")),
                b"S\0\0\0\x01\xff",
            ),
            (
                vec![1_u8.into(), "a".into()].into(),
                b"A\0\0\0\x08B\x01S\0\0\0\x01a",
            ),
            (FieldValue::Timestamp(7), b"T\0\0\0\0\0\0\0\x07"),
            (
                FieldTable::new().with("k", true).into(),
                b"F\0\0\0\x04\x01kt\x01",
            ),
            (FieldValue::Void, b"V"),
            (
                FieldValue::Bytes(Bytes::from_static(b"\0\x01")),
                b"x\0\0\0\x02\0\x01",
            ),
        ]
    }

    #[test]
    fn every_type_has_its_bytes() {
        for (value, bytes) in values() {
            let table = FieldTable::new().with("n", value.clone());
            assert_eq!(table.encoded(), [b"\x01n", bytes].concat(), "{value}");
            let wire = Bytes::copy_from_slice(table.encoded());
            check(&wire).unwrap();
            assert_eq!(FieldTable::from_wire(&wire, &wire).get("n"), Some(value));
            for cut in 1..wire.len() {
                assert!(check(&wire[..cut]).is_err(), "{table} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_signed_integer_may_come_under_a_capital_letter() {
        let wire = Bytes::from_static(b"\x01nL\0\0\0\0\0\0\0\x05");
        check(&wire).unwrap();
        assert_eq!(
            FieldTable::from_wire(&wire, &wire).get("n"),
            Some(FieldValue::I64(5))
        );
        assert_eq!(
            check(b"\x01nU\0\0"),
            Err(DecodeError::UnknownFieldType(b'U'))
        );
    }

    #[test]
    fn entries_are_replaced_removed_and_kept_in_order() {
        let mut table = FieldTable::new().with("a", 1).with("b", "two").with("c", 3);
        table.insert("b", 2);
        assert_eq!(format!("{table}"), r#"{"a": 1, "c": 3, "b": 2}"#);
        assert!(table.remove("a") && !table.remove("a"));
        assert_eq!(
            (table.len(), table.contains("c"), table.get("a")),
            (2, true, None)
        );
        let names: Vec<String> = table.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["c", "b"]);
    }

    #[test]
    fn of_two_entries_of_one_name_the_first_counts() {
        let wire = Bytes::from_static(b"\x01nB\x01\x01nB\x02");
        let table = FieldTable::from_wire(&wire, &wire);
        assert_eq!((table.get("n"), table.len()), (Some(FieldValue::U8(1)), 2));
    }

    fn nested(depth: usize) -> FieldTable {
        (1..depth).fold(FieldTable::new().with("x", 1), |table, _| {
            FieldTable::new().with("t", table)
        })
    }

    #[test]
    fn nesting_has_a_limit_on_both_sides() {
        let deepest = nested(MAX_DEPTH);
        assert_eq!(deepest.check_encodable(), Ok(()));
        assert_eq!(check(deepest.encoded()), Ok(()));
        let mut wire = BytesMut::from(&b"\x01tF"[..]);
        Writer::new(&mut wire).longstr(deepest.encoded()).unwrap();
        assert_eq!(check(&wire), Err(DecodeError::TableTooDeep));
        let deeper = nested(MAX_DEPTH + 1);
        assert_eq!(deeper.check_encodable(), Err(EncodeError::TableTooDeep));
        assert!(!deeper.is_empty());
    }

    #[test]
    fn arrays_count_as_nesting() {
        let array = |depth: usize| (0..depth).fold(FieldValue::Void, |value, _| vec![value].into());
        let deepest = FieldTable::new().with("a", array(MAX_DEPTH - 1));
        assert_eq!(
            (deepest.check_encodable(), check(deepest.encoded())),
            (Ok(()), Ok(()))
        );
        let deeper = FieldTable::new().with("a", array(100));
        assert_eq!(deeper.check_encodable(), Err(EncodeError::TableTooDeep));
        let bomb = b"\x01a"
            .iter()
            .copied()
            .chain((0..100_u32).flat_map(|level| {
                let [a, b, c, d] = (5 * (99 - level)).to_be_bytes();
                [b'A', a, b, c, d]
            }));
        assert_eq!(
            check(&bomb.collect::<Vec<u8>>()),
            Err(DecodeError::TableTooDeep)
        );
    }

    #[test]
    fn a_name_too_long_is_remembered() {
        let table = FieldTable::new().with("n".repeat(256), 1).with("ok", 2);
        assert_eq!(
            table.check_encodable(),
            Err(EncodeError::ShortStrTooLong { len: 256 })
        );
        assert_eq!(table.get("ok"), Some(FieldValue::I32(2)));
    }
}
