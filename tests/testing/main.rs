//! `puka::testing`, as a program's tests use it.
#![cfg(feature = "testing")]

mod asked;
mod trouble;

use std::time::Duration;

use puka::testing::Broker;
use puka::{Client, ClientOptions, Error, Message, QueueDeclare, Recovery};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn connected(broker: &Broker, options: ClientOptions) -> Client {
    let mut client = broker.client(options);
    client.connect().wait(&mut client).unwrap();
    client
}

/// A client, and a queue "q".
fn set_up() -> (Broker, Client) {
    let broker = Broker::new();
    let mut client = connected(&broker, ClientOptions::new());
    client.queue_declare("q").wait(&mut client).unwrap();
    (broker, client)
}

fn recovering() -> ClientOptions {
    ClientOptions::new().recovery(Recovery::new())
}

#[test]
fn a_broker_may_be_kept_by_whatever_a_test_has() {
    fn is_plain<T: Clone + Send + Sync + std::fmt::Debug>() {}
    is_plain::<Broker>();
}

#[test]
fn a_wait_that_nothing_can_end_is_an_error_at_once() {
    let (broker, mut client) = set_up();
    let consumer = client.basic_consume("q");
    let error = client.wait(consumer).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::WaitsForever(_)) && text.contains("nothing"),
        "{text}"
    );
    // The client has looked whether the broker's host is there.
    assert!(broker.elapsed() < 60 * SECOND);
    // A limit, and something to come, are no reason for one.
    assert!(client.wait_timeout(consumer, HOUR).unwrap().is_none());
    assert!(broker.elapsed() >= HOUR);
    broker.after(HOUR, |broker| broker.publish("", "q", "late").unwrap());
    assert_eq!(client.wait(consumer).unwrap().body, "late");
    // Nor with heartbeats, which would go on for ever.
    let mut client = connected(&broker, ClientOptions::new().heartbeat(10));
    let error = client.loop_forever().unwrap_err();
    assert!(matches!(error, Error::WaitsForever(_)), "{error}");
}

#[test]
fn the_clock_is_the_brokers_and_jumps() {
    let (broker, mut client) = set_up();
    let (begun, real) = (broker.now(), std::time::Instant::now());
    client.sleep(24 * HOUR).unwrap();
    assert_eq!(broker.now() - begun, 24 * HOUR);
    broker.advance(HOUR);
    assert_eq!(broker.now() - begun, 25 * HOUR);
    assert!(real.elapsed() < 60 * SECOND);
    client.loop_timeout(SECOND).unwrap();
    assert_eq!(broker.elapsed(), 25 * HOUR + SECOND);
}

#[test]
fn a_program_with_a_loop_of_its_own_polls_the_broker() {
    let broker = Broker::new();
    let mut client = broker.client(ClientOptions::new().heartbeat(10));
    let (sender, told) = std::sync::mpsc::channel();
    client
        .connect()
        .then(&mut client, move |client, _, connected| {
            connected.unwrap();
            client
                .queue_declare("q")
                .then(client, move |client, _, declared| {
                    declared.unwrap();
                    client
                        .basic_consume("q")
                        .for_each(client, move |client, _, delivery| {
                            if let Ok(delivery) = delivery {
                                sender.send(delivery.body_str().into_owned()).unwrap();
                                client.basic_ack(delivery).unwrap();
                            }
                        });
                });
        });
    broker.after(HOUR, |broker| broker.publish("", "q", "late").unwrap());
    let body = loop {
        client.run_any_callbacks();
        if let Ok(body) = told.try_recv() {
            break body;
        }
        let timeout = client.next_timeout();
        let ready = broker.poll(&mut client, timeout).unwrap();
        if ready.readable {
            client.on_read();
        }
        if ready.writable {
            client.on_write();
        }
        client.on_timeout();
    };
    assert_eq!(body, "late");
    assert!(broker.elapsed() >= HOUR);
}

#[test]
fn several_clients_share_a_loop() {
    let broker = Broker::new();
    let mut worker = connected(&broker, ClientOptions::new());
    let mut boss = connected(&broker, ClientOptions::new());
    worker.queue_declare("work").wait(&mut worker).unwrap();
    let consumer = worker.basic_consume("work");
    consumer.for_each(&mut worker, |client, _, delivery| {
        let Ok(delivery) = delivery else { return };
        let to = delivery.properties.reply_to().unwrap().to_owned();
        let reply = Message::new(delivery.body_str().repeat(2));
        let reply = reply.correlation_id(delivery.properties.correlation_id().unwrap());
        client.basic_publish("", to, reply);
        client.basic_ack(delivery).unwrap();
    });
    boss.call("", "work", "ab")
        .then(&mut boss, |client, _, response| {
            assert_eq!(response.unwrap().body, "abab");
            client.loop_break();
        });
    puka::loop_forever(&mut [&mut boss, &mut worker]).unwrap();
    // And nobody is left who could do anything.
    let error = puka::loop_forever(&mut [&mut boss, &mut worker]).unwrap_err();
    assert!(matches!(error, Error::WaitsForever(_)), "{error}");
}

#[test]
fn what_it_does_not_do_is_an_error_that_says_so() {
    let (_broker, mut client) = set_up();
    let stream = QueueDeclare::new("s")
        .durable(true)
        .argument("x-queue-type", "stream");
    let error = client.queue_declare(stream).wait(&mut client).unwrap_err();
    assert!(
        error.to_string().contains("puka::testing has no streams"),
        "{error}"
    );
}

#[test]
#[should_panic(expected = "no client can be made with these options")]
fn options_that_make_no_sense_are_told() {
    Broker::new().client(ClientOptions::new().hosts(["rabbit:no port"]));
}
