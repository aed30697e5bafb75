//! However the socket cuts the broker's bytes, they come to the same.

use proptest::collection::vec;
use proptest::prelude::*;

use super::frames::{
    TUNE, channel_close, content_of, frame_of, raw_frame, server_properties, start, wire_declare_ok,
};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::rig::read_in_pieces;
use crate::types::message::Message;
use crate::types::requests::Consume;
use crate::wire::{
    BasicAck, BasicConsumeOk, BasicDeliver, BasicQosOk, BasicReturn, ChannelOpenOk,
    ConfirmSelectOk, ConnectionClose, ConnectionOpenOk, ConnectionTune, FRAME_HEARTBEAT,
    FieldValue, OwnedFrame, Properties,
};

/// The promises of [`client`], in their order.
const DECLARE: u64 = 2;
const CONSUME: u64 = 3;
const REFUSED: u64 = 4;
const RETURNED: u64 = 6;

/// All that the user asks for, before the broker has said a word.
fn client() -> Script {
    let mut script = Script::new(ClientOptions::new());
    assert_eq!(script.declare("a"), DECLARE);
    assert_eq!(script.consume(Consume::new("work")), CONSUME);
    assert_eq!(script.declare("refused"), REFUSED);
    script.publish("", "a", "one");
    assert_eq!(
        script.publish("", "nowhere", Message::new("two").mandatory(true)),
        RETURNED
    );
    script
}

/// All that the broker says.
fn session() -> Vec<u8> {
    let properties = server_properties("3.13.7");
    let mut headers = Properties::default();
    headers.headers.insert("k", "v");
    let deliver = BasicDeliver {
        consumer_tag: b"3.0.",
        delivery_tag: 1,
        redelivered: false,
        exchange: b"logs",
        routing_key: b"info",
    };
    let returned = BasicReturn {
        reply_code: 312,
        reply_text: b"NO_ROUTE",
        exchange: b"",
        routing_key: b"nowhere",
    };
    let mut mark = Properties::default();
    mark.headers.insert(
        "x-puka-delivery-tag",
        FieldValue::I64(RETURNED.cast_signed()),
    );
    let close = ConnectionClose {
        reply_code: 320,
        reply_text: b"bye",
        ..Default::default()
    };
    [
        frame_of(0, &start(&properties)),
        frame_of(0, &TUNE),
        frame_of(0, &ConnectionOpenOk::default()),
        frame_of(2, &ChannelOpenOk::default()),
        frame_of(2, &wire_declare_ok("a")),
        frame_of(3, &ChannelOpenOk::default()),
        frame_of(3, &BasicQosOk {}),
        content_of(
            3,
            &deliver,
            &headers,
            &[b"a body", b" in", b"", b" three pieces"],
        ),
        frame_of(
            3,
            &BasicConsumeOk {
                consumer_tag: b"3.0.",
            },
        ),
        raw_frame(FRAME_HEARTBEAT, 0, b""),
        frame_of(1, &ChannelOpenOk::default()),
        frame_of(1, &ConfirmSelectOk {}),
        frame_of(
            1,
            &BasicAck {
                delivery_tag: 1,
                multiple: false,
            },
        ),
        content_of(1, &returned, &mark, &[b"two"]),
        frame_of(
            1,
            &BasicAck {
                delivery_tag: 2,
                multiple: false,
            },
        ),
        frame_of(4, &ChannelOpenOk::default()),
        frame_of(4, &channel_close(404, "NOT_FOUND - no queue 'refused'")),
        content_of(
            3,
            &BasicDeliver {
                delivery_tag: 2,
                ..deliver
            },
            &headers,
            &[],
        ),
        frame_of(0, &close),
    ]
    .concat()
}

/// What the user sees, and what the broker gets, when the bytes come in these pieces.
fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Vec<u8>) {
    let mut script = client();
    for piece in pieces {
        script.send_bytes(piece);
        script.write(usize::MAX);
    }
    assert!(script.connection.is_over());
    (script.events, script.output.to_vec())
}

#[test]
fn a_session_comes_to_the_same_wherever_it_is_cut() {
    let session = session();
    let whole = run([&session[..]]);
    let events = &whole.0;
    // Connected, declared, two deliveries, an ack, a return, an error, and the end of the consumer.
    assert_eq!(events.len(), 8, "{events:#?}");
    assert!(
        events[2].contains("a body in three pieces"),
        "{}",
        events[2]
    );

    assert_eq!(run(session.chunks(1)), whole, "byte by byte");
    for size in [2, 3, 7, 64, 255] {
        assert_eq!(run(session.chunks(size)), whole, "{size} bytes at a time");
    }
    for cut in 1..session.len() {
        let (first, second) = session.split_at(cut);
        assert_eq!(run([first, second]), whole, "cut at {cut}");
    }
}

#[test]
fn a_session_that_ends_anywhere_leaves_no_promise_open() {
    let session = session();
    for cut in 0..session.len() {
        let mut script = client();
        script.send_bytes(&session[..cut]);
        script.write(usize::MAX);
        script.disconnect(crate::types::error::Disconnect::Eof);
        for promise in 1..=RETURNED {
            assert!(
                script.result(promise).is_some(),
                "promise {promise}, cut at {cut}"
            );
        }
    }
}

/// Bytes that tell where they belong.
fn pattern(tag: u64, size: usize) -> Vec<u8> {
    (0..size)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8 ^ tag as u8)
        .collect()
}

#[test]
fn bodies_large_and_small_come_whole_however_they_are_cut() {
    const SIZES: [usize; 12] = [
        3, 0, 9_000, 70_000, 262_149, 16, 4_096, 8_192, 131_064, 131_065, 300_000, 1,
    ];
    let mut properties = Properties::default();
    properties.set_content_type("text/plain");
    let mut session = Vec::new();
    for (tag, size) in (1..).zip(SIZES) {
        let deliver = BasicDeliver {
            consumer_tag: b"2.0.",
            delivery_tag: tag,
            ..Default::default()
        };
        let body = pattern(tag, size);
        let pieces: Vec<&[u8]> = body.chunks(131_064).collect();
        let properties = if tag % 3 == 0 {
            &properties
        } else {
            &Properties::default()
        };
        session.extend(content_of(2, &deliver, properties, &pieces));
    }
    for size in [5, 1_000, 4_097, 16_384, 65_536, 131_072, session.len()] {
        let mut script = Script::connected();
        let consumer = script.consume(Consume::new("work").prefetch_count(100));
        script.send(2, ChannelOpenOk::default());
        script.send(2, BasicQosOk {});
        script.send(
            2,
            BasicConsumeOk {
                consumer_tag: b"2.0.",
            },
        );
        for piece in session.chunks(size) {
            script.send_bytes(piece);
            assert!(!script.connection.is_over());
        }
        let deliveries = script.deliveries(consumer);
        assert_eq!(deliveries.len(), SIZES.len(), "{size} bytes at a time");
        for (delivery, size) in deliveries.iter().zip(SIZES) {
            let tag = delivery.delivery_tag();
            assert!(delivery.body == pattern(tag, size), "{tag}");
            let content_type = (tag % 3 == 0).then_some("text/plain");
            assert_eq!(delivery.properties.content_type(), content_type);
        }
    }
}

#[test]
fn a_body_frame_larger_than_what_is_allocated_for_its_head_comes_whole() {
    const SIZE: usize = 5 << 20;
    let deliver = BasicDeliver {
        consumer_tag: b"2.0.",
        delivery_tag: 1,
        ..Default::default()
    };
    let body = pattern(1, SIZE);
    let session = content_of(2, &deliver, &Properties::default(), &[&body]);
    for size in [1_000, 70_000, 2 << 20, session.len()] {
        let mut script = Script::new(ClientOptions::new().frame_max(0));
        script.connect(ConnectionTune {
            frame_max: 8 << 20,
            ..TUNE
        });
        let consumer = script.consume(Consume::new("work"));
        script.send(2, ChannelOpenOk::default());
        for (index, piece) in session.chunks(size).enumerate() {
            script.send_bytes(piece);
            let room: usize = script
                .connection
                .read_space()
                .iter()
                .map(|space| space.len())
                .sum();
            // Twice what is here, and the buffer.
            let most = (2 << 20).max(2 * (index + 1) * size);
            assert!(room <= most, "room for {room} bytes");
        }
        let deliveries = script.deliveries(consumer);
        assert_eq!(deliveries.len(), 1, "{size} bytes at a time");
        assert!(deliveries[0].body == body, "{size} bytes at a time");
    }
}

/// Frames of all kinds, one after the other.
fn frames(most: usize) -> impl Strategy<Value = Vec<OwnedFrame>> {
    let kind = prop_oneof![Just(1), Just(2), Just(3), Just(8), any::<u8>()];
    let payload = prop_oneof![
        3 => vec(any::<u8>(), 0..40),
        1 => (0..=most, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
    ];
    let frame = (kind, any::<u16>(), payload).prop_map(|(kind, channel, payload)| OwnedFrame {
        kind,
        channel,
        payload: payload.into(),
    });
    vec(frame, 1..5)
}

fn bytes_of(frames: &[OwnedFrame]) -> Vec<u8> {
    let frames = frames
        .iter()
        .map(|frame| raw_frame(frame.kind, frame.channel, &frame.payload));
    frames.collect::<Vec<_>>().concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn any_frames_come_out_of_pieces_of_every_size(frames in frames(200)) {
        let bytes = bytes_of(&frames);
        for size in 1..=bytes.len() {
            let (found, error) = read_in_pieces(bytes.chunks(size), 4096, false);
            prop_assert!(found == frames && error.is_none(), "{} bytes at a time", size);
        }
    }

    #[test]
    fn large_frames_come_out_of_any_pieces(
        frames in frames(131_064),
        sizes in vec(prop_oneof![1..10_usize, 1..200_000_usize], 1..20),
    ) {
        let bytes = bytes_of(&frames);
        let mut rest = &bytes[..];
        let mut sizes = sizes.into_iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let (piece, others) = rest.split_at(sizes.next()?.min(rest.len()));
            rest = others;
            (!piece.is_empty()).then_some(piece)
        });
        let (found, error) = read_in_pieces(pieces, 131_072, false);
        prop_assert!(found == frames && error.is_none());
    }
}
