//! Does the tasks of `new_task`, one at a time, for ever.

use std::{thread, time::Duration};

use puka::{Client, Consume, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare(QueueDeclare::new("task_queue").durable(true));
    client.wait(promise)?;
    println!(" [*] Waiting for messages. To exit press CTRL+C");

    let consumer = client.basic_consume(Consume::new("task_queue").prefetch_count(1));
    loop {
        let delivery = client.wait(consumer)?;
        println!(" [x] Received {:?}", delivery.body_str());
        for _ in delivery.body_str().matches('.') {
            thread::sleep(Duration::from_secs(1));
        }
        println!(" [x] Done");
        client.basic_ack(delivery)?;
    }
}
