//! Requests that kill the connection.

use std::collections::BTreeMap;
use std::time::Duration;

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{consume, consume_ok, declare, recovering, restored};
use super::script::Script;
use crate::connection::Request;
use crate::types::error::{Disconnect, Error};
use crate::types::recovery::Restored;
use crate::types::requests::{Consume, ExchangeDeclare, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{
    BasicAck, BasicConsumeOk, BasicQosOk, ChannelOpenOk, ConfirmSelectOk, ConnectionClose,
    ConnectionCloseOk, ExchangeDeclareOk, FRAME_BODY, FRAME_METHOD, Method, OwnedFrame,
    split_frame,
};

const DECLARE: (u16, u16) = (50, 10);
const EXCHANGE: (u16, u16) = (40, 10);
const CONSUME: (u16, u16) = (60, 20);
const PUBLISH: (u16, u16) = (60, 40);

/// The broker closes the connection because of such a request.
#[track_caller]
fn kill(script: &mut Script, code: u16, (class_id, method_id): (u16, u16)) {
    script.methods();
    let close = ConnectionClose {
        reply_code: code,
        reply_text: b"no",
        class_id,
        method_id,
    };
    script.send(0, close);
    script.expect(0, ConnectionCloseOk {});
    assert!(script.connection.is_suspended());
}

fn ack(script: &mut Script, tag: u64) {
    let ack = BasicAck {
        delivery_tag: tag,
        multiple: false,
    };
    script.send(1, ack);
}

#[test]
fn the_one_that_the_broker_names_gets_the_error_and_the_rest_goes_on() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q"));
    let published = script.publish("", "q", "1");
    let transient = script.declare("transient");
    kill(&mut script, 541, DECLARE);
    assert_matches!(script.result(transient), Some(Err(Error::InternalError(_))));
    script.reconnect();
    let methods = script.methods();
    assert!(
        !methods
            .iter()
            .any(|method| method.ends_with("queue.declare")),
        "{methods:?}"
    );
    assert!(methods.contains(&"1 basic.publish".to_owned()));
    for promise in [consumer, published] {
        assert_matches!(script.result(promise), None);
    }
}

#[test]
fn what_cannot_be_declared_again_without_a_loss_is_reported_and_left_out() {
    let mut script = recovering();
    for exchange in [
        ExchangeDeclare::with_kind("odd", "x-odd"),
        ExchangeDeclare::fanout("x"),
    ] {
        script.request(Request::ExchangeDeclare(exchange));
        script.methods();
        script.send(2, ExchangeDeclareOk {});
    }
    script.lose();
    script.reconnect();
    // Both are under way, and either may have been it: one after the other, then.
    kill(&mut script, 503, EXCHANGE);
    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 exchange.declare"]);
    kill(&mut script, 503, EXCHANGE);
    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 exchange.declare"]);
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    let Restored { failed, .. } = restored(&mut script);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].0, "exchange \"odd\"");
    assert_matches!(&failed[0].1, Error::CommandInvalid(_));
    // Nor is it made again soon.
    script.lose();
    script.reconnect();
    assert_eq!(script.methods(), ["2 channel.open", "2 exchange.declare"]);
}

/// A broker that does all it is asked for at once, but for what kills the connection. Confirms come last, so that a death
/// takes them with it.
#[derive(Default)]
struct Deadly {
    /// Whether its last word names what it dies of.
    names: bool,
    deaths: usize,
    /// How often each message came.
    taken: BTreeMap<String, usize>,
    /// Queues that were declared on this connection.
    declared: Vec<String>,
    confirms: Vec<u64>,
    tag: u64,
}

impl Deadly {
    /// Until there is nothing more to be done.
    fn serve(&mut self, script: &mut Script) {
        loop {
            script.write(usize::MAX);
            let frame = split_frame(&mut script.output, usize::MAX).unwrap();
            if let Some(frame) = frame {
                if let Some(method) = self.take(script, &frame) {
                    self.die(script, method);
                }
                continue;
            }
            if self.confirms.is_empty() {
                return;
            }
            for tag in std::mem::take(&mut self.confirms) {
                ack(script, tag);
            }
        }
    }

    /// What it dies of, if it does.
    fn take(&mut self, script: &mut Script, frame: &OwnedFrame) -> Option<(u16, u16)> {
        let channel = frame.channel;
        if frame.kind == FRAME_BODY {
            let body = String::from_utf8(frame.payload.to_vec()).unwrap();
            let is_deadly = body == "deadly";
            *self.taken.entry(body).or_default() += 1;
            self.tag += 1;
            self.confirms.push(self.tag);
            return is_deadly.then_some(PUBLISH);
        }
        if frame.kind != FRAME_METHOD {
            return None;
        }
        match Method::decode(&frame.payload).unwrap() {
            Method::ChannelOpen(_) => script.send(channel, ChannelOpenOk::default()),
            Method::ConfirmSelect(_) => script.send(channel, ConfirmSelectOk {}),
            Method::BasicQos(_) => script.send(channel, BasicQosOk {}),
            Method::QueueDeclare(declare) => {
                let name = String::from_utf8(declare.queue.to_vec()).unwrap();
                if name.starts_with("deadly") {
                    return Some(DECLARE);
                }
                if name == "down" {
                    script.send(channel, channel_close(404, "NOT_FOUND - not yet"));
                    return None;
                }
                script.send(channel, wire_declare_ok(&name));
                self.declared.push(name);
            }
            Method::BasicConsume(consume) => {
                if consume.queue == b"deadly" {
                    return Some(CONSUME);
                }
                let consumer_tag = consume.consumer_tag;
                script.send(channel, BasicConsumeOk { consumer_tag });
            }
            Method::BasicPublish(_) | Method::ChannelCloseOk(_) => {}
            method => panic!("{}", method.name()),
        }
        None
    }

    fn die(&mut self, script: &mut Script, (class_id, method_id): (u16, u16)) {
        self.deaths += 1;
        assert!(self.deaths < 20, "it dies for ever");
        self.declared.clear();
        self.confirms.clear();
        self.tag = 0;
        if self.names {
            let close = ConnectionClose {
                reply_code: 541,
                class_id,
                method_id,
                ..Default::default()
            };
            script.send(0, close);
        } else {
            script.disconnect(Disconnect::Eof);
        }
        script.output.clear();
        script.reconnect();
    }
}

#[test]
fn a_deadly_declaration_among_many_fails_and_the_others_succeed() {
    for names in [false, true] {
        for deadly in [0, 3, 39] {
            let mut script = recovering();
            let promises: Vec<u64> = (0..40)
                .map(|number| match number == deadly {
                    true => script.declare("deadly"),
                    false => script.declare(&format!("q{number}")),
                })
                .collect();
            let mut broker = Deadly {
                names,
                ..Deadly::default()
            };
            broker.serve(&mut script);
            for (number, promise) in promises.into_iter().enumerate() {
                match script.result(promise) {
                    Some(Ok(Outcome::QueueDeclareOk(_))) => assert_ne!(number, deadly),
                    Some(Err(Error::InternalError(_) | Error::ConnectionBroken(_))) => {
                        assert_eq!(number, deadly);
                    }
                    other => panic!("{number}: {other:?}"),
                }
            }
            assert!(script.connection.is_open());
        }
    }
}

#[test]
fn a_deadly_consumer_among_many_fails_and_the_others_go_on() {
    for names in [false, true] {
        let mut script = recovering();
        let consumers: Vec<u64> = (0..40)
            .map(|number| match number {
                17 => script.consume(Consume::new("deadly")),
                _ => script.consume(Consume::new("q")),
            })
            .collect();
        let mut broker = Deadly {
            names,
            ..Deadly::default()
        };
        broker.serve(&mut script);
        for (number, consumer) in consumers.into_iter().enumerate() {
            assert_eq!(script.result(consumer).is_some(), number == 17, "{number}");
        }
        assert!(script.connection.is_open());
    }
}

#[test]
fn a_deadly_publish_among_many_is_of_unknown_outcome_and_the_others_arrive() {
    for names in [false, true] {
        for (deadly, count) in [(0, 1), (0, 2), (1, 2), (50, 100), (99, 100)] {
            let mut script = recovering();
            let promises: Vec<u64> = (0..count)
                .map(|number| match number == deadly {
                    true => script.publish("", "q", "deadly"),
                    false => script.publish("", "q", number.to_string()),
                })
                .collect();
            let mut broker = Deadly {
                names,
                ..Deadly::default()
            };
            broker.serve(&mut script);
            let fresh = script.publish("", "q", "fresh");
            broker.serve(&mut script);
            assert_matches!(script.result(fresh), Some(Ok(Outcome::Published)));
            for (number, promise) in promises.into_iter().enumerate() {
                match script.result(promise) {
                    Some(Ok(Outcome::Published)) => assert_ne!(number, deadly),
                    Some(Err(Error::OutcomeUnknown(_))) => assert_eq!(number, deadly),
                    // Nothing else was under way, and the broker has named it.
                    Some(Err(Error::InternalError(_))) => assert!(names && count == 1),
                    other => panic!("{number} of {count}: {other:?}"),
                }
            }
            let most = broker.taken.values().max();
            assert!(most.is_some_and(|&most| most <= 15), "{:?}", broker.taken);
        }
    }
}

#[test]
fn a_deadly_declaration_of_before_is_left_out_and_the_rest_is_there() {
    for names in [false, true] {
        let mut script = recovering();
        for number in 0..20 {
            let name = if number == 11 {
                "deadly".into()
            } else {
                format!("q{number:02}")
            };
            declare(&mut script, QueueDeclare::new(&*name), &name);
        }
        let consumer = consume(&mut script, Consume::new("q"));
        let published = script.publish("", "q", "1");
        script.methods();
        script.lose();
        script.reconnect();
        let mut broker = Deadly {
            names,
            ..Deadly::default()
        };
        broker.serve(&mut script);
        assert_eq!(broker.declared.len(), 19);
        let Restored { failed, .. } = restored(&mut script);
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].0, "queue \"deadly\"");
        assert_matches!(script.result(published), Some(Ok(Outcome::Published)));
        assert_matches!(script.result(consumer), None);
    }
}

/// Publishes wait for a queue, and when they may go at last, it is not forgotten that one of them is deadly.
#[test]
fn a_deadly_publish_that_has_to_wait_first_is_found_all_the_same() {
    let mut script = recovering();
    declare(&mut script, QueueDeclare::new("down"), "down");
    let promises: Vec<u64> = (0..20)
        .map(|number| match number {
            13 => script.publish("", "down", "deadly"),
            _ => script.publish("", "down", number.to_string()),
        })
        .collect();
    let mut broker = Deadly::default();
    for _ in 0..20 {
        broker.serve(&mut script);
        script.pass(Duration::from_secs(301));
    }
    for (number, promise) in promises.into_iter().enumerate() {
        match script.result(promise) {
            Some(Ok(Outcome::Published)) => assert_ne!(number, 13),
            Some(Err(Error::OutcomeUnknown(_))) => assert_eq!(number, 13),
            other => panic!("{number}: {other:?}"),
        }
    }
}

/// A consumer that has to wait does so on a careful connection, too.
#[test]
fn what_the_broker_refuses_for_now_is_not_asked_for_again_at_once() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("q"));
    let declared = ["deadly", "a"].map(|queue| script.declare(queue));
    kill(&mut script, 541, DECLARE);
    script.reconnect();
    let methods = script.methods();
    assert!(
        methods.contains(&"2 basic.consume".to_owned()),
        "{methods:?}"
    );
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    script.send(2, channel_close(404, "NOT_FOUND - not yet"));
    // It is one of the others' turn, one at a time.
    let methods = script.methods();
    assert_eq!(
        methods,
        ["2 channel.close-ok", "2 channel.open", "2 queue.declare"]
    );
    for promise in [consumer, declared[0], declared[1]] {
        assert_matches!(script.result(promise), None);
    }
}

/// Networks break, too, and in the same place again: nothing is given up for that.
#[test]
fn losses_that_are_nobodys_fault_convict_nobody() {
    let mut script = recovering();
    let published = script.publish("", "q", "1");
    for _ in 0..10 {
        script.methods();
        let close = ConnectionClose {
            reply_code: 320,
            reply_text: b"CONNECTION_FORCED - shutdown",
            ..Default::default()
        };
        script.send(0, close);
        script.output.clear();
        script.reconnect();
        assert!(script.methods().contains(&"1 basic.publish".to_owned()));
        script.disconnect(Disconnect::BrokerSilent(Duration::from_secs(10)));
        script.output.clear();
        script.reconnect();
    }
    // A confirm may take long, and a socket goes when it goes.
    for _ in 0..10 {
        assert!(script.methods().contains(&"1 basic.publish".to_owned()));
        script.pass(Duration::from_secs(6));
        script.lose();
        script.reconnect();
    }
    for _ in 0..2 {
        assert!(script.methods().contains(&"1 basic.publish".to_owned()));
        script.lose();
        script.reconnect();
    }
    assert_matches!(script.result(published), None);
}

/// What may not be done twice fails with the loss, and kills nothing more; the others do not suffer for it.
#[test]
fn a_purge_that_the_broker_does_not_know_ends_itself_only() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("stream"));
    let purged = script.request(Request::QueuePurge("stream".into()));
    kill(&mut script, 540, (50, 30));
    assert_matches!(script.result(purged), Some(Err(Error::NotImplemented(_))));
    script.reconnect();
    assert_eq!(
        script.methods(),
        ["2 channel.open", "2 basic.qos", "2 basic.consume"]
    );
    assert_matches!(script.result(consumer), None);
}

/// The leader of a stream is on its way back: 3.10 says it by closing the connection.
#[test]
fn a_consumer_that_ran_is_tried_again_where_the_broker_ran_out_of_something() {
    let mut script = recovering();
    let consumer = consume(&mut script, Consume::new("stream"));
    script.lose();
    script.reconnect();
    kill(&mut script, 506, CONSUME);
    script.reconnect();
    script.expect_nothing();
    let published = script.publish("", "q", "1");
    assert!(script.methods().contains(&"1 basic.publish".to_owned()));
    script.pass(Duration::from_secs(6));
    let methods = script.methods();
    assert!(
        methods.contains(&"2 basic.consume".to_owned()),
        "{methods:?}"
    );
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    consume_ok(&mut script, consumer);
    for promise in [consumer, published] {
        assert_matches!(script.result(promise), None);
    }
    // But not for ever.
    for _ in 0..5 {
        script.lose();
        script.reconnect();
        script.pass(Duration::from_secs(100));
        kill(&mut script, 506, CONSUME);
    }
    assert_matches!(script.result(consumer), Some(Err(Error::ResourceError(_))));
}
