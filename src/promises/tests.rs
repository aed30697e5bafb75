use super::*;
use crate::promises::unread::UNREAD_BYTES;
use crate::types::message::Returned;

fn resolved(promises: &mut Promises<()>) -> PromiseNumber {
    let id = promises.publish();
    promises.resolve(id.number, Ok(Outcome::Published));
    id.number
}

#[test]
fn ignored_publishes_leave_one_range() {
    let mut promises = Promises::<()>::new(1, usize::MAX);
    for _ in 0..1_000_000 {
        resolved(&mut promises);
    }
    assert_eq!(promises.succeeded.ranges(), 1);
    assert!(promises.entries.is_empty() && promises.unread.is_empty());
    assert!(promises.take(PromiseNumber(500_000)).is_some());
    assert!(promises.take(PromiseNumber(500_000)).is_none());
    assert_eq!(promises.succeeded.ranges(), 2);
}

#[test]
fn successes_between_failures_are_bounded_as_these_are() {
    let mut promises = Promises::<()>::new(1, usize::MAX);
    let all = 4 * UNREAD_MAX as u64;
    for _ in 0..all / 2 {
        resolved(&mut promises);
        let id = promises.publish();
        promises.resolve(id.number, Err(Error::Nacked));
    }
    assert_eq!(promises.succeeded.ranges(), UNREAD_MAX);
    assert_eq!(promises.readiness(PromiseNumber(1)), Readiness::Unknown);
    assert_eq!(promises.readiness(PromiseNumber(all - 1)), Readiness::Ready);
}

#[test]
fn unread_results_are_bounded_and_the_newest_stay() {
    let mut promises = Promises::<()>::new(1, usize::MAX);
    let all = 5 * UNREAD_MAX as u64;
    for _ in 0..all {
        let id = promises.single();
        promises.resolve(id.number, Err(Error::Nacked));
    }
    assert!(promises.entries.len() <= 2 * UNREAD_MAX);
    assert_eq!(promises.readiness(PromiseNumber(all)), Readiness::Ready);
    assert_eq!(
        promises.readiness(PromiseNumber(all - UNREAD_MAX as u64)),
        Readiness::Ready
    );
    assert_eq!(promises.readiness(PromiseNumber(1)), Readiness::Unknown);
}

/// The return of a message of that many bytes.
fn returned(bytes: usize) -> Error {
    Error::NoRoute(Box::new(Returned {
        reply_code: 312,
        reply_text: "NO_ROUTE".into(),
        exchange: "".into(),
        routing_key: "".into(),
        properties: Default::default(),
        body: vec![0; bytes].into(),
    }))
}

#[test]
fn unread_results_are_bounded_by_their_bytes_too() {
    let mut promises = Promises::<()>::new(1, usize::MAX);
    let kept = |promises: &Promises<()>| {
        let results = promises.entries.values().map(|entry| match &entry.state {
            State::Done(result) => shared_bytes(result),
            _ => 0,
        });
        results.sum::<usize>()
    };
    for number in 0..1000 {
        let id = promises.publish();
        let error = returned(1 << 20);
        let error = match number % 2 {
            0 => Error::OutcomeUnknown(Box::new(error)),
            _ => error,
        };
        promises.resolve(id.number, Err(error));
        assert!(kept(&promises) <= 2 * UNREAD_BYTES + (2 << 20));
    }
    assert!(kept(&promises) >= UNREAD_BYTES / 2);
    assert_eq!(promises.readiness(PromiseNumber(1000)), Readiness::Ready);
    assert_eq!(promises.readiness(PromiseNumber(1)), Readiness::Unknown);
    // What was read meanwhile does not count, and the newest stays, however large.
    let mut promises = Promises::<()>::new(1, usize::MAX);
    let first = promises.publish();
    promises.resolve(first.number, Err(returned(1 << 20)));
    for _ in 0..100 {
        let id = promises.single();
        promises.resolve(id.number, Err(returned(1 << 20)));
        assert!(promises.take(id.number).is_some());
    }
    assert_eq!(promises.readiness(first.number), Readiness::Ready);
    let large = promises.publish();
    promises.resolve(large.number, Err(returned(3 * UNREAD_BYTES)));
    assert_eq!(promises.readiness(large.number), Readiness::Ready);
    assert_eq!(promises.readiness(first.number), Readiness::Unknown);
}

#[test]
fn a_callback_of_another_clients_promise_gets_nothing_of_its_namesake() {
    let mut promises = Promises::<()>::new(1, usize::MAX);
    let own = promises.consumer(0, false);
    promises.deliver(own.number, Box::new(Delivery::blank()));
    let foreign = PromiseId { client: 2, ..own };
    assert!(promises.next_delivery(foreign).is_none());
    promises.restore(foreign, ());
    assert_eq!(promises.runnable(), 0);
    assert!(promises.next_delivery(own).is_some());
}
