//! Publishing and what becomes of it: with confirms found out, insisted on, and emulated.

use puka::{ClientOptions, Error, Message, QueueDeclare};

use crate::support::{LIMIT, Session};

/// A session for each way of confirming.
fn each(test: impl Fn(Session)) {
    test(Session::new());
    test(Session::with(ClientOptions::new().pubacks(true)));
    test(Session::with(ClientOptions::new().pubacks(false)));
}

#[test]
fn confirms_are_found_out() {
    let mut session = Session::new();
    assert!(
        session
            .connected()
            .unwrap()
            .has_capability("publisher_confirms")
    );
    assert!(session.connected().unwrap().pubacks);
    session.close().wait(&mut session).unwrap();
    let session = Session::with(ClientOptions::new().pubacks(false));
    assert!(!session.connected().unwrap().pubacks);
}

#[test]
fn a_message_goes_round_in_each_way() {
    each(|mut session| {
        let queue = session.queue();
        session.publish(&queue, "body");
        let consumer = session.basic_consume(&queue);
        let delivery = session.next(consumer);
        assert_eq!(delivery.body, "body");
        assert!(delivery.properties.headers().is_empty(), "{delivery:?}");
        session.basic_ack(delivery).unwrap();
        session.nothing(consumer);
        assert_eq!(session.queue_delete(&queue).wait(&mut session).unwrap(), 0);
    });
}

#[test]
fn a_get_finds_what_was_published_in_each_way() {
    each(|mut session| {
        let queue = session.queue();
        session.publish(&queue, "body");
        let delivery = session
            .basic_get(&queue)
            .wait(&mut session)
            .unwrap()
            .unwrap();
        assert_eq!(delivery.body, "body");
        session.basic_ack(delivery).unwrap();
        assert_eq!(session.basic_get(&queue).wait(&mut session).unwrap(), None);
    });
}

#[test]
fn a_mandatory_message_that_no_queue_takes_comes_back_in_each_way() {
    each(|mut session| {
        let nowhere = crate::support::unique("nowhere");
        let message = Message::new("body")
            .header("mine", 1)
            .correlation_id("c")
            .mandatory(true);
        match session
            .basic_publish("", &nowhere, message)
            .wait(&mut session)
        {
            Err(Error::NoRoute(returned)) => {
                assert_eq!(
                    (returned.reply_code, &*returned.routing_key),
                    (312, &*nowhere)
                );
                assert_eq!(returned.body, "body");
                assert_eq!(returned.properties.correlation_id(), Some("c"));
                assert_eq!(returned.properties.headers().to_string(), r#"{"mine": 1}"#);
            }
            other => panic!("{other:?}"),
        }
        // Neither is mandatory, or both find a queue: no error.
        session
            .basic_publish("", &nowhere, "body")
            .wait(&mut session)
            .unwrap();
        let queue = session.queue();
        session
            .basic_publish("", &queue, Message::new("body").mandatory(true))
            .wait(&mut session)
            .unwrap();
    });
}

#[test]
fn each_return_finds_its_publish() {
    each(|mut session| {
        let queue = session.queue();
        let publishes: Vec<_> = (0..200)
            .map(|number| {
                let key = if number % 3 == 0 {
                    "puka-nowhere"
                } else {
                    &queue
                };
                let message = Message::new(format!("{number}")).mandatory(number % 2 == 0);
                session.basic_publish("", key, message)
            })
            .collect();
        for (number, publish) in publishes.into_iter().enumerate() {
            match session.wait(publish) {
                Ok(()) => assert!(number % 3 != 0 || number % 2 != 0, "{number}"),
                Err(Error::NoRoute(returned)) => assert_eq!(returned.body, number.to_string()),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn one_refused_publish_fails_alone_and_later_ones_arrive() {
    each(|mut session| {
        let queue = session.queue();
        for _ in 0..2 {
            let first = session.basic_publish("", &queue, "first");
            session.wait(first).unwrap();
            let wrong = session.basic_publish("puka-wrong-exchange", "", "wrong");
            let later: Vec<_> = (0..50)
                .map(|_| session.basic_publish("", &queue, "later"))
                .collect();
            let error = session.wait(wrong).unwrap_err();
            assert!(
                matches!(&error, Error::NotFound(reply) if reply.code == 404),
                "{error}"
            );
            session.wait_for_all(&later).unwrap();
            session.wait_for_messages(&queue, 51);
            assert_eq!(session.take(&queue).unwrap().body, "first");
            assert_eq!(session.queue_purge(&queue).wait(&mut session).unwrap(), 50);
        }
    });
}

#[test]
fn publishes_before_a_refused_one_never_claim_what_is_not_known() {
    each(|mut session| {
        let queue = session.queue();
        let earlier: Vec<_> = (0..50)
            .map(|_| session.basic_publish("", &queue, "earlier"))
            .collect();
        let wrong = session.basic_publish("puka-wrong-exchange", "", "wrong");
        let later = session.basic_publish("", &queue, "later");
        assert!(matches!(session.wait(wrong), Err(Error::NotFound(_))));
        session.wait(later).unwrap();
        for publish in earlier {
            match session.wait(publish) {
                Ok(()) => {}
                Err(Error::OutcomeUnknown(cause)) => assert!(matches!(*cause, Error::NotFound(_))),
                Err(error) => panic!("{error}"),
            }
        }
        // All were taken, whatever was confirmed; and none twice.
        session.wait_for_messages(&queue, 51);
    });
}

#[test]
fn without_resending_later_publishes_say_that_they_were_not_sent() {
    let mut session = Session::with(ClientOptions::new().resend(false));
    let queue = session.queue();
    let wrong = session.basic_publish("puka-wrong-exchange", "", "wrong");
    let later = session.basic_publish("", &queue, "later");
    assert!(matches!(session.wait(wrong), Err(Error::NotFound(_))));
    match session.wait(later) {
        Err(Error::NotSent(cause)) => assert!(matches!(*cause, Error::NotFound(_))),
        other => panic!("{other:?}"),
    }
    session.publish(&queue, "after");
    session.wait_for_messages(&queue, 1);
}

#[test]
fn many_refused_publishes_all_fail_and_the_others_arrive() {
    each(|mut session| {
        let queue = session.queue();
        let publishes: Vec<_> = (0..60)
            .map(|number| match number % 6 {
                3 | 5 => session.basic_publish(format!("puka-wrong-{number}"), "", "wrong"),
                _ => session.basic_publish("", &queue, "right"),
            })
            .collect();
        for (number, publish) in publishes.into_iter().enumerate() {
            let result = session.wait(publish);
            match number % 6 {
                3 | 5 => assert!(
                    matches!(result, Err(Error::NotFound(_))),
                    "{number}: {result:?}"
                ),
                _ => assert!(
                    matches!(result, Ok(()) | Err(Error::OutcomeUnknown(_))),
                    "{number}: {result:?}"
                ),
            }
        }
        session.wait_for_messages(&queue, 40);
    });
}

#[test]
fn where_several_could_be_the_refused_one_none_claims_to_have_arrived() {
    each(|mut session| {
        let queue = session.queue();
        let publishes: Vec<_> = (0..9)
            .map(|number| {
                let exchange = if number % 3 == 1 {
                    "puka-wrong-exchange"
                } else {
                    ""
                };
                session.basic_publish(exchange, &queue, "a")
            })
            .collect();
        for (number, publish) in publishes.into_iter().enumerate() {
            match (number, session.wait(publish)) {
                (1 | 4 | 7, Err(Error::NotFound(_))) => {}
                // It came after all that could be the one, so it was sent again.
                (8, Ok(())) | (0, Ok(()) | Err(Error::OutcomeUnknown(_))) => {}
                (2..8, Err(Error::OutcomeUnknown(_))) => {}
                (number, other) => panic!("{number}: {other:?}"),
            }
        }
        // The first one, and the last.
        session.wait_for_messages(&queue, 2);
    });
}

#[test]
fn a_full_queue_that_rejects_publishes_nacks_them() {
    let mut session = Session::with(ClientOptions::new().pubacks(true));
    let queue = session.name();
    let declare = QueueDeclare::new(&queue)
        .argument("x-max-length", 1)
        .argument("x-overflow", "reject-publish");
    session.queue_declare(declare).wait(&mut session).unwrap();
    session.publish(&queue, "fits");
    let mut nacked = 0;
    for _ in 0..10 {
        match session
            .basic_publish("", &queue, "too many")
            .wait(&mut session)
        {
            Err(Error::Nacked) => nacked += 1,
            Ok(()) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(nacked > 0);
    session.queue_purge(&queue).wait(&mut session).unwrap();
    session.publish(&queue, "fits again");
}

#[test]
fn an_error_of_a_publish_touches_nothing_else() {
    let mut session = Session::new();
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    session.publish(&queue, "a");
    let open = session.next(consumer);
    for _ in 0..3 {
        let error = session
            .basic_publish("puka-wrong-exchange", "", "")
            .wait(&mut session)
            .unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{error}");
    }
    session.basic_ack(open).unwrap();
    session.publish(&queue, "b");
    assert_eq!(session.next(consumer).body, "b");
}

#[test]
fn nothing_is_written_before_a_wait() {
    // puka's issue 21.
    each(|mut session| {
        let mut before = 0;
        for _ in 0..42 {
            session.basic_publish("", "puka-test-key", "test body");
            assert!(session.needs_write() && session.buffered() > before);
            before = session.buffered();
        }
    });
}

#[test]
fn a_publish_may_be_waited_for_later_and_only_once() {
    let mut session = Session::new();
    let first = session.basic_publish("", "puka-nowhere", "a");
    let second = session.basic_publish("", "puka-nowhere", "b");
    session.wait_timeout(second, LIMIT).unwrap().unwrap();
    session.wait_timeout(first, LIMIT).unwrap().unwrap();
    for promise in [first, second] {
        let error = session.wait(promise).unwrap_err();
        assert!(matches!(error, Error::UnknownPromise(_)), "{error}");
    }
}

#[test]
fn headers_larger_than_a_frame_are_refused_at_home() {
    let mut session = Session::new();
    let message = Message::new("a").header("long", "x".repeat(140_000));
    let error = session
        .basic_publish("", "puka-nowhere", message)
        .wait(&mut session)
        .unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(text) if text.contains("131072")),
        "{error}"
    );
    session
        .basic_publish("", "puka-nowhere", "b")
        .wait(&mut session)
        .unwrap();
}

#[test]
fn a_wrong_user_id_is_refused() {
    let mut session = Session::new();
    let error = session
        .basic_publish("", "a", Message::new("").user_id("somebody"))
        .wait(&mut session)
        .unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error}");
    session
        .basic_publish("", "a", Message::new("").user_id("guest"))
        .wait(&mut session)
        .unwrap();
}
