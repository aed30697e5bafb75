//! Publishes that are refused among others: who is told what, and what goes out again.

use std::collections::VecDeque;

use super::frames::channel_close;
use super::script::Script;
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::message::Message;
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicQosOk, ChannelOpenOk, ConfirmSelectOk, FRAME_METHOD, Method, split_frame,
};

fn script() -> Script {
    Script::connected()
}

fn ack(delivery_tag: u64) -> BasicAck {
    BasicAck {
        delivery_tag,
        multiple: true,
    }
}

fn send_open(script: &mut Script) {
    script.send(1, ChannelOpenOk::default());
    script.send(1, ConfirmSelectOk {});
}

/// What has become of each: `+` published, `?` unknown, `-` not sent, `.` nothing yet, or the broker's error.
fn told(script: &mut Script, promises: &[u64]) -> String {
    let results = promises
        .iter()
        .map(|promise| match script.result(*promise) {
            None => ".".into(),
            Some(Ok(Outcome::Published)) => "+".into(),
            Some(Err(Error::OutcomeUnknown(_))) => "?".into(),
            Some(Err(Error::NotSent(_))) => "-".into(),
            Some(Err(error)) => error
                .reply_code()
                .map_or("!".into(), |code| code.to_string()),
            Some(Ok(other)) => panic!("{other:?}"),
        });
    results.collect()
}

/// The exchanges of the publishes that were written meanwhile, and the other methods.
fn written(script: &mut Script) -> Vec<String> {
    script.write(usize::MAX);
    let mut written = Vec::new();
    while let Some(frame) = split_frame(&mut script.output, usize::MAX).unwrap() {
        if frame.kind == FRAME_METHOD {
            written.push(match Method::decode(&frame.payload).unwrap() {
                Method::BasicPublish(publish) => {
                    String::from_utf8_lossy(publish.exchange).into_owned()
                }
                method => method.name().into(),
            });
        }
    }
    written
}

const AGAIN: &[&str] = &["channel.close-ok", "channel.open", "confirm.select"];

#[test]
fn one_bad_property_fails_its_own_message_only() {
    for (message, text) in [
        (
            Message::new("").expiration("soon"),
            "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
        ),
        (
            Message::new("").user_id("another"),
            "PRECONDITION_FAILED - user_id property set to 'another' but authenticated user was 'guest'",
        ),
    ] {
        let mut script = script();
        let mut promises: Vec<u64> = (0..3).map(|_| script.publish("x", "", "a")).collect();
        promises.push(script.publish("x", "", message));
        promises.extend((0..3).map(|_| script.publish("x", "", "a")));
        written(&mut script);
        send_open(&mut script);
        script.send(1, ack(1));
        script.send(1, channel_close(406, text));
        assert_eq!(told(&mut script, &promises), "+??406...");
        assert_eq!(written(&mut script), [AGAIN, &["x"; 3]].concat());
        send_open(&mut script);
        script.send(1, ack(3));
        assert_eq!(told(&mut script, &promises[4..]), "+++");
        assert_eq!(script.connection.buffered(), 0);
    }
}

/// What the broker refuses for its own sake it refuses whenever it comes to it: so it was the first such one.
#[test]
fn of_several_bad_ones_it_was_the_first() {
    let mut script = script();
    let poison = || Message::new("").expiration("soon");
    let messages = ["a".into(), poison(), "a".into(), poison(), "a".into()];
    let promises = messages.map(|message| script.publish("x", "", message));
    written(&mut script);
    let text = "PRECONDITION_FAILED - invalid expiration 'soon': no_integer";
    script.send(1, channel_close(406, text));
    assert_eq!(told(&mut script, &promises), "?406...");
    written(&mut script);
    send_open(&mut script);
    script.send(1, ack(1));
    script.send(1, channel_close(406, text));
    assert_eq!(told(&mut script, &promises[2..]), "+406.");
    written(&mut script);
    send_open(&mut script);
    script.send(1, ack(1));
    assert_eq!(told(&mut script, &promises[4..]), "+");
}

#[test]
fn names_that_a_cut_text_does_not_tell_apart_are_all_suspected() {
    let mut script = script();
    let stem = "e".repeat(250);
    let names = [
        format!("{stem}1"),
        "x".into(),
        format!("{stem}2"),
        "x".into(),
    ];
    let promises = names.each_ref().map(|name| script.publish(name, "", "a"));
    written(&mut script);
    let text = format!("NOT_FOUND - no exchange '{}", names[0]);
    script.send(1, channel_close(404, &format!("{}...", &text[..252])));
    assert_eq!(told(&mut script, &promises), "???.");
}

#[test]
fn what_was_given_up_may_be_the_one_too() {
    let timeout = std::time::Duration::from_secs(1);
    let mut script = Script::connected_with(ClientOptions::new().blocked_timeout(timeout));
    let given_up = script.publish("bad", "", "a");
    script.send(0, crate::wire::ConnectionBlocked { reason: b"" });
    script.write(usize::MAX);
    script.pass(2 * timeout);
    assert_eq!(told(&mut script, &[given_up]), "?");
    script.send(0, crate::wire::ConnectionUnblocked {});
    let promises = ["x", "bad", "x"].map(|exchange| script.publish(exchange, "", "a"));
    written(&mut script);
    script.send(
        1,
        channel_close(404, "NOT_FOUND - no exchange 'bad' in vhost '/'"),
    );
    assert_eq!(told(&mut script, &promises), "??.");
}

/// An error of something else than a publish is no publish's.
#[test]
fn what_failed_by_its_name_is_told() {
    let mut script = script();
    let promise = script.publish("x", "", "a");
    written(&mut script);
    let close = crate::wire::ChannelClose {
        class_id: 85,
        method_id: 10,
        ..channel_close(
            406,
            "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
        )
    };
    script.send(1, close);
    assert_eq!(told(&mut script, &[promise]), "?");
}

/// A broker of one channel that refuses what goes to an exchange whose name begins with "bad", and never confirms before
/// it is told to. It counts what it reads.
#[derive(Default)]
struct Refusing {
    taken: Vec<String>,
    closing: bool,
    tag: u64,
    read: usize,
}

impl Refusing {
    /// Reads all that was written, and answers.
    fn turn(&mut self, script: &mut Script) -> bool {
        let mut written: VecDeque<String> = written(script).into();
        let any = !written.is_empty();
        while let Some(what) = written.pop_front() {
            match &*what {
                "channel.close-ok" => (self.closing, self.tag) = (false, 0),
                "channel.open" => script.send(1, ChannelOpenOk::default()),
                "confirm.select" => script.send(1, ConfirmSelectOk {}),
                "basic.qos" if !self.closing => script.send(1, BasicQosOk {}),
                "basic.qos" => {}
                exchange => {
                    self.read += 1;
                    if self.closing {
                    } else if exchange.starts_with("bad") {
                        self.closing = true;
                        let text = format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'");
                        script.send(1, channel_close(404, &text));
                    } else {
                        self.tag += 1;
                        self.taken.push(exchange.into());
                    }
                }
            }
        }
        any
    }
}

/// The work, counted: what is sent in vain after each refusal is bounded, however many follow.
#[test]
fn many_refusals_among_many_publishes_do_not_send_all_again_each_time() {
    let work = |count: usize| {
        let mut script = script();
        let name = |number: usize| match number % 2 {
            0 => format!("good{number}"),
            _ => format!("bad{number}"),
        };
        let promises: Vec<u64> = (0..count)
            .map(|number| script.publish(&name(number), "", "a"))
            .collect();
        let mut broker = Refusing::default();
        while broker.turn(&mut script) {}
        for (number, told) in promises
            .iter()
            .map(|&it| told(&mut script, &[it]))
            .enumerate()
        {
            match number % 2 {
                0 => assert!(told == "?" || told == "+", "{number}: {told}"),
                _ => assert_eq!(told, "404", "{number}"),
            }
        }
        // In order, and each once.
        let good: Vec<String> = (0..count).step_by(2).map(name).collect();
        assert_eq!(broker.taken, good);
        assert_eq!(script.connection.buffered(), 0);
        broker.read
    };
    let (few, many) = (work(500), work(2000));
    assert!(
        many < 5 * few,
        "{few} publishes were read of 500, {many} of 2000"
    );
}

/// What waits in line goes on when the broker has handled what is before it, be that confirmed or not; and what is
/// published meanwhile comes last.
#[test]
fn the_line_moves_without_confirms_and_stays_in_order() {
    let mut script = script();
    let mut broker = Refusing::default();
    let name = |number: usize| match number {
        0 | 1 => format!("bad{number}"),
        _ => format!("good{number}"),
    };
    for number in 0..500 {
        script.publish(&name(number), "", "a");
    }
    // All of them were sent in vain, twice: the third time some have to wait.
    broker.turn(&mut script);
    broker.turn(&mut script);
    let late = script.publish("late", "", "a");
    while broker.turn(&mut script) {}
    let expected: Vec<String> = (2..500).map(name).chain(["late".into()]).collect();
    assert_eq!(broker.taken, expected);
    assert_eq!(told(&mut script, &[late]), ".");
    script.send(1, ack(broker.tag));
    assert_eq!(told(&mut script, &[late]), "+");
    // And from now on nothing waits.
    script.publish("later", "", "a");
    assert_eq!(written(&mut script), ["later"]);
}

/// A script with a line, of which a batch is out: the promises of all.
fn with_a_line(options: ClientOptions) -> (Script, Vec<u64>) {
    let mut script = Script::connected_with(options);
    let mut broker = Refusing::default();
    let promises = (0..500).map(|number| match number {
        0 | 1 => script.publish(&format!("bad{number}"), "", "a"),
        _ => script.publish("x", "", "a"),
    });
    let promises = promises.collect();
    broker.turn(&mut script);
    broker.turn(&mut script);
    (script, promises)
}

#[test]
fn a_line_goes_out_before_the_connection_is_closed() {
    let (mut script, _) = with_a_line(ClientOptions::new());
    let out = written(&mut script);
    let first = out.iter().filter(|what| *what == "x").count();
    assert!(first < 498, "{first}");
    let close = script.close();
    let out = written(&mut script);
    assert_eq!(out.iter().filter(|what| *what == "x").count(), 498 - first);
    assert_eq!(out.last().unwrap(), "connection.close");
    script.send(0, crate::wire::ConnectionCloseOk {});
    assert_matches!(script.result(close), Some(Ok(_)));
    assert_eq!(script.connection.buffered(), 0);
}

/// Who waits for what is in line must not wait for more than the broker's next word.
#[test]
fn there_is_more_to_come_while_a_line_moves_and_not_while_it_stands() {
    let options = ClientOptions::new().recovery(crate::Recovery::new());
    let (mut script, promises) = with_a_line(options);
    assert!(script.connection.has_more());
    let mut broker = Refusing::default();
    while broker.turn(&mut script) {}
    assert!(!script.connection.has_more());
    script.lose();
    assert!(!script.connection.has_more());
    script.reconnect();
    written(&mut script);
    send_open(&mut script);
    assert!(!script.connection.has_more());
    script.send(1, ack(498));
    assert_eq!(told(&mut script, &promises[2..]), "+".repeat(498));
}

#[test]
fn a_line_survives_the_socket_and_is_lost_with_the_connection() {
    let options = || ClientOptions::new().recovery(crate::Recovery::new());
    let (mut script, promises) = with_a_line(options());
    let out = written(&mut script).len() - AGAIN.len();
    script.lose();
    script.reconnect();
    written(&mut script);
    send_open(&mut script);
    script.send(1, ack(498));
    assert_eq!(told(&mut script, &promises[2..]), "+".repeat(498));

    let (mut script, promises) = with_a_line(options());
    written(&mut script);
    script.lose();
    script.connection.end(&Error::Closed);
    script.collect();
    // The last of the batch is the fence.
    let sent = out - 1;
    let all = format!("{}{}", "?".repeat(sent), "-".repeat(498 - sent));
    assert_eq!(told(&mut script, &promises[2..]), all);
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn a_line_that_the_broker_blocks_for_too_long_is_given_up() {
    let timeout = std::time::Duration::from_secs(1);
    let (mut script, promises) = with_a_line(ClientOptions::new().blocked_timeout(timeout));
    let out = written(&mut script).len() - AGAIN.len();
    script.send(0, crate::wire::ConnectionBlocked { reason: b"" });
    script.pass(2 * timeout);
    let sent = out - 1;
    let all = format!("{}{}", "?".repeat(sent), "-".repeat(498 - sent));
    assert_eq!(told(&mut script, &promises[2..]), all);
    assert_eq!(script.connection.buffered(), 0);
}

/// It is the message's fault, whether or not it had to wait.
#[test]
fn headers_that_no_frame_can_hold_are_refused_in_line_as_elsewhere() {
    let (mut script, _) = with_a_line(ClientOptions::new().frame_max(4096));
    let too_large = || Message::new("b").header("k", "v".repeat(4096));
    let in_line = script.publish("x", "", too_large());
    let mut broker = Refusing::default();
    while broker.turn(&mut script) {}
    let at_once = script.publish("x", "", too_large());
    let results = [in_line, at_once].map(|promise| match script.result(promise) {
        Some(Err(Error::InvalidArgument(text))) => text,
        other => panic!("{promise}: {other:?}"),
    });
    assert_eq!(results[0], results[1]);
}
