//! Numbers of chance, from a seed that is printed: `PUKA_SEED` runs a test with that seed again.

#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// From `PUKA_SEED`, or the clock.
    pub(crate) fn new(test: &str) -> Self {
        let seed = match std::env::var("PUKA_SEED") {
            Ok(seed) => seed.parse().expect("PUKA_SEED is a number"),
            Err(_) => {
                let now = std::time::SystemTime::now();
                let now = now.duration_since(std::time::UNIX_EPOCH);
                now.expect("it is later than 1970").as_nanos() as u64
            }
        };
        println!("{test}: PUKA_SEED={seed}");
        Self(seed)
    }

    /// A number from 0 on and below `limit`, which is not 0 (splitmix64).
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
