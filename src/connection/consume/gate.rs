//! What a consumer's gate holds back, and what all gates hold: the deliveries that the program may not have yet, for they
//! are beyond the prefetch, or came after it had cancelled.
//!
//! As a rule the broker bounds them: it sends each queue's consumer no more than its prefetch. It does not where the
//! consumer began without one (an exclusive one cannot be replaced), or where it keeps no rule. Then they count as deliveries
//! that nobody has read, and reading pauses. A consumer that is being cancelled, or replaced, waits for an answer that is behind
//! what is on its way to it: there reading goes on, and what is too much is dropped, to go back to its queue after the answer.

use std::collections::VecDeque;

use crate::types::message::Delivery;

/// What one gate holds back, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) deliveries: VecDeque<Box<Delivery>>,
    pub(crate) bytes: usize,
    /// What of them is in the account of all.
    pub(crate) counted: Account,
}

/// What some gates hold, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// All of it.
    pub(crate) held: usize,
    /// What the broker sends without a bound.
    pub(crate) unbounded: usize,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    pub(crate) fn push(&mut self, delivery: Box<Delivery>) {
        self.bytes += delivery.bytes();
        self.deliveries.push_back(delivery);
    }

    pub(crate) fn pop(&mut self) -> Option<Box<Delivery>> {
        let delivery = self.deliveries.pop_front()?;
        self.bytes -= delivery.bytes();
        Some(delivery)
    }

    pub(crate) fn clear(&mut self) {
        self.deliveries.clear();
        self.bytes = 0;
    }
}

impl Account {
    pub(crate) fn replace(&mut self, old: Self, new: Self) {
        self.held = self.held - old.held + new.held;
        self.unbounded = self.unbounded - old.unbounded + new.unbounded;
    }

    /// Whether there is nothing.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}
