//! A peer's word on a size costs nothing: memory is for bytes that are here. A process of its own, whose allocations are
//! counted.
#![cfg(unix)]

use std::alloc::System;
use std::io::Write;
use std::net::Shutdown;

use mio::net::UnixStream;
use puka::{Client, ClientOptions, Consume, Delivery, Result};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an honest session may take, with all of the client's buffers.
const HONEST: usize = 1 << 20;

/// What a lie may cost beside that: a piece of a body, ahead of its bytes.
const LIE: usize = 2 << 20;

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(kind, channel, payload.len() as u32);
    frame.extend(payload);
    frame.push(0xce);
    frame
}

/// The beginning of a frame that says it has a payload of that size.
fn head(kind: u8, channel: u16, size: u32) -> Vec<u8> {
    [&[kind][..], &channel.to_be_bytes(), &size.to_be_bytes()].concat()
}

/// connection.start, with these bytes as the server's properties, and their size.
fn start(properties: &[u8]) -> Vec<u8> {
    let rest = b"\0\0\0\x05PLAIN\0\0\0\x05en_US";
    frame(1, 0, &[b"\0\x0a\0\x0a\0\x09", properties, rest].concat())
}

/// A session up to the consumer, on channel 2; frames may have 1 GiB.
fn consuming() -> Vec<u8> {
    [
        start(b"\0\0\0\0"),
        frame(1, 0, b"\0\x0a\0\x1e\0\x64\x40\0\0\0\0\0"),
        frame(1, 0, b"\0\x0a\0\x29\0"),
        frame(1, 2, b"\0\x14\0\x0b\0\0\0\0"),
        frame(1, 2, b"\0\x3c\0\x0b"),
        frame(1, 2, b"\0\x3c\0\x15\x042.0."),
    ]
    .concat()
}

/// basic.deliver, and the header of a body of that size, with these properties.
fn delivery(size: u64, properties: &[u8]) -> Vec<u8> {
    let header = [b"\0\x3c\0\0", &size.to_be_bytes()[..], properties].concat();
    let deliver = b"\0\x3c\0\x3c\x042.0.\0\0\0\0\0\0\0\x01\0\0\x04work";
    [frame(1, 2, deliver), frame(2, 2, &header)].concat()
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
    let honest = [consuming(), delivery(4, b"\0\0"), frame(3, 2, b"body")].concat();
    let (result, bytes) = run(&honest);
    assert_eq!(result.unwrap().body, "body");
    assert!(bytes < HONEST, "{bytes} bytes for an honest session");

    const GIB: u32 = (1 << 30) - 8;
    let huge = 1 << 63;
    let ones = frame(3, 2, b"1").repeat(1_000);
    let none = b"\0\0";
    let method = |payload: &[u8]| [consuming(), frame(1, 2, payload)].concat();
    let body = |frames: &[u8]| [&consuming(), &delivery(huge, none), frames].concat();
    for (lie, session) in [
        ("the first frame", head(1, 0, u32::MAX)),
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
        ("a method", [consuming(), head(1, 2, GIB)].concat()),
        ("a long string", method(b"\0\x14\0\x0b\xff\xff\xff\xff")),
        ("a short string", method(b"\0\x3c\0\x15\xff2.0.")),
        ("a header", [consuming(), head(2, 2, GIB)].concat()),
        (
            "the headers",
            [consuming(), delivery(huge, b"\x20\0\xff\xff\xff\xff")].concat(),
        ),
        ("a body", body(b"")),
        ("a body that has begun", body(&ones)),
        ("a body frame", body(&head(3, 2, GIB))),
        (
            "a body frame that has begun",
            body(&[head(3, 2, GIB), vec![0; 20_000]].concat()),
        ),
    ] {
        let (result, bytes) = run(&session);
        assert!(result.is_err(), "{lie}: {result:?}");
        assert!(bytes < HONEST + LIE, "{lie}: {bytes} bytes");
    }
}
