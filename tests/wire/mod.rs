//! The broker's half of the wire, for tests with a socket: AMQP's frames as bytes by hand, and peers made of them
//! ([`peer`], [`endless`]).
//!
//! It shares no code with the crate: an encoder's fault would hide at both ends.
#![allow(dead_code, reason = "each test needs a part of it")]

pub(crate) mod endless;
pub(crate) mod peer;

pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 8;

pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(kind, channel, payload.len() as u32);
    frame.extend(payload);
    frame.push(0xce);
    frame
}

/// The beginning of a frame that says it has a payload of that size.
pub(crate) fn head(kind: u8, channel: u16, size: u32) -> Vec<u8> {
    [&[kind][..], &channel.to_be_bytes(), &size.to_be_bytes()].concat()
}

/// A method's frame: its class and number, and its arguments as they are on the wire.
pub(crate) fn method(channel: u16, (class, id): (u16, u16), arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes(), &id.to_be_bytes(), arguments].concat();
    frame(METHOD, channel, &payload)
}

/// A content header without properties.
pub(crate) fn header(channel: u16, body_size: u64) -> Vec<u8> {
    header_with(channel, body_size, b"\0\0")
}

/// A content header with these properties: their flags, and those that are set.
pub(crate) fn header_with(channel: u16, body_size: u64, properties: &[u8]) -> Vec<u8> {
    let payload = [&b"\0\x3c\0\0"[..], &body_size.to_be_bytes(), properties].concat();
    frame(HEADER, channel, &payload)
}

pub(crate) fn body(channel: u16, body: &[u8]) -> Vec<u8> {
    frame(BODY, channel, body)
}

pub(crate) fn heartbeat() -> Vec<u8> {
    frame(HEARTBEAT, 0, b"")
}

/// The same frame, with another last byte.
pub(crate) fn wrong_end(frame: &[u8]) -> Vec<u8> {
    [&frame[..frame.len() - 1], b"\xcd"].concat()
}

/// The same frame, on another channel.
pub(crate) fn on_channel(channel: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..1], &channel.to_be_bytes(), &frame[3..]].concat()
}

pub(crate) fn short(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text].concat()
}

pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

/// connection.start, of a broker of that name.
pub(crate) fn start(product: &[u8], mechanisms: &[u8], locales: &[u8]) -> Vec<u8> {
    let confirms = [short(b"publisher_confirms"), b"t\x01".to_vec()].concat();
    let properties = [
        short(b"product"),
        b"S".to_vec(),
        long(product),
        short(b"capabilities"),
        b"F".to_vec(),
        long(&confirms),
    ]
    .concat();
    start_with(&long(&properties), mechanisms, locales)
}

/// connection.start, with these bytes as the server's properties and their size.
pub(crate) fn start_with(properties: &[u8], mechanisms: &[u8], locales: &[u8]) -> Vec<u8> {
    let arguments = [b"\0\x09", properties, &long(mechanisms), &long(locales)];
    method(0, (10, 10), &arguments.concat())
}

pub(crate) fn usual_start() -> Vec<u8> {
    start(b"a peer", b"AMQPLAIN PLAIN", b"en_US")
}

pub(crate) fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> Vec<u8> {
    let arguments = [
        &channel_max.to_be_bytes()[..],
        &frame_max.to_be_bytes(),
        &heartbeat.to_be_bytes(),
    ];
    method(0, (10, 30), &arguments.concat())
}

/// 100 channels, frames of 8192 bytes, no heartbeat.
pub(crate) fn usual_tune() -> Vec<u8> {
    tune(100, 8192, 0)
}

pub(crate) fn open_ok() -> Vec<u8> {
    method(0, (10, 41), b"\0")
}

pub(crate) fn usual_login() -> [Vec<u8>; 3] {
    [usual_start(), usual_tune(), open_ok()]
}

/// channel.open-ok.
pub(crate) fn channel_open_ok(channel: u16) -> Vec<u8> {
    method(channel, (20, 11), b"\0\0\0\0")
}

/// connection.close on channel 0, channel.close on any other.
pub(crate) fn close(channel: u16, code: u16, text: &[u8]) -> Vec<u8> {
    let id = if channel == 0 { (10, 50) } else { (20, 40) };
    let arguments = [&code.to_be_bytes()[..], &short(text), b"\0\x32\0\x0a"];
    method(channel, id, &arguments.concat())
}

/// basic.deliver, without the content.
pub(crate) fn deliver(channel: u16, consumer_tag: &[u8], delivery_tag: u64) -> Vec<u8> {
    let arguments = [
        &short(consumer_tag)[..],
        &delivery_tag.to_be_bytes(),
        b"\0\0\x04work",
    ];
    method(channel, (60, 60), &arguments.concat())
}

/// [`deliver`], and a message without properties.
pub(crate) fn delivery(channel: u16, consumer_tag: &[u8], tag: u64, bytes: &[u8]) -> Vec<u8> {
    [
        deliver(channel, consumer_tag, tag),
        header(channel, bytes.len() as u64),
        body(channel, bytes),
    ]
    .concat()
}

pub(crate) fn purge_ok(channel: u16, message_count: u32) -> Vec<u8> {
    method(channel, (50, 31), &message_count.to_be_bytes())
}

/// basic.ack, or basic.nack.
pub(crate) fn confirm(id: u16, channel: u16, delivery_tag: u64, multiple: bool) -> Vec<u8> {
    let arguments = [&delivery_tag.to_be_bytes()[..], &[multiple.into()]].concat();
    method(channel, (60, id), &arguments)
}

/// A frame of the client's.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Class and number, of a method.
    pub(crate) fn id(&self) -> Option<(u16, u16)> {
        match self.payload[..] {
            [c0, c1, m0, m1, ..] if self.kind == METHOD => {
                Some((u16::from_be_bytes([c0, c1]), u16::from_be_bytes([m0, m1])))
            }
            _ => None,
        }
    }

    /// The short string at that place, and what comes after it.
    pub(crate) fn short(&self, place: usize) -> (&[u8], usize) {
        let end = place + 1 + usize::from(self.payload[place]);
        (&self.payload[place + 1..end], end)
    }

    /// The tag in a basic.consume.
    pub(crate) fn consumer_tag(&self) -> &[u8] {
        let (_, place) = self.short(6);
        self.short(place).0
    }
}
