//! Whether the program is here, as far as heartbeats need it, and who sends them while it is not.

use std::time::{Duration, Instant};

use super::Driver;
use crate::types::error::Disconnect;

/// When the program was here last, if there are heartbeats to be sent.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    last: Option<Instant>,
    /// For how long it was away, if that was too long, and when it came back.
    away: Option<(Duration, Instant)>,
}

impl Presence {
    /// For how long the program was away lately. What the broker makes of that shows within a heartbeat.
    fn away(&self, heartbeat: Duration, now: Instant) -> Option<Duration> {
        let (away, since) = self.away?;
        (now < since + heartbeat).then_some(away)
    }
}

impl<C> Driver<C> {
    /// Has heartbeats sent while the program is elsewhere, if it wants that.
    pub(super) fn keep(&mut self) {
        let heartbeat = self.heartbeat();
        self.presence = Presence {
            last: heartbeat.map(|_| self.now()),
            away: None,
        };
        let idle = !self.has_unsent();
        if let Some(heartbeat) = heartbeat.filter(|_| self.options.background_heartbeats)
            && let Err(error) = self.reactor.keep(heartbeat / 2, idle)
        {
            log::warn!("there is no thread to keep the connection: {error}");
        }
    }

    /// The interval that was agreed on.
    fn heartbeat(&self) -> Option<Duration> {
        let connected = self.connection.as_ref()?.connected()?;
        (connected.heartbeat > 0).then(|| Duration::from_secs(connected.heartbeat.into()))
    }

    /// The program is here. For how long it was elsewhere is noted, too.
    pub(crate) fn note_presence(&mut self) {
        if let Some(last) = self.presence.last {
            let now = self.world.now();
            let away = now.saturating_duration_since(last);
            if self
                .heartbeat()
                .is_some_and(|heartbeat| away > 2 * heartbeat)
            {
                self.presence.away = Some((away, now));
            }
            self.presence.last = Some(now);
        }
    }

    /// The program has slept here.
    pub(super) fn note_sleep(&mut self) {
        if let Some(last) = &mut self.presence.last {
            *last = self.world.now();
        }
    }

    /// Why the peer has gone, as far as the program's absence may have to do with it.
    pub(super) fn explain(&self, why: Disconnect) -> Disconnect {
        match self.heartbeat() {
            Some(interval) if why.is_by_peer() && !self.options.background_heartbeats => {
                match self.presence.away(interval, self.now()) {
                    Some(away) => Disconnect::ProgramAway { away, interval },
                    None => why,
                }
            }
            _ => why,
        }
    }
}
