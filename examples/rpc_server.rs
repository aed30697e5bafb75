//! Computes Fibonacci numbers for whoever asks, for ever.

use puka::{Client, Consume, Message};

/// The world's worst algorithm.
fn fib(n: u64) -> u64 {
    match n {
        0 => 0,
        1 => 1,
        _ => fib(n - 1) + fib(n - 2),
    }
}

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    let promise = client.connect();
    client.wait(promise)?;

    let promise = client.queue_declare("rpc_queue");
    client.wait(promise)?;

    println!(" [x] Awaiting RPC requests");
    let consumer = client.basic_consume(Consume::new("rpc_queue").prefetch_count(1));
    loop {
        let request = client.wait(consumer)?;
        let n = request.body_str().parse().expect("a number");

        println!(" [.] fib({n})");
        let response = Message::new(fib(n).to_string());

        // This publish doesn't need to be waited for.
        let reply_to = request.properties.reply_to().unwrap_or_default();
        let correlation_id = request.properties.correlation_id().unwrap_or_default();
        client.basic_publish("", reply_to, response.correlation_id(correlation_id));
        client.basic_ack(request)?;
    }
}
