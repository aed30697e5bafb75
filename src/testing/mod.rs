//! A RabbitMQ in memory, for the unit tests of programs that use this crate: no socket, no thread, and a clock that jumps
//! to whatever happens next.

// What uses it comes after it.
#![allow(dead_code, unused_imports)]

mod chance;
mod model;
mod node;
mod session;
mod values;

pub use values::{cancelled, delivery, refusal, reply, response, returned};
