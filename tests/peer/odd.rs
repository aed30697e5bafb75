//! What a peer may say, though it seldom does.

use puka::{Client, ClientOptions, Error};

use crate::support::{Busy, assert_usable, result, result_of};
use crate::wire::{
    HEARTBEAT, body, close, confirm, deliver, frame, header, heartbeat, method, purge_ok,
};

const TAG: &[u8] = Busy::TAG;
const CONSUMER: u16 = Busy::CONSUMER;
const PURGE: u16 = Busy::PURGE;

#[test]
fn what_is_odd_but_allowed_does_no_harm() {
    let message = |delivery_tag, pieces: &[Vec<u8>]| {
        let size = pieces.iter().map(|piece| piece.len() - 8).sum::<usize>();
        let head = [
            deliver(CONSUMER, TAG, delivery_tag),
            header(CONSUMER, size as u64),
        ];
        [&head[..], pieces].concat().concat()
    };
    let ack = |tag, multiple| confirm(80, 1, tag, multiple);
    let cases = [
        (
            "acks twice",
            [ack(1, false), ack(1, false), ack(2, false), ack(2, false)].concat(),
            2,
            &b""[..],
        ),
        (
            "acks out of turn",
            [ack(2, false), ack(1, false)].concat(),
            2,
            b"",
        ),
        (
            "an ack of one within many",
            [ack(2, true), ack(1, false), ack(1, true)].concat(),
            2,
            b"",
        ),
        ("an ack of all", ack(0, true), 2, b""),
        (
            "an ack of all, twice",
            [ack(0, true), ack(0, true)].concat(),
            2,
            b"",
        ),
        (
            "a heartbeat with something in it, on a channel",
            frame(HEARTBEAT, PURGE, b"tick"),
            0,
            b"",
        ),
        (
            "a flow",
            [
                method(PURGE, (20, 20), b"\0"),
                method(PURGE, (20, 20), b"\x01"),
            ]
            .concat(),
            0,
            b"",
        ),
        (
            "a cancel of an unknown consumer",
            method(CONSUMER, (60, 30), b"\x02\xff\0\x01"),
            0,
            b"",
        ),
        (
            "a cancel where nobody consumes",
            method(PURGE, (60, 30), b"\x042.0.\x01"),
            0,
            b"",
        ),
        (
            "blocked and unblocked, twice",
            [
                &method(0, (10, 60), b"\x01\xff")[..],
                &method(0, (10, 60), b"\0"),
                &method(0, (10, 61), b""),
                &method(0, (10, 61), b""),
            ]
            .concat(),
            0,
            b"",
        ),
        (
            "a body byte by byte",
            message(
                2,
                &[
                    body(CONSUMER, b"a"),
                    body(CONSUMER, b"b"),
                    body(CONSUMER, b"c"),
                ],
            ),
            0,
            b"abc",
        ),
        (
            "empty frames within a body",
            message(
                2,
                &[
                    body(CONSUMER, b""),
                    body(CONSUMER, b"ab"),
                    body(CONSUMER, b""),
                    body(CONSUMER, b"c"),
                ],
            ),
            0,
            b"abc",
        ),
        (
            "other channels within a message",
            [
                deliver(CONSUMER, TAG, 2),
                ack(1, false),
                header(CONSUMER, 2),
                heartbeat(),
                body(CONSUMER, b"a"),
                method(0, (10, 60), b"\0"),
                ack(2, false),
                body(CONSUMER, b"b"),
            ]
            .concat(),
            2,
            b"ab",
        ),
        (
            "a leap of the delivery tag",
            message(u64::MAX, &[body(CONSUMER, b"ab")]),
            0,
            b"ab",
        ),
    ];
    for (case, mut bytes, published, delivered) in cases {
        bytes.extend(purge_ok(PURGE, 7));
        let mut busy = Busy::new(ClientOptions::new(), bytes);
        let client = &mut busy.client;
        // What comes last: all is well.
        assert_eq!(result(client, busy.purged).unwrap(), 7, "{case}");
        for publish in &busy.published[..published] {
            result(client, *publish).unwrap();
        }
        if !delivered.is_empty() {
            let delivery = result(client, busy.consumer).unwrap();
            assert_eq!(&delivery.body[..], delivered, "{case}");
            client.basic_ack(delivery).unwrap();
        }
        assert_eq!(
            result_of(client, |client| client.queue_declare("a"))
                .unwrap()
                .queue,
            "a",
            "{case}"
        );
        result_of(client, Client::close).unwrap();
        for publish in &busy.published[published..] {
            let error = result(client, *publish).unwrap_err();
            assert!(matches!(error.cause(), Error::Closed), "{case}: {error}");
        }
        assert_eq!(busy.closed(), Some(200), "{case}");
        assert_usable(&mut busy.client, case);
    }
}

/// Reply codes that nobody expects.
const CODES: [u16; 9] = [0, 1, 200, 312, 404, 500, 542, 999, u16::MAX];

#[test]
fn a_channel_may_be_closed_with_any_code() {
    for code in CODES {
        let bytes = close(PURGE, code, b"WHY - because");
        let mut busy = Busy::new(ClientOptions::new(), bytes);
        let client = &mut busy.client;
        let error = result(client, busy.purged).unwrap_err();
        assert_eq!(error.reply_code(), Some(code), "{error}");
        assert_eq!(
            error.to_string(),
            format!("WHY - because ({code}, queue.declare)")
        );
        assert_eq!(
            matches!(error, Error::NotFound(_)),
            code == 404,
            "{error:?}"
        );
        // It takes nothing else down.
        assert_eq!(
            result_of(client, |client| client.queue_declare("a"))
                .unwrap()
                .queue,
            "a"
        );
        result_of(client, Client::close).unwrap();
        assert_eq!(busy.closed(), Some(200));
        assert_usable(&mut busy.client, "after a channel.close");
    }
}

#[test]
fn a_connection_may_be_closed_with_any_code() {
    for code in CODES {
        let bytes = close(0, code, b"WHY - because");
        let mut busy = Busy::new(ClientOptions::new(), bytes);
        let client = &mut busy.client;
        let errors = [
            result(client, busy.purged).unwrap_err(),
            result(client, busy.consumer).unwrap_err(),
            result(client, busy.published[0]).unwrap_err(),
        ];
        for error in errors {
            let cause = error.cause();
            assert_eq!(cause.reply_code(), Some(code), "{error}");
            assert_eq!(
                cause.to_string(),
                format!("WHY - because ({code}, queue.declare)")
            );
            assert_eq!(
                matches!(cause, Error::NotFound(_)),
                code == 404,
                "{error:?}"
            );
        }
        assert_usable(&mut busy.client, "after a connection.close");
    }
}
