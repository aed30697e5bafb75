//! AMQP's short strings, as users see them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

use super::arena::Arena;

/// Texts up to this size have no memory elsewhere. It is what fits in the room of a `Bytes` of a
/// 64-bit system; on others a text is as long and the room is larger.
const INLINE: usize = 23;

/// A text that is cheap to clone: a queue's name, a routing key, a property.
///
/// It is a `str` in all but name. A short one is kept in place; longer ones share memory, and one that came from the
/// broker shares it with its neighbours, so keep a `String` (`.to_string()`) of what is kept for long. AMQP's limit of
/// 255 bytes is checked when it is sent.
#[derive(Clone)]
pub struct ShortStr {
    repr: Repr,
}

/// UTF-8, always.
#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Bytes),
}

impl ShortStr {
    pub(crate) const EMPTY: Self = Self {
        repr: Repr::Inline {
            len: 0,
            bytes: [0; INLINE],
        },
    };

    /// A text that lives as long as the program, without a copy.
    pub const fn from_static(text: &'static str) -> Self {
        if text.is_empty() {
            return Self::EMPTY;
        }
        Self {
            repr: Repr::Shared(Bytes::from_static(text.as_bytes())),
        }
    }

    /// In place, if there is room. It has to be UTF-8.
    fn inline(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self {
            repr: Repr::Inline {
                len: text.len() as u8, // At most INLINE.
                bytes,
            },
        })
    }

    fn new(text: &str, share: impl FnOnce() -> Bytes) -> Self {
        Self::inline(text.as_bytes()).unwrap_or_else(|| Self {
            repr: Repr::Shared(share()),
        })
    }

    /// A part of a frame; what is not UTF-8 is replaced (AMQP allows none).
    pub(crate) fn from_wire(part: &[u8], arena: &mut Arena) -> Self {
        if part.is_empty() {
            return Self::EMPTY;
        }
        // The quick way, which most go.
        if part.is_ascii()
            && let Some(text) = Self::inline(part)
        {
            return text;
        }
        match str::from_utf8(part) {
            Ok(text) => Self::new(text, || arena.copy(part)),
            Err(_) => String::from_utf8_lossy(part).into_owned().into(),
        }
    }

    /// A part of some memory that it may share; what is not UTF-8 is replaced.
    pub(crate) fn from_memory(memory: &Bytes, part: &[u8]) -> Self {
        match str::from_utf8(part) {
            Ok(text) => Self::new(text, || memory.slice_ref(part)),
            Err(_) => String::from_utf8_lossy(part).into_owned().into(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Never fails: every way to make one starts from a text.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.repr {
            Repr::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl Default for ShortStr {
    fn default() -> Self {
        Self::EMPTY
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
        Self::new(text, || Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for ShortStr {
    fn from(text: String) -> Self {
        Self::inline(text.as_bytes()).unwrap_or_else(|| Self {
            repr: Repr::Shared(text.into()),
        })
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
        self.as_bytes() == other.as_bytes()
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
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for ShortStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for ShortStr {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
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
    fn short_ones_are_in_place_and_longer_ones_share() {
        if cfg!(target_pointer_width = "64") {
            assert_eq!(size_of::<ShortStr>(), size_of::<Bytes>());
        }
        let mut arena = Arena::default();
        for len in [0, 1, INLINE, INLINE + 1, 255, 256] {
            let text = "n".repeat(len);
            let memory = Bytes::from(format!("....{text}...."));
            let part = &memory[4..4 + len];
            let shared = ShortStr::from_memory(&memory, part);
            assert_eq!(
                shared.as_bytes().as_ptr() == part.as_ptr(),
                len > INLINE,
                "{len}"
            );
            for other in [
                ShortStr::from_wire(part, &mut arena),
                text.as_str().into(),
                text.clone().into(),
                shared.clone(),
            ] {
                assert_eq!(other, shared);
                assert_eq!(other, text);
            }
        }
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let text = ShortStr::from_wire(b"n\xe4me", &mut Arena::default());
        assert_eq!(text, "n\u{fffd}me");
    }
}
