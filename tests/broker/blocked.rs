//! A broker that is low on memory, and takes no messages.

use std::sync::mpsc::channel;
use std::time::Duration;

use puka::{ClientOptions, ConnectionEvent, Error};

use crate::support::{Broker, LIMIT, MOMENT, Session};

/// A session on a connection that publishes: RabbitMQ tells no other of the alarm.
fn publishing(broker: &Broker, options: ClientOptions) -> (Session, String) {
    let mut session = Session::at(&broker.url, options);
    let queue = session.queue();
    session.publish(&queue, "0");
    (session, queue)
}

#[test]
fn a_blocked_publisher_knows_it_waits_and_goes_on() {
    let broker = Broker::start(&[]);
    let options = ClientOptions::new().high_water_mark(100_000);
    let (mut session, queue) = publishing(&broker, options);
    let (sender, told) = channel();
    session.on_connection_event(move |_, event| sender.send(event).unwrap());
    broker.raise_alarm();
    // The broker says so when the next message comes, and that one may be taken.
    let first = session.basic_publish("", &queue, "1");
    while session.blocked().is_none() {
        session.sleep(Duration::from_millis(10)).unwrap();
    }
    assert!(matches!(told.try_recv(), Ok(ConnectionEvent::Blocked(_))));
    let second = session.basic_publish("", &queue, "2");
    assert!(session.wait_timeout(second, MOMENT).unwrap().is_none());
    // Heartbeats and all else that the broker does not read are no loss.
    assert!(session.is_connected());

    // Memory is bounded: the call itself waits when there is no room.
    let handle = session.handle().unwrap();
    let filled = session.basic_publish("", &queue, vec![0; 100_000]);
    assert!(!session.has_room());
    broker.clear_alarm();
    let last = session.basic_publish("", &queue, "last");
    for promise in [first, second, filled, last] {
        session
            .wait_timeout(promise, LIMIT)
            .unwrap()
            .expect("a confirm");
    }
    assert_eq!(session.blocked(), None);
    assert!(matches!(told.try_recv(), Ok(ConnectionEvent::Unblocked)));
    session.wait_for_messages(&queue, 5);
    drop(handle);
}

/// The broker's host answers each of the system's questions whether it takes bytes again: it is there.
#[test]
fn an_alarm_that_outlasts_the_tcp_timeout_does_no_harm() {
    let broker = Broker::start(&[]);
    let timeout = Duration::from_secs(1);
    let options = || ClientOptions::new().tcp_timeout(timeout);
    let (mut waiting, queue) = publishing(&broker, options());
    let (mut computing, _) = publishing(&broker, options());
    broker.raise_alarm();
    // More than the system holds, on both sides: the broker stops reading in the middle of it.
    let held = waiting.basic_publish("", &queue, vec![0; 15_000_000]);
    let other = computing.basic_publish("", &queue, vec![0; 15_000_000]);
    while computing.blocked().is_none() {
        computing.sleep(Duration::from_millis(10)).unwrap();
    }
    let result = waiting.wait_timeout(held, 8 * timeout);
    assert!(result.unwrap().is_none(), "it is confirmed in an alarm");
    broker.clear_alarm();
    for (session, publish) in [(&mut waiting, held), (&mut computing, other)] {
        session
            .wait_timeout(publish, LIMIT)
            .unwrap()
            .expect("a confirm");
        assert!(session.is_connected());
    }
}

#[test]
fn after_the_limit_publishes_fail_until_the_broker_is_well_again() {
    let broker = Broker::start(&[]);
    let options = ClientOptions::new()
        .blocked_timeout(Duration::from_millis(500))
        .high_water_mark(1000);
    let (mut session, queue) = publishing(&broker, options);
    broker.raise_alarm();
    // The broker may still take the message that tells it of a publisher.
    let error = loop {
        if let Err(error) = session.basic_publish("", &queue, "1").wait(&mut session) {
            break error;
        }
    };
    assert!(
        matches!(&error, Error::OutcomeUnknown(cause) if matches!(**cause, Error::Blocked(_))),
        "{error}"
    );
    // At once, even where there is no room.
    for _ in 0..3 {
        let error = session
            .basic_publish("", &queue, vec![0; 2000])
            .wait(&mut session)
            .unwrap_err();
        assert!(
            matches!(&error, Error::NotSent(cause) if matches!(**cause, Error::Blocked(_))),
            "{error}"
        );
    }
    broker.clear_alarm();
    while session.blocked().is_some() {
        session.sleep(Duration::from_millis(10)).unwrap();
    }
    session.publish(&queue, "2");
}

#[test]
fn close_does_not_wait_for_ever_for_a_broker_that_does_not_read() {
    let broker = Broker::start(&[]);
    let options = ClientOptions::new().connect_timeout(Duration::from_millis(500));
    let (mut session, queue) = publishing(&broker, options);
    broker.raise_alarm();
    session.basic_publish("", &queue, "1");
    while session.blocked().is_none() {
        session.sleep(Duration::from_millis(10)).unwrap();
    }
    let close = session.close();
    let error = session.wait(close).unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
    broker.clear_alarm();
}
