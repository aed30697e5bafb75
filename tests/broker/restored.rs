//! What is there again after a loss, and what a request that ends the connection leaves whole.

use std::time::Duration;

use puka::{
    ClientOptions, Consume, Delivery, Error, ExchangeDeclare, Message, Promise, QueueBind,
    QueueDeclare, Recovery,
};

use crate::recovery::{Between, events, wait_for_restoration};
use crate::support::{Broker, LIMIT, Session};

/// Connections are lost one after another here, and that is no reason to be slow.
fn options() -> ClientOptions {
    let recovery = Recovery::new().limit(LIMIT);
    let (first, longest) = (Duration::from_millis(10), Duration::from_millis(100));
    ClientOptions::new().recovery(recovery.delay(first, longest))
}

fn stream(session: &mut Session) -> String {
    let stream = session.name();
    let declare = QueueDeclare::new(&stream)
        .durable(true)
        .argument("x-queue-type", "stream");
    session.queue_declare(declare).wait(session).unwrap();
    stream
}

/// A consumer that has shown that it runs.
fn running(session: &mut Session) -> (String, Promise<Delivery>) {
    let queue = session.queue();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    goes_on(session, &queue, consumer);
    (queue, consumer)
}

fn goes_on(session: &mut Session, queue: &str, consumer: Promise<Delivery>) {
    session.publish(queue, "goes on");
    let delivery = session.next(consumer);
    assert_eq!(delivery.body, "goes on");
    session.basic_ack(delivery).unwrap();
}

/// The broker deletes the old queue, and the exchange with it, when it has noticed the loss: before, while, or after they
/// are declared anew.
#[test]
fn a_fan_out_that_deletes_itself_is_there_again_whenever_the_broker_notices() {
    for is_exclusive in [true, false] {
        let between = Between::shared();
        let mut session = Session::at(&between.url, options());
        let told = events(&mut session);
        let (exchange, queue) = (session.name(), session.name());
        let declare = ExchangeDeclare::fanout(&exchange).auto_delete(true);
        session
            .exchange_declare(declare)
            .wait(&mut session)
            .unwrap();
        let declare = QueueDeclare::new(&queue)
            .exclusive(is_exclusive)
            .auto_delete(!is_exclusive);
        session.queue_declare(declare).wait(&mut session).unwrap();
        let binding = QueueBind::new(&queue, &exchange);
        session.queue_bind(binding).wait(&mut session).unwrap();
        let consumer = session.basic_consume(Consume::new(&queue).no_ack(true));
        for round in 0..20 {
            between.split(Duration::from_millis(round * round));
            wait_for_restoration(&mut session, &told);
            // Until the broker has noticed, the old queue may take a message with it: one of several is enough.
            let delivery = loop {
                let publish = session.basic_publish(&exchange, "", round.to_string());
                match session.wait(publish) {
                    Ok(()) => {}
                    // It went just now: the program's own affair, and no reason to be deaf.
                    Err(Error::NotFound(_) | Error::OutcomeUnknown(_)) => continue,
                    Err(error) => panic!("{error}"),
                }
                let moment = Duration::from_millis(200);
                if let Some(delivery) = session.wait_timeout(consumer, moment).unwrap() {
                    break delivery;
                }
            };
            assert_eq!(delivery.body, round.to_string());
            while session
                .wait_timeout(consumer, Duration::ZERO)
                .unwrap()
                .is_some()
            {}
        }
    }
}

#[test]
fn an_exclusive_consumer_comes_back_when_the_broker_lets_it() {
    let between = Between::shared();
    let mut session = Session::at(&between.url, options());
    let told = events(&mut session);
    let queue = session.queue();
    let consume = Consume::new(&queue).exclusive(true).prefetch_count(1);
    let consumer = session.basic_consume(consume);
    goes_on(&mut session, &queue, consumer);
    between.split(Duration::from_millis(700));
    wait_for_restoration(&mut session, &told);
    goes_on(&mut session, &queue, consumer);
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

/// 503, which closes the connection, or 406, which does not: that is the version's affair.
#[test]
fn an_exchange_of_a_type_that_the_broker_does_not_know_fails_alone() {
    let mut session = Session::with(options());
    let (queue, consumer) = running(&mut session);
    let name = session.name();
    let declare = ExchangeDeclare::with_kind(&name, "x-puka-odd");
    let error = session
        .exchange_declare(declare)
        .wait(&mut session)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::CommandInvalid(_) | Error::PreconditionFailed(_)
        ),
        "{error}"
    );
    goes_on(&mut session, &queue, consumer);
}

#[test]
fn an_exchange_whose_type_has_gone_is_reported_and_the_rest_is_there() {
    let broker = Broker::start_with(&[], "rabbitmq_consistent_hash_exchange");
    let mut session = Session::at(&broker.url, options());
    let told = events(&mut session);
    let (queue, consumer) = running(&mut session);
    let (odd, plain) = (session.name(), session.name());
    let declare = ExchangeDeclare::with_kind(&odd, "x-consistent-hash");
    session
        .exchange_declare(declare)
        .wait(&mut session)
        .unwrap();
    let declare = ExchangeDeclare::fanout(&plain).auto_delete(true);
    session
        .exchange_declare(declare)
        .wait(&mut session)
        .unwrap();
    let binding = QueueBind::new(&queue, &plain);
    session.queue_bind(binding).wait(&mut session).unwrap();
    broker.eval("rabbit_registry:unregister(exchange, <<\"x-consistent-hash\">>).");
    broker.eval("rabbit_networking:close_all_connections(\"a test\").");
    let restored = wait_for_restoration(&mut session, &told);
    let names: Vec<_> = restored.failed.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&format!("exchange {odd:?}")], "{restored:?}");
    goes_on(&mut session, &queue, consumer);
    let publish = session.basic_publish(&plain, "", "bound");
    session.wait(publish).unwrap();
    assert_eq!(session.next(consumer).body, "bound");
}

#[test]
fn a_transient_queue_where_those_are_refused_fails_alone_and_says_why() {
    if std::env::var("PUKA_RABBITMQ").map_or(true, |version| version == "3") {
        return; // RabbitMQ 3 has no such setting.
    }
    let broker = Broker::start(&["deprecated_features.permit.transient_nonexcl_queues = false"]);
    let mut session = Session::at(&broker.url, options());
    let told = events(&mut session);
    let queue = session.name();
    let declare = QueueDeclare::new(&queue).durable(true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    goes_on(&mut session, &queue, consumer);
    let error = session
        .queue_declare("transient")
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InternalError(_)), "{error}");
    assert!(error.to_string().contains("durable(true)"), "{error}");
    wait_for_restoration(&mut session, &told);
    goes_on(&mut session, &queue, consumer);
}

/// A classic queue is on one node. While that restarts, the other node has many words for its absence.
#[test]
fn what_is_on_a_node_that_restarts_is_there_again_when_the_node_is() {
    let first = Broker::start(&[]);
    let second = Broker::join(&first);
    let mut session = Session::at(&second.url, options().hosts([first.host()]));
    let told = events(&mut session);
    let queue = session.name();
    let declare = QueueDeclare::new(&queue).durable(true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    goes_on(&mut session, &queue, consumer);
    let restart = std::thread::spawn(move || {
        second.restart();
        second
    });
    // Over the first node, which knows of the queue and does not have it.
    wait_for_restoration(&mut session, &told);
    let message = Message::new("goes on").persistent().mandatory(true);
    let publish = session.basic_publish("", &queue, message);
    session.wait(publish).unwrap();
    let delivery = session.next(consumer);
    assert_eq!(delivery.body, "goes on");
    session.basic_ack(delivery).unwrap();
    let second = restart.join().unwrap();
    drop(session);
    drop(second);
}

/// Without recovery it is the program that connects again, and can tell that it should.
#[test]
fn a_shutdown_is_a_broken_connection() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    broker.eval("rabbit_networking:close_all_connections(\"a test\").");
    let error = session.wait(consumer).unwrap_err();
    assert!(matches!(error, Error::ConnectionForced(_)), "{error}");
    assert!(error.is_connection_broken());
    let error = session
        .queue_declare(&queue)
        .wait(&mut session)
        .unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
}
