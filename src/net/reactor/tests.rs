//! Over real sockets; in memory there are more, in `net/memory/tests/`.

use std::net::TcpListener;

use super::*;

/// An address where nobody listens.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Turns until the socket is connected, or cannot be.
fn connect(addresses: Vec<SocketAddr>) -> Result<SocketAddr, Disconnect> {
    let world = World::default();
    let deadline = world.now() + Duration::from_secs(30);
    let mut reactor = Reactor::new(world);
    reactor.connect(addresses, deadline, SocketOptions::default(), None)?;
    while reactor.is_connecting() {
        reactor.poll(reactor.poll_timeout()).unwrap();
        reactor.handle_timeout()?;
    }
    let socket = reactor.socket.unwrap();
    Ok(socket.transport.peer_addr().unwrap())
}

#[test]
fn each_address_is_tried_in_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    assert_eq!(connect(vec![open]).unwrap(), open);
    assert_eq!(connect(vec![closed(), closed(), open]).unwrap(), open);
}

#[test]
fn where_no_address_answers_all_are_named() {
    let (one, two) = (closed(), closed());
    let error = connect(vec![one, two]).unwrap_err().to_string();
    assert!(
        error.contains(&one.to_string()) && error.contains(&two.to_string()),
        "{error}"
    );
    let error = connect(Vec::new()).unwrap_err().to_string();
    assert!(error.contains("no address"), "{error}");
}
