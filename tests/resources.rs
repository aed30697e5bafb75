//! Connections that come and go leave nothing behind: no descriptor, no thread, no promise, no memory. A process of its
//! own, so that no other test's are counted.
#![cfg(target_os = "linux")]

mod process;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "peer/support.rs"]
mod support;
mod wire;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use puka::{Client, ClientOptions, ConnectionEvent, ExchangeDeclare, Recovery};

use process::memory;
use support::{result, result_of};
use wire::peer::{End, LIMIT, Peer, listen, serve_well};
use wire::usual_login;

/// One test at a time: what they count is the whole process's.
static ALONE: Mutex<()> = Mutex::new(());

/// How many kilobytes memory may grow after the warm-up, for whatever the allocator does with its own.
const MARGIN: usize = 512;

/// Descriptors and threads of this process.
fn held() -> (usize, usize) {
    let count = |path| fs::read_dir(path).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

/// Calls `cycle` so often, which makes a connection at least; a tenth of that is for warming up.
fn assert_nothing_is_left(count: usize, mut cycle: impl FnMut(usize)) {
    (0..count / 10).for_each(&mut cycle);
    let (held_before, memory_before) = (held(), memory());
    (count / 10..count).for_each(&mut cycle);
    // A thread that has done its work, and a peer that has been left, take a moment to go.
    let until = Instant::now() + LIMIT;
    loop {
        let (descriptors, threads) = held();
        if descriptors <= held_before.0 && threads <= held_before.1 {
            break;
        }
        let is_late = Instant::now() >= until;
        assert!(!is_late, "{descriptors}, {threads}, not {held_before:?}");
        thread::yield_now();
    }
    let grown = memory().saturating_sub(memory_before);
    println!("memory grew by {grown} kB, from {memory_before}");
    assert!(grown < MARGIN, "memory grew by {grown} kB");
}

/// The client's `Debug` tells how many promises it keeps.
fn assert_no_promise_is_left(client: &Client) {
    let shown = format!("{client:?}");
    assert!(shown.contains("open: 0"), "{shown}");
}

fn url(serve: impl FnMut(Peer) + Send + 'static) -> String {
    format!("amqp://{}/", listen(serve))
}

fn connect_and_close(client: &mut Client) {
    result_of(client, Client::connect).unwrap();
    result_of(client, Client::close).unwrap();
}

#[test]
fn connections_that_are_closed_leave_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut client = Client::new(&url(serve_well)).unwrap();
    assert_nothing_is_left(10_000, |_| connect_and_close(&mut client));
    assert_no_promise_is_left(&client);
}

#[test]
fn keepers_go_with_their_connections() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let options = ClientOptions::new()
        .heartbeat(60)
        .background_heartbeats(true);
    let mut client = Client::with_options(&url(serve_well), options).unwrap();
    assert_nothing_is_left(1_000, |_| connect_and_close(&mut client));
    assert_no_promise_is_left(&client);
}

#[test]
fn clients_that_are_dropped_leave_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let url = url(serve_well);
    assert_nothing_is_left(2_000, |number| {
        let mut client = Client::new(&url).unwrap();
        let connect = client.connect();
        if number % 2 == 0 {
            result(&mut client, connect).unwrap();
            client.handle().unwrap();
            client.basic_consume("work");
            client.basic_publish("", "work", "hello");
        }
    });
}

/// A peer each of whose connections ends at another byte, this way or that.
fn serve_badly(least: usize, most: usize) -> impl FnMut(Peer) {
    let mut number = 0;
    move |peer| {
        number += 1;
        // 7919 is a prime: every place has its turn.
        let mut peer = peer.that_says(least + number * 7919 % (most - least));
        if peer.accept().is_some() {
            peer.serve();
        }
        peer.end([End::Eof, End::Reset][number % 2]);
    }
}

#[test]
fn connections_that_are_lost_leave_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut client = Client::new(&url(serve_badly(0, 500))).unwrap();
    assert_nothing_is_left(2_000, |_| {
        let connect = client.connect();
        let declare = client.queue_declare("work");
        let publish = client.basic_publish("", "work", "hello");
        let consumer = client.basic_consume("work");
        let _ = result(&mut client, connect);
        let _ = result(&mut client, declare);
        let _ = result(&mut client, publish);
        if let Ok(delivery) = result(&mut client, consumer) {
            let _ = client.basic_ack(delivery);
            let _ = result_of(&mut client, |client| client.basic_cancel(consumer));
            result(&mut client, consumer).unwrap_err();
        }
        let _ = result_of(&mut client, Client::close);
    });
    assert_no_promise_is_left(&client);
}

#[test]
fn losses_that_are_recovered_from_leave_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let login: usize = usual_login().iter().map(Vec::len).sum();
    let recovery = Recovery::new().delay(Duration::from_millis(1), Duration::from_millis(1));
    let options = ClientOptions::new().recovery(recovery);
    // Some of them end before all that was there is made anew.
    let url = url(serve_badly(login, login + 300));
    let mut client = Client::with_options(&url, options).unwrap();
    let losses = Arc::new(AtomicUsize::new(0));
    let counter = losses.clone();
    client.on_connection_event(move |_, event| {
        if let ConnectionEvent::Lost(_) = event {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    result_of(&mut client, Client::connect).unwrap();
    let exchange = ExchangeDeclare::fanout("all").durable(true);
    let declared = client.exchange_declare(exchange);
    let queued = client.queue_declare("work");
    result(&mut client, declared).unwrap();
    result(&mut client, queued).unwrap();
    let consumer = client.basic_consume("work");
    consumer.for_each(&mut client, |client, _, delivery| {
        // The connection it came over may have gone, or be closed.
        let _ = delivery.and_then(|delivery| client.basic_ack(delivery));
    });
    assert_nothing_is_left(1_200, |number| {
        while losses.load(Ordering::Relaxed) <= number {
            result_of(&mut client, |client| {
                client.basic_publish("", "work", "hello")
            })
            .unwrap();
            client.run_any_callbacks();
        }
    });
    client.close();
    client.loop_forever().unwrap();
}
