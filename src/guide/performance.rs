//! What a message costs, and what a program can do about it.
//!
//! # Publishing
//! **Publish many, then wait for all.** A publish that is waited for at once takes a round trip: tens of microseconds to a
//! broker next door, milliseconds to a quorum queue. So have many under way:
//!
//! ```no_run
//! # fn f(client: &mut puka::Client, lines: Vec<String>) -> puka::Result<()> {
//! let promises: Vec<_> = lines.into_iter().map(|line| client.basic_publish("", "lines", line)).collect();
//! client.wait_for_all(&promises)?; // the first wait takes long, the others hardly any time
//! # Ok(())
//! # }
//! ```
//!
//! For all, not for the last: messages go out in the order of their calls, but confirms come in any, as each queue has its
//! own pace. That the last has succeeded says nothing of those before it: they may be nacked, or under way yet.
//!
//! `wait_for_all` stops at the first error; the rest can still be waited for. To know what has failed, wait for each. A
//! program that never ends, or has more than some ten thousand messages, does so in a window, here of 500 to 1000
//! publishes:
//!
//! ```no_run
//! # fn f(client: &mut puka::Client, lines: Vec<String>) {
//! use std::collections::VecDeque;
//!
//! let mut lines = lines.into_iter().enumerate();
//! let mut under_way = VecDeque::new();
//! loop {
//!     if under_way.len() <= 500 {
//!         for (number, line) in lines.by_ref().take(500) {
//!             under_way.push_back((number, client.basic_publish("", "lines", line)));
//!         }
//!     }
//!     let Some((number, promise)) = under_way.pop_front() else {
//!         break;
//!     };
//!     if let Err(error) = client.wait(promise) {
//!         eprintln!("line {number}: {error}");
//!     }
//! }
//! # }
//! ```
//!
//! The window is there because results that nobody reads are bounded ([`wait`](crate::Client::wait)): the last 65,536 are
//! kept, and 32 MiB of what they bring back. Successful publishes count as one for as long as nothing else comes between
//! them, so a hundred thousand that all succeed are no more than one, and a hundred thousand that fail are too many. A publish
//! whose wait says [`UnknownPromise`](crate::Error::UnknownPromise), and for which you have not waited before, has lost its
//! result: most likely it has failed, and nobody knows any more of what. In a window of a few thousand that does not happen.
//!
//! If only failures matter, give each publish a callback. What succeeded and was ignored costs nothing.
//!
//! Frames collect until you wait, loop, or reach the [high-water mark](crate::ClientOptions::high_water_mark), and go out
//! together. Bodies of 4 KiB or more are never copied: they are handed to the socket where they lie. So publish what you
//! have as `Vec<u8>`, `String` or [`Bytes`](crate::Bytes), by value; a `Bytes` that is published many times is cloned for
//! the price of a counter.
//!
//! Properties and headers are encoded where they are set. A message of the same properties each time is built once, and
//! cloned with another body.
//!
//! # Consuming
//! **Set a prefetch.** A few hundred keep a quick consumer busy; without one (0) the broker sends what the queue has, and
//! it lies in this program's memory, up to a [mark](crate::ClientOptions::unread_high_water_mark). A prefetch of 1 is a
//! round trip for each message.
//!
//! Callbacks in a loop are the quickest: what has come is handled before the socket is looked at again, though not for
//! longer than a tenth of a millisecond or 1024 calls (a callback that takes longer than that is followed by a look at
//! the socket each time).
//!
//! The plain `wait`, work, `basic_ack` costs one send for each delivery: when a `wait` returns, the acknowledgement made
//! before it is with the kernel, so a program that then works for an hour, or dies, has acknowledged what it said. On
//! Linux a `wait` that finds its delivery here already, less than a tenth of a millisecond after the last packet, says that
//! more will follow (`MSG_MORE`), and the kernel makes one packet of many acknowledgements: they leave with the next one,
//! when the client sleeps, or by themselves (after 0.2 s where the broker is near, later where a round trip takes longer).
//!
//! [`basic_ack_multiple`](crate::Client::basic_ack_multiple) settles many deliveries by one frame.
//!
//! # Declaring
//! Ask for all that is needed, and wait once: plain calls under way share sixteen channels, up to 64 on each, so that the
//! broker is what limits them. An error still fails nothing but its own call.
//!
//! # Memory
//! Nothing is allocated for a small message, neither out nor in, once buffers have grown (below). Texts of up to 23 bytes
//! are kept in place. Small bodies share allocations of 32 KiB, so one that is kept keeps its neighbours: copy what is
//! kept for long. A large body (8 KiB or more) has a buffer of its own, which the socket is read into, past every other
//! buffer; when it is dropped, the buffer serves the next one (up to 4 MiB of them are kept).
//!
//! A publish takes some 190 bytes until it is confirmed, its frames among them; an idle consumer 1.8 kB; a result that
//! nobody has read, some tens of bytes.
//!
//! # Measured
//! `scripts/bench/run` compares puka with lapin, amqprs, amiquip, rabbitmq-c, pika and Python's puka, and with a *floor*:
//! a program that encodes frames, hops over incoming ones, and does nothing else. The broker at the other end does
//! nothing but keep the protocol, so that it is the client that is measured. The README shows the result, and
//! `scripts/bench/results` has all of it. `cargo test --profile quick -p puka-bench` counts what does not depend on the
//! machine:
//!
//! | a message of 16 bytes | allocations | reads and writes | instructions |
//! |---|---|---|---|
//! | publish with confirms, a thousand under way | 0.009 | 0.004 | 1,090 |
//! | consume and ack, in a callback | 0.002 | 0.006 | 2,060 |
//! | consume and ack, by `wait` | 0.002 | 1.004 | 3,690 |
//! | consume without acks | 0.001 | 0.003 | 1,470 |
//! | publish and wait, one by one | 0.002 | 2, and one poll | 5,340 |
//!
//! (Of a stream of your own nobody knows whether a short read has emptied it: there it is one read more.)
//!
//! What the profiles showed, in the order of what it brought: read buffers that were cleared for each read; a
//! system call to write and one to poll for each delivery; large structures that were moved from layer to layer; an
//! entry in a hash table for each publish; reference counts for each text.
//!
//! The cost is flat: with 100,000 publishes under way a message costs 0.95 times what it costs with a thousand, and with
//! 1,000 consumers on one client 1.1 times what it costs with one (medians of nine interleaved rounds).
//!
//! What we wanted and have not got:
//!
//! - 64 KiB messages, consumed with acks, take 1.4 times the floor's time, not 1.2: of the profile 2 % is this crate, the
//!   rest the kernel's, which is called more often as deliveries are handled between reads.
//! - A tenth of the best other library's time: publishing with confirms has it at 16 bytes (a twelfth), and cannot at
//!   1 KiB, where the floor itself takes a ninth. Consuming with acks takes a fifth at 16 bytes, a tenth at 1 KiB.
//! - Half of rabbitmq-c's time without acks: it is 0.46 by instructions, 0.51 and 0.56 by time in two runs at 16 bytes, and
//!   0.37 and 0.75 at 1 KiB, where the kernel's copies weigh more.
//! - A thousand declares under way take 0.2 to 0.3 of the time of a thousand one by one where the queues exist, 0.6 where
//!   they are made, not 0.1: RabbitMQ 3.10 spends 40 µs of its two processors on the one kind, 700 µs on the other. On one
//!   channel or on sixty-four it is slower yet than on sixteen.
