//! What the simulator has found, each in a few lines, on a RabbitMQ in memory.
#![cfg(feature = "testing")]

use std::time::Duration;

use puka::testing::{Broker, inside};
use puka::{Client, ClientOptions, Consume, Message, QueueDeclare, Recovery, Result};

#[test]
fn a_publish_waits_for_no_answer_where_a_write_makes_room() -> Result<()> {
    let broker = Broker::new();
    let mut client = broker.client(ClientOptions::new().high_water_mark(100));
    client.connect().wait(&mut client)?;
    client.queue_declare("work").wait(&mut client)?;
    let consumer = client.basic_consume(Consume::new("work").prefetch_count(20));
    let mut deliveries = Vec::new();
    for _ in 0..20 {
        broker.publish("", "work", "a task")?;
        deliveries.push(client.wait(consumer)?);
    }
    // Nobody answers an acknowledgement, so nothing wakes up whoever sleeps on them.
    for delivery in deliveries {
        client.basic_ack(delivery)?;
    }
    let before = broker.elapsed();
    let promise = client.basic_publish("", "work", "a result");
    assert_eq!(broker.elapsed(), before);
    client.wait(promise)
}

#[test]
fn a_loop_of_ones_own_in_a_loop_that_ends_is_told_of_no_work_that_it_cannot_do() -> Result<()> {
    let broker = Broker::new();
    let mut client = broker.client(ClientOptions::new());
    client.connect().wait(&mut client)?;
    let handle = client.handle()?;
    client
        .queue_declare("a")
        .then(&mut client, move |client, _, _| {
            client.loop_break();
            handle.run(|_| {}).expect("a client");
            client.run_any_callbacks();
            assert_ne!(client.next_timeout(), Some(Duration::ZERO));
        });
    client.loop_forever()
}

#[test]
fn a_consumer_does_not_fail_untried_where_another_queue_stays_locked() -> Result<()> {
    let broker = Broker::new();
    let recovery = Recovery::new().limit(Duration::from_secs(3));
    let mut client = broker.client(ClientOptions::new().recovery(recovery));
    client.connect().wait(&mut client)?;
    client
        .queue_declare(QueueDeclare::new("own").exclusive(true))
        .wait(&mut client)?;
    client
        .queue_declare(QueueDeclare::new("work").durable(true))
        .wait(&mut client)?;
    let consumer = client.basic_consume("work");
    broker.publish("", "work", "a task")?;
    let delivery = client.wait(consumer)?;
    client.basic_ack(delivery)?;
    client.sleep(Duration::ZERO)?;

    // The broker sees the loss late, and keeps the exclusive queue for the old connection.
    let (link, _) = inside::links(&broker)[0];
    inside::cut_unnoticed(&broker, link, Duration::from_secs(30));
    broker.after(Duration::from_secs(10), |broker| {
        broker
            .publish("", "work", "another")
            .expect("there is such a queue");
    });
    assert_eq!(client.wait(consumer)?.body, "another");
    Ok(())
}

#[test]
fn background_heartbeats_go_on_while_a_callback_works_whatever_was_asked_for_before() -> Result<()>
{
    let broker = Broker::new();
    let options = ClientOptions::new()
        .heartbeat(1)
        .background_heartbeats(true);
    let mut client = broker.client(options);
    let works = broker.clone();
    client.connect().then(&mut client, move |client, _, _| {
        works.advance(Duration::from_secs(60));
        client.loop_break();
    });
    // This becomes bytes when the connection is open, which is when the callback runs.
    let promise = client.basic_publish("", "work", "a task");
    client.loop_forever()?;
    client.wait(promise)
}

/// A client with queue "service", and a second one that answers what comes to it.
fn answered_at_once(broker: &Broker) -> Result<(Client, Client)> {
    let mut server = broker.client(ClientOptions::new());
    server.connect().wait(&mut server)?;
    server.queue_declare("service").wait(&mut server)?;
    let mut client = broker.client(ClientOptions::new());
    client.connect().wait(&mut client)?;
    Ok((client, server))
}

#[test]
fn a_reply_that_came_in_time_counts_however_late_it_is_read() -> Result<()> {
    let broker = Broker::new();
    let second = Duration::from_secs(1);
    let (mut client, mut server) = answered_at_once(&broker)?;
    let call = client.call_timeout("", "service", "a question", second);
    client.sleep(Duration::ZERO)?;
    let asked = server.basic_get("service").wait(&mut server)?.expect("it");
    let to = asked.properties.reply_to().expect("an address").to_owned();
    let id = asked.properties.correlation_id().expect("an id").to_owned();
    let answer = Message::new("an answer").correlation_id(id);
    server.basic_publish("", to, answer).wait(&mut server)?;
    // The program is elsewhere for longer than the limit.
    broker.advance(2 * second);
    assert_eq!(client.wait(call)?.body, "an answer");
    Ok(())
}

#[test]
fn a_close_that_nobody_has_waited_for_yet_has_its_time_when_somebody_does() -> Result<()> {
    let broker = Broker::new();
    let mut client = broker.client(ClientOptions::new());
    client.connect().wait(&mut client)?;
    let close = client.close();
    broker.advance(Duration::from_secs(600));
    client.wait(close)
}

#[test]
fn a_sleep_of_no_time_sends_the_heartbeat_that_is_due() -> Result<()> {
    let broker = Broker::new();
    let mut client = broker.client(ClientOptions::new().heartbeat(10));
    client.connect().wait(&mut client)?;
    for _ in 0..20 {
        broker.advance(Duration::from_secs(15));
        client.sleep(Duration::ZERO)?;
    }
    client.queue_declare("q").wait(&mut client)?;
    Ok(())
}
