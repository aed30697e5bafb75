//! The times when the broker takes no messages ([connection.blocked](https://www.rabbitmq.com/docs/connection-blocked)).
//!
//! A broker that blocks a connection reads nothing from it. Publishes made meanwhile are held back in `early`, and
//! written when it is over; the user may set a limit to that.

use std::time::Instant;

use crate::connection::Connection;
use crate::connection::event::Event;
use crate::types::error::Error;
use crate::types::recovery::ConnectionEvent;
use crate::types::text::Printable;

#[derive(Debug)]
pub(crate) struct Blocked {
    pub(crate) reason: String,
    since: Instant,
    /// Publishes wait no longer.
    expired: bool,
}

impl Connection {
    pub(crate) fn block(&mut self, reason: String, now: Instant) {
        log::warn!(
            "the broker takes no messages for now: {}",
            Printable(&reason)
        );
        let blocked = self.blocked.get_or_insert(Blocked {
            reason: String::new(),
            since: now,
            expired: false,
        });
        blocked.reason.clone_from(&reason);
        self.events
            .push_back(Event::Notice(ConnectionEvent::Blocked(reason)));
    }

    pub(crate) fn unblock(&mut self) {
        if self.blocked.take().is_none() {
            return;
        }
        log::warn!("the broker takes messages again");
        self.events
            .push_back(Event::Notice(ConnectionEvent::Unblocked));
        self.go_on_publishing();
    }

    /// Why publishes fail at once, if they do.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let blocked = self.blocked.as_ref().filter(|blocked| blocked.expired)?;
        Some(Error::Blocked(blocked.reason.clone()))
    }

    /// When publishes have waited for long enough.
    pub(crate) fn blocked_deadline(&self) -> Option<Instant> {
        let blocked = self.blocked.as_ref().filter(|blocked| !blocked.expired)?;
        blocked
            .since
            .checked_add(self.config.options.blocked_timeout?)
    }

    pub(crate) fn expire_blocked(&mut self) {
        if self
            .blocked_deadline()
            .is_none_or(|deadline| self.now < deadline)
        {
            return;
        }
        if let Some(blocked) = &mut self.blocked {
            blocked.expired = true;
        }
        let Some(error) = self.refusal() else {
            return;
        };
        self.abandon_publishes(&error);
        self.fail_early(&error);
    }
}
