//! What a program does with the deliveries that it holds.

use puka::{Client, Error, Requeue};

use super::super::actor::{Actor, Held};
use super::super::judge;
use super::super::ledger::Ledger;
use super::super::sim::Sim;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Ack,
    AckMultiple,
    Reject(Requeue),
    Nack(Requeue),
    NackMultiple(Requeue),
    /// It stays unsettled.
    Drop,
}

impl How {
    fn is_multiple(self) -> bool {
        matches!(self, Self::AckMultiple | Self::NackMultiple(_))
    }

    fn gives_back(self) -> bool {
        matches!(
            self,
            Self::Reject(Requeue::Yes)
                | Self::Nack(Requeue::Yes)
                | Self::NackMultiple(Requeue::Yes)
        )
    }
}

const HOWS: &[(usize, How)] = &[
    (60, How::Ack),
    (8, How::AckMultiple),
    (8, How::Reject(Requeue::Yes)),
    (4, How::Reject(Requeue::No)),
    (8, How::Nack(Requeue::Yes)),
    (4, How::Nack(Requeue::No)),
    (4, How::NackMultiple(Requeue::Yes)),
    (2, How::NackMultiple(Requeue::No)),
    (2, How::Drop),
];

/// Settles one, or some.
pub(crate) fn settle(sim: &Sim, who: usize, client: &mut Client) {
    for _ in 0..sim.chance(|chance| 1 + chance.below(4)) {
        let (held, how) = {
            let mut state = sim.state();
            let state = &mut *state;
            let held = &mut state.actors[who].held;
            if held.is_empty() {
                return;
            }
            let index = state.chance.below(held.len());
            (held.remove(index), state.chance.weighted(HOWS))
        };
        settle_one(sim, who, client, held, how);
    }
}

/// Acknowledges all.
pub(crate) fn settle_all(sim: &Sim, who: usize, client: &mut Client) {
    let all = sim.actor(who, |actor| std::mem::take(&mut actor.held));
    for held in all {
        settle_one(sim, who, client, held, How::Ack);
    }
}

fn settle_one(sim: &Sim, who: usize, client: &mut Client, held: Held, how: How) {
    if how == How::Drop {
        return sim.actor(who, |actor| actor.left.push(held));
    }
    let Held {
        delivery,
        queue,
        message,
        is_shaky,
    } = held;
    let is_stale = client.is_stale(&delivery);
    let (promise, tag) = (delivery.promise().number(), delivery.delivery_tag());
    sim.tell_of(who, || {
        format!("{how:?} of delivery {tag} of #{promise}, stale: {is_stale}")
    });
    let with_it = if how.is_multiple() {
        sim.actor(who, |actor| with_it(&*actor, &*client, promise, tag))
    } else {
        Vec::new()
    };
    let result = match how {
        How::Ack => client.basic_ack(delivery),
        How::AckMultiple => client.basic_ack_multiple(delivery),
        How::Reject(requeue) => client.basic_reject(delivery, requeue),
        How::Nack(requeue) => client.basic_nack(delivery, requeue),
        How::NackMultiple(requeue) => client.basic_nack_multiple(delivery, requeue),
        How::Drop => Ok(()),
    };
    judge::settlement(sim, who, client, (promise, tag), is_stale, &result);
    if result.is_err() || is_stale {
        return;
    }
    let mut state = sim.state();
    let state = &mut *state;
    let actor = &mut state.actors[who];
    for (queue, message) in [(queue, message)].into_iter().chain(with_it) {
        let how = (how, is_shaky);
        note(actor, &mut state.ledger, who, how, &queue, message);
    }
}

/// Those before it, of the same promise: they are settled with it.
fn with_it(actor: &Actor, client: &Client, promise: u64, tag: u64) -> Vec<(String, Option<u64>)> {
    let is_before = |held: &&Held| {
        let (of, its) = (
            held.delivery.promise().number(),
            held.delivery.delivery_tag(),
        );
        of == promise && its < tag && !client.is_stale(&held.delivery)
    };
    let before = actor.held.iter().chain(&actor.left).filter(is_before);
    before
        .map(|held| (held.queue.clone(), held.message))
        .collect()
}

fn note(
    actor: &Actor,
    ledger: &mut Ledger,
    who: usize,
    (how, is_shaky): (How, bool),
    queue: &str,
    message: Option<u64>,
) {
    let Some(seen) = message.and_then(|id| ledger.seen(id, queue)) else {
        return;
    };
    if how.gives_back() {
        seen.returns += 1;
    } else {
        seen.done += 1;
        if !is_shaky {
            seen.done_by.push((who, actor.breaks()));
        }
    }
}

/// Whether nothing was settled, and why that is right.
pub(crate) fn is_excused(error: &Error) -> bool {
    matches!(error, Error::AlreadySettled(_) | Error::StaleDelivery(_))
}
