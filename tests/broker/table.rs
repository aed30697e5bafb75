//! Each line of README's table of puka's calls: what stands on its right side is done here, in its order.

use std::sync::mpsc::channel;
use std::time::Duration;

use puka::{
    Client, ClientOptions, Consume, ConsumeMulti, Error, ExchangeBind, ExchangeDeclare,
    ExchangeDelete, Get, Message, QueueBind, QueueDeclare, QueueDelete, Requeue, TlsOptions,
};

use crate::support::{LIMIT, Session, new_client, new_client_with, unique, url};

fn connected() -> Client {
    let mut client = new_client(&url()).unwrap();
    client.connect().wait(&mut client).unwrap();
    client
}

#[test]
fn clients_and_connections() {
    let options = ClientOptions::new()
        .pubacks(true)
        .client_property("mine", "x")
        .heartbeat(20)
        .tls(TlsOptions::new());
    let mut client = new_client_with(&url(), options).unwrap();
    let (connect, close);
    connect = client.connect();
    client.wait(connect).unwrap();
    assert!(client.connected().unwrap().pubacks);
    close = client.close();
    assert_ne!(connect.number(), close.number());
    client.wait(close).unwrap();
}

#[test]
fn queues_and_exchanges() {
    let mut client = connected();
    let client = &mut client;
    let (queue, exchange, other) = (unique("table"), unique("table"), unique("table"));
    let declare = QueueDeclare::new(&queue).durable(true).exclusive(true);
    let declare = declare.auto_delete(false).argument("x-max-length", 9);
    client.queue_declare(declare).wait(client).unwrap();
    let passive = QueueDeclare::new(&queue).passive(true);
    assert_eq!(
        client.queue_declare(passive).wait(client).unwrap().queue,
        queue
    );
    let made = client.queue_declare("").wait(client).unwrap().queue;
    assert_eq!(client.queue_purge(&queue).wait(client).unwrap(), 0);

    let topic = ExchangeDeclare::topic(&exchange).durable(true);
    client.exchange_declare(topic).wait(client).unwrap();
    let passive = ExchangeDeclare::topic(&exchange).passive(true);
    client.exchange_declare(passive).wait(client).unwrap();
    let internal = ExchangeDeclare::with_kind(&other, "fanout").internal(true);
    client.exchange_declare(internal).wait(client).unwrap();
    let binding = QueueBind::new(&queue, &exchange)
        .routing_key("k")
        .argument("x", 1);
    client.queue_bind(binding.clone()).wait(client).unwrap();
    client.queue_unbind(binding).wait(client).unwrap();
    let binding = ExchangeBind::new(&other, &exchange).routing_key("k");
    client.exchange_bind(binding.clone()).wait(client).unwrap();
    client.exchange_unbind(binding).wait(client).unwrap();
    let delete = ExchangeDelete::new(&exchange).if_unused(true);
    client.exchange_delete(delete).wait(client).unwrap();
    client.exchange_delete(&other).wait(client).unwrap();

    let delete = QueueDelete::new(&queue).if_unused(true).if_empty(true);
    assert_eq!(client.queue_delete(delete).wait(client).unwrap(), 0);
    client.queue_delete(&made).wait(client).unwrap();
    let error = client.queue_purge(&queue).wait(client).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn messages() {
    let mut session = Session::new();
    let queue = session.queue();
    session
        .basic_publish("", &queue, "body")
        .wait(&mut session)
        .unwrap();
    let message = Message::new("body").mandatory(true).delivery_mode(2);
    let message = message.header("mine", 1).reply_to("me");
    session
        .basic_publish("", &queue, message)
        .wait(&mut session)
        .unwrap();

    let first = session
        .basic_get(&queue)
        .wait(&mut session)
        .unwrap()
        .unwrap();
    session.basic_reject(first, Requeue::No).unwrap();
    let delivery = session.take(&queue).unwrap();
    assert_eq!(delivery.body, "body");
    assert_eq!(delivery.header("mine").unwrap().as_i64(), Some(1));
    assert_eq!(delivery.properties.reply_to().unwrap(), "me");
    let get = Get::new(&queue).no_ack(true);
    assert!(session.basic_get(get).wait(&mut session).unwrap().is_none());
}

#[test]
fn consumers() {
    let mut session = Session::new();
    let queue = session.queue();
    for _ in 0..6 {
        session.publish(&queue, "body");
    }
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    let delivery = session.next(consumer);
    session.basic_ack(delivery).unwrap();
    session.basic_qos(consumer, 10).wait(&mut session).unwrap();
    let delivery = session.next(consumer);
    session.basic_reject(delivery, Requeue::Yes).unwrap();
    let delivery = session.next(consumer);
    session.basic_nack(delivery, Requeue::No).unwrap();
    let delivery = session.next(consumer);
    session.basic_ack_multiple(delivery).unwrap();
    let delivery = session.next(consumer);
    session.basic_nack_multiple(delivery, Requeue::No).unwrap();
    session.basic_cancel(consumer).wait(&mut session).unwrap();

    session.publish(&queue, "body");
    let items = [Consume::new(&queue), Consume::new(&queue).consumer_tag("t")];
    let consumer = session.basic_consume_multi(ConsumeMulti::new(items).prefetch_count(1));
    let delivery = session.next(consumer);
    session.basic_ack(delivery).unwrap();
}

#[test]
fn waits() {
    let mut session = Session::new();
    let queue = session.queue();
    let promise = session.basic_publish("", &queue, "body");
    session.wait(promise).unwrap();
    let consumer = session.basic_consume(&queue);
    assert!(session.wait_timeout(consumer, LIMIT).unwrap().is_some());
    // Running out of time is no error.
    let none = session.wait_timeout(consumer, Duration::from_millis(1));
    assert!(none.unwrap().is_none());
    let none = consumer.wait_timeout(&mut session, Duration::from_millis(1));
    assert!(none.unwrap().is_none());

    let (one, two) = (session.queue_declare(&queue), session.queue_declare(&queue));
    let (first, result) = session.wait_any(&[one, two]).unwrap();
    assert!(first == one || first == two);
    result.unwrap();
    let (one, two) = (session.queue_purge(&queue), session.queue_declare(&queue));
    let first = session.wait_ready(&[one.id(), two.id()]).unwrap();
    assert!(first == one.id() || first == two.id());
    let promises = [session.queue_declare(&queue), session.queue_declare(&queue)];
    assert_eq!(session.wait_for_all(&promises).unwrap().len(), 2);
    // An error is a value.
    let wrong = session.queue_purge("puka-no-such-queue");
    assert!(session.wait(wrong).is_err());
}

#[test]
fn callbacks_and_loops() {
    let mut session = Session::new();
    let queue = session.queue();
    let (sender, told) = channel();
    let note = |what: &'static str| {
        let sender = sender.clone();
        move || sender.send(what).unwrap()
    };
    let then = note("then");
    session
        .queue_declare(&queue)
        .then(&mut session, move |_, _, result| {
            result.unwrap();
            then();
        });
    let set = note("set_callback");
    let purge = session.queue_purge(&queue);
    session.set_callback(purge, move |_, _, result| {
        result.unwrap();
        set();
    });
    let each = note("for_each");
    session
        .basic_consume(&queue)
        .for_each(&mut session, move |client, _, delivery| {
            client.basic_ack(delivery.unwrap()).unwrap();
            each();
            client.loop_break();
        });
    session.basic_publish("", &queue, "body");
    session.loop_forever().unwrap();
    session.loop_timeout(Duration::from_millis(1)).unwrap();
    session.run_any_callbacks();
    let mut told: Vec<_> = told.try_iter().collect();
    told.sort_unstable();
    assert_eq!(told, ["for_each", "set_callback", "then"]);

    let (mut one, mut two) = (connected(), connected());
    one.queue_declare(&queue)
        .then(&mut one, |client, _, _| client.loop_break());
    two.queue_declare(&queue).wait(&mut two).unwrap();
    puka::loop_forever(&mut [&mut one, &mut two]).unwrap();
}
