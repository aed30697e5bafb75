//! What becomes of messages that a queue does not keep.

use std::time::Duration;

use puka::{
    Consume, Delivery, Error, ExchangeDeclare, FieldTable, FieldValue, Message, QueueDeclare,
    Requeue,
};

use crate::rules::{bind, bodies, exchange, publish, queue, text};
use crate::support::{Session, is_rabbitmq_3};

/// The reasons of its deaths, the last one first: the queue of each, and how often.
fn deaths(delivery: &Delivery) -> Vec<(String, String, i64)> {
    let Some(FieldValue::Array(deaths)) = delivery.header("x-death") else {
        return Vec::new();
    };
    let text = |death: &FieldTable, key: &str| {
        let value = death
            .get(key)
            .unwrap_or_else(|| panic!("no {key} in {death:?}"));
        value.as_str().unwrap().to_owned()
    };
    let deaths = deaths.iter().map(|death| match death {
        FieldValue::Table(death) => {
            let count = death.get("count").unwrap().as_i64().unwrap();
            (text(death, "reason"), text(death, "queue"), count)
        }
        other => panic!("{other:?}"),
    });
    deaths.collect()
}

/// A queue whose dead letters go to that one.
fn mortal(session: &mut Session, dead: &str, more: &[(&'static str, FieldValue)]) -> String {
    let to_dead = [
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(dead)),
    ];
    queue(session, &[more, &to_dead].concat())
}

/// Gets a queue's first message, and rejects it.
fn reject(session: &mut Session, queue: &str) {
    let got = session.basic_get(queue);
    let delivery = session.wait(got).unwrap().unwrap();
    session.basic_reject(delivery, Requeue::No).unwrap();
}

#[test]
fn a_full_queue_drops_its_oldest_and_they_are_dead_letters() {
    let mut session = Session::new();
    let dead = session.queue();
    let full = mortal(&mut session, &dead, &[("x-max-length", FieldValue::I32(2))]);
    for body in ["1", "2", "3", "4"] {
        publish(&mut session, "", &full, body);
    }
    assert_eq!(bodies(&mut session, &full, 2), "3 4");
    session.wait_for_messages(&dead, 2);
    let first = session.take(&dead).unwrap();
    assert_eq!(first.body, "1");
    assert_eq!(deaths(&first), [("maxlen".into(), full.clone(), 1)]);
    assert_eq!(first.header("x-first-death-reason"), Some(text("maxlen")));
    assert_eq!(first.header("x-first-death-queue"), Some(text(&full)));
    assert_eq!(first.header("x-first-death-exchange"), Some(text("")));

    // What is out with a consumer is not counted.
    let consumer = session.basic_consume(Consume::new(&full).prefetch_count(1));
    publish(&mut session, "", &full, "5");
    let held = session.next(consumer);
    for body in ["6", "7", "8"] {
        publish(&mut session, "", &full, body);
    }
    session.basic_ack(held).unwrap();
    assert_eq!(session.next(consumer).body, "7");

    let arguments = [("x-max-length-bytes", FieldValue::I32(10))];
    let full = queue(&mut session, &arguments);
    for body in ["aaaa", "bbbb", "cccc"] {
        publish(&mut session, "", &full, body);
    }
    assert_eq!(bodies(&mut session, &full, 2), "bbbb cccc");
    publish(&mut session, "", &full, "twelve bytes");
    assert_eq!(bodies(&mut session, &full, 0), "");
}

#[test]
fn a_full_queue_may_refuse_what_is_too_much() {
    let mut session = Session::new();
    let dead = session.queue();
    for overflow in ["reject-publish", "reject-publish-dlx"] {
        let arguments = [
            ("x-max-length", FieldValue::I32(1)),
            ("x-overflow", text(overflow)),
        ];
        let full = mortal(&mut session, &dead, &arguments);
        publish(&mut session, "", &full, "1");
        let refused = session.basic_publish("", &full, "2");
        let error = session.wait(refused).unwrap_err();
        assert!(matches!(error, Error::Nacked), "{error}");
        assert_eq!(bodies(&mut session, &full, 1), "1");
        let count = u32::from(overflow.ends_with("dlx"));
        session.wait_for_messages(&dead, count);
        if count == 1 {
            let delivery = session.take(&dead).unwrap();
            assert_eq!(deaths(&delivery), [("maxlen".into(), full, 1)]);
        }
    }
}

#[test]
fn what_expires_is_a_dead_letter() {
    let mut session = Session::new();
    let dead = session.queue();
    let brief = mortal(
        &mut session,
        &dead,
        &[("x-message-ttl", FieldValue::I32(30))],
    );
    let lasting = mortal(&mut session, &dead, &[]);
    publish(&mut session, "", &brief, "by the queue");
    session.wait_for_messages(&dead, 1);
    let delivery = session.take(&dead).unwrap();
    assert_eq!(deaths(&delivery), [("expired".into(), brief.clone(), 1)]);
    assert_eq!(delivery.properties.expiration(), None);
    publish(
        &mut session,
        "",
        &lasting,
        Message::new("by itself").expiration("20"),
    );
    session.wait_for_messages(&dead, 1);
    let delivery = session.take(&dead).unwrap();
    assert_eq!(deaths(&delivery), [("expired".into(), lasting.clone(), 1)]);
    assert_eq!(delivery.properties.expiration(), None);
    let Some(FieldValue::Array(all)) = delivery.header("x-death") else {
        panic!("{delivery:?}");
    };
    let FieldValue::Table(death) = &all[0] else {
        panic!("{all:?}");
    };
    assert_eq!(death.get("original-expiration"), Some(text("20")));
    assert_eq!(death.get("exchange"), Some(text("")));
    assert_eq!(
        death.get("routing-keys"),
        Some(FieldValue::Array(vec![text(&lasting)]))
    );
    assert!(matches!(death.get("time"), Some(FieldValue::Timestamp(_))));
    // The shorter of the two counts; and only the head of a queue expires, where messages have their own.
    publish(
        &mut session,
        "",
        &brief,
        Message::new("1").expiration("600000"),
    );
    assert_eq!(bodies(&mut session, &dead, 1), "1");
    publish(&mut session, "", &lasting, "2");
    publish(
        &mut session,
        "",
        &lasting,
        Message::new("3").expiration("1"),
    );
    session.sleep(Duration::from_millis(100)).unwrap();
    session.wait_for_messages(&dead, 0);
    assert_eq!(session.take(&lasting).unwrap().body, "2");
    assert_eq!(bodies(&mut session, &dead, 1), "3");
}

#[test]
fn a_rejected_message_counts_its_rounds() {
    let mut session = Session::new();
    let (work, wait) = (session.name(), session.name());
    let declare = |name: &str, to: &str| {
        QueueDeclare::new(name)
            .argument("x-dead-letter-exchange", "")
            .argument("x-dead-letter-routing-key", to)
    };
    let declared = session.queue_declare(declare(&work, &wait));
    session.wait(declared).unwrap();
    let declared = session.queue_declare(declare(&wait, &work).argument("x-message-ttl", 10));
    session.wait(declared).unwrap();
    publish(&mut session, "", &work, "x");
    let consumer = session.basic_consume(&work);
    for round in 0..3 {
        let delivery = session.next(consumer);
        assert!(!delivery.redelivered);
        let expected = [
            ("expired".into(), wait.clone(), round),
            ("rejected".into(), work.clone(), round),
        ];
        let expected = if round == 0 { &[][..] } else { &expected };
        assert_eq!(deaths(&delivery), expected);
        if round > 0 {
            assert_eq!(
                delivery.header("x-first-death-reason"),
                Some(text("rejected"))
            );
            let last = delivery.header("x-last-death-reason");
            assert_eq!(last, (!is_rabbitmq_3()).then(|| text("expired")));
        }
        session.basic_reject(delivery, Requeue::No).unwrap();
    }
}

#[test]
fn a_circle_of_dead_letters_that_nobody_breaks_ends() {
    let mut session = Session::new();
    let name = session.name();
    let declare = QueueDeclare::new(&name)
        .argument("x-message-ttl", 10)
        .argument("x-dead-letter-exchange", "");
    let declared = session.queue_declare(declare);
    session.wait(declared).unwrap();
    publish(&mut session, "", &name, "x");
    session.sleep(Duration::from_millis(100)).unwrap();
    session.wait_for_messages(&name, 0);
}

#[test]
fn a_time_of_zero_is_for_whoever_waits() {
    let mut session = Session::new();
    let dead = session.queue();
    let hasty = mortal(
        &mut session,
        &dead,
        &[("x-message-ttl", FieldValue::I32(0))],
    );
    publish(&mut session, "", &hasty, "nobody waits");
    assert_eq!(bodies(&mut session, &dead, 1), "nobody waits");
    let consumer = session.basic_consume(Consume::new(&hasty).no_ack(true));
    let declare = QueueDeclare::new(&hasty).passive(true);
    let consumers = |session: &mut Session| {
        let declared = session.queue_declare(declare.clone());
        session.wait(declared).unwrap().consumer_count
    };
    while consumers(&mut session) < 1 {}
    publish(&mut session, "", &hasty, "for you");
    assert_eq!(session.next(consumer).body, "for you");
    assert_eq!(bodies(&mut session, &dead, 0), "");
}

#[test]
fn dead_letters_keep_their_key_unless_another_is_said_and_may_go_nowhere() {
    let mut session = Session::new();
    let exchange = exchange(&mut session, |name| ExchangeDeclare::direct(name));
    let (source, dead) = (
        queue(&mut session, &[("x-dead-letter-exchange", text(&exchange))]),
        session.queue(),
    );
    bind(&mut session, &dead, &exchange, &source);
    let message = Message::new("x").header("mine", 1).persistent();
    publish(&mut session, "", &source, message);
    reject(&mut session, &source);
    session.wait_for_messages(&dead, 1);
    let delivery = session.take(&dead).unwrap();
    assert_eq!(delivery.exchange, exchange.as_str());
    assert_eq!(delivery.routing_key, source.as_str());
    assert_eq!(delivery.properties.delivery_mode(), Some(2));
    assert_eq!(delivery.header("mine"), Some(FieldValue::I32(1)));
    assert!(!delivery.redelivered);
    // Nobody hears of those that no queue takes.
    let lost = queue(
        &mut session,
        &[("x-dead-letter-exchange", text("puka-nowhere"))],
    );
    publish(&mut session, "", &lost, "x");
    reject(&mut session, &lost);
    session.wait_for_messages(&lost, 0);
}

#[test]
fn a_queue_that_goes_makes_no_dead_letters() {
    let mut session = Session::new();
    let dead = session.queue();
    let source = mortal(&mut session, &dead, &[]);
    publish(&mut session, "", &source, "purged");
    assert_eq!(session.queue_purge(&source).wait(&mut session).unwrap(), 1);
    publish(&mut session, "", &source, "deleted");
    assert_eq!(session.queue_delete(&source).wait(&mut session).unwrap(), 1);
    session.sleep(Duration::from_millis(50)).unwrap();
    session.wait_for_messages(&dead, 0);
}

#[test]
fn the_deaths_of_a_message_that_is_published_again_are_its_own_since_rabbitmq_4() {
    let mut session = Session::new();
    let dead = session.queue();
    let source = mortal(&mut session, &dead, &[]);
    publish(&mut session, "", &source, "x");
    for round in 1..=2 {
        reject(&mut session, &source);
        session.wait_for_messages(&dead, 1);
        let delivery = session.take(&dead).unwrap();
        let count = if is_rabbitmq_3() { round } else { 1 };
        assert_eq!(
            deaths(&delivery),
            [("rejected".into(), source.clone(), count)]
        );
        let again = Message::new(delivery.body.clone()).properties(delivery.properties.clone());
        publish(&mut session, "", &source, again);
    }
}
