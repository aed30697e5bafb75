//! What the fuzzers of `tests/fuzz` call, and a test that calls it with all that they have found: bytes from anywhere
//! must neither panic nor break what the functions here say of them.
//!
//! It is compiled for those two only. The core's part is in `fuzzing/session.rs`.

mod session;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

use crate::connection::rig::read_in_pieces;
use crate::types::url::AmqpUrl;
use crate::wire::{
    Arena, BasicDeliver, ContentHeader, FieldTable, FieldValue, FrameError, Method, OwnedFrame,
    WireMethod, check_table, split_frame,
};
use session::Session;

/// The largest frame of [`frames`]: large enough for bodies that are read past the buffer.
const FRAME_MAX: usize = 32 * 1024;

/// Reads the bytes of an input as choices; zeros when they are used up.
struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *first
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// As many of the next bytes as there are.
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        bytes
    }
}

/// Cuts bytes in pieces, small and large, as `choice` has it.
fn cut(mut bytes: &[u8], choice: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(choice);
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let most = [1, 8, 100, 5_000, 70_000][usize::from(choice) % 5];
        let size = 1 + (state >> 8) as usize % most;
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}

/// However the bytes are cut, the same frames come out of them, up to the same error.
pub fn frames(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let mut whole = BytesMut::from(bytes);
    let mut expected = Vec::new();
    let end: Option<FrameError> = loop {
        match split_frame(&mut whole, FRAME_MAX) {
            Ok(Some(frame)) => expected.push(normal(frame)),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    for quick in [false, true] {
        let (found, error) = read_in_pieces(cut(bytes, choice), FRAME_MAX, quick);
        let found: Vec<OwnedFrame> = found.into_iter().map(normal).collect();
        assert!(found == expected, "other frames, cut by {choice}");
        assert_eq!(error, end, "cut by {choice}");
    }
}

/// The quick way of a plain delivery keeps less of its first two frames: so much of each frame.
fn normal(mut frame: OwnedFrame) -> OwnedFrame {
    if let Some(deliver) = BasicDeliver::decode(&frame.payload) {
        frame.payload = encoded(&deliver);
    } else if let Some(size) = ContentHeader::plain(&frame.payload) {
        frame.payload = Bytes::copy_from_slice(&size.to_be_bytes());
    }
    frame
}

fn encoded(method: &impl WireMethod) -> Bytes {
    let mut out = BytesMut::new();
    method
        .encode(&mut out)
        .expect("what was read can be written");
    out.freeze()
}

/// A method, or a content header, that can be read can be written, and is the same when it is read again; and the quick
/// ways find what the others find.
pub fn methods(data: &[u8]) {
    let method = Method::decode(data);
    if let Ok(method) = &method {
        let again = encoded(method);
        assert_eq!(Method::decode(&again).as_ref(), Ok(method));
    }
    let delivery = match method {
        Ok(Method::BasicDeliver(deliver)) => Some(deliver),
        _ => None,
    };
    assert_eq!(BasicDeliver::decode(data), delivery);

    let mut arena = Arena::default();
    let header = ContentHeader::decode(data, &mut arena);
    if let Some(size) = ContentHeader::plain(data) {
        let header = header.as_ref().expect("it was read the quick way");
        assert!(header.body_size == size && header.properties.is_empty());
    }
    if let Ok(header) = header {
        let mut out = BytesMut::new();
        header
            .encode(&mut out)
            .expect("what was read can be written");
        let again = ContentHeader::decode(&out, &mut arena);
        assert_eq!(again.as_ref(), Ok(&header));
        let _ = format!("{header:?}");
    }
}

/// A table, whatever it is, takes another entry and gives it back, without another change. One that is well-formed gives all
/// its values, and each can be written and read again.
pub fn field_table(data: &[u8]) {
    let table = FieldTable::from_wire(Bytes::copy_from_slice(data));
    let _ = format!("{table} {table:?}");
    assert_eq!(table.is_empty(), data.is_empty());
    let mut more = table.clone().with("puka", 1);
    assert_eq!(more.get("puka"), Some(FieldValue::I32(1)));
    assert!(more.remove("puka") && (more == table || table.contains("puka")));
    if check_table(data).is_err() {
        return;
    }
    assert_eq!(table.iter().count(), table.len());
    for (name, value) in table.iter() {
        let is_finite = FieldTable::new()
            .with("n", value.clone())
            .check_encodable()
            .is_ok();
        // What is not UTF-8 was replaced, and may be longer for that.
        if name.len() <= 255 && is_finite {
            assert_same(&FieldTable::new().with(&name, value));
        }
        if table.get(&name).is_some() {
            let mut others = table.clone();
            assert!(others.remove(&name));
            assert!(others.len() < table.len() && !others.contains(&name));
        }
    }
}

/// A table of one entry, written and read; by its bytes, since no NaN equals another.
fn assert_same(table: &FieldTable) {
    assert_eq!(table.check_encodable(), Ok(()));
    assert_eq!(check_table(table.encoded()), Ok(()));
    let read = FieldTable::from_wire(Bytes::copy_from_slice(table.encoded()));
    let entries: Vec<(_, FieldValue)> = read.iter().collect();
    let again: FieldTable = entries.into_iter().collect();
    assert_eq!(again.encoded(), table.encoded());
}

/// A connection from its first byte on. It ends as the peer has it, without a promise left open; and if the peer has
/// kept to the rules it does not matter how its bytes were cut.
pub fn connection(data: &[u8]) {
    let Some((&[options, choice], bytes)) = data.split_first_chunk() else {
        return;
    };
    let [mut whole, mut cut_up] = [(); 2].map(|()| Session::new(options));
    for session in [&mut whole, &mut cut_up] {
        session.log = Some(Vec::new());
        session.is_honest = false;
        session.ask();
    }
    whole.feed(bytes);
    for piece in cut(bytes, choice) {
        cut_up.feed(piece);
    }
    whole.finish();
    cut_up.finish();
    if !whole.is_broken_off && !cut_up.is_broken_off {
        assert_eq!(whole.log, cut_up.log);
    }
}

/// A connection that is open, with calls, publishes, consumers and a get under way. The bytes are what happens next: what
/// the broker says, rightly or wrongly, what the program asks for, how much the socket takes, and the time. As long as the
/// broker does nothing wrong, the connection is not broken off, and in the end nothing is left that nothing comes of.
pub fn open_connection(data: &[u8]) {
    let mut choices = Choices { rest: data };
    let mut session = Session::new(choices.byte());
    session.connect();
    session.ask();
    session.play(&mut choices);
    session.settle_down();
    session.finish();
}

/// In place of a password.
const SECRET: &str = "Ses4me";

/// No text is too strange for a URL, and no error or `Debug` shows a password. Bytes of 1 stand for a secret.
pub fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace('\x01', SECRET);
    match AmqpUrl::parse(&text) {
        Err(error) => assert!(!error.contains(SECRET), "{error}"),
        Ok(url) => {
            let shown = format!("{url:?} {url:#?}");
            let others = [&url.host, &url.username, &url.vhost];
            if !others.iter().any(|part| part.contains(SECRET)) {
                assert!(!shown.contains(SECRET), "{shown}");
            }
            assert!(!url.host.is_empty() && url.port > 0);
            assert!(url.username.len() <= 255 && url.vhost.len() <= 255);
        }
    }
}
