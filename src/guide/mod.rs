//! The guide: what a program needs beyond the first lines.

pub mod performance;
pub mod production;
#[cfg(feature = "testing")]
pub mod testing;
