//! Deliveries that have come and nobody has taken yet: each consumer's own, and the account of all.

use std::collections::VecDeque;

use crate::message::Delivery;

/// The deliveries of a consumer.
#[derive(Debug)]
pub(crate) struct Inbox {
    deliveries: VecDeque<Box<Delivery>>,
    no_ack: bool,
    /// Whether the broker sends only so many of them: then there is no need to count their bytes.
    is_bounded: bool,
}

/// What is in all inboxes of a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// How many deliveries.
    pub(crate) count: usize,
    /// The bytes of those that the broker sends without a bound.
    pub(crate) unbounded_bytes: usize,
}

/// What it takes in memory, nearly.
fn bytes_of(delivery: &Delivery) -> usize {
    size_of::<Delivery>() + delivery.body.len() + delivery.properties.shared_bytes()
}

impl Inbox {
    pub(crate) fn new(prefetch_count: u16, no_ack: bool) -> Self {
        Self {
            deliveries: VecDeque::new(),
            no_ack,
            is_bounded: prefetch_count > 0 && !no_ack,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    pub(crate) fn push(&mut self, delivery: Box<Delivery>, all: &mut Backlog) {
        all.count += 1;
        if !self.is_bounded {
            all.unbounded_bytes += bytes_of(&delivery);
        }
        self.deliveries.push_back(delivery);
    }

    pub(crate) fn pop(&mut self, all: &mut Backlog) -> Option<Box<Delivery>> {
        let delivery = self.deliveries.pop_front()?;
        all.count -= 1;
        if !self.is_bounded {
            all.unbounded_bytes -= bytes_of(&delivery);
        }
        Some(delivery)
    }

    pub(crate) fn clear(&mut self, all: &mut Backlog) {
        while self.pop(all).is_some() {}
    }

    pub(crate) fn set_prefetch(&mut self, prefetch_count: u16, all: &mut Backlog) {
        self.set_bounded(prefetch_count > 0 && !self.no_ack, all);
    }

    /// The consumer is cancelled: what comes yet is what was on its way.
    pub(crate) fn set_ending(&mut self, all: &mut Backlog) {
        self.set_bounded(true, all);
    }

    fn set_bounded(&mut self, is_bounded: bool, all: &mut Backlog) {
        if is_bounded != self.is_bounded {
            let bytes: usize = self
                .deliveries
                .iter()
                .map(|delivery| bytes_of(delivery))
                .sum();
            if is_bounded {
                all.unbounded_bytes -= bytes;
            } else {
                all.unbounded_bytes += bytes;
            }
            self.is_bounded = is_bounded;
        }
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
        assert!(bounded.pop(&mut all).is_some_and(|first| first.body == "a"));
        bounded.clear(&mut all);
        unbounded.clear(&mut all);
        assert_eq!(all, Backlog::default());
        assert!(bounded.is_empty() && unbounded.pop(&mut all).is_none());
    }
}
