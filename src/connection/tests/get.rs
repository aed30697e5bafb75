//! `basic.get`.

use super::frames::wire_declare;
use super::script::Script;
use crate::ClientOptions;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::message::Delivery;
use crate::types::requests::Get;
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicGet, BasicGetEmpty, BasicGetOk, ChannelOpen, ChannelOpenOk, Properties,
};

fn got(script: &mut Script, promise: u64) -> Delivery {
    match script.result(promise) {
        Some(Ok(Outcome::Got(Some(delivery)))) => *delivery,
        other => panic!("{other:?}"),
    }
}

#[test]
fn get_of_an_empty_queue_is_none() {
    let mut script = Script::connected();
    let get = script.request(Request::Get(Get::new("work")));
    script.expect(2, ChannelOpen::default());
    script.expect(
        2,
        BasicGet {
            queue: b"work",
            ..Default::default()
        },
    );
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicGetEmpty::default());
    assert_matches!(script.result(get), Some(Ok(Outcome::Got(None))));
    script.declare("a");
    script.expect(2, wire_declare("a"));
}

#[test]
fn get_keeps_its_channel_until_the_delivery_is_settled() {
    let mut script = Script::connected();
    let get = script.request(Request::Get(Get::new("work")));
    script.expect(2, ChannelOpen::default());
    script.expect(
        2,
        BasicGet {
            queue: b"work",
            ..Default::default()
        },
    );
    script.send(2, ChannelOpenOk::default());
    let ok = BasicGetOk {
        delivery_tag: 1,
        redelivered: true,
        exchange: b"logs",
        routing_key: b"info",
        message_count: 5,
    };
    script.send_content(2, ok, &Properties::default(), b"hello");
    let delivery = got(&mut script, get);
    assert_eq!(
        (delivery.body_str(), delivery.message_count),
        ("hello".into(), 5)
    );
    assert_eq!(
        (&*delivery.exchange, &*delivery.routing_key),
        ("logs", "info")
    );
    assert_eq!(
        (&*delivery.consumer_tag, delivery.promise().number()),
        ("", get)
    );
    assert!(delivery.redelivered);
    script.declare("a");
    script.expect(3, ChannelOpen::default());
    script.expect(3, wire_declare("a"));
    script.ack(&delivery).unwrap();
    script.expect(
        2,
        BasicAck {
            delivery_tag: 1,
            multiple: false,
        },
    );
    assert_matches!(script.ack(&delivery), Err(Error::AlreadySettled(1)));
    script.declare("b");
    script.expect(2, wire_declare("b"));
    script.expect_nothing();
}

#[test]
fn get_with_no_ack_frees_its_channel_at_once() {
    let mut script = Script::connected();
    let get = script.request(Request::Get(Get::new("work").no_ack(true)));
    script.expect(2, ChannelOpen::default());
    script.expect(
        2,
        BasicGet {
            queue: b"work",
            no_ack: true,
            ..Default::default()
        },
    );
    script.send(2, ChannelOpenOk::default());
    let ok = BasicGetOk {
        delivery_tag: 1,
        ..Default::default()
    };
    script.send_content(2, ok, &Properties::default(), b"");
    let delivery = got(&mut script, get);
    assert_matches!(script.ack(&delivery), Err(Error::NoAck(1)));
    script.declare("a");
    script.expect(2, wire_declare("a"));
}

#[test]
fn a_delivery_that_is_not_settled_may_leave_no_channel_for_others() {
    let mut script = Script::connected_with(ClientOptions::new().channel_max(2));
    let get = script.request(Request::Get(Get::new("work")));
    let waiting = script.declare("a");
    script.write(usize::MAX);
    script.send(2, ChannelOpenOk::default());
    let ok = BasicGetOk {
        delivery_tag: 1,
        ..Default::default()
    };
    script.send_content(2, ok, &Properties::default(), b"");
    got(&mut script, get);
    assert_matches!(script.result(waiting), Some(Err(Error::NoFreeChannel(1))));
}
