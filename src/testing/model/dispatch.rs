//! Messages go to consumers that have room, or away.

use super::Model;
use super::channel::{Channel, Unacked};
use super::dead_letter::{DeadLetter, Reason};
use super::queue::{Consumer, Queue, Stored};
use super::request::{ChannelKey, Event, Version};
use std::collections::BTreeMap;
use std::time::Duration;

impl Model {
    /// Delivers what can be delivered; what is too old or too much goes.
    pub(super) fn dispatch(&mut self, vhost: &str, name: &str) {
        let (now, version) = (self.now, self.settings.version);
        let host = self.vhosts.get_mut(vhost);
        let Some(queue) = host.and_then(|host| host.queues.get_mut(name)) else {
            return;
        };
        let mut gone: Vec<(Stored, Reason)> = Vec::new();
        // What has come back to a full queue makes it drop before anybody gets anything.
        if std::mem::take(&mut queue.has_returned) {
            drop_too_many(queue, now, &mut gone);
        }
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
        drop_too_many(queue, now, &mut gone);
        queue.watch_limit();
        for (stored, reason) in gone {
            self.dead
                .extend(DeadLetter::new(vhost, name, queue, stored, reason));
        }
    }
}

fn drop_too_many(queue: &mut Queue, now: Duration, gone: &mut Vec<(Stored, Reason)>) {
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
    if version >= Version::V4 && queue.waits_for_active() {
        return None;
    }
    let turn = next_turn(queue, channels)?;
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

/// The place of the consumer that gets the next message. Those that are full leave the row.
fn next_turn(queue: &mut Queue, channels: &BTreeMap<ChannelKey, Channel>) -> Option<usize> {
    loop {
        let active = queue.active.as_ref();
        let turn = queue.consumers.iter().position(|consumer| {
            !consumer.is_blocked && active.is_none_or(|active| *active == consumer.key)
        })?;
        let consumer = &mut queue.consumers[turn];
        let channel = channels.get(&consumer.key.channel);
        if channel.is_some_and(|channel| has_room(consumer, channel)) {
            return Some(turn);
        }
        consumer.is_blocked = true;
        queue.rotate(turn);
    }
}

pub(super) fn has_room(consumer: &Consumer, channel: &Channel) -> bool {
    let is_below = |out: usize, limit: u16| limit == 0 || out < usize::from(limit);
    consumer.no_ack
        || is_below(consumer.unacked, consumer.prefetch)
            && is_below(channel.consumers_unacked, channel.shared_prefetch)
}
