//! Publishes that cannot go out, and failed ones that nobody asks for: memory stays within bounds that are measured in
//! bytes of the process. A process of its own, so that no other test's memory is counted.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use puka::{Client, ClientOptions, Message};

const MARK: usize = 16 << 20;

/// Kilobytes of this process in memory: now, or at its worst.
fn memory(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(what))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame.push(0xce);
    frame
}

fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut rest = vec![0; size + 1];
    stream.read_exact(&mut rest).ok()?;
    rest.pop();
    Some((head[0], rest))
}

/// What the peer does once the client has logged in.
#[derive(Clone, Copy)]
enum Then {
    /// It never lets the client in.
    Wait,
    /// It takes no messages.
    Block,
    /// It gives every message back, and then confirms it.
    Return,
}

fn serve(mut stream: TcpStream, then: Then) -> Option<()> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).ok()?;
    let capabilities = b"\x0ccapabilitiesF\0\0\0\x15\x12publisher_confirmst\x01";
    let start = [
        &b"\0\x0a\0\x0a\0\x09"[..],
        &(capabilities.len() as u32).to_be_bytes(),
        capabilities,
        b"\0\0\0\x05PLAIN\0\0\0\x05en_US",
    ]
    .concat();
    stream.write_all(&frame(1, 0, &start)).ok()?;
    read_frame(&mut stream)?;
    if let Then::Wait = then {
        stream.read_exact(&mut [0; 1]).ok()?;
        return Some(());
    }
    let tune = b"\0\x0a\0\x1e\0\x64\0\x02\0\0\0\0";
    stream.write_all(&frame(1, 0, tune)).ok()?;
    read_frame(&mut stream)?;
    read_frame(&mut stream)?;
    stream.write_all(&frame(1, 0, b"\0\x0a\0\x29\0")).ok()?;
    if let Then::Block = then {
        stream.write_all(&frame(1, 0, b"\0\x0a\0\x3c\0")).ok()?;
    }
    let mut tag = 0u64;
    loop {
        let (kind, payload) = read_frame(&mut stream)?;
        let answer = match (kind, payload.get(..4)?) {
            (1, [0, 20, 0, 10]) => frame(1, 1, b"\0\x14\0\x0b\0\0\0\0"),
            (1, [0, 85, 0, 10]) => frame(1, 1, b"\0\x55\0\x0b"),
            (1, [0, 60, 0, 40]) => {
                let (_, header) = read_frame(&mut stream)?;
                let (_, body) = read_frame(&mut stream)?;
                tag += 1;
                let ack = [&b"\0\x3c\0\x50"[..], &tag.to_be_bytes(), b"\0"].concat();
                let returned = b"\0\x3c\0\x32\x01\x38\x08NO_ROUTE\0\0";
                [
                    frame(1, 1, returned),
                    frame(2, 1, &header),
                    frame(3, 1, &body),
                    frame(1, 1, &ack),
                ]
                .concat()
            }
            (1, [0, 10, 0, 50]) => frame(1, 0, b"\0\x0a\0\x33"),
            _ => continue,
        };
        stream.write_all(&answer).ok()?;
    }
}

fn client(then: Then) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}/", listener.local_addr().unwrap());
    thread::spawn(move || serve(listener.accept().unwrap().0, then));
    let options = ClientOptions::new().high_water_mark(MARK);
    let mut client = Client::with_options(&url, options.blocking_publish(false)).unwrap();
    let connect = client.connect();
    if !matches!(then, Then::Wait) {
        client.wait(connect).unwrap();
    }
    while matches!(then, Then::Block) && client.blocked().is_none() {
        client
            .loop_timeout(std::time::Duration::from_millis(10))
            .unwrap();
    }
    client
}

/// Publishes while there is room; how many messages found room. There is none for more than `most`, unless it fails.
fn fill(client: &mut Client, most: usize, message: impl Fn() -> Message) -> usize {
    let mut count = 0;
    while client.has_room() && count < most {
        client.basic_publish("", "nowhere", message());
        count += 1;
    }
    count
}

#[test]
fn what_is_kept_of_publishes_is_bounded_in_bytes_of_the_process() {
    for then in [Then::Wait, Then::Block] {
        // All of it is in the headers; or in nothing at all.
        let headers = || Message::new("").header("k", "v".repeat(60_000));
        for (most, message) in [
            (3000, &headers as &dyn Fn() -> Message),
            (500_000, &|| Message::new("")),
        ] {
            let mut client = client(then);
            let before = memory("VmRSS:");
            let count = fill(&mut client, most, message);
            let grown = memory("VmRSS:").saturating_sub(before);
            println!("{count} messages, {grown} kB");
            assert!(!client.has_room(), "{count} messages, and there is room");
            assert!(grown < 2 * MARK / 1024, "{grown} kB for {count} messages");
        }
    }
    // Failed ones that nobody asks for.
    let mut client = client(Then::Return);
    let body = vec![b'x'; 10_000];
    let before = memory("VmRSS:");
    for _ in 0..30_000 {
        let message = Message::new(body.clone()).mandatory(true);
        while !client.has_room() {
            client
                .loop_timeout(std::time::Duration::from_millis(1))
                .unwrap();
        }
        client.basic_publish("", "nowhere", message);
    }
    let last = client.basic_publish("", "nowhere", Message::new(body).mandatory(true));
    assert!(matches!(client.wait(last), Err(puka::Error::NoRoute(_))));
    let grown = memory("VmHWM:").saturating_sub(before);
    println!("{grown} kB for 30,000 returned messages of 10 kB");
    assert!(grown < 128 * 1024, "memory grew by {grown} kB");
}
