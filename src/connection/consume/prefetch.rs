//! The gate: how many deliveries are with the user and unsettled, across all queues of a consumer, and how that number
//! changes while the consumer runs. The why is in `consume/mod.rs`.

use bytes::BytesMut;

use crate::connection::Connection;
use crate::connection::channel::{Consuming, Role, awaits_answer};
use crate::connection::consume::consumer::{Consumer, Deferred, Queue};
use crate::connection::consume::gate::Account;
use crate::connection::event::Event;
use crate::connection::expect::Expect;
use crate::types::error::{Error, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::Delivery;
use crate::types::results::Outcome;
use crate::wire::{BasicCancel, BasicQos, EncodeError, write_method};

/// Why some consumers cannot have a larger prefetch.
const FIXED: &str = "RabbitMQ fixes the prefetch of a consumer when it starts, and an exclusive consumer, or one of a \
     stream, cannot be replaced without a gap: cancel it and consume anew";

impl Connection {
    /// Gives out what was held back, as far as the prefetch goes.
    pub(crate) fn open_gate(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.known(id) else {
            return;
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return;
        };
        // Whoever has cancelled gets no more.
        if consumer.held.is_empty() || consumer.ending.is_some() {
            return;
        }
        let mut given = channel.unsettled.len() - consumer.held.len();
        while consumer.prefetch == 0 || given < usize::from(consumer.prefetch) {
            let Some(delivery) = consumer.held.pop() else {
                break;
            };
            self.events
                .push_back(Event::Delivery(consumer.promise, delivery));
            given += 1;
        }
        self.count_held(id);
    }

    /// The broker has ended a consumer that another has replaced; the last one settles `basic_qos`'s promise.
    pub(crate) fn replaced(&mut self, id: ChannelId, last: Option<PromiseNumber>) {
        let Some(promise) = last else {
            return;
        };
        if let Some(Consuming {
            consumer,
            unsettled,
            ..
        }) = self.channels.consuming(id)
        {
            consumer.allow(unsettled.len());
            consumer.rewinds = false;
            self.count_held(id);
        }
        self.return_dropped(id);
        self.resolve(promise, Ok(Outcome::Done));
    }

    /// `basic_qos` on a consumer that runs.
    pub(crate) fn qos(&mut self, promise: PromiseNumber, consumer: PromiseNumber, prefetch: u16) {
        if self.state.is_closing() {
            return self.resolve(promise, Err(Error::Closed));
        }
        if let Some(request) = self.waiting_consumer(consumer) {
            request.prefetch_count = prefetch;
            return self.resolve(promise, Ok(Outcome::Done));
        }
        match self.consumers.get(&consumer).copied() {
            None => {
                let suspended = self
                    .suspended
                    .iter_mut()
                    .find(|(suspended, _)| suspended.promise == consumer);
                let result = match suspended {
                    Some((suspended, _)) => {
                        (suspended.prefetch, suspended.broker_prefetch) = (prefetch, prefetch);
                        Ok(Outcome::Done)
                    }
                    None => Err(Error::UnknownPromise(self.config.id(consumer))),
                };
                self.resolve(promise, result);
            }
            Some(id) => self.defer(id, Deferred::Qos { promise, prefetch }),
        }
    }

    pub(crate) fn start_qos(&mut self, promise: PromiseNumber, id: ChannelId, prefetch: u16) {
        match self.change_prefetch(promise, id, prefetch) {
            // The broker's replies settle the promise.
            Ok(true) => {}
            Ok(false) => self.resolve(promise, Ok(Outcome::Done)),
            Err(error) => self.resolve(promise, Err(error)),
        }
    }

    /// Whether the broker has to be told.
    fn change_prefetch(
        &mut self,
        promise: PromiseNumber,
        id: ChannelId,
        prefetch: u16,
    ) -> Result<bool> {
        let Some(Consuming {
            consumer, expect, ..
        }) = self.channels.consuming(id)
        else {
            return Err(Error::bug("a prefetch changes where nobody consumes"));
        };
        if consumer.ending.is_some() {
            return Err(Error::UnknownPromise(self.config.id(consumer.promise)));
        }
        // Smaller, or the same: the gate alone would do, but what the gate holds back nobody else can have, and where there
        // was no limit that is the whole queue.
        let widens =
            consumer.broker_prefetch != 0 && (prefetch == 0 || prefetch > consumer.broker_prefetch);
        let replaceable = !consumer.queues.iter().any(Queue::is_irreplaceable);
        if widens && !replaceable {
            return Err(Error::InvalidArgument(FIXED.into()));
        }
        consumer.prefetch = prefetch;
        if prefetch == consumer.broker_prefetch || !replaceable || consumer.no_ack {
            self.open_gate(id);
            return Ok(false);
        }
        consumer.broker_prefetch = prefetch;
        let out = self.out.tail();
        let mark = out.len();
        match replace(consumer, id, out, self.frame_max) {
            Ok(replaced) => {
                consumer.starting += replaced;
                expect.push_back(Expect::QosOk);
                let lasts = (0..replaced)
                    .rev()
                    .map(|left| (left == 0).then_some(promise));
                expect.extend(lasts.flat_map(|last| [Expect::ConsumeOk, Expect::Replaced(last)]));
                self.out.commit();
                self.open_gate(id);
                Ok(replaced > 0)
            }
            Err(error) => {
                out.truncate(mark);
                Err(Error::InvalidArgument(error.to_string()))
            }
        }
    }

    /// Bytes of deliveries that are held back, and of which the broker sends more without a bound.
    pub(crate) fn unbounded_held(&self) -> usize {
        self.gates.unbounded
    }

    /// Bytes of all deliveries that are held back.
    #[cfg(feature = "testing")]
    pub(crate) fn held(&self) -> usize {
        self.gates.held
    }

    /// Holds a delivery back; or drops it, to go back to its queue: there is too much already.
    pub(crate) fn hold_back(&mut self, id: ChannelId, delivery: Box<Delivery>) {
        let Some(Consuming {
            consumer,
            expect,
            unsettled,
        }) = self.channels.consuming(id)
        else {
            return;
        };
        if self.gates.held >= self.config.options.unread_high_water_mark
            && awaits_answer(consumer, expect)
        {
            let tag = delivery.origin.tag;
            let is_kept = consumer.keeps(tag);
            return unsettled.give_up([(tag, is_kept)].into_iter());
        }
        consumer.held.push(delivery);
        self.count_held(id);
    }

    /// Brings the account up to date, after a change of what a consumer's gate holds, or of what bounds it.
    pub(crate) fn count_held(&mut self, id: ChannelId) {
        let Some(Consuming {
            consumer,
            expect,
            unsettled,
        }) = self.channels.consuming(id)
        else {
            return;
        };
        if consumer.held.is_empty() && consumer.held.counted == Account::default() {
            return;
        }
        let is_bounded = awaits_answer(consumer, expect)
            || consumer
                .allowed
                .is_some_and(|allowed| unsettled.len() <= allowed);
        let held = consumer.held.bytes;
        let new = Account {
            held,
            unbounded: if is_bounded { 0 } else { held },
        };
        let old = std::mem::replace(&mut consumer.held.counted, new);
        self.gates.replace(old, new);
    }

    /// The account is what the gates hold.
    #[cfg(test)]
    pub(crate) fn check_gates(&self) {
        let mut sum = Account::default();
        for (_, channel) in self.channels.open_channels() {
            if let Role::Consumer(consumer) = &channel.role {
                let deliveries = consumer.held.deliveries.iter();
                let bytes: usize = deliveries.map(|delivery| delivery.bytes()).sum();
                assert_eq!(
                    (consumer.held.bytes, consumer.held.counted.held),
                    (bytes, bytes)
                );
                sum.replace(Account::default(), consumer.held.counted);
            }
        }
        assert_eq!(self.gates, sum);
    }

    /// Takes what a consumer's gate holds off the account: the consumer is no more, or has lost its channel.
    pub(crate) fn discount_held(&mut self, consumer: &mut Consumer) {
        let old = std::mem::take(&mut consumer.held.counted);
        self.gates.replace(old, Account::default());
    }
}

/// Writes a new prefetch, and a new consumer in place of each old one. How many those were.
fn replace(
    consumer: &mut Consumer,
    id: ChannelId,
    out: &mut BytesMut,
    frame_max: usize,
) -> Result<usize, EncodeError> {
    write_method(
        out,
        id.0,
        &BasicQos {
            prefetch_count: consumer.prefetch,
            ..Default::default()
        },
    )?;
    let mut replaced = 0;
    for queue in consumer.queues.iter_mut().filter(|queue| queue.alive) {
        let old = queue.wire_tag();
        queue.generation += 1;
        queue.start(consumer.no_ack, id, out, frame_max)?;
        write_method(
            out,
            id.0,
            &BasicCancel {
                consumer_tag: old.as_bytes(),
                no_wait: false,
            },
        )?;
        replaced += 1;
    }
    Ok(replaced)
}
