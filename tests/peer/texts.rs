//! A peer's words, which may be no text, or take over a terminal: what is shown of them is harmless.

use std::fmt::Display;
use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};
use puka::{CancelledBy, Client, ClientOptions, ConnectionEvent, Error, Message, Recovery};

use crate::support::{
    Busy, assert_usable, client_in_trouble, client_of, connect_error, result, result_of,
};
use crate::wire::peer::{End, serve_well};
use crate::wire::{
    BODY, HEADER, close, confirm, frame, header, method, open_ok, short, start, usual_tune,
};

/// Clears the screen, rings, and is no UTF-8 in the end.
const NASTY: &[u8] = b"why\x1b[2J\r\n\t\0\x07\x08\x7f \xc2\x85\xc2\x9b2J \xff\xfe!";

/// Keeps those lines that would do harm in a terminal or a log, whichever test they come from.
struct Harmful(Mutex<Vec<String>>);

impl Log for Harmful {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        if record.target().starts_with("puka") && line.contains(char::is_control) {
            self.0.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

static HARMFUL: Harmful = Harmful(Mutex::new(Vec::new()));

fn listen_to_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&HARMFUL).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
}

fn assert_harmless(shown: &(impl Display + std::fmt::Debug)) {
    let (display, debug) = (shown.to_string(), format!("{shown:?}"));
    assert!(
        display.contains("why"),
        "it says nothing of it: {display:?}"
    );
    assert!(!display.contains(char::is_control), "{display:?}");
    assert!(!debug.contains(char::is_control), "{debug:?}");
    let harmful = HARMFUL.0.lock().unwrap();
    assert!(harmful.is_empty(), "{harmful:?}");
}

#[test]
fn the_text_of_a_close_is_harmless() {
    listen_to_the_log();
    for (channel, code) in [
        (0, 320),
        (0, 501),
        (0, 7),
        (Busy::PURGE, 404),
        (Busy::PURGE, 7),
    ] {
        let mut busy = Busy::new(ClientOptions::new(), close(channel, code, NASTY));
        let error = result(&mut busy.client, busy.purged).unwrap_err();
        assert_eq!(error.reply_code(), Some(code));
        // Programs see the text as it is, but for what is no text.
        let text = &error.reply().unwrap().text;
        assert_eq!(*text, String::from_utf8_lossy(NASTY));
        assert_harmless(&error);
        if channel == 0 {
            for publish in busy.published {
                assert_harmless(&result(&mut busy.client, publish).unwrap_err());
            }
            assert_harmless(&result(&mut busy.client, busy.consumer).unwrap_err());
        }
    }
}

#[test]
fn the_text_of_a_login_refused_is_harmless() {
    listen_to_the_log();
    let cases = [
        ("a close", close(0, 403, NASTY)),
        ("mechanisms", start(b"a peer", NASTY, b"en_US")),
        ("another protocol", NASTY.to_vec()),
    ];
    for (case, bytes) in cases {
        let mut client = client_in_trouble(ClientOptions::new(), move |mut peer| {
            peer.log_in(&[]);
            peer.say(&bytes);
            peer.end(End::Silence);
        });
        assert_harmless(&connect_error(&mut client));
        assert_usable(&mut client, case);
    }
}

#[test]
fn the_name_of_a_broker_is_harmless() {
    listen_to_the_log();
    let mut client = client_of(ClientOptions::new(), |mut peer| {
        let name = String::from_utf8_lossy(NASTY);
        let start = start(name.as_bytes(), b"PLAIN", NASTY);
        peer.log_in(&[start, usual_tune(), open_ok()]);
        peer.end(End::Silence);
    });
    assert_harmless(&result_of(&mut client, Client::connect).unwrap());
}

#[test]
fn a_returned_message_is_shown_harmlessly() {
    listen_to_the_log();
    let mut client = client_in_trouble(ClientOptions::new().pubacks(true), |mut peer| {
        peer.accept();
        let mut head = Vec::new();
        loop {
            let frame = peer.hear().unwrap();
            match frame.kind {
                // It has the mark by which the client knows its message.
                HEADER => head = frame.payload,
                BODY => break,
                _ => {}
            }
        }
        let arguments = [
            &b"\x01\x38"[..],
            &short(NASTY),
            &short(NASTY),
            &short(NASTY),
        ]
        .concat();
        let returned = [
            method(1, (20, 11), b"\0\0\0\0"),
            method(1, (85, 11), b""),
            method(1, (60, 50), &arguments),
            frame(HEADER, 1, &head),
            frame(BODY, 1, NASTY),
            confirm(80, 1, 1, false),
        ];
        peer.say(&returned.concat());
        peer.serve();
        peer.end(End::Silence);
    });
    result_of(&mut client, Client::connect).unwrap();
    let message = Message::new(NASTY).mandatory(true);
    let error =
        result_of(&mut client, |client| client.basic_publish("", "a", message)).unwrap_err();
    assert_harmless(&error);
    match error {
        Error::NoRoute(returned) => {
            assert_eq!(returned.routing_key, *String::from_utf8_lossy(NASTY));
            assert_eq!(&returned.body[..], NASTY);
        }
        error => panic!("{error}"),
    }
    result_of(&mut client, Client::close).unwrap();
    assert_usable(&mut client, "after a return");
}

#[test]
fn the_reason_of_a_blocked_connection_is_harmless() {
    listen_to_the_log();
    let options = ClientOptions::new().blocked_timeout(std::time::Duration::ZERO);
    let mut busy = Busy::new(options, method(0, (10, 60), &short(NASTY)));
    for publish in busy.published {
        let error = result(&mut busy.client, publish).unwrap_err();
        assert!(matches!(error.cause(), Error::Blocked(_)), "{error}");
        assert_harmless(&error);
    }
    let publish = busy.client.basic_publish("", "a", "later");
    assert_harmless(&result(&mut busy.client, publish).unwrap_err());
    result_of(&mut busy.client, Client::close).unwrap();
    assert_usable(&mut busy.client, "after a connection that was blocked");
}

#[test]
fn the_loss_that_is_recovered_from_is_told_harmlessly() {
    listen_to_the_log();
    let (sender, told) = std::sync::mpsc::channel();
    let mut client = client_in_trouble(
        ClientOptions::new().recovery(Recovery::new()),
        |mut peer| {
            peer.accept();
            peer.serve();
            peer.say(&close(0, 320, NASTY));
            peer.end(End::Silence);
        },
    );
    client.on_connection_event(move |_, event| sender.send(event).unwrap());
    result_of(&mut client, Client::connect).unwrap();
    assert_harmless(&result_of(&mut client, |client| client.queue_purge("a")).unwrap_err());
    result_of(&mut client, |client| client.queue_declare("a")).unwrap();
    match told.try_iter().next() {
        Some(ConnectionEvent::Lost(error)) => assert_harmless(&error),
        event => panic!("{event:?}"),
    }
    result_of(&mut client, Client::close).unwrap();
}

#[test]
fn names_that_are_no_text_are_read_as_far_as_they_are() {
    listen_to_the_log();
    let expected = String::from_utf8_lossy(NASTY).into_owned();
    let queue = [&short(NASTY)[..], &[0; 8]].concat();
    let mut connections = 0;
    let mut client = client_of(ClientOptions::new(), move |mut peer| {
        connections += 1;
        if connections > 1 {
            return serve_well(peer);
        }
        peer.accept();
        peer.expect((20, 10));
        peer.expect((50, 10));
        peer.say(&method(2, (20, 11), b"\0\0\0\0"));
        peer.say(&method(2, (50, 11), &queue));
        peer.serve();
        let (tag, key) = (b"3.0.", NASTY);
        let arguments = [
            &short(tag)[..],
            &[0; 7],
            b"\x02\0",
            &short(key),
            &short(key),
        ]
        .concat();
        peer.say(&[method(2, (60, 60), &arguments), header(2, 0)].concat());
        peer.say(&method(2, (60, 30), &[&short(tag)[..], b"\x01"].concat()));
        peer.serve();
        peer.end(End::Silence);
    });
    result_of(&mut client, Client::connect).unwrap();
    let declared = result_of(&mut client, |client| client.queue_declare("")).unwrap();
    assert_eq!(declared.queue, *expected);
    let consumer = client.basic_consume("work");
    result(&mut client, consumer).unwrap();
    client.queue_purge("a");
    let delivery = result(&mut client, consumer).unwrap();
    assert_eq!(delivery.exchange, *expected);
    assert_eq!(delivery.routing_key, *expected);
    assert!(!format!("{delivery:?}").contains(char::is_control));
    match result(&mut client, consumer).unwrap_err() {
        Error::Cancelled(end) => assert_eq!(end.by, CancelledBy::Broker),
        error => panic!("{error}"),
    }
    result_of(&mut client, Client::close).unwrap();
    assert_usable(&mut client, "after odd names");
}
