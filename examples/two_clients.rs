//! Two clients in one loop: what one publishes, the other consumes.

use puka::{Client, QueueDeclare};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut consumer = Client::new(&url)?;
    let mut publisher = Client::new(&url)?;
    for client in [&mut consumer, &mut publisher] {
        client.connect().wait(client)?;
    }

    let declare = QueueDeclare::server_named().exclusive(true);
    let queue = consumer.queue_declare(declare).wait(&mut consumer)?.queue;

    let mut received = 0;
    let deliveries = consumer.basic_consume(&queue);
    deliveries.for_each(&mut consumer, move |client, _, result| {
        let delivery = result.expect("the consumer goes on");
        println!(" [x] Received {:?}", delivery.body_str());
        received += 1;
        if client.basic_ack(delivery).is_ok() && received == 3 {
            client.loop_break();
        }
    });

    // Nothing is sent before the loop runs.
    for i in 1..=3 {
        publisher.basic_publish("", &queue, format!("message {i}"));
    }

    puka::loop_forever(&mut [&mut consumer, &mut publisher])?;

    for client in [&mut consumer, &mut publisher] {
        client.close().wait(client)?;
    }
    Ok(())
}
