//! The client in somebody else's event loop, and over somebody else's stream.

use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use puka::{Client, ClientOptions, ConnectionEvent, Get, Recovery};

use crate::support::{Broker, LIMIT, Session, new_client, new_client_with, now, unique, url};
use crate::unread::{COUNT, number};

/// Drives a client from a `Poll` of the test's own, until it is told to stop.
fn drive(client: &mut Client, poll: &mut Poll, stop: impl Fn() -> bool) {
    let mut events = Events::with_capacity(8);
    while !stop() {
        client.run_any_callbacks();
        client.on_write();
        let timeout = client.next_timeout().unwrap_or(Duration::from_secs(1));
        poll.poll(&mut events, Some(timeout.min(Duration::from_millis(100))))
            .unwrap();
        for event in &events {
            if event.is_readable() {
                client.on_read();
            }
            if event.is_writable() {
                client.on_write();
            }
        }
        client.on_timeout();
    }
}

#[test]
fn a_client_is_a_source_of_another_poll() {
    let mut poll = Poll::new().unwrap();
    let mut client = new_client_with(&url(), ClientOptions::new().heartbeat(1)).unwrap();
    assert!(client.as_fd().is_none() && client.as_raw_fd().is_none() && !client.needs_write());
    assert_eq!(client.next_timeout(), None);
    // Before there is a socket: the client registers it when there is one.
    poll.registry()
        .register(
            &mut client,
            Token(7),
            Interest::READABLE | Interest::WRITABLE,
        )
        .unwrap();

    let (sender, bodies) = channel();
    let queue = unique("embedded");
    client
        .connect()
        .then(&mut client, move |client, _, connected| {
            connected.unwrap();
            client
                .queue_declare(&queue)
                .then(client, move |client, _, declared| {
                    declared.unwrap();
                    client.basic_publish("", &queue, "body").then(
                        client,
                        move |client, _, published| {
                            published.unwrap();
                            client.basic_get(Get::new(&queue).no_ack(true)).then(
                                client,
                                move |client, _, got| {
                                    sender.send(got.unwrap().unwrap().body).unwrap();
                                    client.queue_delete(&queue);
                                },
                            );
                        },
                    );
                });
        });
    assert!(client.needs_write() && client.next_timeout().is_some());
    assert_eq!(
        client.as_fd().unwrap().as_raw_fd(),
        client.as_raw_fd().unwrap()
    );
    let mut body = None;
    while body.is_none() {
        let turns = std::cell::Cell::new(0);
        drive(&mut client, &mut poll, || {
            turns.replace(turns.get() + 1) > 10
        });
        body = bodies.try_recv().ok();
    }
    assert_eq!(body.unwrap(), "body");

    // And the client's own waits work beside it.
    let closed = client.close();
    client.wait(closed).unwrap();
    assert!(client.as_fd().is_none());
    client.connect().wait(&mut client).unwrap();
    assert!(
        client.next_timeout().unwrap() <= Duration::from_millis(500),
        "half a heartbeat"
    );
    poll.registry().deregister(&mut client).unwrap();
}

#[test]
fn a_client_that_may_not_block_says_when_it_is_full() {
    let options = ClientOptions::new()
        .blocking_publish(false)
        .high_water_mark(1000);
    let mut session = Session::with(options);
    let mut count = 0;
    while session.has_room() {
        session.basic_publish("", "puka-nowhere", "some bytes");
        count += 1;
    }
    assert!(count > 1 && session.buffered() >= 1000 && session.needs_write());
    let until = now() + crate::support::LIMIT;
    while session.buffered() > 0 {
        session.on_write();
        session.on_read();
        assert!(now() < until);
    }
    assert!(session.has_room() && !session.needs_write());
}

/// Nothing but the loop's own calls: the descriptor changes, and the pauses are timers.
#[test]
fn a_lost_connection_is_made_anew_in_another_poll_too() {
    let broker = Broker::start(&[]);
    let mut poll = Poll::new().unwrap();
    let options = ClientOptions::new().recovery(Recovery::new());
    // A name, which has to be looked up.
    let url = broker.url.replace("127.0.0.1", "localhost");
    let mut client = new_client_with(&url, options).unwrap();
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut client, Token(7), interest)
        .unwrap();
    let (sender, told) = channel();
    client.on_connection_event(move |_, event| sender.send(event).unwrap());
    let (sender, ready) = channel();
    client.connect().then(&mut client, move |client, _, _| {
        let declared = client.queue_declare("embedded");
        declared.then(client, move |_, _, _| sender.send(()).unwrap());
    });
    drive(&mut client, &mut poll, || ready.try_recv().is_ok());

    for _ in 0..3 {
        broker.close_connections();
        let restored = || {
            told.try_iter()
                .any(|event| matches!(event, ConnectionEvent::Restored(_)))
        };
        drive(&mut client, &mut poll, restored);
        let (sender, published) = channel();
        client
            .basic_publish("", "embedded", "body")
            .then(&mut client, move |_, _, result| {
                sender.send(result).unwrap();
            });
        let confirmed = || published.try_recv().is_ok_and(|result| result.is_ok());
        drive(&mut client, &mut poll, confirmed);
    }
    poll.registry().deregister(&mut client).unwrap();
}

#[test]
fn a_client_over_a_stream_of_its_own() {
    use std::io::copy;
    use std::net::{Shutdown, TcpStream};
    use std::os::unix::net::UnixStream;

    let url = crate::support::url();
    let address = url.trim_start_matches("amqp://").trim_end_matches('/');
    let broker = TcpStream::connect(address).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut from_broker, mut to_client) =
        (broker.try_clone().unwrap(), theirs.try_clone().unwrap());
    let down = std::thread::spawn(move || {
        let _ = copy(&mut from_broker, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let up = std::thread::spawn(move || {
        let (mut theirs, mut broker) = (theirs, broker);
        let _ = copy(&mut theirs, &mut broker);
        let _ = broker.shutdown(Shutdown::Both);
    });
    ours.set_nonblocking(true).unwrap();
    let mut client = new_client("amqp://nowhere.invalid/").unwrap();
    let stream = mio::net::UnixStream::from_std(ours);
    client.connect_over(stream).wait(&mut client).unwrap();
    let mut session = Session::new();
    let queue = session.queue();
    let large = vec![b'x'; 3_000_000];
    client
        .basic_publish("", &queue, large.clone())
        .wait(&mut client)
        .unwrap();
    let got = client.basic_get(&queue).wait(&mut client).unwrap().unwrap();
    assert!(got.body == large);
    client.basic_ack(got).unwrap();
    client.close().wait(&mut client).unwrap();
    down.join().unwrap();
    up.join().unwrap();
}

#[test]
fn a_loop_of_the_programs_own_goes_on_when_they_have_been_taken() {
    let (mut session, queue) = crate::unread::session(ClientOptions::new());
    let consumer = session.basic_consume(&*queue);
    let mut taken = Vec::new();
    let mut poll = Poll::new().unwrap();
    let fd = session.as_fd().unwrap().as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), Token(0), Interest::READABLE)
        .unwrap();
    let mut events = Events::with_capacity(8);
    let mut was_full = false;
    while taken.len() < COUNT as usize {
        session.on_write();
        poll.poll(&mut events, session.next_timeout().or(Some(LIMIT)))
            .unwrap();
        if !events.is_empty() {
            session.on_read();
        }
        session.on_timeout();
        if !session.needs_read() {
            was_full = true;
        }
        // Now and then somebody looks.
        if !session.needs_read() || taken.len() > COUNT as usize * 3 / 4 {
            while let Some(delivery) = session.wait_timeout(consumer, Duration::ZERO).unwrap() {
                taken.push(number(&delivery));
            }
        }
    }
    assert!(was_full);
    assert!(taken.iter().copied().eq(0..COUNT));
}

#[test]
fn an_event_loop_of_the_programs_own() {
    let mut session = Session::new();
    let queue = session.queue();
    let fd = session.as_fd().unwrap().as_raw_fd();
    assert_eq!(session.as_raw_fd(), Some(fd));
    let (sender, told) = channel();
    session
        .queue_declare(&queue)
        .then(&mut session, move |_, _, result| {
            sender.send(result).unwrap()
        });
    let until = now() + LIMIT;
    // Without a poll it is busy, and works.
    while told.try_recv().is_err() {
        assert!(now() < until);
        session.run_any_callbacks();
        if session.needs_write() {
            session.on_write();
        }
        if session.needs_read() {
            session.on_read();
        }
        let _ = session.next_timeout();
        session.on_timeout();
    }
    let mut poll = Poll::new().unwrap();
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut *session, Token(0), interest)
        .unwrap();
    let mut events = Events::with_capacity(8);
    poll.poll(&mut events, Some(LIMIT)).unwrap();
    assert!(!events.is_empty());
    poll.registry().deregister(&mut *session).unwrap();
}
