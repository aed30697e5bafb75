//! Publishes a log line under some topic: `emit_log_topic [TOPIC [MESSAGE...]]`.

use std::env;

use puka::{Client, ExchangeDeclare};

fn main() -> puka::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.exchange_declare(ExchangeDeclare::topic("topic_logs"));
    client.wait(promise)?;

    let mut args = env::args().skip(1);
    let routing_key = args.next().unwrap_or("anonymous.info".into());
    let message = args.reduce(|text, word| text + " " + &word);
    let message = message.unwrap_or("Hello World!".into());
    let promise = client.basic_publish("topic_logs", &routing_key, message.clone());
    client.wait(promise)?;

    println!(" [x] Sent {routing_key:?}:{message:?}");
    client.close().wait(&mut client)
}
