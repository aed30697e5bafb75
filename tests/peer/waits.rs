//! What a wait does beside waiting: it hands over all that was asked for, sees to the timers, and finds its way where two
//! bounds meet.

use std::collections::HashSet;
use std::iter;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use puka::{Client, ClientOptions, Consume, Disconnect, Error, Handle, Promise};

use crate::support::{client_of, result, result_of, within};
use crate::wire::peer::{End, LIMIT, Peer};
use crate::wire::{
    BODY, HEARTBEAT, confirm, delivery, method, open_ok, purge_ok, short, tune, usual_start,
};

/// What a peer hears, as far as a test wants to know.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Heartbeat,
    Ack(u64),
    Body,
}

/// What a peer does when a client consumes from it.
#[derive(Debug, Clone, Copy)]
struct Deliveries {
    count: u64,
    size: usize,
}

/// Does as a broker does, with heartbeats every `heartbeat` seconds agreed on, and tells what it hears. All publishes are
/// confirmed.
fn serve(mut peer: Peer, heartbeat: u16, deliveries: Deliveries, heard: &Sender<Heard>) {
    let login = [usual_start(), tune(100, 131_072, heartbeat), open_ok()];
    if peer.log_in(&login).is_none() {
        return peer.end(End::Reset);
    }
    let mut published = 0;
    while let Some(frame) = peer.hear() {
        let channel = frame.channel;
        if frame.kind == HEARTBEAT {
            let _ = heard.send(Heard::Heartbeat);
            // Answers in kind, so that the client is not alone.
            peer.say(&crate::wire::heartbeat());
            continue;
        }
        let Some(id) = frame.id() else {
            if frame.kind == BODY {
                published += 1;
                let _ = heard.send(Heard::Body);
                peer.say(&confirm(80, channel, published, false));
            }
            continue;
        };
        match id {
            (50, 30) => peer.say(&purge_ok(channel, 0)),
            (60, 20) => {
                let tag = frame.consumer_tag();
                let body = vec![b'x'; deliveries.size];
                let all =
                    (1..=deliveries.count).map(|number| delivery(channel, tag, number, &body));
                let ok = method(channel, (60, 21), &short(tag));
                peer.say(&iter::once(ok).chain(all).collect::<Vec<_>>().concat())
            }
            (60, 80) => {
                let tag: [u8; 8] = frame.payload[4..12].try_into().unwrap();
                let _ = heard.send(Heard::Ack(u64::from_be_bytes(tag)));
                Some(())
            }
            _ => peer.answer(&frame),
        };
    }
    peer.end(End::Silence);
}

fn client(
    options: ClientOptions,
    heartbeat: u16,
    deliveries: Deliveries,
) -> (Client, Receiver<Heard>) {
    let (sender, heard) = channel();
    let mut client = client_of(options, move |peer| {
        serve(peer, heartbeat, deliveries, &sender);
    });
    result_of(&mut client, Client::connect).unwrap();
    (client, heard)
}

const FEW: Deliveries = Deliveries { count: 10, size: 5 };

#[test]
fn what_was_acknowledged_before_a_wait_is_out_when_it_returns() {
    let (mut client, heard) = client(ClientOptions::new(), 0, FEW);
    let consumer = client.basic_consume(Consume::new("work").prefetch_count(10));
    for _ in 0..9 {
        let delivery = result(&mut client, consumer).unwrap();
        client.basic_ack(delivery).unwrap();
    }
    let tenth = result(&mut client, consumer).unwrap();
    // From here on the program works for hours.
    let acks: Vec<Heard> = (1..=9)
        .map(|_| heard.recv_timeout(LIMIT).unwrap())
        .collect();
    assert_eq!(acks, (1..=9).map(Heard::Ack).collect::<Vec<_>>());
    drop(tenth);
}

#[test]
fn what_was_published_before_a_wait_is_out_when_it_returns() {
    let (mut client, heard) = client(ClientOptions::new(), 0, FEW);
    // Together more than a socket holds; the peer reads a little at a time.
    let body = vec![b'x'; 100_000];
    let publishes: Vec<Promise<()>> = (0..100)
        .map(|_| client.basic_publish("", "a", body.clone()))
        .collect();
    result(&mut client, publishes[0]).unwrap();
    let mut bodies = 0;
    while bodies < publishes.len() {
        bodies += usize::from(heard.recv_timeout(LIMIT).unwrap() == Heard::Body);
    }
}

/// Refuses what goes to an exchange whose name begins with "bad", tells of each other body that it takes, confirms none,
/// and answers a purge when it has been asked whether it has handled a batch.
fn refuse(mut peer: Peer, heard: &Sender<Heard>) {
    if peer
        .log_in(&[usual_start(), tune(100, 131_072, 0), open_ok()])
        .is_none()
    {
        return peer.end(End::Reset);
    }
    let (mut is_closing, mut purge) = (false, None);
    while let Some(frame) = peer.hear() {
        let channel = frame.channel;
        let Some(id) = frame.id() else {
            if frame.kind == BODY && !is_closing {
                let _ = heard.send(Heard::Body);
            }
            continue;
        };
        match id {
            (20, 41) => is_closing = false,
            // Nothing is read of a channel that was closed.
            (60, 10 | 40) if is_closing => {}
            (50, 30) => purge = Some(channel),
            (60, 10) => {
                let purged = purge.take().map(|channel| purge_ok(channel, 0));
                let ok = method(channel, (60, 11), b"");
                peer.say(&[purged.unwrap_or_default(), ok].concat());
            }
            (60, 40) if frame.payload[7..].starts_with(b"bad") => {
                is_closing = true;
                let name = String::from_utf8_lossy(&frame.payload[7..11]).into_owned();
                let text = format!("NOT_FOUND - no exchange '{name}' in vhost '/'");
                let code = 404_u16.to_be_bytes();
                let arguments = [&code[..], &short(text.as_bytes()), b"\0\x3c\0\x28"];
                peer.say(&method(channel, (20, 40), &arguments.concat()));
            }
            _ => {
                peer.answer(&frame);
            }
        }
    }
    peer.end(End::Silence);
}

/// After refusals that follow each other the rest goes out in batches, each when the broker has handled the one before.
#[test]
fn what_stands_in_line_behind_refusals_is_out_when_a_wait_returns() {
    let (sender, heard) = channel();
    let mut client = client_of(ClientOptions::new(), move |peer| refuse(peer, &sender));
    result_of(&mut client, Client::connect).unwrap();
    for number in 0..500 {
        let exchange = match number {
            0..6 => format!("bad{number}"),
            _ => "x".into(),
        };
        client.basic_publish(&exchange, "", "a");
    }
    result_of(&mut client, |client| client.queue_purge("work")).unwrap();
    for _ in 6..500 {
        assert_eq!(heard.recv_timeout(LIMIT), Ok(Heard::Body));
    }
}

#[test]
fn a_wait_that_finds_its_result_ready_keeps_the_heartbeats() {
    // As many as come at once: the socket is not looked at for their sake.
    let many = Deliveries {
        count: 1_000,
        size: 5,
    };
    let (mut client, heard) = client(ClientOptions::new().heartbeat(1), 1, many);
    let consumer = client.basic_consume(Consume::new("work").no_ack(true));
    let mut beats = 0;
    for _ in 0..many.count {
        result(&mut client, consumer).unwrap();
        beats += heard
            .try_iter()
            .filter(|heard| *heard == Heard::Heartbeat)
            .count();
        if beats == 4 {
            return;
        }
        // Some work.
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{beats} heartbeats in ten seconds");
}

#[test]
fn the_keeper_keeps_a_connection_on_which_nothing_was_written_yet() {
    let options = ClientOptions::new()
        .heartbeat(1)
        .background_heartbeats(true);
    let (mut client, heard) = client(options, 1, FEW);
    for _ in 0..3 {
        assert_eq!(heard.recv_timeout(LIMIT), Ok(Heard::Heartbeat));
    }
    assert_eq!(
        result_of(&mut client, |client| client.queue_purge("a")).unwrap(),
        0
    );
}

/// Deliveries beyond the mark for what lies unread.
const FULL: Deliveries = Deliveries {
    count: 200,
    size: 10_000,
};

fn small_marks() -> ClientOptions {
    ClientOptions::new()
        .unread_high_water_mark(300_000)
        .high_water_mark(50_000)
}

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
fn each_of_many_is_had_once_by_waiting_for_any() {
    let (mut client, _heard) = client(ClientOptions::new(), 0, FEW);
    let promises: Vec<_> = (0..50).map(|_| client.queue_purge("a")).collect();
    let mut seen = HashSet::new();
    for _ in &promises {
        let (promise, result) = client.wait_any(&promises).unwrap();
        assert_eq!(result.unwrap(), 0);
        assert!(seen.insert(promise));
    }
    let error = client.wait_any(&promises).unwrap_err();
    assert!(matches!(error, Error::UnknownPromise(_)), "{error}");
}

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
