//! Whether something has come of a connection before it was lost.

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{ack, consume, declare, recovering, send_publisher};
use super::script::Script;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, Get, QueueDeclare};
use crate::wire::{BasicGetEmpty, ChannelOpenOk, ConnectionClose};

/// Loses the connection; whether something has come of it.
fn lose(script: &mut Script) -> bool {
    script.methods();
    script.lose();
    script.connection.take_progress()
}

#[test]
fn what_the_program_gets_done_is_progress() {
    let works: [fn(&mut Script); 6] = [
        |script| {
            script.publish("", "q", "1");
            script.methods();
            send_publisher(script);
            script.send(1, ack(1, false));
        },
        |script| declare(script, QueueDeclare::new("q"), "q"),
        |script| {
            script.request(Request::Get(Get::new("q")));
            script.methods();
            script.send(2, BasicGetEmpty::default());
        },
        |script| {
            script.declare("q");
            script.methods();
            script.send(2, channel_close(406, "no"));
        },
        |script| {
            consume(script, Consume::new("q"));
        },
        |script| {
            let consumer = consume(script, Consume::new("q"));
            script.connection.take_progress();
            script.deliver(2, &format!("{consumer}.0."), 1, "1");
            let delivery = script.deliveries(consumer).remove(0);
            assert!(!script.connection.take_progress());
            script.ack(&delivery).unwrap();
        },
    ];
    for (number, work) in works.iter().enumerate() {
        let mut script = recovering();
        assert!(!lose(&mut script), "{number}");
        script.reconnect();
        work(&mut script);
        assert!(lose(&mut script), "{number}");
        script.reconnect();
        assert!(!lose(&mut script), "{number}");
    }
}

/// What is made anew after each loss may be made anew for ever.
#[test]
fn what_is_made_anew_is_no_progress_and_a_verdict_is() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("q"), "q");
    let consumer = consume(&mut script, Consume::new("q"));
    assert!(lose(&mut script));
    for _ in 0..3 {
        script.reconnect();
        script.methods();
        script.send(2, ChannelOpenOk::default());
        script.send(2, wire_declare_ok("q"));
        script.methods();
        super::recovering::consume_ok(&mut script, consumer);
        script.deliver(2, &format!("{consumer}.0."), 1, "1");
        assert_eq!(script.deliveries(consumer).len(), 1);
        assert!(!lose(&mut script));
    }
    script.reconnect();
    script.methods();
    script.send(2, ChannelOpenOk::default());
    script.send(2, wire_declare_ok("q"));
    let bad = script.declare("bad");
    script.methods();
    let close = ConnectionClose {
        reply_code: 541,
        class_id: 50,
        method_id: 10,
        ..Default::default()
    };
    script.send(0, close);
    assert_matches!(script.result(bad), Some(Err(Error::InternalError(_))));
    assert!(script.connection.take_progress());
}
