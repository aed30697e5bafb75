//! Receives one message of the queue `test`.

use puka::Client;

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare("test");
    client.wait(promise)?;

    println!("  [*] Waiting for a message. Press CTRL+C to quit.");

    let consumer = client.basic_consume("test");
    let delivery = client.wait(consumer)?;
    println!(" [x] Received message {delivery:?}");

    client.basic_ack(delivery)?;

    let promise = client.basic_cancel(consumer);
    client.wait(promise)?;

    let promise = client.close();
    client.wait(promise)?;
    Ok(())
}
