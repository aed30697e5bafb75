//! Publishes a number a second, whatever happens to the connection, and prints what does. It ends after as many numbers
//! as the argument says, or never.

use std::time::Duration;

use puka::{Client, ClientOptions, ConnectionEvent, Message, QueueDeclare, Recovery};

fn main() -> puka::Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let options = ClientOptions::new()
        .heartbeat(10)
        .recovery(Recovery::new().limit(Duration::from_secs(3600)));
    let mut client = Client::with_options(&url, options)?;
    client.on_connection_event(|_, event| match event {
        ConnectionEvent::Lost(error) => println!(" [!] Lost: {error}"),
        ConnectionEvent::Restored(restored) => println!(
            " [!] Restored; {} messages were published again",
            restored.republished
        ),
        event => println!(" [!] {event:?}"),
    });
    client.connect().wait(&mut client)?;
    let queue = QueueDeclare::new("numbers").durable(true);
    client.queue_declare(queue).wait(&mut client)?;

    for number in 1..=count.unwrap_or(u64::MAX) {
        let message = Message::new(number.to_string())
            .persistent()
            .mandatory(true)
            .message_id(number.to_string());
        client
            .basic_publish("", "numbers", message)
            .wait(&mut client)?;
        println!(" [x] The broker has {number}");
        client.sleep(Duration::from_secs(1))?;
    }
    client.close().wait(&mut client)
}
