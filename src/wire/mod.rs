//! AMQP 0-9-1 bytes, and nothing else: no state, no I/O.
//!
//! Frames are in `frame.rs`, methods in the one table of `method.rs`, what methods and headers are made of in
//! `codec.rs`. Long strings and tables that come in are copied once, together, to an arena's memory.

mod arena;
mod codec;
mod field_table;
mod field_value;
mod frame;
mod method;
mod properties;
mod short_str;
#[cfg(test)]
mod tests;

pub(crate) use arena::Arena;
pub(crate) use codec::{DecodeError, EncodeError};
pub use field_table::FieldTable;
#[cfg(any(test, fuzzing, feature = "testing"))]
pub(crate) use field_table::check as check_table;
pub use field_value::FieldValue;
pub(crate) use frame::*;
pub(crate) use method::*;
pub(crate) use properties::ContentHeader;
pub use properties::Properties;
pub use short_str::ShortStr;
