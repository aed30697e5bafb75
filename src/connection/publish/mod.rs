//! The confirm channel: tags, acks, nacks, returns, and opening anew after an error.
//!
//! All publishes go over one channel, in order. `in_flight` has an entry for each that the broker has not answered;
//! delivery tags count from 1 on each channel, so an entry's tag is its place. The bytes of a publish stay pinned in
//! the output until it is answered.
//!
//! Without confirms (an old or foreign broker, or `pubacks(false)`) puka's emulation stands in: behind each message
//! goes an empty one that no queue can take, and the broker's return of that one is the confirm.
//!
//! # When the broker closes the channel
//! It handles publishes in order, so the refused one divides the others. Those that came surely after it were never
//! taken: they are sent again on the new channel. Those that came before it may be in their queues with the confirm
//! lost: their outcome is unknown. The broker does not say which one it refused; `refused.rs` finds out, as far as that
//! can be done. Where several could be the one, the outcome of each is unknown.
//!
//! # When the socket goes
//! If there will be another, the publishes that were not answered are put aside, and written again in the same order.
//! What waits to be written again is in `held.rs`.

pub(crate) mod blocked;
pub(crate) mod held;
pub(crate) mod output;
pub(crate) mod refused;

use std::collections::VecDeque;

use bytes::{BufMut, Bytes};

use crate::connection::channels::{Expect, PUBLISHER, Role};
use crate::connection::publish::held::Line;
use crate::connection::publish::output::{LARGE, Position, Span};
use crate::connection::requests::check_frame;
use crate::connection::{Connection, Event, Violation};
use crate::types::error::{Error, Result};
use crate::types::message::{Message, Returned};
use crate::wire::{
    BasicPublish, ChannelOpen, ConfirmSelect, ContentHeader, EncodeError, FRAME_BODY, FRAME_HEADER,
    FRAME_OVERHEAD, FieldValue, Properties, begin_frame, end_frame, write_method,
    write_plain_message,
};

/// Marks a mandatory message, so that its return can be told from another's; users never see it.
pub(crate) const MARK: &str = "x-puka-delivery-tag";
/// Marks the empty message behind each message, where confirms are emulated.
const FOOTER: &str = "x-puka-footer";

pub(crate) const BASIC: u16 = 60;

/// The longest name, in bytes.
const SHORT_MAX: usize = 255;

/// A publish that the broker has not answered, or whose turn in `in_flight` has not come.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) promise: u64,
    pub(crate) span: Span,
    /// The promise has its result, and the span is unpinned.
    pub(crate) settled: bool,
    /// An earlier connection may have taken it, too.
    pub(crate) sent_before: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Publisher {
    /// Whether the broker confirms; else it is emulated.
    pub(crate) confirms: bool,
    is_open: bool,
    /// The channel is open, and nothing waits: a publish may be written at once.
    pub(crate) flows: bool,
    /// The delivery tag of `in_flight[0]`.
    first_tag: u64,
    in_flight: VecDeque<InFlight>,
    /// The broker has surely handled everything up to this tag.
    pub(crate) handled: u64,
    /// What is not on the wire.
    pub(crate) line: Line,
}

impl Publisher {
    fn entry(&mut self, tag: u64) -> Option<&mut InFlight> {
        let index = usize::try_from(tag.checked_sub(self.first_tag)?).ok()?;
        self.in_flight.get_mut(index)
    }

    /// The tag of a promise's publish. Promises rise with their tags.
    fn tag_of(&self, promise: u64) -> Option<u64> {
        let index = self
            .in_flight
            .binary_search_by_key(&promise, |entry| entry.promise)
            .ok()?;
        Some(self.first_tag + index as u64)
    }

    /// Forgets the answered entries in front; not those that were only given up: the broker may have more to say of them.
    fn advance(&mut self) {
        while self.first_tag <= self.handled
            && self.in_flight.front().is_some_and(|entry| entry.settled)
        {
            self.in_flight.pop_front();
            self.first_tag += 1;
        }
    }

    /// All entries with their tags, once the channel has gone.
    pub(crate) fn take_in_flight(&mut self) -> Vec<(u64, InFlight)> {
        let tags = self.first_tag..;
        tags.zip(std::mem::take(&mut self.in_flight)).collect()
    }

    /// Those of them that are yet to be answered.
    pub(crate) fn take_unsettled(&mut self) -> impl Iterator<Item = (u64, InFlight)> + use<> {
        let entries = self.take_in_flight().into_iter();
        entries.filter(|(_, entry)| !entry.settled)
    }

    /// The tag of the last publish on this channel.
    pub(crate) fn last_tag(&self) -> u64 {
        self.first_tag + self.in_flight.len() as u64 - 1
    }

    pub(crate) fn handled_up_to(&mut self, tag: u64) {
        self.handled = self.handled.max(tag);
        self.advance();
    }

    pub(crate) fn channel_gone(&mut self) {
        self.is_open = false;
        self.flows = false;
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.line.is_empty()
    }
}

/// What is known of a publish that will not be tried again.
pub(crate) fn lost(was_sent: bool, cause: &Error) -> Error {
    let cause = Box::new(cause.clone());
    if was_sent {
        Error::OutcomeUnknown(cause)
    } else {
        Error::NotSent(cause)
    }
}

/// Marks a mandatory message as that promise's, and no other's: it may be one that another client had marked.
pub(crate) fn mark(message: &mut Message, promise: u64) {
    if message.mandatory {
        let headers = &mut message.properties.headers;
        headers.remove(FOOTER);
        headers.insert(MARK, FieldValue::I64(promise.cast_signed()));
    }
}

/// A frame has no room for them.
pub(crate) fn invalid_header(error: &EncodeError) -> Error {
    Error::InvalidArgument(format!("the message's properties and headers: {error}"))
}

/// What comes behind each message, in place of confirms.
pub(crate) fn footer(promise: u64) -> (BasicPublish<'static>, ContentHeader) {
    let mut properties = Properties::default();
    let mark = FieldValue::I64(promise.cast_signed());
    properties.headers.insert(MARK, mark);
    properties.headers.insert(FOOTER, true);
    let header = ContentHeader {
        class_id: BASIC,
        body_size: 0,
        properties,
    };
    let publish = BasicPublish {
        mandatory: true,
        ..Default::default()
    };
    (publish, header)
}

impl Connection {
    /// Publishes, on a connection that is open.
    pub(crate) fn publish_now(
        &mut self,
        promise: u64,
        exchange: &str,
        routing_key: &str,
        mut message: Message,
    ) {
        if !self.publisher.flows {
            if !self.publisher.line.is_empty() {
                return self.hold(promise, exchange, routing_key, message);
            }
            self.open_publisher();
            self.publisher.flows = true;
        }
        let renamed = self
            .topology
            .follow_message(exchange, routing_key, &mut message);
        let routing_key = renamed.as_deref().unwrap_or(routing_key);
        let start = self.out.position();
        match self.write_publish(promise, exchange, routing_key, message) {
            Ok(len) => self.in_flight(promise, start, len, false),
            Err(error) => self.settled(promise, Err(error)),
        }
    }

    /// What was written from `start` on is a publish.
    pub(crate) fn in_flight(
        &mut self,
        promise: u64,
        start: Position,
        len: usize,
        sent_before: bool,
    ) {
        let span = self.out.pin_from(start, len);
        self.publisher.in_flight.push_back(InFlight {
            promise,
            span,
            settled: false,
            sent_before,
        });
        self.out.commit();
    }

    /// Opens the publishing channel ahead of the first publish: all of it goes out in one write.
    pub(crate) fn open_publisher(&mut self) {
        if self.publisher.is_open {
            return;
        }
        self.publisher.is_open = true;
        self.publisher.first_tag = 1;
        self.publisher.handled = 0;
        self.channels.open(PUBLISHER, Role::Publisher);
        let out = self.out.tail();
        // Neither has a field that could be too long.
        let _ = write_method(out, PUBLISHER, &ChannelOpen::default());
        if self.publisher.confirms {
            let _ = write_method(out, PUBLISHER, &ConfirmSelect::default());
            if let Some(channel) = self.channels.get_mut(PUBLISHER) {
                channel.expect.push_back(Expect::SelectOk);
            }
        }
    }

    /// Writes all frames of a publish, and says how many bytes they are. On an error it has written nothing.
    fn write_publish(
        &mut self,
        promise: u64,
        exchange: &str,
        routing_key: &str,
        mut message: Message,
    ) -> Result<usize> {
        let before = self.out.unsent();
        mark(&mut message, promise);
        self.write_message(PUBLISHER, exchange, routing_key, message)?;
        if !self.publisher.confirms {
            self.write_footer(promise);
        }
        Ok(self.out.unsent() - before)
    }

    /// Writes all frames of a message. On an error it has written nothing.
    pub(crate) fn write_message(
        &mut self,
        channel: u16,
        exchange: &str,
        routing_key: &str,
        message: Message,
    ) -> Result<()> {
        let mark = self.out.tail().len();
        let method = BasicPublish {
            exchange: exchange.as_bytes(),
            routing_key: routing_key.as_bytes(),
            mandatory: message.mandatory,
            ..Default::default()
        };
        let is_plain = message.properties.is_empty()
            && message.body.len() < LARGE.min(self.frame_max - FRAME_OVERHEAD)
            && exchange.len() <= SHORT_MAX
            && routing_key.len() <= SHORT_MAX;
        if is_plain {
            write_plain_message(self.out.tail(), channel, &method, &message.body);
            return Ok(());
        }
        let header = ContentHeader {
            class_id: BASIC,
            body_size: message.body.len() as u64,
            properties: message.properties,
        };
        if let Err(error) = self.write_head(channel, &method, &header) {
            self.out.tail().truncate(mark);
            return Err(error);
        }
        self.write_body(channel, message.body);
        Ok(())
    }

    fn write_head(
        &mut self,
        channel: u16,
        method: &BasicPublish<'_>,
        header: &ContentHeader,
    ) -> Result<()> {
        let frame_max = self.frame_max;
        let out = self.out.tail();
        let invalid = |error: EncodeError| Error::InvalidArgument(error.to_string());
        write_method(out, channel, method).map_err(invalid)?;
        let mark = begin_frame(out, FRAME_HEADER, channel);
        header.encode(out).map_err(invalid)?;
        end_frame(out, mark);
        check_frame(out, mark, frame_max).map_err(|error| invalid_header(&error))
    }

    pub(crate) fn write_body(&mut self, channel: u16, mut body: Bytes) {
        let largest = self.frame_max - FRAME_OVERHEAD;
        while !body.is_empty() {
            let piece = body.split_to(body.len().min(largest));
            let out = self.out.tail();
            if piece.len() < LARGE {
                let mark = begin_frame(out, FRAME_BODY, channel);
                out.extend_from_slice(&piece);
                end_frame(out, mark);
            } else {
                out.put_u8(FRAME_BODY);
                out.put_u16(channel);
                out.put_u32(piece.len() as u32); // At most frame_max, a u32.
                self.out.push_slice(piece);
                self.out.tail().extend_from_slice(&[crate::wire::FRAME_END]);
            }
        }
    }

    pub(crate) fn write_footer(&mut self, promise: u64) {
        let (publish, header) = footer(promise);
        let _ = self.write_head(PUBLISHER, &publish, &header);
    }

    /// `basic.ack` and `basic.nack`: one tag, or all up to it.
    pub(crate) fn confirmed(
        &mut self,
        tag: u64,
        multiple: bool,
        taken: bool,
    ) -> Result<(), Violation> {
        let next = self.publisher.first_tag + self.publisher.in_flight.len() as u64;
        // Tag 0 with `multiple` is AMQP's word for all of them.
        let last = if tag == 0 && multiple { next - 1 } else { tag };
        if last >= next || tag == 0 && !multiple || !self.publisher.confirms {
            return Err(Violation::new(
                503,
                "a confirm of something never published",
            ));
        }
        self.publisher.handled = self.publisher.handled.max(last);
        self.has_got_on = true;
        // Answered ones in front are forgotten: what is left below may still be open.
        let first = if multiple {
            self.publisher.first_tag
        } else {
            last
        };
        for tag in first..=last {
            if taken {
                self.published(tag);
            } else {
                self.settle_publish(tag, Error::Nacked);
            }
        }
        self.publisher.advance();
        Ok(())
    }

    fn published(&mut self, tag: u64) {
        let Some(promise) = self.finish_publish(tag) else {
            return;
        };
        match self.events.back_mut() {
            Some(Event::Published { last, .. }) if *last + 1 == promise => *last = promise,
            _ => self.events.push_back(Event::Published {
                first: promise,
                last: promise,
            }),
        }
    }

    /// The broker did not take a publish.
    fn settle_publish(&mut self, tag: u64, error: Error) {
        let entry = self.publisher.entry(tag);
        // This says nothing of what an earlier connection did with it.
        let error = match entry.is_some_and(|entry| entry.sent_before) {
            true => lost(true, &error),
            false => error,
        };
        if let Some(promise) = self.finish_publish(tag) {
            self.settled(promise, Err(error));
        }
    }

    /// The promise of a publish that was not settled before, and now is.
    fn finish_publish(&mut self, tag: u64) -> Option<u64> {
        let entry = self.publisher.entry(tag).filter(|entry| !entry.settled)?;
        entry.settled = true;
        let (promise, span) = (entry.promise, entry.span);
        self.out.unpin(&span);
        Some(promise)
    }

    /// `basic.return`: a message that no queue took, or one of our own that none could take.
    pub(crate) fn returned(&mut self, mut returned: Box<Returned>) -> Result<(), Violation> {
        let headers = &mut returned.properties.headers;
        let mark = headers.get(MARK).and_then(|value| value.as_i64());
        let tag = mark.and_then(|promise| self.publisher.tag_of(promise.cast_unsigned()));
        let Some(tag) = tag else {
            return Err(Violation::new(
                503,
                "the return of something never published",
            ));
        };
        let confirms = self.publisher.confirms;
        let is_footer = !confirms && headers.contains(FOOTER);
        // Behind a message that comes back its footer is still to come.
        let handled = if confirms || is_footer { tag } else { tag - 1 };
        self.publisher.handled = self.publisher.handled.max(handled);
        if is_footer {
            self.published(tag);
            self.publisher.advance();
        } else {
            headers.remove(MARK);
            self.settle_publish(tag, Error::NoRoute(returned));
            // It stays in its place: its ack, or its footer, is still to come.
        }
        Ok(())
    }

    /// Takes back the publishes that the socket has none of, and all that was to be written after them.
    pub(crate) fn take_back_unsent(&mut self, error: &Error) {
        let unsent = self
            .publisher
            .in_flight
            .iter()
            .find(|entry| self.out.is_unsent(&entry.span));
        let start = unsent.map(|entry| entry.span.start);
        if self.will_recover(error) {
            self.suspend_publishes();
        } else {
            self.publisher_lost(error);
        }
        if let Some(start) = start {
            self.out.truncate(start);
        }
    }

    /// Publishes that the broker has not handled, as far as is known, given up or not: promises, whether an earlier connection may have
    /// taken them, and whether they are with the socket.
    pub(crate) fn publishes_under_way(&self) -> impl Iterator<Item = (u64, bool, bool)> {
        let Publisher {
            first_tag, handled, ..
        } = self.publisher;
        let entries = (first_tag..).zip(&self.publisher.in_flight);
        let open = entries.filter(move |(tag, _)| *tag > handled);
        open.map(|(_, entry)| {
            let is_sent = !self.out.is_unsent(&entry.span);
            (entry.promise, entry.sent_before, is_sent)
        })
    }

    /// The connection has gone: what is known of each publish.
    pub(crate) fn publisher_lost(&mut self, error: &Error) {
        for (_, entry) in self.publisher.take_unsettled() {
            let sent = entry.sent_before || !self.out.is_unsent(&entry.span);
            self.out.unpin(&entry.span);
            self.settled(entry.promise, Err(lost(sent, error)));
        }
        self.held_lost(error);
    }

    /// Gives up the promises of what is under way; it may yet arrive.
    pub(crate) fn abandon_publishes(&mut self, error: &Error) {
        let mut abandoned = Vec::new();
        for entry in &mut self.publisher.in_flight {
            if !std::mem::replace(&mut entry.settled, true) {
                abandoned.push((entry.promise, entry.span));
            }
        }
        for (promise, span) in abandoned {
            self.out.unpin(&span);
            self.settled(promise, Err(lost(true, error)));
        }
        self.held_lost(error);
    }
}
