//! Exchanges, and which of their bindings match a message.

use super::refusal::{Outcome, Refusal};
use super::request::Version;
use super::resource::{Resource, erlang, type_name};
use crate::wire::{FieldTable, FieldValue};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl ExchangeKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }

    pub(super) fn parse(name: &str, version: Version) -> Outcome<Self> {
        let all = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];
        if let Some(kind) = all.into_iter().find(|kind| kind.name() == name) {
            return Ok(kind);
        }
        let text = format!("unknown exchange type '{name}'");
        Err(match version {
            Version::V4 if name == "x-local-random" => {
                Refusal::unsupported("exchanges of the type x-local-random")
            }
            Version::V4 => Refusal::channel(406, text),
            Version::V3 => Refusal::connection(503, text),
        })
    }
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) kind: ExchangeKind,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) internal: bool,
    pub(super) alternate: Option<String>,
    pub(super) arguments: FieldTable,
    /// In the order in which they were made; no two are equal.
    pub(super) bindings: Vec<Binding>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Queue(String),
    Exchange(String),
}

impl Destination {
    pub(super) fn resource<'a>(&'a self, vhost: &'a str) -> Resource<'a> {
        match self {
            Self::Queue(name) => Resource::queue(vhost, name),
            Self::Exchange(name) => Resource::exchange(vhost, name),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Binding {
    pub(super) destination: Destination,
    pub(super) routing_key: String,
    pub(super) arguments: FieldTable,
}

impl Exchange {
    /// One of those that are there from the beginning.
    pub(super) fn predeclared(kind: ExchangeKind) -> Self {
        Self {
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            alternate: None,
            arguments: FieldTable::new(),
            bindings: Vec::new(),
        }
    }

    /// Where a message goes from here.
    pub(super) fn matches<'a>(
        &'a self,
        routing_key: &'a str,
        headers: &'a FieldTable,
    ) -> impl Iterator<Item = &'a Destination> {
        let is_match = move |binding: &&Binding| match self.kind {
            ExchangeKind::Direct => binding.routing_key == routing_key,
            ExchangeKind::Fanout => true,
            ExchangeKind::Topic => is_topic_match(&binding.routing_key, routing_key),
            ExchangeKind::Headers => is_headers_match(&binding.arguments, headers),
        };
        let matching = self.bindings.iter().filter(is_match);
        matching.map(|binding| &binding.destination)
    }
}

/// `*` is one word, `#` any number of them.
fn is_topic_match(pattern: &str, key: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        if text.is_empty() {
            return Vec::new();
        }
        text.split('.').map(str::to_owned).collect()
    };
    let (pattern, key) = (words(pattern), words(key));
    // Whether the pattern so far matches the first so many words: no way back, so no key takes long.
    let mut places = vec![false; key.len() + 1];
    places[0] = true;
    for part in &pattern {
        let mut next = vec![false; places.len()];
        let mut seen = false;
        for place in 0..places.len() {
            seen |= places[place];
            next[place] = match part.as_str() {
                "#" => seen,
                word => {
                    let before = place.checked_sub(1);
                    before.is_some_and(|at| places[at] && (word == "*" || key[at] == word))
                }
            };
        }
        places = next;
    }
    places.last() == Some(&true)
}

/// Whether a binding to a headers exchange is one that RabbitMQ takes.
pub(super) fn check_headers_binding(arguments: &FieldTable) -> Outcome<()> {
    const KNOWN: [&str; 4] = ["all", "any", "all-with-x", "any-with-x"];
    let text = match arguments.get("x-match") {
        None => return Ok(()),
        Some(FieldValue::LongString(value)) => {
            if KNOWN.iter().any(|known| known.as_bytes() == &value[..]) {
                return Ok(());
            }
            let value = String::from_utf8_lossy(&value).into_owned();
            format!(
                "Invalid x-match field value <<\"{value}\">>; expected all, any, all-with-x, or any-with-x"
            )
        }
        Some(other) => format!(
            "Invalid x-match field type {} (value {}); expected longstr",
            type_name(&other),
            erlang(&other)
        ),
    };
    Err(Refusal::channel(406, text))
}

fn is_headers_match(arguments: &FieldTable, headers: &FieldTable) -> bool {
    let mode = arguments.get("x-match");
    let mode = mode.as_ref().and_then(FieldValue::as_str).unwrap_or("all");
    let with_x = mode.ends_with("-with-x");
    let counts = |name: &str| name != "x-match" && (with_x || !name.starts_with("x-"));
    let wanted: Vec<_> = arguments.iter().collect();
    let mut wanted = wanted.iter().filter(|(name, _)| counts(name.as_str()));
    let is_there = |(name, value): &(crate::wire::ShortStr, FieldValue)| {
        let found = headers.get(name.as_str());
        found.is_some_and(|found| *value == FieldValue::Void || is_same(value, &found))
    };
    if mode.starts_with("any") {
        wanted.any(is_there)
    } else {
        wanted.all(is_there)
    }
}

/// Numbers are compared by what they say, not by their type.
fn is_same(a: &FieldValue, b: &FieldValue) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_word_and_a_hash_any_number() {
        for (pattern, yes, no) in [
            ("a.b", vec!["a.b"], vec!["a", "a.b.c", ""]),
            ("a.*", vec!["a.b", "a."], vec!["a", "a.b.c"]),
            ("#", vec!["", "a", "a.b"], vec![]),
            ("a.#", vec!["a", "a.b", "a.b.c"], vec!["b.a", ""]),
            ("#.a", vec!["a", "b.a", "b.c.a"], vec!["a.b"]),
            ("#.a.#", vec!["a", "x.a.y", "x.y.a"], vec!["b", ""]),
            ("*.#", vec!["a", "a.b"], vec![""]),
            (
                "a.#.b.#.c",
                vec!["a.b.c", "a.x.b.y.c"],
                vec!["a.c", "a.c.b"],
            ),
        ] {
            for key in yes {
                assert!(is_topic_match(pattern, key), "{pattern} {key}");
            }
            for key in no {
                assert!(!is_topic_match(pattern, key), "{pattern} {key}");
            }
        }
    }

    #[test]
    fn headers_match_all_or_any_and_names_that_begin_with_x_count_only_if_asked() {
        let headers = FieldTable::new()
            .with("a", 1)
            .with("b", "two")
            .with("x-c", 3);
        let matches = |mode: Option<&str>, with: FieldTable| {
            let mut arguments = with;
            if let Some(mode) = mode {
                arguments.insert("x-match", mode.to_owned());
            }
            is_headers_match(&arguments, &headers)
        };
        let table = FieldTable::new;
        assert!(matches(None, table().with("a", 1_i64).with("b", "two")));
        assert!(!matches(None, table().with("a", 1).with("b", "three")));
        assert!(matches(
            Some("any"),
            table().with("a", 1).with("b", "three")
        ));
        assert!(!matches(Some("any"), table().with("a", 2)));
        assert!(matches(None, table().with("a", FieldValue::Void)));
        assert!(!matches(None, table().with("z", FieldValue::Void)));
        assert!(matches(Some("all"), table().with("x-c", 4)));
        assert!(!matches(Some("all-with-x"), table().with("x-c", 4)));
        assert!(matches(Some("any-with-x"), table().with("x-c", 3)));
        assert!(!matches(Some("any"), table().with("x-c", 3)));
        assert!(matches(None, table()));
        assert!(!matches(Some("any"), table()));
    }

    #[test]
    fn another_x_match_is_refused() {
        let refused = check_headers_binding(&FieldTable::new().with("x-match", "some"));
        assert!(
            refused
                .unwrap_err()
                .text
                .contains("Invalid x-match field value")
        );
    }
}
