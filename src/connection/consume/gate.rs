//! What a consumer's gate holds back, and what all gates hold: the deliveries that the program may not have yet, for they
//! are beyond the prefetch, or came after it had cancelled.
//!
//! As a rule the broker bounds them: it sends each queue's consumer no more than its prefetch. It does not where the
//! consumer began without one (an exclusive one cannot be replaced), or where it keeps no rule. Then they count as deliveries
//! that nobody has read, and reading pauses. A consumer that is being cancelled, or replaced, waits for an answer that is behind
//! what is on its way to it: there reading goes on, and what is too much is dropped, to go back to its queue after the answer.

use std::collections::VecDeque;

use crate::connection::Connection;
use crate::connection::channels::{Channel, Expect, Role};
use crate::connection::consume::consumer::Consumer;
use crate::types::message::Delivery;

/// What one gate holds back, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Held {
    deliveries: VecDeque<Box<Delivery>>,
    bytes: usize,
    /// What of them is in the account of all.
    counted: Account,
}

/// What some gates hold, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// All of it.
    held: usize,
    /// What the broker sends without a bound.
    unbounded: usize,
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
    fn replace(&mut self, old: Self, new: Self) {
        self.held = self.held - old.held + new.held;
        self.unbounded = self.unbounded - old.unbounded + new.unbounded;
    }

    /// Whether there is nothing.
    #[cfg(test)]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Whether the consumer waits for an answer, behind what is on its way to it.
fn awaits_answer(consumer: &Consumer, channel_expects: &VecDeque<Expect>) -> bool {
    let is_replaced = |expect: &Expect| matches!(expect, Expect::Replaced(_));
    consumer.ending.is_some() || channel_expects.iter().any(is_replaced)
}

impl Channel {
    /// Whether more may come yet that goes back to its queue.
    pub(crate) fn is_collecting(&self) -> bool {
        match &self.role {
            Role::Consumer(consumer) => awaits_answer(consumer, &self.expect),
            Role::Returning(_) => true,
            _ => false,
        }
    }
}

impl Connection {
    /// Bytes of deliveries that are held back, and of which the broker sends more without a bound.
    pub(crate) fn unbounded_held(&self) -> usize {
        self.gates.unbounded
    }

    /// Holds a delivery back; or drops it, to go back to its queue: there is too much already.
    pub(crate) fn hold_back(&mut self, number: u16, delivery: Box<Delivery>) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return;
        };
        if self.gates.held >= self.config.options.unread_high_water_mark
            && awaits_answer(consumer, &channel.expect)
        {
            let tag = delivery.origin.tag;
            let is_kept = channel.role.keeps(tag);
            return channel.unsettled.give_up([(tag, is_kept)].into_iter());
        }
        consumer.held.push(delivery);
        self.count_held(number);
    }

    /// Brings the account up to date, after a change of what a consumer's gate holds, or of what bounds it.
    pub(crate) fn count_held(&mut self, number: u16) {
        let Some(Channel {
            role: Role::Consumer(consumer),
            expect,
            unsettled,
            ..
        }) = self.channels.get_mut(number)
        else {
            return;
        };
        if consumer.held.is_empty() && consumer.held.counted == Account::default() {
            return;
        }
        let is_bounded = awaits_answer(consumer, expect)
            || consumer
                .allowed
                .is_some_and(|allowed| unsettled.len() <= allowed);
        let held = consumer.held.bytes;
        let new = Account {
            held,
            unbounded: if is_bounded { 0 } else { held },
        };
        let old = std::mem::replace(&mut consumer.held.counted, new);
        self.gates.replace(old, new);
    }

    /// The account is what the gates hold.
    #[cfg(test)]
    pub(crate) fn check_gates(&self) {
        let mut sum = Account::default();
        for (_, channel) in self.channels.open_channels() {
            if let Role::Consumer(consumer) = &channel.role {
                let deliveries = consumer.held.deliveries.iter();
                let bytes: usize = deliveries.map(|delivery| delivery.bytes()).sum();
                assert_eq!(
                    (consumer.held.bytes, consumer.held.counted.held),
                    (bytes, bytes)
                );
                sum.replace(Account::default(), consumer.held.counted);
            }
        }
        assert_eq!(self.gates, sum);
    }

    /// Takes what a consumer's gate holds off the account: the consumer is no more, or has lost its channel.
    pub(crate) fn discount_held(&mut self, consumer: &mut Consumer) {
        let old = std::mem::take(&mut consumer.held.counted);
        self.gates.replace(old, Account::default());
    }
}
