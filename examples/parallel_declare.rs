//! Declares a thousand queues at once, then deletes them at once. With `RUST_LOG=debug` it logs what it does.

use puka::Client;

fn main() -> puka::Result<()> {
    env_logger::init();
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;

    let promise = client.connect();
    client.wait(promise)?;

    let names = || (0..1000).map(|i| format!("a{i:04}"));

    let promises: Vec<_> = names().map(|name| client.queue_declare(name)).collect();
    client.wait_for_all(&promises)?;

    let promises: Vec<_> = names().map(|name| client.queue_delete(name)).collect();
    client.wait_for_all(&promises)?;

    let promise = client.close();
    client.wait(promise)?;
    Ok(())
}
