//! Deliveries that go back to their queues because nobody has read them, or will.
//!
//! The broker keeps a channel's unsettled deliveries in a list, oldest first, and its queue keeps another, and puts what comes
//! back behind all that is older. So to give one back takes it the time of all that are older, whether those are still
//! unsettled or back already: to give back many, one by one, takes the square of them, in any order, and the queue serves
//! nobody meanwhile. One nack for all up to a tag takes it no longer than the deliveries are many. But that must not have any
//! that the program holds. So what is older than all of those goes back with one frame, and the rest one by one if it
//! is little; if it is much, then when the program has settled what is in front of it.
//!
//! What is on its way to a consumer that is cancelled, or replaced, and too much to be kept, is dropped, and its tags wait
//! for the broker's answer, so that it all goes back at once.

use bytes::BytesMut;

use crate::connection::Connection;
use crate::connection::channel::{Channel, Role};
use crate::connection::consume::settle::Settle;
use crate::connection::consume::unsettled::{Next, Unsettled};
use crate::types::error::{Error, Result};
use crate::types::ids::ChannelId;
use crate::types::message::Origin;
use crate::wire::{BasicNack, BasicReject, write_ack, write_method};

/// How many deliveries the broker may have to look at for those that go back one by one: some 2000 behind a single one, which
/// take RabbitMQ 4.0 0.3 s; 8000 take it 5 to 12 s.
pub(crate) const WORK: usize = 1 << 22;

impl Channel {
    /// Before all up to a tag are settled: what of them is to go back goes back, and what is before that is settled first.
    pub(crate) fn settle_between(
        &mut self,
        origin: Origin,
        how: Settle,
        out: &mut BytesMut,
    ) -> Result<()> {
        if !self.unsettled.contains(origin.tag) {
            return Err(Error::AlreadySettled(origin.tag));
        }
        while self.unsettled.returns_below(origin.tag) {
            if let Some(tag) = self.unsettled.before_returning() {
                self.unsettled.remove_to(tag);
                how.write(Origin { tag, ..origin }, out)
                    .map_err(|error| Error::InvalidArgument(error.to_string()))?;
            }
            let Some(next) = self.unsettled.next_return(0) else {
                break;
            };
            write_return(origin.channel, next, true, out);
        }
        Ok(())
    }
}

fn write_return(id: ChannelId, next: Next, has_nack: bool, out: &mut BytesMut) {
    let Next {
        tag: delivery_tag,
        multiple,
        is_kept,
    } = next;
    let requeue = true;
    let _ = if is_kept {
        // Streams know no more than that, and RabbitMQ 3.10 closes the connection where one says more.
        write_ack(out, id.0, delivery_tag, multiple);
        Ok(())
    } else if has_nack {
        // Unlike a rejection, that does not count against a quorum queue's delivery limit, since RabbitMQ 4.3.
        let nack = BasicNack {
            delivery_tag,
            multiple,
            requeue,
        };
        write_method(out, id.0, &nack)
    } else {
        let reject = BasicReject {
            delivery_tag,
            requeue,
        };
        write_method(out, id.0, &reject)
    };
}

impl Connection {
    /// Gives deliveries of one channel that nobody has read, or will, back to their queues.
    pub(crate) fn give_back(&mut self, id: ChannelId, unread: &[Origin]) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        let its = unread.iter().filter(|origin| origin.epoch == channel.epoch);
        let its = its.map(|origin| (origin.tag, channel.role.keeps(origin.tag)));
        let mut tags: Vec<(u64, bool)> = its.collect();
        tags.sort_unstable();
        channel.unsettled.give_up(tags.into_iter());
        if matches!(channel.role, Role::Returning(_)) {
            channel.role = Role::Settling;
        }
        self.return_dropped(id);
        self.release_if_settled(id);
        self.fail_hopeless();
    }

    /// Less work than else, so that few deliveries are much.
    #[cfg(test)]
    pub(crate) fn limit_return_work(&mut self, work: usize) {
        self.return_work = work;
    }

    /// Gives back what is to go back, oldest first, as far as that is no great work for the broker; the rest when the program
    /// has settled more.
    pub(crate) fn return_dropped(&mut self, id: ChannelId) {
        let has_nack = self
            .connected
            .as_ref()
            .is_some_and(|broker| broker.has_capability("basic.nack"));
        let (is_up, work) = (self.state.is_up(), self.return_work);
        let Some(channel) = self.channels.known(id) else {
            return;
        };
        // More may be on its way.
        if channel.is_collecting() {
            return;
        }
        // Rejections are always single ones.
        let next = |unsettled: &mut Unsettled| match has_nack {
            true => unsettled.next_return(work),
            false => unsettled.pop_returning(),
        };
        while let Some(next) = next(&mut channel.unsettled) {
            if is_up {
                write_return(id, next, has_nack, self.out.tail());
            }
        }
        self.out.commit();
    }
}
