//! A RabbitMQ client for Rust programs that are not async: AMQP 0-9-1 with promises instead of channels, after the
//! Python client [puka](https://github.com/majek/puka).
//!
//! Every call returns a small numbered [`Promise`] at once. The program waits for it, or hangs a callback on it and
//! loops, or drives the client from an event loop of its own. An AMQP error fails the one promise it belongs to, and
//! nothing else.
//!
//! Straight on:
//!
//! ```no_run
//! use puka::Client;
//!
//! fn main() -> puka::Result<()> {
//!     let mut client = Client::new("amqp://localhost/")?;
//!
//!     let promise = client.connect();
//!     client.wait(promise)?;
//!
//!     let promise = client.queue_declare("test");
//!     client.wait(promise)?;
//!
//!     let promise = client.basic_publish("", "test", "Hello world!");
//!     client.wait(promise)?; // the broker has confirmed it
//!
//!     let promise = client.close();
//!     client.wait(promise)?;
//!     Ok(())
//! }
//! ```
//!
//! Confirmed is not routed: the broker drops a message that no queue takes, and confirms it. Whoever wants to be told
//! publishes [`Message::new("Hello world!").mandatory(true)`](Message::mandatory), and gets [`Error::NoRoute`]. The
//! `close()` at the end writes whatever was asked for and not waited for; a client that is dropped without it writes
//! nothing more.
//!
//! The same, by callbacks:
//!
//! ```no_run
//! use puka::{Client, Connected, Promise, QueueDeclareOk, Result};
//!
//! fn on_connection(client: &mut Client, _: Promise<Connected>, result: Result<Connected>) {
//!     result.expect("a connection"); // a panic in a callback ends the loop, too
//!     client.queue_declare("test").then(client, on_queue);
//! }
//!
//! fn on_queue(client: &mut Client, _: Promise<QueueDeclareOk>, result: Result<QueueDeclareOk>) {
//!     result.expect("a queue");
//!     let promise = client.basic_publish("", "test", "Hello world!");
//!     promise.then(client, on_confirm);
//! }
//!
//! fn on_confirm(client: &mut Client, _: Promise<()>, result: Result<()>) {
//!     result.expect("a confirm");
//!     println!(" [*] Message sent");
//!     client.loop_break();
//! }
//!
//! fn main() -> Result<()> {
//!     let mut client = Client::new("amqp://localhost/")?;
//!     client.connect().then(&mut client, on_connection);
//!     client.loop_forever()?;
//!
//!     let promise = client.close();
//!     client.wait(promise)?;
//!     Ok(())
//! }
//! ```
//!
//! Consuming; `basic_ack` takes the delivery away, so that acknowledging twice does not compile:
//!
//! ```no_run
//! # use puka::{Client, Consume};
//! # fn consume(client: &mut Client) -> puka::Result<()> {
//! let consumer = client.basic_consume(Consume::new("test").prefetch_count(10));
//! for _ in 0..3 {
//!     let delivery = client.wait(consumer)?;
//!     println!(" [x] Received {:?}", delivery.body);
//!     client.basic_ack(delivery)?;
//! }
//! client.basic_cancel(consumer).wait(client)?;
//! # Ok(())
//! # }
//! ```
//!
//! Options, properties, errors:
//!
//! ```no_run
//! # use puka::{Client, Error, ExchangeDeclare, Message, QueueDeclare, Requeue};
//! # fn work(mut client: Client) -> puka::Result<()> {
//! let dead = ExchangeDeclare::fanout("dead").durable(true);
//! client.exchange_declare(dead).wait(&mut client)?;
//! let work = QueueDeclare::new("work").durable(true).argument("x-dead-letter-exchange", "dead");
//! client.queue_declare(work).wait(&mut client)?;
//!
//! let message = Message::new("report.pdf").persistent().header("attempt", 1).mandatory(true);
//! match client.basic_publish("", "work", message).wait(&mut client) {
//!     Ok(()) => {}
//!     Err(Error::NoRoute(returned)) => eprintln!("nobody listens: {returned}"),
//!     Err(error) => return Err(error),
//! }
//!
//! if let Some(delivery) = client.basic_get("work").wait(&mut client)? {
//!     client.basic_reject(delivery, Requeue::No)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! In an event loop of the program's own:
//!
//! ```no_run
//! # fn poll(fd: Option<std::os::fd::BorrowedFd<'_>>, read: bool, write: bool, timeout: Option<std::time::Duration>) -> (bool, bool) { (true, write) }
//! # #[cfg(unix)]
//! # fn drive(mut client: puka::Client) {
//! loop {
//!     client.run_any_callbacks();
//!     let timeout = client.next_timeout(); // when the client wants to be called anyway
//!     let (readable, writable) = poll(client.as_fd(), client.needs_read(), client.needs_write(), timeout);
//!     if readable { client.on_read(); }
//!     if writable { client.on_write(); }
//!     client.on_timeout();
//! }
//! # }
//! ```
//!
//! The README has the table of puka's calls and what differs; `examples/` has puka's own programs, ported. What a program
//! needs in production (TLS, several hosts, heartbeats, recovery, threads) is in [`guide::production`]; what a message costs, and
//! how to send many, in [`guide::performance`].
//!
//! # Inside
//! For whoever reads the sources. It is a fork, not a stack; what is higher may know what is lower, never the other way,
//! and a test (`tests/house`) holds that:
//!
//! ```text
//!                  testing/       a RabbitMQ in memory, for programs' tests
//!                     |
//!                  client/        what a program calls; the only place where callbacks run
//!                     |
//!                  driver/        joins a protocol, a world and a table of results
//!               /     |     \
//!   connection/   promises/   net/     the protocol, with no socket and no clock; the table; the world: sockets,
//!               \     |     /          TLS, names, the clock
//!                  types/         plain data: what a program says, and what comes back
//!                     |
//!                  wire/          AMQP 0-9-1 bytes
//! ```
//!
//! `guide/` is prose, and `fuzzing.rs` is for the fuzzers alone. Begin with `client/publish.rs`, and follow one publish to the
//! bytes: the README says through which files.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

// The README's programs compile, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod client;
mod connection;
mod driver;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
mod net;
mod promises;
#[cfg(feature = "testing")]
pub mod testing;
mod types;
mod wire;

pub use bytes::Bytes;

pub use client::Client;
pub use client::event_loop::{loop_forever, loop_timeout};
pub use client::handle::Handle;
pub use client::promise::PromiseValue;
pub use net::transport::Stream;
pub use types::client_options::{AuthMechanism, ClientOptions};
pub use types::error::{Disconnect, Error, Result};
pub use types::ids::{Promise, PromiseId};
pub use types::message::{Delivery, Message, Response, Returned};
pub use types::recovery::{ConnectionEvent, Recovery, Restored};
pub use types::reply::Reply;
pub use types::requests::{
    Consume, ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind,
    QueueDeclare, QueueDelete, Requeue,
};
pub use types::results::{CancelOk, Cancelled, CancelledBy, Connected, QueueDeclareOk};
pub use types::tls_failure::TlsFailure;
pub use types::tls_options::TlsOptions;
pub use wire::{FieldTable, FieldValue, Properties, ShortStr};
