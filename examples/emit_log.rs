//! Publishes a log line to everybody who listens: `emit_log [MESSAGE...]`.

use std::env;

use puka::{Client, ExchangeDeclare};

fn main() -> puka::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.exchange_declare(ExchangeDeclare::fanout("logs"));
    client.wait(promise)?;

    let message = env::args().skip(1).reduce(|text, word| text + " " + &word);
    let message = message.unwrap_or("info: Hello World!".into());
    let promise = client.basic_publish("logs", "", message.clone());
    client.wait(promise)?;

    println!(" [x] Sent {message:?}");
    client.close().wait(&mut client)
}
