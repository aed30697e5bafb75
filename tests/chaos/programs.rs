//! A publisher and a consumer that only ever use what a user has: they must not notice what goes on, but for messages
//! that come twice.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use puka::{
    CancelledBy, Client, ClientOptions, Consume, Error, Message, Promise, QueueDeclare, Recovery,
};

/// Longer than anything takes that will ever come.
const LIMIT: Duration = Duration::from_secs(120);

const IN_FLIGHT: usize = 100;

/// What both programs know of each other, and the test of both.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The publisher may come to its end.
    pub(crate) enough: AtomicBool,
    /// How many messages were confirmed so far.
    pub(crate) confirmed: AtomicUsize,
    /// The numbers of all that were confirmed, when the publisher is done.
    all: Mutex<Option<Vec<usize>>>,
    /// How often the connections were made anew.
    pub(crate) restored: AtomicUsize,
    /// What was neither confirmed nor failed for want of a connection.
    pub(crate) refused: AtomicUsize,
    pub(crate) doubled: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
}

pub(crate) fn options() -> ClientOptions {
    let recovery = Recovery::new()
        .delay(Duration::from_millis(10), Duration::from_millis(200))
        .limit(LIMIT);
    ClientOptions::new()
        .heartbeat(5)
        .connect_timeout(Duration::from_secs(5))
        .recovery(recovery)
}

/// A client that counts its restorations.
fn client(url: &str, options: ClientOptions, ledger: &Arc<Ledger>) -> Client {
    let mut client = Client::with_options(url, options).unwrap();
    let ledger = ledger.clone();
    client.on_connection_event(move |_, event| {
        if let puka::ConnectionEvent::Restored(restored) = event {
            assert!(restored.failed.is_empty(), "{restored:?}");
            ledger.restored.fetch_add(1, Ordering::Relaxed);
        }
    });
    let until = Instant::now() + LIMIT;
    // The first connection is made by hand: recovery is for those that are lost.
    while let Err(error) = client.connect().wait(&mut client) {
        assert!(
            error.is_connection_broken() && Instant::now() < until,
            "{error}"
        );
    }
    client
}

/// Its body begins with its number.
fn message(number: usize) -> Message {
    let mut body = format!("{number} ").into_bytes();
    // Some bodies are in one piece with others, some are not.
    let most = if number.is_multiple_of(10) {
        20_000
    } else {
        2_000
    };
    body.resize(body.len() + number * 7919 % most, b'x');
    Message::new(body).persistent()
}

fn number(body: &[u8]) -> usize {
    let end = body.iter().position(|&byte| byte == b' ').unwrap();
    str::from_utf8(&body[..end]).unwrap().parse().unwrap()
}

/// Publishes until it is enough, and waits for every confirm. The numbers of the confirmed ones are in the ledger.
pub(crate) fn publish(
    url: &str,
    options: ClientOptions,
    declare: QueueDeclare,
    queue: &str,
    ledger: &Arc<Ledger>,
) {
    let mut client = client(url, options, ledger);
    while let Err(error) = client.queue_declare(declare.clone()).wait(&mut client) {
        assert!(error.is_connection_broken(), "{error}");
    }
    let mut in_flight: VecDeque<(usize, Promise<()>)> = VecDeque::new();
    let mut confirmed = Vec::new();
    let mut next = 0;
    let mut settle = |client: &mut Client, (number, promise): (usize, Promise<()>)| {
        match client.wait_timeout(promise, LIMIT) {
            Ok(Some(())) => {
                confirmed.push(number);
                ledger.confirmed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(None) => panic!("message {number} is neither confirmed nor refused"),
            // The queue has no leader at the moment; if it was published again, it may have had one before.
            Err(error) if matches!(error.cause(), Error::Nacked) => {
                ledger.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("message {number}: {error}"),
        }
    };
    while !ledger.enough.load(Ordering::Relaxed) {
        while in_flight.len() < IN_FLIGHT {
            in_flight.push_back((next, client.basic_publish("", queue, message(next))));
            next += 1;
        }
        for waiting in in_flight.drain(..IN_FLIGHT / 2) {
            settle(&mut client, waiting);
        }
        // A broker that has other things to do must not drown.
        client.sleep(Duration::from_millis(10)).unwrap();
    }
    for waiting in in_flight {
        settle(&mut client, waiting);
    }
    *ledger.all.lock().unwrap() = Some(confirmed);
    client.close().wait(&mut client).unwrap();
}

/// Consumes until it has seen everything that was confirmed.
pub(crate) fn consume(
    url: &str,
    options: ClientOptions,
    declare: QueueDeclare,
    queue: &str,
    ledger: &Arc<Ledger>,
) {
    let mut client = client(url, options, ledger);
    while let Err(error) = client.queue_declare(declare.clone()).wait(&mut client) {
        assert!(error.is_connection_broken(), "{error}");
    }
    let request = Consume::new(queue).prefetch_count(50);
    let mut consumer = client.basic_consume(request.clone());
    let mut seen: Vec<u32> = Vec::new();
    let mut until = Instant::now() + LIMIT;
    loop {
        match client.wait_timeout(consumer, Duration::from_millis(200)) {
            Ok(Some(delivery)) => {
                let number = number(&delivery.body);
                if seen.len() <= number {
                    seen.resize(number + 1, 0);
                }
                seen[number] += 1;
                // One from before a loss comes again.
                client.basic_ack(delivery).unwrap();
                until = Instant::now() + LIMIT;
            }
            Ok(None) => {}
            // The queue's leader has gone: the broker says so, and the program consumes anew.
            Err(Error::Cancelled(end)) if end.by == CancelledBy::Broker => {
                ledger.cancelled.fetch_add(1, Ordering::Relaxed);
                consumer = client.basic_consume(request.clone());
            }
            Err(error) => panic!("{error}"),
        }
        if let Some(all) = &*ledger.all.lock().unwrap() {
            let missing = |number: &&usize| seen.get(**number).is_none_or(|&count| count == 0);
            let missing: Vec<_> = all.iter().filter(missing).take(10).collect();
            if missing.is_empty() {
                break;
            }
            assert!(
                Instant::now() < until,
                "confirmed and lost: {missing:?} ..."
            );
        } else {
            assert!(Instant::now() < until, "nothing comes any more");
        }
    }
    let doubled = seen.iter().filter(|&&count| count > 1).count();
    ledger.doubled.store(doubled, Ordering::Relaxed);
    client.basic_cancel(consumer).wait(&mut client).unwrap();
    client.close().wait(&mut client).unwrap();
}

/// Both programs, each in its thread, while `fate` runs; it returns when they have ended by themselves.
pub(crate) fn run(
    urls: [&str; 2],
    options: ClientOptions,
    declare: QueueDeclare,
    queue: &str,
    fate: impl FnOnce(&Ledger),
) -> Arc<Ledger> {
    let ledger = Arc::new(Ledger::default());
    std::thread::scope(|scope| {
        let (publisher, consumer) = (options.clone(), options);
        let publisher =
            scope.spawn(|| publish(urls[0], publisher, declare.clone(), queue, &ledger));
        let consumer = scope.spawn(|| consume(urls[1], consumer, declare.clone(), queue, &ledger));
        fate(&ledger);
        ledger.enough.store(true, Ordering::Relaxed);
        publisher.join().expect("the publisher ends well");
        consumer.join().expect("the consumer ends well");
    });
    ledger
}
