//! What ends a channel or a connection, and the words for it.

use super::super::model::{Refusal, Scope};
use crate::wire::{DecodeError, FieldTable, FieldValue, check_table};

/// Why something ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// `channel.close` or `connection.close`.
    Refused {
        refusal: Refusal,
        /// The class and method that it names: 0 and 0 for none, and nothing if it has not been said.
        method: Option<(u16, u16)>,
    },
    /// The frames can no longer be told apart: `connection.close`, and nothing is read any more.
    Unreadable(Refusal),
    /// What RabbitMQ's own process dies of: the socket is closed without a word.
    Wordless,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            refusal,
            method: None,
        }
    }
}

impl Fault {
    pub(super) fn connection(code: u16, text: impl AsRef<str>) -> Self {
        Refusal::connection(code, text).into()
    }

    /// The same, and which method it is about.
    pub(super) fn about(self, method: (u16, u16)) -> Self {
        match self {
            Self::Refused {
                refusal,
                method: None,
            } => Self::Refused {
                refusal,
                method: Some(method),
            },
            other => other,
        }
    }

    /// 541, without words or a method: a channel of RabbitMQ's has died.
    pub(super) fn internal() -> Self {
        let refusal = Refusal {
            code: 541,
            text: Refusal::name_of(541).to_owned(),
            scope: Scope::Connection,
        };
        Self::from(refusal).about((0, 0))
    }

    /// 505, in RabbitMQ's words.
    pub(super) fn unexpected_frame(kind: u8, payload: &[u8]) -> Self {
        Self::connection(505, format!("type {kind}, {}", snippet(payload)))
    }
}

/// How RabbitMQ shows a payload.
pub(super) fn snippet(payload: &[u8]) -> String {
    match payload.get(..16) {
        Some(start) if payload.len() > 16 => format!("first 16 octets = {}", erlang(start)),
        _ => format!("all octets = {}", erlang(payload)),
    }
}

/// A binary as Erlang writes it.
pub(super) fn erlang(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<<>>".into();
    }
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return format!("<<{:?}>>", String::from_utf8_lossy(bytes));
    }
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("<<{}>>", numbers.join(","))
}

/// A name.
pub(super) fn name(bytes: &[u8]) -> Result<&str, Fault> {
    str::from_utf8(bytes)
        .map_err(|_| Fault::connection(501, "Malformed UTF-8 in shortstr").about((0, 0)))
}

/// A table of a method's. RabbitMQ has no answer to one that it cannot read.
pub(super) fn table(entries: &[u8]) -> Result<FieldTable, Fault> {
    check_table(entries).map_err(|error| match error {
        // A limit of this crate's own.
        DecodeError::ArrayTooDeep => Refusal::unsupported("arrays that deep").into(),
        _ => Fault::Wordless,
    })?;
    let table = FieldTable::from_wire(bytes::Bytes::copy_from_slice(entries));
    if is_finite(&table) {
        Ok(table)
    } else {
        Err(Fault::Wordless)
    }
}

/// Whether all its numbers are such as Erlang has.
pub(super) fn is_finite(table: &FieldTable) -> bool {
    let mut values: Vec<FieldValue> = table.iter().map(|(_, value)| value).collect();
    while let Some(value) = values.pop() {
        match value {
            FieldValue::F32(number) if !number.is_finite() => return false,
            FieldValue::F64(number) if !number.is_finite() => return false,
            FieldValue::Array(items) => values.extend(items),
            FieldValue::Table(table) => values.extend(table.iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_shown_as_rabbitmq_shows_it() {
        assert_eq!(snippet(b""), "all octets = <<>>");
        assert_eq!(snippet(b"abc"), "all octets = <<\"abc\">>");
        assert_eq!(
            snippet(&[7; 17]),
            "first 16 octets = <<7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7>>"
        );
    }

    #[test]
    fn a_table_that_rabbitmq_cannot_read_ends_the_connection_without_a_word() {
        let good = FieldTable::new().with("a", FieldTable::new().with("b", 1.5));
        assert_eq!(table(good.encoded()), Ok(good));
        for bad in [
            &b"\x01aU\0\0"[..],
            b"\x01ai",
            b"\x01af\x7f\xc0\0\0",
            b"\x01aA\0\0\0\x05f\xff\x80\0\0",
        ] {
            assert_eq!(table(bad), Err(Fault::Wordless));
        }
    }
}
