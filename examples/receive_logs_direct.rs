//! Receives the log lines of some severities: `receive_logs_direct SEVERITY...`.

use std::env;

use puka::{Client, Consume, ExchangeDeclare, QueueBind, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.exchange_declare(ExchangeDeclare::direct("direct_logs"));
    client.wait(promise)?;

    let promise = client.queue_declare(QueueDeclare::server_named().exclusive(true));
    let queue_name = client.wait(promise)?.queue;

    let args: Vec<String> = env::args().collect();
    if args.len() < 2 {
        eprintln!("Usage: {} [info] [warning] [error]", args[0]);
        std::process::exit(1);
    }

    for severity in &args[1..] {
        let binding = QueueBind::new(&queue_name, "direct_logs").routing_key(severity);
        let promise = client.queue_bind(binding);
        client.wait(promise)?;
    }

    println!(" [*] Waiting for logs. To exit press CTRL+C");

    let consumer = client.basic_consume(Consume::new(&queue_name).no_ack(true));
    loop {
        let log = client.wait(consumer)?;
        println!(" [x] {:?}:{:?}", log.routing_key, log.body_str());
    }
}
