//! A connection without a socket, for tests and fuzzers: how it begins, and how bytes go in and out. What it writes, and
//! what its events say, is theirs to judge.

use std::io::{IoSlice, Read};
use std::time::Instant;

use bytes::BytesMut;

pub(crate) use super::incoming::input::read_in_pieces;
use super::{Config, Connection, Login, SLICES};
use crate::types::client_options::{AuthMechanism, ClientOptions};
use crate::types::ids::PromiseNumber;

/// A connection that has not been given a byte, and when it begins. The promise of its opening has the number 1.
pub(crate) fn begin(options: ClientOptions, vhost: &str, epoch: u64) -> (Connection, Instant) {
    let mechanisms = match &options.auth_mechanisms[..] {
        [] => vec![AuthMechanism::Plain, AuthMechanism::AmqPlain],
        chosen => chosen.to_vec(),
    };
    let now = crate::net::clock::now();
    let config = Config {
        login: Login {
            mechanisms,
            username: "guest".into(),
            password: "secret".into(),
            vhost: vhost.into(),
        },
        recovers: options.recovery.is_some(),
        options,
        client: 7,
        epoch,
        now,
    };
    (Connection::new(PromiseNumber(1), config), now)
}

/// The socket brings the first of these bytes, as many as there is room for.
pub(crate) fn read(connection: &mut Connection, bytes: &mut &[u8], now: Instant) {
    let mut filled = 0;
    for space in connection.read_space() {
        filled += bytes.read(space).unwrap_or_default();
    }
    assert!(filled > 0, "there is no room for what comes");
    connection.handle_read(filled, now);
}

/// The socket takes up to `limit` bytes; they come behind those that it has taken.
pub(crate) fn write(connection: &mut Connection, limit: usize, taken: &mut BytesMut, now: Instant) {
    let mut left = limit;
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = connection.out.slices(&mut slices);
        let before = taken.len();
        for slice in &slices[..used] {
            let count = left.min(slice.len());
            taken.extend_from_slice(&slice[..count]);
            left -= count;
        }
        let count = taken.len() - before;
        if count == 0 {
            return;
        }
        connection.handle_written(count, now);
    }
}
