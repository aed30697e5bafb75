//! Peers that break the protocol, sockets that go, silence, and the orderly end.

use super::frames::{content_of, frame_of, header_of, raw_frame, server_properties, start};
use super::script::{CONNECT, Script};
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, Get};
use crate::wire::{
    BasicAck, BasicConsumeOk, BasicDeliver, BasicGetOk, BasicQosOk, BasicReturn, ChannelOpen,
    ChannelOpenOk, ConfirmSelectOk, ConnectionCloseOk, ConnectionOpenOk, ConnectionStart,
    ExchangeDeclareOk, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, Method, Properties, WireMethod,
};

/// A script with something of every kind under way, and all of it written.
pub(super) struct Busy {
    pub(super) script: Script,
    /// On channel 2.
    pub(super) consumer: u64,
    /// On channel 3.
    pub(super) declared: u64,
    /// On channel 4.
    pub(super) got: u64,
    /// On channel 1.
    pub(super) published: u64,
}

/// It allows these channels and no more, so that requests may be made to wait.
pub(super) fn busy() -> Busy {
    let mut script = Script::connected_with(ClientOptions::new().channel_max(4));
    let busy = Busy {
        consumer: script.consume(Consume::new("work")),
        declared: script.declare("a"),
        got: script.request(Request::Get(Get::new("work"))),
        published: script.publish("", "a", "hello"),
        script,
    };
    let Busy { mut script, .. } = busy;
    for channel in [2, 3, 4, 1] {
        script.send(channel, ChannelOpenOk::default());
    }
    script.send(1, ConfirmSelectOk {});
    script.send(2, BasicQosOk {});
    script.send(
        2,
        BasicConsumeOk {
            consumer_tag: b"2.0.",
        },
    );
    // Three frames for the consumer, two for each of the others, five for the publish.
    for _ in 0..12 {
        script.frame();
    }
    script.expect_nothing();
    Busy { script, ..busy }
}

fn bytes_of<M: WireMethod>(channel: u16, method: M) -> Vec<u8> {
    frame_of(channel, &method).to_vec()
}

pub(super) fn deliver(consumer_tag: &str, delivery_tag: u64) -> BasicDeliver<'_> {
    BasicDeliver {
        consumer_tag: consumer_tag.as_bytes(),
        delivery_tag,
        ..Default::default()
    }
}

/// A reply code, and the class and method that it is about.
type Close = (u16, u16, u16);

/// What is in the `connection.close` that the client has written.
pub(super) fn written_close(script: &mut Script) -> Close {
    let frame = script.frame();
    assert_eq!((frame.kind, frame.channel), (FRAME_METHOD, 0));
    match Method::decode(&frame.payload) {
        Ok(Method::ConnectionClose(close)) => (close.reply_code, close.class_id, close.method_id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_that_breaks_the_protocol_ends_the_connection() {
    let none = Properties::default();
    let message = |channel, pieces: &[&[u8]]| {
        content_of(channel, &deliver("2.0.", 1), &none, pieces).to_vec()
    };
    let header = |channel, size| header_of(channel, &none, size).to_vec();
    let body = |channel, body: &[u8]| raw_frame(FRAME_BODY, channel, body).to_vec();
    let mut bad_end = bytes_of(3, ExchangeDeclareOk {});
    *bad_end.last_mut().unwrap() = 0xCD;
    let cases: Vec<(&str, Vec<u8>, Close)> = vec![
        (
            "an unknown method",
            raw_frame(FRAME_METHOD, 3, b"\0\x32\0\x3c").to_vec(),
            (540, 0, 0),
        ),
        (
            "an unknown method on channel 0",
            raw_frame(FRAME_METHOD, 0, b"\0\x0a\0\x63").to_vec(),
            (540, 0, 0),
        ),
        (
            "half a method",
            raw_frame(FRAME_METHOD, 3, b"\0\x32\0\x0b\x05").to_vec(),
            (502, 0, 0),
        ),
        (
            "too much of a method",
            raw_frame(FRAME_METHOD, 3, b"\0\x32\0\x15?").to_vec(),
            (502, 0, 0),
        ),
        (
            "a method on a channel never opened",
            bytes_of(5, ExchangeDeclareOk {}),
            (504, 40, 11),
        ),
        (
            "a method on the last channel",
            bytes_of(u16::MAX, ExchangeDeclareOk {}),
            (504, 40, 11),
        ),
        (
            "content on a channel never opened",
            header(5, 1),
            (504, 0, 0),
        ),
        ("a header on channel 0", header(0, 1), (501, 0, 0)),
        ("a body on channel 0", body(0, b"x"), (501, 0, 0)),
        ("a header of nothing", header(2, 1), (505, 0, 0)),
        ("a body of nothing", body(2, b"x"), (505, 0, 0)),
        (
            "a body before its header",
            [bytes_of(2, deliver("2.0.", 1)), body(2, b"x")].concat(),
            (505, 0, 0),
        ),
        (
            "a second header",
            [bytes_of(2, deliver("2.0.", 1)), header(2, 1), header(2, 1)].concat(),
            (505, 0, 0),
        ),
        (
            "a body longer than announced",
            [
                bytes_of(2, deliver("2.0.", 1)),
                header(2, 3),
                body(2, b"ab"),
                body(2, b"cd"),
            ]
            .concat(),
            (505, 0, 0),
        ),
        (
            "a body after the last one",
            [message(2, &[b"ab"]), body(2, b"c")].concat(),
            (505, 0, 0),
        ),
        (
            "a method in the midst of a message",
            [
                bytes_of(2, deliver("2.0.", 1)),
                bytes_of(2, deliver("2.0.", 2)),
            ]
            .concat(),
            (505, 60, 60),
        ),
        (
            "a header that cannot be read",
            [
                bytes_of(2, deliver("2.0.", 1)),
                raw_frame(FRAME_HEADER, 2, b"\0\x3c").to_vec(),
            ]
            .concat(),
            (502, 0, 0),
        ),
        ("a bad frame end", bad_end, (501, 0, 0)),
        (
            "a frame too large",
            b"\x03\0\x02\x00\x01\xff\xf9".to_vec(),
            (501, 0, 0),
        ),
        (
            "a frame of no known type",
            raw_frame(4, 2, b"").to_vec(),
            (501, 0, 0),
        ),
        (
            "a delivery for an unknown tag",
            content_of(2, &deliver("2.1.", 1), &none, &[]).to_vec(),
            (503, 0, 0),
        ),
        (
            "a delivery for another's tag",
            content_of(2, &deliver("3.0.", 1), &none, &[]).to_vec(),
            (503, 0, 0),
        ),
        (
            "a delivery for an odd tag",
            content_of(2, &deliver("amq.ctag", 1), &none, &[]).to_vec(),
            (503, 0, 0),
        ),
        (
            "a delivery where nobody consumes",
            content_of(3, &deliver("2.0.", 1), &none, &[]).to_vec(),
            (503, 0, 0),
        ),
        (
            "a delivery on the publisher's channel",
            bytes_of(1, deliver("2.0.", 1)),
            (503, 60, 60),
        ),
        (
            "a delivery tag twice",
            [message(2, &[]), message(2, &[])].concat(),
            (503, 0, 0),
        ),
        (
            "a get-ok unasked",
            bytes_of(3, BasicGetOk::default()),
            (503, 60, 71),
        ),
        (
            "a return elsewhere",
            bytes_of(3, BasicReturn::default()),
            (503, 60, 50),
        ),
        (
            "a confirm elsewhere",
            bytes_of(
                3,
                BasicAck {
                    delivery_tag: 1,
                    multiple: false,
                },
            ),
            (503, 60, 80),
        ),
        (
            "another's reply",
            bytes_of(3, ExchangeDeclareOk {}),
            (503, 40, 11),
        ),
        (
            "a second channel.open-ok",
            bytes_of(3, ChannelOpenOk::default()),
            (503, 20, 11),
        ),
        (
            "a second connection.open-ok",
            bytes_of(0, ConnectionOpenOk::default()),
            (503, 10, 41),
        ),
        (
            "a method of a channel on channel 0",
            bytes_of(0, ChannelOpenOk::default()),
            (503, 20, 11),
        ),
        (
            "a method of a client",
            bytes_of(3, ChannelOpen::default()),
            (503, 20, 10),
        ),
        (
            "a close-ok unasked",
            bytes_of(0, ConnectionCloseOk {}),
            (503, 10, 51),
        ),
    ];
    for (what, bytes, close) in cases {
        let Busy {
            mut script,
            consumer,
            declared,
            got,
            published,
        } = busy();
        let waiting = script.request(Request::Get(Get::new("waits")));
        script.send_bytes(&bytes);
        assert_eq!(written_close(&mut script), close, "{what}");
        script.expect_nothing();
        for promise in [consumer, declared, got, waiting] {
            assert_matches!(
                script.result(promise),
                Some(Err(error)) if error.reply_code() == Some(close.0)
                    && error.reply().is_some_and(|reply| !reply.from_broker)
            );
        }
        assert_matches!(
            script.result(published),
            Some(Err(Error::OutcomeUnknown(cause))) if cause.reply_code() == Some(close.0)
        );
        assert!(script.connection.is_over(), "{what}");
        assert_matches!(script.connection.take_end(), Some(error) if error.reply_code() == Some(close.0));
        // Whatever else comes is nobody's.
        script.send(0, ConnectionCloseOk {});
        script.send_bytes(&bytes);
        script.expect_nothing();
    }
}

#[test]
fn a_frame_on_a_channel_that_was_never_opened_breaks_the_protocol() {
    let Busy { mut script, .. } = busy();
    script.send(77, ExchangeDeclareOk {});
    assert_eq!(written_close(&mut script), (504, 40, 11));
}

#[test]
fn a_frame_of_the_largest_size_is_fine_and_one_byte_more_is_not() {
    for (payload, fine) in [(4088, true), (4089, false)] {
        let mut script = Script::connected_with(ClientOptions::new().frame_max(4096));
        let consumer = script.consume(Consume::new("work"));
        script.write(usize::MAX);
        script.send(2, ChannelOpenOk::default());
        script.send(2, deliver("2.0.", 1));
        script.send_bytes(&header_of(2, &Properties::default(), payload));
        script.send_bytes(&raw_frame(FRAME_BODY, 2, &vec![b'x'; payload]));
        assert_eq!(script.deliveries(consumer).len(), usize::from(fine));
        assert_eq!(script.connection.is_over(), !fine);
    }
}

#[test]
fn a_content_header_of_another_class_breaks_the_protocol() {
    // With and without properties: they are read in two ways.
    for flags in [[0, 0], [0x80, 0]] {
        let mut script = Script::connected();
        let got = script.request(Request::Get(Get::new("work")));
        script.methods();
        script.send(2, ChannelOpenOk::default());
        let text: &[u8] = if flags[0] == 0 { b"" } else { b"\x04text" };
        let header = [&b"\0\x3d\0\0\0\0\0\0\0\0\0\x01"[..], &flags, text].concat();
        let mut bytes = frame_of(2, &BasicGetOk::default());
        bytes.extend_from_slice(&raw_frame(FRAME_HEADER, 2, &header));
        script.send_bytes(&bytes);
        assert_eq!(written_close(&mut script).0, 501);
        assert_matches!(script.result(got), Some(Err(Error::FrameError(_))));
    }
}

#[test]
fn a_server_of_another_version_is_told_apart() {
    let mut script = Script::new(ClientOptions::new());
    let properties = server_properties("0.1");
    let start = ConnectionStart {
        version_major: 8,
        version_minor: 0,
        ..start(&properties)
    };
    script.send(0, start);
    assert_matches!(
        script.result(CONNECT),
        Some(Err(Error::UnsupportedProtocol(text))) if text.contains("AMQP 8-0")
    );
}
