//! The main job, step by step: a message published, confirmed, consumed and acknowledged.

use puka::{Client, Message, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;

    let connected = client.connect().wait(&mut client)?;
    println!(" [*] Connected to {connected}");

    let declare = QueueDeclare::server_named().exclusive(true);
    let queue = client.queue_declare(declare).wait(&mut client)?.queue;
    println!(" [*] Declared the queue {queue}");

    let message = Message::new("Hello world!")
        .content_type("text/plain")
        .mandatory(true);
    let promise = client.basic_publish("", &queue, message);
    client.wait(promise)?;
    println!(" [x] Published, and the broker has confirmed it");

    let consumer = client.basic_consume(&queue);
    let delivery = client.wait(consumer)?;
    println!(" [x] Received {:?}", delivery.body_str());

    client.basic_ack(delivery)?;
    client.basic_cancel(consumer).wait(&mut client)?;
    let left = client.queue_delete(&queue).wait(&mut client)?;
    println!(" [x] Acknowledged: {left} messages are left in the queue");

    client.close().wait(&mut client)?;
    println!(" [*] Closed");
    Ok(())
}
