//! Four threads work on deliveries, and have the client acknowledge each when it is done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use puka::{Client, Consume, Delivery, QueueDeclare};

const TASKS: u64 = 8;

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    client.connect().wait(&mut client)?;
    let queue = QueueDeclare::server_named().exclusive(true);
    let queue = client.queue_declare(queue).wait(&mut client)?.queue;
    for task in 1..=TASKS {
        client.basic_publish("", &queue, task.to_string());
    }

    let (sender, tasks) = mpsc::channel::<Delivery>();
    let tasks = Arc::new(Mutex::new(tasks));
    let left = Arc::new(AtomicU64::new(TASKS));
    let handle = client.handle()?;
    for _ in 0..4 {
        let (tasks, left, handle) = (tasks.clone(), left.clone(), handle.clone());
        thread::spawn(move || {
            let next = || tasks.lock().ok()?.recv().ok();
            while let Some(task) = next() {
                println!(" [x] Done {}", task.body_str());
                let left = left.clone();
                // It runs inside the client's loop, which it wakes up.
                let done = handle.run(move |client| {
                    if let Err(error) = client.basic_ack(task) {
                        println!(" [!] {error}");
                    }
                    if left.fetch_sub(1, Relaxed) == 1 {
                        client.loop_break();
                    }
                });
                if done.is_err() {
                    return;
                }
            }
        });
    }

    // No more are out than the threads can hold.
    let consumer = client.basic_consume(Consume::new(&queue).prefetch_count(8));
    consumer.for_each(&mut client, move |_, _, delivery| {
        let _ = sender.send(delivery.expect("the consumer goes on"));
    });
    client.loop_forever()?;
    client.basic_cancel(consumer).wait(&mut client)?;
    client.close().wait(&mut client)
}
