//! `puka::testing`, as a program's tests use it.
#![cfg(feature = "testing")]

use std::time::Duration;

use puka::testing::Broker;
use puka::{
    Client, ClientOptions, Consume, Disconnect, Error, ExchangeDeclare, Message, QueueBind,
    QueueDeclare, Recovery, Requeue,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn connected(broker: &Broker, options: ClientOptions) -> Client {
    let mut client = broker.client(options);
    client.connect().wait(&mut client).unwrap();
    client
}

/// A client, and a queue "q".
fn set_up() -> (Broker, Client) {
    let broker = Broker::new();
    let mut client = connected(&broker, ClientOptions::new());
    client.queue_declare("q").wait(&mut client).unwrap();
    (broker, client)
}

fn recovering() -> ClientOptions {
    ClientOptions::new().recovery(Recovery::new())
}

#[test]
fn a_broker_may_be_kept_by_whatever_a_test_has() {
    fn is_plain<T: Clone + Send + Sync + std::fmt::Debug>() {}
    is_plain::<Broker>();
}

#[test]
fn an_order_survives_a_lost_connection_at_every_byte() {
    for bytes in 0..200 {
        let broker = Broker::new();
        let mut client = connected(&broker, recovering());
        client.queue_declare("orders").wait(&mut client).unwrap();
        broker.cut_after(bytes);
        client
            .basic_publish("", "orders", "one")
            .wait(&mut client)
            .unwrap();
        let bodies = broker.queue("orders").bodies();
        assert!(
            bodies == ["one"] || bodies == ["one", "one"],
            "{bytes}: {bodies:?}"
        );
    }
}

#[test]
fn a_confirm_that_is_lost_doubles_a_message_or_leaves_its_outcome_unknown() {
    let broker = Broker::new();
    let mut client = connected(&broker, recovering());
    client.queue_declare("q").wait(&mut client).unwrap();
    client
        .basic_publish("", "q", "1")
        .wait(&mut client)
        .unwrap();
    broker.cut_after_answering(0);
    client
        .basic_publish("", "q", "2")
        .wait(&mut client)
        .unwrap();
    assert_eq!(broker.queue("q").bodies(), ["1", "2", "2"]);

    let (broker, mut client) = set_up();
    client
        .basic_publish("", "q", "1")
        .wait(&mut client)
        .unwrap();
    broker.cut_after_answering(0);
    let error = client
        .basic_publish("", "q", "2")
        .wait(&mut client)
        .unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
    assert_eq!(broker.queue("q").bodies(), ["1", "2"]);
}

#[test]
fn a_wait_that_nothing_can_end_is_an_error_at_once() {
    let (broker, mut client) = set_up();
    let consumer = client.basic_consume("q");
    let error = client.wait(consumer).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::WaitsForever(_)) && text.contains("nothing"),
        "{text}"
    );
    // The client has looked whether the broker's host is there.
    assert!(broker.elapsed() < 60 * SECOND);
    // A limit, and something to come, are no reason for one.
    assert!(client.wait_timeout(consumer, HOUR).unwrap().is_none());
    assert!(broker.elapsed() >= HOUR);
    broker.after(HOUR, |broker| broker.publish("", "q", "late").unwrap());
    assert_eq!(client.wait(consumer).unwrap().body, "late");
    // Nor with heartbeats, which would go on for ever.
    let mut client = connected(&broker, ClientOptions::new().heartbeat(10));
    let error = client.loop_forever().unwrap_err();
    assert!(matches!(error, Error::WaitsForever(_)), "{error}");
}

#[test]
fn the_clock_is_the_brokers_and_jumps() {
    let (broker, mut client) = set_up();
    let (begun, real) = (broker.now(), std::time::Instant::now());
    client.sleep(24 * HOUR).unwrap();
    assert_eq!(broker.now() - begun, 24 * HOUR);
    broker.advance(HOUR);
    assert_eq!(broker.now() - begun, 25 * HOUR);
    assert!(real.elapsed() < 60 * SECOND);
    client.loop_timeout(SECOND).unwrap();
    assert_eq!(broker.elapsed(), 25 * HOUR + SECOND);
}

#[test]
fn an_hour_without_a_broker_takes_no_time() {
    let broker = Broker::new();
    let options = ClientOptions::new().recovery(Recovery::new().limit(2 * HOUR));
    let mut client = connected(&broker, options);
    let durable = QueueDeclare::new("q").durable(true);
    client.queue_declare(durable).wait(&mut client).unwrap();
    client.queue_declare("transient").wait(&mut client).unwrap();
    for message in [Message::new("kept").persistent(), Message::new("lost")] {
        client
            .basic_publish("", "q", message)
            .wait(&mut client)
            .unwrap();
    }
    broker.stop();
    assert_eq!(broker.connections(), 0);
    assert_eq!(broker.queue("q").bodies(), ["kept"]);
    assert!(!broker.queue("transient").exists());
    broker.after(HOUR, Broker::start);
    let message = Message::new("new").persistent();
    client
        .basic_publish("", "q", message)
        .wait(&mut client)
        .unwrap();
    assert!(broker.elapsed() >= HOUR);
    assert_eq!(broker.queue("q").bodies(), ["kept", "new"]);
    assert!(
        broker.queue("transient").exists(),
        "recovery declares it anew"
    );
}

#[test]
fn connections_are_refused_and_accepted() {
    let broker = Broker::new();
    broker.refuse_connections();
    let mut client = broker.client(ClientOptions::new());
    let error = client.connect().wait(&mut client).unwrap_err();
    assert!(
        matches!(&error, Error::ConnectionBroken(Disconnect::Connect(_))),
        "{error}"
    );
    broker.accept_connections();
    client.connect().wait(&mut client).unwrap();
    assert_eq!(broker.connections(), 1);
    broker.cut();
    assert_eq!(broker.connections(), 0);
    let error = client.queue_declare("q").wait(&mut client).unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
}

#[test]
fn a_host_that_vanishes_is_missed_by_heartbeats() {
    for pauses in [false, true] {
        let broker = Broker::new();
        let mut client = connected(&broker, ClientOptions::new().heartbeat(10));
        let declared = client.queue_declare("q");
        client.wait(declared).unwrap();
        if pauses {
            broker.pause();
        } else {
            broker.silence();
        }
        let error = client.loop_forever().unwrap_err();
        assert!(
            matches!(error, Error::ConnectionBroken(Disconnect::BrokerSilent(_))),
            "{error}"
        );
        assert!(broker.elapsed() >= 10 * SECOND && broker.elapsed() <= 30 * SECOND);
        broker.resume();
        client.connect().wait(&mut client).unwrap();
    }
}

#[test]
fn a_program_that_computes_for_too_long_is_thrown_out_unless_heartbeats_are_in_the_background() {
    for keeps in [false, true] {
        let broker = Broker::new();
        let options = ClientOptions::new()
            .heartbeat(10)
            .background_heartbeats(keeps);
        let mut client = connected(&broker, options);
        broker.advance(HOUR);
        let declared = client.queue_declare("q").wait(&mut client);
        assert_eq!(declared.is_ok(), keeps, "{declared:?}");
    }
}

#[test]
fn an_alarm_blocks_publishers_until_it_is_over() {
    let (broker, mut client) = set_up();
    client
        .basic_publish("", "q", "0")
        .wait(&mut client)
        .unwrap();
    broker.block("low on disk");
    let publish = client.basic_publish("", "q", "1");
    assert!(client.wait_timeout(publish, SECOND).unwrap().is_none());
    assert_eq!(client.blocked(), Some("low on disk"));
    broker.after(HOUR, Broker::unblock);
    client.wait(publish).unwrap();
    assert_eq!(client.blocked(), None);
    assert!(broker.elapsed() >= HOUR);
}

#[test]
fn what_the_broker_does_once_a_year_it_does_on_demand() {
    let (broker, mut client) = set_up();
    broker.nack_next(1);
    let error = client
        .basic_publish("", "q", "1")
        .wait(&mut client)
        .unwrap_err();
    assert!(matches!(error, Error::Nacked), "{error}");
    client
        .basic_publish("", "q", "2")
        .wait(&mut client)
        .unwrap();
    assert_eq!(broker.queue("q").bodies(), ["2"]);

    let consumer = client.basic_consume("q");
    client.wait(consumer).unwrap();
    broker.cancel_consumer("q");
    let error = client.wait(consumer).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");

    broker.close_connections(320);
    let error = client.queue_declare("q").wait(&mut client).unwrap_err();
    assert!(matches!(error, Error::ConnectionForced(_)), "{error}");
    // A transient queue does not outlive the node; the program's own declaration tells.
    client.connect().wait(&mut client).unwrap();
    broker.restart();
    assert!(!broker.queue("q").exists());
}

#[test]
fn a_slow_network_takes_its_time() {
    let (broker, mut client) = set_up();
    let body = vec![0; 100_000];
    client
        .basic_publish("", "q", body.clone())
        .wait(&mut client)
        .unwrap();
    assert!(broker.elapsed() < SECOND);
    broker.slow(1000);
    let publish = client.basic_publish("", "q", body.clone());
    client.wait(publish).unwrap();
    let slowly = broker.elapsed();
    assert!(
        slowly >= 100 * SECOND && slowly < 110 * SECOND,
        "{slowly:?}"
    );
    broker.slow(u64::MAX);
    broker.delay(SECOND);
    let publish = client.basic_publish("", "q", body);
    client.wait(publish).unwrap();
    let late = broker.elapsed() - slowly;
    assert!(late >= 2 * SECOND && late < 10 * SECOND, "{late:?}");
}

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

#[test]
fn a_program_with_a_loop_of_its_own_polls_the_broker() {
    let broker = Broker::new();
    let mut client = broker.client(ClientOptions::new().heartbeat(10));
    let (sender, told) = std::sync::mpsc::channel();
    client
        .connect()
        .then(&mut client, move |client, _, connected| {
            connected.unwrap();
            client
                .queue_declare("q")
                .then(client, move |client, _, declared| {
                    declared.unwrap();
                    client
                        .basic_consume("q")
                        .for_each(client, move |client, _, delivery| {
                            if let Ok(delivery) = delivery {
                                sender.send(delivery.body_str().into_owned()).unwrap();
                                client.basic_ack(delivery).unwrap();
                            }
                        });
                });
        });
    broker.after(HOUR, |broker| broker.publish("", "q", "late").unwrap());
    let body = loop {
        client.run_any_callbacks();
        if let Ok(body) = told.try_recv() {
            break body;
        }
        let timeout = client.next_timeout();
        let ready = broker.poll(&mut client, timeout).unwrap();
        if ready.readable {
            client.on_read();
        }
        if ready.writable {
            client.on_write();
        }
        client.on_timeout();
    };
    assert_eq!(body, "late");
    assert!(broker.elapsed() >= HOUR);
}

#[test]
fn several_clients_share_a_loop() {
    let broker = Broker::new();
    let mut worker = connected(&broker, ClientOptions::new());
    let mut boss = connected(&broker, ClientOptions::new());
    worker.queue_declare("work").wait(&mut worker).unwrap();
    let consumer = worker.basic_consume("work");
    consumer.for_each(&mut worker, |client, _, delivery| {
        let Ok(delivery) = delivery else { return };
        let to = delivery.properties.reply_to().unwrap().to_owned();
        let reply = Message::new(delivery.body_str().repeat(2));
        let reply = reply.correlation_id(delivery.properties.correlation_id().unwrap());
        client.basic_publish("", to, reply);
        client.basic_ack(delivery).unwrap();
    });
    boss.call("", "work", "ab")
        .then(&mut boss, |client, _, response| {
            assert_eq!(response.unwrap().body, "abab");
            client.loop_break();
        });
    puka::loop_forever(&mut [&mut boss, &mut worker]).unwrap();
    // And nobody is left who could do anything.
    let error = puka::loop_forever(&mut [&mut boss, &mut worker]).unwrap_err();
    assert!(matches!(error, Error::WaitsForever(_)), "{error}");
}

#[test]
fn the_same_seed_is_the_same_chance() {
    let life = |seed| {
        let broker = Broker::with_seed(seed);
        let mut client = connected(&broker, recovering());
        client.queue_declare("q").wait(&mut client).unwrap();
        let mut times = Vec::new();
        for number in 0..20 {
            if number == 10 {
                broker.cut_after(30);
            }
            client
                .basic_publish("", "q", number.to_string())
                .wait(&mut client)
                .unwrap();
            times.push(broker.elapsed());
        }
        (times, broker.queue("q").bodies())
    };
    let (times, bodies) = life(7);
    assert_eq!(life(7), (times.clone(), bodies));
    assert_ne!(life(8).0, times);
    assert!(times.last() > times.first());
}

#[test]
fn what_it_does_not_do_is_an_error_that_says_so() {
    let (_broker, mut client) = set_up();
    let stream = QueueDeclare::new("s")
        .durable(true)
        .argument("x-queue-type", "stream");
    let error = client.queue_declare(stream).wait(&mut client).unwrap_err();
    assert!(
        error.to_string().contains("puka::testing has no streams"),
        "{error}"
    );
}

#[test]
#[should_panic(expected = "no client can be made with these options")]
fn options_that_make_no_sense_are_told() {
    Broker::new().client(ClientOptions::new().hosts(["rabbit:no port"]));
}
