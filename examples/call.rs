//! Asks `rpc_server` for three Fibonacci numbers at once.

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = puka::Client::new(&url)?;
    client.connect().wait(&mut client)?;

    let calls = [10, 20, 30].map(|n: u64| client.call("", "rpc_queue", n.to_string()));
    for call in calls {
        println!(" [.] Got {}", client.wait(call)?.body_str());
    }
    client.close().wait(&mut client)
}
