//! However the socket cuts the broker's bytes, they come to the same.

use super::script::{
    Script, TUNE, channel_close, content_of, frame_of, raw_frame, server_properties, start,
    wire_declare_ok,
};
use crate::ClientOptions;
use crate::message::Message;
use crate::options::Consume;
use crate::wire::{
    BasicAck, BasicConsumeOk, BasicDeliver, BasicQosOk, BasicReturn, ChannelOpenOk,
    ConfirmSelectOk, ConnectionClose, ConnectionOpenOk, FRAME_HEARTBEAT, FieldValue, Properties,
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
        script.disconnect(crate::error::Broken::Eof);
        for promise in 1..=RETURNED {
            assert!(
                script.result(promise).is_some(),
                "promise {promise}, cut at {cut}"
            );
        }
    }
}
