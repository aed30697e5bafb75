//! Callbacks, loops, and waits mixed with them.

use std::sync::mpsc::channel;
use std::time::Duration;

use puka::{Client, Delivery, Error, Get, Promise, QueueDeclare};

use crate::support::{LIMIT, MOMENT, Session, new_client, now, unique, url};

#[test]
fn a_program_of_callbacks_runs_from_connect_to_delete() {
    let mut client = new_client(&url()).unwrap();
    let queue = unique("callbacks");
    let (sender, said) = channel();
    client
        .connect()
        .then(&mut client, move |client, _, connected| {
            sender
                .send(format!("connected {}", connected.is_ok()))
                .unwrap();
            client
                .queue_declare(&queue)
                .then(client, move |client, _, declared| {
                    let queue = declared.unwrap().queue;
                    client.basic_publish("", &queue, "body").then(
                        client,
                        move |client, _, published| {
                            sender.send(format!("published {published:?}")).unwrap();
                            client
                                .basic_get(&queue)
                                .then(client, move |client, _, got| {
                                    let delivery = got.unwrap().unwrap();
                                    sender.send(format!("got {}", delivery.body_str())).unwrap();
                                    client.basic_ack(delivery).unwrap();
                                    client.queue_delete(&queue).then(
                                        client,
                                        move |client, _, deleted| {
                                            sender.send(format!("deleted {deleted:?}")).unwrap();
                                            client.loop_break();
                                        },
                                    );
                                });
                        },
                    );
                });
        });
    client.loop_timeout(LIMIT).unwrap();
    let said: Vec<String> = said.try_iter().collect();
    assert_eq!(
        said,
        [
            "connected true",
            "published Ok(())",
            "got body",
            "deleted Ok(0)"
        ]
    );
    client.close().wait(&mut client).unwrap();
    // A clean close leaves nothing to loop for.
    client.loop_forever().unwrap();
}

#[test]
fn the_end_of_a_consumer_reaches_its_callback() {
    let mut session = Session::new();
    let queue = session.queue();
    let (sender, ends) = channel();
    session
        .basic_consume(&queue)
        .for_each(&mut session, move |_, _, delivery| {
            sender.send(delivery).unwrap()
        });
    session.loop_timeout(Duration::ZERO).unwrap();
    session.close().wait(&mut session).unwrap();
    session.run_any_callbacks();
    let end = ends.try_recv().unwrap().unwrap_err();
    assert!(matches!(end, Error::Closed), "{end}");
}

#[test]
fn callbacks_run_only_in_loops_and_in_their_own_wait() {
    let mut session = Session::new();
    let queue = session.queue();
    let (sender, ran) = channel();
    let other = sender.clone();
    let watched = session
        .queue_declare(&queue)
        .then(&mut session, move |_, _, _| sender.send("watched").unwrap());
    session
        .basic_publish("", &queue, "a")
        .wait(&mut session)
        .unwrap();
    session.queue_declare(&queue).wait(&mut session).unwrap();
    assert_eq!(ran.try_iter().count(), 0);
    // A single result is given to both: the callback, and whoever waits.
    assert_eq!(session.wait(watched).unwrap().queue, queue);
    assert_eq!(ran.try_iter().collect::<Vec<_>>(), ["watched"]);

    session
        .queue_declare(&queue)
        .then(&mut session, move |_, _, _| other.send("looped").unwrap());
    session.loop_timeout(MOMENT).unwrap();
    session.run_any_callbacks();
    assert_eq!(ran.try_iter().collect::<Vec<_>>(), ["looped"]);
}

#[test]
fn a_wait_on_a_consumer_with_a_callback_runs_it_for_one_delivery() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "a");
    session.publish(&queue, "b");
    let (sender, bodies) = channel();
    let consumer =
        session
            .basic_consume(&queue)
            .for_each(&mut session, move |client, _, delivery| {
                let delivery = delivery.unwrap();
                sender.send(delivery.body_str().into_owned()).unwrap();
                client.basic_ack(delivery).unwrap();
            });
    for body in ["a", "b"] {
        let error = session.wait(consumer).unwrap_err();
        assert!(matches!(error, Error::HandledByCallback), "{error}");
        assert_eq!(bodies.try_iter().collect::<Vec<_>>(), [body]);
    }
}

#[test]
fn a_callback_may_wait() {
    let mut session = Session::new();
    let queue = session.queue();
    let (sender, counts) = channel();
    session
        .basic_publish("", &queue, "a")
        .then(&mut session, move |client, _, published| {
            published.unwrap();
            let delivery = client
                .basic_get(Get::new(&queue).no_ack(true))
                .wait(client)
                .unwrap()
                .unwrap();
            sender.send(delivery.message_count).unwrap();
            client.loop_break();
        });
    session.loop_timeout(LIMIT).unwrap();
    assert_eq!(counts.try_recv(), Ok(0));
}

#[test]
fn set_callback_is_for_any_promise_and_replaces() {
    let mut session = Session::new();
    let queue = session.queue();
    let (sender, ran) = channel();
    let consumer = session.basic_consume(&queue);
    session.set_callback(consumer, |_, _, _| panic!("it was replaced"));
    let mine = sender.clone();
    session.set_callback(consumer, move |client, promise, delivery| {
        mine.send(promise.number()).unwrap();
        client.basic_ack(delivery.unwrap()).unwrap();
        client.loop_break();
    });
    let publish = session.basic_publish("", &queue, "a");
    session.set_callback(publish, move |_, promise, result| {
        result.unwrap();
        sender.send(promise.number()).unwrap();
    });
    session.loop_timeout(LIMIT).unwrap();
    session.loop_timeout(MOMENT).unwrap();
    let mut ran: Vec<u64> = ran.try_iter().collect();
    ran.sort();
    assert_eq!(ran, [consumer.number(), publish.number()]);
}

#[test]
fn a_callback_set_late_gets_what_is_there() {
    let mut session = Session::new();
    let (sender, ran) = channel();
    let publish = session.basic_publish("", "puka-nowhere", "a");
    session.wait_ready(&[publish.id()]).unwrap();
    let mine = sender.clone();
    publish.then(&mut session, move |_, _, result| {
        mine.send(result.is_ok()).unwrap()
    });
    session.run_any_callbacks();
    assert_eq!(ran.try_recv(), Ok(true));
    // And one set too late is told so.
    publish.then(&mut session, move |_, _, result| {
        sender
            .send(matches!(result, Err(Error::UnknownPromise(_))))
            .unwrap();
    });
    session.run_any_callbacks();
    assert_eq!(ran.try_recv(), Ok(true));
}

#[test]
fn waiting_for_any_gives_the_first_and_says_which() {
    let mut session = Session::new();
    let (empty, full) = (session.queue(), session.queue());
    let never = session.basic_consume(&empty);
    let soon = session.basic_consume(&full);
    session.publish(&full, "a");
    let (first, delivery) = session.wait_any(&[never, soon]).unwrap();
    assert_eq!((first, &delivery.unwrap().body[..]), (soon, &b"a"[..]));

    let declared = session.queue_declare(&full);
    let first = session.wait_ready(&[never.id(), declared.id()]).unwrap();
    assert_eq!(first, declared.id());
    session.wait(declared).unwrap();
    assert!(matches!(
        session.wait_ready(&[]),
        Err(Error::InvalidArgument(_))
    ));
    assert!(matches!(
        session.wait_any(&[declared]),
        Err(Error::UnknownPromise(_))
    ));
}

#[test]
fn waiting_for_any_gives_errors_with_their_promise() {
    let mut session = Session::new();
    let wrong = session.basic_publish("puka-wrong-exchange", "", "a");
    let (first, result) = session.wait_any(&[wrong]).unwrap();
    assert_eq!(first, wrong);
    assert!(matches!(result, Err(Error::NotFound(_))));
}

#[test]
fn waiting_for_all_stops_at_the_first_error_and_leaves_the_rest() {
    let mut session = Session::new();
    let (one, two) = (session.name(), session.name());
    let first = session.queue_declare(&one);
    let wrong = session.queue_declare(QueueDeclare::new("puka-no-such-queue").passive(true));
    let last = session.queue_declare(&two);
    let error = session.wait_for_all(&[first, wrong, last]).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    assert_eq!(session.wait(last).unwrap().queue, two);
    let promises = [session.queue_declare(&one), session.queue_declare(&two)];
    let queues: Vec<String> = session
        .wait_for_all(&promises)
        .unwrap()
        .iter()
        .map(|ok| ok.queue.to_string())
        .collect();
    assert_eq!(queues, [one, two]);
}

#[test]
fn waits_have_limits() {
    let mut session = Session::new();
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    for limit in [Duration::ZERO, MOMENT] {
        let begun = now();
        assert_eq!(session.wait_timeout(consumer, limit).unwrap(), None);
        assert!(now() - begun >= limit);
    }
    let begun = now();
    session.loop_timeout(MOMENT).unwrap();
    assert!(now() - begun >= MOMENT);
    session.publish(&queue, "a");
    assert_eq!(
        session
            .wait_timeout(consumer, Duration::MAX)
            .unwrap()
            .unwrap()
            .body,
        "a"
    );
}

#[test]
fn promises_of_another_client_are_errors() {
    let mut one = Session::new();
    let mut two = Session::new();
    let queue = two.queue();
    let declared = two.queue_declare(&queue);
    let consumer = two.basic_consume(&queue);
    assert!(matches!(one.wait(declared), Err(Error::ForeignPromise(_))));
    assert!(matches!(
        one.basic_qos(consumer, 1).wait(&mut one),
        Err(Error::ForeignPromise(_))
    ));
    assert!(matches!(
        one.basic_cancel(consumer).wait(&mut one),
        Err(Error::ForeignPromise(_))
    ));
    two.wait(declared).unwrap();
}

#[test]
fn several_clients_share_one_loop() {
    let mut one = Session::new();
    let mut two = Session::new();
    let queue = one.queue();
    let mut left = 100;
    one.basic_consume(&queue)
        .for_each(&mut one, move |client, _, delivery| {
            match delivery {
                Ok(delivery) => client.basic_ack(delivery).unwrap(),
                Err(error) => return assert!(matches!(error, Error::Closed), "{error}"),
            }
            left -= 1;
            if left == 0 {
                client.loop_break();
            }
        });
    fn publish(client: &mut Client, queue: String, left: u32) {
        if left > 0 {
            client
                .basic_publish("", &queue, "a")
                .then(client, move |client, _, result| {
                    // The last one may see the close.
                    if result.is_ok() {
                        publish(client, queue, left - 1);
                    }
                });
        }
    }
    publish(&mut two, queue.clone(), 100);
    puka::loop_timeout(&mut [&mut *one, &mut *two], LIMIT).unwrap();
    assert_eq!(
        one.queue_declare(&queue)
            .wait(&mut one)
            .unwrap()
            .message_count,
        0
    );

    two.close().wait(&mut two).unwrap();
    one.close().wait(&mut one).unwrap();
    puka::loop_forever(&mut [&mut *one, &mut *two]).unwrap();
}

#[test]
fn a_loop_without_a_connection_says_so() {
    let mut client = new_client(&url()).unwrap();
    assert!(matches!(client.loop_forever(), Err(Error::NotConnected)));
    let (sender, ran) = channel();
    client
        .queue_declare("a")
        .then(&mut client, move |client, _, declared| {
            sender.send(declared).unwrap();
            client.loop_break();
        });
    client.loop_forever().unwrap();
    assert!(matches!(ran.try_recv(), Ok(Err(Error::NotConnected))));
}

/// Takes one delivery after another, each by a callback of its own, until the end.
fn take_next(client: &mut Client, consumer: Promise<Delivery>, mut bodies: Vec<String>) {
    consumer.then(client, move |client, consumer, delivery| {
        match delivery {
            Ok(delivery) => {
                bodies.push(delivery.body_str().into_owned());
                client.basic_ack(delivery).unwrap();
                if bodies.len() == 3 {
                    client.basic_cancel(consumer);
                }
            }
            Err(end) => {
                assert!(matches!(end, Error::Cancelled(_)), "{end}");
                assert_eq!(bodies, ["1", "2", "3"]);
                client.loop_break();
            }
        }
        take_next(client, consumer, bodies);
    });
}

#[test]
fn a_consumers_callback_may_set_itself_anew_each_time() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["1", "2", "3"] {
        session.publish(&queue, body);
    }
    let consumer = session.basic_consume(&queue);
    take_next(&mut session, consumer, Vec::new());
    session.loop_forever().unwrap();
    // It is not told the end once more.
    session.run_any_callbacks();
    session.publish(&queue, "4");
    session.wait_for_messages(&queue, 1);
}
