//! Publishing: what is written, what the broker may answer, and what becomes of the rest when it closes the channel.

use bytes::Bytes;

use super::script::{Script, channel_close};
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::message::{Message, Returned};
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicNack, BasicPublish, BasicReturn, ChannelCloseOk, ChannelOpen, ChannelOpenOk,
    ConfirmSelect, ConfirmSelectOk, ConnectionClose, FRAME_BODY, FieldTable, FieldValue, Method,
    OwnedFrame, Properties,
};

const MARK: &str = "x-puka-delivery-tag";
const FOOTER: &str = "x-puka-footer";

/// A script whose publishing channel is open, and one message to `warm-up` confirmed: the next tag is 2.
fn publishing() -> Script {
    publishing_with(ClientOptions::new())
}

fn publishing_with(options: ClientOptions) -> Script {
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
fn expect_open(script: &mut Script) {
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
}

fn send_open(script: &mut Script) {
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
}

#[track_caller]
fn expect_publish(script: &mut Script, exchange: &str, routing_key: &str, body: &[u8]) {
    let publish = BasicPublish {
        exchange: exchange.as_bytes(),
        routing_key: routing_key.as_bytes(),
        ..Default::default()
    };
    script.expect(1, publish);
    script.expect_content(1, &Properties::default(), body);
}

fn ack(script: &mut Script, delivery_tag: u64, multiple: bool) {
    script.send(
        1,
        BasicAck {
            delivery_tag,
            multiple,
        },
    );
}

/// The promises that have come to `Published`, of these; none may have come to anything else.
fn published(script: &mut Script, promises: &[u64]) -> Vec<u64> {
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

fn marked(promise: u64) -> Properties {
    mark(Properties::default(), promise)
}

fn mark(mut properties: Properties, promise: u64) -> Properties {
    properties
        .headers
        .insert(MARK, FieldValue::I64(promise as i64));
    properties
}

fn footer(promise: u64) -> Properties {
    let mut properties = marked(promise);
    properties.headers.insert(FOOTER, true);
    properties
}

/// `basic.return` of a message, as RabbitMQ says it.
fn send_return(script: &mut Script, exchange: &str, properties: &Properties, body: &[u8]) {
    let method = BasicReturn {
        reply_code: 312,
        reply_text: b"NO_ROUTE",
        exchange: exchange.as_bytes(),
        routing_key: b"nowhere",
    };
    script.send_content(1, method, properties, body);
}

fn no_route(script: &mut Script, promise: u64) -> Returned {
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
fn frames(script: &mut Script, count: usize) -> Vec<OwnedFrame> {
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

/// Publishes to `exchanges`, all sent; their promises, and their frames.
fn publish_all(script: &mut Script, exchanges: &[&str]) -> (Vec<u64>, Vec<Vec<OwnedFrame>>) {
    let mut promises = Vec::new();
    let mut sent = Vec::new();
    for (index, exchange) in exchanges.iter().enumerate() {
        // Every second body is too large to be copied.
        let body = vec![b'0' + index as u8; if index % 2 == 0 { 10 } else { 5000 }];
        promises.push(script.publish(exchange, "r", body));
        sent.push(frames(script, 3));
    }
    (promises, sent)
}

const NO_EXCHANGE: &str = "NOT_FOUND - no exchange 'bad' in vhost '/'";

#[test]
fn after_a_refusal_earlier_ones_are_unknown_and_later_ones_published_again() {
    let mut script = publishing();
    let (promises, sent) = publish_all(&mut script, &["a", "b", "bad", "c", "d", "a"]);
    ack(&mut script, 2, false);
    assert_eq!(published(&mut script, &promises[..1]), [promises[0]]);
    script.send(1, channel_close(404, NO_EXCHANGE));
    script.expect(1, ChannelCloseOk {});
    expect_open(&mut script);
    for message in &sent[3..] {
        for frame in message {
            assert!(script.frame() == *frame, "another frame than at first");
        }
    }
    script.expect_nothing();
    assert_matches!(
        script.result(promises[1]),
        Some(Err(Error::OutcomeUnknown(cause))) if cause.reply_code() == Some(404)
    );
    assert_matches!(
        script.result(promises[2]),
        Some(Err(Error::NotFound(reply))) if reply.text == NO_EXCHANGE
    );
    // Tags count from 1 on the new channel.
    send_open(&mut script);
    ack(&mut script, 1, false);
    assert_eq!(published(&mut script, &promises[3..]), [promises[3]]);
    let new = script.publish("a", "r", "new");
    expect_publish(&mut script, "a", "r", b"new");
    ack(&mut script, 4, true);
    assert_eq!(published(&mut script, &promises[4..]), promises[4..]);
    assert_eq!(published(&mut script, &[new]), [new]);
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn a_message_may_be_published_again_more_than_once() {
    let mut script = publishing();
    let (promises, sent) = publish_all(&mut script, &["bad", "bad2", "a", "b"]);
    script.send(1, channel_close(404, NO_EXCHANGE));
    script.expect(1, ChannelCloseOk {});
    expect_open(&mut script);
    for frame in sent[1..].iter().flatten() {
        assert!(script.frame() == *frame, "another frame than at first");
    }
    send_open(&mut script);
    script.send(
        1,
        channel_close(404, "NOT_FOUND - no exchange 'bad2' in vhost '/'"),
    );
    script.expect(1, ChannelCloseOk {});
    expect_open(&mut script);
    for frame in sent[2..].iter().flatten() {
        assert!(script.frame() == *frame, "another frame than at first");
    }
    script.expect_nothing();
    send_open(&mut script);
    ack(&mut script, 2, true);
    for refused in &promises[..2] {
        assert_matches!(script.result(*refused), Some(Err(Error::NotFound(_))));
    }
    assert_eq!(published(&mut script, &promises[2..]), promises[2..]);
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn a_mandatory_message_that_was_published_again_may_come_back() {
    let mut script = publishing();
    script.publish("bad", "r", "1");
    let lost = script.publish("", "nowhere", Message::new("2").mandatory(true));
    script.write(usize::MAX);
    script.send(1, channel_close(404, NO_EXCHANGE));
    send_open(&mut script);
    script.write(usize::MAX);
    send_return(&mut script, "", &marked(lost), b"2");
    assert_eq!(no_route(&mut script, lost).body, "2");
    ack(&mut script, 1, false);
    assert!(!script.connection.is_over());
}

#[track_caller]
fn assert_unknown(script: &mut Script, promise: u64, code: u16) {
    match script.result(promise) {
        Some(Err(Error::OutcomeUnknown(cause))) => assert_eq!(cause.reply_code(), Some(code)),
        other => panic!("{promise}: {other:?}"),
    }
}

#[test]
fn where_several_fit_the_text_the_outcome_of_each_is_unknown() {
    let mut script = publishing();
    let (promises, sent) = publish_all(&mut script, &["a", "bad", "b", "bad", "c"]);
    script.send(1, channel_close(404, NO_EXCHANGE));
    script.expect(1, ChannelCloseOk {});
    expect_open(&mut script);
    for frame in &sent[4] {
        assert!(script.frame() == *frame, "another frame than at first");
    }
    script.expect_nothing();
    // The exchange may have been there at first.
    for promise in &promises[..4] {
        assert_unknown(&mut script, *promise, 404);
    }
    assert_matches!(script.result(promises[4]), None);
}

#[test]
fn the_size_in_the_text_tells_the_refused_one() {
    let mut script = publishing();
    let (promises, _) = publish_all(&mut script, &["a", "a", "a"]);
    let text = "PRECONDITION_FAILED - message size 5000 is larger than configured max size 4000";
    script.send(1, channel_close(406, text));
    assert_matches!(
        script.result(promises[0]),
        Some(Err(Error::OutcomeUnknown(_)))
    );
    assert_matches!(
        script.result(promises[1]),
        Some(Err(Error::PreconditionFailed(_)))
    );
    assert_matches!(script.result(promises[2]), None);
}

#[test]
fn a_text_without_a_clue_suspects_all_that_are_open() {
    let mut script = publishing();
    let (promises, _) = publish_all(&mut script, &["a", "b", "c"]);
    ack(&mut script, 3, false);
    assert_eq!(published(&mut script, &promises[1..2]), [promises[1]]);
    script.send(1, channel_close(406, "PRECONDITION_FAILED - something new"));
    script.expect(1, ChannelCloseOk {});
    script.expect_nothing();
    // The broker has handled the second, so it has not refused the first.
    assert_matches!(
        script.result(promises[0]),
        Some(Err(Error::OutcomeUnknown(_)))
    );
    assert_matches!(
        script.result(promises[2]),
        Some(Err(Error::PreconditionFailed(_)))
    );
    // The channel opens with the next publish.
    let next = script.publish("a", "r", "next");
    expect_open(&mut script);
    expect_publish(&mut script, "a", "r", b"next");
    send_open(&mut script);
    ack(&mut script, 1, false);
    assert_eq!(published(&mut script, &[next]), [next]);
}

#[test]
fn what_the_socket_has_not_taken_is_never_suspected() {
    let mut script = publishing();
    let (sent, _) = publish_all(&mut script, &["a"]);
    let unsent = [
        script.publish("bad", "r", "1"),
        script.publish("a", "r", "2"),
    ];
    script.send(1, channel_close(404, NO_EXCHANGE));
    // Nothing that was sent fits the text, so all of that is suspected.
    assert_matches!(script.result(sent[0]), Some(Err(Error::NotFound(_))));
    for promise in unsent {
        assert_matches!(script.result(promise), None);
    }
    // On the wire they come twice, and the broker drops the first ones: its channel was closed.
    for (exchange, body) in [("bad", b"1"), ("a", b"2")] {
        expect_publish(&mut script, exchange, "r", body);
    }
    script.expect(1, ChannelCloseOk {});
    expect_open(&mut script);
    for (exchange, body) in [("bad", b"1"), ("a", b"2")] {
        expect_publish(&mut script, exchange, "r", body);
    }
    script.expect_nothing();
    send_open(&mut script);
    ack(&mut script, 2, true);
    assert_eq!(published(&mut script, &unsent), unsent);
}

#[test]
fn a_message_sent_in_part_may_be_the_refused_one() {
    let mut script = publishing();
    let refused = script.publish("bad", "r", vec![0; 50_000]);
    script.write(100);
    script.send(1, channel_close(404, NO_EXCHANGE));
    assert_matches!(script.result(refused), Some(Err(Error::NotFound(_))));
}

#[test]
fn without_resend_later_ones_fail_as_not_sent() {
    let mut script = publishing_with(ClientOptions::new().resend_after_refusal(false));
    let (promises, _) = publish_all(&mut script, &["a", "bad", "b", "c"]);
    script.send(1, channel_close(404, NO_EXCHANGE));
    script.expect(1, ChannelCloseOk {});
    script.expect_nothing();
    assert_matches!(
        script.result(promises[0]),
        Some(Err(Error::OutcomeUnknown(_)))
    );
    assert_matches!(script.result(promises[1]), Some(Err(Error::NotFound(_))));
    for promise in &promises[2..] {
        assert_matches!(
            script.result(*promise),
            Some(Err(Error::NotSent(cause))) if cause.reply_code() == Some(404)
        );
    }
    assert_eq!(script.connection.buffered(), 0);
    script.publish("a", "r", "next");
    expect_open(&mut script);
    expect_publish(&mut script, "a", "r", b"next");
}

/// A script whose broker does not confirm.
fn emulating() -> Script {
    Script::connected_with(ClientOptions::new().pubacks(false))
}

#[track_caller]
fn expect_footer(script: &mut Script, promise: u64) {
    script.expect(
        1,
        BasicPublish {
            mandatory: true,
            ..Default::default()
        },
    );
    script.expect_content(1, &footer(promise), b"");
}

#[test]
fn without_confirms_an_empty_message_follows_each() {
    let mut script = emulating();
    let promises = [
        script.publish("", "a", "1"),
        script.publish("logs", "b", "2"),
    ];
    script.expect(1, ChannelOpen::default());
    expect_publish(&mut script, "", "a", b"1");
    expect_footer(&mut script, promises[0]);
    expect_publish(&mut script, "logs", "b", b"2");
    expect_footer(&mut script, promises[1]);
    script.expect_nothing();
    script.send(1, ChannelOpenOk::default());
    for promise in promises {
        send_return(&mut script, "", &footer(promise), b"");
        assert_eq!(published(&mut script, &promises), [promise]);
    }
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn without_confirms_a_return_before_the_footers_is_no_route() {
    let mut script = emulating();
    let lost = script.publish("", "nowhere", Message::new("1").mandatory(true));
    let fine = script.publish("", "a", "2");
    script.expect(1, ChannelOpen::default());
    let publish = BasicPublish {
        routing_key: b"nowhere",
        mandatory: true,
        ..Default::default()
    };
    script.expect(1, publish);
    script.expect_content(1, &marked(lost), b"1");
    expect_footer(&mut script, lost);
    script.write(usize::MAX);
    script.send(1, ChannelOpenOk::default());
    send_return(&mut script, "", &marked(lost), b"1");
    let returned = no_route(&mut script, lost);
    assert_eq!(
        (returned.body, returned.properties),
        (Bytes::from_static(b"1"), Properties::default())
    );
    send_return(&mut script, "", &footer(lost), b"");
    assert_matches!(script.result(fine), None);
    send_return(&mut script, "", &footer(fine), b"");
    assert_eq!(published(&mut script, &[fine]), [fine]);
    assert!(!script.connection.is_over());
}

#[test]
fn without_confirms_an_ack_breaks_the_protocol() {
    let mut script = emulating();
    script.publish("", "a", "1");
    script.write(usize::MAX);
    ack(&mut script, 1, false);
    assert!(script.connection.is_over());
}

#[test]
fn without_confirms_too_later_ones_are_published_again() {
    let mut script = emulating();
    let refused = script.publish("bad", "r", "1");
    let later = script.publish("a", "r", "2");
    script.expect(1, ChannelOpen::default());
    frames(&mut script, 10);
    script.send(1, ChannelOpenOk::default());
    script.send(1, channel_close(404, NO_EXCHANGE));
    script.expect(1, ChannelCloseOk {});
    script.expect(1, ChannelOpen::default());
    expect_publish(&mut script, "a", "r", b"2");
    expect_footer(&mut script, later);
    script.expect_nothing();
    script.send(1, ChannelOpenOk::default());
    send_return(&mut script, "", &footer(later), b"");
    assert_matches!(script.result(refused), Some(Err(Error::NotFound(_))));
    assert_eq!(published(&mut script, &[later]), [later]);
}

/// The message was taken, and the one behind it refused.
#[test]
fn without_confirms_the_refusal_of_a_footer_is_not_the_messages() {
    let refused = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'";
    let mut script = emulating();
    let first = script.publish("x", "k", "1");
    let second = script.publish("x", "k", "2");
    script.methods();
    script.send(1, ChannelOpenOk::default());
    script.send(1, channel_close(403, refused));
    assert_unknown(&mut script, first, 403);
    assert_unknown(&mut script, second, 403);

    // A message that came back still has its footer to come, which may be the refused one.
    let mut script = emulating();
    let lost = script.publish("x", "nowhere", Message::new("1").mandatory(true));
    let other = script.publish("", "k", "2");
    script.methods();
    script.send(1, ChannelOpenOk::default());
    send_return(&mut script, "x", &marked(lost), b"1");
    no_route(&mut script, lost);
    script.send(1, channel_close(403, refused));
    assert_unknown(&mut script, other, 403);
}

#[test]
fn a_mandatory_message_with_the_header_of_a_footer_is_none() {
    for pubacks in [true, false] {
        let mut script = Script::connected_with(ClientOptions::new().pubacks(pubacks));
        let message = Message::new("").mandatory(true).header(FOOTER, true);
        let lost = script.publish("", "", message);
        script.expect(1, ChannelOpen::default());
        if pubacks {
            script.expect(1, ConfirmSelect::default());
        }
        let publish = BasicPublish {
            mandatory: true,
            ..Default::default()
        };
        script.expect(1, publish);
        script.expect_content(1, &marked(lost), b"");
        script.methods();
        script.send(1, ChannelOpenOk::default());
        if pubacks {
            script.send(1, ConfirmSelectOk {});
        }
        // Whatever comes back.
        let came = if pubacks { footer(lost) } else { marked(lost) };
        send_return(&mut script, "", &came, b"");
        no_route(&mut script, lost);
    }
}

/// As Python's puka marks every message, and a broker may have them several times.
#[test]
fn the_marks_of_others_in_a_message_that_goes_on_are_replaced() {
    let mut script = Script::connected();
    let mut message = Message::new("1").mandatory(true);
    let entry = [b"\x13", MARK.as_bytes(), b"B\x01"].concat();
    message.properties.headers = FieldTable::from_wire([&*entry, &*entry].concat().into());
    let lost = script.publish("", "nowhere", message);
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
    script.frame();
    script.expect_content(1, &marked(lost), b"1");
}
