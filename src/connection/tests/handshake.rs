//! Protocol header, start, tune, open; and what may go wrong on the way.

use bytes::{Bytes, BytesMut};

use super::frames::{TUNE, frame_of, server_properties, start};
use super::script::{CONNECT, Script};
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::results::{Connected, Outcome};
use crate::wire::{
    ConnectionClose, ConnectionCloseOk, ConnectionOpen, ConnectionOpenOk, ConnectionSecure,
    ConnectionStart, ConnectionTune, ConnectionTuneOk, FieldTable, FieldValue, Method,
    PROTOCOL_HEADER,
};

/// What the connect promise has come to, on a script that should be open.
fn connected(script: &mut Script) -> Connected {
    match script.result(CONNECT) {
        Some(Ok(Outcome::Connected(connected))) => (*connected).clone(),
        other => panic!("{other:?}"),
    }
}

/// The client properties that it sends, and its login.
fn start_ok(script: &mut Script) -> (FieldTable, String, String, String) {
    let frame = script.frame();
    assert_eq!((frame.kind, frame.channel), (1, 0));
    let Ok(Method::ConnectionStartOk(ok)) = Method::decode(&frame.payload) else {
        panic!("{frame:?}");
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        FieldTable::from_wire(frame.payload.slice_ref(ok.client_properties)),
        text(ok.mechanism),
        text(ok.response),
        text(ok.locale),
    )
}

fn table(value: Option<FieldValue>) -> FieldTable {
    match value {
        Some(FieldValue::Table(table)) => table,
        other => panic!("{other:?}"),
    }
}

fn text(properties: &FieldTable, name: &str) -> String {
    let value = properties.get(name);
    value
        .and_then(|value| value.as_str().map(String::from))
        .unwrap_or_default()
}

#[test]
fn the_first_bytes_are_the_protocol_header() {
    let mut script = Script::new(ClientOptions::new());
    script.expect_bytes(b"AMQP\x00\x00\x09\x01");
    script.expect_nothing();
    assert_matches!(script.result(CONNECT), None);
}

#[test]
fn start_ok_logs_in_with_plain_and_says_what_the_client_can() {
    let mut script = Script::new(ClientOptions::new());
    script.expect_bytes(PROTOCOL_HEADER);
    script.send(0, start(&server_properties("4.1.0")));
    let (properties, mechanism, response, locale) = start_ok(&mut script);
    assert_eq!(mechanism, "PLAIN");
    assert_eq!(response, "\0guest\0secret");
    assert_eq!(locale, "en_US");
    assert_eq!(text(&properties, "product"), "puka");
    assert_eq!(text(&properties, "version"), env!("CARGO_PKG_VERSION"));
    let capabilities = table(properties.get("capabilities"));
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
    ] {
        assert_eq!(
            capabilities.get(name),
            Some(FieldValue::Bool(true)),
            "{name}"
        );
    }
    script.expect_nothing();
}

#[test]
fn the_users_properties_stand_beside_ours_or_in_their_place() {
    let options = ClientOptions::new()
        .connection_name("billing")
        .client_property("product", "till");
    let mut script = Script::new(options);
    script.expect_bytes(PROTOCOL_HEADER);
    script.send(0, start(&server_properties("4.1.0")));
    let (properties, ..) = start_ok(&mut script);
    assert_eq!(text(&properties, "connection_name"), "billing");
    assert_eq!(text(&properties, "product"), "till");
    assert_eq!(text(&properties, "platform"), "Rust");
}

#[test]
fn a_property_of_the_users_that_amqp_cannot_say_is_refused() {
    let mut script = Script::new(ClientOptions::new().client_property("x", f64::NAN));
    script.expect_bytes(PROTOCOL_HEADER);
    script.send(0, start(&server_properties("4.1.0")));
    assert_matches!(script.result(CONNECT), Some(Err(Error::InvalidArgument(_))));
    script.expect_nothing();
}

#[test]
fn the_handshake_may_come_byte_by_byte() {
    let mut script = Script::with_vhost(ClientOptions::new(), "accounts");
    script.expect_bytes(PROTOCOL_HEADER);
    let by_bytes = |script: &mut Script, bytes: BytesMut| {
        let (last, rest) = bytes.split_last().unwrap();
        for byte in rest {
            script.send_bytes(&[*byte]);
            script.expect_nothing();
        }
        script.send_bytes(&[*last]);
    };
    by_bytes(
        &mut script,
        frame_of(0, &start(&server_properties("4.1.0"))),
    );
    start_ok(&mut script);
    by_bytes(&mut script, frame_of(0, &TUNE));
    script.expect(
        0,
        ConnectionTuneOk {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 0,
        },
    );
    script.expect(
        0,
        ConnectionOpen {
            virtual_host: b"accounts",
            ..Default::default()
        },
    );
    assert_matches!(script.result(CONNECT), None);
    assert!(!script.connection.is_open());
    by_bytes(&mut script, frame_of(0, &ConnectionOpenOk::default()));
    assert!(script.connection.is_open());
    script.expect_nothing();
    let connected = connected(&mut script);
    assert_eq!(connected.version(), "4.1.0");
    assert_eq!(connected.to_string(), "RabbitMQ 4.1.0");
    assert!(connected.pubacks);
}

#[test]
fn the_smaller_limit_counts_and_zero_is_none() {
    let tune = |channel_max, frame_max, heartbeat| ConnectionTune {
        channel_max,
        frame_max,
        heartbeat,
    };
    for (ours, theirs, agreed) in [
        ((0, 131_072, 0), (2047, 131_072, 60), (2047, 131_072, 0)),
        ((100, 8192, 10), (2047, 131_072, 60), (100, 8192, 10)),
        (
            (3000, 200_000, 100),
            (2047, 131_072, 60),
            (2047, 131_072, 60),
        ),
        ((0, 0, 0), (0, 0, 0), (65_535, 131_072, 0)),
        ((0, 0, 5), (0, 4096, 0), (65_535, 4096, 5)),
        ((7, 200_000, 0), (0, 0, 0), (7, 200_000, 0)),
    ] {
        let options = ClientOptions::new()
            .channel_max(ours.0)
            .frame_max(ours.1)
            .heartbeat(ours.2);
        let mut script = Script::new(options);
        script.expect_bytes(PROTOCOL_HEADER);
        script.send(0, start(&server_properties("4.1.0")));
        start_ok(&mut script);
        script.send(0, tune(theirs.0, theirs.1, theirs.2));
        let (channel_max, frame_max, heartbeat) = agreed;
        script.expect(
            0,
            ConnectionTuneOk {
                channel_max,
                frame_max,
                heartbeat,
            },
        );
        script.expect(
            0,
            ConnectionOpen {
                virtual_host: b"/",
                ..Default::default()
            },
        );
        script.send(0, ConnectionOpenOk::default());
        let connected = connected(&mut script);
        let told = (
            connected.channel_max,
            connected.frame_max,
            connected.heartbeat,
        );
        assert_eq!(told, agreed);
    }
}

#[test]
fn frames_smaller_than_4096_bytes_are_refused_whoever_wants_them() {
    for (ours, theirs) in [(131_072, 4095), (4095, 131_072), (0, 1)] {
        let mut script = Script::new(ClientOptions::new().frame_max(ours));
        script.expect_bytes(PROTOCOL_HEADER);
        script.send(0, start(&server_properties("4.1.0")));
        start_ok(&mut script);
        script.send(
            0,
            ConnectionTune {
                frame_max: theirs,
                ..TUNE
            },
        );
        let frame = script.frame();
        assert_matches!(
            Method::decode(&frame.payload),
            Ok(Method::ConnectionClose(ConnectionClose {
                reply_code: 530,
                ..
            }))
        );
        script.expect_nothing();
        assert_matches!(script.result(CONNECT), Some(Err(Error::NotAllowed(_))));
        assert!(script.connection.is_over());
    }
}

#[test]
fn no_timer_runs_without_a_heartbeat() {
    let script = Script::connected();
    assert_eq!(script.connection.poll_timeout(), None);
}

#[test]
fn an_amqp_header_for_an_answer_names_the_peers_protocol() {
    for (answer, name) in [
        (b"AMQP\x00\x00\x09\x01", "AMQP 0-0-9-1,"),
        (b"AMQP\x03\x01\x00\x00", "AMQP 3-1-0-0,"),
    ] {
        let mut script = Script::new(ClientOptions::new());
        script.expect_bytes(PROTOCOL_HEADER);
        for byte in &answer[..7] {
            script.send_bytes(&[*byte]);
            assert_matches!(script.result(CONNECT), None);
        }
        script.send_bytes(&answer[7..]);
        assert_matches!(
            script.result(CONNECT),
            Some(Err(Error::UnsupportedProtocol(text))) if text.contains(name)
        );
        assert!(script.connection.is_over());
        script.expect_nothing();
    }
}

#[test]
fn foreign_bytes_are_shown() {
    for (answer, shown) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "\"HTTP/1.1 400 Bad\"",
        ),
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            "the peer speaks TLS: use amqps://",
        ),
        (b"AMQB", "\"AMQB\""),
    ] {
        let mut script = Script::new(ClientOptions::new());
        script.expect_bytes(PROTOCOL_HEADER);
        let waiting = script.declare("a");
        script.send_bytes(answer);
        assert_matches!(
            script.result(CONNECT),
            Some(Err(Error::UnsupportedProtocol(text))) if text.contains(shown)
        );
        assert_matches!(
            script.result(waiting),
            Some(Err(Error::UnsupportedProtocol(_)))
        );
        script.expect_nothing();
    }
}

/// Scripts at each step of the handshake, with all output taken.
fn steps() -> [Script; 3] {
    let mut steps = [(); 3].map(|()| Script::new(ClientOptions::new()));
    for (step, script) in steps.iter_mut().enumerate() {
        script.expect_bytes(PROTOCOL_HEADER);
        if step >= 1 {
            script.send(0, start(&server_properties("4.1.0")));
            start_ok(script);
        }
        if step >= 2 {
            script.send(0, TUNE);
            script.frame();
            script.frame();
        }
        script.expect_nothing();
    }
    steps
}

#[test]
fn a_close_at_any_step_is_answered_and_is_the_result() {
    for mut script in steps() {
        let waiting = script.declare("a");
        let close = ConnectionClose {
            reply_code: 403,
            reply_text: b"ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
            ..Default::default()
        };
        script.send(0, close);
        script.expect(0, ConnectionCloseOk {});
        script.expect_nothing();
        for promise in [CONNECT, waiting] {
            assert_matches!(
                script.result(promise),
                Some(Err(Error::AccessRefused(reply))) if reply.from_broker && reply.text.contains("Login was refused")
            );
        }
        assert!(script.connection.is_over());
    }
}

#[test]
fn close_at_any_step_ends_the_attempt() {
    for mut script in steps() {
        let waiting = script.declare("a");
        let close = script.close();
        assert_matches!(script.result(CONNECT), Some(Err(Error::Closed)));
        assert_matches!(script.result(waiting), Some(Err(Error::Closed)));
        assert_matches!(script.result(close), Some(Ok(Outcome::Done)));
        assert!(script.connection.is_over());
        script.expect_nothing();
    }
}

#[test]
fn a_step_out_of_turn_breaks_the_protocol() {
    for (step, mut script) in steps().into_iter().enumerate() {
        let properties = server_properties("4.1.0");
        match step {
            0 => script.send(0, TUNE),
            1 => script.send(0, ConnectionOpenOk::default()),
            _ => script.send(0, start(&properties)),
        }
        let frame = script.frame();
        assert_matches!(
            Method::decode(&frame.payload),
            Ok(Method::ConnectionClose(ConnectionClose {
                reply_code: 503,
                ..
            }))
        );
        assert_matches!(script.result(CONNECT), Some(Err(Error::CommandInvalid(_))));
    }
}

#[test]
fn a_challenge_is_refused() {
    let [_, mut script, _] = steps();
    script.send(
        0,
        ConnectionSecure {
            challenge: b"what is the word?",
        },
    );
    let close = ConnectionClose {
        reply_code: 503,
        reply_text: b"connection.secure on channel 0 at this time",
        class_id: 10,
        method_id: 20,
    };
    script.expect(0, close);
    assert_matches!(
        script.result(CONNECT),
        Some(Err(Error::CommandInvalid(reply))) if reply.method() == Some("connection.secure") && !reply.from_broker
    );
}

#[test]
fn without_plain_there_is_no_login() {
    let [mut script, ..] = steps();
    let properties = FieldTable::new();
    script.send(
        0,
        ConnectionStart {
            mechanisms: b"EXTERNAL PLAINER",
            ..start(&properties)
        },
    );
    script.expect_nothing();
    let error = script.result(CONNECT).unwrap().unwrap_err();
    assert_matches!(
        &error,
        Error::NoMechanism { offered, allowed } if offered == "EXTERNAL PLAINER" && allowed == "PLAIN AMQPLAIN"
    );
    assert!(!error.is_connection_broken());
    // Neither has done anything wrong.
    assert!(!error.to_string().contains("the peer"), "{error}");
}

#[test]
fn a_virtual_host_that_cannot_be_said_is_an_invalid_argument() {
    let mut script = Script::with_vhost(ClientOptions::new(), &"v".repeat(256));
    script.expect_bytes(PROTOCOL_HEADER);
    script.send(0, start(&server_properties("4.1.0")));
    start_ok(&mut script);
    script.send(0, TUNE);
    assert_matches!(script.result(CONNECT), Some(Err(Error::InvalidArgument(_))));
    assert!(script.connection.is_over());
}

#[test]
fn confirms_are_the_brokers_only_if_it_says_so_or_the_user_insists() {
    for (capable, pubacks, confirmed) in [
        (true, None, true),
        (false, None, false),
        (true, Some(false), false),
        (false, Some(true), true),
    ] {
        let mut options = ClientOptions::new();
        if let Some(pubacks) = pubacks {
            options = options.pubacks(pubacks);
        }
        let mut script = Script::new(options);
        script.expect_bytes(PROTOCOL_HEADER);
        let properties = if capable {
            server_properties("4.1.0")
        } else {
            FieldTable::new()
        };
        script.send(0, start(&properties));
        start_ok(&mut script);
        script.send(0, TUNE);
        script.send(0, ConnectionOpenOk::default());
        assert_eq!(connected(&mut script).pubacks, confirmed);
    }
}

#[test]
fn a_secret_that_no_frame_can_hold_is_refused_and_not_kept() {
    let mut script = Script::recovering(ClientOptions::new());
    let promise = script.promise();
    let secret = "s".repeat(TUNE.frame_max as usize);
    script
        .connection
        .update_secret(PromiseNumber(promise), secret, &"expired".into());
    script.collect();
    assert_matches!(script.result(promise), Some(Err(Error::InvalidArgument(_))));
    script.expect_nothing();
    script.lose();
    script.connection.restart();
    script.expect_bytes(PROTOCOL_HEADER);
    script.send(0, start(&server_properties("3.13.7")));
    let (_, _, response, _) = start_ok(&mut script);
    assert_eq!(response, "\0guest\0secret");
}

#[test]
fn server_properties_that_nobody_understands_do_no_harm() {
    for wire in [&b"xy"[..], b"\x07productU?\x01aV"] {
        let mut script = Script::new(ClientOptions::new());
        script.connect_to(&FieldTable::from_wire(Bytes::from_static(wire)), TUNE);
        assert_matches!(
            script.result(CONNECT),
            Some(Ok(Outcome::Connected(connected))) if connected.version().is_empty()
        );
    }
}
