//! A set of numbers that is small where they come without gaps.

use std::collections::VecDeque;

use crate::promises::UNREAD_MAX;

/// A set of numbers as ranges: small where they come without gaps. Past [`UNREAD_MAX`] ranges it forgets the lowest.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    /// Disjoint, ascending, no two adjacent; each is `first..=last`.
    ranges: VecDeque<(u64, u64)>,
}

impl Ranges {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The first range that ends at `number` or later.
    fn find(&self, number: u64) -> usize {
        self.ranges.partition_point(|&(_, last)| last < number)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.ranges
            .get(self.find(number))
            .is_some_and(|&(first, _)| first <= number)
    }

    /// Adds the numbers from `first` to `last`, none of which is there.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        let at = self.find(first);
        let joins_left = at > 0 && self.ranges[at - 1].1 + 1 == first;
        let joins_right = self
            .ranges
            .get(at)
            .is_some_and(|&(next, _)| next == last + 1);
        match (joins_left, joins_right) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = last,
            (false, true) => self.ranges[at].0 = first,
            (false, false) => self.ranges.insert(at, (first, last)),
        }
        if self.ranges.len() > UNREAD_MAX {
            self.ranges.pop_front();
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let at = self.find(number);
        let Some(&(first, last)) = self.ranges.get(at).filter(|range| range.0 <= number) else {
            return false;
        };
        match (first == number, last == number) {
            (true, true) => {
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at].0 = number + 1,
            (false, true) => self.ranges[at].1 = number - 1,
            (false, false) => {
                self.ranges[at].1 = number - 1;
                self.ranges.insert(at + 1, (number + 1, last));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_agree_with_a_set() {
        let mut ranges = Ranges::default();
        let mut set = std::collections::BTreeSet::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let number = random % 64 + 1;
            if random & 0x100 == 0 {
                let last = number + random % 3;
                if (number..=last).all(|number| !set.contains(&number)) {
                    ranges.insert(number, last);
                    set.extend(number..=last);
                }
            } else {
                assert_eq!(ranges.remove(number), set.remove(&number));
            }
            assert!((1..=66).all(|number| ranges.contains(number) == set.contains(&number)));
            let flat: Vec<u64> = ranges.ranges.iter().flat_map(|&(a, b)| a..=b).collect();
            assert!(flat.iter().eq(set.iter()));
        }
    }
}
