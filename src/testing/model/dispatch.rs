//! Messages go to consumers that have room, or away.

use super::Model;
use super::channel::{Channel, Unacked};
use super::dead_letter::{DeadLetter, Reason};
use super::queue::{Consumer, Queue, Stored};
use super::request::{ChannelKey, Event, Version};
use std::collections::BTreeMap;

impl Model {
    /// Delivers what can be delivered; what is too old or too much goes.
    pub(super) fn dispatch(&mut self, vhost: &str, name: &str) {
        let (now, version) = (self.now, self.settings.version);
        let host = self.vhosts.get_mut(vhost);
        let Some(queue) = host.and_then(|host| host.queues.get_mut(name)) else {
            return;
        };
        let mut gone: Vec<(Stored, Reason)> = Vec::new();
        loop {
            // What came with no time to live at all may still be delivered at once.
            while let Some(stored) = queue.pop_expired(now, false) {
                gone.push((stored, Reason::Expired));
            }
            let Some(event) = deliver(queue, name, &mut self.channels, version) else {
                break;
            };
            self.events.push(event);
        }
        while let Some(stored) = queue.pop_expired(now, true) {
            gone.push((stored, Reason::Expired));
        }
        while queue.is_too_long() {
            let Some((_, stored)) = queue.pop() else {
                break;
            };
            gone.push((stored, Reason::MaxLen));
            // Behind it may be one whose time is over.
            while let Some(stored) = queue.pop_expired(now, true) {
                gone.push((stored, Reason::Expired));
            }
        }
        for (stored, reason) in gone {
            self.dead
                .extend(DeadLetter::new(vhost, name, queue, stored, reason));
        }
    }
}

/// Hands out the first message, if somebody can take it.
fn deliver(
    queue: &mut Queue,
    name: &str,
    channels: &mut BTreeMap<ChannelKey, Channel>,
    version: Version,
) -> Option<Event> {
    if queue.ready.is_empty() {
        return None;
    }
    let active = queue.active.clone();
    let turn = queue.consumers.iter().position(|consumer| {
        active.as_ref().is_none_or(|active| *active == consumer.key)
            && channels
                .get(&consumer.key.channel)
                .is_some_and(|channel| has_room(consumer, channel))
    })?;
    let (place, stored) = queue.pop()?;
    let consumer = &mut queue.consumers[turn];
    let channel = channels.get_mut(&consumer.key.channel)?;
    channel.last_tag += 1;
    let event = Event::Deliver {
        consumer: consumer.key.clone(),
        delivery_tag: channel.last_tag,
        redelivered: stored.redelivered,
        message: stored.delivered(version),
    };
    if !consumer.no_ack {
        consumer.unacked += 1;
        channel.consumers_unacked += 1;
        let unacked = Unacked {
            queue: name.to_owned(),
            queue_id: queue.id,
            place,
            stored,
            consumer: Some(consumer.key.tag.clone()),
        };
        channel.unacked.insert(channel.last_tag, unacked);
    }
    queue.rotate(turn);
    Some(event)
}

fn has_room(consumer: &Consumer, channel: &Channel) -> bool {
    let is_below = |out: usize, limit: u16| limit == 0 || out < usize::from(limit);
    consumer.no_ack
        || is_below(consumer.unacked, consumer.prefetch)
            && is_below(channel.consumers_unacked, channel.shared_prefetch)
}
