//! The bytes that came in and are not understood yet, and where the next ones go.
//!
//! The socket is read into one buffer, which is allocated and cleared once; frames are looked at where they are. Of a
//! large body frame only the beginning gets there: the rest is read straight into the body.

#[cfg(any(test, fuzzing))]
use crate::connection::incoming::body::AT_ONCE;
use crate::connection::incoming::body::{Body, LARGE};
use crate::types::ids::ChannelId;
use crate::wire::{
    BasicDeliver, ContentHeader, FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_METHOD, Frame,
    FrameError, FrameHead,
};

/// How many bytes the buffer offers to one read: little before large bodies, which had better not be copied, and more
/// where reads fill up.
const OFFER_MIN: usize = 4 * 1024;
const OFFER_START: usize = 16 * 1024;
const OFFER_MAX: usize = 64 * 1024;

/// What is missing of a body frame is read straight into the body if it is as much as this.
const DIRECT_MIN: usize = 4 * 1024;

#[derive(Debug)]
pub(crate) struct Input {
    /// All of it is initialized; what is to be looked at is at `start..end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offer: usize,
    /// How much the last read was offered.
    offered: usize,
    /// The body frame that is being read past the buffer.
    direct: Option<Box<DirectBody>>,
}

/// A body frame whose payload goes where it belongs.
#[derive(Debug)]
pub(crate) struct DirectBody {
    pub(crate) channel: ChannelId,
    pub(crate) body: Body,
    /// All of the payload, and what is missing of it.
    pub(crate) size: usize,
    missing: usize,
}

/// See [`Input::next_plain_delivery`].
#[derive(Debug)]
pub(crate) struct PlainDelivery<'a> {
    pub(crate) channel: ChannelId,
    pub(crate) deliver: BasicDeliver<'a>,
    pub(crate) body: &'a [u8],
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Frame(Frame<'a>),
    /// A body frame that had better be read straight; see [`Input::read_directly`].
    Large(FrameHead),
    /// One that was.
    Direct(Box<DirectBody>),
    /// Nothing, for now.
    Incomplete,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offer: OFFER_START,
            offered: 0,
            direct: None,
        }
    }
}

impl Input {
    /// What has not been looked at.
    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self {
            buffer: std::mem::take(&mut self.buffer),
            ..Self::default()
        };
    }

    /// Where the next bytes go, in this order.
    pub(crate) fn space(&mut self) -> [&mut [u8]; 2] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < self.end + self.offer {
            self.buffer.resize(self.end + self.offer, 0);
        }
        let buffer = &mut self.buffer[self.end..self.end + self.offer];
        let (body, missing) = match &mut self.direct {
            Some(direct) => (direct.body.space(direct.missing), direct.missing),
            None => (&mut [][..], 0),
        };
        // What comes behind the body would not be the frame's end.
        let buffer = if body.len() < missing {
            &mut []
        } else {
            buffer
        };
        self.offered = body.len() + buffer.len();
        [body, buffer]
    }

    /// Notes that so many of them are there.
    pub(crate) fn filled(&mut self, mut count: usize) {
        if count >= self.offered && self.direct.is_none() {
            self.offer = (2 * self.offer).min(OFFER_MAX);
        }
        if let Some(direct) = &mut self.direct {
            let part = count.min(direct.missing);
            direct.body.filled(part);
            direct.missing -= part;
            count -= part;
        }
        self.end += count;
    }

    /// Takes the next frame.
    pub(crate) fn next(&mut self, frame_max: usize) -> Result<Next<'_>, FrameError> {
        if self.direct.is_some() {
            return self.end_of_direct();
        }
        let unread = &self.buffer[self.start..self.end];
        let Some(head) = FrameHead::read(unread, frame_max)? else {
            return Ok(Next::Incomplete);
        };
        if unread.len() < head.frame_size() {
            let missing = head.frame_size() - unread.len();
            return Ok(if head.kind == FRAME_BODY && missing > DIRECT_MIN {
                Next::Large(head)
            } else {
                // It will need as much.
                self.offer = self.offer.max(missing.min(OFFER_MAX));
                Next::Incomplete
            });
        }
        let start = self.start;
        self.start += head.frame_size();
        head.frame(&self.buffer[start..self.start]).map(Next::Frame)
    }

    /// A whole delivery of a small message without properties, if that is what comes next: most are such ones. Else it
    /// takes nothing, and its frames come from [`next`](Self::next).
    pub(crate) fn next_plain_delivery(&mut self, frame_max: usize) -> Option<PlainDelivery<'_>> {
        if self.direct.is_some() {
            return None;
        }
        let unread = &self.buffer[self.start..self.end];
        let mut rest = unread;
        let mut frame = |kind: u8, channel: Option<u16>| {
            let head = FrameHead::read(rest, frame_max).ok()??;
            let (bytes, after) = rest.split_at_checked(head.frame_size())?;
            let frame = head.frame(bytes).ok()?;
            rest = after;
            (frame.kind == kind && channel.is_none_or(|channel| channel == frame.channel))
                .then_some(frame)
        };
        let method = frame(FRAME_METHOD, None)?;
        let deliver = BasicDeliver::decode(method.payload)?;
        let channel = Some(method.channel);
        let size = ContentHeader::plain(frame(FRAME_HEADER, channel)?.payload)?;
        let body = frame(FRAME_BODY, channel)?.payload;
        if body.len() as u64 != size || body.len() >= LARGE {
            return None;
        }
        self.start += unread.len() - rest.len();
        Some(PlainDelivery {
            channel: ChannelId(method.channel),
            deliver,
            body,
        })
    }

    /// Has the rest of the large frame that [`next`](Self::next) has told of read into `body`, which has room for what
    /// is here of its payload.
    pub(crate) fn read_directly(&mut self, head: FrameHead, mut body: Body) {
        let payload = &self.buffer[self.start + FrameHead::LEN..self.end];
        // Its end is missing, and more.
        body.extend(payload);
        self.offer = OFFER_MIN;
        self.direct = Some(Box::new(DirectBody {
            channel: ChannelId(head.channel),
            body,
            size: head.size,
            missing: head.size - payload.len(),
        }));
        (self.start, self.end) = (0, 0);
    }

    fn end_of_direct(&mut self) -> Result<Next<'_>, FrameError> {
        match self.unread().first() {
            // Before the end come the bytes that are missing.
            None => Ok(Next::Incomplete),
            Some(&FRAME_END) => {
                self.start += 1;
                Ok(self.direct.take().map_or(Next::Incomplete, Next::Direct))
            }
            Some(&other) => Err(FrameError::End(other)),
        }
    }
}

/// All frames that come in these pieces, and the error behind them; `quick` looks for whole deliveries first.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_in_pieces<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    frame_max: usize,
    quick: bool,
) -> (Vec<crate::wire::OwnedFrame>, Option<FrameError>) {
    let mut input = Input::default();
    let mut frames = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let mut filled = 0;
            for space in input.space() {
                filled += std::io::Read::read(&mut piece, space).unwrap_or_default();
            }
            input.filled(filled);
            if let Err(error) = take_frames(&mut input, frame_max, quick, &mut frames) {
                return (frames, Some(error));
            }
        }
    }
    (frames, None)
}

/// The frames that a plain delivery is read from.
#[cfg(any(test, fuzzing))]
fn frames_of(plain: &PlainDelivery<'_>) -> [crate::wire::OwnedFrame; 3] {
    use crate::wire::{OwnedFrame, WireMethod};
    use bytes::{Bytes, BytesMut};

    let mut method = BytesMut::new();
    // What was read is not too long to be written.
    let _ = plain.deliver.encode(&mut method);
    let mut header = BytesMut::zeroed(14);
    header[1] = 60;
    header[4..12].copy_from_slice(&(plain.body.len() as u64).to_be_bytes());
    let payloads = [
        (FRAME_METHOD, method.freeze()),
        (FRAME_HEADER, header.freeze()),
        (FRAME_BODY, Bytes::copy_from_slice(plain.body)),
    ];
    payloads.map(|(kind, payload)| OwnedFrame {
        kind,
        channel: plain.channel.0,
        payload,
    })
}

#[cfg(any(test, fuzzing))]
fn take_frames(
    input: &mut Input,
    frame_max: usize,
    quick: bool,
    frames: &mut Vec<crate::wire::OwnedFrame>,
) -> Result<(), FrameError> {
    use crate::wire::OwnedFrame;
    use bytes::Bytes;

    let mut pool = crate::connection::incoming::body::Pool::default();
    loop {
        if quick && let Some(plain) = input.next_plain_delivery(frame_max) {
            frames.extend(frames_of(&plain));
            continue;
        }
        let (kind, channel, payload) = match input.next(frame_max)? {
            Next::Incomplete => return Ok(()),
            Next::Large(head) => {
                let mut body = Body::default();
                let size = head.size.min(AT_ONCE);
                pool.reserve(&mut body, size, head.size as u64);
                input.read_directly(head, body);
                continue;
            }
            Next::Frame(frame) => {
                let payload = Bytes::copy_from_slice(frame.payload);
                (frame.kind, frame.channel, payload)
            }
            Next::Direct(frame) => (FRAME_BODY, frame.channel.0, pool.finish(frame.body)),
        };
        frames.push(OwnedFrame {
            kind,
            channel,
            payload,
        });
    }
}
