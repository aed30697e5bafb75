//! What many of a kind take: thirty-two times as many may take some thirty-two times as long, never a thousand times. Each
//! is measured against itself, with a margin that no busy machine uses up again and again.

use std::time::Duration;

use super::script::Script;
use crate::ClientOptions;
use crate::connection::consume::unsettled::Unsettled;
use crate::connection::{Request, RpcRequest};
use crate::types::error::Error;
use crate::types::message::Message;
use crate::types::requests::Consume;

const MANY: usize = 32;

/// Asserts that `work` on so many more takes far less than the square of that.
fn assert_linear(few: usize, mut work: impl FnMut(usize)) {
    let mut time = |count: usize| {
        let begun = crate::net::clock::now();
        work(count);
        begun.elapsed()
    };
    let mut tried = Vec::new();
    for _ in 0..5 {
        let times = (time(few).max(Duration::from_millis(1)), time(MANY * few));
        if times.1 < times.0 * 300 {
            return;
        }
        tried.push(times);
    }
    panic!("{few}, and {MANY} times as many, take {tried:?}");
}

fn call(script: &mut Script) -> u64 {
    let limit = Duration::from_secs(10);
    script.request(Request::Rpc(Box::new(RpcRequest {
        exchange: "".into(),
        routing_key: "q".into(),
        message: Message::new("?"),
        timeout: limit,
        deadline: script.now + limit,
    })))
}

#[test]
fn calls_that_expire_together() {
    assert_linear(1_000, |count| {
        // Most of them wait for a channel.
        let mut script = Script::connected_with(ClientOptions::new().channel_max(500));
        let calls: Vec<u64> = (0..count).map(|_| call(&mut script)).collect();
        script.pass(Duration::from_secs(11));
        for call in calls {
            assert_matches!(script.result(call), Some(Err(Error::NoReply(_))));
        }
    });
}

#[test]
fn consumers_that_are_cancelled_before_they_begin() {
    assert_linear(1_000, |count| {
        let mut script = Script::connected_with(ClientOptions::new().channel_max(2));
        script.declare("a");
        let consumers: Vec<u64> = (0..count)
            .map(|_| script.consume(Consume::new("a")))
            .collect();
        for consumer in consumers.into_iter().rev() {
            script.cancel(consumer);
            assert_matches!(script.result(consumer), Some(Err(Error::Cancelled(_))));
        }
    });
}

#[test]
fn acknowledgements_in_any_order() {
    assert_linear(20_000, |count| {
        let mut unsettled = Unsettled::default();
        for tag in 0..count as u64 {
            unsettled.push(tag);
        }
        // A step without a common divisor comes by each tag once.
        for number in 0..count as u64 {
            assert!(unsettled.remove(number * 7919 % count as u64));
        }
        assert!(unsettled.is_empty());
    });
}

#[test]
fn a_call_that_cannot_be_written_is_not_given_up_once_more() {
    let mut script = Script::connected();
    let limit = Duration::from_secs(10);
    let refused = script.request(Request::Rpc(Box::new(RpcRequest {
        exchange: "x".repeat(256).into(),
        routing_key: "q".into(),
        message: Message::new("?"),
        timeout: limit,
        deadline: script.now + limit,
    })));
    assert_matches!(script.result(refused), Some(Err(Error::InvalidArgument(_))));
    script.pass(Duration::from_secs(11));
}
