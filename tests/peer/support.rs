//! Clients of a peer ([`wire::peer`](crate::wire::peer)), and what becomes of their promises.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use puka::{Client, ClientOptions, Delivery, Disconnect, Error, Promise, PromiseValue, Result};

use crate::wire::peer::{End, LIMIT, Peer, listen, serve_well};

/// A client of such a peer.
pub(crate) fn client_of(
    options: ClientOptions,
    serve: impl FnMut(Peer) + Send + 'static,
) -> Client {
    Client::with_options(&format!("amqp://{}/", listen(serve)), options).unwrap()
}

/// A client whose first connection meets `trouble`; afterwards, the peer does as it should.
pub(crate) fn client_in_trouble(
    options: ClientOptions,
    trouble: impl FnOnce(Peer) + Send + 'static,
) -> Client {
    let mut trouble = Some(trouble);
    client_of(options, move |peer| match trouble.take() {
        Some(trouble) => trouble(peer),
        None => serve_well(peer),
    })
}

/// A client and a connection of it, which has a consumer, two publishes without an answer, and a purge that will have
/// none. When all that has come, the peer says `bytes`; then it does as it should, as it does from the start on every
/// other connection.
pub(crate) struct Busy {
    pub(crate) client: Client,
    pub(crate) consumer: Promise<Delivery>,
    pub(crate) published: [Promise<()>; 2],
    pub(crate) purged: Promise<u32>,
    closed: Receiver<Option<u16>>,
}

impl Busy {
    /// The consumer's tag and channel, and the purge's channel; the publishes' is 1.
    pub(crate) const TAG: &[u8] = b"2.0.";
    pub(crate) const CONSUMER: u16 = 2;
    pub(crate) const PURGE: u16 = 3;

    pub(crate) fn new(options: ClientOptions, bytes: Vec<u8>) -> Self {
        let (sender, closed) = channel();
        let mut client = client_in_trouble(options, move |mut peer| {
            peer.accept();
            assert_eq!(peer.serve().unwrap().channel, Self::PURGE);
            peer.say(&bytes);
            peer.serve();
            let _ = sender.send(peer.closed());
            peer.end(End::Silence);
        });
        result_of(&mut client, Client::connect).unwrap();
        let consumer = client.basic_consume("work");
        assert_eq!(result(&mut client, consumer).unwrap().body, "hello");
        let published = [(); 2].map(|()| client.basic_publish("", "a", "unanswered"));
        let purged = client.queue_purge("a");
        Self {
            client,
            consumer,
            published,
            purged,
            closed,
        }
    }

    /// The code in the client's connection.close on that connection, if it has closed it in order.
    pub(crate) fn closed(&self) -> Option<u16> {
        self.closed.recv_timeout(LIMIT).unwrap()
    }
}

/// What a promise comes to, which it has to in time.
pub(crate) fn result<T: PromiseValue>(client: &mut Client, promise: Promise<T>) -> Result<T> {
    let begun = Instant::now();
    client
        .wait_timeout(promise, LIMIT)
        .map(|result| result.unwrap_or_else(|| panic!("nothing in {:?}", begun.elapsed())))
}

pub(crate) fn result_of<T: PromiseValue>(
    client: &mut Client,
    ask: impl FnOnce(&mut Client) -> Promise<T>,
) -> Result<T> {
    let promise = ask(client);
    result(client, promise)
}

pub(crate) fn connect_error(client: &mut Client) -> Error {
    result_of(client, Client::connect).unwrap_err()
}

/// Connects; what is a short limit for the trouble may be too short for a busy machine.
fn connect_in_time(client: &mut Client, case: &str) {
    let until = Instant::now() + LIMIT;
    loop {
        match result_of(client, Client::connect) {
            Ok(_) => break,
            Err(Error::ConnectionBroken(Disconnect::TimedOut { .. })) if Instant::now() < until => {
            }
            Err(error) => panic!("{case}: connecting again: {error}"),
        }
    }
}

/// Asserts that the client is of use again, now that its peer does as it should.
pub(crate) fn assert_usable(client: &mut Client, case: &str) {
    assert!(!client.is_connected(), "{case}");
    connect_in_time(client, case);
    let declared = result_of(client, |client| client.queue_declare("again"));
    assert_eq!(declared.unwrap().queue, "again", "{case}");
    result_of(client, Client::close).unwrap();
    assert!(!client.is_connected(), "{case}");
}

/// Does it, in that time: a test that would hang fails instead.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, done) = channel();
    let thread = thread::spawn(move || {
        let result = run();
        let _ = sender.send(());
        result
    });
    if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = done.recv_timeout(limit) {
        panic!("it hangs");
    }
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
