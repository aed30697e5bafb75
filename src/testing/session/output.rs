//! What is on its way to a client: whole frames, those of one channel in order.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::super::chance::Chance;
use crate::wire::{
    ContentHeader, EncodeError, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, FRAME_OVERHEAD, FrameHead,
    Properties, WireMethod, begin_frame, end_frame, write_method,
};

/// How far ahead chance may look for a frame of another channel.
const WINDOW: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Output {
    /// The next bytes, whose order is settled.
    settled: BytesMut,
    frames: VecDeque<(u16, Bytes)>,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.frames.is_empty()
    }

    /// Bytes that are no frame.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.settled.extend_from_slice(bytes);
    }

    pub(super) fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let mut out = BytesMut::with_capacity(payload.len() + FRAME_OVERHEAD);
        let mark = begin_frame(&mut out, kind, channel);
        out.extend_from_slice(payload);
        end_frame(&mut out, mark);
        self.frames.push_back((channel, out.freeze()));
    }

    pub(super) fn method(
        &mut self,
        channel: u16,
        method: &impl WireMethod,
    ) -> Result<(), EncodeError> {
        let mut out = BytesMut::new();
        write_method(&mut out, channel, method)?;
        self.frames.push_back((channel, out.freeze()));
        Ok(())
    }

    /// A method with a message behind it. On an error nothing is sent.
    pub(super) fn content(
        &mut self,
        channel: u16,
        method: &impl WireMethod,
        (properties, body): (&Properties, &[u8]),
        frame_max: usize,
        chance: &mut Chance,
    ) -> Result<(), EncodeError> {
        let mut header = BytesMut::new();
        ContentHeader {
            class_id: 60,
            body_size: body.len() as u64,
            properties: properties.clone(),
        }
        .encode(&mut header)?;
        self.method(channel, method)?;
        self.frame(FRAME_HEADER, channel, &header);
        let most = frame_max.saturating_sub(FRAME_OVERHEAD).max(1);
        let mut rest = body;
        while !rest.is_empty() {
            let mut size = rest.len().min(most);
            if chance.percent(20) {
                size = 1 + chance.below(size);
            }
            let (piece, left) = rest.split_at(size);
            self.frame(FRAME_BODY, channel, piece);
            rest = left;
        }
        Ok(())
    }

    /// Nothing that comes later goes out before what is there.
    pub(super) fn settle(&mut self) {
        for (_, frame) in self.frames.drain(..) {
            self.settled.extend_from_slice(&frame);
        }
    }

    /// Puts the newest frame, a method, before the deliveries that are the last things on its channel.
    pub(super) fn overtake_deliveries(&mut self) {
        let Some((channel, frame)) = self.frames.pop_back() else {
            return;
        };
        let mut place = None;
        for (index, (of, frame)) in self.frames.iter().enumerate() {
            match frame.get(FrameHead::LEN..) {
                Some([0, 60, 0, 60, ..]) if *of == channel && frame[0] == FRAME_METHOD => {
                    place = place.or(Some(index));
                }
                _ if *of == channel && frame[0] == FRAME_METHOD => place = None,
                _ => {}
            }
        }
        let place = place.unwrap_or(self.frames.len());
        self.frames.insert(place, (channel, frame));
    }

    /// Drops what no byte of has been taken yet.
    pub(super) fn drop_frames(&mut self) {
        self.frames.clear();
    }

    pub(super) fn clear(&mut self) {
        self.settled.clear();
        self.frames.clear();
    }

    /// At most `max` bytes. Frames of different channels may change places.
    pub(super) fn take(&mut self, max: usize, chance: &mut Chance) -> Vec<u8> {
        while self.settled.len() < max && !self.frames.is_empty() {
            let index = chance.below(self.frames.len().min(WINDOW));
            let channel = self.frames.get(index).map(|(channel, _)| *channel);
            // The first of its channel.
            let first = self.frames.iter().position(|(of, _)| Some(*of) == channel);
            if let Some((_, frame)) = first.and_then(|first| self.frames.remove(first)) {
                self.settled.extend_from_slice(&frame);
            }
        }
        let len = self.settled.len().min(max);
        self.settled.split_to(len).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, FRAME_HEARTBEAT, split_frame};

    #[test]
    fn frames_of_one_channel_keep_their_order_and_those_of_two_may_not() {
        let order = |seed: u64| {
            let mut output = Output::default();
            for number in 0..20 {
                output.frame(FRAME_BODY, number % 2, &[number as u8]);
            }
            let mut bytes = BytesMut::from(&output.take(7, &mut Chance::new(seed))[..]);
            bytes.extend_from_slice(&output.take(usize::MAX, &mut Chance::new(seed)));
            assert!(output.is_empty());
            let frames = std::iter::from_fn(|| split_frame(&mut bytes, 4096).unwrap());
            frames.map(|frame| frame.payload[0]).collect::<Vec<_>>()
        };
        let plain: Vec<u8> = (0..20).collect();
        assert_eq!(order(0), plain);
        assert!((1..10).any(|seed| order(seed) != plain));
        for seed in 0..10 {
            let (even, odd): (Vec<u8>, Vec<u8>) =
                order(seed).iter().partition(|number| *number % 2 == 0);
            assert!(even.is_sorted() && odd.is_sorted());
        }
    }

    #[test]
    fn a_close_overtakes_whole_deliveries_and_nothing_else() {
        let mut output = Output::default();
        let chance = &mut Chance::new(0);
        let deliver = |tag| wire::BasicDeliver {
            delivery_tag: tag,
            ..Default::default()
        };
        let empty = Properties::default();
        let content = (&empty, &b"x"[..]);
        output
            .content(2, &deliver(1), content, 4096, chance)
            .unwrap();
        output.method(2, &wire::BasicQosOk {}).unwrap();
        output
            .content(2, &deliver(2), content, 4096, chance)
            .unwrap();
        output
            .content(3, &deliver(1), content, 4096, chance)
            .unwrap();
        output.method(2, &wire::ChannelCloseOk {}).unwrap();
        output.overtake_deliveries();
        let order: Vec<_> = output
            .frames
            .iter()
            .map(|(channel, frame)| (*channel, frame[0]))
            .collect();
        // The close is the fifth: behind qos-ok, before the second delivery.
        let deliveries = |channel| [(channel, 1), (channel, 2), (channel, 3)];
        let expected = [
            &deliveries(2)[..],
            &[(2, 1), (2, 1)],
            &deliveries(2),
            &deliveries(3),
        ];
        assert_eq!(order, expected.concat());
    }

    #[test]
    fn what_is_settled_goes_first() {
        let mut output = Output::default();
        output.frame(FRAME_BODY, 1, b"x");
        output.settle();
        output.frame(FRAME_HEARTBEAT, 0, b"");
        output.drop_frames();
        let bytes = output.take(100, &mut Chance::new(5));
        assert_eq!(bytes, b"\x03\0\x01\0\0\0\x01x\xce");
    }
}
