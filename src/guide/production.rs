//! What a program needs that runs for a year in somebody's data centre: encryption, logins, several hosts, busy programs,
//! brokers in trouble, lost connections, threads.
//!
//! # TLS
//! `amqps://` is [TLS](https://www.rabbitmq.com/docs/ssl), on port 5671, by rustls: versions 1.2 and 1.3. It needs the
//! crate's feature `tls`. That is not a default, for a broker on the same host or behind a tunnel needs none, and it
//! brings four dependencies and a compiler for C (ring's).
//!
//! The broker's certificate is checked against the system's roots and the host's name. A private CA, a client
//! certificate, another name:
//!
#![cfg_attr(feature = "tls", doc = "```no_run")]
#![cfg_attr(not(feature = "tls"), doc = "```ignore")]
//! use puka::{Client, ClientOptions, TlsOptions};
//!
//! let tls = TlsOptions::new()
//!     .ca_file("/etc/rabbitmq/ca.pem")
//!     .client_certificate("client.pem", "client.key")
//!     .server_name("rabbit.example");
//! let client = Client::with_options("amqps://10.0.0.5/", ClientOptions::new().tls(tls))?;
//! # Ok::<(), puka::Error>(())
//! ```
//!
//! The files are read anew for each connection, so certificates may be changed in place; where recovery reads one that is
//! half written, it tries again. What is wrong with a certificate
//! is in [`TlsFailure`](crate::TlsFailure). The same can be said in the URL, as RabbitMQ's other clients have it:
//! `amqps://host/?cacertfile=/etc/rabbitmq/ca.pem`.
//!
//! # Logins
//! User and password go by PLAIN or AMQPLAIN, whichever the broker offers; a client certificate with no user in the URL
//! goes by EXTERNAL, if it does ([`auth_mechanisms`](crate::ClientOptions::auth_mechanisms)). A login that is refused is
//! [`Error::AccessRefused`](crate::Error::AccessRefused), an unknown vhost
//! [`Error::NotAllowed`](crate::Error::NotAllowed); neither counts as a lost connection.
//!
//! A token that expires is the password of the URL. Before it does, tell the broker the next one:
//! [`Client::update_secret`](crate::Client::update_secret).
//!
//! # Several hosts
//! [`ClientOptions::hosts`](crate::ClientOptions::hosts) names the other nodes of a cluster. Each is tried in turn, with
//! all its addresses, for as long as [`connect_timeout`](crate::ClientOptions::connect_timeout) says. If none can be
//! connected to, the error lists each with its cause. [`shuffle_hosts`](crate::ClientOptions::shuffle_hosts) spreads many
//! clients over the nodes.
//!
//! # Programs that are busy, and hosts that vanish
//! A client without threads can do nothing while the program computes. What that means depends on
//! [`heartbeat`](crate::ClientOptions::heartbeat):
//!
//! | | a program that computes for ten minutes | a host that vanishes | a broker that hangs |
//! |---|---|---|---|
//! | no heartbeats, the default | keeps its connection | is noticed within [`tcp_timeout`](crate::ClientOptions::tcp_timeout), 60 s, or twice that while writing (see below) | is not noticed |
//! | `heartbeat(n)` | loses its connection after two or three heartbeats, and is told so when it next waits or loops | is noticed within 2 n seconds while the program waits or loops, or by the system | as a host that vanishes |
//! | `heartbeat(n)` and [`background_heartbeats(true)`](crate::ClientOptions::background_heartbeats) | keeps its connection: a thread sends heartbeats between the client's frames | the same | the same |
//!
//! What the system notices, and when, without heartbeats:
//!
//! | | within |
//! |---|---|
//! | nothing is on its way to the broker | `tcp_timeout`, by TCP keepalive, also while the program computes |
//! | bytes are on their way and not acknowledged | twice `tcp_timeout` on Linux, while the program waits or loops; else a quarter of an hour (Linux), or what another system takes |
//! | the broker takes no bytes: a [memory alarm](#a-broker-that-takes-no-messages) | the same, but a few minutes where the alarm has lasted for long, as the system then asks only once in two minutes |
//!
//! An alarm does no harm, however long it lasts: as long as the broker's host answers, the connection stays. On Linux the
//! client reads `/proc/net/tcp` for that, and only when it has written and has read nothing for a quarter of `tcp_timeout`.
//!
//! So without heartbeats there is nothing to think of. With them, a program that computes for long has three ways: a
//! thread that sends [heartbeats in the background](crate::ClientOptions::background_heartbeats);
//! [`Client::sleep`](crate::Client::sleep) with no time at all every few seconds; or to leave the work to
//! [other threads](#other-threads). That thread writes only when everything before it has been written: wait for what was
//! published before going off to work.
//!
//! Note also RabbitMQ's [acknowledgement timeout](https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout): a
//! delivery that is not acknowledged for 30 minutes ends its consumer, whatever the heartbeats. Since RabbitMQ 4.3 only
//! quorum queues have it.
//!
//! # A broker that takes no messages
//! A broker that is low on memory or disk [blocks](https://www.rabbitmq.com/docs/connection-blocked) connections that
//! publish, and reads nothing more from them, acknowledgements neither: have one client to publish and another to
//! consume, if that matters. [`Client::blocked`](crate::Client::blocked) says why, the log says it, and
//! [`on_connection_event`](crate::Client::on_connection_event) tells it at once. Publishes wait, up to the
//! [high-water mark](crate::ClientOptions::high_water_mark), and go on by themselves;
//! [`blocked_timeout`](crate::ClientOptions::blocked_timeout) is for programs that would rather fail.
//!
//! # Lost connections
//! By default a lost connection fails every promise, and the program may call [`connect`](crate::Client::connect) again.
//! With [`ClientOptions::recovery`](crate::ClientOptions::recovery) the client connects again by itself, declares,
//! consumes and publishes again: [`Recovery`](crate::Recovery) says exactly what is guaranteed. It works while the program
//! waits or loops, for it has no thread either. The first connection is the program's own business.
//!
//! ```no_run
//! use puka::{Client, ClientOptions, ConnectionEvent, Recovery};
//!
//! let options = ClientOptions::new()
//!     .hosts(["rabbit2", "rabbit3"])
//!     .heartbeat(10)
//!     .recovery(Recovery::new());
//! let mut client = Client::with_options("amqp://rabbit1/", options)?;
//! client.on_connection_event(|_, event| match event {
//!     ConnectionEvent::Lost(error) => eprintln!("lost: {error}"),
//!     ConnectionEvent::Restored(restored) => eprintln!("there again: {restored:?}"),
//!     _ => {}
//! });
//! # Ok::<(), puka::Error>(())
//! ```
//!
//! A program that moves messages on publishes, waits for that, then acknowledges. It is the same with recovery and without, and
//! a loss does not end it in the midst: the acknowledgement of a delivery that the loss has taken back succeeds and does
//! nothing, and the message comes again. ([`Client::is_stale`](crate::Client::is_stale) tells, before long work.)
//!
//! ```no_run
//! # fn f(client: &mut puka::Client) -> puka::Result<()> {
//! let work = client.basic_consume(puka::Consume::new("work").prefetch_count(100));
//! loop {
//!     let delivery = client.wait(work)?;
//!     let result = delivery.body_str().to_uppercase();
//!     let message = puka::Message::new(result).persistent().mandatory(true);
//!     client.basic_publish("", "results", message).wait(client)?;
//!     client.basic_ack(delivery)?;
//! }
//! # }
//! ```
//!
//! The message is [`mandatory`](crate::Message::mandatory), for the broker confirms one that no queue takes, too, and drops
//! it: the acknowledgement would then lose it for good. So a queue that is not there is an error
//! ([`NoRoute`](crate::Error::NoRoute)); here it ends the program, and the broker gives the delivery to the next one. A
//! program that goes on has to settle it: [`basic_nack`](crate::Client::basic_nack).
//!
//! The acknowledgement is written with the next wait. A program that ends calls [`close`](crate::Client::close) and waits for
//! it: a client that is dropped writes nothing more.
//!
//! # Other threads
//! A [`Client`](crate::Client) is `Send`: it may live in any thread, in one at a time. Other threads have a
//! [`Handle`](crate::Handle), whose calls run inside the client's loop and wake it up. A [`Delivery`](crate::Delivery) may
//! go to another thread and come back to be acknowledged.
//!
//! # Other streams
//! [`Client::connect_over`](crate::Client::connect_over) takes any connected stream that mio can poll: a Unix socket, a
//! tunnel. TLS goes over it too, if the URL says so.
//!
//! # What it has been through
//! - Whole programs live lives of chance in a simulator (`tests/simulator`), with a RabbitMQ in memory that judges each frame, a
//!   network that splits, delays and cuts at every byte, and a clock that jumps: 200 lives in each test run.
//! - [Fuzzers](https://rust-fuzz.github.io/book/) have had two hours with frames, methods, tables, URLs, and whole
//!   connections (`tests/fuzz`), the last 47 minutes without a find.
//! - A cluster of three whose nodes were killed ten times, and a proxy that cut 200 connections, lost no confirmed message
//!   (`tests/chaos`), on RabbitMQ 3.10 and 4.0.
//! - A scripted peer has broken each rule of the protocol that one can break, and stopped, closed and reset at every byte of
//!   a session (`tests/peer`); ten thousand connections left no descriptor and no memory behind (`tests/resources.rs`).
//!
//! # Why there are no transactions
//! AMQP's `tx.select`, `tx.commit` and `tx.rollback` are not here. A transaction belongs to one channel, and in this
//! library a publish and the acknowledgement of the delivery that caused it go over two: it could not hold what people
//! want it for. [RabbitMQ's](https://www.rabbitmq.com/docs/semantics#tx) are atomic for one queue only, do not take part in
//! quorum queues, wait for the disk at each commit, and exclude confirms. A publish whose promise has succeeded is as safe
//! as a committed one; to move a message on, publish, wait for that, then acknowledge: nothing is lost, and the worst is a
//! message that comes twice.
