//! The rest of what RabbitMQ can do.

use std::time::Duration;

use puka::{Consume, Error, FieldTable, Message, QueueDeclare, Requeue};

use crate::support::{LIMIT, Server, Session, version};

pub(crate) fn durable(session: &mut Session, arguments: &[(&'static str, &'static str)]) -> String {
    let name = session.name();
    let arguments: FieldTable = arguments.iter().copied().collect();
    let declare = QueueDeclare::new(&name).durable(true).arguments(arguments);
    session.queue_declare(declare).wait(session).unwrap();
    name
}

#[test]
fn recover_gives_everything_that_is_not_settled_again() {
    for kind in ["classic", "quorum"] {
        let mut session = Session::new();
        let queue = durable(&mut session, &[("x-queue-type", kind)]);
        for body in ["0", "1", "2", "3"] {
            session.publish(&queue, body);
        }
        let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(3));
        let settled = session.next(consumer);
        session.basic_ack(settled).unwrap();
        let (second, third) = (session.next(consumer), session.next(consumer));
        assert_eq!(
            (second.body_str(), third.body_str()),
            ("1".into(), "2".into())
        );
        session.basic_recover(consumer).wait(&mut session).unwrap();
        for old in [second, third] {
            let refused = session.basic_ack(old);
            assert!(
                matches!(refused, Err(Error::AlreadySettled(_))),
                "{refused:?}"
            );
        }
        let mut bodies: Vec<String> = (0..3)
            .map(|_| {
                let delivery = session.next(consumer);
                let body = delivery.body_str().into_owned();
                // The last may have been on its way when the broker took all back.
                assert!(delivery.redelivered || body == "3", "{kind} {body}");
                session.basic_ack(delivery).unwrap();
                body
            })
            .collect();
        bodies.sort();
        assert_eq!(bodies, ["1", "2", "3"], "{kind}");
        session.nothing(consumer);
        session.basic_cancel(consumer).wait(&mut session).unwrap();
        session.wait_for_messages(&queue, 0);
    }
}

#[test]
fn recover_while_deliveries_stream_in_loses_and_doubles_nothing_that_was_acknowledged() {
    const MESSAGES: usize = 2_000;
    for kind in ["classic", "quorum"] {
        let mut session = Session::new();
        let queue = durable(&mut session, &[("x-queue-type", kind)]);
        let publishes: Vec<_> = (0..MESSAGES)
            .map(|number| session.basic_publish("", &queue, number.to_string()))
            .collect();
        session.wait_for_all(&publishes).unwrap();
        let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(50));
        let mut acked = vec![false; MESSAGES];
        let mut left = MESSAGES;
        while left > 0 {
            let delivery = session.next(consumer);
            if left % 100 == 50 {
                session.basic_recover(consumer).wait(&mut session).unwrap();
                assert!(session.basic_ack(delivery).is_err());
                // So that the next one is acknowledged.
                let delivery = session.next(consumer);
                let number: usize = delivery.body_str().parse().unwrap();
                assert!(
                    !std::mem::replace(&mut acked[number], true),
                    "{kind} {number}"
                );
                session.basic_ack(delivery).unwrap();
            } else {
                let number: usize = delivery.body_str().parse().unwrap();
                assert!(
                    !std::mem::replace(&mut acked[number], true),
                    "{kind} {number}"
                );
                session.basic_ack(delivery).unwrap();
            }
            left -= 1;
        }
        session.nothing(consumer);
    }
}

#[test]
fn the_consumer_of_a_higher_priority_comes_first() {
    let mut session = Session::new();
    let queue = session.queue();
    let low = session.basic_consume(&queue);
    let declared = session.queue_declare(&queue);
    session.wait(declared).unwrap();
    let high = session.basic_consume(Consume::new(&queue).argument("x-priority", 10));
    // The queue knows of both when it counts them.
    while session
        .queue_declare(QueueDeclare::new(&queue).passive(true))
        .wait(&mut session)
        .unwrap()
        .consumer_count
        < 2
    {}
    for _ in 0..5 {
        session.publish(&queue, "x");
        session.next(high);
    }
    session.nothing(low);
}

#[test]
fn of_single_active_consumers_the_next_takes_over() {
    let mut session = Session::new();
    let name = session.name();
    let declare = QueueDeclare::new(&name)
        .durable(true)
        .argument("x-queue-type", "quorum")
        .argument("x-single-active-consumer", true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let first = session.basic_consume(Consume::new(&name).prefetch_count(5));
    session.publish(&name, "1");
    let delivery = session.next(first);
    session.basic_ack(delivery).unwrap();
    let second = session.basic_consume(Consume::new(&name).prefetch_count(5));
    session.publish(&name, "2");
    let delivery = session.next(first);
    session.basic_ack(delivery).unwrap();
    session.nothing(second);
    session.basic_cancel(first).wait(&mut session).unwrap();
    session.publish(&name, "3");
    assert_eq!(session.next(second).body, "3");
}

#[test]
fn a_quorum_queue_counts_deliveries_and_gives_up_in_the_end() {
    let mut session = Session::new();
    let (dead, name) = (session.queue(), session.name());
    let declare = QueueDeclare::new(&name)
        .durable(true)
        .argument("x-queue-type", "quorum")
        .argument("x-delivery-limit", 2)
        .argument("x-dead-letter-exchange", "")
        .argument("x-dead-letter-routing-key", dead.as_str());
    session.queue_declare(declare).wait(&mut session).unwrap();
    session.publish(&name, "poison");
    let consumer = session.basic_consume(Consume::new(&name).prefetch_count(1));
    for count in 0..=2 {
        let delivery = session.next(consumer);
        // The first delivery may have none.
        let header = delivery.header("x-delivery-count");
        let counted = header.map_or(Some(0), |value| value.as_i64());
        assert_eq!(counted, Some(count));
        session.basic_reject(delivery, Requeue::Yes).unwrap();
    }
    session.wait_for_messages(&dead, 1);
}

#[test]
fn a_message_is_gone_when_its_time_is_over() {
    let mut session = Session::new();
    let queue = session.queue();
    let brief = Message::new("brief").expiration("1");
    session
        .basic_publish("", &queue, brief)
        .wait(&mut session)
        .unwrap();
    session.wait_for_messages(&queue, 0);
    let lasting = Message::new("lasting").expiration("600000");
    session
        .basic_publish("", &queue, lasting)
        .wait(&mut session)
        .unwrap();
    assert_eq!(session.take(&queue).unwrap().body, "lasting");
    let wrong = Message::new("wrong").expiration("soon");
    let error = session
        .basic_publish("", &queue, wrong)
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
}

#[test]
fn calls_get_their_replies_however_many_are_under_way() {
    const CALLS: usize = 300;
    let mut session = Session::new();
    let queue = session.queue();
    let server = Server::new(&queue, CALLS + 1);
    let calls: Vec<_> = (0..CALLS)
        .map(|number| session.call("", &queue, number.to_string()))
        .collect();
    // Out of order.
    for (number, &call) in calls.iter().enumerate().rev() {
        let response = session.wait(call).unwrap();
        assert_eq!(response.body_str(), number.to_string().repeat(2));
    }
    // By a callback.
    session
        .call("", &queue, "x")
        .then(&mut session, |client, _, response| {
            assert_eq!(response.unwrap().body, "xx");
            client.loop_break();
        });
    session.loop_forever().unwrap();
    server.join();
}

#[test]
fn a_call_that_nobody_answers_fails_and_others_go_on() {
    let mut session = Session::new();
    let (deaf, queue) = (session.queue(), session.queue());
    let server = Server::new(&queue, 2);
    let brief = Duration::from_millis(300);
    let unanswered = session.call_timeout("", &deaf, "a", brief);
    let nobody = session.call("", "no such queue", "a");
    let nowhere = session.call("no such exchange", &queue, "a");
    let answered = session.call("", &queue, "a");
    assert!(matches!(session.wait(nobody), Err(Error::NoRoute(_))));
    assert!(matches!(session.wait(nowhere), Err(Error::NotFound(_))));
    assert_eq!(session.wait(answered).unwrap().body, "aa");
    assert!(matches!(session.wait(unanswered), Err(Error::NoReply(_))));
    let again = session.call("", &queue, "b");
    assert_eq!(session.wait(again).unwrap().body, "bb");
    server.join();
}

#[test]
fn a_reply_without_its_correlation_id_is_none() {
    let mut session = Session::new();
    let queue = session.queue();
    let call = session.call_timeout("", &queue, "a", Duration::from_secs(1));
    let consumer = session.basic_consume(&queue);
    let request = session.next(consumer);
    let to = request.properties.reply_to().unwrap().to_owned();
    session.basic_publish("", to, "nobody's");
    let error = session.wait(call).unwrap_err();
    assert!(matches!(error, Error::NoReply(_)), "{error}");
    assert!(error.to_string().contains("correlation_id"), "{error}");
}

/// The reply to a call that was given up comes when its channel is at something else.
#[test]
fn a_late_reply_harms_nobody() {
    let mut session = Session::new();
    let queue = session.queue();
    let late = session.call_timeout("", &queue, "late", Duration::from_millis(10));
    assert!(matches!(session.wait(late), Err(Error::NoReply(_))));
    let next = session.call_timeout("", &queue, "next", LIMIT);
    let server = Server::new(&queue, 2);
    assert_eq!(session.wait(next).unwrap().body, "nextnext");
    server.join();
    let declared = session.queue_declare(&queue);
    session.wait(declared).unwrap();
    assert!(version(&session) >= (3, 0));
}
