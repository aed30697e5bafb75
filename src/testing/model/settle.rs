//! Deliveries are acknowledged, refused, or come back.

use super::Model;
use super::channel::Unacked;
use super::dead_letter::{DeadLetter, Reason};
use super::queue::Queue;
use super::refusal::{Outcome, Refusal};
use super::request::ChannelKey;

impl Model {
    pub(crate) fn ack(&mut self, channel: ChannelKey, tag: u64, multiple: bool) -> Outcome<()> {
        self.take_unacked(channel, tag, multiple)?;
        self.follow_up();
        Ok(())
    }

    /// `basic.nack`, and `basic.reject` with `multiple` false.
    pub(crate) fn nack(
        &mut self,
        channel: ChannelKey,
        tag: u64,
        multiple: bool,
        requeue: bool,
    ) -> Outcome<()> {
        let vhost = self.vhost_of(channel)?;
        for unacked in self.take_unacked(channel, tag, multiple)? {
            if requeue {
                self.put_back(&vhost, unacked);
            } else {
                self.drop_unacked(&vhost, unacked, Reason::Rejected);
            }
        }
        self.follow_up();
        Ok(())
    }

    /// `basic.recover`; 540 if it should not requeue.
    pub(crate) fn recover(&mut self, channel: ChannelKey, requeue: bool) -> Outcome<()> {
        if !requeue {
            return Err(Refusal::connection(540, "requeue=false"));
        }
        if self.channel(channel)?.unacked.is_empty() {
            return Ok(());
        }
        self.nack(channel, 0, true, true)
    }

    fn vhost_of(&self, channel: ChannelKey) -> Outcome<String> {
        let link = self.links.get(&channel.link);
        link.map(|link| link.vhost.clone())
            .ok_or_else(|| Refusal::internal("a request of a connection that is not there"))
    }

    /// The deliveries of a tag, or all up to it, or all (0). There is room for others then.
    fn take_unacked(&mut self, key: ChannelKey, tag: u64, multiple: bool) -> Outcome<Vec<Unacked>> {
        let vhost = self.vhost_of(key)?;
        let channel = self.channel(key)?;
        let is_all = multiple && tag == 0;
        if !is_all && !channel.unacked.contains_key(&tag) {
            let text = format!("unknown delivery tag {tag}");
            return Err(Refusal::channel(406, text));
        }
        let taken: Vec<_> = if is_all {
            std::mem::take(&mut channel.unacked).into_values().collect()
        } else if multiple {
            let rest = channel.unacked.split_off(&(tag + 1));
            std::mem::replace(&mut channel.unacked, rest)
                .into_values()
                .collect()
        } else {
            channel.unacked.remove(&tag).into_iter().collect()
        };
        let to_consumers = taken.iter().filter(|it| it.consumer.is_some()).count();
        channel.consumers_unacked -= to_consumers;
        for unacked in &taken {
            let queue = self.queue_of(&vhost, unacked);
            let consumers = queue.into_iter().flat_map(|queue| &mut queue.consumers);
            for consumer in consumers {
                let is_its = Some(&consumer.key.tag) == unacked.consumer.as_ref();
                if is_its && consumer.key.channel == key {
                    // One that was cancelled may have left deliveries to another of its name.
                    consumer.unacked = consumer.unacked.saturating_sub(1);
                }
            }
        }
        self.channel_has_room(key);
        Ok(taken)
    }

    /// The queue that it is of, unless that has gone.
    fn queue_of(&mut self, vhost: &str, unacked: &Unacked) -> Option<&mut Queue> {
        let host = self.vhosts.get_mut(vhost)?;
        let queue = host.queues.get_mut(&unacked.queue);
        queue.filter(|queue| queue.id == unacked.queue_id)
    }

    /// To its old place, unless it has come back too often.
    pub(super) fn put_back(&mut self, vhost: &str, mut unacked: Unacked) {
        unacked.stored.redelivered = true;
        unacked.stored.returns += 1;
        let returns = unacked.stored.returns;
        let Some(queue) = self.queue_of(vhost, &unacked) else {
            return;
        };
        let limit = queue.settings.delivery_limit;
        if limit.is_some_and(|limit| returns > limit) {
            return self.drop_unacked(vhost, unacked, Reason::DeliveryLimit);
        }
        queue.put_back(unacked.place, unacked.stored);
        self.changed.insert((vhost.to_owned(), unacked.queue));
    }

    fn drop_unacked(&mut self, vhost: &str, unacked: Unacked, reason: Reason) {
        let dead = self.queue_of(vhost, &unacked).and_then(|queue| {
            let stored = unacked.stored.clone();
            DeadLetter::new(vhost, &unacked.queue, queue, stored, reason)
        });
        self.dead.extend(dead);
    }
}
