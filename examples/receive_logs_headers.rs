//! Receives the log lines that have any of some headers: `receive_logs_headers NAME:VALUE...`.

use std::env;

use puka::{Client, Consume, ExchangeDeclare, QueueBind, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.exchange_declare(ExchangeDeclare::headers("headers_logs"));
    client.wait(promise)?;

    let promise = client.queue_declare(QueueDeclare::server_named().exclusive(true));
    let queue_name = client.wait(promise)?.queue;

    let args: Vec<String> = env::args().collect();
    let headers = &args[1..];
    if headers.is_empty() {
        eprintln!("Usage: {} [header:value]...", args[0]);
        std::process::exit(1);
    }

    let mut binding = QueueBind::new(&queue_name, "headers_logs").argument("x-match", "any");
    for header in headers {
        let (name, value) = header.split_once(':').expect("header:value");
        binding = binding.argument(name, value);
    }
    let promise = client.queue_bind(binding);
    client.wait(promise)?;

    println!(" [*] Waiting for logs {headers:?}. To exit press CTRL+C");

    let consumer = client.basic_consume(Consume::new(&queue_name).no_ack(true));
    loop {
        let log = client.wait(consumer)?;
        println!(" [x] {}:{:?}", log.properties.headers(), log.body_str());
    }
}
