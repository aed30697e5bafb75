//! Deliveries that nobody reads: the client keeps some, and leaves the rest with the broker.

use std::time::Duration;

use puka::{ClientOptions, Consume, Delivery, Error, Promise};

use crate::support::{LIMIT, Session};

const MARK: usize = 1 << 20;
pub(crate) const COUNT: u64 = 2000;
const BODY: usize = 10_000;

/// A session with a small mark, and a queue that holds twenty times as much.
pub(crate) fn session(options: ClientOptions) -> (Session, String) {
    let mut session = Session::with(options.unread_high_water_mark(MARK));
    let queue = session.queue();
    let promises: Vec<_> = (0..COUNT)
        .map(|number| {
            let mut body = vec![b'x'; BODY];
            body[..8].copy_from_slice(&number.to_be_bytes());
            session.basic_publish("", &queue, body)
        })
        .collect();
    session.wait_for_all(&promises).unwrap();
    (session, queue)
}

pub(crate) fn number(delivery: &Delivery) -> u64 {
    u64::from_be_bytes(delivery.body[..8].try_into().unwrap())
}

/// Waits for something that is behind all deliveries.
fn fill(session: &mut Session) -> Promise<Option<Delivery>> {
    loop {
        let behind = session.basic_get("puka-nowhere");
        // Else it came before so much had.
        if let Err(Error::UnreadDeliveries(bytes)) = session.wait(behind) {
            assert!((MARK..MARK + (1 << 20)).contains(&bytes), "{bytes}");
            return behind;
        }
    }
}

#[test]
fn a_wait_for_what_is_behind_them_fails_and_nothing_is_lost() {
    for (no_ack, prefetch) in [(false, 0), (true, 10)] {
        let (mut session, queue) = session(ClientOptions::new());
        let consume = Consume::new(&*queue)
            .no_ack(no_ack)
            .prefetch_count(prefetch);
        let consumer = session.basic_consume(consume);
        let behind = fill(&mut session);
        let ids = [behind.id()];
        assert!(matches!(
            session.wait_ready(&ids),
            Err(Error::UnreadDeliveries(_))
        ));
        assert!(matches!(
            session.loop_timeout(LIMIT),
            Err(Error::UnreadDeliveries(_))
        ));
        assert!(!session.needs_read());
        for expected in 0..COUNT {
            let delivery = session.wait_timeout(consumer, LIMIT).unwrap().unwrap();
            assert_eq!(number(&delivery), expected);
        }
        assert!(matches!(session.wait(behind), Err(Error::NotFound(_))));
        assert!(session.needs_read());
    }
}

#[test]
fn a_consumer_with_a_prefetch_has_its_bound_already() {
    let (mut session, queue) = session(ClientOptions::new());
    session.basic_consume(Consume::new(&*queue).prefetch_count(1000));
    for _ in 0..10 {
        session.queue_declare(&*queue).wait(&mut session).unwrap();
    }
}

#[test]
fn a_prefetch_that_comes_too_late_for_the_broker_has_the_mark_as_its_bound() {
    let (mut session, queue) = session(ClientOptions::new());
    let consumer = session.basic_consume(Consume::new(&*queue).exclusive(true));
    session.basic_qos(consumer, 1).wait(&mut session).unwrap();
    fill(&mut session);
    for expected in 0..COUNT / 2 {
        let delivery = session.wait_timeout(consumer, LIMIT).unwrap().unwrap();
        assert_eq!(number(&delivery), expected);
        session.basic_ack(delivery).unwrap();
    }
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    assert!(matches!(session.wait(consumer), Err(Error::Cancelled(_))));
    session.wait_for_messages(&queue, (COUNT - COUNT / 2) as u32);
}

#[test]
fn a_cancel_or_a_prefetch_gets_through() {
    let (mut session, queue) = session(ClientOptions::new());
    let consumer = session.basic_consume(&*queue);
    fill(&mut session);
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    let consumer = session.basic_consume(&*queue);
    fill(&mut session);
    session.basic_qos(consumer, 10).wait(&mut session).unwrap();
    session.close().wait(&mut session).unwrap();
}

#[test]
fn closing_waits_for_nobody_to_read_them() {
    let (mut session, queue) = session(ClientOptions::new());
    session.basic_consume(&*queue);
    fill(&mut session);
    session.close().wait(&mut session).unwrap();
}

#[test]
fn the_connection_stays_alive_meanwhile() {
    let (mut session, queue) = session(ClientOptions::new().heartbeat(1));
    let consumer = session.basic_consume(&*queue);
    let behind = fill(&mut session);
    // More than two heartbeats.
    session.sleep(Duration::from_secs(3)).unwrap();
    for _ in 0..COUNT {
        session.wait_timeout(consumer, LIMIT).unwrap().unwrap();
    }
    assert!(matches!(session.wait(behind), Err(Error::NotFound(_))));
}

#[test]
fn callbacks_in_a_loop_get_them_all() {
    let (mut session, queue) = session(ClientOptions::new());
    let consumer = session.basic_consume(&*queue);
    fill(&mut session);
    let mut expected = 0;
    consumer.for_each(&mut session, move |client, _, delivery| {
        let Ok(delivery) = delivery else { return };
        assert_eq!(number(&delivery), expected);
        expected += 1;
        if expected == COUNT {
            client.loop_break();
        }
    });
    session.loop_forever().unwrap();
}
