//! What is held is within the marks, by bytes, whatever it is.

use puka::Client;

use super::super::sim::Sim;
use super::super::world;
use super::{MEMORY, holds};

/// One message, however large, and what a read brings at once, may be beyond a mark.
const BEYOND: usize = 1024 * 1024;

pub(super) fn is_within_the_marks(sim: &Sim, who: usize, client: &Client) {
    let chosen = sim.actor(who, |actor| actor.chosen.clone());
    let audit = world::audit(client);
    let (buffered, unread) = (client.buffered(), audit.unread_bytes);
    // Who does not let publishes make room looks after that himself.
    holds(
        !chosen.blocking_publish
            || buffered <= chosen.high_water_mark + chosen.unread_mark + BEYOND,
        MEMORY,
        || {
            format!(
                "c{who} holds {buffered} bytes of publishes, and its mark is {}",
                chosen.high_water_mark
            )
        },
    );
    for (bytes, what) in [
        (unread, "deliveries"),
        (audit.ended_bytes, "deliveries of consumers that have ended"),
        (audit.held_bytes, "deliveries that are held back"),
    ] {
        holds(bytes <= chosen.unread_mark + BEYOND, MEMORY, || {
            format!(
                "c{who} holds {bytes} bytes of {what}, and its mark is {}",
                chosen.unread_mark
            )
        });
    }
}
