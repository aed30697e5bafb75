//! Nodes with plugins, with settings that few have, and clusters of several.

use std::time::Duration;

use puka::{
    ClientOptions, Consume, ConsumeMulti, Error, ExchangeDeclare, Message, QueueBind, QueueDeclare,
};

use crate::auth::connect;
use crate::recovery::{events, wait_for_restoration};
use crate::restored::{goes_on, options, running};
use crate::support::{Broker, Session, is_rabbitmq_3, now, version};

#[test]
fn a_late_acknowledgement_ends_its_consumer_and_says_why() {
    let broker = Broker::start(&["consumer_timeout = 1000"]);
    // The broker looks once a minute, unless it is told otherwise before the connection.
    broker.ctl(&[
        "eval",
        "application:set_env(rabbit, channel_tick_interval, 1000).",
    ]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    // Since RabbitMQ 4.3 only quorum queues have such a limit, and only the consumer ends, not its channel.
    let (slow, other) = (session.name(), session.queue());
    let declare = QueueDeclare::new(&slow)
        .durable(true)
        .argument("x-queue-type", "quorum");
    session.queue_declare(declare).wait(&mut session).unwrap();
    session.publish(&slow, "a");
    let consumer = session.basic_consume(Consume::new(&slow).prefetch_count(10));
    let innocent = session.basic_consume(&other);
    let delivery = session.next(consumer);
    let error = session
        .wait_timeout(consumer, Duration::from_secs(150))
        .unwrap_err();
    match error {
        Error::PreconditionFailed(_) => {
            let error = session.basic_ack(delivery).unwrap_err();
            assert!(matches!(error, Error::StaleDelivery(_)), "{error}");
        }
        Error::Cancelled(_) => drop(delivery),
        error => panic!("{error}"),
    }
    session.publish(&other, "b");
    assert_eq!(session.next(innocent).body, "b");
    session.wait_for_messages(&slow, 1);
    assert!(session.take(&slow).unwrap().redelivered);
}

#[test]
fn where_deprecated_features_are_denied_the_client_does_without() {
    if is_rabbitmq_3() {
        return; // RabbitMQ 3 has no such settings.
    }
    let broker = Broker::start(&[
        "deprecated_features.permit.transient_nonexcl_queues = false",
        "deprecated_features.permit.global_qos = false",
    ]);
    let mut session = Session::at(&broker.url, ClientOptions::new());
    let error = session
        .queue_declare("transient")
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InternalError(_)), "{error}");
    // The name of the setting is in the broker's text, and the cure in the hint.
    let hint = error.reply().unwrap().hint();
    assert!(
        hint.is_some_and(|hint| hint.contains("durable(true)")),
        "{error}"
    );

    session.connect().wait(&mut session).unwrap();
    assert!(version(&session) >= (4, 0));
    let (one, two) = (session.name(), session.name());
    for queue in [&one, &two] {
        session
            .queue_declare(QueueDeclare::new(queue).durable(true))
            .wait(&mut session)
            .unwrap();
        session.publish(queue, "a");
    }
    session
        .queue_declare(QueueDeclare::server_named().exclusive(true))
        .wait(&mut session)
        .unwrap();
    // A shared prefetch needs nothing of the broker.
    let consumer = session.basic_consume_multi(ConsumeMulti::new([&one, &two]).prefetch_count(1));
    let first = session.next(consumer);
    session.nothing(consumer);
    session.basic_qos(consumer, 2).wait(&mut session).unwrap();
    session.next(consumer);
    session.basic_ack(first).unwrap();
}

#[test]
fn an_exchange_whose_type_has_gone_is_reported_and_the_rest_is_there() {
    let broker = Broker::start_with(&[], "rabbitmq_consistent_hash_exchange");
    let mut session = Session::at(&broker.url, options());
    let told = events(&mut session);
    let (queue, consumer) = running(&mut session);
    let (odd, plain) = (session.name(), session.name());
    let declare = ExchangeDeclare::with_kind(&odd, "x-consistent-hash");
    session
        .exchange_declare(declare)
        .wait(&mut session)
        .unwrap();
    let declare = ExchangeDeclare::fanout(&plain).auto_delete(true);
    session
        .exchange_declare(declare)
        .wait(&mut session)
        .unwrap();
    let binding = QueueBind::new(&queue, &plain);
    session.queue_bind(binding).wait(&mut session).unwrap();
    broker.eval("rabbit_registry:unregister(exchange, <<\"x-consistent-hash\">>).");
    broker.eval("rabbit_networking:close_all_connections(\"a test\").");
    let restored = wait_for_restoration(&mut session, &told);
    let names: Vec<_> = restored.failed.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&format!("exchange {odd:?}")], "{restored:?}");
    goes_on(&mut session, &queue, consumer);
    let publish = session.basic_publish(&plain, "", "bound");
    session.wait(publish).unwrap();
    assert_eq!(session.next(consumer).body, "bound");
}

#[test]
fn a_transient_queue_where_those_are_refused_fails_alone_and_says_why() {
    if is_rabbitmq_3() {
        return; // RabbitMQ 3 has no such setting.
    }
    let broker = Broker::start(&["deprecated_features.permit.transient_nonexcl_queues = false"]);
    let mut session = Session::at(&broker.url, options());
    let told = events(&mut session);
    let queue = session.name();
    let declare = QueueDeclare::new(&queue).durable(true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    goes_on(&mut session, &queue, consumer);
    let error = session
        .queue_declare("transient")
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::InternalError(_)), "{error}");
    assert!(error.to_string().contains("durable(true)"), "{error}");
    wait_for_restoration(&mut session, &told);
    goes_on(&mut session, &queue, consumer);
}

/// A classic queue is on one node. While that restarts, the other node has many words for its absence.
#[test]
fn what_is_on_a_node_that_restarts_is_there_again_when_the_node_is() {
    let first = Broker::start(&[]);
    let second = Broker::join(&first);
    let mut session = Session::at(&second.url, options().hosts([first.host()]));
    let told = events(&mut session);
    let queue = session.name();
    let declare = QueueDeclare::new(&queue).durable(true);
    session.queue_declare(declare).wait(&mut session).unwrap();
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(1));
    goes_on(&mut session, &queue, consumer);
    let restart = std::thread::spawn(move || {
        second.restart();
        second
    });
    // Over the first node, which knows of the queue and does not have it.
    wait_for_restoration(&mut session, &told);
    let message = Message::new("goes on").persistent().mandatory(true);
    let publish = session.basic_publish("", &queue, message);
    session.wait(publish).unwrap();
    let delivery = session.next(consumer);
    assert_eq!(delivery.body, "goes on");
    session.basic_ack(delivery).unwrap();
    let second = restart.join().unwrap();
    drop(session);
    drop(second);
}

/// A broker that takes JSON web tokens, signed with a key that only it knows.
fn broker_of_tokens() -> Broker {
    let conf = ["auth_backends.1 = rabbit_auth_backend_oauth2"];
    let broker = Broker::start_with(&conf, "rabbitmq_auth_backend_oauth2");
    broker.eval(
        "application:set_env(rabbitmq_auth_backend_oauth2, resource_server_id, <<\"rabbitmq\">>), \
         application:set_env(rabbitmq_auth_backend_oauth2, key_config, [{default_key, <<\"k\">>}, {signing_keys, \
         #{<<\"k\">> => {map, #{<<\"kty\">> => <<\"oct\">>, <<\"alg\">> => <<\"HS256\">>, <<\"k\">> => \
         base64:encode(<<\"secret\">>)}}}}]).",
    );
    broker
}

/// A token that lasts for so many seconds.
fn token(broker: &Broker, seconds: u32) -> String {
    let made = broker.eval(&format!(
        "E = fun(B) -> B1 = binary:replace(base64:encode(B), <<\"+\">>, <<\"-\">>, [global]), B2 = binary:replace(B1, \
         <<\"/\">>, <<\"_\">>, [global]), binary:replace(B2, <<\"=\">>, <<>>, [global]) end, \
         X = integer_to_binary(os:system_time(second) + {seconds}), \
         H = E(<<\"{{\\\"alg\\\":\\\"HS256\\\",\\\"kid\\\":\\\"k\\\",\\\"typ\\\":\\\"JWT\\\"}}\">>), \
         P = E(<<\"{{\\\"aud\\\":[\\\"rabbitmq\\\"],\\\"sub\\\":\\\"me\\\",\\\"scope\\\":[\\\"rabbitmq.read:*/*\\\",\
         \\\"rabbitmq.write:*/*\\\",\\\"rabbitmq.configure:*/*\\\"],\\\"exp\\\":\", X/binary, \"}}\">>), \
         S = E(crypto:mac(hmac, sha256, <<\"secret\">>, <<H/binary, \".\", P/binary>>)), \
         binary_to_list(<<H/binary, \".\", P/binary, \".\", S/binary>>)."
    ));
    // {ok, "the token"}
    made.split('"').nth(1).expect("a token").to_owned()
}

#[test]
fn a_token_that_expires_is_renewed() {
    let broker = broker_of_tokens();
    let url = |token: &str| {
        broker
            .url
            .replace("amqp://", &format!("amqp://me:{token}@"))
    };
    let brief = token(&broker, 6);
    let mut renewed = connect(&url(&brief), ClientOptions::new()).unwrap();
    let mut neglected = connect(&url(&brief), ClientOptions::new()).unwrap();
    let update = renewed.update_secret(token(&broker, 3600), "the old one expires");
    renewed.wait(update).unwrap();
    // Once it has expired the broker refuses whatever the other one asks for.
    let until = now() + crate::support::LIMIT;
    let mut asked = 0;
    let error = loop {
        asked += 1;
        let name = format!("asked-{asked}");
        if let Err(error) = neglected.queue_declare(name).wait(&mut neglected) {
            break error;
        }
        assert!(now() < until, "it does not expire");
        neglected
            .sleep(std::time::Duration::from_millis(100))
            .unwrap();
    };
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    let _ = neglected.close().wait(&mut neglected);
    renewed.queue_declare("mine").wait(&mut renewed).unwrap();
    // Later logins use the new one.
    renewed.close().wait(&mut renewed).unwrap();
    renewed.connect().wait(&mut renewed).unwrap();
    let error = neglected.connect().wait(&mut neglected).unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    assert!(!format!("{renewed:?} {error}").contains(&brief));
}
