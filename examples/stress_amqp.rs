//! Keeps 32 queues busy: each worker publishes a message for every one it receives. Prints the rate once a second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use puka::{Client, ClientOptions, Consume, Message, Promise, QueueDeclare};

const QUEUE_CNT: usize = 32;
const BURST_SIZE: u32 = 120;
const QUEUE_SIZE: u32 = 1000;
const BODY_SIZE: usize = 1;
const PREFETCH_CNT: u16 = 1;
const PUBACKS: bool = false;

static COUNTER: AtomicU64 = AtomicU64::new(0);
static MICROSECONDS: AtomicU64 = AtomicU64::new(0);
static MICROSECONDS_COUNT: AtomicU64 = AtomicU64::new(0);

/// What Python's generator kept between its yields.
struct Worker {
    queue: String,
    message: Message,
}

impl Worker {
    fn start(self, client: &mut Client) {
        let declare = QueueDeclare::new(&self.queue).durable(true);
        client
            .queue_declare(declare)
            .then(client, |client, _, result| {
                let message_count = result.expect("the queue is declared").message_count;
                self.fill(client, QUEUE_SIZE.saturating_sub(message_count));
            });
    }

    fn publish(&self, client: &mut Client) -> Promise<()> {
        client.basic_publish("", &self.queue, self.message.clone())
    }

    fn fill(self, client: &mut Client, left: u32) {
        if left == 0 {
            return self.consume(client);
        }
        for _ in 1..BURST_SIZE {
            self.publish(client);
        }
        // Wait only for one in the burst (the last one).
        self.publish(client).then(client, move |client, _, result| {
            result.expect("the last of the burst is published");
            COUNTER.fetch_add(BURST_SIZE.into(), Relaxed);
            self.fill(client, left.saturating_sub(BURST_SIZE));
        });
    }

    fn consume(self, client: &mut Client) {
        let consume = Consume::new(&self.queue).prefetch_count(PREFETCH_CNT);
        client
            .basic_consume(consume)
            .for_each(client, move |client, _, result| {
                let delivery = result.expect("the consumer goes on");
                let t0 = Instant::now();
                self.publish(client).then(client, move |client, _, result| {
                    result.expect("the message is published");
                    MICROSECONDS.fetch_add(t0.elapsed().as_micros() as u64, Relaxed);
                    MICROSECONDS_COUNT.fetch_add(1, Relaxed);
                    client
                        .basic_ack(delivery)
                        .expect("the message is acknowledged");
                    COUNTER.fetch_add(1, Relaxed);
                });
            });
    }
}

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::with_options(&url, ClientOptions::new().pubacks(PUBACKS))?;
    let promise = client.connect();
    client.wait(promise)?;

    for i in 0..QUEUE_CNT {
        let queue = format!("q{i:04}");
        let message = Message::new("a".repeat(BODY_SIZE)).delivery_mode(1);
        Worker { queue, message }.start(&mut client);
    }

    println!(" [*] loop");
    loop {
        let t0 = Instant::now();
        client.loop_timeout(Duration::from_secs(1))?;
        let rate = COUNTER.swap(0, Relaxed) as f64 / t0.elapsed().as_secs_f64();
        let count = MICROSECONDS_COUNT.swap(0, Relaxed).max(1);
        let average = MICROSECONDS.swap(0, Relaxed) as f64 / count as f64 / 1000.0;
        println!("send: {rate:.0}  avg: {average:.3}ms");
    }
}
