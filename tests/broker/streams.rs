//! [Streams](https://www.rabbitmq.com/docs/streams).

use std::time::Duration;

use puka::{ClientOptions, Consume, Error, QueueDeclare};

use crate::features::durable;
use crate::recovery::{events, wait_for_restoration};
use crate::restored::{goes_on, options, running};
use crate::support::{Between, Broker, Session};

#[test]
fn a_stream_is_read_from_where_the_consumer_says() {
    let mut session = Session::new();
    let stream = durable(&mut session, &[("x-queue-type", "stream")]);
    for body in ["0", "1", "2", "3"] {
        session.publish(&stream, body);
    }
    let from = |offset: puka::FieldValue| {
        Consume::new(&stream)
            .prefetch_count(10)
            .argument("x-stream-offset", offset)
    };
    let first = session.basic_consume(from("first".into()));
    for expected in ["0", "1", "2", "3"] {
        let delivery = session.next(first);
        assert_eq!(delivery.body, expected);
        let offset = delivery.header("x-stream-offset");
        assert_eq!(offset.unwrap().as_i64().unwrap().to_string(), expected);
        session.basic_ack(delivery).unwrap();
    }
    let third = session.basic_consume(from(2_i64.into()));
    assert_eq!(session.next(third).body, "2");
    let next = session.basic_consume(from("next".into()));
    session.nothing(next);
    session.publish(&stream, "4");
    assert_eq!(session.next(next).body, "4");
}

#[test]
fn recover_reads_a_stream_again_from_what_is_not_settled() {
    let mut session = Session::new();
    let stream = durable(&mut session, &[("x-queue-type", "stream")]);
    for body in ["0", "1", "2", "3"] {
        session.publish(&stream, body);
    }
    let consumer = session.basic_consume(
        Consume::new(&stream)
            .prefetch_count(3)
            .argument("x-stream-offset", "first"),
    );
    let settled = session.next(consumer);
    session.basic_ack(settled).unwrap();
    // One is read, others are unread, or on their way.
    let mut held = session.next(consumer);
    for _ in 0..2 {
        session.basic_recover(consumer).wait(&mut session).unwrap();
        let refused = session.basic_ack(held);
        assert!(matches!(refused, Err(Error::AlreadySettled(_))));
        held = session.next(consumer);
        assert_eq!(held.body, "1");
    }
    session.basic_recover(consumer).wait(&mut session).unwrap();
    for expected in ["1", "2", "3"] {
        let delivery = session.next(consumer);
        assert_eq!(delivery.body, expected);
        session.basic_ack(delivery).unwrap();
    }
    session.publish(&stream, "4");
    let last = session.next(consumer);
    assert_eq!(last.body, "4");
    session.basic_ack(last).unwrap();
    // What nobody has read when it is cancelled is still there for the next one.
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    let unread = Consume::new(&stream).argument("x-stream-offset", "first");
    for _ in 0..2 {
        let consumer = session.basic_consume(unread.clone().prefetch_count(3));
        assert_eq!(session.next(consumer).body, "0");
        session.basic_cancel(consumer).wait(&mut session).unwrap();
    }
}

#[test]
fn what_the_broker_does_not_do_is_not_implemented() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let stream = session.name();
    let declare = QueueDeclare::new(&stream)
        .durable(true)
        .argument("x-queue-type", "stream");
    session.queue_declare(declare).wait(&mut session).unwrap();
    // A stream cannot be purged: that ends the connection, and everything on it hears why.
    let innocent = session.basic_consume(
        Consume::new(&stream)
            .prefetch_count(1)
            .argument("x-stream-offset", "first"),
    );
    let error = session.queue_purge(&stream).wait(&mut session).unwrap_err();
    assert!(matches!(error, Error::NotImplemented(_)), "{error}");
    let error = session.wait(innocent).unwrap_err();
    assert!(matches!(error, Error::NotImplemented(_)), "{error}");
    session.connect().wait(&mut session).unwrap();
}

#[test]
fn a_consumer_of_a_stream_keeps_its_prefetch() {
    let mut session = Session::new();
    let stream = session.name();
    let declare = QueueDeclare::new(&stream)
        .durable(true)
        .argument("x-queue-type", "stream");
    session.queue_declare(declare).wait(&mut session).unwrap();
    for body in ["a", "b"] {
        session.publish(&stream, body);
    }
    let consume = Consume::new(&stream)
        .prefetch_count(1)
        .argument("x-stream-offset", "first");
    let consumer = session.basic_consume(consume);
    let first = session.next(consumer);
    assert_eq!(
        (
            &first.body[..],
            first.header("x-stream-offset").unwrap().as_i64()
        ),
        (&b"a"[..], Some(0))
    );
    let error = session
        .basic_qos(consumer, 2)
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    session.nothing(consumer);
    session.basic_ack(first).unwrap();
    assert_eq!(session.next(consumer).body, "b");
}

fn stream(session: &mut Session) -> String {
    let stream = session.name();
    let declare = QueueDeclare::new(&stream)
        .durable(true)
        .argument("x-queue-type", "stream");
    session.queue_declare(declare).wait(session).unwrap();
    stream
}

#[test]
fn a_consumer_of_a_stream_that_asked_for_no_offset_misses_nothing() {
    let between = Between::shared();
    let mut session = Session::at(&between.url, options());
    let told = events(&mut session);
    let stream = stream(&mut session);
    let consumer = session.basic_consume(Consume::new(&stream).prefetch_count(10));
    // It has begun when something comes.
    let mut published = 0_u32;
    let first = loop {
        let publish = session.basic_publish("", &stream, published.to_string());
        session.wait(publish).unwrap();
        published += 1;
        let moment = Duration::from_millis(100);
        if let Some(delivery) = session.wait_timeout(consumer, moment).unwrap() {
            break delivery;
        }
    };
    let mut next: u32 = first.body_str().parse().unwrap();
    next += 1;
    session.basic_ack(first).unwrap();
    for round in 0..3 {
        let until = published + 40;
        while published < until {
            let publish = session.basic_publish("", &stream, published.to_string());
            session.wait(publish).unwrap();
            published += 1;
        }
        // What was not acknowledged by then comes again.
        let stop = if round == 2 {
            published
        } else {
            published - 20
        };
        while next < stop {
            let delivery = session.next(consumer);
            let number: u32 = delivery.body_str().parse().unwrap();
            assert!(number <= next, "{next} is missing, here is {number}");
            next = next.max(number + 1);
            session.basic_ack(delivery).unwrap();
        }
        if round < 2 {
            between.cut();
            wait_for_restoration(&mut session, &told);
        }
    }
}

/// A stream cannot be purged: 540, which closes the connection.
#[test]
fn a_purge_that_the_broker_does_not_know_fails_alone() {
    let mut session = Session::with(options());
    let told = events(&mut session);
    let (queue, consumer) = running(&mut session);
    let stream = stream(&mut session);
    let error = session.queue_purge(&stream).wait(&mut session).unwrap_err();
    assert!(matches!(error, Error::NotImplemented(_)), "{error}");
    wait_for_restoration(&mut session, &told);
    goes_on(&mut session, &queue, consumer);
}
