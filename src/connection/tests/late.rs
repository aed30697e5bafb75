//! What comes on a channel that the broker has closed: RabbitMQ goes on with deliveries behind its `channel.close`.

use super::consuming::{CONSUMER, consuming};
use super::frames::{channel_close, content_of, frame_of};
use super::script::Script;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, Get};
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicCancel, BasicConsumeOk, BasicDeliver, BasicGetOk, BasicNack, BasicReturn,
    ChannelClose, ChannelCloseOk, ChannelOpen, ChannelOpenOk, ConfirmSelectOk, Properties,
};

const NOT_FOUND: &str = "NOT_FOUND - no queue 'missing' in vhost '/'";

/// What may come late: each is whole, with its content in two frames.
fn late(channel: u16, body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let properties = Properties::default();
    let (one, two) = body.split_at(body.len() / 2);
    let deliver = BasicDeliver {
        consumer_tag: b"2.0.",
        delivery_tag: 1,
        ..Default::default()
    };
    let got = BasicGetOk::default();
    let returned = BasicReturn::default();
    let tag = BasicConsumeOk {
        consumer_tag: b"2.0.",
    };
    let cancel = BasicCancel {
        consumer_tag: b"2.0.",
        no_wait: true,
    };
    vec![
        (
            "a delivery",
            content_of(channel, &deliver, &properties, &[one, two]).to_vec(),
        ),
        (
            "a delivery in one",
            content_of(channel, &deliver, &properties, &[body]).to_vec(),
        ),
        (
            "a message got",
            content_of(channel, &got, &properties, &[one, two]).to_vec(),
        ),
        (
            "a return",
            content_of(channel, &returned, &properties, &[one, two]).to_vec(),
        ),
        ("an ack", frame_of(channel, &BasicAck::default()).to_vec()),
        ("a nack", frame_of(channel, &BasicNack::default()).to_vec()),
        ("a cancel", frame_of(channel, &cancel).to_vec()),
        ("a consume-ok", frame_of(channel, &tag).to_vec()),
        (
            "a close",
            frame_of(channel, &ChannelClose::default()).to_vec(),
        ),
    ]
}

/// The connection is as it was, and a call on it is answered.
fn is_well(script: &mut Script, what: &str) {
    assert!(script.connection.is_open(), "{what} ended the connection");
    script.expect_nothing();
}

#[test]
fn whatever_comes_behind_channel_close_is_dropped() {
    for body in [&b"x"[..], &[b'x'; 50_000]] {
        for (what, bytes) in late(2, body) {
            // At once, and in pieces: within a frame, and between two.
            for size in [usize::MAX, 1000, 7] {
                let mut script = consuming(Consume::new("work"));
                script.send(2, channel_close(404, NOT_FOUND));
                assert_matches!(script.result(CONSUMER), Some(Err(Error::NotFound(_))));
                for piece in bytes.chunks(size) {
                    script.send_bytes(piece);
                }
                script.expect(2, ChannelCloseOk {});
                is_well(&mut script, what);
                assert!(script.deliveries.is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn a_number_that_is_used_again_begins_with_its_open_ok() {
    for (what, bytes) in late(2, &[b'x'; 50_000]) {
        let mut script = consuming(Consume::new("work"));
        script.send(2, channel_close(404, NOT_FOUND));
        let consumer = script.consume(Consume::new("work"));
        script.expect(2, ChannelCloseOk {});
        script.expect(2, ChannelOpen::default());
        script.write(usize::MAX);
        script.output.clear();
        script.send_bytes(&bytes);
        is_well(&mut script, what);
        script.send(2, ChannelOpenOk::default());
        let tag = format!("{consumer}.0.");
        let consumer_tag = tag.as_bytes();
        script.send(2, BasicConsumeOk { consumer_tag });
        script.deliver(2, &tag, 1, "new");
        let bodies: Vec<_> = script.deliveries(consumer);
        assert_eq!(bodies.len(), 1, "{what}");
        assert_eq!(bodies[0].body, "new");
        assert_matches!(script.result(consumer), None);
        // Late is late: from now on that is what AMQP does not allow.
        script.deliver(2, "2.0.", 2, "old");
        assert!(!script.connection.is_open());
    }
}

#[test]
fn late_confirms_are_not_for_publishes_that_come_later() {
    let mut script = Script::connected();
    let first = script.publish("missing", "", "a");
    script.write(usize::MAX);
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    script.send(1, channel_close(404, "NOT_FOUND - no exchange 'missing'"));
    assert_matches!(script.result(first), Some(Err(Error::NotFound(_))));
    let second = script.publish("there", "", "b");
    script.write(usize::MAX);
    script.output.clear();
    for (what, bytes) in late(1, b"xy") {
        script.send_bytes(&bytes);
        is_well(&mut script, what);
    }
    let ack = BasicAck {
        delivery_tag: 1,
        multiple: false,
    };
    script.send(1, ack);
    assert_matches!(script.result(second), None);
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
    script.send(1, ack);
    assert_matches!(script.result(second), Some(Ok(Outcome::Published)));
}

#[test]
fn a_number_that_was_never_opened_and_a_new_socket_know_no_lateness() {
    for (what, bytes) in late(3, b"xy") {
        let mut script = consuming(Consume::new("work"));
        script.send(2, channel_close(404, NOT_FOUND));
        script.send_bytes(&bytes);
        assert!(!script.connection.is_open(), "{what}");
    }
    for (what, bytes) in late(2, b"xy") {
        let mut script = Script::recovering(crate::ClientOptions::new());
        let get = script.request(Request::Get(Get::new("missing")));
        script.write(usize::MAX);
        script.send(2, ChannelOpenOk::default());
        script.send(2, channel_close(404, NOT_FOUND));
        assert_matches!(script.result(get), Some(Err(Error::NotFound(_))));
        script.lose();
        script.reconnect();
        assert!(script.connection.is_open());
        script.send_bytes(&bytes);
        assert!(!script.connection.is_open(), "{what}");
    }
}
