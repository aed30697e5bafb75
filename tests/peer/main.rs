//! Peers that are no broker, over a real socket: what a broker does not do on demand.
//!
//! Whatever the peer does, every promise ends with the right error in time, and the client can connect again.

mod embedded;
mod handshake;
mod loops;
mod loss;
mod marks;
mod odd;
mod pace;
mod protocols;
mod served;
mod silence;
mod support;
mod texts;
mod violations;
mod waits;
#[path = "../wire/mod.rs"]
mod wire;
