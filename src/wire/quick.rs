//! What there is of every message, read and written without the table: the same bytes as by `frame.rs`, `method.rs` and
//! `properties.rs`, but quicker. Tests hold the two ways against each other.

use bytes::BytesMut;

use super::codec::Reader;
use super::frame::{FRAME_END, FRAME_OVERHEAD};
use super::method::{BasicDeliver, BasicPublish};

impl<'a> BasicDeliver<'a> {
    /// What [`Method::decode`] does, but quicker: most methods that come in are such ones. `None`: it is another one, or
    /// malformed.
    pub(crate) fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload.strip_prefix(&[0, 60, 0, 60])?);
        let deliver = Self {
            consumer_tag: reader.shortstr().ok()?,
            delivery_tag: reader.longlong().ok()?,
            redelivered: reader.bit().ok()?,
            exchange: reader.shortstr().ok()?,
            routing_key: reader.shortstr().ok()?,
        };
        reader.is_empty().then_some(deliver)
    }
}

/// Writes `basic.ack` as [`write_method`](super::write_method) does, but quicker: there is one for each delivery.
pub(crate) fn write_ack(out: &mut BytesMut, channel: u16, delivery_tag: u64, multiple: bool) {
    let mut frame = *b"\x01\0\0\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\0\0\xce";
    frame[1..3].copy_from_slice(&channel.to_be_bytes());
    frame[11..19].copy_from_slice(&delivery_tag.to_be_bytes());
    frame[19] = multiple.into();
    out.extend_from_slice(&frame);
}

/// Writes all frames of a message without properties, whose names are short enough and whose body fits in a frame, as
/// [`write_method`](super::write_method) and its kin do, but quicker: most messages are such ones.
pub(crate) fn write_plain_message(
    out: &mut BytesMut,
    channel: u16,
    method: &BasicPublish<'_>,
    body: &[u8],
) {
    let (exchange, routing_key) = (method.exchange, method.routing_key);
    let arguments = 9 + exchange.len() + routing_key.len();
    let body_frame = if body.is_empty() {
        0
    } else {
        FRAME_OVERHEAD + body.len()
    };
    out.reserve(FRAME_OVERHEAD + arguments + FRAME_OVERHEAD + 14 + body_frame);
    let mut head = *b"\x01\0\0\0\0\0\0\0\x3c\0\x28\0\0\0";
    head[1..3].copy_from_slice(&channel.to_be_bytes());
    head[3..7].copy_from_slice(&(arguments as u32).to_be_bytes());
    head[13] = exchange.len() as u8;
    out.extend_from_slice(&head);
    out.extend_from_slice(exchange);
    out.extend_from_slice(&[routing_key.len() as u8]);
    out.extend_from_slice(routing_key);
    // The bits and the end of the method; the header's frame; and what is in front of the body.
    let mut header = *b"\0\xce\
        \x02\0\0\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0\xce\
        \x03\0\0\0\0\0\0";
    header[0] = u8::from(method.mandatory) | u8::from(method.immediate) << 1;
    header[3..5].copy_from_slice(&channel.to_be_bytes());
    header[13..21].copy_from_slice(&(body.len() as u64).to_be_bytes());
    header[25..27].copy_from_slice(&channel.to_be_bytes());
    header[27..31].copy_from_slice(&(body.len() as u32).to_be_bytes());
    if body.is_empty() {
        out.extend_from_slice(&header[..24]);
    } else {
        out.extend_from_slice(&header);
        out.extend_from_slice(body);
        out.extend_from_slice(&[FRAME_END]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    #[test]
    fn the_quick_ways_write_the_same() {
        for multiple in [false, true] {
            let (mut one, mut two) = (BytesMut::new(), BytesMut::new());
            let delivery_tag = 0x0102_0304_0506_0708;
            write_ack(&mut one, 0x1234, delivery_tag, multiple);
            let ack = BasicAck {
                delivery_tag,
                multiple,
            };
            write_method(&mut two, 0x1234, &ack).unwrap();
            assert_eq!(one, two);
        }
        let long = "n".repeat(255);
        for (exchange, routing_key, body) in [
            ("", "", ""),
            ("", "q", "a body"),
            (long.as_str(), long.as_str(), long.as_str()),
        ] {
            for mandatory in [false, true] {
                let (mut one, mut two) = (BytesMut::new(), BytesMut::new());
                let publish = BasicPublish {
                    exchange: exchange.as_bytes(),
                    routing_key: routing_key.as_bytes(),
                    mandatory,
                    immediate: !mandatory,
                    ..Default::default()
                };
                write_plain_message(&mut one, 0x1234, &publish, body.as_bytes());
                write_method(&mut two, 0x1234, &publish).unwrap();
                let mark = begin_frame(&mut two, FRAME_HEADER, 0x1234);
                let header = ContentHeader {
                    class_id: CLASS_BASIC,
                    body_size: body.len() as u64,
                    ..Default::default()
                };
                header.encode(&mut two).unwrap();
                end_frame(&mut two, mark);
                if !body.is_empty() {
                    let mark = begin_frame(&mut two, FRAME_BODY, 0x1234);
                    two.extend_from_slice(body.as_bytes());
                    end_frame(&mut two, mark);
                }
                assert_eq!(one, two);
            }
        }
    }
}
