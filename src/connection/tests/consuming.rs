//! Set-ups of tests with a consumer.

use super::script::Script;
use crate::ClientOptions;
use crate::types::message::Delivery;
use crate::types::requests::ConsumeMulti;
use crate::wire::{
    BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk, BasicQos, BasicQosOk, ChannelOpen,
    ChannelOpenOk,
};

#[track_caller]
pub(super) fn expect_qos(script: &mut Script, prefetch_count: u16) {
    script.expect(
        2,
        BasicQos {
            prefetch_count,
            ..Default::default()
        },
    );
}

#[track_caller]
pub(super) fn expect_consume(script: &mut Script, queue: &str, tag: &str, no_ack: bool) {
    let consume = BasicConsume {
        queue: queue.as_bytes(),
        consumer_tag: tag.as_bytes(),
        no_ack,
        ..Default::default()
    };
    script.expect(2, consume);
}

#[track_caller]
pub(super) fn expect_cancel(script: &mut Script, tag: &str) {
    script.expect(
        2,
        BasicCancel {
            consumer_tag: tag.as_bytes(),
            no_wait: false,
        },
    );
}

pub(super) fn consume_ok(script: &mut Script, tag: &str) {
    script.send(
        2,
        BasicConsumeOk {
            consumer_tag: tag.as_bytes(),
        },
    );
}

pub(super) fn cancel_ok(script: &mut Script, tag: &str) {
    script.send(
        2,
        BasicCancelOk {
            consumer_tag: tag.as_bytes(),
        },
    );
}

/// The first promise of a script, and so the consumer's here.
pub(super) const CONSUMER: u64 = 2;

/// A script with a consumer on channel 2, with the tags 2.0., 2.1. and so on.
pub(super) fn consuming(request: impl Into<ConsumeMulti>) -> Script {
    consuming_with(ClientOptions::new(), request)
}

pub(super) fn consuming_with(options: ClientOptions, request: impl Into<ConsumeMulti>) -> Script {
    let request = request.into();
    let mut script = Script::connected_with(options);
    assert_eq!(script.consume(request.clone()), CONSUMER);
    script.expect(2, ChannelOpen::default());
    expect_qos(&mut script, request.prefetch_count);
    let tags: Vec<_> = (0..request.consumers.len())
        .map(|index| format!("2.{index}."))
        .collect();
    for _ in &tags {
        script.frame();
    }
    script.expect_nothing();
    script.send(2, ChannelOpenOk::default());
    script.send(2, BasicQosOk {});
    for tag in &tags {
        consume_ok(&mut script, tag);
    }
    script
}

pub(super) fn two_queues(prefetch: u16) -> ConsumeMulti {
    ConsumeMulti::new(["a", "b"]).prefetch_count(prefetch)
}

/// The bodies that have come for the consumer.
pub(super) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|delivery| delivery.body_str().into_owned())
        .collect()
}

pub(super) fn one(script: &mut Script) -> Delivery {
    let mut deliveries = script.deliveries(CONSUMER);
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries.remove(0)
}
