//! The client in an event loop of the program's own: one that tells levels, and one that tells changes only.

use std::time::Duration;

use puka::Client;

use super::super::judge;
use super::super::sim::Sim;
use super::super::world;
use super::waits;

/// More turns than that without time passing are a loop that does nothing.
const TURNS: usize = 50_000;

pub(crate) fn embed(sim: &Sim, who: usize, client: &mut Client) {
    let (tells_edges, limit) = sim.chance(|chance| {
        let limit = Duration::from_millis(chance.below(8000) as u64);
        (chance.percent(50), limit)
    });
    sim.tell_of(who, || {
        let how = if tells_edges { "edges" } else { "levels" };
        format!("a loop of its own, which tells {how}, for {limit:?}")
    });
    let until = sim.now() + limit;
    waits::inside(sim, who, client, |client| {
        let mut last = (sim.now(), 0);
        while client.is_active() && sim.now() < until {
            turn(sim, who, client, tells_edges, until);
            last = if last.0 == sim.now() {
                (last.0, last.1 + 1)
            } else {
                (sim.now(), 0)
            };
            judge::holds(last.1 < TURNS, judge::NO_ENDLESS_WAIT, || {
                format!("c{who}: a loop of the program's own turns for ever")
            });
        }
        client.run_any_callbacks();
    });
}

/// As examples/bare_poll.rs does it, and as the documentation does.
fn turn(sim: &Sim, who: usize, client: &mut Client, tells_edges: bool, until: Duration) {
    client.run_any_callbacks();
    if tells_edges {
        client.on_write();
    }
    if !client.is_active() {
        return;
    }
    let rest = until.saturating_sub(sim.now());
    let timeout = client
        .next_timeout()
        .map_or(rest, |timeout| timeout.min(rest));
    let (readable, writable) = world::poll(&sim.broker, client, tells_edges, timeout);
    if readable {
        client.on_read();
    }
    if writable {
        client.on_write();
    }
    client.on_timeout();
    waits::leave(sim, who);
}
