//! Consumers that end.

use std::collections::BTreeSet;

use puka::{CancelledBy, ClientOptions, Consume, ConsumeMulti, Error, QueueDeclare, Requeue};

use crate::support::{LIMIT, Session};

fn ended_by(session: &mut Session, consumer: puka::Promise<puka::Delivery>, by: CancelledBy) {
    match session.wait_timeout(consumer, LIMIT) {
        Err(Error::Cancelled(end)) => assert_eq!(end.by, by),
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
fn what_came_without_acks_comes_before_the_end() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    session.publish(&queue, "b");
    let consumer = session.basic_consume(Consume::new(&queue).no_ack(true));
    session.wait_ready(&[consumer.id()]).unwrap();
    session.wait_for_messages(&queue, 0);
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    for body in ["a", "b"] {
        let delivery = session.wait(consumer).unwrap();
        assert_eq!(delivery.body, body);
    }
    ended_by(&mut session, consumer, CancelledBy::Client);
}

/// The bodies of all that is in a queue.
fn take_all(session: &mut Session, queue: &str, count: u32) -> BTreeSet<String> {
    session.wait_for_messages(queue, count);
    let mut bodies = BTreeSet::new();
    while let Some(delivery) = session.take(queue) {
        bodies.insert(delivery.body_str().into_owned());
    }
    bodies
}

#[test]
fn what_was_not_read_goes_back_to_its_queue() {
    for kind in ["classic", "quorum"] {
        for prefetch in [0, 10] {
            let mut session = Session::new();
            let queue = session.name();
            let declare = QueueDeclare::new(&*queue)
                .durable(true)
                .argument("x-queue-type", kind);
            session.queue_declare(declare).wait(&mut session).unwrap();
            let bodies: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
            let published: Vec<_> = bodies
                .iter()
                .map(|body| session.basic_publish("", &queue, body.clone()))
                .collect();
            session.wait_for_all(&published).unwrap();
            let consumer = session.basic_consume(Consume::new(&*queue).prefetch_count(prefetch));
            for _ in 0..3 {
                let delivery = session.next(consumer);
                session.basic_ack(delivery).unwrap();
            }
            let mine = session.next(consumer);
            session.basic_cancel(consumer).wait(&mut session).unwrap();
            ended_by(&mut session, consumer, CancelledBy::Client);
            let back = take_all(&mut session, &queue, 16);
            assert_eq!(back, bodies[4..].iter().cloned().collect());
            // What was read is the program's, as long as it likes.
            assert_eq!(mine.body, "03");
            session.basic_reject(mine, Requeue::Yes).unwrap();
            assert_eq!(take_all(&mut session, &queue, 1).len(), 1);
        }
    }
}

#[test]
fn a_consumer_that_is_cancelled_half_way_keeps_no_channel() {
    let mut session = Session::with(ClientOptions::new().channel_max(4));
    let queue = session.queue();
    for _ in 0..20 {
        session.basic_publish("", &queue, "a");
    }
    for _ in 0..10 {
        let consumer = session.basic_consume(&queue);
        let delivery = session.next(consumer);
        session.basic_ack(delivery).unwrap();
        session.basic_cancel(consumer).wait(&mut session).unwrap();
    }
    session.wait_for_messages(&queue, 10);
}

#[test]
fn callbacks_get_the_end_and_not_what_goes_back() {
    let mut session = Session::new();
    let queue = session.queue();
    for _ in 0..10 {
        session.publish(&queue, "a");
    }
    let mut count = 0;
    session
        .basic_consume(&queue)
        .for_each(
            &mut session,
            move |client, consumer, delivery| match delivery {
                Ok(delivery) => {
                    count += 1;
                    client.basic_ack(delivery).unwrap();
                    if count == 3 {
                        client.basic_cancel(consumer).wait(client).unwrap();
                    }
                }
                Err(end) => {
                    assert!(matches!(end, Error::Cancelled(_)), "{end}");
                    assert_eq!(count, 3);
                    client.loop_break();
                }
            },
        );
    session.loop_forever().unwrap();
    session.wait_for_messages(&queue, 7);
}

#[test]
fn of_several_queues_one_deleted_what_was_not_read_is_not_lost() {
    let mut session = Session::with(ClientOptions::new().channel_max(3));
    let (gone, stays) = (session.queue(), session.queue());
    for _ in 0..5 {
        session.queue_declare(&gone).wait(&mut session).unwrap();
        for queue in [&gone, &stays] {
            session.publish(queue, "a");
            session.publish(queue, "a");
        }
        let consumer = session.basic_consume_multi(ConsumeMulti::new([&gone, &stays]));
        session.wait_for_messages(&gone, 0);
        session.wait_for_messages(&stays, 0);
        session.queue_delete(&gone).wait(&mut session).unwrap();
        // Then the consumer has ended.
        session.wait_for_messages(&stays, 2);
        for _ in 0..2 {
            let delivery = session.next(consumer);
            assert!(delivery.consumer_tag.ends_with(".0."));
            session.basic_ack(delivery).unwrap();
        }
        match session.wait_timeout(consumer, LIMIT) {
            Err(Error::Cancelled(end)) => {
                assert_eq!((end.by, &*end.queue), (CancelledBy::Broker, &*gone));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(take_all(&mut session, &stays, 2).len(), 1);
    }
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
