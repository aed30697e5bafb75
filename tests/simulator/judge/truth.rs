//! At the end, what the programs were told of their messages is held against what the broker has.

use super::super::actor::Actor;
use super::super::ledger::{Claim, Sent};
use super::super::names::CALM;
use super::super::sim::Sim;
use super::super::world::{self, Taken};
use super::{ONE_RESULT, holds, results};

/// All clients are closed, and nothing is under way.
pub(crate) fn claims_are_true(sim: &Sim) {
    let all: Vec<(u64, Sent)> = {
        let state = sim.state();
        state
            .ledger
            .iter()
            .map(|(id, sent)| (id, sent.clone()))
            .collect()
    };
    for (id, sent) in &all {
        let taken = world::taken(sim, *id);
        claim_is_true(sim, *id, sent, taken);
    }
    nothing_is_lost(sim, &all);
}

fn claim_is_true(sim: &Sim, id: u64, sent: &Sent, taken: Taken) {
    let Sent { by, claim, .. } = sent;
    let told = || format!("message {id} of c{by}, {claim:?}: the broker has taken it {taken:?}");
    let may_be_twice = sent.recovers && sim.actor(*by, |actor| actor.troubles > 0);
    holds(taken.count <= 1 || may_be_twice, ONE_RESULT, told);
    let does = match claim {
        Claim::Open | Claim::Unknown => true,
        Claim::Taken if results::is_dropped(sim, id) => true,
        Claim::Taken => taken.count > 0 && (!sent.message.mandatory || taken.routed > 0),
        Claim::NotSent | Claim::Refused => taken.count == 0,
        Claim::NoRoute => taken.routed == 0,
        Claim::Nacked => taken.count == 0,
    };
    holds(does, ONE_RESULT, told);
}

/// In a queue that nobody deletes or empties each message is there, or somebody was done with it.
fn nothing_is_lost(sim: &Sim, all: &[(u64, Sent)]) {
    // There nobody takes anything without acknowledging it.
    let name = CALM[1];
    let there = world::messages(&sim.broker, name);
    let breaks: Vec<u32> = sim.state().actors.iter().map(Actor::breaks).collect();
    let was_restarted = world::was_restarted(sim);
    for (id, sent) in all {
        let is_for_it = sent.exchange.is_empty() && sent.routing_key == name;
        let is_mortal = sent.message.properties.expiration().is_some();
        let is_kept = !was_restarted || sent.message.properties.delivery_mode() == Some(2);
        if !is_for_it || is_mortal || !is_kept {
            continue;
        }
        let seen = sent.seen.get(name).cloned().unwrap_or_default();
        let copies = world::taken(sim, *id).routed;
        let present = there.iter().filter(|&&other| other == *id).count();
        let surely = seen
            .done_by
            .iter()
            .filter(|&&(by, before)| breaks[by] == before);
        let (most, least) = (
            copies.saturating_sub(surely.count()),
            copies.saturating_sub(seen.done as usize),
        );
        holds((least..=most).contains(&present), ONE_RESULT, || {
            format!(
                "message {id} is {present} times in {name:?}: it was taken {copies} times, and a program was done with it \
                 {} times",
                seen.done
            )
        });
    }
}
