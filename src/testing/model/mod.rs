//! The state of a RabbitMQ in memory: virtual hosts, users, exchanges, queues, consumers, messages that wait and messages
//! that are out.
//!
//! It knows which channel asks, and what that may do; it gives results, refusals in RabbitMQ's words, and
//! [events](Event). It knows no frames, confirms no publish and sees no socket: that is the session's. Time is what
//! [`Model::advance`] was last told.
//!
//! After each call there may be events: they are to be sent after the call's own reply.
//!
//! What it does not do, and says so: streams, transactions, exchanges of plugins, dead letters "at least once".
//!
//! What is silently simpler: a confirm comes as soon as the message is routed, a delivery that is not acknowledged for half an
//! hour is left alone, and there are no policies. Of what RabbitMQ refuses at a declaration it takes some: wrong types and values of
//! `x-queue-leader-locator`, `x-max-in-memory-*`, `x-quorum-initial-group-size` and `x-dead-letter-strategy`. Headers are
//! compared with their type.

mod arguments;
mod channel;
mod consume;
mod dead_letter;
mod declare_exchange;
mod declare_queue;
mod dispatch;
mod exchange;
mod names;
mod pattern;
mod publish;
mod queue;
mod refusal;
mod request;
mod resource;
mod rights;
mod settle;
#[cfg(test)]
mod tests;
mod vhost;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use channel::{Channel, Link, QueueKey};
use dead_letter::DeadLetter;
use names::Names;
pub(crate) use refusal::{Outcome, Refusal, Scope};
pub(crate) use request::*;
use rights::User;
use vhost::VirtualHost;

/// One RabbitMQ cluster.
#[derive(Debug)]
pub(crate) struct Model {
    settings: Settings,
    /// When it was first told the time: that is its zero.
    epoch: Option<Instant>,
    now: Duration,
    vhosts: BTreeMap<String, VirtualHost>,
    users: BTreeMap<String, User>,
    links: BTreeMap<LinkId, Link>,
    channels: BTreeMap<ChannelKey, Channel>,
    names: Names,
    /// Of the queue that was declared last.
    last_queue_id: u64,
    events: Vec<Event>,
    published: Vec<PublishedView>,
    /// How many messages are still to be refused.
    to_nack: u32,
    /// Queues that may have something to deliver, or too much.
    changed: BTreeSet<QueueKey>,
    /// Messages that are on their way to a dead letter exchange.
    dead: VecDeque<DeadLetter>,
}

impl Model {
    /// With a virtual host "/", and a user "guest" who may do everything there.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut model = Self {
            settings,
            epoch: None,
            now: Duration::ZERO,
            vhosts: BTreeMap::new(),
            users: BTreeMap::new(),
            links: BTreeMap::new(),
            channels: BTreeMap::new(),
            names: Names::default(),
            last_queue_id: 0,
            events: Vec::new(),
            published: Vec::new(),
            to_nack: 0,
            changed: BTreeSet::new(),
            dead: VecDeque::new(),
        };
        model.add_vhost("/");
        model.add_user("guest", "guest");
        let everything = Permissions {
            configure: ".*".into(),
            write: ".*".into(),
            read: ".*".into(),
        };
        let given = model.set_permissions("guest", "/", everything);
        debug_assert_eq!(given, Ok(()));
        model
    }

    /// It is that late; what was due until then has happened, each thing at its own time.
    pub(crate) fn advance(&mut self, now: Instant) {
        let epoch = *self.epoch.get_or_insert(now);
        let now = now.saturating_duration_since(epoch);
        while let Some(due) = self.next_event().filter(|&due| due <= now) {
            self.now = self.now.max(due);
            self.expire();
        }
        self.now = self.now.max(now);
    }

    /// When something happens by itself: then `advance` wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        Some(self.epoch? + self.next_event()?)
    }

    fn next_event(&self) -> Option<Duration> {
        let queues = self.vhosts.values().flat_map(|vhost| vhost.queues.values());
        queues.filter_map(|queue| queue.next_event()).min()
    }

    /// What is due now.
    fn expire(&mut self) {
        let now = self.now;
        for (vhost, name) in self.queue_keys(|queue| queue.next_event().is_some_and(|at| at <= now))
        {
            let queue = self.vhosts.get(&vhost).and_then(|it| it.queues.get(&name));
            let is_over = queue
                .and_then(|queue| queue.expires_at)
                .is_some_and(|at| at <= now);
            if is_over {
                self.remove_queue(&vhost, &name);
            } else {
                self.changed.insert((vhost, name));
            }
        }
        self.follow_up();
    }

    fn queue_keys(&self, is_it: impl Fn(&queue::Queue) -> bool) -> Vec<QueueKey> {
        let mut keys = Vec::new();
        for (vhost, it) in &self.vhosts {
            let names = it.queues.iter().filter(|(_, queue)| is_it(queue));
            keys.extend(names.map(|(name, _)| (vhost.clone(), name.clone())));
        }
        keys
    }

    /// What happened since it was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// All its channels end, and its exclusive queues go.
    pub(crate) fn disconnected(&mut self, link: LinkId) {
        let channels = self.channels.keys().copied();
        let channels: Vec<_> = channels.filter(|key| key.link == link).collect();
        // Its own queues go first: nothing goes back to them.
        for (vhost, name) in self.queue_keys(|queue| queue.owner == Some(link)) {
            self.remove_queue(&vhost, &name);
        }
        for channel in channels {
            self.end_channel(channel);
        }
        self.links.remove(&link);
        self.events.retain(|event| match event {
            Event::Deliver { consumer, .. } | Event::Cancel(consumer) => {
                consumer.channel.link != link
            }
        });
        self.follow_up();
    }

    /// All connections are gone, and all that is not durable. No events.
    pub(crate) fn restart(&mut self) {
        let has_lost_all = |queue: &queue::Queue| queue.auto_delete && !queue.consumers.is_empty();
        let gone = self.queue_keys(|queue| queue.owner.is_some() || has_lost_all(queue));
        for (vhost, name) in gone {
            self.remove_queue(&vhost, &name);
        }
        for (key, channel) in std::mem::take(&mut self.channels) {
            if let Some(link) = self.links.get(&key.link) {
                let vhost = link.vhost.clone();
                for unacked in channel.unacked.into_values() {
                    self.put_back(&vhost, unacked);
                }
            }
        }
        self.links.clear();
        for vhost in self.vhosts.values_mut() {
            vhost.restart(self.now);
        }
        self.events.clear();
        // What came back may be too old.
        let all = self.queue_keys(|_| true);
        self.changed.extend(all);
        self.follow_up();
    }

    pub(crate) fn open_channel(&mut self, channel: ChannelKey) {
        self.channels.insert(channel, Channel::default());
    }

    /// Its consumers end, and what is not acknowledged goes back. Nothing happens if it is not open.
    pub(crate) fn close_channel(&mut self, channel: ChannelKey) {
        self.end_channel(channel);
        self.follow_up();
    }

    fn end_channel(&mut self, key: ChannelKey) {
        let Some(vhost) = self.links.get(&key.link).map(|link| link.vhost.clone()) else {
            return;
        };
        let Some(channel) = self.channels.remove(&key) else {
            return;
        };
        // First back, then gone: an auto-delete queue takes its messages along.
        for unacked in channel.unacked.into_values() {
            self.put_back(&vhost, unacked);
        }
        for (tag, queue) in channel.consumers {
            self.drop_consumer(&vhost, &queue, &ConsumerKey { channel: key, tag });
        }
    }

    /// `basic.qos`.
    pub(crate) fn qos(
        &mut self,
        channel: ChannelKey,
        prefetch_size: u32,
        prefetch_count: u16,
        global: bool,
    ) -> Outcome<()> {
        if prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({prefetch_size})");
            return Err(Refusal::connection(540, text));
        }
        let it = self.channel(channel)?;
        if global {
            it.shared_prefetch = prefetch_count;
            self.channel_has_room(channel);
            self.follow_up();
        } else {
            it.prefetch = prefetch_count;
        }
        Ok(())
    }

    fn channel(&mut self, key: ChannelKey) -> Outcome<&mut Channel> {
        let channel = self.channels.get_mut(&key);
        channel.ok_or_else(|| Refusal::internal("a request of a channel that is not open"))
    }

    /// Its consumers may get more.
    fn channel_has_room(&mut self, key: ChannelKey) {
        let Some(link) = self.links.get(&key.link) else {
            return;
        };
        let Some(channel) = self.channels.get(&key) else {
            return;
        };
        let has_room =
            |it: &queue::Consumer| it.key.channel == key && dispatch::has_room(it, channel);
        for name in channel.consumers.values() {
            let host = self.vhosts.get_mut(&link.vhost);
            if let Some(queue) = host.and_then(|host| host.queues.get_mut(name)) {
                queue.unblock(has_room);
            }
            self.changed.insert((link.vhost.clone(), name.clone()));
        }
    }

    /// All that follows from what has changed.
    fn follow_up(&mut self) {
        loop {
            if let Some(dead) = self.dead.pop_front() {
                self.bury(dead);
            } else if let Some((vhost, queue)) = self.changed.pop_first() {
                self.dispatch(&vhost, &queue);
            } else {
                return;
            }
        }
    }
}
