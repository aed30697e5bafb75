//! All ways of waiting.

use std::time::Duration;

use puka::{Client, Error, Promise, Result};

use super::super::actor::Kind;
use super::super::answer::{Any, Known};
use super::super::judge;
use super::super::sim::Sim;
use super::embed;

/// The program is in a call that sees to its connection.
pub(crate) fn inside<T>(
    sim: &Sim,
    who: usize,
    client: &mut Client,
    call: impl FnOnce(&mut Client) -> T,
) -> T {
    enter(sim, who);
    let since = sim.now();
    sim.actor(who, |actor| actor.depth += 1);
    let result = call(client);
    sim.actor(who, |actor| actor.depth -= 1);
    is_nested(sim, who, since);
    leave(sim, who);
    judge::step(sim, who, client);
    result
}

/// A callback has waited, or looped, since then, perhaps: meanwhile the other clients of its loop did nothing.
pub(crate) fn is_nested(sim: &Sim, who: usize, since: Duration) {
    let now = sim.now();
    let mut state = sim.state();
    if state.actors[who].depth == 0 {
        return;
    }
    state.actors[who].nested = Some(now);
    let others = state.actors.iter_mut().enumerate();
    for (_, other) in others.filter(|(other, _)| *other != who) {
        other.absences.push((now, now - since));
    }
}

/// Where it was before it was away.
pub(crate) fn enter(sim: &Sim, who: usize) {
    let now = sim.now();
    sim.actor(who, |actor| {
        if actor.depth == 0 {
            actor.absences.push((now, now.saturating_sub(actor.seen)));
        }
        actor.seen = now;
    });
}

pub(crate) fn leave(sim: &Sim, who: usize) {
    let now = sim.now();
    sim.actor(who, |actor| actor.seen = now);
}

/// One way of them.
pub(crate) fn wait(sim: &Sim, who: usize, client: &mut Client) {
    match sim.chance(|chance| chance.below(16)) {
        0..4 => wait_for_some(sim, who, client),
        4 | 5 => ready(sim, who, client),
        6 => any(sim, who, client),
        7 => sleep(sim, who, client),
        8 => {
            sim.tell_of(who, || "run_any_callbacks".into());
            client.run_any_callbacks();
        }
        9 | 10 => consumer(sim, who, client),
        11 => embed::embed(sim, who, client),
        _ => looped(sim, who, client),
    }
}

fn limit(sim: &Sim) -> Duration {
    sim.chance(|chance| match chance.below(5) {
        0 => Duration::ZERO,
        1 => Duration::from_micros(1 + chance.below(1000) as u64),
        2 | 3 => Duration::from_millis(1 + chance.below(500) as u64),
        _ => Duration::from_millis(chance.below(20_000) as u64),
    })
}

/// Waits for one of those that have not been given out.
fn wait_for_some(sim: &Sim, who: usize, client: &mut Client) {
    let open: Vec<Any> = sim.actor(who, |actor| {
        actor.open().map(|(_, entry)| entry.any).collect()
    });
    if let Some(any) = sim.chance(|chance| chance.one(open)) {
        wait_for(sim, who, client, any);
    }
}

/// A consumer's next delivery: that may never come, so there is a limit.
fn consumer(sim: &Sim, who: usize, client: &mut Client) {
    let live: Vec<Any> = sim.actor(who, |actor| {
        let live = actor.live_consumers().map(|(number, _)| number);
        live.map(|number| actor.promises[&number].any).collect()
    });
    if let Some(any) = sim.chance(|chance| chance.one(live)) {
        for _ in 0..sim.chance(|chance| 1 + chance.below(4)) {
            wait_for(sim, who, client, any);
        }
    }
}

pub(crate) fn wait_for(sim: &Sim, who: usize, client: &mut Client, any: Any) {
    let is_consumer = matches!(any, Any::Delivery(_));
    let limit = (is_consumer || sim.percent(25)).then(|| limit(sim));
    wait_at_most(sim, who, client, any, limit);
}

/// Whether it has come, or failed.
pub(crate) fn wait_at_most(
    sim: &Sim,
    who: usize,
    client: &mut Client,
    any: Any,
    limit: Option<Duration>,
) -> bool {
    let number = any.id().number();
    sim.tell_of(who, || match limit {
        None => format!("wait(#{number})"),
        Some(limit) => format!("wait_timeout(#{number}, {limit:?})"),
    });
    let since = sim.now();
    let result = inside(sim, who, client, |client| any.wait(client, limit));
    judge::wait_ended(sim, who, client, &format!("wait(#{number})"), since, limit);
    judge::waited(sim, who, client, number, result, since, limit)
}

/// `wait_ready` over promises of any type, and then the one that is ready.
fn ready(sim: &Sim, who: usize, client: &mut Client) {
    let some = some_open(sim, who);
    let ids: Vec<_> = some.iter().map(|any| any.id()).collect();
    let numbers: Vec<u64> = ids.iter().map(|id| id.number()).collect();
    sim.tell_of(who, || format!("wait_ready({numbers:?})"));
    let since = sim.now();
    let result = inside(sim, who, client, |client| client.wait_ready(&ids));
    judge::wait_ended(
        sim,
        who,
        client,
        &format!("wait_ready({numbers:?})"),
        since,
        None,
    );
    match result {
        Ok(id) => {
            let any = some.iter().find(|any| any.id() == id);
            judge::holds(any.is_some(), judge::ONE_RESULT, || {
                format!("c{who}: wait_ready({numbers:?}) gave {id}")
            });
            // It is there: this takes no time.
            if let Some(&any) = any {
                wait_at_most(sim, who, client, any, None);
            }
        }
        Err(error) => judge::wait_failed(sim, who, client, &numbers, &error),
    }
}

/// `wait_any` over promises of one type.
fn any(sim: &Sim, who: usize, client: &mut Client) {
    let some = some_open(sim, who);
    let same: Vec<Any> = match some.first() {
        None => Vec::new(),
        Some(first) => {
            let kind = std::mem::discriminant(first);
            let same = some
                .iter()
                .filter(|any| std::mem::discriminant(*any) == kind);
            same.copied().collect()
        }
    };
    let numbers: Vec<u64> = same.iter().map(|any| any.id().number()).collect();
    sim.tell_of(who, || format!("wait_any({numbers:?})"));
    let since = sim.now();
    let result = inside(sim, who, client, |client| Any::wait_any(&same, client));
    judge::wait_ended(
        sim,
        who,
        client,
        &format!("wait_any({numbers:?})"),
        since,
        None,
    );
    match result {
        Ok((id, result)) => {
            judge::waited(sim, who, client, id.number(), result.map(Some), since, None);
        }
        Err(error) => judge::wait_failed(sim, who, client, &numbers, &error),
    }
}

/// Promises that will surely have a result some time.
fn some_open(sim: &Sim, who: usize) -> Vec<Any> {
    let open: Vec<Any> = sim.actor(who, |actor| {
        let sure = actor
            .open()
            .filter(|(_, entry)| entry.asked.kind != Kind::Connect);
        sure.map(|(_, entry)| entry.any).collect()
    });
    sim.chance(|chance| {
        let count = 1 + chance.below(4);
        (0..count)
            .filter_map(|_| chance.one(open.iter().copied()))
            .collect()
    })
}

/// `wait_for_all` of publishes: the results of those before the first error are lost with it, so each is waited for.
pub(crate) fn wait_for_all(sim: &Sim, who: usize, client: &mut Client, promises: &[Promise<()>]) {
    for &promise in promises {
        wait_at_most(sim, who, client, <()>::any(promise), None);
    }
}

fn sleep(sim: &Sim, who: usize, client: &mut Client) {
    let limit = limit(sim);
    sim.tell_of(who, || format!("sleep({limit:?})"));
    let since = sim.now();
    let result = inside(sim, who, client, |client| client.sleep(limit));
    judge::slept(sim, who, client, since, limit, &result);
}

/// Loops, for a while.
fn looped(sim: &Sim, who: usize, client: &mut Client) {
    let limit = limit(sim);
    sim.tell_of(who, || format!("loop_timeout({limit:?})"));
    let since = sim.now();
    let result = inside(sim, who, client, |client| client.loop_timeout(limit));
    tell_end(sim, who, &result);
    judge::looped(sim, who, client, since, Some(limit), &result);
}

pub(crate) fn tell_end(sim: &Sim, who: usize, result: &Result<()>) {
    match result {
        Ok(()) => sim.tell_of(who, || "the loop ends".into()),
        Err(error) => sim.tell_of(who, || format!("the loop ends: {error}")),
    }
}

/// What says nothing of a promise, but of the wait.
pub(crate) fn is_of_the_wait(error: &Error) -> bool {
    matches!(
        error,
        Error::UnreadDeliveries(_)
            | Error::Poll(_)
            | Error::WaitsForever(_)
            | Error::HandledByCallback
    )
}
