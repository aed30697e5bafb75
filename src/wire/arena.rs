//! Memory for what is kept of a frame, which itself stays in the buffer that the socket is read into.

use bytes::{Bytes, BytesMut};

/// How much is allocated at once.
const CHUNK: usize = 32 * 1024;

/// Copies of small parts that share their allocations: none is made for each.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    buffer: BytesMut,
}

impl Arena {
    /// A copy of `part`.
    pub(crate) fn copy(&mut self, part: &[u8]) -> Bytes {
        if part.is_empty() {
            return Bytes::new();
        }
        self.put(part);
        self.take()
    }

    /// Adds to what [`take`](Self::take) will give.
    pub(crate) fn put(&mut self, part: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < part.len() {
            self.buffer.reserve(part.len().max(CHUNK));
        }
        self.buffer.extend_from_slice(part);
    }

    pub(crate) fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_memory_and_stay_what_they_are() {
        let mut arena = Arena::default();
        let (one, two) = (arena.copy(b"one"), arena.copy(b"two"));
        assert_eq!(one.as_ptr().wrapping_add(3), two.as_ptr());
        for _ in 0..CHUNK {
            arena.copy(b"gone");
        }
        arena.put(b"a");
        arena.put(&[b'b'; 2 * CHUNK]);
        assert_eq!(arena.take().len(), 2 * CHUNK + 1);
        assert_eq!((&one[..], &two[..]), (&b"one"[..], &b"two"[..]));
        assert!(arena.copy(b"").is_empty());
    }
}
