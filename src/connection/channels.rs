//! Channel numbers: opened when needed, used again after success, retired after an error.
//!
//! Each request has a channel to itself, so that an error, which closes its channel, takes nothing else down. Where many
//! calls are under way they share some channels: the one in error fails, and those behind it, which the broker has
//! ignored, are made again. What goes on on a channel is decided elsewhere; here is only whose it is.

use std::collections::VecDeque;
use std::time::Instant;

use super::consume::consumer::Consumer;
use super::consume::unsettled::Unsettled;
use super::incoming::content::Incoming;
use super::recovery::blame::Item;
use super::recovery::topology::Step;
use super::requests::{Call, Request};
use super::{Connection, Violation};
use crate::types::error::Error;
use crate::wire::{ChannelCloseOk, write_method};

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
    pub(super) fn keeps(&self, tag: u64) -> bool {
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

/// A reply that the broker owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    OpenOk,
    SelectOk,
    Call(Call),
    Get,
    QosOk,
    ConsumeOk,
    /// Of a consumer that ends.
    CancelOk,
    /// Of a consumer that another, with a new prefetch, has replaced; the last one settles `basic_qos`'s promise.
    Replaced(Option<u64>),
    /// For `basic_recover`'s promise.
    RecoverOk(u64),
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
    pub(super) unsettled: Unsettled,
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
    pub(super) fn settle(&mut self, tag: u64, multiple: bool) -> bool {
        if multiple {
            self.unsettled.remove_to(tag)
        } else {
            self.unsettled.remove(tag)
        }
    }
}

#[derive(Debug)]
pub(crate) struct Channels {
    /// By number. None: not open.
    channels: Vec<Option<Channel>>,
    /// Open and in the pool; the last one put back is taken first.
    idle: Vec<u16>,
    /// With calls under way.
    calling: Vec<u16>,
    /// Closed, to be opened again.
    closed: Vec<u16>,
    /// The highest number that was agreed on.
    max: u16,
    next_epoch: u64,
    /// What is below was on another socket, which has gone.
    first_epoch: u64,
}

impl Channels {
    /// No channels yet; their epochs count from `epoch`.
    pub(crate) fn new(epoch: u64) -> Self {
        // Channel 0 is the connection's, 1 the publisher's.
        Self {
            channels: vec![None, None],
            idle: Vec::new(),
            calling: Vec::new(),
            closed: Vec::new(),
            max: 0,
            next_epoch: epoch,
            first_epoch: epoch,
        }
    }

    /// The epoch of the next channel.
    pub(super) fn next_epoch(&self) -> u64 {
        self.next_epoch
    }

    /// Whether a channel of that epoch went with a socket that is lost.
    pub(super) fn is_lost(&self, epoch: u64) -> bool {
        epoch < self.first_epoch
    }

    pub(crate) fn set_max(&mut self, max: u16) {
        self.max = max;
    }

    pub(crate) fn get(&self, number: u16) -> Option<&Channel> {
        self.channels.get(usize::from(number))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(number))?.as_mut()
    }

    /// The channel that a method has come on, which may not come within a message.
    pub(super) fn for_method(
        &mut self,
        number: u16,
        name: impl Fn() -> &'static str,
    ) -> Result<&mut Channel, Violation> {
        match self.get_mut(number) {
            Some(channel) if channel.incoming.is_none() => Ok(channel),
            Some(_) => Err(Violation::new(
                505,
                format!("{} in the midst of a message", name()),
            )),
            None => Err(Violation::new(
                504,
                format!("{} on channel {number}, which is not open", name()),
            )),
        }
    }

    /// An open channel out of the pool, or a new one (`true`) whose `channel.open` has to be sent.
    pub(crate) fn acquire(&mut self) -> Option<(u16, bool)> {
        if let Some(number) = self.idle.pop() {
            return Some((number, false));
        }
        let number = self.closed.pop().or_else(|| self.unused())?;
        self.open(number, Role::Idle);
        Some((number, true))
    }

    fn unused(&mut self) -> Option<u16> {
        let number = u16::try_from(self.channels.len())
            .ok()
            .filter(|&number| number <= self.max)?;
        self.channels.push(None);
        Some(number)
    }

    /// Makes a channel's entry; its `channel.open` is outstanding.
    pub(crate) fn open(&mut self, number: u16, role: Role) {
        let channel = Channel {
            epoch: self.next_epoch,
            role,
            expect: VecDeque::from([Expect::OpenOk]),
            incoming: None,
            unsettled: Unsettled::default(),
            takes_replies: false,
        };
        self.next_epoch += 1;
        self.channels[usize::from(number)] = Some(channel);
    }

    /// Into the pool: ready for the next request.
    pub(crate) fn put_back(&mut self, number: u16) {
        self.calling.retain(|&calling| calling != number);
        if let Some(channel) = self.get_mut(number) {
            channel.role = Role::Idle;
            self.idle.push(number);
        }
    }

    /// Out of use: the number may be opened again.
    pub(crate) fn retire(&mut self, number: u16) -> Option<Channel> {
        let channel = self.channels.get_mut(usize::from(number))?.take()?;
        if matches!(channel.role, Role::Idle) {
            self.idle.retain(|&idle| idle != number);
        }
        self.calling.retain(|&calling| calling != number);
        if number != PUBLISHER {
            self.closed.push(number);
        }
        Some(channel)
    }

    /// The channels with calls under way.
    pub(crate) fn calling(&self) -> &[u16] {
        &self.calling
    }

    /// Of those, the one with the fewest, and how many it has.
    pub(crate) fn fewest_calls(&self) -> Option<(usize, u16)> {
        let count = |number: u16| match &self.get(number)?.role {
            Role::Calls(calls) => Some((calls.len(), number)),
            _ => None,
        };
        self.calling
            .iter()
            .filter_map(|&number| count(number))
            .min()
    }

    /// Whether nothing is under way there.
    pub(crate) fn is_idle(&self, number: u16) -> bool {
        self.get(number)
            .is_some_and(|channel| matches!(channel.role, Role::Idle))
    }

    /// Puts a call behind those that are under way on its channel.
    pub(crate) fn push_call(&mut self, number: u16, calling: Calling, call: Call) {
        let Some(channel) = self.get_mut(number) else {
            return;
        };
        channel.expect.push_back(Expect::Call(call));
        if let Role::Calls(calls) = &mut channel.role {
            calls.push_back(calling);
        } else {
            channel.role = Role::Calls(VecDeque::from([calling]));
            self.calling.push(number);
        }
    }

    /// Whether a channel may become free without the user's doing: some reply is outstanding.
    pub(crate) fn is_busy(&self) -> bool {
        // That is known without a look at each: it is asked for every reply.
        if !self.calling.is_empty() {
            return true;
        }
        let mut requests = self
            .channels
            .iter()
            .skip(usize::from(PUBLISHER) + 1)
            .flatten();
        requests.any(|channel| {
            !channel.expect.is_empty()
                || matches!(channel.role, Role::Caller { .. } | Role::Returning(_))
        })
    }

    /// All that are open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter().flatten()
    }

    /// The most channels for requests.
    pub(crate) fn capacity(&self) -> u16 {
        self.max.saturating_sub(PUBLISHER)
    }

    /// Those that are open.
    #[cfg(test)]
    pub(super) fn open_channels(&self) -> impl Iterator<Item = (u16, &Channel)> {
        (0..)
            .zip(&self.channels)
            .filter_map(|(number, channel)| Some((number, channel.as_ref()?)))
    }

    /// Whether none is open.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.channels.iter().all(Option::is_none)
    }

    /// All that are open; what comes after them has other epochs.
    pub(crate) fn drain(&mut self) -> Vec<Channel> {
        let none = Self::new(self.next_epoch);
        let gone = std::mem::replace(self, none);
        gone.channels.into_iter().flatten().collect()
    }
}

impl Connection {
    /// Back into the pool once nothing keeps it.
    pub(super) fn release_if_settled(&mut self, number: u16) {
        let done = |channel: &Channel| {
            matches!(channel.role, Role::Settling) && channel.unsettled.is_empty()
        };
        if self.channels.get(number).is_some_and(done) {
            self.release(number);
        }
    }

    pub(super) fn release(&mut self, number: u16) {
        self.channels.put_back(number);
        self.serve_waiting();
    }

    /// The broker closed a channel: an error for whatever went on there, and for nothing else.
    pub(super) fn channel_closed(&mut self, number: u16, error: Error) {
        log::debug!("the broker closed channel {number}: {error}");
        let _ = write_method(self.out.tail(), number, &ChannelCloseOk {});
        self.out.commit();
        let Some(mut channel) = self.channels.retire(number) else {
            return;
        };
        if let Role::Calls(calls) = &mut channel.role {
            // The broker has ignored whatever came after the one that failed.
            let ignored = calls.drain(1.min(calls.len())..);
            for calling in ignored {
                self.waiting.insert(calling.promise, calling.request);
            }
        }
        // Refused is answered.
        self.has_got_on |= matches!(channel.role, Role::Calls(_) | Role::Get { .. });
        if matches!(channel.role, Role::Publisher) {
            self.publisher_closed(&error);
        } else {
            self.fail_channel(channel, &error);
        }
        self.serve_waiting();
    }

    /// Every promise that goes with a channel that has gone.
    pub(super) fn fail_channel(&mut self, channel: Channel, error: &Error) {
        match channel.role {
            Role::Calls(calls) => {
                for calling in calls {
                    self.settled(calling.promise, Err(error.clone()));
                }
            }
            Role::Get { promise, .. } => self.settled(promise, Err(error.clone())),
            Role::Caller {
                promise, deadline, ..
            } => {
                self.calls.remove(&(deadline, promise));
                self.settled(promise, Err(error.clone()));
            }
            Role::Replay(step) => self.replay_failed(step, error),
            Role::Consumer(mut consumer) => {
                self.discount_held(&mut consumer);
                self.consumers.remove(&consumer.promise);
                let promise = consumer.promise;
                self.blame.answered(|| Item::Promise(promise));
                let retried = self.retry_consumer(consumer, &channel.unsettled, error);
                if let Some((consumer, error)) = retried {
                    self.fail_consumer(consumer, &error);
                }
            }
            Role::Idle
            | Role::Expired { .. }
            | Role::Returning(_)
            | Role::Settling
            | Role::Publisher => {}
        }
        for expect in channel.expect {
            if let Expect::Replaced(Some(promise)) | Expect::RecoverOk(promise) = expect {
                self.settled(promise, Err(error.clone()));
            }
        }
    }
}
