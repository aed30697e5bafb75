//! What is left in a driver, and how much it holds: for simulations, which look for what nobody has thought of.

use super::Driver;
use crate::connection::Connection;

impl<C> Driver<C> {
    /// Tables, timers and buffers that are not empty, where the connection is over and all results were asked for; and what
    /// was in the tables of connections that were over before.
    pub(crate) fn leftovers(&self) -> Vec<&'static str> {
        let mut left = self.left.clone();
        left.extend(self.promises.leftovers());
        let own = [
            ("a connection", self.connection.is_some()),
            ("a look-up", self.lookup.is_some()),
            ("a deadline", self.deadline.is_some()),
            ("notices", self.wants_notices && !self.notices.is_empty()),
            ("something to write", self.has_unsent()),
            ("a timer", self.next_timeout().is_some()),
        ];
        let full = own.into_iter().filter(|(_, is_full)| *is_full);
        left.extend(full.map(|(name, _)| name));
        left
    }

    /// Bytes of deliveries that nobody has read: those of which the broker sends ever more, those of consumers that have
    /// ended, and those that gates hold.
    pub(crate) fn unread(&self) -> [usize; 3] {
        let held = self.connection.as_ref().map_or(0, Connection::held);
        [
            self.unread_bytes(),
            self.promises.backlog().ended_bytes,
            held,
        ]
    }
}
