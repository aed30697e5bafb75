//! What RabbitMQ does with queues and those who consume from them.

use std::time::Duration;

use puka::{
    Consume, Error, ExchangeDeclare, FieldTable, FieldValue, Message, QueueBind, QueueDeclare,
    Requeue,
};

use crate::support::Session;

pub(crate) fn exchange(
    session: &mut Session,
    declare: impl FnOnce(&str) -> ExchangeDeclare,
) -> String {
    let name = session.name();
    let declared = session.exchange_declare(declare(&name));
    session.wait(declared).unwrap();
    name
}

/// A queue with arguments.
pub(crate) fn queue(session: &mut Session, arguments: &[(&'static str, FieldValue)]) -> String {
    let name = session.name();
    let arguments: FieldTable = arguments.iter().cloned().collect();
    let declared = session.queue_declare(QueueDeclare::new(&name).arguments(arguments));
    session.wait(declared).unwrap();
    name
}

pub(crate) fn bind(session: &mut Session, queue: &str, exchange: &str, key: &str) {
    let bound = session.queue_bind(QueueBind::new(queue, exchange).routing_key(key));
    session.wait(bound).unwrap();
}

pub(crate) fn publish(
    session: &mut Session,
    exchange: &str,
    key: &str,
    message: impl Into<Message>,
) {
    let published = session.basic_publish(exchange, key, message);
    session.wait(published).unwrap();
}

/// The bodies that a queue has when it has that many, with a blank between.
pub(crate) fn bodies(session: &mut Session, queue: &str, count: u32) -> String {
    session.wait_for_messages(queue, count);
    let bodies = (0..count).map(|_| session.take(queue).unwrap().body_str().into_owned());
    bodies.collect::<Vec<_>>().join(" ")
}

pub(crate) fn text(text: &str) -> FieldValue {
    FieldValue::from(text)
}

#[test]
fn a_queue_that_nobody_uses_expires() {
    let mut session = Session::new();
    let brief = queue(&mut session, &[("x-expires", FieldValue::I32(100))]);
    let consumer = session.basic_consume(&brief);
    session.sleep(Duration::from_millis(300)).unwrap();
    publish(&mut session, "", &brief, Message::new("x").mandatory(true));
    let delivery = session.next(consumer);
    session.basic_ack(delivery).unwrap();
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    session.sleep(Duration::from_millis(300)).unwrap();
    let lost = session.basic_publish("", &brief, Message::new("x").mandatory(true));
    let error = session.wait(lost).unwrap_err();
    assert!(matches!(error, Error::NoRoute(_)), "{error}");
}

#[test]
fn a_higher_priority_comes_first() {
    let mut session = Session::new();
    let queue = queue(&mut session, &[("x-max-priority", FieldValue::I32(5))]);
    let messages = [
        ("a", Some(1)),
        ("b", None),
        ("c", Some(5)),
        ("d", Some(9)),
        ("e", Some(1)),
    ];
    for (body, priority) in messages {
        let message = Message::new(body);
        let message = match priority {
            Some(priority) => message.priority(priority),
            None => message,
        };
        publish(&mut session, "", &queue, message);
    }
    assert_eq!(bodies(&mut session, &queue, 5), "c d a e b");
}

#[test]
fn what_is_given_back_comes_again_in_its_place() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["1", "2", "3", "4"] {
        session.publish(&queue, body);
    }
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(2));
    let (one, two) = (session.next(consumer), session.next(consumer));
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    session.basic_reject(two, Requeue::Yes).unwrap();
    session.basic_nack(one, Requeue::Yes).unwrap();
    session.wait_for_messages(&queue, 4);
    let seen: Vec<_> = (0..4)
        .map(|_| {
            let delivery = session.take(&queue).unwrap();
            (delivery.body_str().into_owned(), delivery.redelivered)
        })
        .collect();
    let seen: Vec<_> = seen.iter().map(|(body, again)| (&**body, *again)).collect();
    assert_eq!(seen, [("1", true), ("2", true), ("3", false), ("4", false)]);
}

#[test]
fn consumers_take_turns() {
    let mut session = Session::new();
    let queue = session.queue();
    let consumers = [0, 1].map(|_| {
        let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(10));
        let declared = session.queue_declare(&queue);
        session.wait(declared).unwrap();
        consumer
    });
    while session
        .queue_declare(&queue)
        .wait(&mut session)
        .unwrap()
        .consumer_count
        < 2
    {}
    for body in ["1", "2", "3", "4"] {
        session.publish(&queue, body);
    }
    for (index, consumer) in consumers.into_iter().enumerate() {
        let bodies = [0, 1].map(|_| session.next(consumer).body_str().into_owned());
        let expected = [["1", "3"], ["2", "4"]];
        assert_eq!(bodies, expected[index]);
        session.nothing(consumer);
    }
}

#[test]
fn who_publishes_is_who_he_says() {
    let mut session = Session::new();
    let queue = session.queue();
    publish(&mut session, "", &queue, Message::new("x").user_id("guest"));
    let delivery = session.take(&queue).unwrap();
    assert_eq!(delivery.properties.user_id(), Some("guest"));
    let lie = session.basic_publish("", &queue, Message::new("x").user_id("somebody"));
    let error = session.wait(lie).unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
}

#[test]
fn what_a_lost_consumer_had_comes_first_and_again() {
    let (mut session, mut other) = (Session::new(), Session::new());
    let queue = session.queue();
    for body in ["1", "2", "3"] {
        session.publish(&queue, body);
    }
    let consumer = other.basic_consume(Consume::new(&queue).prefetch_count(2));
    other.next(consumer);
    other.next(consumer);
    other.close().wait(&mut other).unwrap();
    session.wait_for_messages(&queue, 3);
    for (body, redelivered) in [("1", true), ("2", true), ("3", false)] {
        let delivery = session.take(&queue).unwrap();
        assert_eq!(
            (&*delivery.body_str(), delivery.redelivered),
            (body, redelivered)
        );
    }
}

#[test]
fn of_single_active_consumers_of_a_classic_queue_the_next_takes_over() {
    let mut session = Session::new();
    let name = queue(
        &mut session,
        &[("x-single-active-consumer", FieldValue::Bool(true))],
    );
    let first = session.basic_consume(&name);
    session.publish(&name, "1");
    let delivery = session.next(first);
    let second = session.basic_consume(&name);
    session.publish(&name, "2");
    let held = session.next(first);
    session.basic_ack(delivery).unwrap();
    session.nothing(second);
    session.basic_cancel(first).wait(&mut session).unwrap();
    session.publish(&name, "3");
    assert_eq!(session.next(second).body, "3");
    session.basic_reject(held, Requeue::Yes).unwrap();
    let again = session.next(second);
    assert!(again.body == "2" && again.redelivered);
}

#[test]
fn counts_are_of_what_is_ready() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["1", "2", "3"] {
        session.publish(&queue, body);
    }
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    let out = session.next(consumer);
    let declare = QueueDeclare::new(&queue).passive(true);
    let declared = session.queue_declare(declare);
    let declared = session.wait(declared).unwrap();
    assert_eq!((declared.message_count, declared.consumer_count), (2, 1));
    let got = session.basic_get(&queue);
    let got = session.wait(got).unwrap().unwrap();
    assert_eq!((&*got.body_str(), got.message_count), ("2", 1));
    assert_eq!(session.queue_purge(&queue).wait(&mut session).unwrap(), 1);
    session.basic_reject(got, Requeue::Yes).unwrap();
    session.wait_for_messages(&queue, 1);
    assert_eq!(session.queue_delete(&queue).wait(&mut session).unwrap(), 1);
    drop(out);
}

#[test]
fn a_message_is_as_it_was_published() {
    let mut session = Session::new();
    let queue = session.queue();
    let message = Message::new("x")
        .content_type("a/b")
        .content_encoding("c")
        .delivery_mode(2)
        .priority(3)
        .correlation_id("d")
        .reply_to("e")
        .message_id("f")
        .timestamp(1)
        .kind("g")
        .app_id("h")
        .header("i", FieldValue::Void);
    let sent = message.properties.clone();
    publish(&mut session, "", &queue, message);
    session.wait_for_messages(&queue, 1);
    let delivery = session.take(&queue).unwrap();
    assert_eq!(delivery.properties, sent);
    assert_eq!(
        (&*delivery.exchange, &*delivery.routing_key),
        ("", queue.as_str())
    );
}
