//! Consumers that end.

use puka::{CancelledBy, Consume, ConsumeMulti, Error, QueueDeclare};

use crate::support::{LIMIT, Session};

fn ended_by(session: &mut Session, consumer: puka::Promise<puka::Delivery>, by: CancelledBy) {
    match session.wait_timeout(consumer, LIMIT) {
        Err(Error::Cancelled(who)) => assert_eq!(who, by),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancelled_consumer_gets_no_more_and_its_end_is_told() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    session.publish(&queue, "a");
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    let delivery = session.next(consumer);
    let ok = session.basic_cancel(consumer).wait(&mut session).unwrap();
    assert_eq!(ok.consumer_tag, format!("{consumer}.0."));
    session.basic_ack(delivery).unwrap();
    ended_by(&mut session, consumer, CancelledBy::Client);
    let again = session.wait(consumer).unwrap_err();
    assert!(matches!(again, Error::UnknownPromise(_)), "{again}");
    let again = session
        .basic_cancel(consumer)
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(again, Error::UnknownPromise(_)), "{again}");
    assert_eq!(session.take(&queue).unwrap().body, "a");
}

#[test]
fn deliveries_from_before_the_end_come_before_it() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    session.publish(&queue, "b");
    let consumer = session.basic_consume(&queue);
    session.wait_ready(&[consumer.id()]).unwrap();
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    for body in ["a", "b"] {
        let delivery = session.wait(consumer).unwrap();
        assert_eq!(delivery.body, body);
        session.basic_ack(delivery).unwrap();
    }
    ended_by(&mut session, consumer, CancelledBy::Client);
    let declare = QueueDeclare::new(&queue).passive(true);
    assert_eq!(
        session
            .queue_declare(declare)
            .wait(&mut session)
            .unwrap()
            .consumer_count,
        0
    );
}

#[test]
fn a_consumer_may_be_cancelled_before_it_has_begun() {
    let mut session = Session::new();
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    ended_by(&mut session, consumer, CancelledBy::Client);
    session.publish(&queue, "a");
    session.wait_for_messages(&queue, 1);
}

#[test]
fn a_consumer_of_several_queues_is_cancelled_as_one() {
    let mut session = Session::new();
    let queues = [session.queue(), session.queue(), session.queue()];
    for queue in &queues {
        session.publish(queue, "a");
    }
    let consumer = session.basic_consume_multi(ConsumeMulti::new(&queues).no_ack(true));
    for _ in &queues {
        assert_eq!(session.next(consumer).body, "a");
    }
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    ended_by(&mut session, consumer, CancelledBy::Client);
    for queue in &queues {
        let ok = session.queue_declare(queue).wait(&mut session).unwrap();
        assert_eq!(ok.consumer_count, 0);
    }
}

#[test]
fn a_deleted_queue_ends_its_consumer() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    assert_eq!(session.next(consumer).body, "a");
    session.queue_delete(&queue);
    ended_by(&mut session, consumer, CancelledBy::Broker);
    assert_eq!(
        session
            .queue_declare(&queue)
            .wait(&mut session)
            .unwrap()
            .consumer_count,
        0
    );
}

#[test]
fn a_deleted_queue_ends_its_consumer_of_several() {
    for deleted in [&[0][..], &[0, 2], &[0, 1, 2]] {
        let mut session = Session::new();
        let queues = [session.queue(), session.queue(), session.queue()];
        for queue in &queues {
            session.publish(queue, "a");
        }
        let consumer = session.basic_consume_multi(ConsumeMulti::new(&queues).no_ack(true));
        for _ in &queues {
            session.next(consumer);
        }
        for &index in deleted {
            session.queue_delete(&queues[index]);
        }
        ended_by(&mut session, consumer, CancelledBy::Broker);
        for queue in &queues {
            assert_eq!(
                session
                    .queue_declare(queue)
                    .wait(&mut session)
                    .unwrap()
                    .consumer_count,
                0
            );
        }
    }
}

#[test]
fn a_cancel_and_the_brokers_own_may_cross() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    let consumer = session.basic_consume(&queue);
    session.next(consumer);
    let deleted = session.queue_delete(&queue);
    let cancelled = session.basic_cancel(consumer);
    session.wait(deleted).unwrap();
    // Either was first; both are told.
    let _ = session.wait(cancelled);
    let end = session.wait_timeout(consumer, LIMIT).unwrap_err();
    assert!(matches!(end, Error::Cancelled(_)), "{end}");
}
