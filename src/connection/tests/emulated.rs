//! Publishing without confirms.

use bytes::Bytes;

use super::frames::channel_close;
use super::publish::{
    FOOTER, MARK, ack, expect_publish, footer, frames, marked, no_route, published, send_return,
};
use super::republish::{NO_EXCHANGE, assert_unknown};
use super::script::Script;
use crate::ClientOptions;
use crate::types::error::Error;
use crate::types::message::Message;
use crate::wire::{
    BasicPublish, ChannelCloseOk, ChannelOpen, ChannelOpenOk, ConfirmSelect, ConfirmSelectOk,
    FieldTable, Properties,
};

/// A script whose broker does not confirm.
fn emulating() -> Script {
    Script::connected_with(ClientOptions::new().pubacks(false))
}

#[track_caller]
fn expect_footer(script: &mut Script, promise: u64) {
    script.expect(
        1,
        BasicPublish {
            mandatory: true,
            ..Default::default()
        },
    );
    script.expect_content(1, &footer(promise), b"");
}

#[test]
fn without_confirms_an_empty_message_follows_each() {
    let mut script = emulating();
    let promises = [
        script.publish("", "a", "1"),
        script.publish("logs", "b", "2"),
    ];
    script.expect(1, ChannelOpen::default());
    expect_publish(&mut script, "", "a", b"1");
    expect_footer(&mut script, promises[0]);
    expect_publish(&mut script, "logs", "b", b"2");
    expect_footer(&mut script, promises[1]);
    script.expect_nothing();
    script.send(1, ChannelOpenOk::default());
    for promise in promises {
        send_return(&mut script, "", &footer(promise), b"");
        assert_eq!(published(&mut script, &promises), [promise]);
    }
    assert_eq!(script.connection.buffered(), 0);
}

#[test]
fn without_confirms_a_return_before_the_footers_is_no_route() {
    let mut script = emulating();
    let lost = script.publish("", "nowhere", Message::new("1").mandatory(true));
    let fine = script.publish("", "a", "2");
    script.expect(1, ChannelOpen::default());
    let publish = BasicPublish {
        routing_key: b"nowhere",
        mandatory: true,
        ..Default::default()
    };
    script.expect(1, publish);
    script.expect_content(1, &marked(lost), b"1");
    expect_footer(&mut script, lost);
    script.write(usize::MAX);
    script.send(1, ChannelOpenOk::default());
    send_return(&mut script, "", &marked(lost), b"1");
    let returned = no_route(&mut script, lost);
    assert_eq!(
        (returned.body, returned.properties),
        (Bytes::from_static(b"1"), Properties::default())
    );
    send_return(&mut script, "", &footer(lost), b"");
    assert_matches!(script.result(fine), None);
    send_return(&mut script, "", &footer(fine), b"");
    assert_eq!(published(&mut script, &[fine]), [fine]);
    assert!(!script.connection.is_over());
}

#[test]
fn without_confirms_an_ack_breaks_the_protocol() {
    let mut script = emulating();
    script.publish("", "a", "1");
    script.write(usize::MAX);
    ack(&mut script, 1, false);
    assert!(script.connection.is_over());
}

#[test]
fn without_confirms_too_later_ones_are_published_again() {
    let mut script = emulating();
    let refused = script.publish("bad", "r", "1");
    let later = script.publish("a", "r", "2");
    script.expect(1, ChannelOpen::default());
    frames(&mut script, 10);
    script.send(1, ChannelOpenOk::default());
    script.send(1, channel_close(404, NO_EXCHANGE));
    script.expect(1, ChannelCloseOk {});
    script.expect(1, ChannelOpen::default());
    expect_publish(&mut script, "a", "r", b"2");
    expect_footer(&mut script, later);
    script.expect_nothing();
    script.send(1, ChannelOpenOk::default());
    send_return(&mut script, "", &footer(later), b"");
    assert_matches!(script.result(refused), Some(Err(Error::NotFound(_))));
    assert_eq!(published(&mut script, &[later]), [later]);
}

/// The message was taken, and the one behind it refused.
#[test]
fn without_confirms_the_refusal_of_a_footer_is_not_the_messages() {
    let refused = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'";
    let mut script = emulating();
    let first = script.publish("x", "k", "1");
    let second = script.publish("x", "k", "2");
    script.methods();
    script.send(1, ChannelOpenOk::default());
    script.send(1, channel_close(403, refused));
    assert_unknown(&mut script, first, 403);
    assert_unknown(&mut script, second, 403);

    // A message that came back still has its footer to come, which may be the refused one.
    let mut script = emulating();
    let lost = script.publish("x", "nowhere", Message::new("1").mandatory(true));
    let other = script.publish("", "k", "2");
    script.methods();
    script.send(1, ChannelOpenOk::default());
    send_return(&mut script, "x", &marked(lost), b"1");
    no_route(&mut script, lost);
    script.send(1, channel_close(403, refused));
    assert_unknown(&mut script, other, 403);
}

#[test]
fn a_mandatory_message_with_the_header_of_a_footer_is_none() {
    for pubacks in [true, false] {
        let mut script = Script::connected_with(ClientOptions::new().pubacks(pubacks));
        let message = Message::new("").mandatory(true).header(FOOTER, true);
        let lost = script.publish("", "", message);
        script.expect(1, ChannelOpen::default());
        if pubacks {
            script.expect(1, ConfirmSelect::default());
        }
        let publish = BasicPublish {
            mandatory: true,
            ..Default::default()
        };
        script.expect(1, publish);
        script.expect_content(1, &marked(lost), b"");
        script.methods();
        script.send(1, ChannelOpenOk::default());
        if pubacks {
            script.send(1, ConfirmSelectOk {});
        }
        // Whatever comes back.
        let came = if pubacks { footer(lost) } else { marked(lost) };
        send_return(&mut script, "", &came, b"");
        no_route(&mut script, lost);
    }
}

/// As Python's puka marks every message, and a broker may have them several times.
#[test]
fn the_marks_of_others_in_a_message_that_goes_on_are_replaced() {
    let mut script = Script::connected();
    let mut message = Message::new("1").mandatory(true);
    let entry = [b"\x13", MARK.as_bytes(), b"B\x01"].concat();
    message.properties.headers = FieldTable::from_wire([&*entry, &*entry].concat().into());
    let lost = script.publish("", "nowhere", message);
    script.expect(1, ChannelOpen::default());
    script.expect(1, ConfirmSelect::default());
    script.frame();
    script.expect_content(1, &marked(lost), b"1");
}
