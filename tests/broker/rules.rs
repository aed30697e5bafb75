//! What RabbitMQ does with messages: where they go, in which order, and what becomes of those that a queue does not keep.

use std::time::Duration;

use puka::{
    Consume, Delivery, Error, ExchangeBind, ExchangeDeclare, FieldTable, FieldValue, Message,
    QueueBind, QueueDeclare, Requeue,
};

use crate::support::{Session, is_rabbitmq_3};

fn exchange(session: &mut Session, declare: impl FnOnce(&str) -> ExchangeDeclare) -> String {
    let name = session.name();
    let declared = session.exchange_declare(declare(&name));
    session.wait(declared).unwrap();
    name
}

/// A queue with arguments.
fn queue(session: &mut Session, arguments: &[(&'static str, FieldValue)]) -> String {
    let name = session.name();
    let arguments: FieldTable = arguments.iter().cloned().collect();
    let declared = session.queue_declare(QueueDeclare::new(&name).arguments(arguments));
    session.wait(declared).unwrap();
    name
}

fn bind(session: &mut Session, queue: &str, exchange: &str, key: &str) {
    let bound = session.queue_bind(QueueBind::new(queue, exchange).routing_key(key));
    session.wait(bound).unwrap();
}

fn publish(session: &mut Session, exchange: &str, key: &str, message: impl Into<Message>) {
    let published = session.basic_publish(exchange, key, message);
    session.wait(published).unwrap();
}

/// The bodies that a queue has when it has that many, with a blank between.
fn bodies(session: &mut Session, queue: &str, count: u32) -> String {
    session.wait_for_messages(queue, count);
    let bodies = (0..count).map(|_| session.take(queue).unwrap().body_str().into_owned());
    bodies.collect::<Vec<_>>().join(" ")
}

fn text(text: &str) -> FieldValue {
    FieldValue::from(text)
}

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

#[test]
fn topics_have_words_and_jokers() {
    let mut session = Session::new();
    let exchange = exchange(&mut session, |name| ExchangeDeclare::topic(name));
    let patterns = [
        "a.b", "a.*", "#", "a.#", "#.c", "*.*.c", "a.#.c", "", "*", "#.b.#",
    ];
    let queues: Vec<_> = patterns
        .iter()
        .map(|pattern| {
            let queue = session.queue();
            bind(&mut session, &queue, &exchange, pattern);
            queue
        })
        .collect();
    let keys = ["a.b", "a", "a.b.c", "", "a..c", "b", "a.c", "x.b.y.c"];
    for key in keys {
        publish(&mut session, &exchange, key, format!("<{key}>"));
    }
    let expected = [
        "<a.b>",
        "<a.b> <a.c>",
        "<a.b> <a> <a.b.c> <> <a..c> <b> <a.c> <x.b.y.c>",
        "<a.b> <a> <a.b.c> <a..c> <a.c>",
        "<a.b.c> <a..c> <a.c> <x.b.y.c>",
        "<a.b.c> <a..c>",
        "<a.b.c> <a..c> <a.c>",
        "<>",
        "<a> <b>",
        "<a.b> <a.b.c> <b> <x.b.y.c>",
    ];
    for ((pattern, queue), expected) in patterns.iter().zip(&queues).zip(expected) {
        let count = expected.split(' ').count() as u32;
        assert_eq!(bodies(&mut session, queue, count), expected, "{pattern}");
    }
}

#[test]
fn headers_match_all_or_any_of_them() {
    let mut session = Session::new();
    let exchange = exchange(&mut session, |name| ExchangeDeclare::headers(name));
    let bind = |session: &mut Session, arguments: &[(&'static str, FieldValue)]| {
        let queue = session.queue();
        let mut binding = QueueBind::new(&queue, &exchange);
        for (name, value) in arguments {
            binding = binding.argument(*name, value.clone());
        }
        let bound = session.queue_bind(binding);
        session.wait(bound).unwrap();
        queue
    };
    let (x, y) = (("a", FieldValue::I32(1)), ("b", text("two")));
    let all = bind(&mut session, &[x.clone(), y.clone()]);
    let explicit = bind(
        &mut session,
        &[("x-match", text("all")), x.clone(), y.clone()],
    );
    let any = bind(
        &mut session,
        &[("x-match", text("any")), x.clone(), y.clone()],
    );
    let there = bind(&mut session, &[("a", FieldValue::Void)]);
    let messages = [
        Message::new("both").header("a", 1).header("b", "two"),
        Message::new("one").header("a", 1),
        Message::new("other").header("a", 2).header("b", "two"),
        Message::new("none").header("c", 1),
    ];
    for message in messages {
        publish(&mut session, &exchange, "", message);
    }
    assert_eq!(bodies(&mut session, &all, 1), "both");
    assert_eq!(bodies(&mut session, &explicit, 1), "both");
    assert_eq!(bodies(&mut session, &any, 3), "both one other");
    assert_eq!(bodies(&mut session, &there, 3), "both one other");
}

#[test]
fn what_no_binding_takes_goes_to_the_alternate_exchange() {
    let mut session = Session::new();
    let other = exchange(&mut session, |name| ExchangeDeclare::fanout(name));
    let first = exchange(&mut session, |name| {
        ExchangeDeclare::direct(name).argument("alternate-exchange", other.as_str())
    });
    let (taken, rest) = (session.queue(), session.queue());
    bind(&mut session, &taken, &first, "k");
    bind(&mut session, &rest, &other, "");
    publish(&mut session, &first, "k", Message::new("1").mandatory(true));
    publish(
        &mut session,
        &first,
        "else",
        Message::new("2").mandatory(true),
    );
    session.wait_for_messages(&taken, 1);
    let delivery = session.take(&rest).unwrap();
    assert_eq!((&*delivery.body_str(), &*delivery.exchange), ("2", &*first));
    let unbound = session.queue_unbind(QueueBind::new(&rest, &other));
    session.wait(unbound).unwrap();
    let lost = session.basic_publish(&first, "else", Message::new("3").mandatory(true));
    let error = session.wait(lost).unwrap_err();
    assert!(matches!(error, Error::NoRoute(_)), "{error}");
}

#[test]
fn a_queue_gets_a_message_once_by_however_many_ways() {
    let mut session = Session::new();
    let (first, left, right) = (
        exchange(&mut session, |name| ExchangeDeclare::topic(name)),
        exchange(&mut session, |name| ExchangeDeclare::fanout(name)),
        exchange(&mut session, |name| ExchangeDeclare::fanout(name)),
    );
    let queue = session.queue();
    for exchange in [&left, &right] {
        let bound = session.exchange_bind(ExchangeBind::new(exchange, &first).routing_key("#"));
        session.wait(bound).unwrap();
        bind(&mut session, &queue, exchange, "");
    }
    // In a circle, too.
    let bound = session.exchange_bind(ExchangeBind::new(&first, &left));
    session.wait(bound).unwrap();
    bind(&mut session, &queue, &first, "a.*");
    bind(&mut session, &queue, &first, "*.b");
    let message =
        Message::new("once").header("CC", FieldValue::Array(vec![text(&queue), text("a.b")]));
    publish(&mut session, &first, "a.b", message);
    publish(&mut session, "", &queue, "last");
    assert_eq!(bodies(&mut session, &queue, 2), "once last");
}

#[test]
fn copies_go_to_whom_cc_and_bcc_name() {
    let mut session = Session::new();
    let queues = [session.queue(), session.queue(), session.queue()];
    let message = Message::new("x")
        .header("CC", FieldValue::Array(vec![text(&queues[1])]))
        .header("BCC", FieldValue::Array(vec![text(&queues[2])]));
    publish(&mut session, "", &queues[0], message);
    for queue in &queues {
        session.wait_for_messages(queue, 1);
        let delivery = session.take(queue).unwrap();
        assert!(delivery.header("CC").is_some() && delivery.header("BCC").is_none());
        assert_eq!(delivery.routing_key, queues[0].as_str());
    }
    let wrong = session.basic_publish("", &queues[0], Message::new("x").header("CC", 5));
    let error = session.wait(wrong).unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
}

#[test]
fn a_full_queue_drops_its_oldest_and_they_are_dead_letters() {
    let mut session = Session::new();
    let dead = session.queue();
    let arguments = [
        ("x-max-length", FieldValue::I32(2)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(&dead)),
    ];
    let full = queue(&mut session, &arguments);
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
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&dead)),
        ];
        let full = queue(&mut session, &arguments);
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
    let arguments = [
        ("x-message-ttl", FieldValue::I32(30)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(&dead)),
    ];
    let brief = queue(&mut session, &arguments);
    let lasting = queue(&mut session, &arguments[1..]);
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
fn a_queue_that_nobody_uses_expires() {
    let mut session = Session::new();
    let brief = queue(&mut session, &[("x-expires", FieldValue::I32(100))]);
    let consumer = session.basic_consume(&brief);
    session.sleep(Duration::from_millis(300)).unwrap();
    publish(&mut session, "", &brief, Message::new("x").mandatory(true));
    let delivery = session.next(consumer);
    session.basic_ack(delivery).unwrap();
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    session.sleep(Duration::from_millis(300)).unwrap();
    let lost = session.basic_publish("", &brief, Message::new("x").mandatory(true));
    let error = session.wait(lost).unwrap_err();
    assert!(matches!(error, Error::NoRoute(_)), "{error}");
}

#[test]
fn a_higher_priority_comes_first() {
    let mut session = Session::new();
    let queue = queue(&mut session, &[("x-max-priority", FieldValue::I32(5))]);
    let messages = [
        ("a", Some(1)),
        ("b", None),
        ("c", Some(5)),
        ("d", Some(9)),
        ("e", Some(1)),
    ];
    for (body, priority) in messages {
        let message = Message::new(body);
        let message = match priority {
            Some(priority) => message.priority(priority),
            None => message,
        };
        publish(&mut session, "", &queue, message);
    }
    assert_eq!(bodies(&mut session, &queue, 5), "c d a e b");
}

#[test]
fn what_is_given_back_comes_again_in_its_place() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["1", "2", "3", "4"] {
        session.publish(&queue, body);
    }
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(2));
    let (one, two) = (session.next(consumer), session.next(consumer));
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    session.basic_reject(two, Requeue::Yes).unwrap();
    session.basic_nack(one, Requeue::Yes).unwrap();
    session.wait_for_messages(&queue, 4);
    let seen: Vec<_> = (0..4)
        .map(|_| {
            let delivery = session.take(&queue).unwrap();
            (delivery.body_str().into_owned(), delivery.redelivered)
        })
        .collect();
    let seen: Vec<_> = seen.iter().map(|(body, again)| (&**body, *again)).collect();
    assert_eq!(seen, [("1", true), ("2", true), ("3", false), ("4", false)]);
}

#[test]
fn consumers_take_turns() {
    let mut session = Session::new();
    let queue = session.queue();
    let consumers = [0, 1].map(|_| {
        let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(10));
        let declared = session.queue_declare(&queue);
        session.wait(declared).unwrap();
        consumer
    });
    while session
        .queue_declare(&queue)
        .wait(&mut session)
        .unwrap()
        .consumer_count
        < 2
    {}
    for body in ["1", "2", "3", "4"] {
        session.publish(&queue, body);
    }
    for (index, consumer) in consumers.into_iter().enumerate() {
        let bodies = [0, 1].map(|_| session.next(consumer).body_str().into_owned());
        let expected = [["1", "3"], ["2", "4"]];
        assert_eq!(bodies, expected[index]);
        session.nothing(consumer);
    }
}

#[test]
fn an_exchange_that_deletes_itself_goes_with_its_last_binding() {
    let mut session = Session::new();
    let queue = session.queue();
    let exchange = exchange(&mut session, |name| {
        ExchangeDeclare::fanout(name).auto_delete(true)
    });
    for _ in 0..2 {
        publish(
            &mut session,
            &exchange,
            "",
            "nobody is bound yet, and it is there",
        );
    }
    bind(&mut session, &queue, &exchange, "");
    publish(&mut session, &exchange, "", "bound");
    assert_eq!(bodies(&mut session, &queue, 1), "bound");
    let unbound = session.queue_unbind(QueueBind::new(&queue, &exchange));
    session.wait(unbound).unwrap();
    let passive = session.exchange_declare(ExchangeDeclare::fanout(&exchange).passive(true));
    let error = session.wait(passive).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn who_publishes_is_who_he_says() {
    let mut session = Session::new();
    let queue = session.queue();
    publish(&mut session, "", &queue, Message::new("x").user_id("guest"));
    let delivery = session.take(&queue).unwrap();
    assert_eq!(delivery.properties.user_id(), Some("guest"));
    let lie = session.basic_publish("", &queue, Message::new("x").user_id("somebody"));
    let error = session.wait(lie).unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
}
