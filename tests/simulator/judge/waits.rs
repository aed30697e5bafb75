//! No wait that nothing can end, and none that ends too late; what the wait itself says.

use std::time::Duration;

use puka::{Client, Error, Result};

use super::super::actor::Kind;
use super::super::acts::waits::{is_of_the_wait, tell_end};
use super::super::answer::Value;
use super::super::sim::Sim;
use super::super::world;
use super::{NO_ENDLESS_WAIT, ONE_RESULT, holds, result};

/// Longer than any trouble of this world, and recovery, and a broker that one request after another ends: whatever takes
/// longer would take for ever.
const LONG: Duration = Duration::from_secs(2 * 3600);

/// How late a limit may be seen: somebody else's callback may work.
const LATE: Duration = Duration::from_secs(1);

/// A wait has ended.
pub(crate) fn wait_ended(
    sim: &Sim,
    who: usize,
    _: &Client,
    what: &str,
    since: Duration,
    limit: Option<Duration>,
) {
    let took = sim.now().saturating_sub(since);
    let most = limit.map_or(LONG, |limit| limit + LATE);
    // A callback that works, or waits itself, takes its time, whatever the limit.
    let works: Duration = {
        let state = sim.state();
        let actors = state.actors.iter();
        actors.map(|actor| actor.worked_since(since)).sum()
    };
    let most = if was_nested(sim, since) {
        50 * LONG
    } else {
        most
    };
    holds(took <= most + works, NO_ENDLESS_WAIT, || {
        format!("c{who}: {what} took {took:?}")
    });
}

/// Whether a callback has waited, or looped, since then.
fn was_nested(sim: &Sim, since: Duration) -> bool {
    let state = sim.state();
    let mut nested = state.actors.iter().filter_map(|actor| actor.nested);
    nested.any(|nested| nested >= since)
}

fn is_endless(error: &Error) -> bool {
    world::is_endless(error)
}

fn is_done_now(sim: &Sim, who: usize, number: u64) -> bool {
    sim.actor(who, |actor| actor.promises[&number].is_done)
}

/// What a wait for one promise gave; whether that is over.
pub(crate) fn waited(
    sim: &Sim,
    who: usize,
    client: &mut Client,
    number: u64,
    waited: Result<Option<Value>>,
    since: Duration,
    limit: Option<Duration>,
) -> bool {
    let Some((is_done, has_callback, kind)) = sim.actor(who, |actor| {
        let entry = actor.promises.get(&number)?;
        Some((entry.is_done, entry.has_callback, entry.asked.kind))
    }) else {
        holds(false, ONE_RESULT, || {
            format!("c{who}: #{number} is nobody's")
        });
        return true;
    };
    match waited {
        Ok(None) => {
            let took = sim.now().saturating_sub(since);
            let is_up = limit.is_some_and(|limit| took >= limit);
            holds(is_up, NO_ENDLESS_WAIT, || {
                format!(
                    "c{who}: the wait for #{number} ended after {took:?}, and its limit is {limit:?}"
                )
            });
            false
        }
        // In its own callback a consumer gives what comes next.
        Ok(Some(Value::Delivery(delivery))) => {
            result(sim, who, client, number, Ok(Value::Delivery(delivery)));
            false
        }
        // Its callback has had it, and this is a copy.
        Ok(Some(value)) if has_callback => {
            let is_copy = !matches!(value, Value::Got(Some(_)));
            holds(is_copy && is_done, ONE_RESULT, || {
                format!("c{who}: #{number} has a callback, and the wait gave {value:?}")
            });
            true
        }
        Ok(Some(value)) => {
            result(sim, who, client, number, Ok(value));
            kind != Kind::Consumer
        }
        Err(Error::HandledByCallback) => {
            holds(has_callback, ONE_RESULT, || {
                format!("c{who}: #{number} has no callback")
            });
            kind != Kind::Consumer
        }
        // It was given out before: in a callback that ran in this wait, perhaps.
        Err(Error::UnknownPromise(id)) if id.number() == number => {
            let is_done = sim.actor(who, |actor| actor.promises[&number].is_done);
            holds(is_done, ONE_RESULT, || {
                format!("c{who}: #{number} is lost: it never had a result")
            });
            true
        }
        Err(error) if is_of_the_wait(&error) => {
            wait_failed(sim, who, client, &[number], &error);
            false
        }
        Err(error) if has_callback && kind == Kind::Consumer && !is_done_now(sim, who, number) => {
            result(sim, who, client, number, Err(error));
            true
        }
        Err(error) if has_callback => {
            let is_done = sim.actor(who, |actor| actor.promises[&number].is_done);
            holds(is_done, ONE_RESULT, || {
                format!("c{who}: #{number} has a callback, and the wait alone was told {error}")
            });
            true
        }
        Err(error) => {
            result(sim, who, client, number, Err(error));
            true
        }
    }
}

/// A wait for some promises has failed, not they.
pub(crate) fn wait_failed(sim: &Sim, who: usize, client: &Client, numbers: &[u64], error: &Error) {
    sim.tell_of(who, || format!("the wait for {numbers:?} fails: {error}"));
    let (mark, all_done, all_consumers) = sim.actor(who, |actor| {
        let entries: Vec<_> = numbers
            .iter()
            .map(|number| &actor.promises[number])
            .collect();
        let all_consumers = entries
            .iter()
            .all(|entry| entry.asked.kind == Kind::Consumer);
        (
            actor.chosen.unread_mark,
            entries.iter().all(|entry| entry.is_done),
            all_consumers,
        )
    });
    match error {
        Error::UnreadDeliveries(_) => {
            let unread = world::audit(client).unread_bytes;
            holds(unread > 0 && unread >= mark, ONE_RESULT, || {
                format!(
                    "c{who}: {unread} bytes are unread, its mark is {mark}, and a wait ends for that"
                )
            });
        }
        Error::InvalidArgument(_) => holds(numbers.is_empty(), ONE_RESULT, || {
            format!("c{who}: a wait for {numbers:?}: {error}")
        }),
        Error::UnknownPromise(_) => holds(all_done, ONE_RESULT, || {
            format!("c{who}: of {numbers:?} some are open, and a wait says: {error}")
        }),
        error if is_endless(error) => holds(
            all_consumers && !numbers.is_empty(),
            NO_ENDLESS_WAIT,
            || format!("c{who}: the wait for {numbers:?}: {error}"),
        ),
        error => holds(false, NO_ENDLESS_WAIT, || {
            format!("c{who}: the wait for {numbers:?}: {error}")
        }),
    }
}

/// `sleep` is over.
pub(crate) fn slept(
    sim: &Sim,
    who: usize,
    client: &Client,
    since: Duration,
    limit: Duration,
    slept: &Result<()>,
) {
    wait_ended(sim, who, client, "sleep", since, Some(limit));
    let took = sim.now().saturating_sub(since);
    match slept {
        Ok(()) => holds(took >= limit, NO_ENDLESS_WAIT, || {
            format!("c{who}: a sleep of {limit:?} took {took:?}")
        }),
        Err(error) => {
            tell_end(sim, who, &Err(error.clone()));
            let is_end = !client.is_active() && !is_endless(error);
            holds(is_end, NO_ENDLESS_WAIT, || {
                format!("c{who}: sleep: {error}")
            });
        }
    }
}

/// A loop is over.
pub(crate) fn looped(
    sim: &Sim,
    who: usize,
    client: &Client,
    since: Duration,
    limit: Option<Duration>,
    looped: &Result<()>,
) {
    wait_ended(sim, who, client, "the loop", since, limit);
    match looped {
        Ok(()) => {}
        // What it was for may have been taken by the jobs that end the loop.
        Err(Error::UnreadDeliveries(bytes)) => {
            let mark = sim.actor(who, |actor| actor.chosen.unread_mark);
            holds(*bytes > 0 && *bytes >= mark, ONE_RESULT, || {
                format!(
                    "c{who}: {bytes} bytes are unread, its mark is {mark}, and the loop ends for that"
                )
            });
        }
        // What was to end it has ended a loop inside of it.
        Err(error) if is_endless(error) => {
            holds(was_nested(sim, since), NO_ENDLESS_WAIT, || {
                format!("c{who}: the loop: {error}")
            });
        }
        Err(error) => holds(!client.is_active(), NO_ENDLESS_WAIT, || {
            format!("c{who}: the loop: {error}")
        }),
    }
}

/// A loop of several clients is over.
pub(crate) fn looped_together(
    sim: &Sim,
    clients: &[Client],
    since: Duration,
    limit: Duration,
    looped_together: &Result<()>,
) {
    let ends = clients.iter().enumerate().map(|(who, client)| {
        wait_ended(sim, who, client, "the loop of all", since, Some(limit));
        !client.is_active()
    });
    let is_reason = ends.fold(false, |any, is_it| any | is_it);
    let marks = sim
        .state()
        .actors
        .iter()
        .map(|actor| actor.chosen.unread_mark)
        .min();
    let least = marks.unwrap_or_default();
    if let Err(Error::UnreadDeliveries(bytes)) = looped_together {
        holds(*bytes >= least, ONE_RESULT, || {
            format!("the loop of all: {bytes} bytes are unread")
        });
    } else if let Err(error) = looped_together {
        holds(is_reason && !is_endless(error), NO_ENDLESS_WAIT, || {
            format!("the loop of all: {error}")
        });
    }
}
