//! Deliveries that have come and nobody has taken yet: each consumer's own, and the account of all.

use std::collections::VecDeque;

use crate::types::message::{Delivery, Origin};
use crate::wire::ShortStr;

/// The deliveries of a consumer.
#[derive(Debug)]
pub(crate) struct Inbox {
    deliveries: VecDeque<Box<Delivery>>,
    no_ack: bool,
    /// Where their bytes count.
    account: Account,
}

/// What bounds the deliveries of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    /// The broker sends only so many of them: there is no need to count their bytes.
    Bounded,
    Unbounded,
    /// The consumer is about to be cancelled: what comes yet is what was on its way.
    Ending,
    /// Nothing more comes.
    Ended,
}

/// What is in all inboxes of a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// How many deliveries.
    pub(crate) count: usize,
    /// The bytes of those that the broker sends without a bound.
    pub(crate) unbounded_bytes: usize,
    /// The bytes of those whose consumers are about to end.
    pub(crate) ending_bytes: usize,
    /// The bytes of those whose consumers have ended.
    pub(crate) ended_bytes: usize,
}

impl Backlog {
    fn bytes(&mut self, account: Account) -> Option<&mut usize> {
        match account {
            Account::Bounded => None,
            Account::Unbounded => Some(&mut self.unbounded_bytes),
            Account::Ending => Some(&mut self.ending_bytes),
            Account::Ended => Some(&mut self.ended_bytes),
        }
    }
}

fn account_of(prefetch_count: u16, no_ack: bool) -> Account {
    if prefetch_count > 0 && !no_ack {
        Account::Bounded
    } else {
        Account::Unbounded
    }
}

impl Inbox {
    pub(crate) fn new(prefetch_count: u16, no_ack: bool) -> Self {
        Self {
            deliveries: VecDeque::new(),
            no_ack,
            account: account_of(prefetch_count, no_ack),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    pub(crate) fn push(&mut self, delivery: Box<Delivery>, all: &mut Backlog) {
        all.count += 1;
        if let Some(bytes) = all.bytes(self.account) {
            *bytes += delivery.bytes();
        }
        self.deliveries.push_back(delivery);
    }

    pub(crate) fn pop(&mut self, all: &mut Backlog) -> Option<Box<Delivery>> {
        let delivery = self.deliveries.pop_front()?;
        all.count -= 1;
        if let Some(bytes) = all.bytes(self.account) {
            *bytes -= delivery.bytes();
        }
        Some(delivery)
    }

    pub(crate) fn clear(&mut self, all: &mut Backlog) {
        while self.pop(all).is_some() {}
    }

    /// Takes out what came with acks, for the consumer is cancelled: it goes back to its queue. But what came of these tags,
    /// whose queues are no more, stays to be read.
    pub(crate) fn take_unread(&mut self, gone: &[ShortStr], all: &mut Backlog) -> Vec<Origin> {
        let mut unread = Vec::with_capacity(self.deliveries.len());
        for _ in 0..self.deliveries.len() {
            let Some(mut delivery) = self.pop(all) else {
                break;
            };
            unread.push(delivery.origin);
            if gone.contains(&delivery.consumer_tag) {
                delivery.origin.is_returned = true;
                self.push(delivery, all);
            }
        }
        unread
    }

    pub(crate) fn set_prefetch(&mut self, prefetch_count: u16, all: &mut Backlog) {
        if matches!(self.account, Account::Bounded | Account::Unbounded) {
            self.set_account(account_of(prefetch_count, self.no_ack), all);
        }
    }

    /// The consumer is to be cancelled.
    pub(crate) fn set_ending(&mut self, all: &mut Backlog) {
        if self.account != Account::Ended {
            self.set_account(Account::Ending, all);
        }
    }

    /// The consumer is no more.
    pub(crate) fn set_ended(&mut self, all: &mut Backlog) {
        self.set_account(Account::Ended, all);
    }

    fn set_account(&mut self, account: Account, all: &mut Backlog) {
        if account == self.account {
            return;
        }
        let deliveries = self.deliveries.iter();
        let sum: usize = deliveries.map(|delivery| delivery.bytes()).sum();
        if let Some(bytes) = all.bytes(self.account) {
            *bytes -= sum;
        }
        if let Some(bytes) = all.bytes(account) {
            *bytes += sum;
        }
        self.account = account;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_acks_no_prefetch_is_a_bound_but_the_end_is() {
        let mut all = Backlog::default();
        let mut inbox = Inbox::new(10, true);
        inbox.push(delivery(b"a"), &mut all);
        inbox.set_prefetch(1, &mut all);
        assert!(all.unbounded_bytes > 0);
        inbox.set_ending(&mut all);
        assert_eq!((all.count, all.unbounded_bytes), (1, 0));
        inbox.set_ended(&mut all);
        inbox.set_prefetch(0, &mut all);
        inbox.set_ending(&mut all);
        let bytes = size_of::<Delivery>() + 1;
        assert_eq!((all.ending_bytes, all.ended_bytes), (0, bytes));
    }

    fn delivery(body: &'static [u8]) -> Box<Delivery> {
        let mut delivery = Delivery::blank();
        delivery.body = body.into();
        Box::new(delivery)
    }

    #[test]
    fn the_account_comes_to_nothing_whichever_way_deliveries_go() {
        let mut all = Backlog::default();
        let (mut bounded, mut unbounded) = (Inbox::new(1, false), Inbox::new(0, false));
        for body in [&b"a"[..], b"bb", b"ccc"] {
            bounded.push(delivery(body), &mut all);
            unbounded.push(delivery(body), &mut all);
        }
        let bytes = 3 * size_of::<Delivery>() + 6;
        assert_eq!((all.count, all.unbounded_bytes), (6, bytes));
        bounded.set_prefetch(0, &mut all);
        assert_eq!(all.unbounded_bytes, 2 * bytes);
        unbounded.set_prefetch(10, &mut all);
        unbounded.set_ending(&mut all);
        assert_eq!((all.count, all.unbounded_bytes), (6, bytes));
        assert_eq!(all.ending_bytes, bytes);
        assert!(bounded.pop(&mut all).is_some_and(|first| first.body == "a"));
        bounded.clear(&mut all);
        unbounded.clear(&mut all);
        assert_eq!(all, Backlog::default());
        assert!(bounded.is_empty() && unbounded.pop(&mut all).is_none());
    }
}
