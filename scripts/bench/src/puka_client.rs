//! puka, as its documentation advises for speed: callbacks where there is a loop, and waits for the last of many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use puka::{Bytes, Client, ClientOptions, Consume, Delivery, Promise, Result};

use puka_bench::{IN_FLIGHT, Job, Meter, PREFETCH, Work};

pub fn run(job: &Job) -> Result<()> {
    let options = ClientOptions::new().high_water_mark(usize::MAX);
    let options = match job.work {
        // Without confirms, nobody waits for a publish.
        Work::Publish => options.pubacks(true),
        _ => options,
    };
    let mut client = Client::with_options(&job.url, options)?;
    client.connect().wait(&mut client)?;
    match job.work {
        Work::Confirm => confirm(&mut client, job, IN_FLIGHT),
        Work::ConfirmMany => confirm(&mut client, job, 100_000),
        Work::Publish => publish(&mut client, job),
        Work::Wait => wait(&mut client, job),
        Work::Ack => consume(&mut client, job, false),
        Work::AckMany => consume_many(&mut client, job),
        Work::AckPlain => consume_plain(&mut client, job),
        Work::NoAck => consume(&mut client, job, true),
        Work::Declare => declare(&mut client, job),
        Work::Fill => fill(&mut client, job),
    }
}

fn confirm(client: &mut Client, job: &Job, most: usize) -> Result<()> {
    let body = Bytes::from(vec![b'x'; job.size]);
    client
        .basic_publish("", "bench", body.clone())
        .wait(client)?;
    let meter = Meter::start();
    let mut in_flight = VecDeque::with_capacity(most);
    for _ in 0..job.messages {
        if in_flight.len() == most {
            // Half of them at once: what is waited for is the last.
            let half = in_flight.drain(..most / 2).next_back();
            client.wait(half.expect("half of them"))?;
        }
        in_flight.push_back(client.basic_publish("", "bench", body.clone()));
    }
    if let Some(last) = in_flight.pop_back() {
        client.wait(last)?;
    }
    meter.stop(job);
    Ok(())
}

fn publish(client: &mut Client, job: &Job) -> Result<()> {
    let body = Bytes::from(vec![b'x'; job.size]);
    client
        .basic_publish("", "bench", body.clone())
        .wait(client)?;
    let meter = Meter::start();
    for index in 0..job.messages {
        let promise = client.basic_publish("", "bench", body.clone());
        if index % 10_000 == 9_999 || client.buffered() > 8 << 20 {
            client.wait(promise)?;
        }
    }
    client.basic_publish("", "bench", body).wait(client)?;
    meter.stop(job);
    Ok(())
}

fn wait(client: &mut Client, job: &Job) -> Result<()> {
    let body = Bytes::from(vec![b'x'; job.size]);
    client
        .basic_publish("", "bench", body.clone())
        .wait(client)?;
    let meter = Meter::start();
    for _ in 0..job.messages {
        client
            .basic_publish("", "bench", body.clone())
            .wait(client)?;
    }
    meter.stop(job);
    Ok(())
}

fn consume(client: &mut Client, job: &Job, no_ack: bool) -> Result<()> {
    let request = Consume::new(job.queue())
        .prefetch_count(PREFETCH)
        .no_ack(no_ack);
    let consumer = client.basic_consume(request);
    let first = client.wait(consumer)?;
    if !no_ack {
        client.basic_ack(first)?;
    }
    let mut left = job.messages;
    let meter = Meter::start();
    consumer.for_each(
        client,
        move |client: &mut Client, _: Promise<Delivery>, delivery: Result<Delivery>| {
            let delivery = delivery.expect("a delivery");
            if !no_ack {
                client.basic_ack(delivery).expect("an ack");
            }
            left -= 1;
            if left == 0 {
                client.loop_break();
            }
        },
    );
    client.loop_forever()?;
    meter.stop(job);
    std::process::exit(0);
}

fn consume_many(client: &mut Client, job: &Job) -> Result<()> {
    let left = Arc::new(AtomicUsize::new(job.messages));
    let request = Consume::new(job.queue()).prefetch_count(10);
    let consumers: Vec<_> = (0..1000)
        .map(|_| client.basic_consume(request.clone()))
        .collect();
    for &consumer in &consumers {
        let first = client.wait(consumer)?;
        client.basic_ack(first)?;
    }
    let meter = Meter::start();
    for consumer in consumers {
        let left = left.clone();
        consumer.for_each(client, move |client, _, delivery| {
            client
                .basic_ack(delivery.expect("a delivery"))
                .expect("an ack");
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                client.loop_break();
            }
        });
    }
    client.loop_forever()?;
    meter.stop(job);
    std::process::exit(0);
}

fn consume_plain(client: &mut Client, job: &Job) -> Result<()> {
    let consumer = client.basic_consume(Consume::new(job.queue()).prefetch_count(PREFETCH));
    let first = client.wait(consumer)?;
    client.basic_ack(first)?;
    let meter = Meter::start();
    for _ in 0..job.messages {
        let delivery = client.wait(consumer)?;
        client.basic_ack(delivery)?;
    }
    meter.stop(job);
    std::process::exit(0);
}

fn fill(client: &mut Client, job: &Job) -> Result<()> {
    let queue = job.queue();
    for queue in ["bench", &queue] {
        client.queue_declare(queue).wait(client)?;
        client.queue_purge(queue).wait(client)?;
    }
    let body = Bytes::from(vec![b'x'; job.size]);
    for _ in 0..job.messages {
        client.basic_publish("", &queue, body.clone());
    }
    client.basic_publish("", &queue, body).wait(client)
}

fn declare(client: &mut Client, job: &Job) -> Result<()> {
    let meter = Meter::start();
    let mut left = job.messages;
    while left > 0 {
        let count = left.min(IN_FLIGHT);
        let promises: Vec<_> = (0..count).map(|_| client.queue_declare("bench")).collect();
        client.wait_for_all(&promises)?;
        left -= count;
    }
    meter.stop(job);
    Ok(())
}
