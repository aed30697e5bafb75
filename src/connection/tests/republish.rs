//! What becomes of publishes when the broker closes their channel.

use super::frames::channel_close;
use super::publish::{
    ack, expect_open, expect_publish, frames, marked, no_route, published, publishing,
    publishing_with, send_open, send_return,
};
use super::script::Script;
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::message::Message;
use crate::wire::{ChannelCloseOk, OwnedFrame};

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

pub(super) const NO_EXCHANGE: &str = "NOT_FOUND - no exchange 'bad' in vhost '/'";

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
pub(super) fn assert_unknown(script: &mut Script, promise: u64, code: u16) {
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
