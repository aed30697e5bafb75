//! Testing: how to test a worker, a publisher through an outage, a retry with dead letters, without a broker.
//!
//! The feature `testing` has a RabbitMQ in memory, [`testing::Broker`](crate::testing::Broker). It is for tests:
//!
//! ```toml
//! [dev-dependencies]
//! puka = { version = "0.1", features = ["testing"] }
//! ```
//!
//! A program is ready for it if it does not make its client itself, deep inside, but is given one; or a URL and a function
//! that makes one.
//!
//! # A worker
//! This one takes orders and writes invoices. It acknowledges an order when its invoice is confirmed, and gives back what it
//! cannot do:
//!
//! ```
//! use puka::{Client, Consume, Requeue, Result};
//!
//! /// Works until the connection ends, or somebody cancels the consumer.
//! fn work(client: &mut Client) -> Result<()> {
//!     client.queue_declare("orders").wait(client)?;
//!     client.queue_declare("invoices").wait(client)?;
//!     let orders = client.basic_consume(Consume::new("orders").prefetch_count(10));
//!     loop {
//!         let order = client.wait(orders)?;
//!         if order.body.is_empty() {
//!             client.basic_reject(order, Requeue::No)?;
//!             continue;
//!         }
//!         let invoice = format!("invoice for {}", order.body_str());
//!         client.basic_publish("", "invoices", invoice).wait(client)?;
//!         client.basic_ack(order)?;
//!     }
//! }
//!
//! // The test.
//! use puka::testing::Broker;
//! use puka::{ClientOptions, Error};
//! use std::time::Duration;
//!
//! # fn main() -> Result<()> {
//! let broker = Broker::new();
//! let mut client = broker.client(ClientOptions::new());
//! client.connect().wait(&mut client)?;
//! broker.after(Duration::from_secs(1), |broker| {
//!     for order in ["tea", "", "milk"] {
//!         broker.publish("", "orders", order).expect("the worker has declared it");
//!     }
//! });
//! // The end of the test: RabbitMQ cancels a consumer when its queue goes, for example.
//! broker.after(Duration::from_secs(2), |broker| broker.cancel_consumer("orders"));
//!
//! let end = work(&mut client).unwrap_err();
//! assert!(matches!(end, Error::Cancelled(_)), "{end}");
//! assert_eq!(broker.queue("invoices").bodies(), ["invoice for tea", "invoice for milk"]);
//! assert!(broker.queue("orders").is_empty());
//! assert!(broker.queue("orders").unacknowledged().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! What the program and the broker do at once happens in one thread: the client waits, the clock jumps to the next thing that is
//! to happen, and here that is what [`after`](crate::testing::Broker::after) says. Without the last line of it the worker would wait
//! for ever; in this world that is an error, not a test that hangs.
//!
//! The interesting question of a worker is what becomes of an order when it is cut off in the middle:
//!
//! ```
//! # use puka::{Client, Consume, Result};
//! # fn one(client: &mut Client) -> Result<()> {
//! #     let orders = client.basic_consume(Consume::new("orders").prefetch_count(10));
//! #     let order = client.wait(orders)?;
//! #     let invoice = format!("invoice for {}", order.body_str());
//! #     client.basic_publish("", "invoices", invoice).wait(client)?;
//! #     client.basic_ack(order)
//! # }
//! use puka::ClientOptions;
//! use puka::testing::Broker;
//!
//! # fn main() -> Result<()> {
//! # fn wired(broker: &Broker) -> Result<Client> {
//! #     let mut client = broker.client(ClientOptions::new());
//! #     client.connect().wait(&mut client)?;
//! #     client.queue_declare("orders").wait(&mut client)?;
//! #     client.queue_declare("invoices").wait(&mut client)?;
//! #     Ok(client)
//! # }
//! for bytes in 0..600 {
//!     let broker = Broker::new();
//!     let mut client = wired(&broker)?;
//!     broker.publish("", "orders", "tea")?;
//!     broker.cut_after(bytes); // at every byte that it sends
//!
//!     let _ = one(&mut client);
//!     drop(client);
//!     let (orders, invoices) = (broker.queue("orders").len(), broker.queue("invoices").len());
//!     assert!(orders + invoices > 0, "the order is lost, {bytes} bytes on");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # A publisher through an outage
//! With [recovery](crate::ClientOptions::recovery) a publish waits for the broker to be there again. Does the program wait for as long
//! as it should, and give up when it should? An hour's outage takes no time here:
//!
//! ```
//! use puka::testing::Broker;
//! use puka::{ClientOptions, Error, Message, QueueDeclare, Recovery};
//! use std::time::Duration;
//!
//! # fn main() -> puka::Result<()> {
//! const HOUR: Duration = Duration::from_secs(3600);
//! let broker = Broker::new();
//! let recovery = Recovery::new().limit(2 * HOUR);
//! let mut client = broker.client(ClientOptions::new().recovery(recovery));
//! client.connect().wait(&mut client)?;
//! let readings = QueueDeclare::new("readings").durable(true);
//! client.queue_declare(readings).wait(&mut client)?;
//! client.basic_publish("", "readings", Message::new("1").persistent()).wait(&mut client)?;
//!
//! broker.stop();
//! broker.after(HOUR, |broker| broker.start());
//! client.basic_publish("", "readings", Message::new("2").persistent()).wait(&mut client)?;
//! assert!(broker.elapsed() >= HOUR);
//! assert_eq!(broker.queue("readings").bodies(), ["1", "2"]);
//!
//! broker.stop(); // for good
//! let lost = client.basic_publish("", "readings", "3").wait(&mut client);
//! assert!(matches!(lost, Err(Error::NotSent(_) | Error::OutcomeUnknown(_))), "{lost:?}");
//! assert!(broker.elapsed() >= 3 * HOUR);
//! # Ok(())
//! # }
//! ```
//!
//! And so with a broker that takes no messages for a while ([`block`](crate::testing::Broker::block)), that refuses one
//! ([`nack_next`](crate::testing::Broker::nack_next)), or a confirm that is lost
//! ([`cut_after_answering`](crate::testing::Broker::cut_after_answering)):
//!
//! ```
//! # use puka::testing::Broker;
//! # use puka::{ClientOptions, Error};
//! # fn main() -> puka::Result<()> {
//! # let broker = Broker::new();
//! let mut client = broker.client(ClientOptions::new()); // without recovery
//! # client.connect().wait(&mut client)?;
//! # client.queue_declare("readings").wait(&mut client)?;
//! # client.basic_publish("", "readings", "1").wait(&mut client)?;
//! broker.nack_next(1);
//! let refused = client.basic_publish("", "readings", "2").wait(&mut client);
//! assert!(matches!(refused, Err(Error::Nacked)));
//!
//! broker.cut_after_answering(0);
//! let unknown = client.basic_publish("", "readings", "3").wait(&mut client);
//! assert!(matches!(unknown, Err(Error::OutcomeUnknown(_))));
//! assert_eq!(broker.queue("readings").bodies(), ["1", "3"]); // it had arrived
//! # Ok(())
//! # }
//! ```
//!
//! # A retry with dead letters
//! What the worker rejects goes to a queue where it lies for half a minute, and from there back to work. After the third time
//! it is put aside. That is declared, not programmed, so a test is the only place where it can be seen:
//!
//! ```
//! use puka::testing::Broker;
//! use puka::{Client, ClientOptions, Delivery, FieldValue, QueueDeclare, Requeue, Result};
//! use std::time::Duration;
//!
//! fn declare(client: &mut Client) -> Result<()> {
//!     let work = QueueDeclare::new("work")
//!         .argument("x-dead-letter-exchange", "")
//!         .argument("x-dead-letter-routing-key", "later");
//!     let later = QueueDeclare::new("later")
//!         .argument("x-message-ttl", 30_000)
//!         .argument("x-dead-letter-exchange", "")
//!         .argument("x-dead-letter-routing-key", "work");
//!     for queue in [work, later, QueueDeclare::new("failed")] {
//!         client.queue_declare(queue).wait(client)?;
//!     }
//!     Ok(())
//! }
//!
//! /// How often the worker has rejected it.
//! fn tries(delivery: &Delivery) -> i64 {
//!     let Some(FieldValue::Array(deaths)) = delivery.header("x-death") else { return 0 };
//!     let of_work = deaths.iter().find_map(|death| match death {
//!         FieldValue::Table(death) if death.get("queue")?.as_str() == Some("work") => death.get("count")?.as_i64(),
//!         _ => None,
//!     });
//!     of_work.unwrap_or(0)
//! }
//!
//! # fn main() -> Result<()> {
//! let broker = Broker::new();
//! let mut client = broker.client(ClientOptions::new());
//! client.connect().wait(&mut client)?;
//! declare(&mut client)?;
//! broker.publish("", "work", "impossible")?;
//!
//! let work = client.basic_consume("work");
//! let mut times = Vec::new();
//! loop {
//!     let delivery = client.wait(work)?;
//!     times.push(broker.elapsed().as_secs());
//!     if tries(&delivery) == 3 {
//!         client.basic_publish("", "failed", delivery.body.clone()).wait(&mut client)?;
//!         client.basic_ack(delivery)?;
//!         break;
//!     }
//!     client.basic_reject(delivery, Requeue::No)?;
//! }
//! client.close().wait(&mut client)?;
//!
//! assert_eq!(times, [0, 30, 60, 90]);
//! assert_eq!(broker.queue("failed").bodies(), ["impossible"]);
//! assert!(broker.queue("work").is_empty() && broker.queue("later").is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # What else there is
//! - [`Broker::with_seed`](crate::testing::Broker::with_seed): a network that tears, delays and holds back, always the same way for the same
//!   seed. A loop over a hundred seeds is a good last test.
//! - [`published`](crate::testing::Broker::published) is all that was ever published, whether a queue had it or not.
//! - [`restart`](crate::testing::Broker::restart) loses what is not durable, [`advance`](crate::testing::Broker::advance) is a program that computes for too
//!   long, [`silence`](crate::testing::Broker::silence) a cable that is pulled.
//! - [`poll`](crate::testing::Broker::poll) is for a program with an event loop of its own.
//! - Several clients of one broker share [`puka::loop_forever`](crate::loop_forever()), as in production.
//!
//! What a test in memory cannot tell: how fast it is, what a cluster does, what threads do to each other. For that there is a real
//! broker; puka's own tests run on both.
