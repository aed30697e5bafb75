//! Names that the broker makes: they look like RabbitMQ's, and are the same in each run.

#[derive(Debug, Default)]
pub(super) struct Names {
    made: u64,
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Names {
    /// Never the same again: `prefix`, and 22 letters.
    pub(super) fn next(&mut self, prefix: &str) -> String {
        self.made += 1;
        let high = mix(self.made);
        let low = mix(!self.made);
        let bits = u128::from(high) << 64 | u128::from(low);
        let letters = (0..22).map(|at| char::from(LETTERS[(bits >> (at * 6)) as usize & 63]));
        prefix.chars().chain(letters).collect()
    }
}

/// Splitmix64's finisher, which maps no two numbers to one.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
