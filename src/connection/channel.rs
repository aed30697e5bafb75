//! A channel, and what it is for at the moment.

use std::collections::VecDeque;
use std::time::Instant;

use crate::connection::consume::consumer::Consumer;
use crate::connection::consume::unsettled::Unsettled;
use crate::connection::expect::Expect;
use crate::connection::incoming::Incoming;
use crate::connection::recovery::step::Step;
use crate::connection::request::Request;

/// The channel of all publishes. It is opened with the first one, and never in the pool.
pub(crate) const PUBLISHER: u16 = 1;

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
    Caller {
        promise: u64,
        deadline: Instant,
        /// Whether the broker has surely handled the message.
        is_handled: bool,
    },
    /// A call that was given up: what the broker has yet to say of its message is for nobody.
    Expired {
        promise: u64,
    },
    /// `basic.get` of that promise.
    Get {
        promise: u64,
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
            Self::Consumer(consumer) => consumer.queues.iter().any(|queue| queue.keeps(tag)),
            Self::Returning(of_streams) => of_streams.binary_search(&tag).is_ok(),
            _ => false,
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Calling {
    pub(crate) promise: u64,
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
    /// Whether replies to calls come here: that once begun stays.
    pub(crate) takes_replies: bool,
}

impl Channel {
    /// Whether a consumer is being cancelled here.
    pub(crate) fn is_ending(&self) -> bool {
        match &self.role {
            Role::Consumer(consumer) => consumer.is_ending(),
            _ => false,
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
