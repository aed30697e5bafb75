//! Programs that are busy elsewhere, and brokers that are silent.

use std::time::Duration;

use puka::{ClientOptions, Consume, Disconnect, Error};

use crate::support::{Broker, LIMIT, Session, crunch, new_client};

/// The broker gives up a connection after two or three heartbeats of silence.
const HEARTBEAT: u16 = 1;
const LONG: Duration = Duration::from_secs(5);

#[test]
fn with_a_keeper_a_consumer_crunches_for_many_heartbeats_and_acks() {
    let options = ClientOptions::new()
        .heartbeat(HEARTBEAT)
        .background_heartbeats(true);
    let mut session = Session::with(options);
    assert_eq!(session.connected().unwrap().heartbeat, HEARTBEAT);
    let queue = session.queue();
    session.publish(&queue, "work");
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    let delivery = session.next(consumer);
    crunch(LONG);
    session.basic_ack(delivery).unwrap();
    session.publish(&queue, "more work");
    let delivery = session.next(consumer);
    assert!(!delivery.redelivered);
    session.basic_ack(delivery).unwrap();
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    session.wait_for_messages(&queue, 0);
}

#[test]
fn without_heartbeats_a_program_may_be_away_for_as_long_as_it_likes() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "work");
    let consumer = session.basic_consume(&queue);
    let delivery = session.next(consumer);
    crunch(LONG);
    session.basic_ack(delivery).unwrap();
    session.publish(&queue, "more work");
    assert!(!session.next(consumer).redelivered);
}

#[test]
fn a_program_that_neglects_its_heartbeats_is_told_so() {
    let mut session = Session::with(ClientOptions::new().heartbeat(HEARTBEAT));
    let queue = session.queue();
    crunch(LONG);
    let error = session
        .queue_declare(&queue)
        .wait(&mut session)
        .unwrap_err();
    match error {
        Error::ConnectionBroken(Disconnect::ProgramAway { away, interval }) => {
            assert!(away >= LONG && interval == Duration::from_secs(1));
        }
        error => panic!("{error}"),
    }
}

#[test]
fn sleep_keeps_the_connection_and_slices_of_work_do() {
    let mut session = Session::with(ClientOptions::new().heartbeat(HEARTBEAT));
    let queue = session.queue();
    session.sleep(LONG).unwrap();
    session.queue_declare(&queue).wait(&mut session).unwrap();
    for _ in 0..10 {
        crunch(LONG / 10);
        session.sleep(Duration::ZERO).unwrap();
    }
    session.queue_declare(&queue).wait(&mut session).unwrap();
}

#[test]
fn sleep_tells_the_end_of_the_connection() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    broker.kill();
    let error = session.sleep(LIMIT).unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
    let mut client = new_client(&broker.url).unwrap();
    let error = client.sleep(LIMIT).unwrap_err();
    assert!(matches!(error, Error::NotConnected), "{error}");
}

#[test]
fn a_broker_that_stops_is_noticed_while_waiting_and_while_writing() {
    let broker = Broker::start(&[]);
    for writing in [false, true] {
        let mut session = Session::at(&broker.url, ClientOptions::new().heartbeat(HEARTBEAT));
        let queue = session.queue();
        let consumer = session.basic_consume(&queue);
        broker.pause();
        let error = if writing {
            // More than any socket buffers.
            let publish = session.basic_publish("", &queue, vec![0; 15_000_000]);
            session.wait_timeout(publish, LIMIT).unwrap_err()
        } else {
            session.wait_timeout(consumer, LIMIT).unwrap_err()
        };
        assert!(
            matches!(
                error.cause(),
                Error::ConnectionBroken(Disconnect::BrokerSilent(_))
            ),
            "{error}"
        );
        broker.resume();
    }
}
