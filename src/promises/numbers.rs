//! A set of numbers that lie close together.

use std::collections::VecDeque;

/// A set of numbers as bits, from the lowest to the highest: quick, and small where these are not far apart.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// What the first word's bits stand for: 64 numbers from 64 times this on.
    first: u64,
    /// Neither empty at the front nor at the back.
    words: VecDeque<u64>,
}

impl Numbers {
    fn word(&mut self, number: u64) -> Option<&mut u64> {
        let index = usize::try_from((number / 64).checked_sub(self.first)?).ok()?;
        self.words.get_mut(index)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let index = (number / 64).checked_sub(self.first);
        let word = index.and_then(|index| self.words.get(usize::try_from(index).ok()?));
        word.is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    /// Adds a number, higher than all that were added before.
    pub(crate) fn push(&mut self, number: u64) {
        if self.words.is_empty() {
            self.first = number / 64;
        }
        while self.first + self.words.len() as u64 <= number / 64 {
            self.words.push_back(0);
        }
        if let Some(word) = self.word(number) {
            *word |= 1 << (number % 64);
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let bit = 1 << (number % 64);
        let Some(word) = self.word(number).filter(|word| **word & bit != 0) else {
            return false;
        };
        *word &= !bit;
        if *word == 0 {
            self.trim();
        }
        true
    }

    fn trim(&mut self) {
        while self.words.front() == Some(&0) {
            self.words.pop_front();
            self.first += 1;
        }
        while self.words.back() == Some(&0) {
            self.words.pop_back();
        }
    }

    /// Removes the numbers from `first` to `last`; false, and nothing is removed, if some of them are not there.
    pub(crate) fn remove_all(&mut self, first: u64, last: u64) -> bool {
        let mask = |word: u64| {
            let from = if word == first / 64 { first % 64 } else { 0 };
            let to = if word == last / 64 { last % 64 } else { 63 };
            (u64::MAX << from, word, u64::MAX >> (63 - to))
        };
        for (from, word, to) in (first / 64..=last / 64).map(mask) {
            let bits = self.word(64 * word).map_or(0, |bits| *bits);
            if bits & from & to != from & to {
                return false;
            }
        }
        for (from, word, to) in (first / 64..=last / 64).map(mask) {
            if let Some(bits) = self.word(64 * word) {
                *bits &= !(from & to);
            }
        }
        self.trim();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_a_set() {
        let mut numbers = Numbers::default();
        let mut set = std::collections::BTreeSet::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut last = 0;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let lowest = set.first().copied().unwrap_or(last);
            let some = lowest + random % 200;
            match random >> 60 {
                0..8 => {
                    last += 1 + random % 3 / 2 * (random % 70);
                    numbers.push(last);
                    set.insert(last);
                }
                8..12 => assert_eq!(numbers.remove(some), set.remove(&some)),
                _ => {
                    let to = some + random % 5;
                    let all = (some..=to).all(|number| set.contains(&number));
                    assert_eq!(numbers.remove_all(some, to), all);
                    if all {
                        set.retain(|number| !(some..=to).contains(number));
                    }
                }
            }
            assert_eq!(numbers.contains(some), set.contains(&some));
            assert_eq!(numbers.contains(last), set.contains(&last));
            assert_eq!(numbers.words.is_empty(), set.is_empty());
        }
    }
}
