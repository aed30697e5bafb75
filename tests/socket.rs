//! Peers that are no broker, over a real socket: what a broker does not do on demand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use puka::{Broken, Client, ClientOptions, Error, Promise};

/// Longer than anything takes that will ever come.
const LIMIT: Duration = Duration::from_secs(60);

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame.push(0xce);
    frame
}

/// connection.start, of a server with no properties.
fn start() -> Vec<u8> {
    frame(
        1,
        0,
        b"\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US",
    )
}

/// connection.tune: 100 channels, frames of 8192 bytes, no heartbeat.
fn tune() -> Vec<u8> {
    frame(1, 0, b"\0\x0a\0\x1e\0\x64\0\0\x20\0\0\0")
}

fn open_ok() -> Vec<u8> {
    frame(1, 0, b"\0\x0a\0\x29\0")
}

/// The payload of the next frame.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut rest = vec![0; size + 1];
    stream.read_exact(&mut rest).ok()?;
    rest.pop();
    Some(rest)
}

fn accept_header(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut header = [0; 8];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header, HEADER);
    stream
}

/// A peer that logs the client in.
fn accept(listener: &TcpListener) -> TcpStream {
    let mut stream = accept_header(listener);
    stream.write_all(&start()).unwrap();
    assert_eq!(read_frame(&mut stream).unwrap()[..4], *b"\0\x0a\0\x0b");
    stream.write_all(&tune()).unwrap();
    assert_eq!(read_frame(&mut stream).unwrap()[..4], *b"\0\x0a\0\x1f");
    assert_eq!(read_frame(&mut stream).unwrap()[..4], *b"\0\x0a\0\x28");
    stream.write_all(&open_ok()).unwrap();
    stream
}

/// A client of a peer that does `serve` with each connection.
fn client_of(options: ClientOptions, serve: impl Fn(&TcpListener) + Send + 'static) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        loop {
            serve(&listener);
        }
    });
    Client::with_options(&url, options).unwrap()
}

fn connect_error(client: &mut Client) -> Error {
    let promise = client.connect();
    client.wait_timeout(promise, LIMIT).unwrap_err()
}

#[test]
fn a_handshake_may_end_anywhere_and_the_client_tries_again() {
    let script: Vec<u8> = [start(), tune(), open_ok()].concat();
    for cut in 0..script.len() {
        let bytes = script[..cut].to_vec();
        let mut client = client_of(ClientOptions::new(), move |listener| {
            let mut stream = accept_header(listener);
            stream.write_all(&bytes).unwrap();
            // Half a close: what the client has sent does not turn it into a reset.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        for _ in 0..2 {
            let error = connect_error(&mut client);
            assert!(
                matches!(error, Error::ConnectionBroken(Broken::Eof)),
                "cut at {cut}: {error}"
            );
        }
    }
}

#[test]
fn a_peer_of_another_protocol_is_named() {
    for (answer, text) in [
        (&b"AMQP\x00\x00\x09\x01"[..], "AMQP 0-0-9-1"),
        (b"AMQP\x03\x01\x00\x00", "AMQP 3-1-0-0"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 400"),
        (b"\x15\x03\x03\x00\x02\x02\x16", "the peer speaks TLS"),
    ] {
        let mut client = client_of(ClientOptions::new(), move |listener| {
            let mut stream = accept_header(listener);
            let _ = stream.write_all(answer);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = connect_error(&mut client);
        assert!(
            matches!(&error, Error::UnsupportedProtocol(said) if said.contains(text)),
            "{error}"
        );
        assert!(!client.is_connected());
    }
}

#[test]
fn a_handshake_that_stops_anywhere_is_given_up_in_time() {
    for steps in 0..3 {
        let limit = Duration::from_millis(200);
        let mut client = client_of(
            ClientOptions::new().connect_timeout(limit),
            move |listener| {
                let mut stream = accept_header(listener);
                let script = [start(), tune()];
                for step in &script[..steps] {
                    stream.write_all(step).unwrap();
                }
                let _ = stream.read_to_end(&mut Vec::new());
            },
        );
        let begun = Instant::now();
        let error = connect_error(&mut client);
        assert!(
            matches!(error, Error::ConnectionBroken(Broken::TimedOut { .. })),
            "{error}"
        );
        assert!(begun.elapsed() >= limit);
    }
}

#[test]
fn a_close_that_is_not_answered_is_given_up_in_time() {
    let limit = Duration::from_millis(500);
    let mut client = client_of(ClientOptions::new().connect_timeout(limit), |listener| {
        let mut stream = accept(listener);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    client.connect().wait(&mut client).unwrap();
    let closed = client.close();
    let error = client.wait_timeout(closed, LIMIT).unwrap_err();
    assert!(
        matches!(error, Error::ConnectionBroken(Broken::TimedOut { .. })),
        "{error}"
    );
    client.connect().wait(&mut client).unwrap();
}

#[test]
fn a_slow_reader_gets_every_byte_in_order() {
    // Bodies of many sizes, to a peer that takes a little at a time, and then tells how many bytes came.
    let (sender, received) = std::sync::mpsc::channel();
    let mut client = client_of(
        ClientOptions::new().high_water_mark(usize::MAX),
        move |listener| {
            let mut stream = accept(listener);
            let mut bodies = Vec::new();
            let mut closing = false;
            while !closing {
                let Some(payload) = read_slowly(&mut stream) else {
                    return;
                };
                match payload {
                    (1, 0, payload) => closing = payload.starts_with(b"\0\x0a\0\x32"),
                    (3, 1, payload) => bodies.extend(payload),
                    _ => {}
                }
            }
            stream.write_all(&frame(1, 0, b"\0\x0a\0\x33")).unwrap();
            sender.send(bodies).unwrap();
        },
    );
    client.connect().wait(&mut client).unwrap();
    let mut sent = Vec::new();
    for size in [1, 100, 5_000, 8_184, 8_185, 100_000, 3_000_000, 10, 20_000] {
        let body: Vec<u8> = (0..size).map(|place: usize| (place % 253) as u8).collect();
        sent.extend(&body);
        client.basic_publish("", "a", body);
    }
    let closed = client.close();
    client.wait_timeout(closed, LIMIT).unwrap().unwrap();
    assert!(received.recv_timeout(LIMIT).unwrap() == sent);
}

/// A frame's type, channel and payload, with the socket's buffer mostly full.
fn read_slowly(stream: &mut TcpStream) -> Option<(u8, u16, Vec<u8>)> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut rest = vec![0; size + 1];
    for piece in rest.chunks_mut(3_000) {
        thread::yield_now();
        stream.read_exact(piece).ok()?;
    }
    rest.pop();
    Some((head[0], u16::from_be_bytes([head[1], head[2]]), rest))
}

#[test]
fn a_peer_that_breaks_the_protocol_gets_the_code_for_it() {
    let deliver = b"\0\x3c\0\x3c\x01t\0\0\0\0\0\0\0\x01\0\0\0";
    for (bytes, code) in [
        (frame(1, 0, b"\0\x0a\0\x63"), 540),
        (frame(1, 0, b"\0\x0a\0\x33\0"), 502),
        (frame(1, 7, b"\0\x14\0\x0b\0\0\0\0"), 504),
        (frame(3, 7, b"body"), 504),
        (frame(2, 0, b"header"), 501),
        (frame(9, 0, b""), 501),
        (frame(1, 0, b"\0\x0a\0\x29\0"), 503),
        (frame(1, 7, deliver), 504),
        (b"\x08\0\0\0\0\0\0\xcd".to_vec(), 501),
        (b"\x03\0\x01\xff\xff\xff\xff".to_vec(), 501),
    ] {
        let (sender, received) = std::sync::mpsc::channel();
        let shown = format!("{}", bytes.escape_ascii());
        let mut client = client_of(ClientOptions::new(), move |listener| {
            let mut stream = accept(listener);
            stream.write_all(&bytes).unwrap();
            while let Some(payload) = read_frame(&mut stream) {
                if payload.starts_with(b"\0\x0a\0\x32") {
                    let _ = sender.send(u16::from_be_bytes([payload[4], payload[5]]));
                }
            }
        });
        client.connect().wait(&mut client).unwrap();
        let never: Promise<u32> = client.queue_purge("a");
        let error = client.wait_timeout(never, LIMIT).unwrap_err();
        assert_eq!(error.reply_code(), Some(code), "{shown}: {error}");
        assert!(error.to_string().contains("broke the protocol"), "{error}");
        assert_eq!(received.recv_timeout(LIMIT), Ok(code), "{shown}");
        client.connect().wait(&mut client).unwrap();
    }
}

#[test]
fn reads_that_bring_nothing_are_no_sign_of_life() {
    let mut client = client_of(ClientOptions::new().heartbeat(1), |listener| {
        // A peer that agrees on a heartbeat, and then sends none.
        let mut stream = accept(listener);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    client.connect().wait(&mut client).unwrap();
    assert_eq!(client.connected().unwrap().heartbeat, 1);
    let never: Promise<u32> = client.queue_purge("a");
    let begun = Instant::now();
    while client.is_connected() {
        assert!(begun.elapsed() < LIMIT);
        client.on_write();
        client.on_read();
        client.on_timeout();
        thread::yield_now();
    }
    let error = client.wait(never).unwrap_err();
    assert!(
        matches!(error, Error::ConnectionBroken(Broken::Heartbeat(_))),
        "{error}"
    );
}
