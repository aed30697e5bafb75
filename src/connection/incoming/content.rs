//! A message from its frames: a method, a header, and bodies until the announced size is there.
//!
//! Where bodies are put is in `body.rs`.

use bytes::Bytes;

use crate::connection::Connection;
use crate::connection::channel::{PUBLISHER, Role};
use crate::connection::channels::Channels;
use crate::connection::expect::Expect;
use crate::connection::incoming::body::{AT_ONCE, Body, LARGE};
use crate::connection::incoming::input::PlainDelivery;
use crate::connection::incoming::memory::Memory;
use crate::connection::incoming::{Incoming, Kind};
use crate::connection::violation::Violation;
use crate::types::ids::ChannelId;
use crate::types::message::Delivery;
use crate::types::results::Outcome;
use crate::wire::{BasicDeliver, FRAME_HEADER, FrameHead, ShortStr, reply_code};

impl Connection {
    /// `basic.deliver`.
    pub(crate) fn begin_delivery(
        &mut self,
        id: ChannelId,
        deliver: &BasicDeliver<'_>,
    ) -> Result<(), Violation> {
        let delivery = self.delivered(id, deliver)?;
        if let Some(channel) = self.channels.known(id) {
            channel.incoming = Some(Incoming::new(Kind::Delivered(delivery)));
        }
        Ok(())
    }

    /// Three frames at once.
    pub(crate) fn handle_plain_delivery(
        &mut self,
        plain: &PlainDelivery<'_>,
    ) -> Result<(), Violation> {
        if self.channels.is_stale(plain.channel) {
            return Ok(());
        }
        let mut delivery = self.delivered(plain.channel, &plain.deliver)?;
        delivery.body = self.memory.arena.copy(plain.body);
        self.deliver(plain.channel, delivery)
    }

    /// What `basic.deliver` says of a message.
    fn delivered(
        &mut self,
        id: ChannelId,
        deliver: &BasicDeliver<'_>,
    ) -> Result<Box<Delivery>, Violation> {
        let channel = self.channels.for_method(id, || "basic.deliver")?;
        let tag = match &channel.role {
            Role::Publisher => {
                return Err(Violation::new(
                    reply_code::COMMAND_INVALID,
                    "a delivery where nobody consumes",
                ));
            }
            Role::Consumer(consumer) => consumer.known_tag(deliver.consumer_tag),
            _ => None,
        };
        let mut delivery = self.memory.delivery();
        let arena = &mut self.memory.arena;
        delivery.consumer_tag =
            tag.unwrap_or_else(|| ShortStr::from_wire(deliver.consumer_tag, arena));
        delivery.exchange = ShortStr::from_wire(deliver.exchange, arena);
        delivery.routing_key = ShortStr::from_wire(deliver.routing_key, arena);
        delivery.redelivered = deliver.redelivered;
        delivery.origin = self.config.origin(id, channel.epoch, deliver.delivery_tag);
        Ok(delivery)
    }

    /// A header or body frame.
    pub(crate) fn handle_content(
        &mut self,
        id: ChannelId,
        kind: u8,
        payload: &[u8],
    ) -> Result<(), Violation> {
        let incoming = incoming(&mut self.channels, id)?;
        let Memory { arena, pool, .. } = &mut self.memory;
        if kind == FRAME_HEADER {
            incoming.header(payload, arena)?;
            return if incoming.missing == 0 {
                self.complete(id, Bytes::new())
            } else {
                Ok(())
            };
        }
        let size = payload.len();
        incoming.check(size)?;
        if incoming.missing == size as u64 && size < LARGE && incoming.body.is_none() {
            let body = arena.copy(payload);
            return self.complete(id, body);
        }
        let mut body = incoming.room(size, pool);
        body.extend(payload);
        self.handle_body(id, body, size)
    }

    /// Where the payload of a large body frame goes, if it is for anybody.
    pub(crate) fn body_room(&mut self, head: &FrameHead) -> Result<Option<Body>, Violation> {
        if self.state.is_closing() || self.channels.is_stale(ChannelId(head.channel)) {
            return Ok(None);
        }
        let incoming = incoming(&mut self.channels, ChannelId(head.channel))?;
        incoming.check(head.size)?;
        let size = head.size.min(AT_ONCE);
        Ok(Some(incoming.room(size, &mut self.memory.pool)))
    }

    /// A body frame of that size is in `body`.
    pub(crate) fn handle_body(
        &mut self,
        id: ChannelId,
        body: Body,
        size: usize,
    ) -> Result<(), Violation> {
        let incoming = incoming(&mut self.channels, id)?;
        incoming.filled(body, size);
        if incoming.missing > 0 {
            return Ok(());
        }
        let body = incoming
            .body
            .take()
            .map(|body| self.memory.pool.finish(body));
        self.complete(id, body.unwrap_or_default())
    }

    /// The message that was coming in on that channel is whole.
    fn complete(&mut self, id: ChannelId, body: Bytes) -> Result<(), Violation> {
        let channel = self.channels.known(id);
        let Some(incoming) = channel.and_then(|channel| channel.incoming.take()) else {
            return Ok(());
        };
        match incoming.kind {
            Kind::Delivered(mut delivery) => {
                delivery.body = body;
                self.deliver(id, delivery)
            }
            Kind::Got(mut delivery) => {
                delivery.body = body;
                self.got(id, delivery)
            }
            Kind::Returned(mut returned) => {
                returned.body = body;
                if id == PUBLISHER {
                    return self.returned(returned);
                }
                self.rpc_returned(id, returned);
                Ok(())
            }
        }
    }

    /// The answer to `basic.get`.
    fn got(&mut self, id: ChannelId, mut delivery: Box<Delivery>) -> Result<(), Violation> {
        let Some(channel) = self.channels.known(id) else {
            return Ok(());
        };
        let Role::Get { promise, no_ack } = channel.role else {
            return Err(Violation::new(
                reply_code::COMMAND_INVALID,
                "basic.get-ok, which nobody asked for",
            ));
        };
        channel.expected(|expect| *expect == Expect::Get);
        channel.role = Role::Settling;
        if !no_ack {
            channel.unsettled.push(delivery.origin.tag);
        }
        delivery.origin.no_ack = no_ack;
        delivery.origin.promise.number = promise;
        self.has_got_on = true;
        self.resolve(promise, Ok(Outcome::Got(Some(delivery))));
        self.release_if_settled(id);
        self.fail_hopeless();
        Ok(())
    }
}

/// The message of which a part has come on that channel.
fn incoming(channels: &mut Channels, id: ChannelId) -> Result<&mut Incoming, Violation> {
    if id == ChannelId(0) {
        return Err(Violation::new(
            reply_code::FRAME_ERROR,
            "content on channel 0",
        ));
    }
    let Some(channel) = channels.get_mut(id) else {
        return Err(Violation::new(
            reply_code::CHANNEL_ERROR,
            format!("content on channel {id}, which is not open"),
        ));
    };
    let Some(incoming) = &mut channel.incoming else {
        return Err(Violation::new(
            reply_code::UNEXPECTED_FRAME,
            "content that no method announced",
        ));
    };
    Ok(incoming)
}
