//! A consumer's life: qos, consume, deliver, qos anew, cancel, acknowledge.
//!
//! One promise, one channel, one or more queues. The broker counts a prefetch for each queue's consumer, and fixes it
//! when that consumer starts. Puka's promise is another: one limit for all queues together, which may change while it
//! runs. So the client keeps a gate of its own: no more than `prefetch` deliveries are with the user and unsettled;
//! those beyond are held back in the order they came. And a changed prefetch replaces each of the broker's consumers
//! by a new one on the same channel: first the new, then the old is cancelled, so that a queue never stands without.
//!
//! RabbitMQ's queue sends the consume-ok, and its channel fails if the tag is cancelled before that has passed. So what
//! is asked of a consumer that starts waits for the consume-ok.
//!
//! ```text
//!                 qos, consume ...            basic_cancel, or the broker's cancel
//!   (a channel) ------------------> running ----------------------------------> ending --> over
//!                                    |  ^     cancel each tag that is left      cancel-ok for each
//!                                    +--+ basic_qos: qos, consume new, cancel old
//! ```

use std::collections::VecDeque;

use bytes::BytesMut;

use super::channels::{Expect, Role};
use super::requests::check_frame;
use super::{Connection, Event, Violation};
use crate::error::{CancelledBy, Error, Result};
use crate::message::{Delivery, Origin};
use crate::options::{Consume, ConsumeMulti, Requeue};
use crate::outcome::{CancelOk, Outcome};
use crate::wire::{
    BasicAck, BasicCancel, BasicConsume, BasicNack, BasicQos, BasicReject, EncodeError, ShortStr,
    write_method,
};

/// One of the broker's consumers, of one queue.
#[derive(Debug)]
pub(super) struct Queue {
    request: Consume,
    /// The tag as the user knows it.
    tag: ShortStr,
    /// How often the broker's consumer was replaced: its tag on the wire ends in that, from the first time on.
    pub(super) generation: u32,
    /// False once the broker has cancelled it.
    pub(super) alive: bool,
}

impl Queue {
    pub(super) fn wire_tag(&self) -> ShortStr {
        match self.generation {
            0 => self.tag.clone(),
            generation => format!("{}~{generation}", self.tag).into(),
        }
    }

    /// Whether a second consumer beside this one would not do what the first did.
    pub(super) fn is_irreplaceable(&self) -> bool {
        self.request.exclusive || self.request.arguments.get("x-stream-offset").is_some()
    }

    pub(super) fn start(
        &self,
        no_ack: bool,
        channel: u16,
        out: &mut BytesMut,
        frame_max: usize,
    ) -> Result<(), EncodeError> {
        let mark = out.len();
        self.request.arguments.check_encodable()?;
        let tag = self.wire_tag();
        let method = BasicConsume {
            queue: self.request.queue.as_bytes(),
            consumer_tag: tag.as_bytes(),
            no_local: self.request.no_local,
            no_ack,
            exclusive: self.request.exclusive,
            arguments: self.request.arguments.encoded(),
            ..Default::default()
        };
        write_method(out, channel, &method)?;
        check_frame(out, mark, frame_max)
    }
}

#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) promise: u64,
    pub(super) queues: Vec<Queue>,
    pub(super) no_ack: bool,
    /// The limit of the gate; 0 is none.
    pub(super) prefetch: u16,
    /// What the broker's consumers were started with.
    pub(super) broker_prefetch: u16,
    /// Deliveries beyond the limit, which the user has not seen.
    pub(super) held: VecDeque<Delivery>,
    /// How many consume-oks are outstanding.
    pub(super) starting: usize,
    /// What was asked meanwhile.
    pub(super) later: VecDeque<Later>,
    pub(super) ending: Option<Ending>,
}

/// What waits for a consumer to have started.
#[derive(Debug)]
pub(super) enum Later {
    Qos {
        promise: u64,
        prefetch: u16,
    },
    /// The promise is that of `basic_cancel`, if it was that.
    End {
        by: CancelledBy,
        promise: Option<u64>,
    },
}

#[derive(Debug)]
pub(super) struct Ending {
    by: CancelledBy,
    /// Promises of `basic_cancel`.
    promises: Vec<u64>,
    /// How many cancel-oks are outstanding.
    left: usize,
}

impl Consumer {
    pub(crate) fn new(promise: u64, request: ConsumeMulti) -> Self {
        let ConsumeMulti {
            consumers,
            prefetch_count,
            no_ack,
        } = request;
        let queues = consumers
            .into_iter()
            .enumerate()
            .map(|(index, request)| Queue {
                tag: format!("{promise}.{index}.{}", request.consumer_tag).into(),
                request,
                generation: 0,
                alive: true,
            });
        Self {
            promise,
            queues: queues.collect(),
            no_ack,
            prefetch: prefetch_count,
            broker_prefetch: prefetch_count,
            held: VecDeque::new(),
            starting: 0,
            later: VecDeque::new(),
            ending: None,
        }
    }

    /// Writes what starts it, and returns the replies that the broker then owes.
    pub(crate) fn start(
        &mut self,
        channel: u16,
        out: &mut BytesMut,
        frame_max: usize,
    ) -> Result<Vec<Expect>, EncodeError> {
        // Always: a channel out of the pool may have had another prefetch.
        write_method(
            out,
            channel,
            &BasicQos {
                prefetch_count: self.prefetch,
                ..Default::default()
            },
        )?;
        let mut expect = vec![Expect::QosOk];
        for queue in &self.queues {
            queue.start(self.no_ack, channel, out, frame_max)?;
            expect.push(Expect::ConsumeOk);
        }
        self.starting = self.queues.len();
        Ok(expect)
    }

    /// The user's name for the tag of a delivery. `None`: it is not one of this consumer's.
    fn known_tag(&self, wire_tag: &ShortStr) -> Option<ShortStr> {
        let index: usize = wire_tag.split('.').nth(1)?.parse().ok()?;
        let tag = &self.queues.get(index)?.tag;
        match wire_tag.strip_prefix(&**tag) {
            Some("") => Some(wire_tag.clone()),
            Some(generation) if generation.starts_with('~') => Some(tag.clone()),
            _ => None,
        }
    }

    /// Every promise that goes with this consumer, if its channel goes.
    pub(crate) fn promises(&self) -> impl Iterator<Item = u64> {
        let cancels = self
            .ending
            .iter()
            .flat_map(|ending| ending.promises.iter().copied());
        let later = self.later.iter().filter_map(|later| match later {
            Later::Qos { promise, .. } => Some(*promise),
            Later::End { promise, .. } => *promise,
        });
        std::iter::once(self.promise).chain(cancels).chain(later)
    }

    fn last_tag(&self) -> ShortStr {
        self.queues
            .last()
            .map(|queue| queue.tag.clone())
            .unwrap_or_default()
    }
}

/// How a delivery is settled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settle {
    Ack { multiple: bool },
    Reject(Requeue),
    Nack { multiple: bool, requeue: Requeue },
}

impl Settle {
    fn is_multiple(self) -> bool {
        matches!(
            self,
            Self::Ack { multiple: true } | Self::Nack { multiple: true, .. }
        )
    }

    fn write(self, origin: Origin, out: &mut BytesMut) -> Result<(), EncodeError> {
        let (channel, delivery_tag) = (origin.channel, origin.tag);
        match self {
            Self::Ack { multiple } => write_method(
                out,
                channel,
                &BasicAck {
                    delivery_tag,
                    multiple,
                },
            ),
            Self::Reject(requeue) => {
                let requeue = requeue == Requeue::Yes;
                write_method(
                    out,
                    channel,
                    &BasicReject {
                        delivery_tag,
                        requeue,
                    },
                )
            }
            Self::Nack { multiple, requeue } => {
                let requeue = requeue == Requeue::Yes;
                write_method(
                    out,
                    channel,
                    &BasicNack {
                        delivery_tag,
                        multiple,
                        requeue,
                    },
                )
            }
        }
    }
}

impl Connection {
    /// A delivery for a consumer: to its promise, or held back.
    pub(super) fn deliver(&mut self, number: u16, mut delivery: Delivery) -> Result<(), Violation> {
        let Some(channel) = self.channels.get_mut(number) else {
            return Ok(());
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return Err(Violation::new(503, "a delivery where nobody consumes"));
        };
        let Some(tag) = consumer.known_tag(&delivery.consumer_tag) else {
            return Err(Violation::new(503, "a delivery for an unknown consumer"));
        };
        delivery.consumer_tag = tag;
        delivery.origin.promise.number = consumer.promise;
        delivery.origin.no_ack = consumer.no_ack;
        if !consumer.no_ack {
            if channel
                .unsettled
                .back()
                .is_some_and(|&last| last >= delivery.origin.tag)
            {
                return Err(Violation::new(503, "a delivery tag that does not rise"));
            }
            channel.unsettled.push_back(delivery.origin.tag);
            let given = channel.unsettled.len() - consumer.held.len() - 1;
            let full = consumer.prefetch != 0 && given >= usize::from(consumer.prefetch);
            if full || !consumer.held.is_empty() {
                consumer.held.push_back(delivery);
                return Ok(());
            }
        }
        self.events
            .push_back(Event::Delivery(consumer.promise, delivery));
        Ok(())
    }

    /// Acknowledges, or refuses, one delivery or all up to it.
    pub(crate) fn settle(&mut self, origin: Origin, how: Settle) -> Result<()> {
        if origin.no_ack {
            return Err(Error::NoAck(origin.tag));
        }
        let channel = self
            .channels
            .get_mut(origin.channel)
            .filter(|channel| channel.epoch == origin.epoch);
        let Some(channel) = channel.filter(|_| self.state.is_open()) else {
            return Err(Error::StaleDelivery(origin.tag));
        };
        if channel.settle(origin.tag, how.is_multiple()).is_none() {
            return Err(Error::AlreadySettled(origin.tag));
        }
        how.write(origin, self.out.tail())
            .map_err(|error| Error::InvalidArgument(error.to_string()))?;
        self.out.commit();
        self.open_gate(origin.channel);
        self.release_if_settled(origin.channel);
        Ok(())
    }

    /// Does it now, or when the consumer has started.
    pub(super) fn soon(&mut self, number: u16, what: Later) {
        if let Some(consumer) = self.consumer(number) {
            consumer.later.push_back(what);
            self.do_what_waited(number);
        }
    }

    fn consumer(&mut self, number: u16) -> Option<&mut Consumer> {
        match &mut self.channels.get_mut(number)?.role {
            Role::Consumer(consumer) => Some(consumer),
            _ => None,
        }
    }

    fn do_what_waited(&mut self, number: u16) {
        while let Some(consumer) = self
            .consumer(number)
            .filter(|consumer| consumer.starting == 0)
        {
            match consumer.later.pop_front() {
                Some(Later::Qos { promise, prefetch }) => self.start_qos(promise, number, prefetch),
                Some(Later::End { by, promise }) => self.end_consumer(number, by, promise),
                None => return,
            }
        }
    }

    pub(crate) fn consume_ok(&mut self, number: u16) {
        if let Some(consumer) = self.consumer(number) {
            consumer.starting = consumer.starting.saturating_sub(1);
            self.do_what_waited(number);
        }
    }

    /// `basic_cancel` of a consumer that runs, or waits for its channel.
    pub(crate) fn cancel(&mut self, promise: u64, consumer: u64) {
        if let Some(request) = self.waiting_consumer(consumer) {
            let consumer_tag = Consumer::new(consumer, request.clone()).last_tag();
            self.waiting.retain(|(number, _)| *number != consumer);
            self.settled(consumer, Err(Error::Cancelled(CancelledBy::Client)));
            return self.settled(promise, Ok(Outcome::CancelOk(CancelOk { consumer_tag })));
        }
        match self.consumers.get(&consumer).copied() {
            Some(number) => self.soon(
                number,
                Later::End {
                    by: CancelledBy::Client,
                    promise: Some(promise),
                },
            ),
            None => self.settled(
                promise,
                Err(Error::UnknownPromise(self.config.id(consumer))),
            ),
        }
    }

    /// The broker has cancelled one of a consumer's tags: the rest goes too.
    pub(crate) fn cancelled_by_broker(&mut self, number: u16, tag: &[u8]) {
        let Some(Role::Consumer(consumer)) = self
            .channels
            .get_mut(number)
            .map(|channel| &mut channel.role)
        else {
            return;
        };
        let queue = consumer
            .queues
            .iter_mut()
            .find(|queue| queue.wire_tag().as_bytes() == tag);
        if let Some(queue) = queue {
            queue.alive = false;
            log::debug!(
                "the broker cancelled the consumer of queue {:?}",
                &*queue.request.queue
            );
            if consumer.ending.is_none() {
                self.soon(
                    number,
                    Later::End {
                        by: CancelledBy::Broker,
                        promise: None,
                    },
                );
            }
        }
    }

    /// Cancels every tag that is left; [`cancel_ok`](Self::cancel_ok) does the rest.
    fn end_consumer(&mut self, number: u16, by: CancelledBy, promise: Option<u64>) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return;
        };
        if let Some(ending) = &mut consumer.ending {
            ending.promises.extend(promise);
            return;
        }
        let mut left = 0;
        for queue in consumer.queues.iter().filter(|queue| queue.alive) {
            let tag = queue.wire_tag();
            let cancel = BasicCancel {
                consumer_tag: tag.as_bytes(),
                no_wait: false,
            };
            // The tag was short enough when the consumer started.
            if write_method(self.out.tail(), number, &cancel).is_ok() {
                channel.expect.push_back(Expect::CancelOk);
                left += 1;
            }
        }
        self.out.commit();
        consumer.ending = Some(Ending {
            by,
            promises: promise.into_iter().collect(),
            left,
        });
        if left == 0 {
            self.finish_consumer(number);
        }
    }

    pub(crate) fn cancel_ok(&mut self, number: u16) {
        let Some(Role::Consumer(consumer)) = self
            .channels
            .get_mut(number)
            .map(|channel| &mut channel.role)
        else {
            return;
        };
        let Some(ending) = &mut consumer.ending else {
            return;
        };
        ending.left = ending.left.saturating_sub(1);
        if ending.left == 0 {
            self.finish_consumer(number);
        }
    }

    fn finish_consumer(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        let Role::Consumer(consumer) = std::mem::replace(&mut channel.role, Role::Settling) else {
            return;
        };
        self.consumers.remove(&consumer.promise);
        // What the user never saw goes back to its queue.
        for delivery in &consumer.held {
            let delivery_tag = delivery.origin.tag;
            if channel.settle(delivery_tag, false).is_some() {
                let _ = write_method(
                    self.out.tail(),
                    number,
                    &BasicReject {
                        delivery_tag,
                        requeue: true,
                    },
                );
            }
        }
        self.out.commit();
        let consumer_tag = consumer.last_tag();
        let Some(ending) = consumer.ending else {
            return;
        };
        self.settled(consumer.promise, Err(Error::Cancelled(ending.by)));
        for promise in ending.promises {
            let consumer_tag = consumer_tag.clone();
            self.settled(promise, Ok(Outcome::CancelOk(CancelOk { consumer_tag })));
        }
        self.release_if_settled(number);
    }
}
