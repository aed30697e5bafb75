//! What a wait does beside waiting: it hands over all that was asked for, and sees to the heartbeats.

use std::collections::HashSet;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use puka::{Client, ClientOptions, Consume, Error, Promise};

use crate::served::{Deliveries, FEW, Heard, client};
use crate::support::{client_of, result, result_of};
use crate::wire::peer::{End, LIMIT, Peer};
use crate::wire::{BODY, method, open_ok, purge_ok, short, tune, usual_start};

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
