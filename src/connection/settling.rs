//! Acknowledging deliveries, refusing them, and having them all again.

use bytes::BytesMut;

use super::channels::{Expect, Role};
use super::{Connection, Event};
use crate::error::{Error, Result};
use crate::message::Origin;
use crate::options::Requeue;
use crate::outcome::Outcome;
use crate::wire::{BasicNack, BasicRecover, BasicReject, EncodeError, write_ack, write_method};

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
        let channel = self
            .channels
            .get_mut(origin.channel)
            .filter(|channel| channel.epoch == origin.epoch);
        let Some(channel) = channel.filter(|_| self.state.is_up()) else {
            return Err(Error::StaleDelivery(origin.tag));
        };
        if !channel.settle(origin.tag, how.is_multiple()) {
            return Err(Error::AlreadySettled(origin.tag));
        }
        how.write(origin, self.out.tail())
            .map_err(|error| Error::InvalidArgument(error.to_string()))?;
        self.out.commit();
        self.open_gate(origin.channel);
        self.release_if_settled(origin.channel);
        Ok(())
    }

    /// `basic_recover`: everything that is with the user comes again.
    pub(crate) fn recover(&mut self, promise: u64, consumer: u64) {
        if self.state.is_closing() {
            return self.settled(promise, Err(Error::Closed));
        }
        let Some(&number) = self.consumers.get(&consumer) else {
            // One that has no channel has no deliveries: what it had, before a loss, comes again.
            return if self.waiting_consumer(consumer).is_some() || self.is_set_aside(consumer) {
                self.settled(promise, Ok(Outcome::Done))
            } else {
                self.no_such_consumer(promise, consumer)
            };
        };
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return;
        };
        channel.expect.push_back(Expect::RecoverOk(promise));
        let _ = write_method(self.out.tail(), number, &BasicRecover { requeue: true });
        self.out.commit();
        // What came with no_ack does not come again.
        if !consumer.no_ack {
            consumer.held.clear();
            channel.unsettled.clear();
            self.events.push_back(Event::Stale(consumer.promise));
        }
    }
}
