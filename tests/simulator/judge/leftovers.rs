//! At the end nothing is left: in tables, buffers, timers; no connection that nobody knows of.

use puka::Client;

use super::super::world;
use super::{NOTHING_LEFT, holds};

/// The client is closed, and all promises have been waited for.
pub(crate) fn nothing_is_left(who: usize, client: &Client) {
    let audit = world::audit(client);
    holds(audit.left.is_empty(), NOTHING_LEFT, || {
        format!("c{who}: {:?}", audit.left)
    });
    holds(client.buffered() == 0, NOTHING_LEFT, || {
        format!("c{who}: {} bytes of publishes", client.buffered())
    });
    holds(client.next_timeout().is_none(), NOTHING_LEFT, || {
        format!("c{who}: a timer in {:?}", client.next_timeout())
    });
    holds(!client.needs_write(), NOTHING_LEFT, || {
        format!("c{who}: something to write")
    });
}
