//! Queues: declare, delete, purge, bind.

use puka::{Error, ExchangeDeclare, FieldTable, Message, QueueBind, QueueDeclare, QueueDelete};

use crate::support::{Session, now};

#[test]
fn a_queue_is_declared_again_only_as_it_is() {
    let mut session = Session::new();
    let queue = session.name();
    for _ in 0..2 {
        let ok = session.queue_declare(&queue).wait(&mut session).unwrap();
        assert_eq!(
            (&*ok.queue, ok.message_count, ok.consumer_count),
            (&*queue, 0, 0)
        );
    }
    for other in [
        QueueDeclare::new(&queue).auto_delete(true),
        QueueDeclare::new(&queue).durable(true),
        QueueDeclare::new(&queue).argument("x-expires", 101),
    ] {
        let error = session.queue_declare(other).wait(&mut session).unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
        assert_eq!(error.reply().unwrap().method(), Some("queue.declare"));
    }
    session.queue_declare(&queue).wait(&mut session).unwrap();
}

#[test]
fn the_broker_makes_names() {
    let mut session = Session::new();
    let first = session.queue_declare("").wait(&mut session).unwrap().queue;
    let second = session
        .queue_declare(QueueDeclare::server_named().exclusive(true))
        .wait(&mut session)
        .unwrap()
        .queue;
    assert!(!first.is_empty() && !second.is_empty() && first != second);
    session.queue_delete(&first).wait(&mut session).unwrap();
}

#[test]
fn passive_only_asks() {
    let mut session = Session::new();
    let queue = session.name();
    let passive = QueueDeclare::new(&queue).passive(true);
    let error = session
        .queue_declare(passive.clone())
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    assert_eq!(error.reply_code(), Some(404));
    session.queue_declare(&queue).wait(&mut session).unwrap();
    session.publish(&queue, "a");
    session.queue_declare(passive).wait(&mut session).unwrap();
    session.wait_for_messages(&queue, 1);
}

#[test]
fn an_exclusive_queue_is_locked_to_others_and_goes_with_its_connection() {
    let mut session = Session::new();
    let queue = session.name();
    session
        .queue_declare(QueueDeclare::new(&queue).exclusive(true))
        .wait(&mut session)
        .unwrap();
    let mut other = Session::new();
    let error = other
        .queue_declare(QueueDeclare::new(&queue).exclusive(true))
        .wait(&mut other)
        .unwrap_err();
    assert!(matches!(error, Error::ResourceLocked(_)), "{error}");
    session.close().wait(&mut session).unwrap();
    let error = other
        .queue_declare(QueueDeclare::new(&queue).passive(true))
        .wait(&mut other)
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let mut session = Session::new();
    let queue = session.name();
    session
        .queue_declare(QueueDeclare::new(&queue).auto_delete(true))
        .wait(&mut session)
        .unwrap();
    let consumer = session.basic_consume(&queue);
    session.publish(&queue, "a");
    session.next(consumer);
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    let until = now() + crate::support::LIMIT;
    loop {
        match session
            .queue_declare(QueueDeclare::new(&queue).passive(true))
            .wait(&mut session)
        {
            Err(Error::NotFound(_)) => break,
            other => assert!(now() < until, "{other:?}"),
        }
    }
}

#[test]
fn a_durable_queue_with_arguments_is_declared() {
    let mut session = Session::new();
    let queue = session.name();
    let declare = QueueDeclare::new(&queue)
        .durable(true)
        .argument("x-message-ttl", 60_000)
        .argument("x-max-length", 10)
        .argument("x-queue-type", "classic");
    session
        .queue_declare(declare.clone())
        .wait(&mut session)
        .unwrap();
    session.queue_declare(declare).wait(&mut session).unwrap();
}

#[test]
fn purge_and_delete_count_messages() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    session.wait_for_messages(&queue, 1);
    assert_eq!(session.queue_purge(&queue).wait(&mut session).unwrap(), 1);
    assert_eq!(session.queue_purge(&queue).wait(&mut session).unwrap(), 0);
    session.publish(&queue, "a");
    session.wait_for_messages(&queue, 1);
    assert_eq!(session.queue_delete(&queue).wait(&mut session).unwrap(), 1);
    // Since RabbitMQ 3.2 it is no error that there is none.
    assert_eq!(session.queue_delete(&queue).wait(&mut session).unwrap(), 0);
    let error = session.queue_purge(&queue).wait(&mut session).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn a_queue_in_use_or_not_empty_is_deleted_only_if_that_was_not_asked() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    let error = session
        .queue_delete(QueueDelete::new(&queue).if_empty(true))
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
    let consumer = session.basic_consume(&queue);
    let delivery = session.next(consumer);
    let error = session
        .queue_delete(QueueDelete::new(&queue).if_unused(true))
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
    session.basic_ack(delivery).unwrap();
    session.queue_delete(&queue).wait(&mut session).unwrap();
}

#[test]
fn a_binding_carries_messages_while_it_is_there() {
    let mut session = Session::new();
    let name = session.queue();
    session.exchange_declare(&name).wait(&mut session).unwrap();
    let binding = QueueBind::new(&name, &name).routing_key(&name);
    session
        .basic_publish(&name, &name, "a")
        .wait(&mut session)
        .unwrap();
    session
        .queue_bind(binding.clone())
        .wait(&mut session)
        .unwrap();
    session
        .basic_publish(&name, &name, "b")
        .wait(&mut session)
        .unwrap();
    session.queue_unbind(binding).wait(&mut session).unwrap();
    session
        .basic_publish(&name, &name, "c")
        .wait(&mut session)
        .unwrap();
    let delivery = session.take(&name).unwrap();
    assert_eq!((&delivery.body[..], delivery.message_count), (&b"b"[..], 0));
}

#[test]
fn bindings_to_a_headers_exchange_have_arguments() {
    let mut session = Session::new();
    let name = session.queue();
    session
        .exchange_declare(ExchangeDeclare::headers(&name))
        .wait(&mut session)
        .unwrap();
    let binding = QueueBind::new(&name, &name)
        .argument("x-match", "any")
        .argument("colour", "red");
    session.queue_bind(binding).wait(&mut session).unwrap();
    for colour in ["blue", "red"] {
        let message = Message::new(colour).headers(FieldTable::new().with("colour", colour));
        session
            .basic_publish(&name, "", message)
            .wait(&mut session)
            .unwrap();
    }
    assert_eq!(session.take(&name).unwrap().body, "red");
    assert_eq!(session.take(&name), None);
}

#[test]
fn a_binding_to_nowhere_is_not_found() {
    let mut session = Session::new();
    let queue = session.queue();
    let error = session
        .queue_bind(QueueBind::new(&queue, "puka-no-such-exchange"))
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn an_empty_queue_name_means_nobodys_queue() {
    let mut session = Session::new();
    session.queue();
    let promises = [
        session.queue_purge("").id(),
        session.queue_delete("").id(),
        session.queue_bind(QueueBind::new("", "amq.direct")).id(),
        session.queue_unbind(QueueBind::new("", "amq.direct")).id(),
        session.basic_get("").id(),
        session.basic_consume("").id(),
    ];
    for promise in promises {
        assert_eq!(session.wait_ready(&[promise]).unwrap(), promise);
    }
    let error = session.queue_purge("").wait(&mut session).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
}

#[test]
fn a_name_too_long_is_refused_at_home() {
    let mut session = Session::new();
    let long = "n".repeat(256);
    let error = session.queue_declare(&long).wait(&mut session).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(text) if text.contains("256")),
        "{error}"
    );
    let error = session
        .basic_publish(&long, "", "a")
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    let declare = QueueDeclare::new("a").argument(&long, 1);
    let error = session
        .queue_declare(declare)
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    let huge = QueueDeclare::new("a").argument("x", "v".repeat(200_000));
    let error = session.queue_declare(huge).wait(&mut session).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    let queue = session.name();
    session.queue_declare(&queue).wait(&mut session).unwrap();
}
