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
pub(crate) mod clue;
pub(crate) mod confirm;
pub(crate) mod early;
pub(crate) mod held;
pub(crate) mod line;
pub(crate) mod mark;
pub(crate) mod output;
pub(crate) mod publisher;
pub(crate) mod refused;

use bytes::{BufMut, Bytes};

use crate::connection::Connection;
use crate::connection::channel::{PUBLISHER, Role};
use crate::connection::expect::Expect;
use crate::connection::publish::early::EarlyPublish;
use crate::connection::publish::mark::{footer, invalid_header, mark};
use crate::connection::publish::output::{LARGE, Position};
use crate::connection::publish::publisher::InFlight;
use crate::connection::state::State;
use crate::types::error::{Error, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::Message;
use crate::wire::CLASS_BASIC;
use crate::wire::{
    BasicPublish, ChannelOpen, ConfirmSelect, ContentHeader, EncodeError, FRAME_BODY, FRAME_HEADER,
    FRAME_OVERHEAD, begin_frame, check_frame, end_frame, write_method, write_plain_message,
};

/// The longest name, in bytes.
const SHORT_MAX: usize = 255;

impl Connection {
    /// Publishes, now or when the connection is open.
    pub(crate) fn publish(
        &mut self,
        promise: PromiseNumber,
        exchange: &str,
        routing_key: &str,
        message: Message,
    ) {
        if let Some(error) = self.refusal() {
            return self.resolve(promise, Err(Error::NotSent(Box::new(error))));
        }
        match self.state {
            State::Open if self.blocked.is_none() && !self.publishes_wait() => {
                self.publish_now(promise, exchange, routing_key, message)
            }
            State::Closing | State::Over => {
                self.resolve(promise, Err(Error::NotSent(Box::new(Error::Closed))));
            }
            _ => {
                let early = EarlyPublish {
                    promise,
                    exchange: exchange.into(),
                    routing_key: routing_key.into(),
                    message,
                };
                self.early_bytes += early.size();
                self.early.push_back(early);
            }
        }
    }

    /// Whether something has to come before any further publish.
    pub(crate) fn publishes_wait(&self) -> bool {
        self.replay.holds_publishes() || self.blame.is_careful()
    }

    /// Publishes, on a connection that is open.
    pub(crate) fn publish_now(
        &mut self,
        promise: PromiseNumber,
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
            .names
            .follow_message(exchange, routing_key, &mut message);
        let routing_key = renamed.as_deref().unwrap_or(routing_key);
        let start = self.out.position();
        match self.write_publish(promise, exchange, routing_key, message) {
            Ok(len) => self.in_flight(promise, start, len, false),
            Err(error) => self.resolve(promise, Err(error)),
        }
    }

    /// What was written from `start` on is a publish.
    pub(crate) fn in_flight(
        &mut self,
        promise: PromiseNumber,
        start: Position,
        len: usize,
        sent_before: bool,
    ) {
        let span = self.out.pin_from(start, len);
        self.publisher.in_flight.push_back(InFlight {
            promise,
            span,
            resolved: false,
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
        let _ = write_method(out, PUBLISHER.0, &ChannelOpen::default());
        if self.publisher.confirms {
            let _ = write_method(out, PUBLISHER.0, &ConfirmSelect::default());
            if let Some(channel) = self.channels.known(PUBLISHER) {
                channel.expect.push_back(Expect::SelectOk);
            }
        }
    }

    /// Writes all frames of a publish, and says how many bytes they are. On an error it has written nothing.
    fn write_publish(
        &mut self,
        promise: PromiseNumber,
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
        channel: ChannelId,
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
            write_plain_message(self.out.tail(), channel.0, &method, &message.body);
            return Ok(());
        }
        let header = ContentHeader {
            class_id: CLASS_BASIC,
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
        channel: ChannelId,
        method: &BasicPublish<'_>,
        header: &ContentHeader,
    ) -> Result<()> {
        let frame_max = self.frame_max;
        let out = self.out.tail();
        let invalid = |error: EncodeError| Error::InvalidArgument(error.to_string());
        write_method(out, channel.0, method).map_err(invalid)?;
        let mark = begin_frame(out, FRAME_HEADER, channel.0);
        header.encode(out).map_err(invalid)?;
        end_frame(out, mark);
        check_frame(out, mark, frame_max).map_err(|error| invalid_header(&error))
    }

    pub(crate) fn write_body(&mut self, channel: ChannelId, mut body: Bytes) {
        let largest = self.frame_max - FRAME_OVERHEAD;
        while !body.is_empty() {
            let piece = body.split_to(body.len().min(largest));
            let out = self.out.tail();
            if piece.len() < LARGE {
                let mark = begin_frame(out, FRAME_BODY, channel.0);
                out.extend_from_slice(&piece);
                end_frame(out, mark);
            } else {
                out.put_u8(FRAME_BODY);
                out.put_u16(channel.0);
                out.put_u32(piece.len() as u32); // At most frame_max, a u32.
                self.out.push_slice(piece);
                self.out.tail().extend_from_slice(&[crate::wire::FRAME_END]);
            }
        }
    }

    pub(crate) fn write_footer(&mut self, promise: PromiseNumber) {
        let (publish, header) = footer(promise);
        let _ = self.write_head(PUBLISHER, &publish, &header);
    }
}
