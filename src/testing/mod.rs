//! A RabbitMQ in memory, for the unit tests of programs that use this crate: no socket, no thread, and a clock that jumps
//! to whatever happens next.
