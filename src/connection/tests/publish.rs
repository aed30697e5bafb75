//! Publishing: what is written, what the broker may answer, and what becomes of the rest when it closes the channel.

use super::script::Script;
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::message::{Message, Returned};
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicNack, BasicPublish, BasicReturn, ChannelOpen, ChannelOpenOk, ConfirmSelect,
    ConfirmSelectOk, ConnectionClose, FRAME_BODY, FieldValue, Method, OwnedFrame, Properties,
};

pub(super) const MARK: &str = "x-puka-delivery-tag";

pub(super) const FOOTER: &str = "x-puka-footer";

/// A script whose publishing channel is open, and one message to `warm-up` confirmed: the next tag is 2.
pub(super) fn publishing() -> Script {
    publishing_with(ClientOptions::new())
}

pub(super) fn publishing_with(options: ClientOptions) -> Script {
    let mut script = Script::connected_with(options);
    let first = script.publish("", "warm-up", "");
    expect_open(&mut script);
    expect_publish(&mut script, "", "warm-up", b"");
    send_open(&mut script);
    script.send(
        1,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    assert_matches!(script.result(first), Some(Ok(Outcome::Published)));
    script
}

#[track_caller]
pub(super) fn expect_open(script: &mut Script) {
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
}

pub(super) fn send_open(script: &mut Script) {
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
}

#[track_caller]
pub(super) fn expect_publish(script: &mut Script, exchange: &str, routing_key: &str, body: &[u8]) {
    let publish = BasicPublish {
        exchange: exchange.as_bytes(),
        routing_key: routing_key.as_bytes(),
        ..Default::default()
    };
    script.expect(1, publish);
    script.expect_content(1, &Properties::default(), body);
}

pub(super) fn ack(script: &mut Script, delivery_tag: u64, multiple: bool) {
    script.send(
        1,
        BasicAck {
            delivery_tag,
            multiple,
        },
    );
}

/// The promises that have come to `Published`, of these; none may have come to anything else.
pub(super) fn published(script: &mut Script, promises: &[u64]) -> Vec<u64> {
    let published = promises
        .iter()
        .copied()
        .filter(|&promise| match script.result(promise) {
            None => false,
            Some(Ok(Outcome::Published)) => true,
            other => panic!("{promise}: {other:?}"),
        });
    published.collect()
}

pub(super) fn marked(promise: u64) -> Properties {
    mark(Properties::default(), promise)
}

fn mark(mut properties: Properties, promise: u64) -> Properties {
    properties
        .headers
        .insert(MARK, FieldValue::I64(promise as i64));
    properties
}

pub(super) fn footer(promise: u64) -> Properties {
    let mut properties = marked(promise);
    properties.headers.insert(FOOTER, true);
    properties
}

/// `basic.return` of a message, as RabbitMQ says it.
pub(super) fn send_return(
    script: &mut Script,
    exchange: &str,
    properties: &Properties,
    body: &[u8],
) {
    let method = BasicReturn {
        reply_code: 312,
        reply_text: b"NO_ROUTE",
        exchange: exchange.as_bytes(),
        routing_key: b"nowhere",
    };
    script.send_content(1, method, properties, body);
}

pub(super) fn no_route(script: &mut Script, promise: u64) -> Returned {
    match script.result(promise) {
        Some(Err(Error::NoRoute(returned))) => *returned,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_publish_opens_channel_1_in_the_same_write() {
    let mut script = Script::connected();
    let first = script.publish("logs", "info", "hello");
    let second = script.publish("", "work", "world");
    expect_open(&mut script);
    expect_publish(&mut script, "logs", "info", b"hello");
    expect_publish(&mut script, "", "work", b"world");
    script.expect_nothing();
    send_open(&mut script);
    script.expect_nothing();
    ack(&mut script, 1, false);
    assert_eq!(published(&mut script, &[first, second]), [first]);
    let third = script.publish("", "work", "again");
    expect_publish(&mut script, "", "work", b"again");
    ack(&mut script, 3, true);
    assert_eq!(published(&mut script, &[second, third]), [second, third]);
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn acks_may_come_in_any_order() {
    let mut script = publishing();
    let promises: Vec<u64> = (0..4).map(|_| script.publish("", "a", "b")).collect();
    for (tag, promise) in [
        (4, promises[2]),
        (2, promises[0]),
        (5, promises[3]),
        (3, promises[1]),
    ] {
        ack(&mut script, tag, false);
        assert_eq!(published(&mut script, &promises), [promise]);
    }
    assert!(!script.connection.is_over());
}

#[test]
fn a_multiple_ack_is_for_all_up_to_its_tag_that_are_open() {
    let mut script = publishing();
    let promises: Vec<u64> = (0..5).map(|_| script.publish("", "a", "b")).collect();
    ack(&mut script, 3, false);
    assert_eq!(published(&mut script, &promises), [promises[1]]);
    ack(&mut script, 5, true);
    assert_eq!(
        published(&mut script, &promises),
        [promises[0], promises[2], promises[3]]
    );
    // An ack of what is settled is no news, and no error.
    ack(&mut script, 4, true);
    ack(&mut script, 3, false);
    ack(&mut script, 6, true);
    assert_eq!(published(&mut script, &promises), [promises[4]]);
    assert!(!script.connection.is_over());
}

#[test]
fn tag_0_with_multiple_is_for_all() {
    let mut script = publishing();
    let promises: Vec<u64> = (0..3).map(|_| script.publish("", "a", "b")).collect();
    ack(&mut script, 0, true);
    assert_eq!(published(&mut script, &promises), promises);
    ack(&mut script, 0, true);
    assert!(!script.connection.is_over());
}

#[test]
fn a_nack_is_the_brokers_refusal() {
    let mut script = publishing();
    let promises: Vec<u64> = (0..4).map(|_| script.publish("", "a", "b")).collect();
    let nack = |delivery_tag, multiple| BasicNack {
        delivery_tag,
        multiple,
        requeue: false,
    };
    script.send(1, nack(3, false));
    assert_matches!(script.result(promises[1]), Some(Err(Error::Nacked)));
    script.send(1, nack(4, true));
    for promise in [promises[0], promises[2]] {
        assert_matches!(script.result(promise), Some(Err(Error::Nacked)));
    }
    ack(&mut script, 5, false);
    assert_eq!(published(&mut script, &promises), [promises[3]]);
}

#[test]
fn an_ack_of_what_was_never_published_breaks_the_protocol() {
    for (tag, multiple) in [(3, false), (3, true), (u64::MAX, true)] {
        let mut script = publishing();
        let open = script.publish("", "a", "b");
        expect_publish(&mut script, "", "a", b"b");
        ack(&mut script, tag, multiple);
        let close = ConnectionClose {
            reply_code: 503,
            reply_text: b"a confirm of something never published",
            class_id: 60,
            method_id: 80,
        };
        script.expect(0, close);
        assert_matches!(
            script.result(open),
            Some(Err(Error::OutcomeUnknown(cause))) if cause.reply_code() == Some(503)
        );
    }
}

#[test]
fn tag_0_without_multiple_is_for_nothing() {
    let mut script = publishing();
    script.publish("", "a", "b");
    script.write(usize::MAX);
    ack(&mut script, 0, false);
    assert!(script.connection.is_over());
}

#[test]
fn a_mandatory_message_is_marked_and_the_mark_taken_off_its_return() {
    let mut script = publishing();
    let message = Message::new("hello")
        .mandatory(true)
        .header("k", "v")
        .content_type("text/plain");
    let properties = message.properties.clone();
    let lost = script.publish("logs", "nowhere", message);
    let method = BasicPublish {
        exchange: b"logs",
        routing_key: b"nowhere",
        mandatory: true,
        ..Default::default()
    };
    script.expect(1, method);
    let sent = mark(properties.clone(), lost);
    script.expect_content(1, &sent, b"hello");
    send_return(&mut script, "logs", &sent, b"hello");
    let returned = no_route(&mut script, lost);
    assert_eq!(
        (returned.reply_code, &*returned.reply_text),
        (312, "NO_ROUTE")
    );
    assert_eq!(
        (&*returned.exchange, &*returned.routing_key),
        ("logs", "nowhere")
    );
    assert_eq!(returned.properties, properties);
    assert_eq!(returned.body, "hello");
    // The ack follows, and changes nothing.
    ack(&mut script, 2, false);
    let next = script.publish("", "a", "b");
    ack(&mut script, 3, false);
    assert_eq!(published(&mut script, &[next]), [next]);
    assert!(!script.connection.is_over());
}

#[test]
fn a_message_that_is_not_mandatory_has_no_mark() {
    let mut script = publishing();
    script.publish("", "a", Message::new("hello").header("k", "v"));
    script.expect(
        1,
        BasicPublish {
            routing_key: b"a",
            ..Default::default()
        },
    );
    let mut properties = Properties::default();
    properties.headers.insert("k", "v");
    script.expect_content(1, &properties, b"hello");
}

#[test]
fn a_multiple_ack_whose_last_message_was_returned_settles_those_below() {
    let mut script = publishing();
    let below = [script.publish("", "a", "1"), script.publish("", "a", "2")];
    let lost = script.publish("", "nowhere", Message::new("3").mandatory(true));
    let above = script.publish("", "a", "4");
    script.write(usize::MAX);
    send_return(&mut script, "", &marked(lost), b"3");
    no_route(&mut script, lost);
    ack(&mut script, 4, true);
    assert_eq!(published(&mut script, &below), below);
    assert_matches!(script.result(above), None);
    ack(&mut script, 5, false);
    assert_eq!(published(&mut script, &[above]), [above]);
}

#[test]
fn a_return_of_what_was_never_published_breaks_the_protocol() {
    for properties in [Properties::default(), marked(77)] {
        let mut script = publishing();
        send_return(&mut script, "", &properties, b"");
        let frame = script.frame();
        assert_matches!(
            Method::decode(&frame.payload),
            Ok(Method::ConnectionClose(ConnectionClose {
                reply_code: 503,
                ..
            }))
        );
    }
}

/// The frames that a socket would have got, up to now.
pub(super) fn frames(script: &mut Script, count: usize) -> Vec<OwnedFrame> {
    let frames = (0..count).map(|_| script.frame()).collect();
    script.expect_nothing();
    frames
}

#[test]
fn a_body_is_cut_into_frames_of_frame_max() {
    let largest = 4096 - 8;
    for (len, sizes) in [
        (0, vec![]),
        (1, vec![1]),
        (largest, vec![largest]),
        (largest + 1, vec![largest, 1]),
        (2 * largest, vec![largest, largest]),
        (3 * largest - 1, vec![largest, largest, largest - 1]),
    ] {
        let mut script = publishing_with(ClientOptions::new().frame_max(4096));
        let body: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        script.publish("", "a", body.clone());
        script.expect(
            1,
            BasicPublish {
                routing_key: b"a",
                ..Default::default()
            },
        );
        let header = script.frame();
        assert_eq!(header.payload, content_header(len));
        let frames = frames(&mut script, sizes.len());
        assert!(
            frames
                .iter()
                .all(|frame| (frame.kind, frame.channel) == (FRAME_BODY, 1))
        );
        let found: Vec<usize> = frames.iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(found, sizes);
        assert!(frames.iter().flat_map(|frame| &frame.payload).eq(&body));
    }
}

/// A content header without properties.
fn content_header(body_size: usize) -> Vec<u8> {
    let size = (body_size as u64).to_be_bytes();
    [&[0, 60, 0, 0][..], &size, &[0, 0]].concat()
}

#[test]
fn large_bodies_are_cut_at_the_agreed_size_too() {
    let mut script = publishing();
    let body = vec![b'x'; 300_000];
    script.publish("", "a", body);
    script.expect(
        1,
        BasicPublish {
            routing_key: b"a",
            ..Default::default()
        },
    );
    script.frame();
    let sizes: Vec<usize> = frames(&mut script, 3)
        .iter()
        .map(|frame| frame.payload.len())
        .collect();
    assert_eq!(sizes, [131_064, 131_064, 300_000 - 2 * 131_064]);
}

#[test]
fn headers_that_no_frame_can_hold_are_refused() {
    let mut script = publishing_with(ClientOptions::new().frame_max(4096));
    let refused = script.publish("", "a", Message::new("b").header("k", "v".repeat(4096)));
    assert_matches!(
        script.result(refused),
        Some(Err(Error::InvalidArgument(text))) if text.contains("4096")
    );
    script.expect_nothing();
    // 4096 bytes are not too many: 8 of the frame, 14 of the header, 4 of the table's size, 7 of the entry.
    let fits = script.publish(
        "",
        "a",
        Message::new("b").header("k", "v".repeat(4096 - 33)),
    );
    script.frame();
    assert_eq!(script.frame().payload.len() + 8, 4096);
    ack(&mut script, 2, false);
    assert_eq!(published(&mut script, &[fits]), [fits]);
}
