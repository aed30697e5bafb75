//! A set of numbers that come without many gaps.

use std::collections::VecDeque;

use crate::types::ids::PromiseNumber;

/// A set of numbers as ranges: small, and quick at both ends, where these come without many gaps.
#[derive(Debug)]
pub(crate) struct NumberSet {
    /// Disjoint, ascending, no two adjacent; each is `first..=last`.
    ranges: VecDeque<(u64, u64)>,
    /// With more ranges than that it forgets the lowest one.
    ranges_max: usize,
}

impl NumberSet {
    pub(crate) fn new(ranges_max: usize) -> Self {
        Self {
            ranges: VecDeque::new(),
            ranges_max,
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// The first range that ends at `number` or later.
    fn find(&self, number: u64) -> usize {
        match self.ranges.front() {
            // Most numbers come and go in their order.
            Some(&(_, last)) if last < number => {
                self.ranges.partition_point(|&(_, last)| last < number)
            }
            _ => 0,
        }
    }

    pub(crate) fn contains(&self, number: PromiseNumber) -> bool {
        let range = self.ranges.get(self.find(number.0));
        range.is_some_and(|&(first, _)| first <= number.0)
    }

    /// Adds the numbers from `first` to `last`, none of which is there.
    pub(crate) fn insert(&mut self, first: PromiseNumber, last: PromiseNumber) {
        let (first, last) = (first.0, last.0);
        let at = self.find(first);
        let joins_left = at > 0 && self.ranges[at - 1].1 + 1 == first;
        let right = self.ranges.get(at);
        let joins_right = right.is_some_and(|&(next, _)| next == last + 1);
        match (joins_left, joins_right) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = last,
            (false, true) => self.ranges[at].0 = first,
            (false, false) => self.ranges.insert(at, (first, last)),
        }
        if self.ranges.len() > self.ranges_max {
            self.ranges.pop_front();
        }
    }

    /// Removes the numbers from `first` to `last`; false, and nothing is removed, if some of them are not there.
    pub(crate) fn remove_all(&mut self, first: PromiseNumber, last: PromiseNumber) -> bool {
        let (first, last) = (first.0, last.0);
        let at = self.find(first);
        let Some(&range) = self.ranges.get(at) else {
            return false;
        };
        if first < range.0 || last > range.1 {
            return false;
        }
        match (first == range.0, last == range.1) {
            (true, true) => {
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at].0 = last + 1,
            (false, true) => self.ranges[at].1 = first - 1,
            (false, false) => {
                self.ranges[at].1 = first - 1;
                self.ranges.insert(at + 1, (last + 1, range.1));
            }
        }
        true
    }

    pub(crate) fn remove(&mut self, number: PromiseNumber) -> bool {
        self.remove_all(number, number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_agrees_with_a_plain_set() {
        let mut numbers = NumberSet::new(usize::MAX);
        let mut set = BTreeSet::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let number = random % 64 + 1;
            let last = number + random / 0x1000 % 3;
            let (from, to) = (PromiseNumber(number), PromiseNumber(last));
            match random & 0x300 {
                0x000 | 0x100 => {
                    if (number..=last).all(|number| !set.contains(&number)) {
                        numbers.insert(from, to);
                        set.extend(number..=last);
                    }
                }
                0x200 => assert_eq!(numbers.remove(from), set.remove(&number)),
                _ => {
                    let all = (number..=last).all(|number| set.contains(&number));
                    assert_eq!(numbers.remove_all(from, to), all);
                    if all {
                        set.retain(|it| !(number..=last).contains(it));
                    }
                }
            }
            let flat: Vec<u64> = numbers.ranges.iter().flat_map(|&(a, b)| a..=b).collect();
            assert!(flat.iter().eq(set.iter()));
            assert!((1..=67).all(|it| numbers.contains(PromiseNumber(it)) == set.contains(&it)));
        }
    }

    #[test]
    fn with_too_many_ranges_it_forgets_the_lowest() {
        let mut numbers = NumberSet::new(2);
        for number in [5, 1, 3, 4] {
            numbers.insert(PromiseNumber(number), PromiseNumber(number));
        }
        let left: Vec<_> = (0..9)
            .map(PromiseNumber)
            .filter(|&it| numbers.contains(it))
            .collect();
        assert_eq!(left, [3, 4, 5].map(PromiseNumber));
    }
}
