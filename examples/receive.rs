//! Receives the messages of the queue `test`, one at a time, for ever.

use puka::{Client, Consume};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare("test");
    client.wait(promise)?;

    println!("  [*] Waiting for messages. Press CTRL+C to quit.");

    let consumer = client.basic_consume(Consume::new("test").prefetch_count(1));
    loop {
        let delivery = client.wait(consumer)?;
        println!(" [x] Received message {delivery:?}");
        client.basic_ack(delivery)?;
    }
}
