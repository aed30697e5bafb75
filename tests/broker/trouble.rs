//! Errors that need a broker with settings of its own.

use puka::{ClientOptions, Consume, Error};

use crate::support::{Broker, LIMIT, Session, new_client};

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
fn what_a_user_may_not_do_is_refused() {
    let broker = Broker::start(&[]);
    broker.add_user("reader", "secret");
    broker.set_permissions("reader", ["^$", "^$", ".*"]);
    let mut owner = Session::at(&broker.url, ClientOptions::new());
    let queue = owner.queue();
    let url = broker.url.replace("amqp://", "amqp://reader:secret@");
    let mut reader = new_client(&url).unwrap();
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
