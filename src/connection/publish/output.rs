//! What is to be written, and the journal of what was published.
//!
//! Frames are encoded straight into `tail`; a large body is put between as a slice and never copied. A publish *pins*
//! its bytes until the broker has confirmed it: they stay here when they have been written, so that a publish which the
//! broker surely did not take can be written again without having been stored twice.
//!
//! ```text
//!            written, pinned     |  next, offset               position
//!   chunks:  [first] [  ] [  ] [ | ] [large body] [  ]   tail: [......]
//! ```

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

/// The tail becomes a chunk at this size: a pinned publish keeps at most that much beside itself in memory.
const CHUNK: usize = 16 * 1024;

/// Room for several chunks is allocated at once.
const TAIL: usize = 4 * CHUNK;

/// Bodies of this size or more are not copied into the tail.
pub(crate) const LARGE: usize = 4 * 1024;

/// What is kept of an unconfirmed publish beside its bytes.
const EACH: usize = 64;

/// How many slices one write may take.
pub(crate) const SLICES: usize = 64;

#[derive(Debug, Default)]
struct Chunk {
    bytes: Bytes,
    /// How many unconfirmed publishes lie in this chunk, wholly or in part.
    pins: u32,
}

/// A place in the stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    chunk: u64,
    offset: usize,
}

/// The bytes of one publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: Position,
    end: Position,
    pub(crate) len: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Output {
    chunks: VecDeque<Chunk>,
    /// The number of `chunks[0]`.
    first: u64,
    tail: BytesMut,
    tail_pins: u32,
    /// Everything before this has been written.
    next: Position,
    /// Bytes in chunks that have not been written.
    sealed: usize,
    /// Bytes of pinned publishes that have been written, or not, and what else is kept of each.
    pinned: usize,
}

impl Span {
    /// The chunks that the span lies in: an end at the start of a chunk does not reach into it.
    fn chunks(&self) -> std::ops::RangeInclusive<u64> {
        let reaches = self.end.offset > 0 || self.end.chunk == self.start.chunk;
        self.start.chunk..=if reaches {
            self.end.chunk
        } else {
            self.end.chunk - 1
        }
    }
}

impl Output {
    /// Where frames are encoded. Call [`commit`](Self::commit) after each request.
    pub(crate) fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail.reserve(TAIL);
        }
        &mut self.tail
    }

    /// Ends a request's frames. It does not write them.
    pub(crate) fn commit(&mut self) {
        if self.tail.len() >= CHUNK {
            self.seal();
        }
    }

    /// Adds bytes without copying them.
    pub(crate) fn push_slice(&mut self, bytes: Bytes) {
        self.seal();
        self.sealed += bytes.len();
        self.chunks.push_back(Chunk { bytes, pins: 0 });
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            self.sealed += bytes.len();
            self.chunks.push_back(Chunk {
                bytes,
                pins: std::mem::take(&mut self.tail_pins),
            });
            if self.tail.capacity() < LARGE {
                self.tail.reserve(TAIL);
            }
        }
    }

    /// Where the next byte goes.
    pub(crate) fn position(&self) -> Position {
        Position {
            chunk: self.first + self.chunks.len() as u64,
            offset: self.tail.len(),
        }
    }

    /// Forgets everything from `start` on, of which nothing may have been written, or be pinned.
    pub(crate) fn truncate(&mut self, start: Position) {
        self.seal();
        let keep = usize::try_from(start.chunk - self.first).unwrap_or(usize::MAX);
        for chunk in self.chunks.drain((keep + 1).min(self.chunks.len())..) {
            self.sealed -= chunk.bytes.len();
        }
        if let Some(chunk) = self.chunks.get_mut(keep) {
            self.sealed -= chunk.bytes.len() - start.offset;
            chunk.bytes.truncate(start.offset);
        }
    }

    /// Bytes not yet written.
    pub(crate) fn unsent(&self) -> usize {
        self.sealed + self.tail.len()
    }

    /// Bytes not yet written, or written and pinned.
    pub(crate) fn held(&self) -> usize {
        self.unsent().max(self.pinned)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unsent() == 0
    }

    /// Whether the socket has been given none of these bytes.
    pub(crate) fn is_unsent(&self, span: &Span) -> bool {
        span.start >= self.next
    }

    /// Fills `slices` with what is to be written, and says how many of them it used.
    pub(crate) fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.seal();
        let skip = usize::try_from(self.next.chunk - self.first).unwrap_or(usize::MAX);
        let mut offset = self.next.offset;
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks.iter().skip(skip)) {
            *slice = IoSlice::new(&chunk.bytes[offset..]);
            offset = 0;
            used += 1;
        }
        used
    }

    /// Notes that the first `count` bytes of what [`slices`](Self::slices) gave have been written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        self.sealed -= count;
        loop {
            let Position { chunk, offset } = self.next;
            let Some(chunk) = self.chunk(chunk) else {
                break;
            };
            let left = chunk.bytes.len() - offset;
            if count < left {
                self.next.offset += count;
                break;
            }
            count -= left;
            if chunk.pins == 0 {
                chunk.bytes = Bytes::new();
            }
            self.next = Position {
                chunk: self.next.chunk + 1,
                offset: 0,
            };
        }
        self.reap();
    }

    fn chunk(&mut self, number: u64) -> Option<&mut Chunk> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.chunks.get_mut(index)
    }

    /// Drops the chunks in front that are written and not pinned.
    fn reap(&mut self) {
        while self.first < self.next.chunk
            && self.chunks.front().is_some_and(|chunk| chunk.pins == 0)
        {
            self.chunks.pop_front();
            self.first += 1;
        }
    }

    /// Pins everything from `start` to here.
    pub(crate) fn pin_from(&mut self, start: Position, len: usize) -> Span {
        let span = Span {
            start,
            end: self.position(),
            len,
        };
        self.pinned += len + EACH;
        self.for_each_chunk(&span, |pins| *pins += 1);
        span
    }

    pub(crate) fn unpin(&mut self, span: &Span) {
        self.pinned -= span.len + EACH;
        let mut emptied = false;
        for number in span.chunks() {
            let written = number < self.next.chunk;
            let Some(chunk) = self.chunk(number) else {
                self.tail_pins -= 1;
                continue;
            };
            chunk.pins -= 1;
            if written && chunk.pins == 0 {
                chunk.bytes = Bytes::new();
                emptied = true;
            }
        }
        if emptied {
            self.reap();
        }
    }

    fn for_each_chunk(&mut self, span: &Span, change: impl Fn(&mut u32)) {
        for number in span.chunks() {
            match self.chunk(number) {
                Some(chunk) => change(&mut chunk.pins),
                None => change(&mut self.tail_pins),
            }
        }
    }

    /// The bytes of a pinned span, in pieces.
    pub(crate) fn pieces(&mut self, span: &Span) -> Vec<Bytes> {
        self.seal();
        let mut pieces = Vec::new();
        for number in span.chunks() {
            let Some(chunk) = self.chunk(number) else {
                continue;
            };
            let start = if number == span.start.chunk {
                span.start.offset
            } else {
                0
            };
            let end = if number == span.end.chunk {
                span.end.offset
            } else {
                chunk.bytes.len()
            };
            if start < end {
                pieces.push(chunk.bytes.slice(start..end));
            }
        }
        pieces
    }

    /// The first piece of a pinned span: all that was encoded for it before a large body.
    pub(crate) fn head(&mut self, span: &Span) -> Bytes {
        self.pieces(span).into_iter().next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a socket that takes `step` bytes at a time would get.
    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = output.slices(&mut slices);
            let mut bytes: Vec<u8> = slices[..used]
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            bytes.truncate(step);
            if bytes.is_empty() {
                return all;
            }
            output.advance(bytes.len());
            all.extend(bytes);
        }
    }

    #[test]
    fn bytes_come_out_in_order_however_they_are_taken() {
        for step in [1, 2, 3, 7, 100_000] {
            let mut output = Output::default();
            output.tail().extend_from_slice(b"abc");
            output.commit();
            output.push_slice(Bytes::from_static(b"large"));
            output.tail().extend_from_slice(b"def");
            assert_eq!(output.unsent(), 11);
            assert_eq!(drain(&mut output, step), b"abclargedef");
            assert!(output.is_empty() && output.chunks.is_empty());
        }
    }

    #[test]
    fn a_pinned_span_can_be_had_again_until_it_is_unpinned() {
        let mut output = Output::default();
        output.tail().extend_from_slice(b"before");
        let start = output.position();
        output.tail().extend_from_slice(b"head");
        output.push_slice(Bytes::from(vec![b'x'; LARGE]));
        output.tail().extend_from_slice(b"end");
        let span = output.pin_from(start, 7 + LARGE);
        output.tail().extend_from_slice(b"after");
        assert!(output.is_unsent(&span));
        drain(&mut output, 1000);
        assert!(!output.is_unsent(&span));
        assert_eq!(output.held(), 7 + LARGE + EACH);

        let pieces = output.pieces(&span);
        assert_eq!(
            pieces.iter().map(Bytes::len).collect::<Vec<_>>(),
            [4, LARGE, 3]
        );
        let again = pieces.concat();
        assert!(again.starts_with(b"headxxx") && again.ends_with(b"xxxend"));

        output.unpin(&span);
        assert_eq!(output.held(), 0);
        assert!(output.chunks.is_empty());
    }

    #[test]
    fn an_old_pin_does_not_keep_what_came_after_it() {
        let mut output = Output::default();
        let start = output.position();
        output.tail().extend_from_slice(b"pinned");
        let span = output.pin_from(start, 6);
        for _ in 0..100 {
            output.tail().extend_from_slice(&[0; CHUNK]);
            output.commit();
            drain(&mut output, usize::MAX);
        }
        let kept: usize = output.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        assert!(kept <= 2 * CHUNK, "{kept}");
        assert_eq!(output.pieces(&span).concat(), b"pinned");
        output.unpin(&span);
        assert!(output.chunks.is_empty());
    }
}
