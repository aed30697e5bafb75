//! Publishes that are not on the wire: sent once and to be sent again, or in line behind such ones.
//!
//! What they are kept as is in `line.rs`.
//!
//! # How much goes out at once
//! After a refusal everything behind it goes out again at once. If one of those is refused, too, then whatever came
//! behind it was sent in vain once more; with many such ones, all of it many times. So each refusal among what was sent
//! again halves what goes out at once. Behind each such batch goes a `basic.qos`, which changes nothing: its answer says
//! that the broker has handled the batch, whether or not the confirms are there, and the next batch may be twice as
//! large.

use bytes::BytesMut;

use crate::connection::Connection;
use crate::connection::channel::PUBLISHER;
use crate::connection::expect::Expect;
use crate::connection::publish::line::{EACH, Held};
use crate::connection::publish::mark::{invalid_header, lost};
use crate::connection::publish::publisher::InFlight;
use crate::connection::recovery::step::Item;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::wire::{
    Arena, BasicPublish, BasicQos, ContentHeader, EncodeError, FRAME_HEADER, Method, begin_frame,
    check_frame, end_frame, write_method,
};

/// The smallest batch.
const LEAST: usize = 64 * EACH;

impl Connection {
    /// Puts a publish of now behind those that wait.
    #[cold]
    pub(crate) fn hold(
        &mut self,
        promise: PromiseNumber,
        exchange: &str,
        routing_key: &str,
        message: Message,
    ) {
        match Held::new(promise, exchange, routing_key, message) {
            Ok(held) => self.publisher.line.push_back(held),
            Err(error) => {
                let error = Error::InvalidArgument(error.to_string());
                self.resolve(promise, Err(error));
            }
        }
    }

    /// Puts publishes whose channel has gone before those that wait.
    fn hold_again(&mut self, entries: impl DoubleEndedIterator<Item = InFlight>) {
        for entry in entries.rev() {
            let sent_before = entry.sent_before;
            let pieces = self.out.pieces(&entry.span);
            self.out.unpin(&entry.span);
            match Held::read(entry.promise, pieces, sent_before) {
                Some(held) => self.publisher.line.push_front(held),
                // It was written here, so it can be read; and if not, nobody waits for ever.
                None => self.resolve(
                    entry.promise,
                    Err(lost(true, &Error::bug("a publish cannot be read back"))),
                ),
            }
        }
    }

    /// Sends again what came after the refused publish, which had the tag `refused`; or fails it, if the user wants that.
    pub(crate) fn publish_again(&mut self, again: Vec<InFlight>, refused: u64, error: &Error) {
        if !self.config.options.resend_after_refusal {
            for entry in again {
                self.out.unpin(&entry.span);
                self.resolve(entry.promise, Err(lost(entry.sent_before, error)));
            }
        } else if !again.is_empty() {
            log::debug!(
                "publishing {} messages again, which came after the refused one",
                again.len()
            );
            let in_vain: usize = again.iter().map(|entry| entry.span.len + EACH).sum();
            let line = &mut self.publisher.line;
            line.batch = if refused <= line.last {
                (line.batch.min(in_vain) / 2).max(LEAST)
            } else {
                usize::MAX
            };
            self.hold_again(again.into_iter());
        }
        self.publisher.line.channel_gone();
        self.release_held();
    }

    /// Sends the next batch of what waits.
    pub(crate) fn release_held(&mut self) {
        if self.publisher.line.is_empty() || !self.state.is_up() || self.replay.holds_publishes() {
            return;
        }
        self.open_publisher();
        self.blame.note_sending(self.now);
        let mut left = self.publisher.line.batch;
        let before = self.publisher.last_tag();
        while let Some(held) = self.publisher.line.pop_front() {
            left = left.saturating_sub(held.cost());
            self.send_held(held);
            let is_end = match self.publisher.line.is_empty() {
                true => self.blame.is_careful(),
                false => left == 0,
            };
            // Some may have been of no use.
            if is_end && self.publisher.last_tag() > before {
                return self.write_fence();
            }
        }
        self.publisher.flows = true;
    }

    /// Sends all that waits.
    pub(crate) fn release_all_held(&mut self) {
        self.publisher.line.batch = usize::MAX;
        self.release_held();
    }

    fn send_held(&mut self, held: Held) {
        let start = self.out.position();
        let mark = self.out.tail().len();
        let before = self.out.unsent();
        if let Err(error) = self.write_held_head(&held) {
            self.out.tail().truncate(mark);
            let error = invalid_header(&error);
            let error = if held.sent_before {
                lost(true, &error)
            } else {
                error
            };
            return self.resolve(held.promise, Err(error));
        }
        for piece in held.body {
            self.write_body(PUBLISHER, piece);
        }
        if !self.publisher.confirms {
            self.write_footer(held.promise);
        }
        let len = self.out.unsent() - before;
        self.in_flight(held.promise, start, len, held.sent_before);
        self.publisher.line.last = self.publisher.last_tag();
    }

    /// The first two frames, with the names that queues have now.
    fn write_held_head(&mut self, held: &Held) -> Result<(), EncodeError> {
        let mut header = held.header.clone();
        let mut publish = match Method::decode(&held.method) {
            Ok(Method::BasicPublish(publish)) => publish,
            _ => BasicPublish::default(), // It was encoded here.
        };
        let renamed = self
            .topology
            .names
            .renamed_key(publish.exchange, publish.routing_key);
        if let Some(renamed) = &renamed {
            publish.routing_key = renamed.as_bytes();
        }
        if self.topology.names.has_renamed()
            && let Ok(mut decoded) = ContentHeader::decode(&header, &mut Arena::default())
            && self.topology.names.follow_reply_to(&mut decoded.properties)
        {
            let mut out = BytesMut::new();
            decoded.encode(&mut out)?;
            header = out.freeze();
        }
        let frame_max = self.frame_max;
        let out = self.out.tail();
        write_method(out, PUBLISHER.0, &publish)?;
        let mark = begin_frame(out, FRAME_HEADER, PUBLISHER.0);
        out.extend_from_slice(&header);
        end_frame(out, mark);
        check_frame(out, mark, frame_max)
    }

    /// Asks the broker to say when it has handled everything up to here.
    fn write_fence(&mut self) {
        self.publisher.line.fence = Some(self.publisher.last_tag());
        // It has no field that could be too long.
        let _ = write_method(self.out.tail(), PUBLISHER.0, &BasicQos::default());
        self.out.commit();
        if let Some(channel) = self.channels.known(PUBLISHER) {
            channel.expect.push_back(Expect::QosOk);
        }
    }

    /// The broker has handled everything in front of the fence.
    pub(crate) fn fence_passed(&mut self) {
        let line = &mut self.publisher.line;
        line.batch = match std::mem::take(&mut line.then_one) {
            true => 1,
            false => line.batch.saturating_mul(2),
        };
        if let Some(tag) = line.fence.take() {
            self.publisher.handled_up_to(tag);
        }
        self.release_held();
    }

    /// The socket has gone, and there will be another: what was not answered is kept for it.
    pub(crate) fn suspend_publishes(&mut self) {
        self.publisher.channel_gone();
        self.publisher.line.channel_gone();
        let entries = self.publisher.take_unresolved().map(|(_, mut entry)| {
            entry.sent_before |= !self.out.is_unsent(&entry.span);
            entry
        });
        let entries: Vec<InFlight> = entries.collect();
        self.hold_again(entries.into_iter());
    }

    /// Sends one of what is suspect, and the next when the broker has handled that; false: nothing can go now.
    pub(crate) fn release_held_carefully(&mut self) -> bool {
        let has_to_wait = self.blocked.is_some() || self.replay.holds_publishes();
        let line = &mut self.publisher.line;
        if has_to_wait || line.is_empty() || line.is_fenced() {
            return false;
        }
        let is_suspect = |held: &Held| self.blame.suspects(&Item::Promise(held.promise));
        // What a broker has handled before is innocent, though its confirm was lost.
        line.batch = match line.line.iter().position(is_suspect) {
            None | Some(0) => 1,
            Some(index) => {
                line.then_one = true;
                line.line.range(..index).map(Held::cost).sum()
            }
        };
        self.release_held();
        true
    }

    /// Fails a publish that waits, because the connection died of it.
    pub(crate) fn convict_publish(
        &mut self,
        promise: PromiseNumber,
        error: &Error,
        is_certain: bool,
    ) {
        let line = &mut self.publisher.line;
        let index = line.line.iter().position(|held| held.promise == promise);
        if let Some(held) = index.and_then(|index| line.line.remove(index)) {
            line.bytes -= held.size();
            let error = if is_certain {
                error.clone()
            } else {
                lost(held.sent_before, error)
            };
            self.resolve(promise, Err(error));
        }
    }

    /// Whether publishes stand in line that go out by themselves, and soon: the broker owes no more than the word that it
    /// has handled those before.
    pub(crate) fn has_more(&self) -> bool {
        let line = &self.publisher.line;
        !line.is_empty() && line.is_fenced() && self.state.is_open() && !self.publishes_wait()
    }

    /// How many publishes wait.
    pub(crate) fn held_count(&self) -> usize {
        self.publisher.line.line.len()
    }

    pub(crate) fn held_lost(&mut self, error: &Error) {
        while let Some(held) = self.publisher.line.pop_front() {
            self.resolve(held.promise, Err(lost(held.sent_before, error)));
        }
    }
}
