//! Exchanges: declare, delete, bind.

use puka::{Error, ExchangeBind, ExchangeDeclare, ExchangeDelete, QueueBind, QueueDeclare};

use crate::support::Session;

#[test]
fn an_exchange_is_declared_again_only_as_it_is() {
    let mut session = Session::new();
    let name = session.name();
    session.exchange_declare(&name).wait(&mut session).unwrap();
    session
        .exchange_declare(ExchangeDeclare::direct(&name))
        .wait(&mut session)
        .unwrap();
    let error = session
        .exchange_declare(ExchangeDeclare::fanout(&name))
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
    session.exchange_delete(&name).wait(&mut session).unwrap();
    // Since RabbitMQ 3.2 it is no error that there is none.
    session.exchange_delete(&name).wait(&mut session).unwrap();
}

#[test]
fn every_option_of_an_exchange_is_heard() {
    let mut session = Session::new();
    let (name, alternate) = (session.name(), session.name());
    let passive = ExchangeDeclare::direct(&name).passive(true);
    let error = session
        .exchange_declare(passive.clone())
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");

    session
        .exchange_declare(ExchangeDeclare::fanout(&alternate))
        .wait(&mut session)
        .unwrap();
    let declare = ExchangeDeclare::with_kind(&name, "topic")
        .durable(true)
        .auto_delete(true)
        .internal(true)
        .argument("alternate-exchange", &alternate);
    session
        .exchange_declare(declare.clone())
        .wait(&mut session)
        .unwrap();
    session
        .exchange_declare(declare)
        .wait(&mut session)
        .unwrap();
    session
        .exchange_declare(passive)
        .wait(&mut session)
        .unwrap();
    for other in [
        ExchangeDeclare::topic(&name)
            .auto_delete(true)
            .internal(true),
        ExchangeDeclare::topic(&name).durable(true).internal(true),
        ExchangeDeclare::topic(&name)
            .durable(true)
            .auto_delete(true),
    ] {
        let error = session
            .exchange_declare(other)
            .wait(&mut session)
            .unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
    }
    let error = session
        .basic_publish(&name, "", "a")
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
}

#[test]
fn an_exchange_in_use_is_deleted_only_if_that_was_not_asked() {
    let mut session = Session::new();
    let name = session.queue();
    session.exchange_declare(&name).wait(&mut session).unwrap();
    session
        .queue_bind(QueueBind::new(&name, &name))
        .wait(&mut session)
        .unwrap();
    let error = session
        .exchange_delete(ExchangeDelete::new(&name).if_unused(true))
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
    session.exchange_delete(&name).wait(&mut session).unwrap();
}

/// Older brokers close the connection for it, newer ones do not.
#[test]
fn an_exchange_of_an_unknown_type_is_refused() {
    let mut session = Session::new();
    let name = session.name();
    let error = session
        .exchange_declare(ExchangeDeclare::with_kind(&name, "x-none"))
        .wait(&mut session)
        .unwrap_err();
    match error {
        Error::PreconditionFailed(_) => assert!(session.is_connected()),
        Error::CommandInvalid(_) => assert!(!session.is_connected()),
        error => panic!("{error}"),
    }
}

#[test]
fn a_binding_between_exchanges_carries_messages_while_it_is_there() {
    let mut session = Session::new();
    let (source, destination) = (session.name(), session.name());
    session
        .exchange_declare(ExchangeDeclare::fanout(&source))
        .wait(&mut session)
        .unwrap();
    session
        .exchange_declare(ExchangeDeclare::fanout(&destination))
        .wait(&mut session)
        .unwrap();
    let queue = session
        .queue_declare(QueueDeclare::server_named().exclusive(true))
        .wait(&mut session)
        .unwrap()
        .queue;
    session
        .queue_bind(QueueBind::new(&queue, &destination))
        .wait(&mut session)
        .unwrap();

    let binding = ExchangeBind::new(&destination, &source)
        .routing_key("")
        .argument("x-any", 1);
    session
        .basic_publish(&source, "", "a")
        .wait(&mut session)
        .unwrap();
    session
        .exchange_bind(binding.clone())
        .wait(&mut session)
        .unwrap();
    session
        .basic_publish(&source, "", "b")
        .wait(&mut session)
        .unwrap();
    session.exchange_unbind(binding).wait(&mut session).unwrap();
    session
        .basic_publish(&source, "", "c")
        .wait(&mut session)
        .unwrap();
    assert_eq!(session.take(&queue).unwrap().body, "b");
    assert_eq!(session.take(&queue), None);
}
