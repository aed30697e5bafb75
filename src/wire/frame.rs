//! Frames: how methods, headers and bodies are cut and put on channels.

use bytes::{BufMut, BytesMut};

use super::codec::EncodeError;
use super::method::WireMethod;

pub(crate) const FRAME_METHOD: u8 = 1;
pub(crate) const FRAME_HEADER: u8 = 2;
pub(crate) const FRAME_BODY: u8 = 3;
pub(crate) const FRAME_HEARTBEAT: u8 = 8;
pub(crate) const FRAME_END: u8 = 0xCE;

const HEADER_LEN: usize = 7;
/// What a frame has beside its payload.
pub(crate) const FRAME_OVERHEAD: usize = HEADER_LEN + 1;
/// The least that two peers may agree on.
pub(crate) const MIN_FRAME_MAX: u32 = 4096;
/// The most, where the other side has no limit; and until it has said so.
pub(crate) const DEFAULT_FRAME_MAX: u32 = 131_072;
/// What a client says first.
pub(crate) const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// One frame, as it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {size} bytes, where at most {max} were agreed on")]
    TooLarge { size: usize, max: usize },
    #[error("a frame that ends in 0x{0:02x}, not in 0xce")]
    End(u8),
}

/// What a frame says of itself, first.
///
/// ```text
/// 0      1         3      7              7 + size
/// +------+---------+------+--------------+-----------+
/// | type | channel | size | payload      | frame-end |
/// +------+---------+------+--------------+-----------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    /// Of the payload.
    pub(crate) size: usize,
}

impl FrameHead {
    pub(crate) const LEN: usize = HEADER_LEN;

    /// Reads the head of the frame in front, or nothing while it is incomplete.
    pub(crate) fn read(input: &[u8], frame_max: usize) -> Result<Option<Self>, FrameError> {
        let Some(&[kind, c0, c1, s0, s1, s2, s3]) = input.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        // Checked before anything is buffered for it: the size is the peer's word.
        if size.saturating_add(FRAME_OVERHEAD) > frame_max {
            return Err(FrameError::TooLarge {
                size: size.saturating_add(FRAME_OVERHEAD),
                max: frame_max,
            });
        }
        Ok(Some(Self {
            kind,
            channel: u16::from_be_bytes([c0, c1]),
            size,
        }))
    }

    /// With the payload and what is around it.
    pub(crate) fn frame_size(&self) -> usize {
        self.size + FRAME_OVERHEAD
    }

    /// The frame, out of all its bytes.
    pub(crate) fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        match bytes.get(HEADER_LEN..).and_then(<[u8]>::split_last) {
            Some((&FRAME_END, payload)) => Ok(Frame {
                kind: self.kind,
                channel: self.channel,
                payload,
            }),
            end => Err(FrameError::End(end.map_or(0, |(end, _)| *end))),
        }
    }
}

/// Takes one frame off the front of `input`, or nothing while it is incomplete.
#[cfg(any(test, fuzzing))]
pub(crate) fn split_frame(
    input: &mut BytesMut,
    frame_max: usize,
) -> Result<Option<OwnedFrame>, FrameError> {
    let Some(head) = FrameHead::read(input, frame_max)? else {
        return Ok(None);
    };
    if input.len() < head.frame_size() {
        return Ok(None);
    }
    let bytes = input.split_to(head.frame_size());
    let Frame {
        kind,
        channel,
        payload,
    } = head.frame(&bytes)?;
    Ok(Some(OwnedFrame {
        kind,
        channel,
        payload: bytes::Bytes::copy_from_slice(payload),
    }))
}

/// A frame that a test keeps.
#[cfg(any(test, fuzzing))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedFrame {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: bytes::Bytes,
}

/// Starts a frame behind what is there; its payload follows, and then [`end_frame`] with the mark.
pub(crate) fn begin_frame(out: &mut BytesMut, kind: u8, channel: u16) -> usize {
    let mark = out.len();
    out.put_u8(kind);
    out.put_u16(channel);
    out.put_u32(0);
    mark
}

/// Ends the frame that starts at `mark`: fills in its size.
pub(crate) fn end_frame(out: &mut BytesMut, mark: usize) {
    let payload = mark + HEADER_LEN;
    // A payload is far from 4 GiB: what goes into one frame is checked against frame_max.
    let size = out.len().saturating_sub(payload) as u32;
    if let Some(place) = out.get_mut(payload - 4..payload) {
        place.copy_from_slice(&size.to_be_bytes());
    }
    out.put_u8(FRAME_END);
}

/// Writes a method as a frame. On an error it has written nothing.
pub(crate) fn write_method<M: WireMethod>(
    out: &mut BytesMut,
    channel: u16,
    method: &M,
) -> Result<(), EncodeError> {
    let mark = begin_frame(out, FRAME_METHOD, channel);
    match method.encode(out) {
        Ok(()) => end_frame(out, mark),
        Err(error) => {
            out.truncate(mark);
            return Err(error);
        }
    }
    Ok(())
}

/// A method's frame, or a header's, that was written from `mark` on: neither can be split.
pub(crate) fn check_frame(out: &[u8], mark: usize, max: usize) -> Result<(), EncodeError> {
    match out.len() - mark {
        len if len > max => Err(EncodeError::FrameTooLarge { len, max }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::BasicAck;
    use super::*;

    const ACK: &[u8] = b"\x01\x00\x05\x00\x00\x00\x0d\x00\x3c\x00\x50\0\0\0\0\0\0\0\x09\x01\xce";

    #[test]
    fn a_method_is_a_frame_of_literal_bytes() {
        let mut out = BytesMut::new();
        write_method(
            &mut out,
            5,
            &BasicAck {
                delivery_tag: 9,
                multiple: true,
            },
        )
        .unwrap();
        assert_eq!(&out[..], ACK);
    }

    #[test]
    fn a_frame_comes_out_whole_wherever_it_is_cut() {
        for cut in 0..=ACK.len() {
            let mut input = BytesMut::from(&ACK[..cut]);
            let early = split_frame(&mut input, 4096).unwrap();
            assert_eq!(early.is_some(), cut == ACK.len());
            let frame = early.or_else(|| {
                input.extend_from_slice(&ACK[cut..]);
                split_frame(&mut input, 4096).unwrap()
            });
            let frame = frame.unwrap();
            assert_eq!(
                (frame.kind, frame.channel, &frame.payload[..]),
                (1, 5, &ACK[7..20])
            );
            assert!(input.is_empty());
        }
    }

    #[test]
    fn a_frame_too_large_or_without_its_end_is_an_error() {
        let mut input = BytesMut::from(&b"\x03\0\x01\xff\xff\xff\xff"[..]);
        assert!(matches!(
            split_frame(&mut input, 131_072),
            Err(FrameError::TooLarge { .. })
        ));
        let mut input = BytesMut::from(&b"\x08\0\0\0\0\0\0\xcd"[..]);
        assert_eq!(split_frame(&mut input, 4096), Err(FrameError::End(0xcd)));
    }

    #[test]
    fn the_largest_frame_is_the_agreed_one() {
        let frame = |payload: usize| {
            let mut out = BytesMut::new();
            let mark = begin_frame(&mut out, FRAME_BODY, 1);
            out.put_bytes(0, payload);
            end_frame(&mut out, mark);
            out
        };
        assert!(matches!(
            split_frame(&mut frame(4096 - 8), 4096),
            Ok(Some(_))
        ));
        assert!(split_frame(&mut frame(4096 - 7), 4096).is_err());
    }
}
