//! Connections that are lost, to brokers of the tests' own.

use std::sync::mpsc::channel;
use std::time::Duration;

use puka::{ClientOptions, Disconnect, Error};

use crate::support::{Broker, LIMIT, Session, now};

#[test]
fn a_killed_broker_fails_what_is_open_and_the_client_connects_again() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    session.publish(&queue, "a");
    let delivery = session.next(consumer);
    let (sender, told) = channel();
    session
        .basic_consume(&queue)
        .for_each(&mut session, move |_, _, end| sender.send(end).unwrap());
    let later = session.queue_declare(&queue);
    session.wait(later).unwrap();

    broker.kill();
    let unsent = session.basic_publish("", &queue, "unsent");
    let error = session.wait_timeout(consumer, LIMIT).unwrap_err();
    assert!(matches!(error, Error::ConnectionBroken(_)), "{error}");
    assert!(!session.is_connected());
    let error = session.wait(unsent).unwrap_err();
    assert!(
        matches!(error, Error::NotSent(_) | Error::OutcomeUnknown(_)),
        "{error}"
    );
    assert!(error.is_connection_broken());
    let error = session.basic_ack(delivery).unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
    // The loop tells callbacks first, and then that there is nothing to wait for.
    let error = session.loop_forever().unwrap_err();
    assert!(matches!(error, Error::ConnectionBroken(_)), "{error}");
    assert!(matches!(
        told.try_recv(),
        Ok(Err(Error::ConnectionBroken(_)))
    ));
    let error = session.connect().wait(&mut session).unwrap_err();
    assert!(matches!(error, Error::ConnectionBroken(_)), "{error}");

    broker.restart();
    session.connect().wait(&mut session).unwrap();
    session.queue_declare(&queue).wait(&mut session).unwrap();
    session.publish(&queue, "again");
    let consumer = session.basic_consume(&queue);
    assert_eq!(session.next(consumer).body, "again");
}

#[test]
fn an_operator_who_closes_the_connection_is_heard() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    broker.close_connections();
    let error = session.wait_timeout(consumer, LIMIT).unwrap_err();
    assert!(matches!(error, Error::ConnectionForced(_)), "{error}");
    session.connect().wait(&mut session).unwrap();
    session.publish(&queue, "again");
}

/// Whether the client has read of it or not.
#[test]
fn a_close_behind_an_operators_close_succeeds() {
    let broker = Broker::start(&[]);
    for _ in 0..10 {
        let mut session = Session::at(&broker.url, ClientOptions::new());
        broker.close_connections();
        session.close().wait(&mut session).unwrap();
        assert!(!session.is_connected());
    }
}

#[test]
fn a_broker_that_falls_silent_is_given_up_after_two_heartbeats() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, ClientOptions::new().heartbeat(1));
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    session.queue_declare(&queue).wait(&mut session).unwrap();
    broker.pause();
    let begun = now();
    let error = session.wait_timeout(consumer, LIMIT).unwrap_err();
    broker.resume();
    assert!(
        matches!(error, Error::ConnectionBroken(Disconnect::BrokerSilent(_))),
        "{error}"
    );
    assert!(now() - begun > Duration::from_millis(900));
}

#[test]
fn a_blocked_publisher_knows_it_waits_with_bounded_memory_and_goes_on() {
    let broker = Broker::start(&[]);
    let mark = 200_000;
    let mut session = Session::at(
        &broker.url,
        ClientOptions::new()
            .blocking_publish(false)
            .high_water_mark(mark),
    );
    let queue = session.queue();
    assert_eq!(session.blocked(), None);
    broker.raise_alarm();
    // The broker tells whoever publishes, once it knows.
    let mut last = session.basic_publish("", &queue, "a");
    let until = now() + LIMIT;
    while session.blocked().is_none() {
        if let Ok(Some(_)) = session.wait_timeout(last, Duration::from_millis(50)) {
            last = session.basic_publish("", &queue, "a");
        }
        assert!(now() < until);
    }
    let body = puka::Bytes::from(vec![0; 10_000]);
    while session.has_room() {
        last = session.basic_publish("", &queue, body.clone());
    }
    assert_eq!(
        session
            .wait_timeout(last, Duration::from_millis(300))
            .unwrap(),
        None
    );
    broker.clear_alarm();
    session
        .wait_timeout(last, LIMIT)
        .unwrap()
        .expect("the broker takes messages again");
    assert_eq!(session.blocked(), None);
}
