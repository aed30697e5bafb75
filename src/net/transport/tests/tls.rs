//! TLS: large bodies, the beginning and the end of a session.

use std::sync::mpsc;

use rustls::version::{TLS12, TLS13};

use super::pki::{Pki, ServerStream};
use super::*;
use crate::net::transport::TlsConfig;
use crate::types::tls_failure::TlsFailure;

const SIZE: usize = 4 << 20;

#[test]
fn large_bodies_go_both_ways() {
    for version in [&TLS12, &TLS13] {
        let pki = Pki::new();
        let (full, told) = mpsc::channel();
        let server = pki
            .server()
            .only(version)
            .start(move |mut stream: ServerStream| {
                let mut start = [0; 1];
                stream.read_exact(&mut start).unwrap();
                stream.write_all(&start).unwrap();
                // Nothing is read until the client's socket is full.
                told.recv_timeout(LIMIT).unwrap();
                echo(&mut stream);
            });
        let mut client = server.connect(&pki.options()).unwrap();
        client.exchange(b"!", 1).unwrap();
        // More than any socket holds that nobody reads.
        let body = pattern(4 * SIZE);
        let mut unsent = &body[..];
        client.write(&mut unsent).unwrap();
        assert!(!unsent.is_empty() && client.transport.wants_write());
        full.send(()).unwrap();
        client.exchange(unsent, 1 + body.len()).unwrap();
        assert!(client.received[1..] == body);
        client.transport.goodbye();
        drop(client);
        server.peer.join().unwrap();
    }
}

#[test]
fn what_is_written_early_arrives_after_the_handshake() {
    let pki = Pki::new();
    let server = pki.server().start(|mut stream| echo(&mut stream));
    let mut client = server.connect(&pki.options()).unwrap();
    let body = pattern(SIZE);
    let mut out = &body[..];
    client.write(&mut out).unwrap();
    let taken = body.len() - out.len();
    assert!((1..=65_536).contains(&taken), "{taken}");
    client.exchange(out, SIZE).unwrap();
    assert!(client.received == body);
    drop(client);
    server.peer.join().unwrap();
}

#[test]
fn the_peers_goodbye_is_the_end_and_what_came_before_it_comes_first() {
    for polite in [true, false] {
        let pki = Pki::new();
        let server = pki.server().start(move |mut stream: ServerStream| {
            stream.write_all(&pattern(100_000)).unwrap();
            if polite {
                stream.conn.send_close_notify();
                stream.flush().unwrap();
                // The socket itself stays open.
                let _ = stream.sock.read_to_end(&mut Vec::new());
            }
        });
        let mut client = server.connect(&pki.options()).unwrap();
        let end = client.exchange(b"", usize::MAX);
        assert!(matches!(end, Err(Disconnect::Eof)), "{end:?}");
        assert!(client.received == pattern(100_000));
        assert!(!client.read().unwrap());
        drop(client);
        server.peer.join().unwrap();
    }
}

#[test]
fn a_goodbye_reaches_the_peer() {
    let pki = Pki::new();
    let server = pki.server().start(|mut stream: ServerStream| {
        let mut all = Vec::new();
        // An end without a goodbye would be an error.
        stream.read_to_end(&mut all).map(|_| all)
    });
    let mut client = server.connect(&pki.options()).unwrap();
    client.exchange(b"all", 0).unwrap();
    while !client
        .transport
        .shared
        .lock()
        .lane
        .session
        .as_ref()
        .unwrap()
        .is_up()
    {
        client.wait();
        client.exchange(b"", 0).unwrap();
    }
    client.transport.goodbye();
    drop(client);
    assert_eq!(server.peer.join().unwrap().unwrap(), b"all");
}

/// The client has more to write than goes out, and finds out by writing.
#[test]
fn a_refusal_is_heard_even_if_the_write_fails_first() {
    let pki = Pki::new();
    let server = pki.server().wants_client_of(&pki.ca).only(&TLS13);
    let server = server.start(|mut stream| echo(&mut stream));
    let mut client = server.connect(&pki.options()).unwrap();
    // The handshake, as far as the client sees it.
    while !client
        .transport
        .shared
        .lock()
        .lane
        .session
        .as_ref()
        .unwrap()
        .is_up()
    {
        let _ = client.write(&mut &b""[..]);
        match client.transport.read([&mut [0; 1000], &mut []]) {
            Ok(ReadOutcome::WouldBlock) => client.wait(),
            Ok(_) => {}
            // It was heard already: that is as good.
            Err(_) => break,
        }
    }
    server.peer.join().unwrap();
    let body = pattern(SIZE);
    let error = loop {
        if let Err(error) = client.write(&mut &body[..]) {
            break error;
        }
    };
    assert!(
        matches!(error, Disconnect::Tls(TlsFailure::Refused(_))),
        "{error:?}"
    );
}

#[test]
fn a_plain_peer_is_told_from_a_tls_one() {
    for answer in [
        &b"AMQP\0\0\x09\x01"[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"A",
    ] {
        let (address, peer) = serve(move |mut stream| {
            let mut hello = [0; 8];
            stream.read_exact(&mut hello).unwrap();
            stream.write_all(answer).unwrap();
        });
        let pki = Pki::new();
        let mut client = Client::connect(address);
        let config = TlsConfig::new(&pki.options()).unwrap();
        client.transport.secure(&config, "localhost").unwrap();
        let error = client.exchange(b"AMQP", 1).unwrap_err();
        assert!(
            matches!(error, Disconnect::Tls(TlsFailure::NotTls)),
            "{error:?}"
        );
        peer.join().unwrap();
    }
}

#[test]
fn a_peer_that_goes_in_the_handshake_is_no_plain_end() {
    let pki = Pki::new();
    let (address, peer) = serve(|mut stream| {
        // All of it, so that the end is no reset.
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let size = usize::from(u16::from_be_bytes([head[3], head[4]]));
        stream.read_exact(&mut vec![0; size]).unwrap();
    });
    let mut client = Client::connect(address);
    let config = TlsConfig::new(&pki.options()).unwrap();
    client.transport.secure(&config, "localhost").unwrap();
    let error = client.exchange(b"AMQP", 1).unwrap_err();
    assert!(
        error.to_string().contains("during the handshake"),
        "{error}"
    );
    peer.join().unwrap();
}

#[test]
fn nonsense_in_a_session_is_an_error() {
    let pki = Pki::new();
    let server = pki.server().start(|mut stream: ServerStream| {
        stream.write_all(b"before").unwrap();
        stream.sock.write_all(&[23, 3, 3, 0, 20]).unwrap();
        stream.sock.write_all(&[0; 20]).unwrap();
        let _ = stream.sock.read_to_end(&mut Vec::new());
    });
    let mut client = server.connect(&pki.options()).unwrap();
    let error = client.exchange(b"", usize::MAX).unwrap_err();
    assert!(
        matches!(error, Disconnect::Tls(TlsFailure::Other(_))),
        "{error:?}"
    );
    assert_eq!(client.received, b"before"[..]);
    assert!(
        client
            .transport
            .write(&[IoSlice::new(b"after")], false)
            .is_err()
    );
    drop(client);
    server.peer.join().unwrap();
}

#[cfg(unix)]
#[test]
fn tls_goes_over_any_stream() {
    let pki = Pki::new();
    let (own, peer) = std::os::unix::net::UnixStream::pair().unwrap();
    own.set_nonblocking(true).unwrap();
    let config = pki.server().config();
    let peer = thread::spawn(move || {
        let connection = rustls::ServerConnection::new(config).unwrap();
        echo(&mut rustls::StreamOwned::new(connection, peer));
    });
    let own = mio::net::UnixStream::from_std(own);
    let mut client = Client::new(Transport::over(Box::new(own), Clock::System));
    let config = TlsConfig::new(&pki.options()).unwrap();
    client.transport.secure(&config, "localhost").unwrap();
    let body = pattern(SIZE);
    client.exchange(&body, SIZE).unwrap();
    assert!(client.received == body);
    drop(client);
    peer.join().unwrap();
}
