//! Receives every log line, for ever.

use puka::{Client, Consume, ExchangeDeclare, QueueBind, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.exchange_declare(ExchangeDeclare::fanout("logs"));
    client.wait(promise)?;

    let promise = client.queue_declare(QueueDeclare::server_named().exclusive(true));
    let queue_name = client.wait(promise)?.queue;

    let promise = client.queue_bind(QueueBind::new(&queue_name, "logs"));
    client.wait(promise)?;

    println!(" [*] Waiting for logs. To exit press CTRL+C");

    let consumer = client.basic_consume(Consume::new(&queue_name).no_ack(true));
    loop {
        let log = client.wait(consumer)?;
        println!(" [x] {:?}", log.body_str());
    }
}
