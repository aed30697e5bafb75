//! Sends one message to the queue `test`, and asks how many there are now.

use puka::{Client, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;

    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare("test");
    client.wait(promise)?;

    let promise = client.basic_publish("", "test", "Hello world!");
    client.wait(promise)?;

    println!(" [*] Message sent");

    let promise = client.queue_declare(QueueDeclare::new("test").passive(true));
    println!(" [*] Queue size: {}", client.wait(promise)?.message_count);

    let promise = client.close();
    client.wait(promise)?;
    Ok(())
}
