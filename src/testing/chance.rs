//! Chance, all of it from one seed: the same seed, the same life.

use crate::net::memory::Numbers;

/// The seed 0 is for no chance at all: then everything happens in order, and nothing by chance.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Option<Numbers>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed != 0).then(|| Numbers::new(seed)))
    }

    /// Less than `limit`; 0 if that is 0, or without chance.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let Some(numbers) = &mut self.0 else {
            return 0;
        };
        // It is less than a usize.
        (numbers.next() % limit.max(1) as u64) as usize
    }

    /// In so many of a hundred cases; never without chance.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.0.is_some() && self.below(100) < chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_another_gives_others() {
        let row = |seed| {
            let mut chance = Chance::new(seed);
            (0..20).map(|_| chance.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
    }

    #[test]
    fn the_seed_0_leaves_nothing_to_chance() {
        let mut chance = Chance::new(0);
        assert!((0..100).all(|_| chance.below(10) == 0 && !chance.percent(99)));
    }
}
