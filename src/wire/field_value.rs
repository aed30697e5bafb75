//! The values of field tables: each type that RabbitMQ reads and writes, with its letter.

use std::fmt::{self, Display as _};

use bytes::{BufMut, Bytes, BytesMut};

use super::codec::{DecodeError, EncodeError, MAX_DEPTH, Reader, Writer};
use super::field_table::{FieldTable, Shown};
use super::nesting::skip_value;
use super::short_str::ShortStr;

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
    /// `f`; RabbitMQ reads finite ones only.
    F32(f32),
    /// `d`; RabbitMQ reads finite ones only.
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
    /// A value of a peer's that is not understood, an array with values of unknown types in it, say: its bytes, letter first. It
    /// is sent as it came.
    Opaque(Bytes),
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

    pub(super) fn encode(&self, out: &mut BytesMut, depth: usize) -> Result<(), EncodeError> {
        let mut put = |letter: u8, bytes: &[u8]| {
            out.put_u8(letter);
            out.put_slice(bytes);
        };
        match self {
            Self::Bool(value) => put(b't', &[(*value).into()]),
            Self::I8(value) => put(b'b', &value.to_be_bytes()),
            Self::U8(value) => put(b'B', &[*value]),
            Self::I16(value) => put(b's', &value.to_be_bytes()),
            Self::U16(value) => put(b'u', &value.to_be_bytes()),
            Self::I32(value) => put(b'I', &value.to_be_bytes()),
            Self::U32(value) => put(b'i', &value.to_be_bytes()),
            Self::I64(value) => put(b'l', &value.to_be_bytes()),
            Self::F32(value) if !value.is_finite() => return Err(EncodeError::NotFinite),
            Self::F64(value) if !value.is_finite() => return Err(EncodeError::NotFinite),
            Self::F32(value) => put(b'f', &value.to_be_bytes()),
            Self::F64(value) => put(b'd', &value.to_be_bytes()),
            Self::Decimal { scale, value } => {
                put(b'D', &[*scale]);
                out.put_i32(*value);
            }
            Self::Timestamp(value) => put(b'T', &value.to_be_bytes()),
            Self::Void => put(b'V', &[]),
            Self::LongString(_)
            | Self::Array(_)
            | Self::Table(_)
            | Self::Bytes(_)
            | Self::Opaque(_) => {
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
                out.put_u8(b'F');
                Writer::new(out).table(table.encoded())
            }
            Self::Array(values) if depth >= MAX_DEPTH && !values.is_empty() => {
                Err(EncodeError::ArrayTooDeep)
            }
            Self::Array(values) => {
                out.put_u8(b'A');
                let mut items = BytesMut::new();
                values
                    .iter()
                    .try_for_each(|value| value.encode(&mut items, depth + 1))?;
                Writer::new(out).longstr(&items)
            }
            Self::Opaque(bytes) => {
                let mut reader = Reader::new(bytes);
                match skip_value(&mut reader) {
                    Ok(()) if reader.is_empty() => out.put_slice(bytes),
                    _ => return Err(EncodeError::NotOneValue),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Reads one value; what is long in it is a slice of `memory`, which `reader` reads from.
    /// It is that deep inside arrays.
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        memory: &Bytes,
        depth: usize,
    ) -> Result<Self, DecodeError> {
        let mut whole = *reader;
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
            b'F' => Self::Table(FieldTable::from_wire(slice(reader.longstr()?))),
            b'A' => match Self::items(reader.longstr()?, memory, depth) {
                Ok(values) => Self::Array(values),
                Err(_) => Self::Opaque(slice(whole.bytes(whole.len() - reader.len())?)),
            },
            other => return Err(DecodeError::UnknownFieldType(other)),
        })
    }
}

impl FieldValue {
    /// The values of an array.
    fn items(bytes: &[u8], memory: &Bytes, depth: usize) -> Result<Vec<Self>, DecodeError> {
        let mut items = Reader::new(bytes);
        if depth >= MAX_DEPTH && !items.is_empty() {
            return Err(DecodeError::ArrayTooDeep);
        }
        let mut values = Vec::new();
        while !items.is_empty() {
            values.push(Self::decode(&mut items, memory, depth + 1)?);
        }
        Ok(values)
    }
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
        self.show(f, 1)
    }
}

impl FieldValue {
    /// Shows a value that is that deep inside others.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
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
            Self::Array(_) if depth > MAX_DEPTH => f.debug_list().finish_non_exhaustive(),
            Self::Array(values) => f
                .debug_list()
                .entries(values.iter().map(|value| Shown(value.clone(), depth + 1)))
                .finish(),
            Self::Timestamp(value) => write!(f, "@{value}"),
            Self::Table(table) => table.show(f, depth + 1),
            Self::Void => f.write_str("null"),
            Self::Bytes(bytes) | Self::Opaque(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
        }
    }
}
