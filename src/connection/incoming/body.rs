//! Bodies as they come in: where their bytes go, and what becomes of that memory.
//!
//! A large body gets a buffer of its own, into which the socket is read: nothing is copied. When its user has dropped
//! it, the buffer serves the next one: it need not be allocated and cleared again, and is warm in the cache. A small
//! body is copied to the arena.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bodies of this size or more have a buffer of their own.
pub(crate) const LARGE: usize = 8 * 1024;

/// So much is allocated at once for a frame of which only the head is here: its size is the peer's word.
pub(crate) const AT_ONCE: usize = 1024 * 1024;

/// How much free memory is kept for bodies to come.
const POOL_MAX: usize = 4 * 1024 * 1024;

/// Buffers that are free.
#[derive(Default)]
pub(crate) struct Pool {
    free: Arc<Mutex<Free>>,
    /// The largest body so far: so much is allocated on the peer's word, and no more.
    largest: usize,
}

#[derive(Default)]
struct Free {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// Bytes that are here, and room for more. All of the buffer is initialized, for it is read into.
#[derive(Default)]
pub(crate) struct Body {
    buffer: Vec<u8>,
    len: usize,
}

/// What gives a buffer back when the last user has dropped it.
struct Owner {
    body: Body,
    free: Arc<Mutex<Free>>,
}

impl Pool {
    /// Makes room in `body` for `count` bytes out of `missing`.
    pub(crate) fn reserve(&mut self, body: &mut Body, count: usize, missing: u64) {
        let least = body.len + count;
        if least <= body.buffer.len() {
            return;
        }
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        let whole = body.len.saturating_add(missing).max(least);
        if body.len == 0
            && let Some(buffer) = self.take(whole)
        {
            body.buffer = buffer;
            return;
        }
        // Doubling; or all at once if there was a body of that size before.
        let size = whole.min(least.max(2 * body.len).max(self.largest));
        if body.len == 0 {
            // Not resized: this comes cleared from the system, where it is large.
            body.buffer = vec![0; size];
        } else {
            body.buffer.resize(size, 0);
        }
    }

    /// A free buffer of that size, and not much more.
    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let mut free = lock(&self.free);
        let fits = |buffer: &Vec<u8>| (size..=size.saturating_mul(2)).contains(&buffer.len());
        // The last one came back last: it is the warmest.
        let index = free.buffers.iter().rposition(fits)?;
        let buffer = free.buffers.swap_remove(index);
        free.bytes -= buffer.len();
        Some(buffer)
    }

    /// What has come in, for the user.
    pub(crate) fn finish(&mut self, body: Body) -> Bytes {
        self.largest = self.largest.max(body.len);
        Bytes::from_owner(Owner {
            body,
            free: self.free.clone(),
        })
    }
}

impl Body {
    /// Where the next bytes of a frame go of which `missing` are not here: some of them, if there was no room for all.
    pub(crate) fn space(&mut self, missing: usize) -> &mut [u8] {
        if self.len == self.buffer.len() {
            let more = missing.min(self.len.max(AT_ONCE));
            self.buffer.resize(self.len + more, 0);
        }
        let end = self.buffer.len().min(self.len + missing);
        &mut self.buffer[self.len..end]
    }

    /// Notes that they are there.
    pub(crate) fn filled(&mut self, count: usize) {
        self.len += count;
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        self.buffer[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }
}

fn lock(free: &Mutex<Free>) -> std::sync::MutexGuard<'_, Free> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.body.buffer[..self.body.len]
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.body.buffer);
        let mut free = lock(&self.free);
        // Without its pool it is of use to nobody.
        if free.bytes + buffer.len() <= POOL_MAX && Arc::strong_count(&self.free) > 1 {
            free.bytes += buffer.len();
            free.buffers.push(buffer);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("free", &lock(&self.free).bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pool: &mut Pool, size: usize) -> Bytes {
        let mut body = Body::default();
        let mut missing = size as u64;
        while missing > 0 {
            let piece = missing.min(1000) as usize;
            pool.reserve(&mut body, piece, missing);
            body.extend(&vec![b'x'; piece]);
            missing -= piece as u64;
        }
        pool.finish(body)
    }

    #[test]
    fn a_buffer_serves_again_once_it_is_free() {
        let mut pool = Pool::default();
        let one = body(&mut pool, 10_000);
        let two = body(&mut pool, 10_000);
        assert_ne!(one.as_ptr(), two.as_ptr());
        assert_eq!(one, vec![b'x'; 10_000]);
        let place = one.as_ptr();
        let part = one.slice(1..2);
        drop(one);
        assert_ne!(body(&mut pool, 10_000).as_ptr(), place, "a part is in use");
        drop(part);
        assert_eq!(body(&mut pool, 6_000).as_ptr(), place);
        assert_ne!(body(&mut pool, 1_000).as_ptr(), place, "far too large");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut pool = Pool::default();
        let bodies: Vec<Bytes> = (0..10).map(|_| body(&mut pool, 1 << 20)).collect();
        drop(bodies);
        assert!(lock(&pool.free).bytes <= POOL_MAX);
    }

    #[test]
    fn nothing_is_allocated_on_the_peers_word() {
        let mut pool = Pool::default();
        let mut liar = Body::default();
        pool.reserve(&mut liar, 10, u64::MAX);
        assert_eq!(liar.buffer.len(), 10);
        body(&mut pool, 1 << 20);
        let mut liar = Body::default();
        pool.reserve(&mut liar, 10, u64::MAX);
        assert_eq!(liar.buffer.len(), 1 << 20);
    }
}
