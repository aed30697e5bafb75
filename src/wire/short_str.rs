//! AMQP's short strings, as users see them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// A text that shares memory: a queue's name, a routing key, a property.
///
/// It is a `str` in all but name. One that came from the broker is a slice of the buffer that the socket was read into,
/// so keep a `String` (`.to_string()`) of what is kept for long. AMQP's limit of 255 bytes is checked when it is sent.
#[derive(Clone, Default)]
pub struct ShortStr {
    /// UTF-8, always.
    bytes: Bytes,
}

impl ShortStr {
    /// A text that lives as long as the program, without a copy.
    pub const fn from_static(text: &'static str) -> Self {
        Self {
            bytes: Bytes::from_static(text.as_bytes()),
        }
    }

    /// A part of a frame's payload, without a copy; what is not UTF-8 is replaced (AMQP allows none).
    pub(crate) fn from_wire(payload: &Bytes, part: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        match str::from_utf8(part) {
            Ok(_) => Self {
                bytes: payload.slice_ref(part),
            },
            Err(_) => String::from_utf8_lossy(part).into_owned().into(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Never fails: every way to make one starts from a text.
        str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Deref for ShortStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for ShortStr {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for ShortStr {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for ShortStr {
    fn from(text: &str) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
        }
    }
}

impl From<String> for ShortStr {
    fn from(text: String) -> Self {
        Self { bytes: text.into() }
    }
}

impl From<&String> for ShortStr {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&Self> for ShortStr {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl fmt::Display for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for ShortStr {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ShortStr {}

impl PartialOrd for ShortStr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShortStr {
    fn cmp(&self, other: &Self) -> Ordering {
        // UTF-8 sorts as its bytes do.
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for ShortStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for ShortStr {
    fn eq(&self, other: &str) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortStr {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for ShortStr {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_payload_is_not_copied() {
        let payload = Bytes::from_static(b"....name....");
        let text = ShortStr::from_wire(&payload, &payload[4..8]);
        assert_eq!(text, "name");
        assert_eq!(text.as_bytes().as_ptr(), payload[4..].as_ptr());
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let payload = Bytes::from_static(b"n\xe4me");
        assert_eq!(ShortStr::from_wire(&payload, &payload), "n\u{fffd}me");
    }
}
