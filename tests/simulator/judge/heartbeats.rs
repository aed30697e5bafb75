//! No heartbeat missed by a program that calls anything often enough, or has a keeper.

use std::time::Duration;

use super::super::actor::Actor;
use super::super::sim::Sim;
use super::super::world;
use super::{NO_HEARTBEAT_MISSED, holds};

/// Whoever was thrown out because it said nothing was away for too long.
pub(super) fn none_is_missed(sim: &Sim) {
    for missed in world::missed(&sim.broker) {
        let at = sim.now().saturating_sub(missed.ago);
        let state = sim.state();
        let Some(actor) = state.actors.iter().find(|actor| actor.name == missed.name) else {
            continue;
        };
        // A keeper tries to write only once in half an interval, and only when all else is written.
        let is_excused = actor.chosen.keeper && state.blocks
            || was_away(actor, at, missed.interval)
            || actor.was_hindered(at.saturating_sub(missed.interval * 4));
        let name = missed.name.clone();
        drop(state);
        holds(is_excused, NO_HEARTBEAT_MISSED, || {
            format!(
                "{name} was thrown out at {:?}: it had said nothing for two intervals of {:?}",
                at, missed.interval
            )
        });
        sim.trouble_of(Some(&name));
    }
}

/// Whether it did not call for as long as an interval, lately; or has not since.
fn was_away(actor: &Actor, at: Duration, interval: Duration) -> bool {
    if actor.is_kept {
        return false;
    }
    let is_long = |absence: Duration| absence >= interval;
    let since = at.saturating_sub(interval * 4);
    let mut lately = actor.absences.iter().filter(|(end, _)| *end >= since);
    lately.any(|&(_, absence)| is_long(absence)) || is_long(at.saturating_sub(actor.seen))
}
