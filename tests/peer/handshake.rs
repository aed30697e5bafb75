//! Logins that stop, are refused, or make no sense.

use std::thread;
use std::time::Duration;

use puka::{Client, ClientOptions, Disconnect, Error};

use crate::support::{
    assert_usable, client_in_trouble, client_of, connect_error, result, result_of,
};
use crate::wire::peer::End;
use crate::wire::{
    body, close, header, long, method, on_channel, open_ok, start, tune, usual_login, usual_start,
    usual_tune, wrong_end,
};

/// The places at which a login stops: that many bytes are said.
fn stops() -> Vec<(&'static str, usize)> {
    let started = usual_start().len();
    let tuned = started + usual_tune().len();
    vec![
        ("after accept", 0),
        ("after the type of start's frame", 1),
        ("after the head of start's frame", 7),
        ("within start", started / 2),
        ("before start's end", started - 1),
        ("after start", started),
        ("within tune", started + 10),
        ("after tune", tuned),
        ("before the end of open-ok", tuned + open_ok().len() - 1),
    ]
}

#[test]
fn a_login_that_stops_anywhere_is_given_up_in_time() {
    thread::scope(|scope| {
        for (case, count) in stops() {
            scope.spawn(move || {
                let limit = Duration::from_millis(300);
                let options = ClientOptions::new().connect_timeout(limit);
                let mut client = client_in_trouble(options, move |peer| {
                    let mut peer = peer.that_says(count);
                    assert!(peer.accept().is_none(), "{case}");
                    peer.end(End::Silence);
                });
                match connect_error(&mut client) {
                    Error::ConnectionBroken(Disconnect::TimedOut { what, limit: told }) => {
                        assert_eq!((what, told), ("connecting", limit), "{case}");
                    }
                    error => panic!("{case}: {error}"),
                }
                assert_usable(&mut client, case);
            });
        }
    });
}

#[test]
fn a_login_may_be_cut_off_anywhere() {
    for (case, count) in stops() {
        for end in [End::Eof, End::Reset] {
            let mut client = client_in_trouble(ClientOptions::new(), move |peer| {
                let mut peer = peer.that_says(count);
                assert!(peer.accept().is_none(), "{case}");
                peer.end(end);
            });
            let error = connect_error(&mut client);
            let as_it_was = match (&error, end) {
                (Error::ConnectionBroken(Disconnect::Eof), End::Eof) => true,
                (Error::ConnectionBroken(Disconnect::Io(_)), End::Reset) => true,
                // That comes as early as the connection does.
                (Error::ConnectionBroken(Disconnect::Connect(_)), End::Reset) => count == 0,
                _ => false,
            };
            assert!(as_it_was, "{case}, {end:?}: {error}");
            assert_usable(&mut client, case);
        }
    }
}

#[test]
fn a_close_is_the_result_wherever_it_comes() {
    for step in 0..=3 {
        let case = format!("after {step} frames");
        let mut client = client_in_trouble(ClientOptions::new(), move |mut peer| {
            peer.log_in(&usual_login()[..step]);
            if step == 3 {
                peer.serve();
            }
            peer.say(&close(0, 320, b"CONNECTION_FORCED - shutdown"));
            // It is closed in order.
            peer.expect((10, 51)).unwrap();
            peer.end(End::Silence);
        });
        let error = if step < 3 {
            connect_error(&mut client)
        } else {
            result_of(&mut client, Client::connect).unwrap();
            result_of(&mut client, |client| client.queue_purge("a")).unwrap_err()
        };
        assert!(
            matches!(error, Error::ConnectionForced(_)),
            "{case}: {error}"
        );
        let text = "CONNECTION_FORCED - shutdown (320, queue.declare)";
        assert_eq!(error.to_string(), text, "{case}");
        assert_usable(&mut client, &case);
    }
}

#[test]
fn an_operators_close_that_meets_the_clients_own_is_as_good() {
    let mut client = client_in_trouble(ClientOptions::new(), |mut peer| {
        peer.accept();
        while peer.hear().unwrap().id() != Some((10, 50)) {}
        peer.say(&close(0, 320, b"CONNECTION_FORCED - shutdown"));
        peer.expect((10, 51)).unwrap();
        peer.end(End::Silence);
    });
    result_of(&mut client, Client::connect).unwrap();
    let declare = client.queue_declare("a");
    result_of(&mut client, Client::close).unwrap();
    let error = result(&mut client, declare).unwrap_err();
    assert!(matches!(error, Error::ConnectionForced(_)), "{error}");
    assert_usable(&mut client, "after both have closed");
}

#[test]
fn a_close_that_is_not_answered_is_given_up_in_time() {
    let limit = Duration::from_secs(1);
    let options = ClientOptions::new().connect_timeout(limit);
    let mut client = client_in_trouble(options, |mut peer| {
        peer.accept();
        peer.end(End::Silence);
    });
    result_of(&mut client, Client::connect).unwrap();
    match result_of(&mut client, Client::close).unwrap_err() {
        Error::ConnectionBroken(Disconnect::TimedOut { what, limit: told }) => {
            assert_eq!((what, told), ("closing", limit));
        }
        error => panic!("{error}"),
    }
    assert_usable(&mut client, "after a close without an answer");
}

/// The client goes without a word, as AMQP asks for, and blames nobody.
#[test]
fn a_peer_without_a_login_mechanism_in_common_is_left() {
    let offers: [&[u8]; 5] = [
        b"",
        b"   ",
        b"GSSAPI plain",
        b"PLAIN,AMQPLAIN",
        b"\xff\0\x1b[2J\n\x07PLAI",
    ];
    for offered in offers {
        let case = offered.escape_ascii().to_string();
        let started = start(b"a peer", offered, b"en_US");
        let mut client = client_in_trouble(ClientOptions::new(), move |mut peer| {
            peer.hear_header();
            peer.say(&started);
            assert!(peer.hear().is_none());
            peer.end(End::Silence);
        });
        let error = connect_error(&mut client);
        let Error::NoMechanism { allowed, .. } = &error else {
            panic!("{case}: {error}");
        };
        assert_eq!(allowed, "PLAIN AMQPLAIN", "{case}");
        let told = error.to_string();
        assert!(!told.contains(char::is_control), "{case}: {told}");
        assert_usable(&mut client, &case);
    }
}

#[test]
fn a_login_that_makes_no_sense_gets_the_code_for_it() {
    let [started, tuned, opened] = usual_login();
    let twice = |frame: &Vec<u8>| vec![started.clone(), frame.clone()];
    let cases = [
        (
            "half a start",
            vec![method(0, (10, 10), b"\0\x09\0")],
            502,
            "too early",
        ),
        (
            "too much of a start",
            vec![method(
                0,
                (10, 10),
                b"\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\0?",
            )],
            502,
            "left over",
        ),
        (
            "an unknown method",
            vec![method(0, (10, 99), b"")],
            540,
            "10.99",
        ),
        (
            "a start that is too large",
            vec![b"\x01\0\0\xff\xff\xff\xff".to_vec()],
            501,
            "4294967",
        ),
        (
            "a start that does not end",
            vec![wrong_end(&started)],
            501,
            "0xcd",
        ),
        (
            "tune before start",
            vec![tuned.clone()],
            503,
            "connection.tune",
        ),
        (
            "open-ok before start",
            vec![opened.clone()],
            503,
            "connection.open-ok",
        ),
        (
            "start on channel 1",
            vec![on_channel(1, &started)],
            504,
            "connection.start",
        ),
        ("start twice", twice(&started), 503, "connection.start"),
        (
            "open-ok before tune",
            twice(&opened),
            503,
            "connection.open-ok",
        ),
        (
            "a challenge",
            twice(&method(0, (10, 20), &long(b"what?"))),
            503,
            "connection.secure",
        ),
        (
            "a header before tune",
            twice(&header(0, 1)),
            501,
            "channel 0",
        ),
        (
            "a body before tune",
            twice(&body(1, b"x")),
            504,
            "channel 1",
        ),
        (
            "frames of one byte",
            twice(&tune(0, 1, 0)),
            530,
            "frame_max 1 is below 4096",
        ),
        (
            "frames that are too small",
            twice(&tune(0, 4095, 0)),
            530,
            "frame_max 4095",
        ),
        (
            "tune twice",
            vec![started.clone(), tuned.clone(), tuned.clone()],
            503,
            "connection.tune",
        ),
        (
            "a channel before open-ok",
            vec![
                started.clone(),
                tuned.clone(),
                method(2, (20, 11), b"\0\0\0\0"),
            ],
            504,
            "channel 2, which is not open",
        ),
    ];
    for (case, mut frames, code, text) in cases {
        let last = frames.pop().unwrap();
        let mut client = client_in_trouble(ClientOptions::new(), move |mut peer| {
            peer.log_in(&frames);
            peer.say(&last);
            peer.serve();
            assert_eq!(peer.closed(), Some(code), "{case}");
            peer.end(End::Silence);
        });
        let error = connect_error(&mut client);
        assert_eq!(error.reply_code(), Some(code), "{case}: {error}");
        let told = error.to_string();
        assert!(
            told.starts_with("the peer broke the protocol: "),
            "{case}: {told}"
        );
        assert!(told.contains(text), "{case}: {told}");
        assert_usable(&mut client, case);
    }
}

#[test]
fn a_login_may_be_odd() {
    let none = (u16::MAX, 131_072, 0);
    let usual = (100, 8192, 0);
    for (case, start, tune, agreed) in [
        ("no limits", usual_start(), tune(0, 0, 0), none),
        (
            "huge limits",
            usual_start(),
            tune(u16::MAX, u32::MAX, u16::MAX),
            none,
        ),
        ("the least", usual_start(), tune(1, 4096, 1), (1, 4096, 0)),
        (
            "no locale",
            start(b"a peer", b"PLAIN", b""),
            usual_tune(),
            usual,
        ),
        (
            "garbage for locales",
            start(b"a peer", b"PLAIN", b"\xff\0\x1b[2J"),
            usual_tune(),
            usual,
        ),
        (
            "spaces between mechanisms",
            start(b"", b"  X  PLAIN ", b"en_US"),
            usual_tune(),
            usual,
        ),
        (
            "a product that is no text",
            start(b"\xff\xfe", b"PLAIN", b"en_US"),
            usual_tune(),
            usual,
        ),
        (
            "properties that are no table",
            method(0, (10, 10), b"\0\x09\0\0\0\x02xy\0\0\0\x05PLAIN\0\0\0\0"),
            usual_tune(),
            usual,
        ),
        (
            "no properties",
            method(0, (10, 10), b"\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US"),
            usual_tune(),
            usual,
        ),
    ] {
        let frames = [start, tune, open_ok()];
        let mut client = client_of(ClientOptions::new(), move |mut peer| {
            peer.log_in(&frames);
            peer.serve();
            peer.end(End::Silence);
        });
        let connected = result_of(&mut client, Client::connect).unwrap();
        let found = (
            connected.channel_max,
            connected.frame_max,
            connected.heartbeat,
        );
        assert_eq!(found, agreed, "{case}");
        let declared = result_of(&mut client, |client| client.queue_declare("a"));
        match declared {
            // The one that there is, is for publishing.
            Err(Error::NoFreeChannel(_)) => assert_eq!(connected.channel_max, 1, "{case}"),
            declared => assert_eq!(declared.unwrap().queue, "a", "{case}"),
        }
        result_of(&mut client, Client::close).unwrap();
    }
}
