//! The tags of deliveries that want an acknowledgement, which may come in any order.

use std::collections::VecDeque;

/// So many settled tags may stay among those that are not, beside as many as are not.
const SLACK: usize = 64;

/// A set of tags that are added in rising order, and taken out in any.
///
/// A tag that is taken out of the midst stays where it was, as a blank: to move all behind it would take the time of all
/// of them for each. Blanks go when they come to the front, or are more than the others.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// Ascending; false is a blank. The first is none.
    tags: VecDeque<(u64, bool)>,
    /// Those that are no blanks.
    count: usize,
}

impl Unsettled {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The oldest one.
    pub(super) fn first(&self) -> Option<u64> {
        self.tags.front().map(|&(tag, _)| tag)
    }

    /// The newest one.
    pub(super) fn last(&self) -> Option<u64> {
        let mut tags = self.tags.iter().rev();
        tags.find(|&&(_, is_there)| is_there).map(|&(tag, _)| tag)
    }

    /// Adds a tag; false: it is not above all that are known here.
    pub(super) fn push(&mut self, tag: u64) -> bool {
        if self.tags.back().is_some_and(|&(last, _)| last >= tag) {
            return false;
        }
        self.tags.push_back((tag, true));
        self.count += 1;
        true
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let found = self.tags.binary_search_by_key(&tag, |&(tag, _)| tag);
        found.ok().filter(|&index| self.tags[index].1)
    }

    pub(super) fn contains(&self, tag: u64) -> bool {
        self.find(tag).is_some()
    }

    /// Takes one tag out; false: it is not there.
    pub(super) fn remove(&mut self, tag: u64) -> bool {
        // Most are settled in their order.
        if self.first() == Some(tag) {
            self.tags.pop_front();
        } else if let Some(index) = self.find(tag) {
            self.tags[index].1 = false;
        } else {
            return false;
        }
        self.count -= 1;
        self.tidy();
        true
    }

    /// Takes out that tag and all below it; false, and none is taken: it is not there.
    pub(super) fn remove_to(&mut self, tag: u64) -> bool {
        let Some(index) = self.find(tag) else {
            return false;
        };
        let removed = self.tags.drain(..=index);
        self.count -= removed.filter(|&(_, is_there)| is_there).count();
        self.tidy();
        true
    }

    fn tidy(&mut self) {
        while self.tags.front().is_some_and(|&(_, is_there)| !is_there) {
            self.tags.pop_front();
        }
        if self.tags.len() > 2 * self.count + SLACK {
            self.tags.retain(|&(_, is_there)| is_there);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_agrees_with_a_set_and_stays_as_small() {
        let mut unsettled = Unsettled::default();
        let mut set = BTreeSet::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut last = 0;
        for _ in 0..50_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let some = last - (random % 300).min(last);
            match random >> 60 {
                0..8 => {
                    last += 1 + random % 3;
                    assert!(unsettled.push(last) && !unsettled.push(last));
                    set.insert(last);
                }
                8..15 => assert_eq!(unsettled.remove(some), set.remove(&some)),
                _ => {
                    let is_there = set.contains(&some);
                    assert_eq!(unsettled.remove_to(some), is_there);
                    if is_there {
                        set = set.split_off(&(some + 1));
                    }
                }
            }
            assert_eq!(unsettled.first(), set.first().copied());
            assert_eq!(unsettled.last(), set.last().copied());
            assert_eq!(unsettled.len(), set.len());
            assert_eq!(unsettled.contains(some), set.contains(&some));
            assert!(unsettled.tags.len() <= 2 * set.len() + SLACK);
        }
    }

    #[test]
    fn a_delivery_that_is_kept_keeps_no_others() {
        let mut unsettled = Unsettled::default();
        for tag in 1..100_000 {
            assert!(unsettled.push(tag));
            assert!(tag == 1 || unsettled.remove(tag));
        }
        assert!(unsettled.tags.len() <= SLACK + 2);
    }
}
