//! Peers that say nothing, and peers that are slow to hear.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use puka::{Client, ClientOptions, Disconnect, Error};

use crate::support::{Busy, assert_usable, client_in_trouble, result, result_of};
use crate::wire::peer::{End, LIMIT};
use crate::wire::{BODY, body, deliver, header, method};

const TAG: &[u8] = Busy::TAG;
const CONSUMER: u16 = Busy::CONSUMER;

#[test]
fn a_peer_that_falls_silent_is_noticed_wherever_it_does() {
    let large = || body(CONSUMER, &[b'x'; 8000]);
    let cases = [
        ("between two frames", Vec::new()),
        (
            "within a frame's head",
            deliver(CONSUMER, TAG, 2)[..5].to_vec(),
        ),
        ("within a method", deliver(CONSUMER, TAG, 2)[..15].to_vec()),
        ("before the header", deliver(CONSUMER, TAG, 2)),
        (
            "within a body",
            [
                deliver(CONSUMER, TAG, 2),
                header(CONSUMER, 10),
                body(CONSUMER, b"half"),
            ]
            .concat(),
        ),
        (
            "within a large frame",
            [
                &deliver(CONSUMER, TAG, 2)[..],
                &header(CONSUMER, 8000),
                &large()[..5000],
            ]
            .concat(),
        ),
        (
            "within the largest body there can be",
            [
                deliver(CONSUMER, TAG, 2),
                header(CONSUMER, u64::MAX),
                large(),
                large(),
            ]
            .concat(),
        ),
        (
            "within a body of 2^63 bytes",
            [
                deliver(CONSUMER, TAG, 2),
                header(CONSUMER, 1 << 63),
                body(CONSUMER, b"x"),
                large(),
            ]
            .concat(),
        ),
    ];
    thread::scope(|scope| {
        for (case, bytes) in cases {
            scope.spawn(move || {
                let mut busy = Busy::new(ClientOptions::new().heartbeat(1), bytes);
                let client = &mut busy.client;
                assert_eq!(client.connected().unwrap().heartbeat, 1);
                let errors = [
                    result(client, busy.purged).unwrap_err(),
                    result(client, busy.consumer).unwrap_err(),
                    result(client, busy.published[0]).unwrap_err(),
                ];
                for error in errors {
                    let is_it = matches!(
                        error.cause(),
                        Error::ConnectionBroken(Disconnect::BrokerSilent(_))
                    );
                    assert!(is_it, "{case}: {error}");
                }
                assert_usable(client, case);
            });
        }
    });
}

#[test]
fn reads_that_bring_nothing_are_no_sign_of_life() {
    let mut client = client_in_trouble(ClientOptions::new().heartbeat(1), |mut peer| {
        // A peer that agrees on a heartbeat, and then sends none.
        peer.accept();
        peer.end(End::Silence);
    });
    result_of(&mut client, Client::connect).unwrap();
    let never = client.queue_purge("a");
    let begun = Instant::now();
    while client.is_connected() {
        assert!(begun.elapsed() < LIMIT);
        client.on_write();
        client.on_read();
        client.on_timeout();
        thread::yield_now();
    }
    let error = result(&mut client, never).unwrap_err();
    assert!(
        matches!(error, Error::ConnectionBroken(Disconnect::BrokerSilent(_))),
        "{error}"
    );
    assert_usable(&mut client, "after a silence");
}

#[test]
fn a_slow_reader_gets_every_byte_in_order() {
    // Bodies of many sizes, to a peer that takes a little at a time, and then tells how many bytes came.
    let (sender, received) = channel();
    let options = ClientOptions::new().high_water_mark(usize::MAX);
    let mut client = client_in_trouble(options, move |mut peer| {
        peer.accept();
        let mut bodies = Vec::new();
        loop {
            let frame = peer.hear().unwrap();
            match frame.kind {
                BODY => bodies.extend(frame.payload),
                _ if frame.id() == Some((10, 50)) => break,
                _ => {}
            }
        }
        peer.say(&method(0, (10, 51), b""));
        sender.send(bodies).unwrap();
        peer.end(End::Silence);
    });
    result_of(&mut client, Client::connect).unwrap();
    let mut sent = Vec::new();
    for size in [1, 100, 5_000, 8_184, 8_185, 100_000, 3_000_000, 10, 20_000] {
        let body: Vec<u8> = (0..size).map(|place: usize| (place % 253) as u8).collect();
        sent.extend(&body);
        client.basic_publish("", "a", body);
    }
    result_of(&mut client, Client::close).unwrap();
    assert!(received.recv_timeout(LIMIT).unwrap() == sent);
    assert_usable(&mut client, "after a slow reader");
}
