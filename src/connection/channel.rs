//! A channel, and what it is for at the moment.

use std::collections::VecDeque;
use std::time::Instant;

use crate::connection::consume::consumer::Consumer;
use crate::connection::consume::unsettled::Unsettled;
use crate::connection::expect::Expect;
use crate::connection::incoming::Incoming;
use crate::connection::recovery::step::Step;
use crate::connection::request::Request;
use crate::types::ids::{ChannelId, PromiseNumber};

/// The channel of all publishes. It is opened with the first one, and never in the pool.
pub(crate) const PUBLISHER: ChannelId = ChannelId(1);

/// What a channel is for, at the moment.
#[derive(Debug)]
pub(crate) enum Role {
    /// In the pool.
    Idle,
    /// Calls under way, oldest first. The broker answers them in order.
    Calls(VecDeque<Calling>),
    /// Something that was there before a loss.
    Replay(Step),
    /// A message to another program, whose reply is for that promise.
    Rpc {
        promise: PromiseNumber,
        deadline: Instant,
        /// Whether the broker has surely handled the message.
        is_handled: bool,
    },
    /// An rpc that was given up: what the broker has yet to say of its message is for nobody.
    ExpiredRpc {
        promise: PromiseNumber,
    },
    /// `basic.get` of that promise.
    Get {
        promise: PromiseNumber,
        no_ack: bool,
    },
    Consumer(Consumer),
    /// A consumer was cancelled, and what nobody has read of it is about to go back to its queue. These tags are of
    /// streams, in order.
    Returning(Vec<u64>),
    /// Deliveries are unsettled whose promise is over.
    Settling,
    Publisher,
}

impl Role {
    /// Whether a delivery of that tag stays in its queue, which is a stream, whatever is said of it.
    pub(crate) fn keeps(&self, tag: u64) -> bool {
        match self {
            Self::Consumer(consumer) => consumer.keeps(tag),
            Self::Returning(of_streams) => of_streams.binary_search(&tag).is_ok(),
            _ => false,
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Calling {
    pub(crate) promise: PromiseNumber,
    /// It may have to be made again.
    pub(crate) request: Request,
}

#[derive(Debug)]
pub(crate) struct Channel {
    /// Unlike the number, never used again: it tells a delivery's channel from its successors.
    pub(crate) epoch: u64,
    pub(crate) role: Role,
    /// Replies outstanding, oldest first. `consume-ok` may overtake others (the broker's queue sends it, not its
    /// channel), so a reply is matched by its kind.
    pub(crate) expect: VecDeque<Expect>,
    /// The message whose frames are coming in.
    pub(crate) incoming: Option<Incoming>,
    /// Deliveries that want an acknowledgement.
    pub(crate) unsettled: Unsettled,
    /// Whether replies of other programs come here: that once begun stays.
    pub(crate) takes_replies: bool,
}

/// A consumer's channel, in parts.
pub(crate) struct Consuming<'a> {
    pub(crate) consumer: &'a mut Consumer,
    pub(crate) expect: &'a mut VecDeque<Expect>,
    pub(crate) unsettled: &'a mut Unsettled,
}

impl Channel {
    /// Whether a consumer is being cancelled here.
    pub(crate) fn is_ending(&self) -> bool {
        match &self.role {
            Role::Consumer(consumer) => consumer.is_ending(),
            _ => false,
        }
    }

    /// What a consumer's channel is made of, if it is one.
    pub(crate) fn consuming(&mut self) -> Option<Consuming<'_>> {
        match &mut self.role {
            Role::Consumer(consumer) => Some(Consuming {
                consumer,
                expect: &mut self.expect,
                unsettled: &mut self.unsettled,
            }),
            _ => None,
        }
    }

    /// Takes the consumer off its channel, where deliveries may be unsettled yet.
    pub(crate) fn take_consumer(&mut self) -> Option<Consumer> {
        match std::mem::replace(&mut self.role, Role::Settling) {
            Role::Consumer(consumer) => Some(consumer),
            role => {
                self.role = role;
                None
            }
        }
    }

    /// Takes off a step that is done.
    pub(crate) fn take_step(&mut self) -> Option<Step> {
        match std::mem::replace(&mut self.role, Role::Settling) {
            Role::Replay(step) => Some(step),
            role => {
                self.role = role;
                None
            }
        }
    }

    /// Takes the oldest outstanding reply that fits.
    pub(crate) fn expected(&mut self, fits: impl Fn(&Expect) -> bool) -> Option<Expect> {
        let index = self.expect.iter().position(fits)?;
        self.expect.remove(index)
    }

    /// Takes a delivery's tag off the unsettled ones, or all up to it; false: it is not among them.
    pub(crate) fn settle(&mut self, tag: u64, multiple: bool) -> bool {
        if multiple {
            self.unsettled.remove_to(tag)
        } else {
            self.unsettled.remove(tag)
        }
    }

    /// Whether more may come yet that goes back to its queue.
    pub(crate) fn is_collecting(&self) -> bool {
        match &self.role {
            Role::Consumer(consumer) => awaits_answer(consumer, &self.expect),
            Role::Returning(_) => true,
            _ => false,
        }
    }
}

/// Whether the consumer waits for an answer, behind what is on its way to it.
pub(crate) fn awaits_answer(consumer: &Consumer, channel_expects: &VecDeque<Expect>) -> bool {
    let is_replaced = |expect: &Expect| matches!(expect, Expect::Replaced(_));
    consumer.ending.is_some() || channel_expects.iter().any(is_replaced)
}
