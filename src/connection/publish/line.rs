//! Publishes that are not on the wire, as data: sent once and to be sent again, or in line behind such ones.
//!
//! They are kept as messages, not as frames: where they go next, frames may be smaller, queues may have other names, and
//! there may be no confirms. Their bodies are not copied; the bytes that were pinned for them are read back.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::connection::publish::mark::mark;
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::wire::WireMethod;
use crate::wire::{
    BasicPublish, CLASS_BASIC, ContentHeader, EncodeError, FRAME_HEADER, FRAME_METHOD,
    FRAME_OVERHEAD, FrameHead,
};

/// What one publish counts for in a batch, beside its bytes.
pub(crate) const EACH: usize = 1024;

/// A publish that is not on the wire.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) promise: PromiseNumber,
    /// The payloads of its first two frames.
    pub(crate) method: Bytes,
    pub(crate) header: Bytes,
    pub(crate) body: Vec<Bytes>,
    /// An earlier connection may have taken it.
    pub(crate) sent_before: bool,
}

/// All of them, in order.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) line: VecDeque<Held>,
    pub(crate) bytes: usize,
    /// How much of it goes out at once.
    pub(crate) batch: usize,
    /// Whether the next batch is a single one.
    pub(crate) then_one: bool,
    /// The tag of the last one that has gone out of it, on this channel.
    pub(crate) last: u64,
    /// The tag in front of the fence, while its answer is outstanding.
    pub(crate) fence: Option<u64>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            line: VecDeque::new(),
            bytes: 0,
            batch: usize::MAX,
            then_one: false,
            last: 0,
            fence: None,
        }
    }
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether the broker has yet to say that it has handled a batch.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fence.is_some()
    }

    /// Bytes of this process.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push_back(&mut self, held: Held) {
        self.bytes += held.size();
        self.line.push_back(held);
    }

    pub(crate) fn push_front(&mut self, held: Held) {
        self.bytes += held.size();
        self.line.push_front(held);
    }

    pub(crate) fn pop_front(&mut self) -> Option<Held> {
        let held = self.line.pop_front()?;
        self.bytes -= held.size();
        Some(held)
    }

    /// The channel has gone, and with it the tags.
    pub(crate) fn channel_gone(&mut self) {
        self.last = 0;
        self.fence = None;
        self.then_one = false;
    }
}

impl Held {
    /// A message that the user publishes now.
    pub(crate) fn new(
        promise: PromiseNumber,
        exchange: &str,
        routing_key: &str,
        mut message: Message,
    ) -> Result<Self, EncodeError> {
        mark(&mut message, promise);
        let mut out = BytesMut::new();
        let method = BasicPublish {
            exchange: exchange.as_bytes(),
            routing_key: routing_key.as_bytes(),
            mandatory: message.mandatory,
            ..Default::default()
        };
        method.encode(&mut out)?;
        let method = out.split().freeze();
        let header = ContentHeader {
            class_id: CLASS_BASIC,
            body_size: message.body.len() as u64,
            properties: message.properties,
        };
        header.encode(&mut out)?;
        Ok(Self {
            promise,
            method,
            header: out.freeze(),
            body: vec![message.body],
            sent_before: false,
        })
    }

    /// What was written for a publish, read back. Behind its message there may be another, in place of confirms.
    pub(crate) fn read(
        promise: PromiseNumber,
        pieces: Vec<Bytes>,
        sent_before: bool,
    ) -> Option<Self> {
        let mut frames = Frames(pieces.into());
        let method = frames.next(FRAME_METHOD)?;
        let header = frames.next(FRAME_HEADER)?;
        let mut missing = body_size(&header)?;
        let mut body = Vec::new();
        while missing > 0 {
            let piece = frames.next(crate::wire::FRAME_BODY)?;
            missing = missing.checked_sub(piece.len() as u64)?;
            body.push(piece);
        }
        Some(Self {
            promise,
            method,
            header,
            body,
            sent_before,
        })
    }

    /// Bytes of this process that it takes.
    pub(crate) fn size(&self) -> usize {
        let body: usize = self.body.iter().map(Bytes::len).sum();
        let parts = size_of::<Self>() + self.body.len() * size_of::<Bytes>();
        parts + self.method.len() + self.header.len() + body
    }

    pub(crate) fn cost(&self) -> usize {
        self.size() + EACH
    }
}

/// The size of the body that a content header announces.
pub(crate) fn body_size(header: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*header.get(4..)?.first_chunk()?))
}

/// Frames out of pieces, in which a payload may be a piece of its own.
struct Frames(VecDeque<Bytes>);

impl Frames {
    /// The payload of the next frame, which has to be of that kind.
    pub(crate) fn next(&mut self, kind: u8) -> Option<Bytes> {
        let head = FrameHead::read(&self.take(FrameHead::LEN)?, usize::MAX).ok()??;
        let payload = self.take(head.size)?;
        self.take(FRAME_OVERHEAD - FrameHead::LEN)?;
        (head.kind == kind).then_some(payload)
    }

    /// So many bytes, which are in one piece.
    pub(crate) fn take(&mut self, count: usize) -> Option<Bytes> {
        while self.0.front().is_some_and(Bytes::is_empty) {
            self.0.pop_front();
        }
        if count == 0 {
            return Some(Bytes::new());
        }
        let front = self.0.front_mut()?;
        (count <= front.len()).then(|| front.split_to(count))
    }
}
