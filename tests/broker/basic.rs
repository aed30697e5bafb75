//! Publish, get, acknowledge, properties.

use puka::{
    ClientOptions, Consume, Error, ExchangeDeclare, FieldTable, FieldValue, Get, Message, QueueBind,
};
use puka::{QueueDeclare, Requeue};

use crate::support::{LIMIT, Session};

#[test]
fn a_message_goes_round() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "body");
    let consumer = session.basic_consume(Consume::new(&queue).no_ack(true));
    assert_eq!(session.next(consumer).body, "body");
    session.close().wait(&mut session).unwrap();
}

#[test]
fn a_message_goes_round_with_properties_of_the_connection() {
    let options = ClientOptions::new()
        .client_property("puka_test", "blah")
        .client_property("random_prop", 1234)
        .connection_name("the test");
    let mut session = Session::with(options);
    let queue = session.queue();
    session.publish(&queue, "body");
    assert_eq!(session.take(&queue).unwrap().body, "body");
}

#[test]
fn unacknowledged_gets_hold_their_messages_and_acknowledged_ones_are_gone() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["0", "1", "2", "3"] {
        session.publish(&queue, body);
    }
    let mut deliveries = Vec::new();
    for left in (0..4).rev() {
        let delivery = session
            .basic_get(&queue)
            .wait(&mut session)
            .unwrap()
            .unwrap();
        assert_eq!(delivery.body_str(), (3 - left).to_string());
        assert_eq!(
            (delivery.redelivered, delivery.message_count),
            (false, left)
        );
        assert_eq!(delivery.routing_key, queue);
        deliveries.push(delivery);
    }
    assert_eq!(session.basic_get(&queue).wait(&mut session).unwrap(), None);
    for delivery in deliveries {
        session.basic_ack(delivery).unwrap();
    }
    session.close().wait(&mut session).unwrap();
    session.connect().wait(&mut session).unwrap();
    assert_eq!(session.take(&queue), None);
}

#[test]
fn a_get_that_is_not_acknowledged_comes_again() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "body");
    let first = session
        .basic_get(&queue)
        .wait(&mut session)
        .unwrap()
        .unwrap();
    session.close().wait(&mut session).unwrap();
    session.connect().wait(&mut session).unwrap();
    assert!(session.take(&queue).unwrap().redelivered);
    let stale = session.basic_ack(first).unwrap_err();
    assert!(matches!(stale, Error::StaleDelivery(1)), "{stale}");
}

#[test]
fn the_delivery_mode_is_what_was_said_or_none() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "plain");
    session.basic_publish("", &queue, Message::new("persistent").persistent());
    session
        .basic_publish("", &queue, Message::new("transient").delivery_mode(1))
        .wait(&mut session)
        .unwrap();
    let modes: Vec<_> = (0..3)
        .map(|_| session.take(&queue).unwrap().properties.delivery_mode())
        .collect();
    assert_eq!(modes, [None, Some(2), Some(1)]);
}

#[test]
fn a_rejected_message_comes_again_if_asked() {
    for requeue in [Session::basic_reject_yes, Session::basic_nack_yes] {
        let mut session = Session::new();
        let queue = session.queue();
        session.publish(&queue, "a");
        let delivery = session
            .basic_get(&queue)
            .wait(&mut session)
            .unwrap()
            .unwrap();
        assert!(!delivery.redelivered);
        requeue(&mut session, delivery);
        session.wait_for_messages(&queue, 1);
        let delivery = session
            .basic_get(&queue)
            .wait(&mut session)
            .unwrap()
            .unwrap();
        assert_eq!(
            (&delivery.body[..], delivery.redelivered),
            (&b"a"[..], true)
        );
    }
}

impl Session {
    fn basic_reject_yes(&mut self, delivery: puka::Delivery) {
        self.basic_reject(delivery, Requeue::Yes).unwrap();
    }

    fn basic_nack_yes(&mut self, delivery: puka::Delivery) {
        self.basic_nack(delivery, Requeue::Yes).unwrap();
    }
}

#[test]
fn a_rejected_message_is_gone_or_goes_to_the_dead_letter_exchange() {
    let mut session = Session::new();
    let (exchange, queue) = (session.name(), session.name());
    session
        .exchange_declare(ExchangeDeclare::fanout(&exchange))
        .wait(&mut session)
        .unwrap();
    let declare = QueueDeclare::new(&queue).argument("x-dead-letter-exchange", &exchange);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let dead = session
        .queue_declare(QueueDeclare::server_named().exclusive(true))
        .wait(&mut session)
        .unwrap()
        .queue;
    session
        .queue_bind(QueueBind::new(&dead, &exchange))
        .wait(&mut session)
        .unwrap();

    for how in ["rejected", "nacked"] {
        session.publish(&queue, "a");
        let delivery = session
            .basic_get(&queue)
            .wait(&mut session)
            .unwrap()
            .unwrap();
        match how {
            "rejected" => session.basic_reject(delivery, Requeue::No).unwrap(),
            _ => session.basic_nack(delivery, Requeue::No).unwrap(),
        }
        assert_eq!(session.basic_get(&queue).wait(&mut session).unwrap(), None);
        session.wait_for_messages(&dead, 1);
        let delivery = session.take(&dead).unwrap();
        assert_eq!(delivery.body, "a");
        let Some(FieldValue::Array(deaths)) = delivery.header("x-death") else {
            panic!("{delivery:?}")
        };
        let FieldValue::Table(death) = &deaths[0] else {
            panic!("{deaths:?}")
        };
        assert_eq!(death.get("reason").unwrap().as_str(), Some("rejected"));
    }
}

#[test]
fn all_properties_and_headers_of_every_type_arrive() {
    let mut session = Session::new();
    let queue = session.queue();
    let inner = FieldTable::new()
        .with("a", "b")
        .with("c", Vec::<FieldValue>::new());
    let list: Vec<FieldValue> = vec![
        true.into(),
        1.into(),
        (-1).into(),
        FieldValue::Void,
        inner.into(),
    ];
    // By name, as RabbitMQ 4 sorts them.
    let headers = FieldTable::new()
        .with("array", list)
        .with("bool", true)
        .with(
            "bytes",
            FieldValue::Bytes(puka::Bytes::from_static(&[0, 255, 1])),
        )
        .with(
            "decimal",
            FieldValue::Decimal {
                scale: 2,
                value: 314,
            },
        )
        .with("f32", 1.5_f32)
        .with("f64", 12e10)
        .with("i16", -2_i16)
        .with("i32", -3)
        .with("i64", -4_611_686_018_427_387_904_i64)
        .with("i8", -1_i8)
        .with(
            "table",
            FieldTable::new().with("deep", FieldTable::new().with("er", 1)),
        )
        .with("text", "käse")
        .with("timestamp", FieldValue::Timestamp(1_700_000_000))
        .with("u16", 65_535_u16)
        .with("u32", u32::MAX)
        .with("u8", 255_u8)
        .with("void", FieldValue::Void);
    let message = Message::new("a")
        .content_type("a")
        .content_encoding("b")
        .headers(headers.clone())
        .delivery_mode(2)
        .priority(1)
        .correlation_id("d")
        .reply_to("e")
        .expiration("1000000")
        .message_id("g")
        .timestamp(1)
        .kind("h")
        .user_id("guest")
        .app_id("j")
        .cluster_id("k");
    session
        .basic_publish("", &queue, message.clone())
        .wait(&mut session)
        .unwrap();
    let delivery = session.take(&queue).unwrap();
    for (name, value) in headers.iter() {
        assert_eq!(delivery.header(&name), Some(value), "{name}");
    }
    assert_eq!(delivery.properties.headers().len(), headers.len());
    assert_eq!(delivery.properties, message.properties);

    // What came can be published again, properties and all.
    let again = Message::new(delivery.body).properties(delivery.properties);
    session
        .basic_publish("", &queue, again)
        .wait(&mut session)
        .unwrap();
    assert_eq!(session.take(&queue).unwrap().properties, message.properties);
}

#[test]
fn the_mark_of_a_mandatory_message_is_not_seen() {
    let mut session = Session::new();
    let queue = session.queue();
    let message = Message::new("a").header("mine", 1).mandatory(true);
    session
        .basic_publish("", &queue, message)
        .wait(&mut session)
        .unwrap();
    let delivery = session.take(&queue).unwrap();
    assert_eq!(
        delivery.properties.headers(),
        &FieldTable::new().with("mine", 1)
    );
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    let mut session = Session::new();
    let queue = session.queue();
    let frame = session.connected().unwrap().frame_max as usize - 8;
    for size in [
        0,
        1,
        4095,
        4096,
        frame - 1,
        frame,
        frame + 1,
        2 * frame,
        2 * frame + 1,
        1 << 20,
    ] {
        let body: Vec<u8> = (0..size).map(|place| (place % 251) as u8).collect();
        session
            .basic_publish("", &queue, body.clone())
            .wait(&mut session)
            .unwrap();
        let delivery = session.take(&queue).unwrap();
        assert!(
            delivery.body == body,
            "a body of {size} bytes, {} came",
            delivery.body.len()
        );
    }
}

#[test]
fn a_body_of_64_mib_arrives_where_the_broker_takes_it() {
    let mut session = Session::new();
    let queue = session.queue();
    let body = puka::Bytes::from(vec![7; 64 << 20]);
    let published = session
        .basic_publish("", &queue, body.clone())
        .wait(&mut session);
    if crate::support::version(&session) < (4, 0) {
        published.unwrap();
        assert!(session.take(&queue).unwrap().body == body);
        return;
    }
    // RabbitMQ 4 takes 16 MiB by default, and says so.
    let error = published.unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
    session.publish(&queue, "the next one goes through");
}

#[test]
fn acknowledgements_of_many_settle_all_before() {
    let mut session = Session::new();
    let queue = session.queue();
    for _ in 0..5 {
        session.publish(&queue, "a");
    }
    let consumer = session.basic_consume(&queue);
    let mut deliveries: Vec<_> = (0..5).map(|_| session.next(consumer)).collect();
    let last = deliveries.pop().unwrap();
    let fourth = deliveries.pop().unwrap();
    session.basic_ack_multiple(fourth).unwrap();
    for delivery in deliveries {
        let error = session.basic_ack(delivery).unwrap_err();
        assert!(matches!(error, Error::AlreadySettled(_)), "{error}");
    }
    session.basic_nack_multiple(last, Requeue::Yes).unwrap();
    assert!(session.next(consumer).redelivered);
    session.nothing(consumer);
}

#[test]
fn a_no_ack_delivery_cannot_be_acknowledged() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    let delivery = session.take(&queue).unwrap();
    assert!(matches!(session.basic_ack(delivery), Err(Error::NoAck(_))));
    session.publish(&queue, "the channel is unharmed");
}

#[test]
fn another_clients_delivery_is_refused() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    let delivery = session
        .basic_get(&queue)
        .wait(&mut session)
        .unwrap()
        .unwrap();
    let mut other = Session::new();
    assert!(matches!(
        other.basic_ack(delivery),
        Err(Error::ForeignPromise(_))
    ));
}

#[test]
fn the_queue_of_an_unacknowledged_get_can_be_deleted() {
    let mut session = Session::new();
    let queue = session
        .queue_declare(QueueDeclare::server_named())
        .wait(&mut session)
        .unwrap()
        .queue;
    session.publish(&queue, "a");
    let delivery = session
        .basic_get(Get::new(&queue))
        .wait(&mut session)
        .unwrap()
        .unwrap();
    session.queue_delete(&queue).wait(&mut session).unwrap();
    session.basic_ack(delivery).unwrap();
    session.close().wait(&mut session).unwrap();
}

#[test]
fn acknowledgements_get_out_with_the_next_wait_even_if_its_result_is_there() {
    // puka's issue 3.
    let mut session = Session::new();
    let queue = session.queue();
    for _ in 0..3 {
        session.publish(&queue, "x");
    }
    let consumer = session.basic_consume(&queue);
    for _ in 0..3 {
        let delivery = session.next(consumer);
        assert!(!session.needs_write(), "the last acknowledgement is out");
        session.basic_ack(delivery).unwrap();
        assert!(session.needs_write(), "this one is not");
    }
    session.close().wait(&mut session).unwrap();
    session.connect().wait(&mut session).unwrap();
    assert_eq!(session.take(&queue), None);
}

#[test]
fn acknowledgements_of_the_last_callback_get_out_with_the_end_of_the_loop() {
    let mut session = Session::new();
    let queue = session.queue();
    for _ in 0..3 {
        session.publish(&queue, "x");
    }
    let mut left = 3;
    let consumer = session.basic_consume(&queue);
    session.set_callback(consumer, move |client, _, delivery| {
        let Ok(delivery) = delivery else { return };
        client.basic_ack(delivery).unwrap();
        left -= 1;
        if left == 0 {
            client.loop_break();
        }
    });
    session.loop_timeout(LIMIT).unwrap();
    assert!(!session.needs_write());
    session.close().wait(&mut session).unwrap();
    session.connect().wait(&mut session).unwrap();
    assert_eq!(session.take(&queue), None);
}

#[test]
fn headers_nested_however_deep_come_and_go_on() {
    let mut session = Session::new();
    let queue = session.queue();
    let deep = (0..200).fold(FieldTable::new(), |inner, level| {
        FieldTable::new().with(format!("{level}"), inner)
    });
    let message = Message::new("deep").headers(deep.clone());
    session
        .basic_publish("", &queue, message)
        .wait(&mut session)
        .unwrap();
    session.publish(&queue, "plain");
    let consumer = session.basic_consume(&queue);
    for expected in [&deep, &FieldTable::new(), &deep] {
        let delivery = session.next(consumer);
        assert_eq!(delivery.properties.headers(), expected);
        if delivery.body == "deep" {
            let again = Message::new("again").properties(delivery.properties.clone());
            session
                .basic_publish("", &queue, again)
                .wait(&mut session)
                .unwrap();
        }
        session.basic_ack(delivery).unwrap();
    }
}
