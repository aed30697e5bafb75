//! What comes in: bytes, frames out of them, and messages out of frames. What a frame means is decided in
//! `connection/mod.rs`.

pub(crate) mod body;
pub(crate) mod content;
pub(crate) mod input;
pub(crate) mod memory;
