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
    BasicAck, BasicCancel, BasicConsume, BasicNack, BasicQos, BasicRecover, BasicReject,
    EncodeError, FieldTable, ShortStr, write_method,
};

/// Where a consumer of a stream begins, and where each of its deliveries stands.
const STREAM_OFFSET: &str = "x-stream-offset";

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
    /// Of a stream: the offsets of deliveries that may be unsettled, by their tags.
    offsets: VecDeque<(u64, i64)>,
    /// Of a stream: behind the last delivery.
    next_offset: Option<i64>,
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
        self.request.exclusive || self.is_stream()
    }

    fn is_stream(&self) -> bool {
        self.request.arguments.contains(STREAM_OFFSET)
    }

    /// Notes how far a stream has come; `oldest` is the first tag that is unsettled.
    fn note_offset(&mut self, tag: u64, oldest: u64, headers: &FieldTable) {
        let Some(offset) = headers.get(STREAM_OFFSET).and_then(|value| value.as_i64()) else {
            return;
        };
        while self.offsets.front().is_some_and(|&(tag, _)| tag < oldest) {
            self.offsets.pop_front();
        }
        self.offsets.push_back((tag, offset));
        self.next_offset = Some(offset + 1);
    }

    /// What a new consumer in place of one that was lost has to say.
    fn begin_again(&mut self, unsettled: &VecDeque<u64>) {
        self.generation = 0;
        self.alive = true;
        let offsets = std::mem::take(&mut self.offsets);
        let oldest = offsets
            .iter()
            .find(|(tag, _)| unsettled.binary_search(tag).is_ok());
        if let Some(offset) = oldest.map(|&(_, offset)| offset).or(self.next_offset) {
            self.request.arguments.insert(STREAM_OFFSET, offset);
        }
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
    /// Whether it had another channel before a loss.
    pub(super) restarted: bool,
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
                offsets: VecDeque::new(),
                next_offset: None,
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
            restarted: false,
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

    /// The queue of that tag, if it is a stream.
    fn stream_of(&mut self, tag: &ShortStr) -> Option<&mut Queue> {
        let mut streams = self.queues.iter_mut().filter(|queue| queue.is_stream());
        streams.find(|queue| queue.tag == *tag)
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

    /// The queues by name.
    pub(super) fn queue_names(&mut self) -> impl Iterator<Item = &mut ShortStr> {
        self.queues.iter_mut().map(|queue| &mut queue.request.queue)
    }

    /// Makes it ready for another channel, after the loss of the one with these unsettled tags. The promises of
    /// `basic_qos` that this settles; and whether, instead, it had been cancelled.
    fn begin_again(&mut self, unsettled: &VecDeque<u64>) -> (Vec<u64>, Option<Ending>) {
        let mut settled = Vec::new();
        for later in std::mem::take(&mut self.later) {
            match later {
                Later::Qos { promise, prefetch } => {
                    self.prefetch = prefetch;
                    settled.push(promise);
                }
                Later::End { by, promise } => {
                    let ending = self.ending.get_or_insert(Ending {
                        by,
                        promises: Vec::new(),
                        left: 0,
                    });
                    ending.promises.extend(promise);
                }
            }
        }
        for queue in &mut self.queues {
            queue.begin_again(unsettled);
        }
        self.held.clear();
        self.restarted = true;
        self.starting = 0;
        self.broker_prefetch = self.prefetch;
        (settled, self.ending.take())
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
    /// Puts a consumer on its channel.
    pub(super) fn start_consumer(&mut self, mut consumer: Consumer, channel: u16) -> Result<()> {
        let expect = consumer
            .start(channel, self.out.tail(), self.frame_max)
            .map_err(|error| Error::InvalidArgument(error.to_string()))?;
        self.consumers.insert(consumer.promise, channel);
        self.occupy(channel, Role::Consumer(consumer), expect);
        Ok(())
    }

    /// The end of a consumer, and of all that was asked of it.
    pub(super) fn fail_consumer(&mut self, consumer: Consumer, error: &Error) {
        for promise in consumer.promises() {
            self.settled(promise, Err(error.clone()));
        }
    }

    /// A consumer whose socket has gone: it will have another.
    pub(super) fn suspend_consumer(
        &mut self,
        mut consumer: Consumer,
        unsettled: &VecDeque<u64>,
        error: &Error,
    ) {
        if !consumer.no_ack {
            self.events.push_back(Event::Stale(consumer.promise));
        }
        let (changed, ending) = consumer.begin_again(unsettled);
        for promise in changed {
            self.settled(promise, Ok(Outcome::Done));
        }
        match ending {
            Some(ending) => self.cancelled(&consumer, ending),
            None => self.suspended.push_back((consumer, error.clone())),
        }
    }

    fn cancelled(&mut self, consumer: &Consumer, ending: Ending) {
        self.settled(consumer.promise, Err(Error::Cancelled(ending.by)));
        for promise in ending.promises {
            let consumer_tag = consumer.last_tag();
            self.settled(promise, Ok(Outcome::CancelOk(CancelOk { consumer_tag })));
        }
    }

    /// `basic_recover`: everything that is with the user comes again.
    pub(crate) fn recover(&mut self, promise: u64, consumer: u64) {
        let Some(&number) = self.consumers.get(&consumer) else {
            return self.no_such_consumer(promise, consumer);
        };
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return;
        };
        consumer.held.clear();
        channel.unsettled.clear();
        channel.expect.push_back(Expect::RecoverOk(promise));
        let _ = write_method(self.out.tail(), number, &BasicRecover { requeue: true });
        self.out.commit();
        self.events.push_back(Event::Stale(consumer.promise));
    }

    /// Queues that go with their last consumer are not to be declared again.
    fn forget_auto_deleted(&mut self, consumer: &mut Consumer) {
        if self.config.options.recovery.is_none() {
            return;
        }
        for name in consumer.queue_names() {
            let others = self.consumers.values().any(|&number| {
                match self.channels.get(number).map(|channel| &channel.role) {
                    Some(Role::Consumer(other)) => other
                        .queues
                        .iter()
                        .any(|queue| queue.request.queue == *name),
                    _ => false,
                }
            });
            if !others {
                self.topology.forget_auto_deleted(name);
            }
        }
    }

    fn no_such_consumer(&mut self, promise: u64, consumer: u64) {
        let error = Error::UnknownPromise(self.config.id(consumer));
        self.settled(promise, Err(error));
    }

    /// A delivery for a consumer: to its promise, or held back.
    pub(super) fn deliver(&mut self, number: u16, mut delivery: Delivery) -> Result<(), Violation> {
        if self.is_reply(number, &delivery) {
            self.replied(number, delivery);
            return Ok(());
        }
        let Some(channel) = self.channels.get_mut(number) else {
            return Ok(());
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return Err(Violation::new(503, "a delivery where nobody consumes"));
        };
        let Some(tag) = consumer.known_tag(&delivery.consumer_tag) else {
            return Err(Violation::new(503, "a delivery for an unknown consumer"));
        };
        // What comes before recover-ok was sent before the broker took it all back.
        if channel
            .expect
            .iter()
            .any(|expect| matches!(expect, Expect::RecoverOk(_)))
        {
            return Ok(());
        }
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
            let oldest = channel.unsettled[0];
            if let Some(queue) = consumer.stream_of(&delivery.consumer_tag) {
                queue.note_offset(delivery.origin.tag, oldest, &delivery.properties.headers);
            }
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
        let Some(channel) = channel.filter(|_| self.state.is_up()) else {
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
            None => match self.take_suspended(consumer) {
                Some(consumer) => {
                    let ending = Ending {
                        by: CancelledBy::Client,
                        promises: vec![promise],
                        left: 0,
                    };
                    self.cancelled(&consumer, ending);
                }
                None => self.no_such_consumer(promise, consumer),
            },
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
        let mut consumer = consumer;
        let Some(ending) = consumer.ending.take() else {
            return;
        };
        self.cancelled(&consumer, ending);
        self.forget_auto_deleted(&mut consumer);
        self.release_if_settled(number);
    }
}
