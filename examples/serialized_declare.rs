//! Declares a thousand queues one by one, then deletes them one by one. With `RUST_LOG=debug` it logs what it does.

use puka::Client;

fn main() -> puka::Result<()> {
    env_logger::init();
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;

    let promise = client.connect();
    client.wait(promise)?;

    for i in 0..1000 {
        let promise = client.queue_declare(format!("a{i:04}"));
        client.wait(promise)?;
    }

    for i in 0..1000 {
        let promise = client.queue_delete(format!("a{i:04}"));
        client.wait(promise)?;
    }

    let promise = client.close();
    client.wait(promise)?;
    Ok(())
}
