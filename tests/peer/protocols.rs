//! Servers of other protocols.

use puka::{ClientOptions, Error};

use crate::support::{assert_usable, client_in_trouble, connect_error};
use crate::wire::peer::End;

#[test]
fn a_server_of_another_protocol_is_named_however_it_leaves() {
    let http = "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n";
    for (case, answer, text) in [
        (
            "AMQP 0-9-1 that refuses",
            &b"AMQP\x00\x00\x09\x01"[..],
            "AMQP 0-0-9-1",
        ),
        ("AMQP 0-9", b"AMQP\x01\x01\x00\x09", "AMQP 1-1-0-9"),
        ("AMQP 0-8", b"AMQP\x01\x01\x08\x00", "AMQP 1-1-8-0"),
        ("AMQP 1.0", b"AMQP\x00\x01\x00\x00", "AMQP 0-1-0-0"),
        (
            "AMQP 1.0 with SASL",
            b"AMQP\x03\x01\x00\x00",
            "AMQP 3-1-0-0",
        ),
        ("HTTP", http.as_bytes(), "HTTP/1.1 400 Bad"),
        (
            "TLS, an alert",
            b"\x15\x03\x03\x00\x02\x02\x16",
            "the peer speaks TLS: use amqps://",
        ),
        (
            "TLS, an alert of 1.0",
            b"\x15\x03\x01\x00\x02\x02\x46",
            "the peer speaks TLS",
        ),
        (
            "TLS, a handshake",
            b"\x16\x03\x03\x00\x7a\x02\x00",
            "the peer speaks TLS",
        ),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_"),
        ("SMTP", b"220 mail.example ESMTP\r\n", "220 mail.example"),
        (
            "Redis",
            b"-ERR unknown command 'AMQP'\r\n",
            "-ERR unknown com",
        ),
        (
            "PostgreSQL",
            b"E\x00\x00\x00\x8cSFATAL\x00",
            "E\\x00\\x00\\x00\\x8cSFATAL\\x00",
        ),
        ("zeros", &[0; 64], "\\x00\\x00"),
        (
            "control characters",
            b"\x1b[2J\x07\r\n",
            "\\x1b[2J\\x07\\r\\n",
        ),
        ("half an AMQP header of its own", b"AMQX", "AMQX"),
    ] {
        for speaks_first in [false, true] {
            for end in [End::Silence, End::Eof, End::Reset] {
                let case = format!("{case}, first: {speaks_first}, {end:?}");
                let mut client = client_in_trouble(ClientOptions::new(), move |mut peer| {
                    if speaks_first {
                        peer.say(answer);
                    }
                    peer.hear_header().unwrap();
                    if !speaks_first {
                        peer.say(answer);
                    }
                    peer.end(end);
                });
                match connect_error(&mut client) {
                    Error::UnsupportedProtocol(said) => {
                        assert!(said.contains(text), "{case}: {said}");
                        assert!(!said.contains(char::is_control), "{case}: {said:?}");
                    }
                    error => panic!("{case}: {error}"),
                }
                assert_usable(&mut client, &case);
            }
        }
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::time::Duration;

    use puka::{Client, Disconnect, TlsFailure, TlsOptions};

    use super::*;
    use crate::wire::peer::{Peer, listen};

    fn client_of(options: ClientOptions, serve: impl FnMut(Peer) + Send + 'static) -> Client {
        let tls = TlsOptions::new().dangerous_accept_any_certificate();
        Client::with_options(&format!("amqps://{}/", listen(serve)), options.tls(tls)).unwrap()
    }

    #[test]
    fn a_server_without_tls_is_told_from_one_that_refuses() {
        let refused = |failure: &TlsFailure| matches!(failure, TlsFailure::Refused(_));
        let other = |failure: &TlsFailure| *failure == TlsFailure::NotTls;
        type Fits = fn(&TlsFailure) -> bool;
        let cases: [(&str, &[u8], Fits); 6] = [
            ("AMQP", b"AMQP\x00\x00\x09\x01", other),
            ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", other),
            ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", other),
            ("SMTP", b"220 mail.example ESMTP\r\n", other),
            (
                "handshake_failure",
                b"\x15\x03\x03\x00\x02\x02\x28",
                refused,
            ),
            ("protocol_version", b"\x15\x03\x03\x00\x02\x02\x46", refused),
        ];
        for (case, answer, fits) in cases {
            for end in [End::Silence, End::Eof, End::Reset] {
                let mut client = client_of(ClientOptions::new(), move |mut peer| {
                    // All of the client's hello.
                    peer.hear_some();
                    peer.say(answer);
                    peer.end(end);
                });
                // The same client may try again.
                for _ in 0..2 {
                    match connect_error(&mut client) {
                        Error::ConnectionBroken(Disconnect::Tls(failure)) => {
                            assert!(fits(&failure), "{case}, {end:?}: {failure}");
                        }
                        error => panic!("{case}, {end:?}: {error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_tls_handshake_that_stops_is_given_up_in_time() {
        let limit = Duration::from_millis(300);
        for said in [
            &b""[..],
            b"\x16\x03\x03\x00\x7a",
            b"\x16\x03\x03\x00\x7a\x02\x00\x00",
        ] {
            let options = ClientOptions::new().connect_timeout(limit);
            let mut client = client_of(options, move |mut peer| {
                peer.say(said);
                peer.end(End::Silence);
            });
            for _ in 0..2 {
                match connect_error(&mut client) {
                    Error::ConnectionBroken(Disconnect::TimedOut { what, limit: told }) => {
                        assert_eq!((what, told), ("connecting", limit));
                    }
                    error => panic!("{error}"),
                }
            }
        }
    }
}
