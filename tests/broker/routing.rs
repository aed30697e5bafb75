//! Where RabbitMQ sends a message: to which queues, and how often.

use puka::{Error, ExchangeBind, ExchangeDeclare, FieldValue, Message, QueueBind};

use crate::rules::{bind, bodies, exchange, publish, text};
use crate::support::Session;

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
fn a_header_may_be_looked_at_that_is_not_the_programs() {
    let mut session = Session::new();
    let exchange = exchange(&mut session, |name| ExchangeDeclare::headers(name));
    let bind = |session: &mut Session, kind: &str| {
        let queue = session.queue();
        let binding = QueueBind::new(&queue, &exchange)
            .argument("x-match", kind)
            .argument("x-mine", 1)
            .argument("a", 1);
        let bound = session.queue_bind(binding);
        session.wait(bound).unwrap();
        queue
    };
    let kinds = ["all", "all-with-x", "any", "any-with-x"];
    let queues = kinds.map(|kind| bind(&mut session, kind));
    let messages = [
        Message::new("a").header("a", 1),
        Message::new("x").header("x-mine", 1),
        Message::new("ax").header("a", 1).header("x-mine", 1),
        Message::new("other").header("a", 2).header("x-mine", 2),
    ];
    for message in messages {
        publish(&mut session, &exchange, "", message);
    }
    for (queue, expected) in queues.iter().zip(["a ax", "ax", "a ax", "a x ax"]) {
        let count = expected.split(' ').count() as u32;
        assert_eq!(bodies(&mut session, queue, count), expected);
    }
}

#[test]
fn bindings_go_with_what_they_bind() {
    let mut session = Session::new();
    let first = exchange(&mut session, |name| ExchangeDeclare::fanout(name));
    let second = exchange(&mut session, |name| ExchangeDeclare::fanout(name));
    let kept = session.queue();
    bind(&mut session, &kept, &second, "");
    let bound = session.exchange_bind(ExchangeBind::new(&second, &first));
    session.wait(bound).unwrap();
    publish(&mut session, &first, "", "1");
    assert_eq!(bodies(&mut session, &kept, 1), "1");
    session.exchange_delete(&second).wait(&mut session).unwrap();
    let declared = session.exchange_declare(ExchangeDeclare::fanout(&second));
    session.wait(declared).unwrap();
    let mut lost = |exchange: &str| {
        let publish = session.basic_publish(exchange, "", Message::new("x").mandatory(true));
        let error = session.wait(publish).unwrap_err();
        let Error::NoRoute(returned) = &error else {
            panic!("{error}");
        };
        assert_eq!(
            (returned.reply_code, &*returned.reply_text),
            (312, "NO_ROUTE")
        );
    };
    lost(&first);
    lost(&second);
    bind(&mut session, &kept, &first, "");
    session.queue_delete(&kept).wait(&mut session).unwrap();
    let declared = session.queue_declare(&kept);
    session.wait(declared).unwrap();
    let publish = session.basic_publish(&first, "", Message::new("x").mandatory(true));
    let error = session.wait(publish).unwrap_err();
    assert!(matches!(error, Error::NoRoute(_)), "{error}");
    // To take away what is not there is no error.
    let unbound = session.queue_unbind(QueueBind::new(&kept, &first));
    session.wait(unbound).unwrap();
}

#[test]
fn an_alternate_exchange_that_is_not_there_takes_nothing() {
    let mut session = Session::new();
    let first = exchange(&mut session, |name| {
        ExchangeDeclare::direct(name).argument("alternate-exchange", "puka-nowhere")
    });
    publish(&mut session, &first, "k", "dropped");
    let lost = session.basic_publish(&first, "k", Message::new("x").mandatory(true));
    let error = session.wait(lost).unwrap_err();
    assert!(matches!(error, Error::NoRoute(_)), "{error}");
}
