//! What a test asks of a broker, and what others do with it.

use puka::testing::Broker;
use puka::{ClientOptions, Consume, Error, ExchangeDeclare, Message, QueueBind, Requeue};

use crate::{connected, set_up};

#[test]
fn a_queue_is_seen_as_it_is() {
    let (broker, mut client) = set_up();
    assert!(broker.queue("q").exists() && broker.queue("q").is_empty());
    assert_eq!(broker.queue("q").consumers(), 0);
    let message = Message::new("1").header("n", 1).mandatory(true);
    client
        .basic_publish("", "q", message)
        .wait(&mut client)
        .unwrap();
    client
        .basic_publish("", "q", "2")
        .wait(&mut client)
        .unwrap();
    let consumer = client.basic_consume(Consume::new("q").prefetch_count(1));
    let delivery = client.wait(consumer).unwrap();
    let view = broker.queue("q");
    assert_eq!((view.len(), view.consumers()), (1, 1));
    assert_eq!(view.bodies(), ["2"]);
    let out = view.unacknowledged();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].body_str(), "1");
    assert_eq!(out[0].header("n").and_then(|n| n.as_i64()), Some(1));
    // What the client adds of its own is not the program's.
    assert_eq!(out[0].properties.headers().len(), 1);
    client.basic_reject(delivery, Requeue::Yes).unwrap();
    client.basic_cancel(consumer).wait(&mut client).unwrap();
    let messages = broker.queue("q").messages();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].redelivered && messages[0].body == "1");
    assert_eq!(messages[0].routing_key, "q");
    // It was another one before.
    assert_eq!(view.bodies(), ["2"]);
}

#[test]
#[should_panic(expected = "there is no queue \"w\" in the virtual host \"/\"; there are: [\"q\"]")]
fn a_queue_that_is_not_there_is_not_taken_for_an_empty_one() {
    let (broker, _client) = set_up();
    assert!(!broker.queue("w").exists());
    assert!(broker.queue("w").is_empty());
}

#[test]
fn other_programs_publish_and_take() {
    let (broker, mut client) = set_up();
    let exchange = ExchangeDeclare::topic("events");
    client.exchange_declare(exchange).wait(&mut client).unwrap();
    let binding = QueueBind::new("q", "events").routing_key("a.*");
    client.queue_bind(binding).wait(&mut client).unwrap();
    broker.publish("events", "a.b", "1").unwrap();
    broker.publish("events", "c", "nobody's").unwrap();
    let mandatory = Message::new("nobody's").mandatory(true);
    let error = broker.publish("events", "c", mandatory).unwrap_err();
    assert!(matches!(error, Error::NoRoute(_)), "{error}");
    let error = broker.publish("nowhere", "c", "x").unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    client
        .basic_publish("", "q", "2")
        .wait(&mut client)
        .unwrap();

    let published = broker.published();
    let seen: Vec<_> = published
        .iter()
        .map(|it| {
            (
                &*it.exchange,
                &*it.routing_key,
                it.body_str().into_owned(),
                it.is_routed,
            )
        })
        .collect();
    let expected = [
        ("events", "a.b", "1", true),
        ("events", "c", "nobody's", false),
        ("events", "c", "nobody's", false),
        ("", "q", "2", true),
    ];
    let expected =
        expected.map(|(exchange, key, body, routed)| (exchange, key, body.to_owned(), routed));
    assert_eq!(seen, expected);

    let taken = broker.take("q").unwrap().unwrap();
    assert_eq!((taken.body_str(), &*taken.exchange), ("1".into(), "events"));
    broker.publish("", "q", taken).unwrap();
    assert_eq!(broker.queue("q").bodies(), ["2", "1"]);
    assert!(matches!(broker.take("w"), Err(Error::NotFound(_))));
}

#[test]
fn virtual_hosts_and_users_are_apart() {
    let broker = Broker::new();
    let orders = broker.vhost("orders & more");
    let mut client = connected(&orders, ClientOptions::new());
    client.queue_declare("q").wait(&mut client).unwrap();
    assert!(orders.queue("q").exists() && !broker.queue("q").exists());
    orders.publish("", "q", "1").unwrap();
    assert_eq!((orders.published().len(), broker.published().len()), (1, 0));

    let connect = |url: &str| {
        let mut client = broker.client_with_url(url, ClientOptions::new()).unwrap();
        client.connect().wait(&mut client).map(|_| client)
    };
    let error = connect("amqp://reader:secret@rabbit/").unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    let error = connect("amqp://rabbit/nowhere").unwrap_err();
    assert!(matches!(error, Error::NotAllowed(_)), "{error}");
    broker.add_user("reader", "secret");
    let error = connect("amqp://reader:secret@rabbit/").unwrap_err();
    assert!(matches!(error, Error::NotAllowed(_)), "{error}");
    broker.set_permissions("reader", "^$", "^$", ".*").unwrap();
    let mut reader = connect("amqp://reader:secret@rabbit/").unwrap();
    let error = reader.queue_declare("mine").wait(&mut reader).unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    assert!(matches!(
        broker.set_permissions("nobody", "", "", ""),
        Err(Error::InvalidArgument(_))
    ));
    assert!(matches!(
        broker.client_with_url("amqps://rabbit/", ClientOptions::new()),
        Err(Error::InvalidUrl(text)) if text.contains("no TLS")
    ));
}
