//! A RabbitMQ in memory, for the unit tests of programs that use this crate: no broker, no socket, no thread, no sleeping.
//! It needs the feature `testing`, which costs nobody else a line:
//!
//! ```toml
//! [dev-dependencies]
//! puka = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```
//! use puka::testing::Broker;
//! use puka::{ClientOptions, Recovery};
//!
//! # fn main() -> puka::Result<()> {
//! let broker = Broker::new();
//! let mut client = broker.client(ClientOptions::new().recovery(Recovery::new()));
//! client.connect().wait(&mut client)?;
//! client.queue_declare("orders").wait(&mut client)?;
//!
//! broker.cut_after(10); // the connection is lost ten bytes on
//! client.basic_publish("", "orders", "one").wait(&mut client)?;
//!
//! assert_eq!(broker.queue("orders").bodies(), ["one"]);
//! # Ok(())
//! # }
//! ```
//!
//! How to test a worker, a publisher through an outage, and a retry with dead letters is in
//! [`guide::testing`](crate::guide::testing).
//!
//! # What it is
//! A [`Broker`] does what RabbitMQ does, as far as a program can see over AMQP 0-9-1: exchanges of the four types and the default
//! one, bindings between exchanges, alternate exchanges; queues that are durable, exclusive, auto-delete or server-named, with limits of
//! length, TTL, dead letters, priorities, a single active consumer; confirms, returns, acknowledgements, redelivery, prefetch;
//! direct reply-to; permissions; and the replies and errors in RabbitMQ's words. puka's own tests run against it and against
//! RabbitMQ, from one source. What it does not do is an error that says so: streams, transactions, plugins. It is one node, so nothing
//! happens to a quorum queue that needs several.
//!
//! [`Broker::client`] gives a [`Client`](crate::Client) like any other, whose world is in memory. So the program under test is
//! driven as in production: it waits, or loops, or several clients share [`puka::loop_forever`](crate::loop_forever()).
//!
//! # Time
//! The clock of this world stands still while the program computes. It moves when a client waits: then it jumps to whatever
//! happens next, so that a test of an hour's back-off takes microseconds. [`Broker::advance`] is a program that computes for long,
//! [`Broker::after`] something that happens while a client waits.
//!
//! A wait that nothing in this world can ever end is an error at once, [`Error::WaitsForever`](crate::Error::WaitsForever), which
//! says what was waited for. A program that would wait for another one to act, or for a connection that is refused for ever, hangs
//! in production and fails here.
//!
//! Everything happens in the one thread that waits, so clients of one broker belong into one thread. Programs
//! with several threads are tested on a real broker: here, a thread that waits sees nothing of what another is about to do.
//!
//! # Without a broker
//! A function that takes what a client gives needs no broker at all: [`delivery`], [`response`], [`returned`], [`refusal`] and
//! [`cancelled`] make such values.

mod broker;
mod chance;
mod cluster;
#[doc(hidden)]
pub mod conformance;
#[doc(hidden)]
pub mod inside;
mod model;
mod node;
mod program;
mod session;
mod trouble;
mod values;
mod view;

pub use broker::{Broker, Readiness};
pub use values::{cancelled, delivery, refusal, reply, response, returned};
pub use view::{MessageView, PublishedView, QueueView};
