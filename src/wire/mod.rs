//! AMQP 0-9-1 bytes, and nothing else: no state, no I/O.
//!
//! Frames are in `frame.rs`, methods in the one table of `method.rs`, what methods and headers are made of in
//! `codec.rs`, and the quicker ways for what every message has in `quick.rs`. Long strings and tables that come in are
//! copied once, together, to an arena's memory.

mod arena;
mod codec;
mod field_table;
mod field_value;
mod frame;
mod method;
mod nesting;
mod properties;
mod quick;
pub(crate) mod reply_code;
mod short_str;
#[cfg(test)]
mod tests;

pub(crate) use arena::Arena;
pub(crate) use codec::{DecodeError, EncodeError};
pub use field_table::FieldTable;
pub use field_value::FieldValue;
pub(crate) use frame::*;
pub(crate) use method::*;
#[cfg(any(test, fuzzing, feature = "testing"))]
pub(crate) use nesting::check_table;
pub(crate) use properties::ContentHeader;
pub use properties::Properties;
pub(crate) use quick::{write_ack, write_plain_message};
pub use short_str::ShortStr;
