//! Frames and methods, as a broker has them.

use bytes::{Bytes, BytesMut};

use crate::wire::{
    self, ConnectionStart, ConnectionTune, ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_METHOD,
    FieldTable, Method, OwnedFrame, Properties, WireMethod, begin_frame, end_frame, write_method,
};

/// What RabbitMQ proposes.
pub(super) const TUNE: ConnectionTune = ConnectionTune {
    channel_max: 2047,
    frame_max: 131_072,
    heartbeat: 60,
};

pub(super) fn server_properties(version: &str) -> FieldTable {
    FieldTable::new()
        .with(
            "capabilities",
            FieldTable::new()
                .with("publisher_confirms", true)
                .with("basic.nack", true),
        )
        .with("product", "RabbitMQ")
        .with("version", version)
}

pub(super) fn start(server_properties: &FieldTable) -> ConnectionStart<'_> {
    ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: server_properties.encoded(),
        mechanisms: b"AMQPLAIN PLAIN",
        locales: b"en_US",
    }
}

/// A method's frame.
pub(super) fn frame_of<M: WireMethod>(channel: u16, method: &M) -> BytesMut {
    let mut out = BytesMut::new();
    write_method(&mut out, channel, method).unwrap();
    out
}

/// A frame of any kind.
pub(super) fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let mark = begin_frame(&mut out, kind, channel);
    out.extend_from_slice(payload);
    end_frame(&mut out, mark);
    out
}

/// A content header's frame.
pub(super) fn header_of(channel: u16, properties: &Properties, body_size: usize) -> BytesMut {
    let header = ContentHeader {
        class_id: 60,
        body_size: body_size as u64,
        properties: properties.clone(),
    };
    let mut payload = BytesMut::new();
    header.encode(&mut payload).unwrap();
    raw_frame(FRAME_HEADER, channel, &payload)
}

/// A method's frame, and those of its message, whose body comes in these pieces.
pub(super) fn content_of<M: WireMethod>(
    channel: u16,
    method: &M,
    properties: &Properties,
    pieces: &[&[u8]],
) -> BytesMut {
    let mut out = frame_of(channel, method);
    let size = pieces.iter().map(|piece| piece.len()).sum();
    out.extend_from_slice(&header_of(channel, properties, size));
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        out.extend_from_slice(&raw_frame(FRAME_BODY, channel, piece));
    }
    out
}

/// `channel.close`, as the broker says it.
pub(super) fn channel_close(code: u16, text: &str) -> wire::ChannelClose<'_> {
    wire::ChannelClose {
        reply_code: code,
        reply_text: text.as_bytes(),
        ..Default::default()
    }
}

/// `queue.declare` of a name and nothing else.
pub(super) fn wire_declare(queue: &str) -> wire::QueueDeclare<'_> {
    wire::QueueDeclare {
        queue: queue.as_bytes(),
        ..Default::default()
    }
}

pub(super) fn wire_declare_ok(queue: &str) -> wire::QueueDeclareOk<'_> {
    wire::QueueDeclareOk {
        queue: queue.as_bytes(),
        ..Default::default()
    }
}

pub(super) fn shown(frame: &OwnedFrame) -> String {
    let OwnedFrame {
        kind,
        channel,
        payload,
    } = frame;
    match Method::decode(payload) {
        Ok(method) if *kind == FRAME_METHOD => format!("{channel}: {method:?}"),
        _ => format!("{channel}: a frame of type {kind}, {}", start_of(payload)),
    }
}

pub(super) fn start_of(payload: &Bytes) -> String {
    payload[..payload.len().min(64)].escape_ascii().to_string()
}
