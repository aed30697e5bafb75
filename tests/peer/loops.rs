//! Loops, and what ends them: breaks, jobs of handles, callbacks that loop again.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use puka::{Client, ClientOptions, Consume, Error, Handle};

use crate::served::{FEW, Heard, client, serve};
use crate::support::{client_of, result_of, within};
use crate::wire::method;
use crate::wire::peer::{End, LIMIT};

#[test]
fn a_break_ends_the_loop_around_the_callback_that_asks_for_it() {
    within(LIMIT, || {
        let (mut client, _heard) = client(ClientOptions::new(), 0, FEW);
        let (sender, steps) = channel();
        client
            .queue_purge("a")
            .then(&mut client, move |client, _, _| {
                let inner = sender.clone();
                client.queue_purge("b").then(client, move |client, _, _| {
                    inner.send("inner").unwrap();
                    client.loop_break();
                });
                client.loop_forever().unwrap();
                // The outer loop still runs.
                client.queue_purge("c").then(client, move |client, _, _| {
                    sender.send("outer").unwrap();
                    client.loop_break();
                });
            });
        client.loop_forever().unwrap();
        assert_eq!(steps.try_iter().collect::<Vec<_>>(), ["inner", "outer"]);

        // A break before an inner loop is not forgotten.
        client.queue_purge("a").then(&mut client, |client, _, _| {
            client.loop_break();
            client.loop_timeout(Duration::ZERO).unwrap();
        });
        client.loop_forever().unwrap();
    });
}

#[test]
fn what_a_handle_was_asked_before_the_end_is_done_before_it() {
    within(LIMIT, || {
        let (mut client, heard) = client(ClientOptions::new(), 0, FEW);
        let handle = client.handle().unwrap();
        client
            .basic_consume(Consume::new("work").prefetch_count(10))
            .for_each(&mut client, move |client, _, delivery| {
                let delivery = delivery.unwrap();
                let last = delivery.delivery_tag() == FEW.count;
                handle
                    .run(move |client| client.basic_ack(delivery).unwrap())
                    .unwrap();
                if last {
                    client.loop_break();
                }
            });
        client.loop_forever().unwrap();
        for tag in 1..=FEW.count {
            assert_eq!(heard.recv_timeout(LIMIT), Ok(Heard::Ack(tag)));
        }
    });
}

#[test]
fn what_a_handle_asks_for_where_no_loop_runs_ends_the_next_one() {
    within(LIMIT, || {
        let (mut client, _heard) = client(ClientOptions::new(), 0, FEW);
        let handle = client.handle().unwrap();
        // Found by whoever runs jobs first.
        handle.loop_break().unwrap();
        client.run_any_callbacks();
        client.loop_forever().unwrap();
        // Asked for when a loop was about to end anyway.
        let asking = handle.clone();
        client
            .queue_purge("a")
            .then(&mut client, move |client, _, _| {
                client.loop_break();
                asking.loop_break().unwrap();
            });
        client.loop_forever().unwrap();
        client.loop_forever().unwrap();
    });
}

#[test]
fn jobs_without_end_do_not_keep_a_loop_from_its_own() {
    fn again(handle: &Handle) {
        let next = handle.clone();
        handle.run(move |_| again(&next)).unwrap();
    }
    within(LIMIT, || {
        let options = ClientOptions::new().heartbeat(1);
        let (mut client, heard) = client(options, 1, FEW);
        again(&client.handle().unwrap());
        let mut beats = 0;
        while beats < 2 {
            client.loop_timeout(Duration::from_millis(100)).unwrap();
            client.run_any_callbacks();
            beats += heard.try_iter().count();
        }
    });
}

#[test]
fn an_events_callback_may_loop() {
    within(LIMIT, || {
        let mut client = client_of(ClientOptions::new(), |mut peer| {
            peer.accept();
            // connection.blocked, and unblocked.
            let changes = [method(0, (10, 60), b"\x03low"), method(0, (10, 61), b"")];
            peer.say(&changes.concat());
            peer.serve();
            peer.end(End::Silence);
        });
        let (sender, events) = channel();
        client.on_connection_event(move |client, event| {
            client.loop_timeout(Duration::from_millis(50)).unwrap();
            client.run_any_callbacks();
            sender.send(event).unwrap();
        });
        result_of(&mut client, Client::connect).unwrap();
        let mut count = 0;
        while count < 2 {
            client.loop_timeout(Duration::from_millis(10)).unwrap();
            count += events.try_iter().count();
        }
    });
}

#[test]
fn a_callback_may_put_another_client_in_place_of_its_own() {
    within(LIMIT, || {
        let (mut client, _heard) = client(ClientOptions::new(), 0, FEW);
        client.queue_purge("a").then(&mut client, |client, _, _| {
            *client = Client::new("amqp://127.0.0.1/").unwrap();
        });
        let error = client.loop_forever().unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{error}");
        let error = client.loop_forever().unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{error}");
    });
}

#[test]
fn a_loop_without_time_looks_at_the_socket_all_the_same() {
    within(LIMIT, || {
        let (sender, heard) = channel();
        let mut client = client_of(ClientOptions::new().heartbeat(1), move |peer| {
            serve(peer, 1, FEW, &sender);
        });
        client.connect();
        let mut beats = 0;
        while beats < 3 {
            client.loop_timeout(Duration::ZERO).unwrap();
            beats += heard.try_iter().count();
            // Some work.
            thread::sleep(Duration::from_millis(1));
        }
    });
}
