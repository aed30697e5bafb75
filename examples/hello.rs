//! README's first program: sends one message, and waits for each step.

use puka::Client;

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;

    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare("test");
    client.wait(promise)?;

    let promise = client.basic_publish("", "test", "Hello world!");
    client.wait(promise)?; // the broker has confirmed it

    let promise = client.close();
    client.wait(promise)?;
    Ok(())
}
