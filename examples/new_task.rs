//! Queues a task that outlives a restart of the broker: `new_task [TASK...]`; each dot in it takes the worker a second.

use std::env;

use puka::{Client, Message, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare(QueueDeclare::new("task_queue").durable(true));
    client.wait(promise)?;

    let message = env::args().skip(1).reduce(|text, word| text + " " + &word);
    let message = message.unwrap_or("Hello World!".into());
    let task = Message::new(message.clone()).persistent();
    let promise = client.basic_publish("", "task_queue", task);
    client.wait(promise)?;
    println!(" [x] Sent {message:?}");

    client.close().wait(&mut client)
}
