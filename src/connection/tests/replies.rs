//! Calls to other programs, and their replies.

use std::time::Duration;

use super::frames::{channel_close, content_of, wire_declare};
use super::script::Script;
use crate::ClientOptions;
use crate::connection::{Request, RpcRequest};
use crate::types::error::Error;
use crate::types::message::Message;
use crate::types::results::Outcome;
use crate::wire::{
    BasicConsume, BasicDeliver, BasicPublish, BasicQos, BasicQosOk, BasicReturn, ChannelCloseOk,
    ChannelOpen, ChannelOpenOk, Properties,
};

const LIMIT: Duration = Duration::from_secs(10);

fn call(script: &mut Script, routing_key: &str, body: &'static str) -> u64 {
    let sending = RpcRequest {
        exchange: "".into(),
        routing_key: routing_key.into(),
        message: Message::new(body).reply_to("mine").correlation_id("mine"),
        timeout: LIMIT,
        deadline: script.now + LIMIT,
    };
    script.request(Request::Rpc(Box::new(sending)))
}

#[track_caller]
fn expect_call(script: &mut Script, channel: u16, promise: u64, body: &[u8]) {
    let publish = BasicPublish {
        routing_key: b"q",
        mandatory: true,
        ..Default::default()
    };
    script.expect(channel, publish);
    let mut properties = Properties::default();
    properties.set_reply_to("amq.rabbitmq.reply-to");
    properties.set_correlation_id(&promise.to_string());
    script.expect_content(channel, &properties, body);
}

#[track_caller]
fn expect_consume(script: &mut Script, channel: u16) {
    script.expect(channel, ChannelOpen::default());
    let consume = BasicConsume {
        queue: b"amq.rabbitmq.reply-to",
        consumer_tag: b"puka-reply",
        no_ack: true,
        no_wait: true,
        ..Default::default()
    };
    script.expect(channel, consume);
}

fn reply(script: &mut Script, channel: u16, to: u64, body: &str) {
    let deliver = BasicDeliver {
        consumer_tag: b"puka-reply",
        delivery_tag: 1,
        ..Default::default()
    };
    script.send_content(channel, deliver, &answering(to), body.as_bytes());
}

fn answering(call: u64) -> Properties {
    let mut properties = Properties::default();
    properties.set_correlation_id(&call.to_string());
    properties
}

#[track_caller]
fn assert_replied(script: &mut Script, promise: u64, body: &str) {
    assert_matches!(
        script.result(promise),
        Some(Ok(Outcome::Response(response))) if response.body == body
    );
}

#[test]
fn each_call_has_its_channel_and_the_next_one_costs_only_its_message() {
    let mut script = Script::connected();
    let (one, two) = (call(&mut script, "q", "1"), call(&mut script, "q", "2"));
    expect_consume(&mut script, 2);
    expect_call(&mut script, 2, one, b"1");
    expect_consume(&mut script, 3);
    expect_call(&mut script, 3, two, b"2");
    script.send(2, ChannelOpenOk::default());
    script.send(3, ChannelOpenOk::default());
    reply(&mut script, 3, two, "II");
    assert_replied(&mut script, two, "II");
    assert_matches!(script.result(one), None);
    let three = call(&mut script, "q", "3");
    expect_call(&mut script, 3, three, b"3");
    script.expect_nothing();
    reply(&mut script, 3, three, "III");
    reply(&mut script, 2, one, "I");
    assert_replied(&mut script, three, "III");
    assert_replied(&mut script, one, "I");
    assert_eq!(script.connection.poll_timeout(), None);
}

#[test]
fn a_reply_that_comes_too_late_is_dropped() {
    let mut script = Script::connected();
    let late = call(&mut script, "q", "1");
    script.methods();
    script.send(2, ChannelOpenOk::default());
    assert_eq!(script.connection.poll_timeout(), Some(script.now + LIMIT));
    script.pass(LIMIT);
    assert_matches!(script.result(late), Some(Err(Error::NoReply(LIMIT))));
    script.expect(2, BasicQos::default());
    reply(&mut script, 2, late, "late");
    script.send(2, BasicQosOk {});
    let next = call(&mut script, "q", "2");
    expect_call(&mut script, 2, next, b"2");
    reply(&mut script, 2, late, "later");
    assert_matches!(script.result(next), None);
    reply(&mut script, 2, next, "right");
    assert_replied(&mut script, next, "right");
    // On a channel that is somebody else's meanwhile, too.
    let declared = script.declare("a");
    reply(&mut script, 2, late, "later still");
    assert_matches!(script.result(declared), None);
    assert!(!script.connection.is_over());
}

#[test]
fn a_return_that_comes_too_late_is_dropped() {
    let mut script = Script::connected();
    let late = call(&mut script, "nowhere", "1");
    script.methods();
    script.send(2, ChannelOpenOk::default());
    let returned = BasicReturn {
        reply_code: 312,
        reply_text: b"NO_ROUTE",
        routing_key: b"nowhere",
        ..Default::default()
    };
    let frames = content_of(2, &returned, &answering(late), &[b"1"]);
    // Its time is up in the midst of the return.
    let (first, rest) = frames.split_at(frames.len() / 2);
    script.send_bytes(first);
    script.pass(LIMIT);
    assert_matches!(script.result(late), Some(Err(Error::NoReply(LIMIT))));
    script.send_bytes(rest);
    // And a second one, while nobody has the channel, or another call.
    script.send_bytes(&frames);
    script.send(2, BasicQosOk {});
    script.methods();
    let next = call(&mut script, "q", "2");
    expect_call(&mut script, 2, next, b"2");
    script.send_bytes(&frames);
    assert_matches!(script.result(next), None);
    reply(&mut script, 2, next, "right");
    assert_replied(&mut script, next, "right");
    assert!(!script.connection.is_over());
}

#[test]
fn what_the_broker_says_of_a_call_that_was_given_up_hits_nobody() {
    let mut script = Script::connected();
    let late = [0; 2].map(|_| call(&mut script, "q", "1"));
    script.methods();
    for channel in [2, 3] {
        script.send(channel, ChannelOpenOk::default());
    }
    script.pass(LIMIT);
    for promise in late {
        assert_matches!(script.result(promise), Some(Err(Error::NoReply(_))));
    }
    script.methods();
    // Until the broker has answered, nobody else has these channels.
    let declared = script.declare("a");
    script.expect(4, ChannelOpen::default());
    script.expect(4, wire_declare("a"));
    let returned = BasicReturn {
        reply_code: 312,
        reply_text: b"NO_ROUTE",
        routing_key: b"q",
        ..Default::default()
    };
    script.send_content(2, returned, &Properties::default(), b"1");
    script.send(2, BasicQosOk {});
    script.send(3, channel_close(404, "NOT_FOUND - no exchange"));
    script.expect(3, ChannelCloseOk {});
    assert_matches!(script.result(declared), None);
    script.declare("b");
    script.expect(2, wire_declare("b"));
    assert!(!script.connection.is_over());
}

#[test]
fn a_call_that_nobody_takes_or_that_the_broker_refuses_fails_alone() {
    let mut script = Script::connected();
    let calls = [0; 3].map(|_| call(&mut script, "q", "1"));
    script.methods();
    for channel in 2..=4 {
        script.send(channel, ChannelOpenOk::default());
    }
    let returned = BasicReturn {
        reply_code: 312,
        reply_text: b"NO_ROUTE",
        routing_key: b"q",
        ..Default::default()
    };
    script.send_content(2, returned, &answering(calls[0]), b"1");
    assert_matches!(script.result(calls[0]), Some(Err(Error::NoRoute(_))));
    script.send(3, channel_close(404, "NOT_FOUND - no exchange"));
    script.expect(3, ChannelCloseOk {});
    assert_matches!(script.result(calls[1]), Some(Err(Error::NotFound(_))));
    reply(&mut script, 4, calls[2], "here");
    assert_replied(&mut script, calls[2], "here");
    assert_eq!(script.connection.poll_timeout(), None);
}

#[test]
fn a_call_that_waits_for_a_channel_is_given_up_in_time_too() {
    let mut script = Script::new(crate::ClientOptions::new());
    let promise = call(&mut script, "q", "1");
    script.pass(LIMIT);
    assert_matches!(script.result(promise), Some(Err(Error::NoReply(_))));
    script.connect(super::frames::TUNE);
    script.expect_nothing();
}

#[test]
fn a_request_waits_for_the_channel_that_an_rpc_has() {
    let mut script = Script::connected_with(ClientOptions::new().channel_max(2));
    let promise = call(&mut script, "q", "x");
    expect_consume(&mut script, 2);
    expect_call(&mut script, 2, promise, b"x");
    script.send(2, ChannelOpenOk::default());
    let waiting = script.declare("a");
    assert_matches!(script.result(waiting), None);
    script.expect_nothing();
    reply(&mut script, 2, promise, "y");
    assert_matches!(script.result(promise), Some(Ok(Outcome::Response(_))));
    script.expect(2, wire_declare("a"));
}
