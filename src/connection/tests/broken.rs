//! Peers that break the protocol, sockets that go, silence, and the orderly end.

use std::time::Duration;

use super::script::{
    CONNECT, Script, channel_close, content_of, frame_of, header_of, raw_frame, server_properties,
    start, wire_declare,
};
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::{Disconnect, Error};
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::types::requests::{Consume, Get};
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicConsumeOk, BasicDeliver, BasicGetOk, BasicPublish, BasicQosOk, BasicReturn,
    ChannelCloseOk, ChannelOpen, ChannelOpenOk, ConfirmSelect, ConfirmSelectOk, ConnectionClose,
    ConnectionCloseOk, ConnectionOpenOk, ConnectionStart, ExchangeDeclareOk, FRAME_BODY,
    FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, Method, Properties, WireMethod,
};

/// A script with something of every kind under way, and all of it written.
struct Busy {
    script: Script,
    /// On channel 2.
    consumer: u64,
    /// On channel 3.
    declared: u64,
    /// On channel 4.
    got: u64,
    /// On channel 1.
    published: u64,
}

/// It allows these channels and no more, so that requests may be made to wait.
fn busy() -> Busy {
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

fn deliver(consumer_tag: &str, delivery_tag: u64) -> BasicDeliver<'_> {
    BasicDeliver {
        consumer_tag: consumer_tag.as_bytes(),
        delivery_tag,
        ..Default::default()
    }
}

/// A reply code, and the class and method that it is about.
type Close = (u16, u16, u16);

/// What is in the `connection.close` that the client has written.
fn written_close(script: &mut Script) -> Close {
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
fn a_frame_on_a_channel_that_was_closed_breaks_the_protocol() {
    let Busy {
        mut script,
        declared,
        ..
    } = busy();
    script.send(3, channel_close(404, "NOT_FOUND"));
    script.expect(3, ChannelCloseOk {});
    assert_matches!(script.result(declared), Some(Err(Error::NotFound(_))));
    script.send(3, ExchangeDeclareOk {});
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
fn a_close_by_the_broker_is_answered_and_fails_everything() {
    let Busy {
        mut script,
        consumer,
        declared,
        got,
        published,
    } = busy();
    let unsent = script.publish("", "a", "unsent");
    let close = ConnectionClose {
        reply_code: 320,
        reply_text: b"CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
        ..Default::default()
    };
    script.send(0, close);
    for promise in [consumer, declared, got] {
        assert_matches!(
            script.result(promise),
            Some(Err(Error::ConnectionForced(_)))
        );
    }
    assert_matches!(
        script.result(published),
        Some(Err(Error::OutcomeUnknown(cause))) if cause.reply_code() == Some(320)
    );
    // The broker drops what comes after its close.
    assert_matches!(
        script.result(unsent),
        Some(Err(Error::NotSent(cause))) if cause.reply_code() == Some(320)
    );
    script.expect(
        1,
        BasicPublish {
            routing_key: b"a",
            ..Default::default()
        },
    );
    script.expect_content(1, &Properties::default(), b"unsent");
    script.expect(0, ConnectionCloseOk {});
    script.expect_nothing();
    assert!(script.connection.is_over());
}

#[test]
fn a_lost_socket_tells_what_was_not_sent_from_what_may_have_arrived() {
    let Busy {
        mut script,
        consumer,
        declared,
        got,
        published,
    } = busy();
    let partly = script.publish("", "a", vec![b'x'; 100_000]);
    script.write(1000);
    let unsent = [
        script.publish("", "a", "b"),
        script.publish("", "a", vec![b'x'; 100_000]),
    ];
    let waiting = script.request(Request::Get(Get::new("waits")));
    script.disconnect(Disconnect::Eof);
    for promise in [consumer, declared, got, waiting] {
        assert_matches!(
            script.result(promise),
            Some(Err(Error::ConnectionBroken(Disconnect::Eof)))
        );
    }
    for promise in [published, partly] {
        assert_matches!(
            script.result(promise),
            Some(Err(Error::OutcomeUnknown(cause))) if cause.is_connection_broken()
        );
    }
    for promise in unsent {
        assert_matches!(
            script.result(promise),
            Some(Err(Error::NotSent(cause))) if cause.is_connection_broken()
        );
    }
    assert!(script.connection.is_over());
    assert_matches!(
        script.connection.take_end(),
        Some(Error::ConnectionBroken(_))
    );
    // A second time changes nothing.
    script.disconnect(Disconnect::Eof);
}

#[test]
fn a_socket_lost_before_the_opening_fails_connect_and_all_that_waits() {
    let mut script = Script::new(ClientOptions::new());
    let declared = script.declare("a");
    let published = script.publish("", "a", "b");
    script.disconnect(Disconnect::Eof);
    for promise in [super::script::CONNECT, declared] {
        assert_matches!(
            script.result(promise),
            Some(Err(Error::ConnectionBroken(_)))
        );
    }
    assert_matches!(script.result(published), Some(Err(Error::NotSent(_))));
}

#[test]
fn what_is_not_sent_when_the_peer_breaks_the_protocol_is_not_sent_after_all() {
    let Busy { mut script, .. } = busy();
    let unsent = script.publish("", "a", "b");
    script.send(3, ExchangeDeclareOk {});
    assert_matches!(script.result(unsent), Some(Err(Error::NotSent(_))));
    assert_eq!(written_close(&mut script).0, 503);
    script.expect_nothing();
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_heartbeat_is_sent_at_half_the_interval() {
    let mut script = Script::connected_with(ClientOptions::new().heartbeat(10));
    assert_eq!(
        script.connection.poll_timeout(),
        Some(script.now + 5 * SECOND)
    );
    script.pass(4 * SECOND);
    script.expect_nothing();
    script.pass(SECOND);
    script.expect_bytes(b"\x08\0\0\0\0\0\0\xce");
    script.expect_nothing();
    // Whatever else is written does as well.
    script.pass(3 * SECOND);
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    assert_eq!(
        script.connection.poll_timeout(),
        Some(script.now + 5 * SECOND)
    );
    script.pass(4 * SECOND);
    script.expect_nothing();
}

#[test]
fn two_intervals_of_silence_are_the_end() {
    let mut script = Script::connected_with(ClientOptions::new().heartbeat(10));
    let declared = script.declare("a");
    script.pass(19 * SECOND);
    script.send_bytes(&raw_frame(FRAME_HEARTBEAT, 0, b""));
    script.pass(19 * SECOND);
    assert_matches!(script.result(declared), None);
    script.pass(SECOND);
    assert_matches!(
        script.result(declared),
        Some(Err(Error::ConnectionBroken(Disconnect::BrokerSilent(silence)))) if silence == 20 * SECOND
    );
    assert!(script.connection.is_over());
    assert_eq!(script.connection.poll_timeout(), None);
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let mut script = Script::connected_with(ClientOptions::new().heartbeat(10));
    for byte in [3, 0, 2, 0, 0, 0] {
        script.pass(19 * SECOND);
        script.send_bytes(&[byte]);
    }
    assert!(script.connection.is_open());
}

#[test]
fn close_succeeds_and_everything_else_is_closed() {
    let Busy {
        mut script,
        consumer,
        declared,
        got,
        published,
    } = busy();
    let close = script.close();
    let bye = ConnectionClose {
        reply_code: 200,
        reply_text: b"Goodbye",
        ..Default::default()
    };
    script.expect(0, bye);
    script.expect_nothing();
    assert!(!script.connection.is_open());
    let late = script.declare("late");
    let too_late = script.publish("", "a", "too late");
    let again = script.close();
    let of_consumer = script.promise();
    script
        .connection
        .recover(PromiseNumber(of_consumer), PromiseNumber(consumer));
    let late_calls = [
        of_consumer,
        script.cancel(consumer),
        script.qos(consumer, 3),
    ];
    for promise in late_calls {
        assert_matches!(script.result(promise), Some(Err(Error::Closed)));
    }
    script.expect_nothing();
    // Only the answer counts now.
    script.deliver(2, "2.0.", 1, "late");
    script.deliver(77, "nobody", 1, "late");
    script.send(3, channel_close(404, "NOT_FOUND"));
    script.send(0, ChannelOpenOk::default());
    script.expect_nothing();
    for close in [close, again] {
        assert_matches!(script.result(close), None);
    }
    script.send(0, ConnectionCloseOk {});
    for close in [close, again] {
        assert_matches!(script.result(close), Some(Ok(Outcome::Done)));
    }
    for promise in [consumer, declared, got, late] {
        assert_matches!(script.result(promise), Some(Err(Error::Closed)));
    }
    assert_eq!(script.deliveries(consumer).len(), 0);
    assert_matches!(
        script.result(too_late),
        Some(Err(Error::NotSent(cause))) if matches!(*cause, Error::Closed)
    );
    assert_eq!(script.connection.buffered(), 0);
    assert_matches!(
        script.result(published),
        Some(Err(Error::OutcomeUnknown(cause))) if matches!(*cause, Error::Closed)
    );
    assert!(script.connection.is_over());
    assert_matches!(script.connection.take_end(), Some(Error::Closed));
    script.expect_nothing();
    // And nothing new is taken.
    let after = [
        script.declare("after"),
        script.consume(Consume::new("after")),
        script.close(),
    ];
    for promise in after {
        assert_matches!(script.result(promise), Some(Err(Error::Closed)));
    }
}

#[test]
fn a_delivery_cannot_be_settled_once_the_client_closes() {
    let Busy {
        mut script,
        consumer,
        ..
    } = busy();
    script.deliver(2, "2.0.", 1, "a");
    let delivery = script.deliveries(consumer).remove(0);
    script.close();
    script.frame();
    assert_matches!(script.ack(&delivery), Err(Error::StaleDelivery(1)));
    script.send(0, ConnectionCloseOk {});
    assert_matches!(script.ack(&delivery), Err(Error::StaleDelivery(1)));
    script.expect_nothing();
}

#[test]
fn a_socket_lost_before_the_close_ok_fails_the_close() {
    let mut script = Script::connected();
    let close = script.close();
    script.write(usize::MAX);
    script.disconnect(Disconnect::Eof);
    assert_matches!(script.result(close), Some(Err(Error::ConnectionBroken(_))));
}

#[test]
fn what_was_published_before_close_goes_out_before_it() {
    let mut script = Script::connected();
    script.publish("", "a", "b");
    script.close();
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
    script.expect(
        1,
        BasicPublish {
            routing_key: b"a",
            ..Default::default()
        },
    );
    script.expect_content(1, &Properties::default(), b"b");
    let bye = ConnectionClose {
        reply_code: 200,
        reply_text: b"Goodbye",
        ..Default::default()
    };
    script.expect(0, bye);
}

#[test]
fn a_publish_after_the_end_holds_nothing() {
    let mut script = Script::connected();
    script.disconnect(Disconnect::Eof);
    let published = script.publish("", "a", "hello");
    assert_matches!(script.result(published), Some(Err(_)));
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn a_publish_to_be_sent_again_counts_as_unsent_until_its_first_byte_goes_out() {
    let mut script = Script::connected();
    script.publish("bad", "r", "1");
    let header = "v".repeat(5000);
    let again = script.publish("", "a", Message::new("2").header("k", header));
    script.write(usize::MAX);
    script.send(
        1,
        channel_close(404, "NOT_FOUND - no exchange 'bad' in vhost '/'"),
    );
    // channel.close-ok, channel.open and confirm.select, and nothing after.
    script.write(12 + 13 + 13);
    script.disconnect(Disconnect::Eof);
    assert_matches!(script.result(again), Some(Err(Error::NotSent(_))));
}

#[test]
fn a_publish_sent_in_part_is_written_to_its_end_before_the_close() {
    for taken in [1, 30, 60, 1000, 40_000] {
        let Busy {
            mut script,
            published,
            ..
        } = busy();
        let partly = script.publish("", "a", vec![b'x'; 50_000]);
        script.write(taken);
        let unsent = [
            script.publish("", "a", "b"),
            script.publish("", "a", vec![b'x'; 50_000]),
        ];
        script.send(3, ExchangeDeclareOk {});
        script.expect(
            1,
            BasicPublish {
                routing_key: b"a",
                ..Default::default()
            },
        );
        script.expect_content(1, &Properties::default(), &[b'x'; 50_000]);
        assert_eq!(written_close(&mut script), (503, 40, 11));
        script.expect_nothing();
        for promise in [published, partly] {
            assert_matches!(script.result(promise), Some(Err(Error::OutcomeUnknown(_))));
        }
        for promise in unsent {
            assert_matches!(script.result(promise), Some(Err(Error::NotSent(_))));
        }
        assert_eq!(script.connection.buffered(), 0);
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
