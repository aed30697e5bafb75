//! Sends one message to the queue `test`, by callbacks.

use puka::{Client, Connected, Promise, QueueDeclareOk, Result};

fn on_connection(client: &mut Client, _: Promise<Connected>, _: Result<Connected>) {
    client.queue_declare("test").then(client, on_queue_declare);
}

fn on_queue_declare(client: &mut Client, _: Promise<QueueDeclareOk>, _: Result<QueueDeclareOk>) {
    let promise = client.basic_publish("", "test", "Hello world!");
    promise.then(client, on_basic_publish);
}

fn on_basic_publish(client: &mut Client, _: Promise<()>, result: Result<()>) {
    println!(" [*] Message sent: {result:?}");
    client.loop_break();
}

fn main() -> Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    client.connect().then(&mut client, on_connection);
    client.loop_forever()?;

    let promise = client.close();
    client.wait(promise)?;
    Ok(())
}
