//! Asks the server for a Fibonacci number.

use std::hash::{BuildHasher, RandomState};

use puka::{Client, Consume, Delivery, Message, Promise, QueueDeclare, ShortStr};

struct FibonacciRpcClient {
    client: Client,
    callback_queue: ShortStr,
    consumer: Promise<Delivery>,
}

impl FibonacciRpcClient {
    fn new() -> puka::Result<Self> {
        let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
        let mut client = Client::new(&url)?;
        client.connect().wait(&mut client)?;

        let queue = QueueDeclare::server_named().exclusive(true);
        let callback_queue = client.queue_declare(queue).wait(&mut client)?.queue;

        let consumer = client.basic_consume(Consume::new(&callback_queue).no_ack(true));
        Ok(Self {
            client,
            callback_queue,
            consumer,
        })
    }

    fn call(&mut self, n: u64) -> puka::Result<u64> {
        let correlation_id = RandomState::new().hash_one(n).to_string();
        let request = Message::new(n.to_string())
            .reply_to(&self.callback_queue)
            .correlation_id(&correlation_id);
        // We don't need to wait for the promise of the publish: the wait for the reply writes it.
        self.client.basic_publish("", "rpc_queue", request);
        loop {
            let reply = self.client.wait(self.consumer)?;
            if reply.properties.correlation_id() == Some(&correlation_id) {
                return Ok(reply.body_str().parse().expect("a number"));
            }
        }
    }
}

fn main() -> puka::Result<()> {
    let mut fibonacci_rpc = FibonacciRpcClient::new()?;

    println!(" [x] Requesting fib(30)");
    println!(" [.] Got {}", fibonacci_rpc.call(30)?);
    fibonacci_rpc.client.close().wait(&mut fibonacci_rpc.client)
}
