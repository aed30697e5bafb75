//! Connections that are made anew, to brokers of the tests' own.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use puka::{
    Client, ClientOptions, ConnectionEvent, Consume, Delivery, Error, ExchangeDeclare, Get,
    Message, Promise, QueueBind, QueueDeclare, Recovery,
};

use crate::support::{Between, Broker, LIMIT, Session, new_client_with, unique};

fn options() -> ClientOptions {
    ClientOptions::new().recovery(Recovery::new().limit(LIMIT))
}

/// What the program is told of the connection.
pub(crate) fn events(session: &mut Session) -> Receiver<ConnectionEvent> {
    let (sender, told) = channel();
    session.on_connection_event(move |_, event| sender.send(event).unwrap());
    told
}

/// Turns until the program has been told of a loss and of the end of it.
pub(crate) fn wait_for_restoration(
    session: &mut Session,
    told: &Receiver<ConnectionEvent>,
) -> puka::Restored {
    loop {
        session.sleep(Duration::from_millis(10)).unwrap();
        if let Ok(ConnectionEvent::Restored(restored)) = told.try_recv() {
            return restored;
        }
    }
}

#[test]
fn everything_goes_on_after_an_operator_has_closed_the_connection() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, options());
    let told = events(&mut session);
    let (exchange, durable) = (session.name(), session.name());
    session
        .exchange_declare(ExchangeDeclare::fanout(&exchange))
        .wait(&mut session)
        .unwrap();
    let declare = QueueDeclare::new(&durable).durable(true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let made = session
        .queue_declare(QueueDeclare::server_named().exclusive(true))
        .wait(&mut session)
        .unwrap()
        .queue;
    for queue in [&durable, made.as_str()] {
        session
            .queue_bind(QueueBind::new(queue, &exchange))
            .wait(&mut session)
            .unwrap();
    }
    let consumer = session.basic_consume(Consume::new(&made).prefetch_count(1));
    let publish = session.basic_publish(&exchange, "", "1");
    session.wait(publish).unwrap();
    let old = session.next(consumer);

    broker.close_connections();
    let restored = wait_for_restoration(&mut session, &told);
    assert!(restored.failed.is_empty(), "{restored:?}");
    assert_eq!(restored.renamed.len(), 1);
    assert_eq!(restored.renamed[0].0, made);
    assert!(session.is_stale(&old));
    session.basic_ack(old).unwrap();
    // The exclusive queue went with its connection, and its message with it; there is a new one, bound and consumed.
    let publish = session.basic_publish(&exchange, "", "2");
    session.wait(publish).unwrap();
    let delivery = session.next(consumer);
    assert_eq!(delivery.body, "2");
    session.basic_ack(delivery).unwrap();
    // By its first name, too.
    let publish = session.basic_publish("", &made, Message::new("3").mandatory(true));
    session.wait(publish).unwrap();
    assert_eq!(session.next(consumer).body, "3");
    session.wait_for_messages(&durable, 2);
}

#[test]
fn what_was_under_way_when_the_broker_died_is_there_when_it_is_back() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, options());
    let queue = unique("durable");
    let declare = QueueDeclare::new(&queue).durable(true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    broker.sync();
    let publishes: Vec<_> = (0..500)
        .map(|number: u32| {
            let message = Message::new(number.to_string()).persistent();
            session.basic_publish("", &queue, message)
        })
        .collect();
    session.wait(publishes[0]).unwrap();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(10));
    let first = session.next(consumer);
    broker.kill();
    let meanwhile = session.basic_publish("", &queue, Message::new("500").persistent());
    assert!(
        session
            .wait_timeout(meanwhile, Duration::ZERO)
            .unwrap()
            .is_none()
    );
    broker.restart();
    session.wait(meanwhile).unwrap();
    session.wait_for_all(&publishes[1..]).unwrap();
    assert!(session.is_stale(&first));
    session.basic_ack(first).unwrap();

    let mut seen = vec![0; 501];
    while seen.contains(&0) {
        let delivery = session.next(consumer);
        let number: usize = delivery.body_str().parse().unwrap();
        seen[number] += 1;
        session.basic_ack(delivery).unwrap();
    }
    session.close().wait(&mut session).unwrap();
}

#[test]
fn after_the_limit_everything_fails_with_the_cause() {
    let broker = Broker::start(&[]);
    let recovery = Recovery::new()
        .delay(Duration::from_millis(10), Duration::from_millis(50))
        .limit(Duration::from_millis(300));
    let mut session = Session::at(&broker.url, ClientOptions::new().recovery(recovery));
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    let declared = session.queue_declare(&queue);
    session.wait(declared).unwrap();
    broker.kill();
    let error = session.wait_timeout(consumer, LIMIT).unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
    assert!(!session.is_connected());
    let error = session.basic_get(Get::new(&queue)).wait(&mut session);
    assert!(matches!(error, Err(Error::NotConnected)));
    broker.restart();
    session.connect().wait(&mut session).unwrap();
}

#[test]
fn the_next_host_is_tried_and_if_none_is_there_each_is_named() {
    let broker = Broker::start(&[]);
    // Nobody listens on port 1.
    let options = |hosts: &[&str]| ClientOptions::new().hosts(hosts.iter().copied());
    let there = broker.host();
    Session::at("amqp://127.0.0.1:1/", options(&["127.0.0.1:2", there]));
    let mut client = new_client_with("amqp://127.0.0.1:1/", options(&["[::1]:2"])).unwrap();
    let error = client.connect().wait(&mut client).unwrap_err();
    let text = error.to_string();
    assert!(error.is_connection_broken());
    assert!(
        text.contains("127.0.0.1:1: ") && text.contains("[::1]:2: "),
        "{text}"
    );
    // A refusal of the login is everybody's, and is told as it is.
    let url = format!("amqp://guest:wrong@{there}/");
    let mut client = new_client_with(&url, options(&["127.0.0.1:1"])).unwrap();
    let error = client.connect().wait(&mut client).unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    assert!(!error.is_connection_broken());
}

#[test]
fn what_was_under_way_to_a_queue_that_gets_another_name_arrives_there() {
    let between = Between::shared();
    let mut session = Session::at(&between.url, options());
    let declare = QueueDeclare::server_named().exclusive(true);
    let declared = session.queue_declare(declare).wait(&mut session).unwrap();
    let made = declared.queue;
    session.publish(&made, "before");
    between.mute();
    let publishes: Vec<_> = (0..20)
        .map(|number: u32| {
            let message = Message::new(number.to_string()).mandatory(number.is_multiple_of(2));
            session.basic_publish("", &made, message.reply_to(made.as_str()))
        })
        .collect();
    session.sleep(Duration::from_millis(1)).unwrap();
    between.cut();
    session.wait_for_all(&publishes).unwrap();
    // The old queue went with its connection. The new one has all that was published again, which names it.
    for number in 0..20 {
        let get = Get::new(&made).no_ack(true);
        let delivery = session.basic_get(get).wait(&mut session).unwrap();
        let delivery = delivery.expect("a message");
        assert_eq!(delivery.body, number.to_string());
        let reply_to = delivery.properties.reply_to().unwrap();
        assert_ne!(reply_to, made.as_str());
        assert_eq!(reply_to, &*delivery.routing_key);
    }
}

#[test]
fn what_arrived_and_is_refused_when_published_again_is_unknown() {
    let mut other = Session::new();
    let (full, bound, exchange) = (other.name(), other.queue(), other.name());
    let declare = QueueDeclare::new(&full)
        .argument("x-max-length", 1)
        .argument("x-overflow", "reject-publish");
    other.queue_declare(declare).wait(&mut other).unwrap();
    let declare = ExchangeDeclare::fanout(&exchange);
    other.exchange_declare(declare).wait(&mut other).unwrap();
    let binding = QueueBind::new(&bound, &exchange);
    other.queue_bind(binding.clone()).wait(&mut other).unwrap();

    let between = Between::shared();
    let mut session = Session::at(&between.url, options());
    // The confirms come alone: what is published now, and not confirmed, is published again.
    let publish = session.basic_publish("", "puka-nowhere", "");
    session.wait(publish).unwrap();
    between.mute();
    let nacked = session.basic_publish("", &full, "1");
    let message = Message::new("2").mandatory(true);
    let returned = session.basic_publish(&exchange, "", message);
    session.sleep(Duration::from_millis(1)).unwrap();
    other.wait_for_messages(&full, 1);
    other.wait_for_messages(&bound, 1);
    other.queue_unbind(binding).wait(&mut other).unwrap();
    between.cut();
    match session.wait(nacked) {
        Err(Error::OutcomeUnknown(cause)) => assert!(matches!(*cause, Error::Nacked), "{cause}"),
        result => panic!("{result:?}"),
    }
    match session.wait(returned) {
        Err(Error::OutcomeUnknown(cause)) => assert!(matches!(*cause, Error::NoRoute(_))),
        result => panic!("{result:?}"),
    }
    assert_eq!(other.take(&full).unwrap().body, "1");
    assert_eq!(other.take(&bound).unwrap().body, "2");
}

/// The pattern of the documentation, with a loss at its worst moment now and then.
fn move_on(
    client: &mut Client,
    work: Promise<Delivery>,
    results: &str,
    broker: &Broker,
) -> puka::Result<BTreeSet<String>> {
    let mut done = BTreeSet::new();
    for number in 0.. {
        if done.len() == 12 {
            break;
        }
        let delivery = client.wait(work)?;
        let body = delivery.body_str().into_owned();
        if number % 5 == 2 {
            broker.close_connections();
        }
        client
            .basic_publish("", results, body.clone())
            .wait(client)?;
        client.basic_ack(delivery)?;
        done.insert(body);
    }
    Ok(done)
}

#[test]
fn a_loss_between_a_delivery_and_its_acknowledgement_ends_no_program() {
    let broker = Broker::start(&[]);
    let mut session = Session::at(&broker.url, options());
    let (work, results) = (unique("work"), unique("results"));
    for queue in [&work, &results] {
        let declare = QueueDeclare::new(queue).durable(true);
        session.queue_declare(declare).wait(&mut session).unwrap();
    }
    for number in 0..12 {
        let publish = session.basic_publish("", &work, number.to_string());
        session.wait(publish).unwrap();
    }
    let consumer = session.basic_consume(Consume::new(&work).prefetch_count(3));
    let done = move_on(&mut session, consumer, &results, &broker).unwrap();
    assert_eq!(done.len(), 12);
}

/// Whatever befalls publishes: one that is told a definite failure is in no queue, and one that succeeded is.
#[test]
fn what_is_told_of_a_publish_is_so_whatever_befalls_it() {
    let mut other = Session::new();
    let (queue, full) = (other.queue(), other.name());
    let declare = QueueDeclare::new(&full)
        .argument("x-max-length", 100)
        .argument("x-overflow", "reject-publish");
    other.queue_declare(declare).wait(&mut other).unwrap();
    let exchanges = [other.name(), other.name()];
    let between = Between::shared();
    let moment = Duration::from_millis(1);
    let recovery = Recovery::new().delay(moment, 10 * moment).limit(LIMIT);
    let mut session = Session::at(&between.url, ClientOptions::new().recovery(recovery));
    let mut publishes = Vec::new();
    let (mut published, mut refused, mut unknown) = (Vec::new(), Vec::new(), 0);
    let mut chance = 1_u32;
    let mut below = |limit: u32| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 16) % limit
    };
    for round in 0..12 {
        for exchange in &exchanges {
            let declare = ExchangeDeclare::fanout(exchange);
            other.exchange_declare(declare).wait(&mut other).unwrap();
            let binding = QueueBind::new(&queue, exchange);
            other.queue_bind(binding).wait(&mut other).unwrap();
        }
        let mut deleted = Vec::new();
        for number in 0..200 {
            let body = format!("{round}.{number}");
            let wrong = format!("puka-wrong-{number}");
            let message = Message::new(body.clone()).mandatory(true);
            let (exchange, key, message) = match below(40) {
                0 => ("", &*queue, message.expiration("soon")),
                1 => (&*wrong, "", message),
                2 => ("", "puka-nowhere", message),
                3..6 => ("", &*full, message),
                6..20 => (&*exchanges[below(2) as usize], "", message),
                _ => ("", &*queue, message),
            };
            publishes.push((body, session.basic_publish(exchange, key, message)));
            match below(600) {
                0 => deleted.push(other.exchange_delete(&exchanges[0])),
                2 => between.mute(),
                3..6 => between.cut(),
                _ => {}
            }
            if below(20) == 0 {
                session.sleep(moment).unwrap();
                other.sleep(moment).unwrap();
            }
        }
        other.wait_for_all(&deleted).unwrap();
        // Whatever was not heard is asked for again.
        between.cut();
        for (body, publish) in publishes.drain(..) {
            match session.wait_timeout(publish, LIMIT) {
                Ok(done) => published.push((body, done.expect("an outcome"))),
                Err(Error::OutcomeUnknown(_)) => unknown += 1,
                Err(error) => refused.push((body, error)),
            }
        }
    }
    session.close().wait(&mut session).unwrap();
    let mut arrived = Vec::new();
    for queue in [&queue, &full] {
        while let Some(delivery) = other.take(queue) {
            arrived.push(delivery.body_str().into_owned());
        }
    }
    for (body, ()) in &published {
        assert!(arrived.contains(body), "{body} is not there");
    }
    for (body, error) in &refused {
        assert!(!arrived.contains(body), "{body} is there: {error}");
    }
    let counts = [published.len(), refused.len(), unknown];
    // It is no use if nothing happens.
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
}
