//! The judge: what must hold whatever happens, each rule with its sentence.

mod deliveries;
mod heartbeats;
mod innocents;
mod leftovers;
mod memory;
mod results;
mod sleep;
mod truth;
mod waits;

use puka::{Client, ConnectionEvent};

use super::sim::Sim;

pub(crate) use deliveries::settlement;
pub(crate) use leftovers::nothing_is_left;
pub(crate) use results::result;
pub(crate) use truth::claims_are_true;
pub(crate) use waits::{looped, looped_together, slept, wait_ended, wait_failed, waited};

pub(crate) const NO_SLEEP: &str = "no sleep while something could go on";
pub(crate) const NO_ENDLESS_WAIT: &str =
    "no wait that nothing can end, unless the program asked for it";
pub(crate) const NO_HEARTBEAT_MISSED: &str =
    "no heartbeat missed by a program that calls anything often enough, or has a keeper";
pub(crate) const ONE_RESULT: &str = "every promise has one result, and it is true";
pub(crate) const INNOCENTS: &str =
    "what one request does to the connection costs nobody else his result";
pub(crate) const MEMORY: &str = "what is held is within the marks";
pub(crate) const NOTHING_LEFT: &str = "at the end nothing is left";

/// A rule, and what breaks it.
pub(crate) fn holds(does: bool, rule: &str, what: impl FnOnce() -> String) {
    assert!(does, "{rule}: {}", what());
}

/// After each call that sees to a connection.
pub(crate) fn step(sim: &Sim, who: usize, client: &Client) {
    let is_kept = client.is_connected() && !client.needs_write();
    sim.actor(who, |actor| actor.is_kept = actor.chosen.keeper && is_kept);
    if !client.is_active() {
        // What it has settled since it was lost the broker never heard.
        sim.actor(who, |actor| actor.losses += 1);
    }
    sleep::nobody_slept_over_something(sim);
    heartbeats::none_is_missed(sim);
    memory::is_within_the_marks(sim, who, client);
}

/// The client tells what becomes of its connection.
pub(crate) fn event(sim: &Sim, who: usize, event: &ConnectionEvent) {
    heartbeats::none_is_missed(sim);
    let now = sim.now();
    let troubles = {
        let mut state = sim.state();
        if let ConnectionEvent::Lost(_) = event {
            state.actors[who].losses += 1;
            state.actors[who].noticed = now;
            state.figures.losses += 1;
        }
        state.actors[who].troubles
    };
    if let ConnectionEvent::GivenUp(_) = event {
        sim.actor(who, |actor| actor.has_given_up = true);
    }
    if let ConnectionEvent::Lost(error) = event {
        holds(troubles > 0, INNOCENTS, || {
            format!("c{who} has lost its connection, and nothing had happened to it: {error}")
        });
    }
}
