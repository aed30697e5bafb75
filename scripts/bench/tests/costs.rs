//! What a message costs, in numbers that do not depend on the machine: allocations, reads and writes, instructions. They
//! may not be more than `figures.txt` has.

use std::alloc::System;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::net::UnixStream;
use puka::{Client, ClientOptions, Consume, Delivery, Promise, Result};
use puka_bench::null::Session;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Instructions differ a little from compiler to compiler.
const TOLERANCE: f64 = 1.15;

/// Bytes that an idle consumer may take, and a publish under way (its frames among them).
const CONSUMER: f64 = 2_500.0;
const PUBLISH: f64 = 250.0;

/// By work: what `figures.txt` allows.
fn figures() -> Vec<(&'static str, [f64; 3])> {
    let lines = include_str!("../figures.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let work = words.next().expect("a work");
            let figures: Vec<f64> = words.map(|word| word.parse().expect("a number")).collect();
            (work, figures.try_into().expect("three figures"))
        })
        .collect()
}

/// A stream with the null broker at its other end, in memory: it counts the calls.
struct Scripted {
    session: Session,
    /// How much of the session's output has been read.
    read: usize,
    calls: Arc<AtomicUsize>,
    /// What the poll watches: a byte from the second makes the first readable.
    pair: (UnixStream, UnixStream),
}

impl Scripted {
    fn new(calls: Arc<AtomicUsize>) -> Self {
        Self {
            session: Session::default(),
            read: 0,
            calls,
            pair: UnixStream::pair().expect("a pair"),
        }
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let _ = self.pair.0.read(&mut [0; 64]);
        if self.read == self.session.out.len() {
            self.session.out.clear();
            self.read = 0;
            self.session.deliver(64 * 1024);
        }
        let rest = &self.session.out[self.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        for slice in slices {
            self.session.receive(slice);
        }
        let _ = self.pair.1.write(&[0]);
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl mio::event::Source for Scripted {
    fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        self.pair.0.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        self.pair.0.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        self.pair.0.deregister(registry)
    }
}

impl AsFd for Scripted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pair.0.as_fd()
    }
}

/// A thousand publishes under way, and half of them waited for at a time.
fn confirm(client: &mut Client, _: Promise<Delivery>, messages: usize) -> Result<()> {
    let mut half: Option<Promise<()>> = None;
    for count in 1..=messages {
        let promise = client.basic_publish("", "bench", "sixteen bytes it");
        if count % 500 == 0
            && let Some(half) = half.replace(promise)
        {
            client.wait(half)?;
        }
    }
    half.map_or(Ok(()), |half| client.wait(half))
}

fn wait(client: &mut Client, _: Promise<Delivery>, messages: usize) -> Result<()> {
    for _ in 0..messages {
        client
            .basic_publish("", "bench", "sixteen bytes it")
            .wait(client)?;
    }
    Ok(())
}

/// In callback style, with or without acks.
fn consume(
    client: &mut Client,
    consumer: Promise<Delivery>,
    messages: usize,
    acks: bool,
) -> Result<()> {
    let mut left = messages;
    consumer.for_each(client, move |client, _, delivery| {
        let delivery = delivery.expect("a delivery");
        if left > 0 {
            left -= 1;
            if acks {
                client.basic_ack(delivery).expect("an ack");
            }
        }
        if left == 0 {
            client.loop_break();
        }
    });
    client.loop_forever()
}

fn ack(client: &mut Client, consumer: Promise<Delivery>, messages: usize) -> Result<()> {
    consume(client, consumer, messages, true)
}

fn noack(client: &mut Client, consumer: Promise<Delivery>, messages: usize) -> Result<()> {
    consume(client, consumer, messages, false)
}

fn ack_plain(client: &mut Client, consumer: Promise<Delivery>, messages: usize) -> Result<()> {
    for _ in 0..messages {
        let delivery = client.wait(consumer)?;
        client.basic_ack(delivery)?;
    }
    Ok(())
}

/// The least of a few counts: where the machine is busy, the loop's turns are cut shorter and there are more of them.
fn least(work: &str) -> Result<(f64, f64)> {
    let mut least = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        let (allocations, calls) = count(work)?;
        least = (least.0.min(allocations), least.1.min(calls));
    }
    Ok(least)
}

/// Allocations a message, and reads and writes a thousand messages.
fn count(work: &str) -> Result<(f64, f64)> {
    let calls = Arc::new(AtomicUsize::new(0));
    let options = ClientOptions::new().heartbeat(0);
    let mut client = Client::with_options("amqp://localhost/", options)?;
    let stream = Scripted::new(calls.clone());
    client.connect_over(stream).wait(&mut client)?;
    // Of a publisher, too: it is only there.
    let idle = Consume::new("bench-16").prefetch_count(1);
    let request = match work {
        "noack" => Consume::new("bench-16").no_ack(true),
        "ack" | "ack-plain" => Consume::new("bench-16").prefetch_count(500),
        _ => idle,
    };
    let consumer = client.basic_consume(request);
    let run = match work {
        "confirm" => confirm,
        "wait" => wait,
        "ack" => ack,
        "noack" => noack,
        "ack-plain" => ack_plain,
        _ => panic!("unknown work {work}"),
    };
    // Everything that grows once has grown then.
    run(&mut client, consumer, 20_000)?;
    let messages = 20_000;
    let (region, before) = (Region::new(ALLOCATOR), calls.load(Ordering::Relaxed));
    run(&mut client, consumer, messages)?;
    let change = region.change();
    let calls = calls.load(Ordering::Relaxed) - before;
    let allocations = change.allocations + change.reallocations;
    Ok((
        allocations as f64 / messages as f64,
        calls as f64 * 1000.0 / messages as f64,
    ))
}

/// Bytes that each of a thousand idle consumers takes, and each of 100,000 publishes that have not been answered.
fn idle() -> Result<(f64, f64)> {
    let calls = Arc::new(AtomicUsize::new(0));
    let options = ClientOptions::new()
        .heartbeat(0)
        .high_water_mark(usize::MAX);
    let mut client = Client::with_options("amqp://localhost/", options)?;
    client
        .connect_over(Scripted::new(calls))
        .wait(&mut client)?;
    let held = |region: &Region<'_, System>| {
        let change = region.change();
        (change.bytes_allocated - change.bytes_deallocated) as f64
    };
    client.basic_publish("", "bench", "").wait(&mut client)?;
    let region = Region::new(ALLOCATOR);
    for _ in 0..100_000 {
        client.basic_publish("", "bench", "sixteen bytes it");
    }
    let publish = held(&region) / 100_000.0;
    client.basic_publish("", "bench", "").wait(&mut client)?;

    let region = Region::new(ALLOCATOR);
    // Never delivers, so that nothing but the consumer is counted.
    let request = Consume::new("bench-none").prefetch_count(1);
    let consumers: Vec<_> = (0..1000)
        .map(|_| client.basic_consume(request.clone()))
        .collect();
    for consumer in consumers {
        client.wait(consumer).map(drop)?;
    }
    Ok((held(&region) / 1000.0, publish))
}

#[test]
fn no_message_costs_more_than_its_figures() {
    let mut failures = Vec::new();
    let mut check = |work: &str, what: &str, found: f64, figure: f64| {
        println!("{work}: {found:.3} {what} (figure: {figure})");
        if found > figure {
            failures.push(format!(
                "{work}: {found:.3} {what}, where the figure is {figure}"
            ));
        }
    };
    for (work, [allocations, calls, _]) in figures() {
        let found = least(work).expect("a measurement");
        check(work, "allocations a message", found.0, allocations);
        check(work, "reads and writes a thousand messages", found.1, calls);
    }
    let (consumer, publish) = idle().expect("a measurement");
    check("a consumer", "bytes while it is idle", consumer, CONSUMER);
    check("a publish", "bytes while it is under way", publish, PUBLISH);
    for (work, [.., instructions]) in figures() {
        match instructions_of(work) {
            Some(found) => check(
                work,
                "instructions a message",
                found,
                instructions * TOLERANCE,
            ),
            None => println!(
                "{work}: NOT PROVED: instructions are counted where valgrind is, and in release builds"
            ),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Instructions a message: the difference of two runs under valgrind.
fn instructions_of(work: &str) -> Option<f64> {
    if cfg!(debug_assertions) {
        return None;
    }
    let mut broker = Command::new(env!("CARGO_BIN_EXE_null"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the null broker");
    let mut port = String::new();
    let stdout = broker.stdout.take().expect("its output");
    let read = io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut port);
    read.expect("its port");
    let url = format!("amqp://127.0.0.1:{}/", port.trim());
    let run = |messages: usize| -> Option<f64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(env!("CARGO_BIN_EXE_puka-bench"))
            .args(["puka", work, "16", &messages.to_string(), &url])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let count = text
            .split("Collected : ")
            .nth(1)?
            .split_whitespace()
            .next()?;
        count.parse().ok()
    };
    let (few, many) = (2_000, 12_000);
    let found = run(few).zip(run(many));
    let _ = broker.kill();
    let _ = broker.wait();
    let (few_cost, many_cost) = found?;
    Some((many_cost - few_cost) / (many - few) as f64)
}
