//! What a peer may not say in mid-session.

use std::iter;

use puka::{ClientOptions, Error};

use crate::support::{Busy, assert_usable, result};
use crate::wire::{
    HEADER, METHOD, body, close, confirm, deliver, frame, header, heartbeat, long, method,
    on_channel, open_ok, purge_ok, tune, usual_start, wrong_end,
};

const TAG: &[u8] = Busy::TAG;
const CONSUMER: u16 = Busy::CONSUMER;
const PURGE: u16 = Busy::PURGE;

/// A reply code, a part of the text that goes with it, and what is answered by both.
type Group = (u16, &'static str, Vec<(&'static str, Vec<u8>)>);

fn frames() -> Vec<Group> {
    vec![
        (
            501,
            "where at most 8192 were agreed on",
            vec![
                ("a body over frame_max", body(CONSUMER, &[b'x'; 8185])),
                (
                    "a method over frame_max",
                    b"\x01\0\x03\0\0\x1f\xf9".to_vec(),
                ),
                ("a frame of 4 GiB", b"\x03\0\x02\xff\xff\xff\xff".to_vec()),
                ("an AMQP header", b"AMQP\x00\x00\x09\x01".to_vec()),
            ],
        ),
        (
            501,
            "0xcd, not in 0xce",
            vec![
                ("a method", wrong_end(&purge_ok(PURGE, 1))),
                ("a heartbeat", wrong_end(&heartbeat())),
                (
                    "a body",
                    begun(&[header(CONSUMER, 1), wrong_end(&body(CONSUMER, b"x"))]),
                ),
                (
                    "a large body",
                    begun(&[header(CONSUMER, 8000), wrong_end(&large(CONSUMER))]),
                ),
            ],
        ),
        (
            501,
            "a frame of the unknown type",
            vec![
                ("0", frame(0, PURGE, b"")),
                ("4", frame(4, PURGE, b"")),
                ("255", frame(255, 0, b"x")),
            ],
        ),
    ]
}

fn methods() -> Vec<Group> {
    let on_purge = |id, arguments: &[u8]| method(PURGE, id, arguments);
    vec![
        (
            540,
            "is unknown",
            vec![
                ("a class", on_purge((99, 1), b"")),
                ("a method", on_purge((50, 60), b"")),
                ("a method on channel 0", method(0, (10, 99), b"")),
            ],
        ),
        (
            502,
            "it ends too early",
            vec![
                ("no method at all", frame(METHOD, PURGE, b"")),
                ("half a number", frame(METHOD, PURGE, b"\0\x32\0")),
                ("half a purge-ok", on_purge((50, 31), b"\0\0")),
                ("a name beyond its frame", on_purge((50, 11), b"\xffa")),
                ("half a close", method(0, (10, 50), b"\x01\x40\x7fx")),
            ],
        ),
        (
            502,
            "has bytes left over",
            vec![("a purge-ok", on_purge((50, 31), b"\0\0\0\x01\0"))],
        ),
        (
            504,
            "which is not open",
            vec![
                ("a purge-ok", purge_ok(77, 1)),
                ("a purge-ok on the last channel", purge_ok(u16::MAX, 1)),
                ("a delivery", deliver(77, TAG, 2)),
                ("a channel.close", close(77, 404, b"NOT_FOUND")),
                ("a header", header(77, 1)),
                ("a body", body(77, b"x")),
                ("a large body", large(77)),
            ],
        ),
        (
            503,
            "on channel 0 at this time",
            vec![
                ("a purge-ok", purge_ok(0, 1)),
                ("a delivery", deliver(0, TAG, 2)),
                ("start in mid-session", usual_start()),
                ("a challenge", method(0, (10, 20), &long(b"what?"))),
                ("tune in mid-session", tune(0, 0, 0)),
                ("open-ok unasked", open_ok()),
                ("close-ok unasked", method(0, (10, 51), b"")),
                ("update-secret-ok unasked", method(0, (10, 71), b"")),
            ],
        ),
        (
            503,
            "which nobody asked for",
            vec![
                ("channel.open-ok", on_purge((20, 11), b"\0\0\0\0")),
                ("channel.close-ok", on_purge((20, 41), b"")),
                ("declare-ok", on_purge((50, 11), b"\x01a\0\0\0\0\0\0\0\0")),
                ("get-empty", on_purge((60, 72), b"\0")),
                ("get-ok", on_purge((60, 71), &[0; 15])),
                ("a second select-ok", method(1, (85, 11), b"")),
                ("a request", on_purge((50, 30), b"\0\0\x01a\0")),
                ("a publish", method(1, (60, 40), b"\0\0\0\x01a\0")),
                ("connection.close", on_channel(PURGE, &close(0, 320, b"?"))),
                ("an ack to a consumer", confirm(80, CONSUMER, 1, false)),
                ("a return to a consumer", basic_return(CONSUMER)),
                ("a return to a purge", basic_return(PURGE)),
            ],
        ),
        (
            503,
            "a confirm of something never published",
            vec![
                ("an ack", confirm(80, 1, 3, false)),
                ("a nack", confirm(120, 1, 3, false)),
                ("an ack of all up to it", confirm(80, 1, 3, true)),
                ("an ack of the last tag", confirm(80, 1, u64::MAX, false)),
                ("an ack of all tags", confirm(80, 1, u64::MAX, true)),
                ("an ack of tag 0", confirm(80, 1, 0, false)),
            ],
        ),
    ]
}

fn contents() -> Vec<Group> {
    let empty = |channel, tag: &[u8], delivery_tag| {
        [deliver(channel, tag, delivery_tag), header(channel, 0)].concat()
    };
    let bad_header = |payload: &[u8]| begun(&[frame(HEADER, CONSUMER, payload)]);
    let returned = [basic_return(1), header(1, 1), body(1, b"x")].concat();
    let not_found = close(CONSUMER, 404, b"NOT_FOUND");
    vec![
        (
            501,
            "content on channel 0",
            vec![
                ("a header", header(0, 1)),
                ("a body", body(0, b"x")),
                ("a large body", large(0)),
            ],
        ),
        (
            505,
            "content that no method announced",
            vec![
                ("a header", header(CONSUMER, 1)),
                ("a body", body(CONSUMER, b"x")),
                ("a large body", large(CONSUMER)),
                (
                    "after no body",
                    begun(&[header(CONSUMER, 0), body(CONSUMER, b"x")]),
                ),
            ],
        ),
        (
            505,
            "a body frame before its content header",
            vec![
                ("a body", begun(&[body(CONSUMER, b"x")])),
                ("a large body", begun(&[large(CONSUMER)])),
            ],
        ),
        (
            505,
            "a second content header",
            vec![(
                "a header",
                begun(&[header(CONSUMER, 1), header(CONSUMER, 1)]),
            )],
        ),
        (
            505,
            "a body longer than its header announced",
            vec![
                (
                    "a body",
                    begun(&[header(CONSUMER, 3), body(CONSUMER, b"abcd")]),
                ),
                (
                    "two bodies",
                    begun(&[
                        header(CONSUMER, 3),
                        body(CONSUMER, b"ab"),
                        body(CONSUMER, b"cd"),
                    ]),
                ),
                (
                    "a large body",
                    begun(&[header(CONSUMER, 7999), large(CONSUMER)]),
                ),
            ],
        ),
        (
            505,
            "in the midst of a message",
            vec![
                ("before the header", begun(&[deliver(CONSUMER, TAG, 3)])),
                (
                    "after the header",
                    begun(&[header(CONSUMER, 2), deliver(CONSUMER, TAG, 3)]),
                ),
                (
                    "channel.close",
                    begun(&[header(CONSUMER, 2), body(CONSUMER, b"a"), not_found]),
                ),
                (
                    "a body of 2^63 bytes",
                    begun(&[
                        header(CONSUMER, 1 << 63),
                        large(CONSUMER),
                        deliver(CONSUMER, TAG, 3),
                    ]),
                ),
            ],
        ),
        (
            502,
            "it ends too early",
            vec![
                ("half a header", bad_header(b"\0\x3c\0\0\0\0")),
                (
                    "half a property",
                    bad_header(b"\0\x3c\0\0\0\0\0\0\0\0\0\x01\x80\0"),
                ),
            ],
        ),
        (
            502,
            "has bytes left over",
            vec![("a header", bad_header(b"\0\x3c\0\0\0\0\0\0\0\0\0\x01\0\0?"))],
        ),
        (
            503,
            "a delivery for an unknown consumer",
            vec![
                ("another tag", empty(CONSUMER, b"9.9.", 2)),
                ("no tag", empty(CONSUMER, b"", 2)),
                ("a tag that is no text", empty(CONSUMER, b"\xff\x1b[2J", 2)),
            ],
        ),
        (
            503,
            "a delivery where nobody consumes",
            vec![
                ("where a purge is", empty(PURGE, TAG, 2)),
                ("where publishes are", empty(1, TAG, 2)),
            ],
        ),
        (
            503,
            "a delivery tag that does not rise",
            vec![
                ("the same", empty(CONSUMER, TAG, 1)),
                ("0", empty(CONSUMER, TAG, 0)),
            ],
        ),
        (
            503,
            "the return of something never published",
            vec![("a return", returned)],
        ),
    ]
}

/// A delivery's method, and those frames.
fn begun(frames: &[Vec<u8>]) -> Vec<u8> {
    [deliver(CONSUMER, TAG, 2), frames.concat()].concat()
}

/// A body frame of 8000 bytes, which goes a way of its own.
fn large(channel: u16) -> Vec<u8> {
    body(channel, &[b'x'; 8000])
}

/// basic.return, without the content.
fn basic_return(channel: u16) -> Vec<u8> {
    method(channel, (60, 50), b"\x01\x38\x08NO_ROUTE\0\x01a")
}

#[test]
fn a_peer_that_breaks_the_protocol_gets_the_code_for_it() {
    for (code, text, cases) in [frames(), methods(), contents()].concat() {
        for (case, bytes) in cases {
            let case = format!("{text}: {case}");
            let mut busy = Busy::new(ClientOptions::new(), bytes);
            let client = &mut busy.client;
            let purged = result(client, busy.purged).unwrap_err();
            // What was whole before comes before.
            let consumed =
                iter::repeat_with(|| result(client, busy.consumer)).find_map(Result::err);
            for error in [purged, consumed.unwrap()] {
                let told = error.to_string();
                assert_eq!(error.reply_code(), Some(code), "{case}: {told}");
                assert!(told.starts_with("the peer broke the protocol: "), "{told}");
                assert!(told.contains(text), "{case}: {told}");
            }
            for publish in busy.published {
                let error = result(client, publish).unwrap_err();
                assert!(matches!(error, Error::OutcomeUnknown(_)), "{case}: {error}");
                assert_eq!(error.reply_code(), Some(code), "{case}: {error}");
            }
            assert_eq!(busy.closed(), Some(code), "{case}");
            assert_usable(&mut busy.client, &case);
        }
    }
}
