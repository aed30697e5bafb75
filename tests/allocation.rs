//! A peer's word on a size costs nothing: memory is for bytes that are here. A process of its own, whose allocations are
//! counted.
#![cfg(unix)]

mod wire;

use std::alloc::System;
use std::io::Write;
use std::net::Shutdown;

use mio::net::UnixStream;
use puka::{Client, ClientOptions, Consume, Delivery, Result};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use wire::{
    BODY, HEADER, METHOD, body, channel_open_ok, deliver, head, header_with, method, open_ok,
    start_with, tune,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an honest session may take, with all of the client's buffers.
const HONEST: usize = 1 << 20;

/// What a lie may cost beside that: a piece of a body, ahead of its bytes.
const LIE: usize = 2 << 20;

/// connection.start, with these bytes as the server's properties, and their size.
fn start(properties: &[u8]) -> Vec<u8> {
    start_with(properties, b"PLAIN", b"en_US")
}

/// A session up to the consumer, on channel 2; frames may have 1 GiB.
fn consuming() -> Vec<u8> {
    [
        start(b"\0\0\0\0"),
        tune(100, 1 << 30, 0),
        open_ok(),
        channel_open_ok(2),
        method(2, (60, 11), b""),
        method(2, (60, 21), b"\x042.0."),
    ]
    .concat()
}

/// basic.deliver, and the header of a body of that size, with these properties.
fn delivery(size: u64, properties: &[u8]) -> Vec<u8> {
    [deliver(2, b"2.0.", 1), header_with(2, size, properties)].concat()
}

/// What comes of a session that ends behind these bytes, and how much was allocated for it.
fn run(bytes: &[u8]) -> (Result<Delivery>, usize) {
    let (stream, mut peer) = UnixStream::pair().unwrap();
    let options = ClientOptions::new().frame_max(0).heartbeat(0);
    let mut client = Client::with_options("amqp://localhost/", options).unwrap();
    let region = Region::new(ALLOCATOR);
    client.connect_over(stream);
    let consumer = client.basic_consume(Consume::new("work"));
    peer.write_all(bytes).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let result = client.wait(consumer);
    (result, region.change().bytes_allocated)
}

#[test]
fn a_size_that_is_only_told_of_costs_nothing() {
    let honest = [consuming(), delivery(4, b"\0\0"), body(2, b"body")].concat();
    let (result, bytes) = run(&honest);
    assert_eq!(result.unwrap().body, "body");
    assert!(bytes < HONEST, "{bytes} bytes for an honest session");

    const GIB: u32 = (1 << 30) - 8;
    let huge = 1 << 63;
    let ones = body(2, b"1").repeat(1_000);
    let none = b"\0\0";
    let truncated = |id, arguments: &[u8]| [consuming(), method(2, id, arguments)].concat();
    let of_body = |frames: &[u8]| [&consuming(), &delivery(huge, none), frames].concat();
    for (lie, session) in [
        ("the first frame", head(METHOD, 0, u32::MAX)),
        ("the server's properties", start(b"\xff\xff\xff\xff")),
        (
            "a table in them",
            start(b"\0\0\0\x07\x01kF\xff\xff\xff\xff"),
        ),
        (
            "an array in them",
            start(b"\0\0\0\x07\x01kA\xff\xff\xff\xff"),
        ),
        ("a text in them", start(b"\0\0\0\x07\x01kS\xff\xff\xff\xff")),
        ("bytes in them", start(b"\0\0\0\x07\x01kx\xff\xff\xff\xff")),
        ("a method", [consuming(), head(METHOD, 2, GIB)].concat()),
        ("a long string", truncated((20, 11), b"\xff\xff\xff\xff")),
        ("a short string", truncated((60, 21), b"\xff2.0.")),
        ("a header", [consuming(), head(HEADER, 2, GIB)].concat()),
        (
            "the headers",
            [consuming(), delivery(huge, b"\x20\0\xff\xff\xff\xff")].concat(),
        ),
        ("a body", of_body(b"")),
        ("a body that has begun", of_body(&ones)),
        ("a body frame", of_body(&head(BODY, 2, GIB))),
        (
            "a body frame that has begun",
            of_body(&[head(BODY, 2, GIB), vec![0; 20_000]].concat()),
        ),
    ] {
        let (result, bytes) = run(&session);
        assert!(result.is_err(), "{lie}: {result:?}");
        assert!(bytes < HONEST + LIE, "{lie}: {bytes} bytes");
    }
}
