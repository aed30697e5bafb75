//! Publishes that cannot go out, and failed ones that nobody asks for: memory stays within bounds that are measured in
//! bytes of the process. A process of its own, so that no other test's memory is counted.
#![cfg(target_os = "linux")]

mod process;
mod wire;

use puka::{Client, ClientOptions, Message};

use process::{memory, peak_memory};
use wire::peer::{End, Peer, listen};
use wire::{BODY, HEADER, confirm, frame, method, open_ok, tune, usual_start};

const MARK: usize = 16 << 20;

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

fn serve(mut peer: Peer, then: Then) -> Option<()> {
    if let Then::Wait = then {
        peer.log_in(&[usual_start()]);
        peer.end(End::Silence);
        return None;
    }
    // Headers and bodies are one frame each.
    peer.log_in(&[usual_start(), tune(100, 131_072, 0), open_ok()])?;
    if let Then::Block = then {
        peer.say(&method(0, (10, 60), b"\0"))?;
    }
    let mut tag = 0;
    loop {
        let method_frame = peer.hear()?;
        if method_frame.id() != Some((60, 40)) {
            peer.answer(&method_frame)?;
            continue;
        }
        tag += 1;
        let channel = method_frame.channel;
        let (header, body) = (peer.hear()?, peer.hear()?);
        let returned = [
            method(channel, (60, 50), b"\x01\x38\x08NO_ROUTE\0\0"),
            frame(HEADER, channel, &header.payload),
            frame(BODY, channel, &body.payload),
            confirm(80, channel, tag, false),
        ];
        peer.say(&returned.concat())?;
    }
}

fn client(then: Then) -> Client {
    let address = listen(move |peer| {
        serve(peer, then);
    });
    let url = format!("amqp://{address}/");
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
            let before = memory();
            let count = fill(&mut client, most, message);
            let grown = memory().saturating_sub(before);
            println!("{count} messages, {grown} kB");
            assert!(!client.has_room(), "{count} messages, and there is room");
            assert!(grown < 2 * MARK / 1024, "{grown} kB for {count} messages");
        }
    }
    // Failed ones that nobody asks for.
    let mut client = client(Then::Return);
    let body = vec![b'x'; 10_000];
    let before = memory();
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
    let grown = peak_memory().saturating_sub(before);
    println!("{grown} kB for 30,000 returned messages of 10 kB");
    assert!(grown < 128 * 1024, "memory grew by {grown} kB");
}
