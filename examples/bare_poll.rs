//! A client in an event loop of the program's own: a mio `Poll`, where there may be other sources, too.

use puka::{Client, Connected, Delivery, Promise, QueueDeclare, Result};

fn on_connection(client: &mut Client, _: Promise<Connected>, result: Result<Connected>) {
    println!(" [*] Connected to {}", result.expect("a connection"));
    let declare = QueueDeclare::server_named().exclusive(true);
    client
        .queue_declare(declare)
        .then(client, |client, _, result| {
            let queue = result.expect("a queue").queue;
            client.basic_consume(&queue).then(client, on_delivery);
            client.basic_publish("", &queue, "Hello world!");
        });
}

fn on_delivery(client: &mut Client, _: Promise<Delivery>, result: Result<Delivery>) {
    let delivery = result.expect("a delivery");
    println!(" [x] Received {:?}", delivery.body_str());
    client.basic_ack(delivery).expect("an acknowledgement");
    client
        .close()
        .then(client, |_, _, result| println!(" [*] Closed: {result:?}"));
}

#[cfg(unix)]
fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    use std::io::ErrorKind;

    use mio::{Events, Interest, Poll, Token};

    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost/".into());
    let mut client = Client::new(&url)?;
    client.connect().then(&mut client, on_connection);

    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);
    // Whatever socket the client has, or will have, is in this poll from now on.
    let interests = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut client, Token(0), interests)?;
    loop {
        client.run_any_callbacks();
        // mio tells only changes: it may have told that the socket is writable before there was anything to write.
        client.on_write();
        if !client.is_active() {
            // Closed, or lost: the last callbacks are told.
            client.run_any_callbacks();
            return Ok(());
        }

        match poll.poll(&mut events, client.next_timeout()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.is_readable() {
                client.on_read();
            }
            if event.is_writable() {
                client.on_write();
            }
        }
        client.on_timeout();
    }
}

#[cfg(not(unix))]
fn main() {
    eprintln!("A client can be in another poll on Unix only.");
}
