//! Chance, all of it from one seed: the same seed, the same life.

/// Sebastiano Vigna's SplitMix64. The seed 0 is for no chance at all: then everything happens in order, and nothing by
/// chance.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    state: u64,
    is_any: bool,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            is_any: seed != 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Less than `limit`; 0 if that is 0, or without chance.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        if !self.is_any {
            return 0;
        }
        // It is less than a usize.
        (self.next() % limit.max(1) as u64) as usize
    }

    /// In so many of a hundred cases; never without chance.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.is_any && self.below(100) < chance
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
