//! Heartbeats, and peers that say nothing.

use std::time::Duration;

use super::frames::{raw_frame, wire_declare};
use super::script::Script;
use crate::ClientOptions;
use crate::types::error::{Disconnect, Error};
use crate::wire::{ChannelOpen, FRAME_HEARTBEAT};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_heartbeat_is_sent_at_half_the_interval() {
    let mut script = Script::connected_with(ClientOptions::new().heartbeat(10));
    assert_eq!(
        script.connection.poll_timeout(),
        Some(script.now + 5 * SECOND)
    );
    script.pass(4 * SECOND);
    script.expect_nothing();
    script.pass(SECOND);
    script.expect_bytes(b"\x08\0\0\0\0\0\0\xce");
    script.expect_nothing();
    // Whatever else is written does as well.
    script.pass(3 * SECOND);
    script.declare("a");
    script.expect(2, ChannelOpen::default());
    script.expect(2, wire_declare("a"));
    assert_eq!(
        script.connection.poll_timeout(),
        Some(script.now + 5 * SECOND)
    );
    script.pass(4 * SECOND);
    script.expect_nothing();
}

#[test]
fn two_intervals_of_silence_are_the_end() {
    let mut script = Script::connected_with(ClientOptions::new().heartbeat(10));
    let declared = script.declare("a");
    script.pass(19 * SECOND);
    script.send_bytes(&raw_frame(FRAME_HEARTBEAT, 0, b""));
    script.pass(19 * SECOND);
    assert_matches!(script.result(declared), None);
    script.pass(SECOND);
    assert_matches!(
        script.result(declared),
        Some(Err(Error::ConnectionBroken(Disconnect::BrokerSilent(silence)))) if silence == 20 * SECOND
    );
    assert!(script.connection.is_over());
    assert_eq!(script.connection.poll_timeout(), None);
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let mut script = Script::connected_with(ClientOptions::new().heartbeat(10));
    for byte in [3, 0, 2, 0, 0, 0] {
        script.pass(19 * SECOND);
        script.send_bytes(&[byte]);
    }
    assert!(script.connection.is_open());
}
