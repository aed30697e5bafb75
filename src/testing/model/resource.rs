//! How RabbitMQ writes names and values in its texts.

use std::fmt;

use bytes::Bytes;

use super::refusal::{Outcome, Refusal};
use crate::wire::FieldValue;

/// What has a name in a virtual host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resource<'a> {
    kind: &'static str,
    pub(super) vhost: &'a str,
    pub(super) name: &'a str,
}

impl<'a> Resource<'a> {
    pub(super) fn queue(vhost: &'a str, name: &'a str) -> Self {
        let kind = "queue";
        Self { kind, vhost, name }
    }

    pub(super) fn exchange(vhost: &'a str, name: &'a str) -> Self {
        let kind = "exchange";
        Self { kind, vhost, name }
    }

    /// The refusal of who looks for it.
    pub(super) fn not_found(&self) -> Refusal {
        Refusal::channel(404, format!("no {self}"))
    }

    /// The refusal of who declares it, or deletes it, and may not.
    pub(super) fn precondition(&self, what: &str) -> Refusal {
        Refusal::channel(406, format!("{self} {what}"))
    }

    /// Refuses a new one with a name that only the broker gives.
    pub(super) fn check_name(&self) -> Outcome<()> {
        if !self.name.starts_with("amq.") {
            return Ok(());
        }
        let Self { kind, name, .. } = self;
        let text = format!("{kind} name '{name}' contains reserved prefix 'amq.*'");
        Err(Refusal::channel(403, text))
    }

    /// What is declared again has to be as it was; both values as [`shown`] or [`plain`] write them.
    pub(super) fn check_same(&self, what: &str, received: &str, current: &str) -> Outcome<()> {
        if received == current {
            return Ok(());
        }
        Err(self.inequivalent(what, received, current))
    }

    fn inequivalent(&self, what: &str, received: &str, current: &str) -> Refusal {
        let text = format!(
            "inequivalent arg '{what}' for {self}: received {received} but current is {current}"
        );
        Refusal::channel(406, text)
    }

    /// One argument of what is declared again.
    pub(super) fn check_same_argument(
        &self,
        key: &str,
        received: Option<&FieldValue>,
        current: Option<&FieldValue>,
    ) -> Outcome<()> {
        match (received, current) {
            (Some(received), Some(current)) => {
                let (one, other) = (plain(&erlang(received)), plain(&erlang(current)));
                if same_class(received, current) {
                    self.check_same(key, &one, &other)
                } else {
                    Err(self.inequivalent(key, &one, &other))
                }
            }
            _ => self.check_same(key, &shown(received), &shown(current)),
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, vhost, name } = self;
        write!(f, "{kind} '{name}' in vhost '{vhost}'")
    }
}

pub(super) fn plain(value: &str) -> String {
    format!("'{value}'")
}

fn shown(value: Option<&FieldValue>) -> String {
    value.map_or("none".into(), |value| {
        format!(
            "the value '{}' of type '{}'",
            erlang(value),
            type_name(value)
        )
    })
}

/// Whether the two are compared by their values only.
fn same_class(a: &FieldValue, b: &FieldValue) -> bool {
    let class = |value: &FieldValue| match value {
        value if value.as_i64().is_some() => "int",
        FieldValue::F32(_) | FieldValue::F64(_) => "float",
        value => type_name(value),
    };
    class(a) == class(b)
}

/// RabbitMQ's name for a value's type.
pub(super) fn type_name(value: &FieldValue) -> &'static str {
    match value {
        FieldValue::Bool(_) => "bool",
        FieldValue::I8(_) => "byte",
        FieldValue::U8(_) => "unsignedbyte",
        FieldValue::I16(_) => "short",
        FieldValue::U16(_) => "unsignedshort",
        FieldValue::I32(_) => "signedint",
        FieldValue::U32(_) => "unsignedint",
        FieldValue::I64(_) => "long",
        FieldValue::F32(_) => "float",
        FieldValue::F64(_) => "double",
        FieldValue::Decimal { .. } => "decimal",
        FieldValue::LongString(_) => "longstr",
        FieldValue::Array(_) => "array",
        FieldValue::Timestamp(_) => "timestamp",
        FieldValue::Table(_) => "table",
        FieldValue::Void => "void",
        FieldValue::Bytes(_) => "binary",
        FieldValue::Opaque(_) => "unknown",
    }
}

/// The value as RabbitMQ prints it; of what no argument takes, our own form.
pub(super) fn erlang(value: &FieldValue) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    match value {
        FieldValue::LongString(bytes) | FieldValue::Bytes(bytes) => text(bytes),
        FieldValue::Bool(yes) => yes.to_string(),
        FieldValue::F32(number) => format!("{number:?}"),
        FieldValue::F64(number) => format!("{number:?}"),
        FieldValue::Timestamp(seconds) => seconds.to_string(),
        FieldValue::Void => "undefined".into(),
        value => value
            .as_i64()
            .map_or_else(|| format!("{value:?}"), |number| number.to_string()),
    }
}
