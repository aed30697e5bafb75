//! Many of everything.

use puka::{ClientOptions, Consume, Error, QueueDeclare};

use crate::support::Session;

#[test]
fn a_thousand_declares_are_in_flight_at_once() {
    let mut session = Session::new();
    let prefix = crate::support::unique("many");
    let promises: Vec<_> = (0..1000)
        .map(|number| {
            session.queue_declare(QueueDeclare::new(format!("{prefix}{number}")).exclusive(true))
        })
        .collect();
    session.wait_for_all(&promises).unwrap();
    let promises: Vec<_> = (0..1000)
        .map(|number| session.queue_delete(format!("{prefix}{number}")))
        .collect();
    session.wait_for_all(&promises).unwrap();
}

#[test]
fn more_requests_than_channels_wait_their_turn() {
    let mut session = Session::with(ClientOptions::new().channel_max(4));
    let queue = session.queue();
    let promises: Vec<_> = (0..200).map(|_| session.queue_declare(&queue)).collect();
    session.wait_for_all(&promises).unwrap();

    let mut session = Session::new();
    let promises: Vec<_> = (0..5000).map(|_| session.queue_declare(&queue)).collect();
    session.wait_for_all(&promises).unwrap();
}

#[test]
fn two_thousand_consumers_consume() {
    let mut session = Session::new();
    let queue = session.queue();
    // Not more than the broker has channels for, with one to publish on and one for calls.
    let count = usize::from(session.connected().unwrap().channel_max - 2).min(2000);
    let consumers: Vec<_> = (0..count)
        .map(|_| session.basic_consume(Consume::new(&queue).prefetch_count(1)))
        .collect();
    let declare = QueueDeclare::new(&queue).passive(true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let publishes: Vec<_> = (0..count)
        .map(|_| session.basic_publish("", &queue, "a"))
        .collect();
    session.wait_for_all(&publishes).unwrap();
    for consumer in consumers {
        let delivery = session.next(consumer);
        session.basic_ack(delivery).unwrap();
    }
    session.wait_for_messages(&queue, 0);
}

#[test]
fn where_no_channel_can_come_free_the_promise_says_so() {
    let mut session = Session::with(ClientOptions::new().channel_max(4));
    let queue = session.queue();
    // One channel is the publisher's.
    let consumers: Vec<_> = (0..3).map(|_| session.basic_consume(&queue)).collect();
    let error = session
        .queue_declare(&queue)
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::NoFreeChannel(3)), "{error}");
    session.publish(&queue, "publishing needs none");
    session
        .basic_cancel(consumers[0])
        .wait(&mut session)
        .unwrap();
    let (first, delivery) = session.wait_any(&consumers).unwrap();
    if let Ok(delivery) = delivery {
        session.basic_ack(delivery).unwrap();
        assert!(consumers.contains(&first));
    }
    session.queue_declare(&queue).wait(&mut session).unwrap();
}

#[test]
fn gets_beyond_the_channels_say_so_when_the_others_are_not_settled() {
    let mut session = Session::with(ClientOptions::new().channel_max(4));
    let queue = session.queue();
    for _ in 0..5 {
        session.publish(&queue, "a");
    }
    let gets: Vec<_> = (0..5).map(|_| session.basic_get(&queue)).collect();
    let mut deliveries = Vec::new();
    let mut refused = 0;
    for get in gets {
        match session.wait(get) {
            Ok(delivery) => deliveries.extend(delivery),
            Err(Error::NoFreeChannel(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((deliveries.len(), refused), (3, 2));
    for delivery in deliveries {
        session.basic_ack(delivery).unwrap();
    }
    assert!(
        session
            .basic_get(&queue)
            .wait(&mut session)
            .unwrap()
            .is_some()
    );
}

#[test]
fn publishes_past_the_high_water_mark_make_room_themselves() {
    let mark = 100_000;
    let mut session = Session::with(ClientOptions::new().high_water_mark(mark));
    let body = puka::Bytes::from(vec![0; 10_000]);
    let mut last = None;
    for _ in 0..200 {
        last = Some(session.basic_publish("", "puka-nowhere", body.clone()));
        assert!(
            session.buffered() <= mark + 11_000,
            "{}",
            session.buffered()
        );
    }
    session.wait(last.unwrap()).unwrap();
    assert_eq!(session.buffered(), 0);

    let mut session = Session::with(
        ClientOptions::new()
            .high_water_mark(mark)
            .blocking_publish(false),
    );
    for _ in 0..200 {
        last = Some(session.basic_publish("", "puka-nowhere", body.clone()));
    }
    assert!(!session.has_room() && session.buffered() > 200 * 10_000);
    session.wait(last.unwrap()).unwrap();
    assert!(session.has_room());
}
