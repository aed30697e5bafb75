//! Field tables, with the types that RabbitMQ reads and writes, which are not quite the specification's:
//! <https://www.rabbitmq.com/amqp-0-9-1-errata#section_3>.
//!
//! A [`FieldTable`] is its encoded entries: to send one is to copy them, to receive one is to keep a slice. Values are
//! decoded when somebody looks, and only then shows what nobody can understand: a peer may send anything, and a broker passes
//! it on, so one message must not end the connection of each consumer that meets it. It is sent again as it came.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::codec::{EncodeError, MAX_DEPTH, Reader, Writer};
use super::field_value::FieldValue;
use super::nesting::skip_value;
use super::short_str::ShortStr;

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
///
/// What a peer has sent is kept as it came. Entries behind a value of a type that AMQP does not know are not seen here, but sent
/// with the others.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldTable {
    /// From a peer, they may be anything; none if there are none.
    entries: Option<Bytes>,
    /// Why it cannot be sent, if it was given what AMQP has no way to say.
    broken: Option<Box<EncodeError>>,
}

impl FieldTable {
    pub(crate) const EMPTY: Self = Self {
        entries: None,
        broken: None,
    };

    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, or replaces the one of that name; all of them, if a peer has sent several.
    ///
    /// A name over 255 bytes, arrays nested more than 64 levels deep, or a number that is not finite shows as
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when the table is to be sent.
    pub fn insert(&mut self, name: impl Into<ShortStr>, value: impl Into<FieldValue>) {
        let (name, value) = (name.into(), value.into());
        let mut out = self
            .entries
            .take()
            .map_or_else(BytesMut::new, BytesMut::from);
        // In front of what cannot be read over, or it would not be found.
        let end = understood(&out);
        let opaque = (end < out.len()).then(|| out.split_off(end));
        let before = out.len();
        let written = Writer::new(&mut out)
            .shortstr(name.as_bytes())
            .and_then(|()| value.encode(&mut out, 1));
        if let Err(error) = written {
            out.truncate(before);
            self.broken.get_or_insert_with(|| Box::new(error));
        }
        let replaces = written.is_ok() && before > 0;
        if let Some(opaque) = opaque {
            out.unsplit(opaque);
        }
        self.entries = Some(out.freeze()).filter(|entries| !entries.is_empty());
        if replaces {
            self.remove_before(&name, before);
        }
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
        let entries = self.entries.as_ref()?;
        FieldValue::decode(&mut Reader::new(entries.get(place)?), entries, 1).ok()
    }

    /// Whether there is a value of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.raw().any(|(entry, _)| entry == name.as_bytes())
    }

    /// Takes the value of that name away, or all of them, if a peer has sent several; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.remove_before(name, usize::MAX)
    }

    /// Takes away the entries of that name that end before a place in `entries`.
    fn remove_before(&mut self, name: &str, place: usize) -> bool {
        let is_it = |(entry, value): &(&[u8], std::ops::Range<usize>)| {
            *entry == name.as_bytes() && value.end <= place
        };
        if !self.raw().any(|entry| is_it(&entry)) {
            return false;
        }
        let all = self.encoded();
        let mut rest = BytesMut::with_capacity(all.len());
        let mut from = 0;
        for (entry, value) in self.raw().filter(is_it) {
            rest.extend_from_slice(&all[from..value.start - entry.len() - 1]);
            from = value.end;
        }
        rest.extend_from_slice(&all[from..]);
        self.entries = Some(rest.freeze()).filter(|entries| !entries.is_empty());
        true
    }

    pub(crate) fn raw_len(&self) -> usize {
        self.entries.as_ref().map_or(0, Bytes::len)
    }

    /// All entries, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (ShortStr, FieldValue)> + '_ {
        self.raw().map_while(|(name, place)| {
            let entries = self.entries.as_ref()?;
            let mut reader = Reader::new(entries.get(place)?);
            let value = FieldValue::decode(&mut reader, entries, 1).ok()?;
            Some((ShortStr::from_memory(entries, name), value))
        })
    }

    /// How many entries there are. It counts them.
    pub fn len(&self) -> usize {
        self.raw().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_none() && self.broken.is_none()
    }

    /// Names, and where their values are in `entries`.
    fn raw(&self) -> impl Iterator<Item = (&[u8], std::ops::Range<usize>)> {
        let all = self.encoded();
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
        self.entries.as_deref().unwrap_or_default()
    }

    /// Whether all that was inserted is there.
    pub(crate) fn check_encodable(&self) -> Result<(), EncodeError> {
        self.broken.as_deref().map_or(Ok(()), |error| Err(*error))
    }

    /// What [`Reader::table`] has given.
    pub(crate) fn from_wire(entries: Bytes) -> Self {
        Self {
            entries: Some(entries).filter(|entries| !entries.is_empty()),
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
        self.show(f, 1)
    }
}

impl fmt::Display for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, 1)
    }
}

impl FieldTable {
    /// Shows a table that is that deep inside others.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let mut map = f.debug_map();
        if depth > MAX_DEPTH {
            return map.finish_non_exhaustive();
        }
        map.entries(self.iter().map(|(name, value)| (name, Shown(value, depth))));
        if understood(self.encoded()) < self.raw_len() {
            map.finish_non_exhaustive()
        } else {
            map.finish()
        }
    }
}

/// A value as `Debug` of the value itself, not of its type, that deep inside others.
pub(super) struct Shown(pub(super) FieldValue, pub(super) usize);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, self.1)
    }
}

/// How many bytes of a table's entries can be read over.
fn understood(entries: &[u8]) -> usize {
    let mut reader = Reader::new(entries);
    let mut end = 0;
    while reader.shortstr().is_ok() && skip_value(&mut reader).is_ok() {
        end = entries.len() - reader.len();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::super::check_table as check;
    use super::super::codec::DecodeError;
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
            assert_eq!(FieldTable::from_wire(wire.clone()).get("n"), Some(value));
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
            FieldTable::from_wire(wire.clone()).get("n"),
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
        let table = FieldTable::from_wire(wire.clone());
        assert_eq!((table.get("n"), table.len()), (Some(FieldValue::U8(1)), 2));
    }

    #[test]
    fn all_entries_of_one_name_are_replaced_and_removed() {
        // The last one is of an unknown type, and stays as it came.
        let wire = Bytes::from_static(b"\x01nB\x01\x01aV\x01nB\x02\x01bV\x01xU");
        let mut table = FieldTable::from_wire(wire);
        table.insert("n", 3_u8);
        assert_eq!(table.encoded(), b"\x01aV\x01bV\x01nB\x03\x01xU");
        let wire = Bytes::from_static(b"\x01nB\x01\x01aV\x01nB\x02");
        let mut table = FieldTable::from_wire(wire);
        assert!(table.remove("n") && !table.remove("n"));
        assert_eq!(table.encoded(), b"\x01aV");
    }

    fn nested(depth: usize) -> FieldTable {
        (1..depth).fold(FieldTable::new().with("x", 1), |table, _| {
            FieldTable::new().with("t", table)
        })
    }

    #[test]
    fn tables_may_be_nested_however_deep() {
        let mut deep = nested(MAX_DEPTH + 1);
        for _ in 0..1000 {
            deep = FieldTable::new().with("t", deep);
        }
        assert_eq!(deep.check_encodable(), Ok(()));
        assert_eq!(check(deep.encoded()), Ok(()));
        let shown = format!("{deep:?}");
        assert!(shown.len() < 1000 && shown.contains(".."), "{shown}");
        let mut table = FieldTable::from_wire(Bytes::copy_from_slice(deep.encoded()));
        for _ in 0..1000 + MAX_DEPTH {
            let Some(FieldValue::Table(inner)) = table.get("t") else {
                panic!("{table:?}");
            };
            table = inner;
        }
        assert_eq!(table.get("x"), Some(FieldValue::I32(1)));
    }

    /// Arrays inside each other, as a value's bytes.
    fn bomb(depth: u32) -> Vec<u8> {
        let level = |level: u32| {
            let [a, b, c, d] = (5 * (depth - 1 - level)).to_be_bytes();
            [b'A', a, b, c, d]
        };
        (0..depth).flat_map(level).collect()
    }

    #[test]
    fn arrays_are_nested_within_a_limit_and_what_is_deeper_stays_as_it_came() {
        let array = |depth: usize| (0..depth).fold(FieldValue::Void, |value, _| vec![value].into());
        let deepest = FieldTable::new().with("a", array(MAX_DEPTH - 1));
        assert_eq!(
            (deepest.check_encodable(), check(deepest.encoded())),
            (Ok(()), Ok(()))
        );
        let deeper = FieldTable::new().with("a", array(100));
        assert_eq!(deeper.check_encodable(), Err(EncodeError::ArrayTooDeep));
        assert!(!deeper.is_empty());
        for depth in [100, 20_000] {
            let wire = [b"\x01a".to_vec(), bomb(depth), b"\x01bV".to_vec()].concat();
            assert_eq!(check(&wire), Err(DecodeError::ArrayTooDeep));
            let table = FieldTable::from_wire(wire.clone().into());
            let mut value = table.get("a").unwrap();
            let mut levels = 0;
            while let FieldValue::Array(mut values) = value {
                assert_eq!(values.len(), 1);
                value = values.remove(0);
                levels += 1;
            }
            let rest = bomb(depth - levels);
            assert_eq!(value, FieldValue::Opaque(rest.into()));
            assert!(format!("{table:?}").len() < 1_000_000);
            // Copied value by value it is the same.
            let copy: FieldTable = table.iter().collect();
            assert_eq!(
                (copy.encoded(), copy.check_encodable()),
                (&wire[..], Ok(()))
            );
        }
    }

    #[test]
    fn what_an_array_holds_that_nobody_knows_stays_as_it_came() {
        let wire = Bytes::from_static(b"\x01aA\0\0\0\x03B\x01U\x01bV");
        let table = FieldTable::from_wire(wire.clone());
        let opaque = FieldValue::Opaque(Bytes::from_static(b"A\0\0\0\x03B\x01U"));
        assert_eq!(table.get("a"), Some(opaque));
        assert_eq!(table.get("b"), Some(FieldValue::Void));
        let copy: FieldTable = table.iter().collect();
        assert_eq!(
            (copy.encoded(), copy.check_encodable()),
            (&wire[..], Ok(()))
        );
    }

    #[test]
    fn an_opaque_value_is_one_value_or_refused() {
        for bytes in [&b""[..], b"U", b"B", b"B\x01B", b"S\0\0\0\x02a"] {
            let opaque = FieldValue::Opaque(Bytes::from_static(bytes));
            let table = FieldTable::new().with("a", opaque);
            assert_eq!(table.check_encodable(), Err(EncodeError::NotOneValue));
        }
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

    #[test]
    fn a_number_that_is_not_finite_is_refused_wherever_it_is() {
        let values = || -> Vec<FieldValue> {
            vec![
                f64::NAN.into(),
                f64::INFINITY.into(),
                f64::NEG_INFINITY.into(),
                f32::NAN.into(),
                f32::INFINITY.into(),
                f32::NEG_INFINITY.into(),
            ]
        };
        for value in values() {
            let inner = FieldTable::new().with("n", value.clone());
            let places = [
                inner.clone(),
                FieldTable::new().with("t", inner),
                FieldTable::new().with("a", vec![1.into(), value]),
            ];
            for table in places {
                assert_eq!(table.check_encodable(), Err(EncodeError::NotFinite));
            }
        }
        let finite = FieldTable::new().with("a", f64::MAX).with("b", -0.0_f32);
        assert_eq!(finite.check_encodable(), Ok(()));
    }
}
