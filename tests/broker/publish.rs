//! Publishing and what becomes of it: with confirms found out, insisted on, and emulated.

use puka::{ClientOptions, Error, ExchangeDeclare, Message, QueueBind, QueueDeclare};

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
fn a_confirm_says_nothing_of_the_publishes_before_it() {
    let mut session = Session::new();
    let (full, queue) = (session.name(), session.queue());
    let declare = QueueDeclare::new(&full)
        .argument("x-max-length", 1)
        .argument("x-overflow", "reject-publish");
    session.queue_declare(declare).wait(&mut session).unwrap();
    session.publish(&full, "the only one");

    let mandatory = Message::new("lost").mandatory(true);
    let promises = [
        session.basic_publish("", &full, "lost"),
        session.basic_publish("", "puka-nowhere", mandatory),
        session.basic_publish("", "puka-nowhere", "lost, and confirmed"),
        session.basic_publish("", &queue, "there"),
    ];
    session.wait(promises[3]).unwrap();
    session.wait(promises[2]).unwrap();
    // The first error ends it, and the rest can still be waited for.
    let error = session.wait_for_all(&promises[..2]).unwrap_err();
    assert!(matches!(error, Error::Nacked), "{error}");
    let error = session.wait(promises[1]).unwrap_err();
    assert!(matches!(error, Error::NoRoute(_)), "{error}");
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
    let mut session = Session::with(ClientOptions::new().resend_after_refusal(false));
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
fn where_several_could_be_the_refused_one_none_claims_to_know() {
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
                // It came after all that could be the one, so it was sent again.
                (8, Ok(())) | (0, Ok(()) | Err(Error::OutcomeUnknown(_))) => {}
                (1..8, Err(Error::OutcomeUnknown(_))) => {}
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
    let frame_max = session.connected().unwrap().frame_max as usize;
    let message = Message::new("a").header("long", "x".repeat(frame_max));
    let error = session
        .basic_publish("", "puka-nowhere", message)
        .wait(&mut session)
        .unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(text) if text.contains(&frame_max.to_string())),
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

/// What became of each publish, and whether that is so: those that arrived are the bodies in the queue.
struct Told {
    published: Vec<String>,
    unknown: usize,
    /// Definite failures, with their codes.
    refused: Vec<(String, Option<u16>)>,
}

/// Waits for all of these publishes, by their bodies, and checks them against what is in the queue.
fn told(session: &mut Session, queue: &str, publishes: Vec<(String, puka::Promise<()>)>) -> Told {
    let mut told = Told {
        published: Vec::new(),
        unknown: 0,
        refused: Vec::new(),
    };
    for (body, publish) in publishes {
        match session.wait_timeout(publish, LIMIT) {
            Ok(done) => {
                done.expect("an outcome");
                told.published.push(body);
            }
            Err(Error::OutcomeUnknown(_)) => told.unknown += 1,
            Err(error) => told.refused.push((body, error.reply_code())),
        }
    }
    let mut arrived = Vec::new();
    while let Some(delivery) = session.take(queue) {
        arrived.push(delivery.body_str().into_owned());
    }
    for body in &told.published {
        assert!(
            arrived.contains(body),
            "{body} was published, and is not there"
        );
    }
    for (body, code) in &told.refused {
        assert!(
            !arrived.contains(body),
            "{body} was refused with {code:?}, and is there"
        );
    }
    arrived.sort();
    arrived.dedup_by(|one, other| {
        assert_ne!(one, other, "it arrived twice");
        false
    });
    told
}

#[test]
fn a_property_that_the_broker_does_not_take_fails_its_own_message_only() {
    each(|mut session| {
        let queue = session.queue();
        for poison in [
            Message::new("poison").expiration("soon"),
            Message::new("poison").user_id("somebody"),
        ] {
            let publishes = (0..2001).map(|number| match number {
                1000 => {
                    let publish = session.basic_publish("", &queue, poison.clone());
                    ("poison".to_owned(), publish)
                }
                _ => {
                    let body = number.to_string();
                    let publish = session.basic_publish("", &queue, body.clone());
                    (body, publish)
                }
            });
            let publishes = publishes.collect();
            let told = told(&mut session, &queue, publishes);
            assert_eq!(told.refused, [("poison".to_owned(), Some(406))]);
            // What came later was sent again; what came before may have lost its confirm.
            assert_eq!(told.published.len() + told.unknown, 2000);
            assert!(told.published.len() >= 1000, "{} unknown", told.unknown);
        }
    });
}

#[test]
fn an_exchange_that_is_deleted_in_mid_stream_fails_nothing_that_arrived() {
    each(|mut session| {
        let (queue, exchange) = (session.queue(), session.name());
        let declare = ExchangeDeclare::fanout(&exchange);
        session
            .exchange_declare(declare)
            .wait(&mut session)
            .unwrap();
        let bind = QueueBind::new(&queue, &exchange);
        session.queue_bind(bind).wait(&mut session).unwrap();
        let publish = |session: &mut Session, range: std::ops::Range<u32>| -> Vec<_> {
            let publish = |number: u32| {
                let body = number.to_string();
                // While it is being deleted, the exchange may be there without its binding.
                let message = Message::new(body.clone()).mandatory(true);
                (body, session.basic_publish(&exchange, "", message))
            };
            range.map(publish).collect()
        };
        let mut publishes = publish(&mut session, 0..1000);
        let deleted = session.exchange_delete(&exchange);
        publishes.extend(publish(&mut session, 1000..2000));
        session.wait(deleted).unwrap();
        publishes.extend(publish(&mut session, 2000..2100));
        let told = told(&mut session, &queue, publishes);
        for (body, code) in &told.refused {
            assert!(matches!(code, Some(404 | 312)), "{body}: {code:?}");
        }
    });
}

#[test]
fn names_longer_than_the_brokers_text_blame_nobody_else() {
    each(|mut session| {
        let (queue, stem) = (session.queue(), session.name());
        // They differ behind the place where the broker cuts its text.
        let name = |end: &str| format!("{stem}{}{end}", "e".repeat(250 - stem.len()));
        let (there, missing) = (name("1"), name("2"));
        let declare = ExchangeDeclare::fanout(&there);
        session
            .exchange_declare(declare)
            .wait(&mut session)
            .unwrap();
        let bind = QueueBind::new(&queue, &there);
        session.queue_bind(bind).wait(&mut session).unwrap();
        let publishes = (0..100).map(|number| {
            let exchange = if number == 50 { &missing } else { &there };
            let body = number.to_string();
            (body.clone(), session.basic_publish(exchange, "", body))
        });
        let publishes = publishes.collect();
        let told = told(&mut session, &queue, publishes);
        assert!(told.refused.iter().all(|(body, _)| body == "50"));
        session.exchange_delete(&there).wait(&mut session).unwrap();
    });
}

/// Each of them closes the channel, and what comes later waits for its turn.
#[test]
fn hundreds_of_refused_publishes_between_good_ones() {
    each(|mut session| {
        let queue = session.queue();
        let publishes = (0..1000).map(|number| {
            let body = number.to_string();
            let publish = match number % 2 {
                0 => session.basic_publish("", &queue, body.clone()),
                _ => session.basic_publish(format!("puka-wrong-{number}"), "", body.clone()),
            };
            (body, publish)
        });
        let publishes: Vec<_> = publishes.collect();
        let order: Vec<String> = publishes.iter().map(|(body, _)| body.clone()).collect();
        let told = told(&mut session, &queue, publishes);
        assert_eq!(told.refused.len(), 500);
        assert_eq!(told.published.len() + told.unknown, 500);
        let position = |body: &String| order.iter().position(|other| other == body);
        assert!(told.published.is_sorted_by_key(position));
    });
}
