//! What is there again after a loss, and what a request that ends the connection leaves whole.

use std::time::Duration;

use puka::{
    ClientOptions, Consume, Delivery, Error, ExchangeDeclare, Promise, QueueBind, QueueDeclare,
    Recovery,
};

use crate::recovery::{events, wait_for_restoration};
use crate::support::{Between, Broker, LIMIT, Session};

/// Connections are lost one after another here, and that is no reason to be slow.
pub(crate) fn options() -> ClientOptions {
    let recovery = Recovery::new().limit(LIMIT);
    let (first, longest) = (Duration::from_millis(10), Duration::from_millis(100));
    ClientOptions::new().recovery(recovery.delay(first, longest))
}

/// A consumer that has shown that it runs.
pub(crate) fn running(session: &mut Session) -> (String, Promise<Delivery>) {
    let queue = session.queue();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    goes_on(session, &queue, consumer);
    (queue, consumer)
}

pub(crate) fn goes_on(session: &mut Session, queue: &str, consumer: Promise<Delivery>) {
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

/// Without recovery it is the program that connects again, and can tell that it should.
#[test]
fn a_shutdown_is_a_broken_connection() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    broker.close_connections();
    let error = session.wait(consumer).unwrap_err();
    assert!(matches!(error, Error::ConnectionForced(_)), "{error}");
    assert!(error.is_connection_broken());
    let error = session
        .queue_declare(&queue)
        .wait(&mut session)
        .unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
}
