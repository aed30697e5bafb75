//! Publishes a log line of some severity: `emit_log_direct [SEVERITY [MESSAGE...]]`.

use std::env;

use puka::{Client, ExchangeDeclare};

fn main() -> puka::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.exchange_declare(ExchangeDeclare::direct("direct_logs"));
    client.wait(promise)?;

    let mut args = env::args().skip(1);
    let severity = args.next().unwrap_or("info".into());
    let message = args.reduce(|text, word| text + " " + &word);
    let message = message.unwrap_or("Hello World!".into());
    let promise = client.basic_publish("direct_logs", &severity, message.clone());
    client.wait(promise)?;

    println!(" [x] Sent {severity:?}:{message:?}");
    client.close().wait(&mut client)
}
