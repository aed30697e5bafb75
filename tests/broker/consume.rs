//! Consumers: tags, several queues, prefetch.

use puka::{Consume, ConsumeMulti, Error, QueueDeclare};

use crate::support::{LIMIT, Session};

#[test]
fn a_consumer_of_no_queue_ends_with_not_found() {
    let mut session = Session::new();
    let consumer = session.basic_consume("puka-no-such-queue");
    let error = session.wait(consumer).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    assert_eq!(error.reply().unwrap().method(), Some("basic.consume"));
    let error = session
        .basic_qos(consumer, 1)
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::UnknownPromise(_)), "{error}");
    session
        .queue_declare(QueueDeclare::server_named().exclusive(true))
        .wait(&mut session)
        .unwrap();
}

#[test]
fn one_missing_queue_of_several_is_an_error_of_that_consumer_alone() {
    // RabbitMQ delivers behind its channel.close; more often than not, so a few rounds show it.
    for _ in 0..5 {
        let mut session = Session::new();
        let queue = session.queue();
        for body in ["a", "b", "c"] {
            session.publish(&queue, body);
        }
        let consumer =
            session.basic_consume_multi(ConsumeMulti::new([&*queue, "puka-no-such-queue"]));
        let error = loop {
            if let Err(error) = session.wait_timeout(consumer, LIMIT) {
                break error;
            }
        };
        assert!(matches!(error, Error::NotFound(_)), "{error}");
        // The connection goes on, and no message is lost.
        session.wait_for_messages(&queue, 3);
        let consumer = session.basic_consume(&queue);
        for body in ["a", "b", "c"] {
            let delivery = session.next(consumer);
            assert_eq!(delivery.body, body);
            session.basic_ack(delivery).unwrap();
        }
    }
}

#[test]
fn a_queue_is_consumed_exclusively_if_asked() {
    let mut session = Session::new();
    let queue = session.queue();
    let first = session.basic_consume(Consume::new(&queue).exclusive(true));
    session.publish(&queue, "a");
    session.next(first);
    let second = session.basic_consume(&queue);
    let error = session.wait_timeout(second, LIMIT).unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    session.publish(&queue, "b");
    assert_eq!(session.next(first).body, "b");
}

#[test]
fn consumer_tags_are_promise_index_and_suffix() {
    let mut session = Session::new();
    let (one, two) = (session.queue(), session.queue());
    session.publish(&one, "a");
    let consumer = session.basic_consume(&one);
    let delivery = session.next(consumer);
    assert_eq!(delivery.consumer_tag, format!("{consumer}.0."));
    assert_eq!(delivery.promise(), consumer.id());
    session.basic_ack(delivery).unwrap();
    session.basic_cancel(consumer).wait(&mut session).unwrap();

    session.publish(&one, "one");
    session.publish(&two, "two");
    let queues = ConsumeMulti::new([
        Consume::new(&one),
        Consume::new(&two).consumer_tag("whooa!"),
    ]);
    let consumer = session.basic_consume_multi(queues);
    for _ in 0..2 {
        let delivery = session.next(consumer);
        let tag = if delivery.body == "one" {
            format!("{consumer}.0.")
        } else {
            format!("{consumer}.1.whooa!")
        };
        assert_eq!(delivery.consumer_tag, tag);
        session.basic_ack(delivery).unwrap();
    }
}

#[test]
fn the_same_queue_and_suffix_may_come_several_times() {
    let mut session = Session::new();
    let (one, two) = (session.queue(), session.queue());
    session.publish(&one, "a");
    let item = |queue: &String| Consume::new(queue).consumer_tag("repeated");
    let consumer =
        session.basic_consume_multi(ConsumeMulti::new([item(&one), item(&one), item(&two)]));
    let delivery = session.next(consumer);
    let parts: Vec<&str> = delivery.consumer_tag.split('.').collect();
    assert!(
        parts[0] == consumer.to_string()
            && ["0", "1"].contains(&parts[1])
            && parts[2] == "repeated"
    );
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    assert_eq!(
        session
            .queue_declare(&one)
            .wait(&mut session)
            .unwrap()
            .consumer_count,
        0
    );
}

#[test]
fn consumer_arguments_are_heard() {
    let mut session = Session::new();
    let queue = session.queue();
    let low = session.basic_consume(Consume::new(&queue).argument("x-priority", -1));
    let high = session.basic_consume(
        Consume::new(&queue)
            .argument("x-priority", 10)
            .no_local(true),
    );
    session.queue_declare(&queue).wait(&mut session).unwrap();
    session.publish(&queue, "a");
    assert_eq!(session.next(high).body, "a");
    session.nothing(low);
}

#[test]
fn the_prefetch_of_a_running_consumer_changes() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["a", "b", "c", "d"] {
        session.publish(&queue, body);
    }
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    let first = session.next(consumer);
    assert_eq!(first.body, "a");
    session.nothing(consumer);

    session.basic_qos(consumer, 2).wait(&mut session).unwrap();
    let second = session.next(consumer);
    assert_eq!(
        (&second.body[..], second.consumer_tag.to_string()),
        (&b"b"[..], format!("{consumer}.0."))
    );
    session.nothing(consumer);

    // Smaller: nothing comes before there are fewer.
    session.basic_qos(consumer, 1).wait(&mut session).unwrap();
    session.basic_ack(first).unwrap();
    session.nothing(consumer);
    session.basic_ack(second).unwrap();
    let third = session.next(consumer);
    assert_eq!((&third.body[..], third.redelivered), (&b"c"[..], false));
    session.nothing(consumer);

    // None: all that is there.
    session.basic_qos(consumer, 0).wait(&mut session).unwrap();
    assert_eq!(session.next(consumer).body, "d");
}

#[test]
fn changes_of_the_prefetch_lose_and_double_nothing() {
    let mut session = Session::new();
    let queue = session.queue();
    const COUNT: usize = 300;
    let publishes: Vec<_> = (0..COUNT)
        .map(|number| session.basic_publish("", &queue, number.to_string()))
        .collect();
    session.wait_for_all(&publishes).unwrap();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(3));
    let mut seen = vec![false; COUNT];
    let mut changes = Vec::new();
    for turn in 0..COUNT {
        let delivery = session.next(consumer);
        assert!(!delivery.redelivered);
        let number: usize = delivery.body_str().parse().unwrap();
        assert!(
            !std::mem::replace(&mut seen[number], true),
            "{number} came twice"
        );
        if turn % 7 == 0 {
            changes.push(session.basic_qos(consumer, [1, 5, 50, 2][turn / 7 % 4]));
        }
        session.basic_ack(delivery).unwrap();
    }
    session.wait_for_all(&changes).unwrap();
    assert!(seen.iter().all(|&seen| seen));
    session.nothing(consumer);
    session.basic_cancel(consumer).wait(&mut session).unwrap();
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
fn several_queues_share_one_prefetch() {
    let mut session = Session::new();
    let (one, two) = (session.queue(), session.queue());
    session.publish(&one, "a");
    session.publish(&two, "b");
    let consumer = session.basic_consume_multi(ConsumeMulti::new([&one, &two]).prefetch_count(1));
    let first = session.next(consumer);
    session.nothing(consumer);
    session.basic_qos(consumer, 2).wait(&mut session).unwrap();
    let second = session.next(consumer);
    let mut bodies = [
        first.body_str().into_owned(),
        second.body_str().into_owned(),
    ];
    bodies.sort();
    assert_eq!(bodies, ["a", "b"]);
    session.basic_cancel(consumer).wait(&mut session).unwrap();
}

#[test]
fn an_acknowledgement_makes_room_among_several_queues() {
    let mut session = Session::new();
    let (one, two) = (session.queue(), session.queue());
    for body in ["1", "2", "3"] {
        session.publish(&one, body);
        session.publish(&two, body);
    }
    let consumer = session.basic_consume_multi(ConsumeMulti::new([&one, &two]).prefetch_count(2));
    let mut bodies = Vec::new();
    let mut open = vec![session.next(consumer), session.next(consumer)];
    for _ in 0..4 {
        session.nothing(consumer);
        let delivery = open.remove(0);
        bodies.push(delivery.body_str().into_owned());
        session.basic_ack(delivery).unwrap();
        open.push(session.next(consumer));
    }
    bodies.extend(open.iter().map(|delivery| delivery.body_str().into_owned()));
    bodies.sort();
    assert_eq!(bodies, ["1", "1", "2", "2", "3", "3"]);
}

#[test]
fn what_a_cancelled_consumer_held_back_goes_to_others() {
    let mut session = Session::new();
    let (one, two) = (session.queue(), session.queue());
    session.publish(&one, "a");
    session.publish(&two, "b");
    let consumer = session.basic_consume_multi(ConsumeMulti::new([&one, &two]).prefetch_count(1));
    let delivery = session.next(consumer);
    let other = if delivery.routing_key == one {
        &two
    } else {
        &one
    };
    session.nothing(consumer);
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    session.wait_for_messages(other, 1);
    session.basic_ack(delivery).unwrap();
}

#[test]
fn an_exclusive_consumer_gets_less_but_not_more() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["a", "b", "c"] {
        session.publish(&queue, body);
    }
    let consumer = session.basic_consume(Consume::new(&queue).exclusive(true).prefetch_count(2));
    let (first, second) = (session.next(consumer), session.next(consumer));
    let error = session
        .basic_qos(consumer, 3)
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    session.basic_qos(consumer, 1).wait(&mut session).unwrap();
    session.basic_ack(first).unwrap();
    session.nothing(consumer);
    session.basic_ack(second).unwrap();
    assert_eq!(session.next(consumer).body, "c");
}

#[test]
fn a_quorum_queue_takes_changes_of_the_prefetch() {
    let mut session = Session::new();
    let queue = session.name();
    let declare = QueueDeclare::new(&queue)
        .durable(true)
        .argument("x-queue-type", "quorum");
    session.queue_declare(declare).wait(&mut session).unwrap();
    for body in ["a", "b", "c"] {
        session.publish(&queue, body);
    }
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    let first = session.next(consumer);
    session.nothing(consumer);
    session.basic_qos(consumer, 2).wait(&mut session).unwrap();
    let second = session.next(consumer);
    session.basic_ack(first).unwrap();
    let third = session.next(consumer);
    assert_eq!((&second.body[..], &third.body[..]), (&b"b"[..], &b"c"[..]));
}
