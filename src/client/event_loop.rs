//! Looping: over one client, or several.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::Client;
use crate::driver::{poll_failed, waiting_for};
use crate::net::group::Group;
use crate::types::error::{Error, Result};

impl Client {
    /// Runs callbacks, and waits for more, until a callback calls [`loop_break`](Self::loop_break) or the client is
    /// closed. (puka's `loop`, which is a word of Rust's.)
    ///
    /// # Errors
    /// The connection's end, once all callbacks have been told of it and none has connected anew:
    /// [`Error::ConnectionBroken`], the broker's word, or [`Error::NotConnected`] if there never was one.
    /// [`Error::UnreadDeliveries`] of consumers without a callback, [`Error::Poll`].
    pub fn loop_forever(&mut self) -> Result<()> {
        loop_until(&mut [self], None)
    }

    /// [`loop_forever`](Self::loop_forever), but not for longer than `timeout`.
    ///
    /// # Errors
    /// Those of [`loop_forever`](Self::loop_forever).
    pub fn loop_timeout(&mut self, timeout: Duration) -> Result<()> {
        let until = self.driver.now().checked_add(timeout);
        loop_until(&mut [self], until)
    }

    /// Ends the innermost loop that runs, as soon as the callback that calls this returns. What is ready stays for the
    /// next loop or wait. Where no loop runs it does nothing, as in puka.
    pub fn loop_break(&mut self) {
        self.is_broken = true;
    }

    /// Why a loop would wait in vain; `None` if it would not.
    fn idle(&self) -> Option<Result<()>> {
        if self.driver.is_active() || self.has_work() {
            return None;
        }
        Some(match &self.driver.last_error {
            None => Err(Error::NotConnected),
            Some(Error::Closed) => Ok(()),
            Some(error) => Err(error.clone()),
        })
    }
}

/// [`Client::loop_forever`] over several clients at once: until one of them calls [`Client::loop_break`], or none has
/// anything left to wait for. (puka's `puka.loop([c1, c2])`.)
///
/// # Errors
/// The end of a client's connection, once its callbacks have been told of it and none has connected anew; the other
/// clients can go on in a further call. [`Error::Poll`].
pub fn loop_forever(clients: &mut [&mut Client]) -> Result<()> {
    loop_until(clients, None)
}

/// [`loop_forever`], but not for longer than `timeout`.
///
/// # Errors
/// Those of [`loop_forever`].
pub fn loop_timeout(clients: &mut [&mut Client], timeout: Duration) -> Result<()> {
    let now = clients.first().map(|client| client.driver.now());
    loop_until(clients, now.and_then(|now| now.checked_add(timeout)))
}

fn loop_until(clients: &mut [&mut Client], until: Option<Instant>) -> Result<()> {
    let mut outer = Vec::with_capacity(clients.len());
    for client in &mut *clients {
        // A break is of the loop around the callback that asks for it, whatever loop that callback runs itself.
        let is_outer_broken = std::mem::take(&mut client.is_broken) && client.loops > 0;
        outer.push(is_outer_broken);
        client.is_broken = client.loops == 0 && std::mem::take(&mut client.is_next_broken);
        client.loops += 1;
    }
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let result = run_loop(clients, until);
        for client in &mut *clients {
            // What other threads asked for before they asked for the end, and acknowledgements of the last callbacks,
            // must get out, too.
            client.finish_jobs();
            client.driver.flush();
        }
        result
    }));
    for (client, is_broken) in clients.iter_mut().zip(outer) {
        client.is_broken = is_broken;
        // A callback may have put another client in the place of this one.
        client.loops = client.loops.saturating_sub(1);
    }
    ran.unwrap_or_else(|panic| resume_unwind(panic))
}

fn run_loop(clients: &mut [&mut Client], until: Option<Instant>) -> Result<()> {
    let mut group = match clients {
        [_] => None,
        _ => Some(
            Group::new(clients.iter_mut().map(|client| &mut client.driver.reactor))
                .map_err(poll_failed)?,
        ),
    };
    let mut turned = false;
    loop {
        for client in &mut *clients {
            client.run_batch();
            if client.is_broken {
                return Ok(());
            }
        }
        // At least one turn: a loop without time, or whose callbacks take all of it, still looks at sockets and timers.
        // One clock is theirs all.
        let now = || clients.first().map(|client| client.driver.now());
        if turned && until.is_some_and(|until| now().is_some_and(|now| now >= until)) {
            return Ok(());
        }
        turned = true;
        if are_idle(clients)? {
            return Ok(());
        }
        let has_work = clients.iter().any(|client| client.has_work());
        if !has_work {
            clients
                .iter()
                .try_for_each(|client| client.driver.check_unread())?;
        }
        let until = if has_work { now() } else { until };
        match (&mut group, &mut *clients) {
            (None, [client]) => client
                .driver
                .turn_in_loop(client.wants_more(), until)
                .map_err(waiting_for("in a loop"))?,
            (Some(group), clients) => {
                turn_all(group, clients, until)
                    .map_err(waiting_for("in a loop over several clients"))?;
            }
            (None, _) => return Ok(()),
        }
    }
}

/// Whether all of them would wait in vain; an error if one does for a reason.
fn are_idle(clients: &[&mut Client]) -> Result<bool> {
    let mut all = true;
    for client in clients {
        match client.idle() {
            Some(ended) => ended?,
            None => all = false,
        }
    }
    Ok(all)
}

/// One turn of every client; it sleeps until one of them has something to do.
fn turn_all(group: &mut Group, clients: &mut [&mut Client], until: Option<Instant>) -> Result<()> {
    let mut wake = until;
    for client in &mut *clients {
        client.driver.flush();
        let own = client.driver.fall_asleep(until, true);
        wake = [wake, own].into_iter().flatten().min();
    }
    let reactors = clients.iter_mut().map(|client| &mut client.driver.reactor);
    group.poll(reactors, wake).map_err(poll_failed)?;
    for client in clients {
        let reads = client.wants_more();
        client.driver.after_poll(reads);
    }
    Ok(())
}
