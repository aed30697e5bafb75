//! Receives the messages of the queue `hello`, for ever.

use puka::{Client, Consume};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare("hello");
    client.wait(promise)?;

    println!(" [*] Waiting for messages. To exit press CTRL+C");

    let consumer = client.basic_consume(Consume::new("hello").no_ack(true));
    loop {
        let delivery = client.wait(consumer)?;
        println!(" [x] Received {:?}", delivery.body_str());
    }
}
