//! Queues and exchanges that delete themselves, and a loss.

use super::frames::{channel_close, wire_declare_ok};
use super::recovering::{bind, consume, consume_ok, declare, recovering};
use super::script::Script;
use crate::connection::Request;
use crate::types::error::Error;
use crate::types::requests::{Consume, ExchangeDeclare, QueueBind, QueueDeclare, QueueDelete};
use crate::wire::{
    self, BasicCancelOk, BasicQosOk, ChannelOpenOk, ConnectionClose, ExchangeDeclareOk,
    QueueBindOk, WireMethod,
};

fn call<M: WireMethod>(script: &mut Script, request: Request, answer: M) {
    script.request(request);
    script.methods();
    script.send(2, answer);
}

/// With a queue that goes with its last consumer, and is bound to an exchange that goes with its last binding.
fn with_queue() -> Script {
    let mut script = recovering();
    let exchange = ExchangeDeclare::direct("x").auto_delete(true);
    call(
        &mut script,
        Request::ExchangeDeclare(exchange),
        ExchangeDeclareOk {},
    );
    declare(&mut script, QueueDeclare::new("q").auto_delete(true), "q");
    call(&mut script, Request::QueueBind(bind("q")), QueueBindOk {});
    script
}

fn cancel(script: &mut Script, consumer: u64) {
    script.cancel(consumer);
    script.methods();
    let tag = format!("{consumer}.0.");
    script.send(
        2,
        BasicCancelOk {
            consumer_tag: tag.as_bytes(),
        },
    );
}

/// On a channel that is open.
fn consume_again(script: &mut Script) -> u64 {
    let consumer = script.consume(Consume::new("q"));
    script.methods();
    script.send(2, BasicQosOk {});
    consume_ok(script, consumer);
    assert!(script.connection.is_open());
    consumer
}

/// Whether the queue is declared again after a loss, with the exchange and the binding.
#[track_caller]
fn comes_back(script: &mut Script) -> bool {
    if !script.connection.is_suspended() {
        script.lose();
    }
    script.reconnect();
    let methods = script.methods();
    if !methods.contains(&"2 exchange.declare".to_owned()) {
        assert!(!methods.contains(&"2 queue.declare".to_owned()));
        return false;
    }
    script.send(2, ChannelOpenOk::default());
    script.send(2, ExchangeDeclareOk {});
    assert_eq!(script.methods(), ["2 queue.declare"]);
    script.send(2, wire_declare_ok("q"));
    assert_eq!(script.methods(), ["2 queue.bind"]);
    script.send(2, QueueBindOk {});
    true
}

/// Wherever its last consumer ends, the queue has gone.
#[test]
fn a_queue_that_deletes_itself_is_forgotten_wherever_its_consumer_ends() {
    let ends: [fn(&mut Script); 7] = [
        |script| {
            let consumer = consume(script, Consume::new("q"));
            cancel(script, consumer);
        },
        // While there is no connection.
        |script| {
            let consumer = consume(script, Consume::new("q"));
            script.lose();
            script.cancel(consumer);
        },
        |script| {
            script.lose();
            let waiting = script.consume(Consume::new("q"));
            script.cancel(waiting);
        },
        // The socket goes while it is under way, as it does for both here.
        |script| {
            let consumer = consume(script, Consume::new("q"));
            script.cancel(consumer);
            script.methods();
        },
        |script| {
            let consumers = [0, 1].map(|_| script.consume(Consume::new("q")));
            script.methods();
            for consumer in consumers {
                script.cancel(consumer);
            }
        },
        |script| {
            consume(script, Consume::new("q"));
            script.send(2, channel_close(406, "no"));
        },
        // Its start kills the connection.
        |script| {
            consume(script, Consume::new("q"));
            assert!(comes_back(script));
            script.methods();
            let close = ConnectionClose {
                reply_code: 541,
                class_id: 60,
                method_id: 20,
                ..Default::default()
            };
            script.send(0, close);
        },
    ];
    for (number, end) in ends.iter().enumerate() {
        let mut script = with_queue();
        end(&mut script);
        assert!(!comes_back(&mut script), "{number}");
    }
}

#[test]
fn a_queue_whose_consumer_cannot_be_started_again_is_forgotten() {
    let mut script = with_queue();
    let consumer = consume(&mut script, Consume::new("q"));
    assert!(comes_back(&mut script));
    script.methods();
    script.send(2, channel_close(403, "no"));
    // The limit has passed.
    script.pass(crate::Recovery::new().limit);
    script.pass(crate::Recovery::new().limit);
    assert_matches!(script.result(consumer), Some(Err(Error::AccessRefused(_))));
    assert!(!comes_back(&mut script));
}

#[test]
fn a_queue_that_another_consumer_has_is_kept() {
    let ends: [fn(&mut Script, u64); 2] = [
        |script, consumer| {
            script.lose();
            script.cancel(consumer);
        },
        |script, consumer| {
            script.cancel(consumer);
            script.methods();
            script.lose();
        },
    ];
    // Whichever of the two is looked at first.
    for (number, index) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut script = with_queue();
        let consumers = [0, 1].map(|_| script.consume(Consume::new("q")));
        script.methods();
        for (channel, consumer) in (2..).zip(consumers) {
            if channel == 3 {
                script.send(channel, ChannelOpenOk::default());
            }
            script.send(channel, BasicQosOk {});
            let tag = format!("{consumer}.0.");
            script.send(
                channel,
                wire::BasicConsumeOk {
                    consumer_tag: tag.as_bytes(),
                },
            );
        }
        ends[number](&mut script, consumers[index]);
        assert!(comes_back(&mut script), "{number} {index}");
    }
    // One that waits for the next connection.
    let mut script = with_queue();
    let consumer = consume(&mut script, Consume::new("q"));
    script.lose();
    script.consume(Consume::new("q"));
    script.cancel(consumer);
    assert!(comes_back(&mut script));
}

/// Another client may have a consumer, too, and another binding.
#[test]
fn what_was_forgotten_and_proves_to_be_there_is_declared_again_after_a_loss() {
    let proofs: [fn(&mut Script); 5] = [
        |script| {
            consume_again(script);
        },
        |script| declare(script, QueueDeclare::new("q").passive(true), "q"),
        |script| {
            let ok = wire::QueueDeclareOk {
                queue: b"q",
                message_count: 0,
                consumer_count: 1,
            };
            let queue = QueueDeclare::new("q").auto_delete(true);
            call(script, Request::QueueDeclare(queue), ok);
        },
        |script| {
            let purge = Request::QueuePurge("q".into());
            call(script, purge, wire::QueuePurgeOk { message_count: 0 });
        },
        |script| call(script, Request::QueueBind(bind("q")), QueueBindOk {}),
    ];
    for (number, proof) in proofs.iter().enumerate() {
        let mut script = with_queue();
        let consumer = consume(&mut script, Consume::new("q"));
        cancel(&mut script, consumer);
        proof(&mut script);
        assert!(comes_back(&mut script), "{number}");
    }
}

#[test]
fn what_has_gone_for_sure_does_not_come_back() {
    let gone: [fn(&mut Script); 4] = [
        |script| {
            let delete = Request::QueueDelete(QueueDelete::new("q"));
            call(script, delete, wire::QueueDeleteOk { message_count: 0 });
        },
        |script| {
            let delete = Request::ExchangeDelete(crate::types::requests::ExchangeDelete::new("x"));
            call(script, delete, wire::ExchangeDeleteOk {});
        },
        |script| {
            let unbind = QueueBind::new("q", "x").routing_key("k");
            let unbind = Request::QueueUnbind(unbind);
            call(script, unbind, wire::QueueUnbindOk {});
        },
        // A new one of that name has no bindings.
        |script| declare(script, QueueDeclare::new("q"), "q"),
    ];
    for (number, gone) in gone.iter().enumerate() {
        let mut script = with_queue();
        let consumer = consume(&mut script, Consume::new("q"));
        cancel(&mut script, consumer);
        gone(&mut script);
        let consumer = consume_again(&mut script);
        script.lose();
        script.reconnect();
        for _ in 0..4 {
            let methods = script.methods();
            assert!(
                !methods.contains(&"2 queue.bind".to_owned()),
                "{number}: {methods:?}"
            );
            if methods.contains(&"2 queue.declare".to_owned()) {
                script.send(2, ChannelOpenOk::default());
                script.send(2, wire_declare_ok("q"));
            }
            if methods.contains(&"2 basic.consume".to_owned()) {
                consume_ok(&mut script, consumer);
            }
        }
    }
}

#[test]
fn an_exchange_that_deletes_itself_and_is_bound_again_was_there() {
    let mut script = with_queue();
    let unbind = Request::QueueUnbind(bind("q"));
    call(&mut script, unbind, wire::QueueUnbindOk {});
    call(&mut script, Request::QueueBind(bind("q")), QueueBindOk {});
    assert!(comes_back(&mut script));
}
