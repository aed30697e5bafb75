//! Acknowledging deliveries, refusing them, and having them all again.

use bytes::BytesMut;

use crate::connection::Connection;
use crate::connection::channel::Consuming;
use crate::connection::consume::consumer::{Deferred, Queue};
use crate::connection::event::Event;
use crate::connection::expect::Expect;
use crate::types::error::{Error, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::Origin;
use crate::types::requests::Requeue;
use crate::types::results::Outcome;
use crate::wire::{
    BasicCancel, BasicNack, BasicRecover, BasicReject, EncodeError, write_ack, write_method,
};

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

    pub(crate) fn write(self, origin: Origin, out: &mut BytesMut) -> Result<(), EncodeError> {
        let (channel, delivery_tag) = (origin.channel.0, origin.tag);
        match self {
            Self::Ack { multiple } => {
                write_ack(out, channel, delivery_tag, multiple);
                Ok(())
            }
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
    /// Acknowledges, or refuses, one delivery or all up to it.
    pub(crate) fn settle(&mut self, origin: Origin, how: Settle) -> Result<()> {
        if origin.no_ack {
            return Err(Error::NoAck(origin.tag));
        }
        if origin.is_returned || self.is_taken_back(origin) {
            log::debug!(
                "delivery {} is settled too late: the broker has it again",
                origin.tag
            );
            return Ok(());
        }
        let channel = self
            .channels
            .get_mut(origin.channel)
            .filter(|channel| channel.epoch == origin.epoch);
        let Some(channel) = channel.filter(|_| self.state.is_up()) else {
            return Err(Error::StaleDelivery(origin.tag));
        };
        if how.is_multiple() && channel.unsettled.returns_below(origin.tag) {
            channel.settle_between(origin, how, self.out.tail())?;
        }
        if !channel.settle(origin.tag, how.is_multiple()) {
            return Err(Error::AlreadySettled(origin.tag));
        }
        how.write(origin, self.out.tail())
            .map_err(|error| Error::InvalidArgument(error.to_string()))?;
        if channel.unsettled.has_returning() {
            self.return_dropped(origin.channel);
        }
        self.out.commit();
        self.has_got_on |= matches!(how, Settle::Ack { .. });
        self.open_gate(origin.channel);
        self.release_if_settled(origin.channel);
        Ok(())
    }

    /// Whether recovery has lost the socket that a delivery came over: its message comes again by itself.
    pub(crate) fn is_taken_back(&self, origin: Origin) -> bool {
        self.config.recovers && self.channels.is_lost(origin.epoch)
    }

    /// Whether a delivery could be settled now.
    pub(crate) fn holds(&self, origin: Origin) -> bool {
        let channel = self.channels.get(origin.channel);
        let channel = channel.filter(|channel| channel.epoch == origin.epoch && self.state.is_up());
        channel.is_some_and(|channel| channel.unsettled.contains(origin.tag))
    }

    /// Behind all epochs of its channels.
    pub(crate) fn epochs_end(&self) -> u64 {
        self.channels.next_epoch()
    }

    /// `basic_recover`: everything that is with the user comes again.
    pub(crate) fn recover(&mut self, promise: PromiseNumber, consumer: PromiseNumber) {
        if self.state.is_closing() {
            return self.resolve(promise, Err(Error::Closed));
        }
        let Some(&id) = self.consumers.get(&consumer) else {
            // One that has no channel has no deliveries: what it had, before a loss, comes again.
            return if self.waiting_consumer(consumer).is_some() || self.is_set_aside(consumer) {
                self.resolve(promise, Ok(Outcome::Done))
            } else {
                self.no_such_consumer(promise, consumer)
            };
        };
        let Some(Consuming {
            consumer,
            unsettled,
            ..
        }) = self.channels.consuming(id)
        else {
            return;
        };
        if unsettled.is_empty() && !consumer.no_ack {
            // What is on its way comes, and whether it is a stream's shows only then.
            return self.resolve(promise, Ok(Outcome::Done));
        }
        // To a stream `basic.recover` is an acknowledgement, if it does not close the connection.
        if consumer.no_ack || !consumer.queues.iter().any(Queue::is_stream) {
            self.take_all_back(promise, id);
        } else if consumer.queues.len() == 1 {
            self.defer(id, Deferred::Rewind { promise });
        } else {
            let error = "a stream gives nothing again but to a new consumer, and one of several queues cannot be replaced \
                         without a gap: cancel it and consume anew"
                .into();
            self.resolve(promise, Err(Error::InvalidArgument(error)));
        }
    }

    fn take_all_back(&mut self, promise: PromiseNumber, id: ChannelId) {
        let Some(Consuming {
            consumer,
            expect,
            unsettled,
        }) = self.channels.consuming(id)
        else {
            return;
        };
        expect.push_back(Expect::RecoverOk(promise));
        let _ = write_method(self.out.tail(), id.0, &BasicRecover { requeue: true });
        self.out.commit();
        // What came with no_ack does not come again.
        if !consumer.no_ack {
            consumer.held.clear();
            unsettled.clear();
            self.events.push_back(Event::Stale(consumer.promise));
            self.count_held(id);
        }
    }

    /// `basic_recover` of one stream, that has started: a new consumer begins with the oldest that is not settled. What the
    /// old one sends until it has ended comes again, too.
    pub(crate) fn rewind(&mut self, promise: PromiseNumber, id: ChannelId) {
        let frame_max = self.frame_max;
        let Some(Consuming {
            consumer,
            expect,
            unsettled,
        }) = self.channels.consuming(id)
        else {
            return;
        };
        if consumer.ending.is_some() {
            let consumer = consumer.promise;
            return self.no_such_consumer(promise, consumer);
        }
        let (Some(last), Some(queue)) = (unsettled.last(), consumer.queues.first_mut()) else {
            return self.resolve(promise, Ok(Outcome::Done));
        };
        let old = queue.wire_tag();
        let cancel = BasicCancel {
            consumer_tag: old.as_bytes(),
            no_wait: false,
        };
        queue.rewind(unsettled);
        queue.generation += 1;
        let out = self.out.tail();
        let mark = out.len();
        let written = write_method(out, id.0, &cancel).and_then(|()| {
            write_ack(out, id.0, last, true);
            queue.start(consumer.no_ack, id, out, frame_max)
        });
        if let Err(error) = written {
            out.truncate(mark);
            queue.generation -= 1;
            return self.resolve(promise, Err(Error::InvalidArgument(error.to_string())));
        }
        self.out.commit();
        expect.extend([Expect::Replaced(Some(promise)), Expect::ConsumeOk]);
        unsettled.clear();
        consumer.starting += 1;
        consumer.rewinds = true;
        consumer.held.clear();
        self.events.push_back(Event::Stale(consumer.promise));
        self.count_held(id);
    }
}
