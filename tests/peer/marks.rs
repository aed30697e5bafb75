//! What waits and loops do where a mark is reached: there is no room for publishes, or too much lies unread.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use puka::{Client, ClientOptions, Consume, Disconnect, Error};

use crate::served::{FULL, client, small_marks};
use crate::support::{client_of, result, result_of, within};
use crate::wire::peer::{End, LIMIT};
use crate::wire::{delivery, method};

#[test]
fn a_callback_may_publish_past_both_marks() {
    within(LIMIT, || {
        let (mut client, _heard) = client(small_marks(), 0, FULL);
        let (sender, confirmed) = channel();
        client
            .basic_consume("work")
            .for_each(&mut client, move |client, _, delivery| {
                let body = delivery.unwrap().body;
                for _ in 0..6 {
                    let sender = sender.clone();
                    client
                        .basic_publish("", "forward", body.clone())
                        .then(client, move |_, _, result| sender.send(result).unwrap());
                }
            });
        let mut count = 0;
        while count < 6 * FULL.count {
            client.loop_timeout(Duration::from_millis(10)).unwrap();
            count += confirmed.try_iter().map(Result::unwrap).count() as u64;
        }
    });
}

#[test]
fn a_publish_that_only_an_unread_consumer_could_make_room_for_is_not_sent() {
    within(LIMIT, || {
        let (mut client, _heard) = client(small_marks(), 0, FULL);
        let consumer = client.basic_consume(Consume::new("work"));
        let mut publishes = Vec::new();
        let error = loop {
            let publish = client.basic_publish("", "a", vec![b'x'; 10_000]);
            if let Err(error) = client.wait_timeout(publish, Duration::ZERO)
                && !matches!(error, Error::UnreadDeliveries(_))
            {
                break error;
            }
            publishes.push(publish);
        };
        let Error::NotSent(cause) = &error else {
            panic!("{error}");
        };
        assert!(matches!(**cause, Error::UnreadDeliveries(_)), "{error}");
        // Whoever reads goes on.
        for _ in 0..FULL.count {
            client.wait(consumer).unwrap();
        }
        for publish in publishes {
            match client.wait(publish) {
                Ok(()) | Err(Error::UnknownPromise(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn the_end_is_seen_while_reading_is_paused() {
    for end in [End::Eof, End::Reset] {
        within(LIMIT, move || {
            let options = ClientOptions::new().unread_high_water_mark(10_000);
            let mut client = client_of(options, move |mut peer| {
                peer.accept();
                let channel = peer.serve_until_consume().unwrap();
                let some =
                    (2..=20).map(|number| delivery(channel, b"2.0.", number, &[b'x'; 1_000]));
                peer.say(&some.collect::<Vec<_>>().concat());
                // The client has paused when it asks for the purge.
                peer.serve();
                peer.say(&delivery(channel, b"2.0.", 21, &[b'x'; 1_000]));
                peer.end(end);
            });
            result_of(&mut client, Client::connect).unwrap();
            let consumer = client.basic_consume("work");
            while client.needs_read() {
                client.loop_timeout(Duration::from_millis(1)).ok();
            }
            let other = client.queue_purge("a");
            // A loop that is told the state of the socket calls again and again, and nobody takes a delivery.
            while client.is_connected() {
                client.on_timeout();
                thread::yield_now();
            }
            let error = client.wait(other).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::ConnectionBroken(Disconnect::Eof | Disconnect::Io(_))
                ),
                "{error}"
            );
            // What has come is there, and then the end.
            for _ in 1..=20 {
                client.wait(consumer).unwrap();
            }
            let error = loop {
                if let Err(error) = client.wait(consumer) {
                    break error;
                }
            };
            assert!(error.is_connection_broken(), "{error}");
        });
    }
}

#[test]
fn a_job_that_publishes_where_nobody_reads_is_bounded_too() {
    within(LIMIT, || {
        let (mut client, _heard) = client(small_marks(), 0, FULL);
        let _unread = client.basic_consume(Consume::new("work"));
        while client.needs_read() {
            client.loop_timeout(Duration::from_millis(1)).ok();
        }
        let (sender, done) = channel();
        let handle = client.handle().unwrap();
        handle
            .run(move |client| {
                let mut most = 0;
                for _ in 0..200 {
                    client.basic_publish("", "a", vec![b'x'; 10_000]);
                    most = most.max(client.buffered());
                }
                sender.send(most).unwrap();
            })
            .unwrap();
        let most = loop {
            client.loop_timeout(Duration::from_millis(1)).ok();
            if let Ok(most) = done.try_recv() {
                break most;
            }
        };
        assert!(most < 500_000, "{most}");
    });
}

#[test]
fn a_publish_that_waits_for_room_tells_what_becomes_of_the_connection() {
    within(LIMIT, || {
        let (sender, events) = channel();
        let mut client = client_of(small_marks(), move |mut peer| {
            peer.accept();
            peer.say(&method(0, (10, 60), b"\x03low"));
            // Until the client has told of it.
            let _ = events.recv_timeout(LIMIT);
            peer.say(&method(0, (10, 61), b""));
            peer.serve();
            peer.end(End::Silence);
        });
        client.on_connection_event(move |_, event| {
            let _ = sender.send(event);
        });
        result_of(&mut client, Client::connect).unwrap();
        for _ in 0..20 {
            client.basic_publish("", "a", vec![b'x'; 8_000]);
        }
        let last = client.basic_publish("", "a", "x");
        result(&mut client, last).unwrap();
    });
}
