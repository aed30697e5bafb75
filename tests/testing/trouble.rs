//! What goes wrong once a year, on demand.

use puka::testing::Broker;
use puka::{ClientOptions, Disconnect, Error, Message, QueueDeclare, Recovery};

use crate::{HOUR, SECOND, connected, recovering, set_up};

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
