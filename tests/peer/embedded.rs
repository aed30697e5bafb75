//! Event loops of the program's own, written as puka's README has them: run the callbacks, select, read, write.
#![cfg(unix)]

use std::sync::mpsc::channel;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use puka::{Client, ClientOptions, Consume};

use crate::support::{client_of, result_of, within};
use crate::wire::peer::{End, LIMIT};
use crate::wire::{HEARTBEAT, open_ok, tune, usual_start};

/// Waits until the socket is readable, however long that takes, as `select` does without a limit.
fn select(client: &Client) {
    use std::os::fd::AsRawFd;
    let mut poll = Poll::new().unwrap();
    let fd = client.as_fd().unwrap().as_raw_fd();
    // Registered afresh, it tells what is so now, and not only what changes.
    poll.registry()
        .register(&mut SourceFd(&fd), Token(0), Interest::READABLE)
        .unwrap();
    poll.poll(&mut Events::with_capacity(1), None).unwrap();
}

#[test]
fn all_callbacks_that_are_ready_run() {
    within(LIMIT, || {
        let mut client = client_of(ClientOptions::new(), |mut peer| {
            peer.accept();
            let channel = peer.serve_until_consume().unwrap();
            for number in 2..=50 {
                peer.say(
                    &[
                        crate::wire::deliver(channel, b"2.0.", number),
                        crate::wire::header(channel, 1),
                        crate::wire::body(channel, b"!"),
                    ]
                    .concat(),
                );
            }
            peer.serve();
            peer.end(End::Silence);
        });
        result_of(&mut client, Client::connect).unwrap();
        let (sender, received) = channel();
        client
            .basic_consume(Consume::new("work").prefetch_count(50))
            .for_each(&mut client, move |client, _, delivery| {
                client.basic_ack(delivery.unwrap()).unwrap();
                sender.send(()).unwrap();
            });
        let mut count = 0;
        loop {
            client.run_any_callbacks();
            count += received.try_iter().count();
            if count == 50 {
                break;
            }
            client.on_write();
            select(&client);
            client.on_read();
        }
        client.run_any_callbacks();
    });
}

#[test]
fn heartbeats_go_out_without_on_timeout() {
    within(LIMIT, || {
        let (sender, heard) = channel();
        let mut client = client_of(ClientOptions::new().heartbeat(1), move |mut peer| {
            peer.log_in(&[usual_start(), tune(100, 8192, 1), open_ok()]);
            // As a broker does, it beats by itself.
            let beats = peer.beat();
            while let Some(frame) = peer.hear() {
                if frame.kind == HEARTBEAT {
                    let _ = sender.send(());
                }
            }
            drop(beats);
        });
        result_of(&mut client, Client::connect).unwrap();
        let mut count = 0;
        while count < 3 {
            client.run_any_callbacks();
            select(&client);
            client.on_read();
            if client.needs_write() {
                client.on_write();
            }
            count += heard.try_iter().count();
        }
        assert!(client.is_connected());
    });
}
