//! Channel numbers: opened when needed, used again after success, retired after an error.
//!
//! Each request has a channel to itself, so that an error, which closes its channel, takes nothing else down. Where many
//! calls are under way they share some channels: the one in error fails, and those behind it, which the broker has
//! ignored, are made again. What goes on on a channel is decided elsewhere; here is only whose it is.

use std::collections::{BTreeSet, VecDeque};

use crate::connection::Connection;
use crate::connection::channel::{Calling, Channel, Consuming, PUBLISHER, Role};
use crate::connection::consume::unsettled::Unsettled;
use crate::connection::expect::Expect;
use crate::connection::request::Call;
use crate::connection::violation::Violation;
use crate::types::error::Error;
use crate::types::ids::ChannelId;
use crate::wire::reply_code;

#[derive(Debug)]
pub(crate) struct Channels {
    /// By number. None: not open.
    channels: Vec<Option<Channel>>,
    /// Open and in the pool; the last one put back is taken first.
    idle: Vec<ChannelId>,
    /// With calls under way.
    calling: Vec<ChannelId>,
    /// Closed, to be opened again.
    closed: Vec<ChannelId>,
    /// Closed by the broker, and not open again: what it still sends there is for nobody.
    stale: BTreeSet<ChannelId>,
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
            stale: BTreeSet::new(),
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

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(usize::from(id.0))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(id.0))?.as_mut()
    }

    /// The channel of something that goes on there: it is surely open.
    pub(crate) fn known(&mut self, id: ChannelId) -> Option<&mut Channel> {
        let channel = self.get_mut(id);
        if channel.is_none() {
            log::error!("{}", Error::bug("something goes on on a closed channel"));
        }
        channel
    }

    /// A channel that is surely a consumer's, in parts.
    pub(crate) fn consuming(&mut self, id: ChannelId) -> Option<Consuming<'_>> {
        let consuming = self.get_mut(id).and_then(Channel::consuming);
        if consuming.is_none() {
            log::error!("{}", Error::bug("a consumer is not where it was"));
        }
        consuming
    }

    /// The channel that a method has come on, which may not come within a message.
    pub(super) fn for_method(
        &mut self,
        id: ChannelId,
        name: impl Fn() -> &'static str,
    ) -> Result<&mut Channel, Violation> {
        match self.get_mut(id) {
            Some(channel) if channel.incoming.is_none() => Ok(channel),
            Some(_) => Err(Violation::new(
                reply_code::UNEXPECTED_FRAME,
                format!("{} in the midst of a message", name()),
            )),
            None => Err(Violation::new(
                reply_code::CHANNEL_ERROR,
                format!("{} on channel {id}, which is not open", name()),
            )),
        }
    }

    /// An open channel out of the pool, or a new one (`true`) whose `channel.open` has to be sent.
    pub(crate) fn acquire(&mut self) -> Option<(ChannelId, bool)> {
        if let Some(id) = self.idle.pop() {
            return Some((id, false));
        }
        let id = self.closed.pop().or_else(|| self.unused())?;
        self.open(id, Role::Idle);
        Some((id, true))
    }

    fn unused(&mut self) -> Option<ChannelId> {
        let number = u16::try_from(self.channels.len()).ok();
        let number = number.filter(|&number| number <= self.max)?;
        self.channels.push(None);
        Some(ChannelId(number))
    }

    /// Makes a channel's entry; its `channel.open` is outstanding.
    pub(crate) fn open(&mut self, id: ChannelId, role: Role) {
        let channel = Channel {
            epoch: self.next_epoch,
            role,
            expect: VecDeque::from([Expect::OpenOk]),
            incoming: None,
            unsettled: Unsettled::default(),
            takes_replies: false,
        };
        self.next_epoch += 1;
        self.channels[usize::from(id.0)] = Some(channel);
    }

    /// Into the pool: ready for the next request.
    pub(crate) fn put_back(&mut self, id: ChannelId) {
        self.calling.retain(|&calling| calling != id);
        if let Some(channel) = self.known(id) {
            channel.role = Role::Idle;
            self.idle.push(id);
        }
    }

    /// Out of use: the number may be opened again.
    pub(crate) fn retire(&mut self, id: ChannelId) -> Option<Channel> {
        let channel = self.channels.get_mut(usize::from(id.0))?.take()?;
        if matches!(channel.role, Role::Idle) {
            self.idle.retain(|&idle| idle != id);
        }
        self.calling.retain(|&calling| calling != id);
        if id != PUBLISHER {
            self.closed.push(id);
        }
        Some(channel)
    }

    /// The same, where the broker has closed it.
    pub(crate) fn closed_by_broker(&mut self, id: ChannelId) -> Option<Channel> {
        let channel = self.retire(id)?;
        self.stale.insert(id);
        Some(channel)
    }

    /// Whether what comes there is of a channel that the broker has closed. RabbitMQ's deliveries may come behind its
    /// `channel.close`, and those that nobody acknowledges go back to their queues.
    pub(super) fn is_stale(&self, id: ChannelId) -> bool {
        !self.stale.is_empty() && self.stale.contains(&id)
    }

    /// `channel.open-ok`: what comes behind it is of the new channel.
    pub(super) fn opened(&mut self, id: ChannelId) {
        self.stale.remove(&id);
    }

    /// The channels with calls under way.
    pub(crate) fn calling(&self) -> &[ChannelId] {
        &self.calling
    }

    /// Of those, the one with the fewest, and how many it has.
    pub(crate) fn fewest_calls(&self) -> Option<(usize, ChannelId)> {
        let count = |id: ChannelId| match &self.get(id)?.role {
            Role::Calls(calls) => Some((calls.len(), id)),
            _ => None,
        };
        self.calling.iter().filter_map(|&id| count(id)).min()
    }

    /// Whether nothing is under way there.
    pub(crate) fn is_idle(&self, id: ChannelId) -> bool {
        self.get(id)
            .is_some_and(|channel| matches!(channel.role, Role::Idle))
    }

    /// Puts a call behind those that are under way on its channel.
    pub(crate) fn push_call(&mut self, id: ChannelId, calling: Calling, call: Call) {
        let Some(channel) = self.known(id) else {
            return;
        };
        channel.expect.push_back(Expect::Call(call));
        if let Role::Calls(calls) = &mut channel.role {
            calls.push_back(calling);
        } else {
            channel.role = Role::Calls(VecDeque::from([calling]));
            self.calling.push(id);
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
            .skip(usize::from(PUBLISHER.0) + 1)
            .flatten();
        requests.any(|channel| {
            !channel.expect.is_empty()
                || matches!(channel.role, Role::Rpc { .. } | Role::Returning(_))
        })
    }

    /// All that are open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter().flatten()
    }

    /// The most channels for requests.
    pub(crate) fn capacity(&self) -> u16 {
        self.max.saturating_sub(PUBLISHER.0)
    }

    /// Those that are open.
    #[cfg(test)]
    pub(super) fn open_channels(&self) -> impl Iterator<Item = (u16, &Channel)> {
        (0..)
            .zip(&self.channels)
            .filter_map(|(id, channel)| Some((id, channel.as_ref()?)))
    }

    /// Whether none is open.
    #[cfg(any(test, feature = "testing"))]
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

impl Connection {}
