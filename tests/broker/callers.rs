//! Every public call at every moment: what it comes to, and that the client is as good as new afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use puka::{
    Client, Consume, ConsumeMulti, Delivery, Error, ExchangeBind, ExchangeDeclare, Promise,
    QueueBind, QueueDelete, Requeue, Result,
};

use crate::support::{HAS_SOCKETS, LIMIT, Session, cut, new_client, url};

/// When a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Before the first `connect`.
    New,
    /// While the client logs in, the second time.
    Opening,
    Open,
    /// In a callback, in a loop.
    Callback,
    /// In a callback of a consumer that was cancelled just before.
    Cancelling,
    /// After `close`, before it is done.
    Closing,
    Closed,
    /// The socket broke, and the client has seen it.
    Lost,
}

const MOMENTS: [Moment; 8] = [
    Moment::New,
    Moment::Opening,
    Moment::Open,
    Moment::Callback,
    Moment::Cancelling,
    Moment::Closing,
    Moment::Closed,
    Moment::Lost,
];

/// What a call may need.
#[derive(Debug)]
struct World {
    queue: String,
    exchange: String,
    /// One that began before the moment.
    consumer: Option<Promise<Delivery>>,
    /// Of that consumer.
    deliveries: Vec<Delivery>,
    /// A promise whose result was given out.
    spent: Option<Promise<()>>,
    /// A consumer, and a delivery, of another client.
    foreign: (Promise<Delivery>, Option<Delivery>),
}

type Call = fn(&mut Client, &mut World) -> String;

/// A call, and what it comes to at each of the [`MOMENTS`].
type Row = (&'static str, Call, [&'static str; 8]);

fn name(error: &Error) -> String {
    match error {
        Error::NotSent(cause) => format!("NotSent({})", name(cause)),
        Error::OutcomeUnknown(cause) => format!("OutcomeUnknown({})", name(cause)),
        error => {
            let text = format!("{error:?}");
            let end = text.find(|c: char| !c.is_alphanumeric());
            text[..end.unwrap_or(text.len())].to_owned()
        }
    }
}

fn shown<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => name(&error),
    }
}

/// What a promise comes to.
fn end<T: puka::PromiseValue>(client: &mut Client, promise: Promise<T>) -> String {
    match client.wait_timeout(promise, LIMIT) {
        Ok(Some(_)) => "ok".into(),
        Ok(None) => "nothing".into(),
        Err(error) => name(&error),
    }
}

/// What is not there at this moment.
fn none() -> String {
    "-".into()
}

/// What most requests come to.
#[rustfmt::skip]
const REQUEST: [&str; 8] = ["NotConnected", "ok", "ok", "ok", "ok", "Closed", "NotConnected", "NotConnected"];

/// What an acknowledgement comes to.
#[rustfmt::skip]
const SETTLE: [&str; 8] = ["-", "StaleDelivery", "ok", "ok", "ok", "StaleDelivery", "StaleDelivery", "ConnectionBroken"];

/// The calls. `ok` is what the promise came to, where the call makes one; and that nothing panicked, where it gives nothing.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("connect", |client, _| { let promise = client.connect(); end(client, promise) }, ["ok", "AlreadyConnected", "AlreadyConnected", "AlreadyConnected", "AlreadyConnected", "AlreadyConnected", "ok", "ok"]),
    ("connect_over", connect_over, ["ConnectionBroken", "AlreadyConnected", "AlreadyConnected", "AlreadyConnected", "AlreadyConnected", "AlreadyConnected", "ConnectionBroken", "ConnectionBroken"]),
    ("close", |client, _| { let promise = client.close(); end(client, promise) }, ["NotConnected", "ok", "ok", "ok", "ok", "ok", "NotConnected", "NotConnected"]),
    ("update_secret", |client, _| { let promise = client.update_secret("guest", "none"); end(client, promise) }, REQUEST),
    ("queue_declare", |client, world| { let promise = client.queue_declare(&world.queue); end(client, promise) }, REQUEST),
    ("queue_delete", |client, world| { let promise = client.queue_delete(QueueDelete::new(&world.queue)); end(client, promise) }, REQUEST),
    ("queue_purge", |client, world| { let promise = client.queue_purge(&world.queue); end(client, promise) }, REQUEST),
    ("queue_bind", |client, world| { let promise = client.queue_bind(QueueBind::new(&world.queue, &world.exchange)); end(client, promise) }, REQUEST),
    ("queue_unbind", |client, world| { let promise = client.queue_unbind(QueueBind::new(&world.queue, &world.exchange)); end(client, promise) }, REQUEST),
    ("exchange_declare", |client, world| { let promise = client.exchange_declare(ExchangeDeclare::fanout(&world.exchange)); end(client, promise) }, REQUEST),
    ("exchange_delete", |client, world| { let promise = client.exchange_delete(&world.exchange); end(client, promise) }, REQUEST),
    ("exchange_bind", |client, world| { let promise = client.exchange_bind(ExchangeBind::new(&world.exchange, "amq.fanout")); end(client, promise) }, REQUEST),
    ("exchange_unbind", |client, world| { let promise = client.exchange_unbind(ExchangeBind::new(&world.exchange, "amq.fanout")); end(client, promise) }, REQUEST),
    ("basic_publish", |client, world| { let promise = client.basic_publish("", &world.queue, "new"); end(client, promise) }, ["NotSent(NotConnected)", "ok", "ok", "ok", "ok", "NotSent(Closed)", "NotSent(NotConnected)", "NotSent(NotConnected)"]),
    ("call, to nobody", |client, _| { let promise = client.call("", "puka-nobody", "hello"); end(client, promise) }, ["NotConnected", "NoRoute", "NoRoute", "NoRoute", "NoRoute", "Closed", "NotConnected", "NotConnected"]),
    ("call_timeout", |client, world| { let promise = client.call_timeout("", &world.queue, "hello", Duration::ZERO); end(client, promise) }, ["NotConnected", "NoReply", "NoReply", "NoReply", "NoReply", "NoReply", "NotConnected", "NotConnected"]),
    ("basic_get", |client, world| { let promise = client.basic_get(&world.queue); end(client, promise) }, REQUEST),
    ("basic_consume", |client, _| { let promise = client.basic_consume("puka-nowhere"); end(client, promise) }, ["NotConnected", "NotFound", "NotFound", "NotFound", "NotFound", "Closed", "NotConnected", "NotConnected"]),
    ("basic_consume_multi, of none", |client, _| { let none: [Consume; 0] = []; let promise = client.basic_consume_multi(ConsumeMulti::new(none)); end(client, promise) }, ["NotConnected", "InvalidArgument", "InvalidArgument", "InvalidArgument", "InvalidArgument", "InvalidArgument", "NotConnected", "NotConnected"]),
    ("basic_qos", |client, world| match world.consumer { Some(consumer) => { let promise = client.basic_qos(consumer, 20); end(client, promise) } None => none() }, ["-", "UnknownPromise", "ok", "ok", "UnknownPromise", "Closed", "NotConnected", "NotConnected"]),
    ("basic_cancel", |client, world| match world.consumer { Some(consumer) => { let promise = client.basic_cancel(consumer); end(client, promise) } None => none() }, ["-", "UnknownPromise", "ok", "ok", "ok", "Closed", "NotConnected", "NotConnected"]),
    ("basic_recover", |client, world| match world.consumer { Some(consumer) => { let promise = client.basic_recover(consumer); end(client, promise) } None => none() }, ["-", "UnknownPromise", "ok", "ok", "ok", "Closed", "NotConnected", "NotConnected"]),
    ("basic_qos, another client's", |client, world| { let promise = client.basic_qos(world.foreign.0, 20); end(client, promise) }, ["ForeignPromise"; 8]),
    ("basic_cancel, another client's", |client, world| { let promise = client.basic_cancel(world.foreign.0); end(client, promise) }, ["ForeignPromise"; 8]),
    ("basic_recover, another client's", |client, world| { let promise = client.basic_recover(world.foreign.0); end(client, promise) }, ["ForeignPromise"; 8]),
    ("basic_ack", |client, world| match world.deliveries.pop() { Some(delivery) => shown(client.basic_ack(delivery)), None => none() }, SETTLE),
    ("basic_ack_multiple", |client, world| match world.deliveries.pop() { Some(delivery) => shown(client.basic_ack_multiple(delivery)), None => none() }, SETTLE),
    ("basic_ack, after one of many", after_many, ["-", "StaleDelivery, StaleDelivery", "ok, AlreadySettled", "ok, AlreadySettled", "ok, AlreadySettled", "StaleDelivery, StaleDelivery", "StaleDelivery, StaleDelivery", "ConnectionBroken, ConnectionBroken"]),
    ("basic_reject", |client, world| match world.deliveries.pop() { Some(delivery) => shown(client.basic_reject(delivery, Requeue::Yes)), None => none() }, SETTLE),
    ("basic_nack", |client, world| match world.deliveries.pop() { Some(delivery) => shown(client.basic_nack(delivery, Requeue::No)), None => none() }, SETTLE),
    ("basic_nack_multiple", |client, world| match world.deliveries.pop() { Some(delivery) => shown(client.basic_nack_multiple(delivery, Requeue::Yes)), None => none() }, SETTLE),
    ("is_stale", |client, world| match world.deliveries.pop() { Some(delivery) => client.is_stale(&delivery).to_string(), None => none() }, ["-", "true", "false", "false", "false", "true", "true", "true"]),
    ("basic_ack, another client's", |client, world| match world.foreign.1.take() { Some(delivery) => shown(client.basic_ack(delivery)), None => none() }, ["ForeignPromise"; 8]),
    ("wait, for deliveries", |client, world| match world.consumer { Some(consumer) => shown(client.wait_timeout(consumer, Duration::ZERO)), None => none() }, ["-", "Closed", "ok", "ok", "ok|Cancelled", "ok|Closed", "Closed", "ConnectionBroken"]),
    ("wait, once more", |client, world| match world.spent { Some(spent) => shown(client.wait(spent)), None => none() }, ["-", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise"]),
    ("wait, for another client's", |client, world| shown(client.wait(world.foreign.0)), ["ForeignPromise"; 8]),
    ("wait_any, of none", |client, _| shown(client.wait_any::<()>(&[])), ["InvalidArgument"; 8]),
    ("wait_ready, another client's", |client, world| shown(client.wait_ready(&[world.foreign.0.id()])), ["ForeignPromise"; 8]),
    ("wait_for_all, of none", |client, _| shown(client.wait_for_all::<()>(&[])), ["ok"; 8]),
    ("then, another client's", foreign_callback, ["ForeignPromise"; 8]),
    ("then, of what is spent", spent_callback, ["-", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise", "UnknownPromise"]),
    ("sleep", |client, _| shown(client.sleep(Duration::ZERO)), ["NotConnected", "ok", "ok", "ok", "ok", "ok", "Closed", "ConnectionBroken"]),
    ("loop_timeout", |client, _| shown(client.loop_timeout(Duration::ZERO)), ["NotConnected", "ok", "ok", "ok", "ok", "ok", "ok", "ConnectionBroken"]),
    ("puka::loop_timeout, of none", |_, _| shown(puka::loop_timeout(&mut [], Duration::ZERO)), ["ok"; 8]),
    ("loop_break", |client, _| { client.loop_break(); shown(client.loop_timeout(Duration::ZERO)) }, ["NotConnected", "ok", "ok", "ok", "ok", "ok", "ok", "ConnectionBroken"]),
    ("run_any_callbacks", |client, _| { client.run_any_callbacks(); "ok".into() }, ["ok"; 8]),
    ("on_read, on_write, on_timeout", |client, _| { client.on_read(); client.on_write(); client.on_timeout(); "ok".into() }, ["ok"; 8]),
    ("handle, and a call", handle, ["ok"; 8]),
    ("on_connection_event", |client, _| { client.on_connection_event(|_, _| {}); "ok".into() }, ["ok"; 8]),
    ("is_connected", |client, _| client.is_connected().to_string(), ["false", "false", "true", "true", "true", "false", "false", "false"]),
    ("connected, blocked", |client, _| format!("{} {}", client.connected().is_some(), client.blocked().is_some()), ["false false", "false false", "true false", "true false", "true false", "false false", "false false", "false false"]),
    ("as_fd", |client, _| client.as_fd().is_some().to_string(), ["false", "true", "true", "true", "true", "true", "false", "false"]),
    ("buffered, has_room", |client, _| format!("{} {}", client.buffered() > 0, client.has_room()), ["false true", "true true", "false true", "false true", "true true", "true true", "false true", "false true"]),
    ("needs_read", |client, _| client.needs_read().to_string(), ["true"; 8]),
];

fn connect_over(client: &mut Client, _: &mut World) -> String {
    let (ours, theirs) = mio::net::UnixStream::pair().unwrap();
    drop(theirs);
    let promise = client.connect_over(ours);
    end(client, promise)
}

fn after_many(client: &mut Client, world: &mut World) -> String {
    if world.deliveries.len() < 2 {
        return none();
    }
    let (first, last) = (world.deliveries.remove(0), world.deliveries.remove(0));
    let many = shown(client.basic_ack_multiple(last));
    format!("{many}, {}", shown(client.basic_ack(first)))
}

/// What a callback is told at once.
fn told<T: puka::PromiseValue>(client: &mut Client, promise: Promise<T>) -> String {
    let told = Arc::new(Mutex::new(String::from("nothing")));
    let slot = Arc::clone(&told);
    promise.then(client, move |_, _, result| {
        *slot.lock().unwrap() = shown(result)
    });
    client.run_any_callbacks();
    told.lock().unwrap().clone()
}

fn foreign_callback(client: &mut Client, world: &mut World) -> String {
    told(client, world.foreign.0)
}

fn spent_callback(client: &mut Client, world: &mut World) -> String {
    world.spent.map_or_else(none, |spent| told(client, spent))
}

fn handle(client: &mut Client, _: &mut World) -> String {
    let ran = Arc::new(Mutex::new("nothing"));
    let slot = Arc::clone(&ran);
    let handle = match client.handle() {
        Ok(handle) => handle,
        Err(error) => return name(&error),
    };
    if let Err(error) = handle.run(move |_| *slot.lock().unwrap() = "ok") {
        return name(&error);
    }
    client.run_any_callbacks();
    let ran = *ran.lock().unwrap();
    ran.into()
}

/// A client at that moment, and the call made; what it came to.
fn run(
    moment: Moment,
    call: Call,
    other: &mut Session,
    consumer: Promise<Delivery>,
) -> (Client, String) {
    let queue = other.queue();
    let exchange = other.name();
    other
        .exchange_declare(ExchangeDeclare::fanout(&exchange))
        .wait(other)
        .unwrap();
    for body in ["1", "2", "3"] {
        other.publish(&queue, body);
    }
    let mut client = new_client(&url()).unwrap();
    let delivery = other.next(consumer);
    let mut world = World {
        queue,
        exchange,
        consumer: None,
        deliveries: Vec::new(),
        spent: None,
        foreign: (consumer, Some(delivery)),
    };
    if moment == Moment::New {
        let result = call(&mut client, &mut world);
        return (client, result);
    }
    client.connect().wait(&mut client).unwrap();
    let spent = client.basic_publish("", "puka-nowhere", "spent");
    client.wait(spent).unwrap();
    world.spent = Some(spent);
    let consumer = client.basic_consume(Consume::new(&*world.queue).prefetch_count(10));
    world.consumer = Some(consumer);
    if moment == Moment::Cancelling {
        return in_consumer(client, world, consumer, call);
    }
    for _ in 0..3 {
        let delivery = client.wait_timeout(consumer, LIMIT).unwrap().unwrap();
        world.deliveries.push(delivery);
    }
    match moment {
        Moment::New | Moment::Cancelling | Moment::Open => {}
        Moment::Callback => return in_callback(client, world, call),
        Moment::Opening => {
            client.close().wait(&mut client).unwrap();
            client.connect();
        }
        Moment::Closing => {
            client.close();
        }
        Moment::Closed => client.close().wait(&mut client).unwrap(),
        Moment::Lost => {
            cut(&client);
            client
                .basic_get("puka-nowhere")
                .wait(&mut client)
                .unwrap_err();
        }
    }
    let result = call(&mut client, &mut world);
    (client, result)
}

fn in_callback(mut client: Client, mut world: World, call: Call) -> (Client, String) {
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    client
        .basic_publish("", "puka-nowhere", "x")
        .then(&mut client, move |client, _, _| {
            *slot.lock().unwrap() = Some(call(client, &mut world));
            client.loop_break();
        });
    // It may end with the connection, if that is what the call does.
    let _ = client.loop_timeout(LIMIT);
    let result = result.lock().unwrap().take();
    (client, result.expect("the callback ran"))
}

fn in_consumer(
    mut client: Client,
    mut world: World,
    consumer: Promise<Delivery>,
    call: Call,
) -> (Client, String) {
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    consumer.for_each(&mut client, move |client, consumer, delivery| {
        let Ok(delivery) = delivery else { return };
        world.deliveries.push(delivery);
        if world.deliveries.len() == 3 {
            client.basic_cancel(consumer);
            *slot.lock().unwrap() = Some(call(client, &mut world));
            client.loop_break();
        }
    });
    let _ = client.loop_timeout(LIMIT);
    let result = result.lock().unwrap().take();
    (client, result.expect("the callback ran"))
}

/// The client works, from wherever it is.
fn revive(client: &mut Client) {
    for _ in 0..3 {
        match client.connect().wait(client) {
            Ok(_) => break,
            Err(Error::AlreadyConnected) => {
                let _ = client.close().wait(client);
            }
            // The end of a connection that was being made.
            Err(_) => {}
        }
    }
    let queue = client.queue_declare("").wait(client).unwrap().queue;
    client
        .basic_publish("", &queue, "again")
        .wait(client)
        .unwrap();
    let consumer = client.basic_consume(&*queue);
    let delivery = client.wait_timeout(consumer, LIMIT).unwrap().unwrap();
    assert_eq!(delivery.body, "again");
    client.basic_ack(delivery).unwrap();
    client.queue_delete(&*queue).wait(client).unwrap();
    client.close().wait(client).unwrap();
}

fn check(moment: Moment) {
    let column = MOMENTS.iter().position(|&other| other == moment).unwrap();
    let mut other = Session::new();
    let mut wrong = Vec::new();
    let foreign = other.queue();
    let consumer = other.basic_consume(Consume::new(&*foreign).no_ack(true));
    let is_of_sockets = |what| ["as_fd", "connect_over"].contains(&what);
    for &(what, call, expected) in TABLE {
        if !HAS_SOCKETS && is_of_sockets(what) {
            continue;
        }
        other.publish(&foreign, "foreign");
        let (mut client, result) = run(moment, call, &mut other, consumer);
        // Where it depends on how quick the broker is, either will do.
        if !expected[column]
            .split('|')
            .any(|expected| expected == result)
        {
            wrong.push(format!("{what}: {result:?}, not {:?}", expected[column]));
        }
        revive(&mut client);
    }
    assert!(wrong.is_empty(), "{moment:?}:\n{}", wrong.join("\n"));
}

#[test]
fn before_the_first_connect() {
    check(Moment::New);
}

#[test]
fn while_the_connection_opens() {
    check(Moment::Opening);
}

#[test]
fn while_it_is_open() {
    check(Moment::Open);
}

#[test]
fn in_a_callback() {
    check(Moment::Callback);
}

#[test]
fn in_a_callback_of_a_consumer_that_is_being_cancelled() {
    check(Moment::Cancelling);
}

#[test]
fn while_it_closes() {
    check(Moment::Closing);
}

#[test]
fn after_close() {
    check(Moment::Closed);
}

#[test]
fn after_a_loss() {
    check(Moment::Lost);
}

/// Everything at once, and nothing of it done.
fn set_off(client: &mut Client, queue: &str) {
    let consumer = client.basic_consume(queue);
    consumer.for_each(client, |_, _, _| {});
    client.basic_qos(consumer, 10);
    client.basic_cancel(consumer);
    client.basic_get(queue).then(client, |_, _, _| {});
    client.call("", queue, "hello");
    for _ in 0..100 {
        client.queue_declare(queue);
        client.basic_publish("", queue, vec![0; 100_000]);
    }
    client.handle().unwrap().run(|_| {}).unwrap();
}

#[test]
fn a_client_may_be_dropped_at_any_moment() {
    let mut session = Session::new();
    let queue = session.queue();
    let client = || new_client(&url()).unwrap();
    drop(client());

    let mut early = client();
    early.connect();
    set_off(&mut early, &queue);
    drop(early);

    let mut busy = client();
    busy.connect().wait(&mut busy).unwrap();
    set_off(&mut busy, &queue);
    busy.sleep(Duration::ZERO).unwrap();
    drop(busy);

    let mut closing = client();
    closing.connect().wait(&mut closing).unwrap();
    set_off(&mut closing, &queue);
    closing.close();
    drop(closing);

    // In a callback of another.
    let mut inner = client();
    inner.connect().wait(&mut inner).unwrap();
    set_off(&mut inner, &queue);
    session
        .basic_get(&queue)
        .then(&mut session, move |client, _, _| {
            drop(inner);
            client.loop_break();
        });
    session.loop_forever().unwrap();
    session.queue_declare(&queue).wait(&mut session).unwrap();
}

/// Runs what panics, and says with which words.
fn panic_of(run: impl FnOnce()) -> &'static str {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
    panic.downcast_ref::<&str>().copied().expect("a text")
}

#[test]
fn a_callback_that_panics_leaves_the_client_whole() {
    let mut session = Session::new();
    let queue = session.queue();
    for body in ["1", "2", "3", "4"] {
        session.publish(&queue, body);
    }

    session
        .basic_get("puka-nowhere")
        .then(&mut session, |client, _, _| {
            client.basic_publish("", "puka-nowhere", "on its way");
            panic!("once");
        });
    assert_eq!(panic_of(|| session.loop_forever().unwrap()), "once");

    // The consumer keeps its callback, and the next delivery comes to it.
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let consumer = session.basic_consume(&queue);
    consumer.for_each(&mut session, move |client, _, delivery| {
        let Ok(delivery) = delivery else { return };
        let body = delivery.body_str().into_owned();
        seen.lock().unwrap().push(body.clone());
        match &*body {
            "2" => panic!("each"),
            "4" => client.loop_break(),
            _ => {}
        }
        client.basic_ack(delivery).unwrap();
    });
    assert_eq!(panic_of(|| session.loop_forever().unwrap()), "each");
    session.loop_forever().unwrap();
    assert_eq!(*bodies.lock().unwrap(), ["1", "2", "3", "4"]);

    // By a wait, too.
    let get = session
        .basic_get(&queue)
        .then(&mut session, |_, _, _| panic!("waited for"));
    assert_eq!(panic_of(|| drop(session.wait(get))), "waited for");

    session.handle().unwrap().run(|_| panic!("a job")).unwrap();
    assert_eq!(panic_of(|| session.run_any_callbacks()), "a job");

    // The delivery of the panic is the broker's again with the consumer's channel.
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    revive(&mut session);
    session.connect().wait(&mut session).unwrap();
    assert_eq!(session.take(&queue).unwrap().body, "2");
    assert!(session.take(&queue).is_none());
}
