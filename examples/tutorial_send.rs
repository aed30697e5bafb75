//! Sends "Hello World!" to the queue `hello`.

use puka::Client;

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare("hello");
    client.wait(promise)?;

    let promise = client.basic_publish("", "hello", "Hello World!");
    client.wait(promise)?;

    println!(" [x] Sent 'Hello World!'");
    client.close().wait(&mut client)
}
