//! README's second program: sends one message, by callbacks.

use puka::{Client, Connected, Promise, QueueDeclareOk, Result};

fn on_connection(client: &mut Client, _: Promise<Connected>, result: Result<Connected>) {
    result.expect("a connection"); // a panic in a callback ends the loop, too
    client.queue_declare("test").then(client, on_queue);
}

fn on_queue(client: &mut Client, _: Promise<QueueDeclareOk>, result: Result<QueueDeclareOk>) {
    result.expect("a queue");
    let promise = client.basic_publish("", "test", "Hello world!");
    promise.then(client, on_confirm);
}

fn on_confirm(client: &mut Client, _: Promise<()>, result: Result<()>) {
    result.expect("a confirm");
    println!(" [*] Message sent");
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
