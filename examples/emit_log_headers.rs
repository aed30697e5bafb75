//! Publishes a log line with headers: `emit_log_headers [NAME:VALUE...] [MESSAGE]`.

use std::env;

use puka::{Client, ExchangeDeclare, FieldTable, Message};

fn main() -> puka::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.exchange_declare(ExchangeDeclare::headers("headers_logs"));
    client.wait(promise)?;

    let mut args: Vec<String> = env::args().skip(1).collect();
    let message = args.pop().unwrap_or("Hello World!".into());
    if args.is_empty() {
        args.push("anonymous:info".into());
    }
    let pairs = args.iter().map(|arg| arg.split_once(':'));
    let headers: FieldTable = pairs.map(|pair| pair.expect("name:value")).collect();

    let log = Message::new(message.clone()).headers(headers.clone());
    let promise = client.basic_publish("headers_logs", "", log);
    client.wait(promise)?;

    println!(" [x] Sent {headers} {message:?}");
    client.close().wait(&mut client)
}
