//! Sockets that go, and the orderly end.

use super::broken::{Busy, busy, written_close};
use super::consuming::{CONSUMER, consuming};
use super::frames::{channel_close, content_of};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::{Disconnect, Error};
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::types::requests::{Consume, Get};
use crate::types::results::Outcome;
use crate::wire::{
    BasicDeliver, BasicPublish, ChannelOpen, ChannelOpenOk, ConfirmSelect, ConnectionClose,
    ConnectionCloseOk, ExchangeDeclareOk, Properties,
};

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
fn a_large_body_that_is_on_its_way_when_the_client_closes_is_dropped() {
    let mut script = consuming(Consume::new("work"));
    let deliver = BasicDeliver {
        consumer_tag: b"2.0.",
        delivery_tag: 1,
        ..Default::default()
    };
    let content = content_of(2, &deliver, &Properties::default(), &[&[b'x'; 20_000]]);
    let (first, rest) = content.split_at(5_000);
    script.send_bytes(first);
    let close = script.close();
    script.send_bytes(rest);
    assert_eq!(script.deliveries(CONSUMER).len(), 0);
    script.send(0, ConnectionCloseOk {});
    assert_matches!(script.result(close), Some(Ok(Outcome::Done)));
}
