//! Errors that need a broker with settings of its own.

use std::time::Duration;

use puka::{Client, ClientOptions, Consume, ConsumeMulti, Error, QueueDeclare};

use crate::support::{Broker, LIMIT, Session, version};

#[test]
fn a_message_over_the_brokers_limit_fails_alone() {
    let broker = Broker::start(&["max_message_size = 1000"]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let queue = session.queue();
    let publishes: Vec<_> = (0..20)
        .map(|number| {
            session.basic_publish("", &queue, vec![0; if number == 10 { 1001 } else { 1000 }])
        })
        .collect();
    for (number, publish) in publishes.into_iter().enumerate() {
        match (number, session.wait(publish)) {
            (10, Err(Error::PreconditionFailed(_))) => {}
            (0..10, Ok(()) | Err(Error::OutcomeUnknown(_))) | (11.., Ok(())) => {}
            (number, other) => panic!("{number}: {other:?}"),
        }
    }
    session.wait_for_messages(&queue, 19);
}

#[test]
fn a_late_acknowledgement_ends_its_consumer_and_says_why() {
    let broker = Broker::start(&["consumer_timeout = 1000"]);
    // The broker looks once a minute, unless it is told otherwise before the connection.
    broker.ctl(&[
        "eval",
        "application:set_env(rabbit, channel_tick_interval, 1000).",
    ]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    // Since RabbitMQ 4.3 only quorum queues have such a limit, and only the consumer ends, not its channel.
    let (slow, other) = (session.name(), session.queue());
    let declare = QueueDeclare::new(&slow)
        .durable(true)
        .argument("x-queue-type", "quorum");
    session.queue_declare(declare).wait(&mut session).unwrap();
    session.publish(&slow, "a");
    let consumer = session.basic_consume(Consume::new(&slow).prefetch_count(10));
    let innocent = session.basic_consume(&other);
    let delivery = session.next(consumer);
    let error = session
        .wait_timeout(consumer, Duration::from_secs(150))
        .unwrap_err();
    match error {
        Error::PreconditionFailed(_) => {
            let error = session.basic_ack(delivery).unwrap_err();
            assert!(matches!(error, Error::StaleDelivery(_)), "{error}");
        }
        Error::Cancelled(_) => drop(delivery),
        error => panic!("{error}"),
    }
    session.publish(&other, "b");
    assert_eq!(session.next(innocent).body, "b");
    session.wait_for_messages(&slow, 1);
    assert!(session.take(&slow).unwrap().redelivered);
}

#[test]
fn what_a_user_may_not_do_is_refused() {
    let broker = Broker::start(&[]);
    broker.ctl(&["add_user", "reader", "secret"]);
    broker.ctl(&["set_permissions", "reader", "^$", "^$", ".*"]);
    let mut owner = Session::at(&broker.url, ClientOptions::new());
    let queue = owner.queue();
    let url = broker.url.replace("amqp://", "amqp://reader:secret@");
    let mut reader = Client::new(&url).unwrap();
    reader.connect().wait(&mut reader).unwrap();
    let error = reader.queue_declare("mine").wait(&mut reader).unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    let error = reader
        .basic_publish("amq.topic", "", "a")
        .wait(&mut reader)
        .unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    owner.publish(&queue, "a");
    let delivery = reader.basic_get(&queue).wait(&mut reader).unwrap().unwrap();
    reader.basic_ack(delivery).unwrap();
    assert!(!format!("{reader:?}").contains("secret"));
    broker.ctl(&["set_permissions", "reader", "^$", "^$", "^$"]);
    broker.ctl(&["delete_user", "reader"]);
}

#[test]
fn where_deprecated_features_are_denied_the_client_does_without() {
    if std::env::var("PUKA_RABBITMQ").map_or(true, |version| version == "3") {
        return; // RabbitMQ 3 has no such settings.
    }
    let broker = Broker::start(&[
        "deprecated_features.permit.transient_nonexcl_queues = false",
        "deprecated_features.permit.global_qos = false",
    ]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let error = session
        .queue_declare("transient")
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InternalError(_)), "{error}");
    // The name of the setting is in the broker's text, and the cure in the hint.
    let hint = error.reply().unwrap().hint();
    assert!(
        hint.is_some_and(|hint| hint.contains("durable(true)")),
        "{error}"
    );

    session.connect().wait(&mut session).unwrap();
    assert!(version(&session) >= (4, 0));
    let (one, two) = (session.name(), session.name());
    for queue in [&one, &two] {
        session
            .queue_declare(QueueDeclare::new(queue).durable(true))
            .wait(&mut session)
            .unwrap();
        session.publish(queue, "a");
    }
    session
        .queue_declare(QueueDeclare::server_named().exclusive(true))
        .wait(&mut session)
        .unwrap();
    // A shared prefetch needs nothing of the broker.
    let consumer = session.basic_consume_multi(ConsumeMulti::new([&one, &two]).prefetch_count(1));
    let first = session.next(consumer);
    session.nothing(consumer);
    session.basic_qos(consumer, 2).wait(&mut session).unwrap();
    session.next(consumer);
    session.basic_ack(first).unwrap();
}

#[test]
fn a_broker_with_few_channels_serves_all_in_turn() {
    let broker = Broker::start(&["channel_max = 8"]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    assert_eq!(session.connected().unwrap().channel_max, 8);
    let queue = session.queue();
    let consumers: Vec<_> = (0..6)
        .map(|_| session.basic_consume(Consume::new(&queue).prefetch_count(1)))
        .collect();
    let promises: Vec<_> = (0..100).map(|_| session.queue_declare(&queue)).collect();
    session.wait_for_all(&promises).unwrap();
    session.publish(&queue, "a");
    let (_, delivery) = session.wait_any(&consumers).unwrap();
    session.basic_ack(delivery.unwrap()).unwrap();
    assert!(
        session
            .wait_timeout(consumers[0], LIMIT / 600)
            .unwrap()
            .is_none()
    );
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
