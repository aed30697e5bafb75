//! A message from its frames: a method, a header, and bodies until the announced size is there.
//!
//! Where bodies are put is in `body.rs`.

use bytes::Bytes;

use crate::connection::channels::{Channels, Expect, PUBLISHER, Role};
use crate::connection::incoming::body::{AT_ONCE, Body, LARGE, Pool};
use crate::connection::incoming::memory::Memory;
use crate::connection::publish::{BASIC, MARK};
use crate::connection::{Connection, Violation};
use crate::types::message::{Delivery, Origin, Returned};
use crate::types::results::Outcome;
use crate::wire::{
    Arena, BasicGetOk, BasicReturn, ContentHeader, FRAME_HEADER, FrameHead, Properties, ShortStr,
};

/// A message, as the method in front of it says.
#[derive(Debug)]
pub(crate) enum Message {
    Delivered(Box<Delivery>),
    Got(Box<Delivery>),
    Returned(Box<Returned>),
}

impl Message {
    pub(crate) fn got(method: &BasicGetOk<'_>, origin: Origin, memory: &mut Memory) -> Self {
        let mut delivery = memory.delivery();
        let arena = &mut memory.arena;
        delivery.exchange = ShortStr::from_wire(method.exchange, arena);
        delivery.routing_key = ShortStr::from_wire(method.routing_key, arena);
        delivery.redelivered = method.redelivered;
        delivery.message_count = method.message_count;
        delivery.origin = origin;
        Self::Got(delivery)
    }

    pub(crate) fn returned(method: &BasicReturn<'_>, arena: &mut Arena) -> Self {
        Self::Returned(Box::new(Returned {
            reply_code: method.reply_code,
            reply_text: ShortStr::from_wire(method.reply_text, arena),
            exchange: ShortStr::from_wire(method.exchange, arena),
            routing_key: ShortStr::from_wire(method.routing_key, arena),
            properties: Properties::default(),
            body: Bytes::new(),
        }))
    }

    fn set_properties(&mut self, properties: Properties) {
        match self {
            Self::Delivered(delivery) | Self::Got(delivery) => {
                delivery.properties = properties;
                // Users never see the mark of a mandatory message.
                if !delivery.properties.headers.is_empty() {
                    delivery.properties.headers.remove(MARK);
                }
            }
            Self::Returned(returned) => returned.properties = properties,
        }
    }
}

/// A message whose frames are coming in.
#[derive(Debug)]
pub(crate) struct Incoming {
    message: Message,
    /// Whether the header has come.
    has_header: bool,
    /// What has come of the body, if it is large, or in several frames.
    body: Option<Body>,
    missing: u64,
}

impl Incoming {
    pub(crate) fn new(message: Message) -> Self {
        Self {
            message,
            has_header: false,
            body: None,
            missing: 0,
        }
    }

    /// Takes the header frame.
    fn header(&mut self, payload: &[u8], arena: &mut Arena) -> Result<(), Violation> {
        if self.has_header {
            return Err(Violation::new(
                505,
                "a second content header for one message",
            ));
        }
        self.missing = match ContentHeader::plain(payload) {
            Some(size) => size,
            None => {
                let header = ContentHeader::decode(payload, arena)?;
                if header.class_id != BASIC {
                    return Err(Violation::new(
                        501,
                        format!("a content header of the class {}", header.class_id),
                    ));
                }
                self.message.set_properties(header.properties);
                header.body_size
            }
        };
        self.has_header = true;
        Ok(())
    }

    /// Checks that a body frame of so many bytes may come.
    fn check(&self, size: usize) -> Result<(), Violation> {
        if !self.has_header {
            return Err(Violation::new(
                505,
                "a body frame before its content header",
            ));
        }
        if self.missing < size as u64 {
            return Err(Violation::new(
                505,
                "a body longer than its header announced",
            ));
        }
        Ok(())
    }

    /// Where a body frame of so many bytes goes.
    fn room(&mut self, size: usize, pool: &mut Pool) -> Body {
        let mut body = self.body.take().unwrap_or_default();
        pool.reserve(&mut body, size, self.missing);
        body
    }

    /// Takes back what [`room`](Self::room) gave, with those bytes in it.
    fn filled(&mut self, body: Body, size: usize) {
        self.missing -= size as u64;
        self.body = Some(body);
    }
}

impl Connection {
    /// A header or body frame.
    pub(crate) fn handle_content(
        &mut self,
        number: u16,
        kind: u8,
        payload: &[u8],
    ) -> Result<(), Violation> {
        let incoming = incoming(&mut self.channels, number)?;
        let Memory { arena, pool, .. } = &mut self.memory;
        if kind == FRAME_HEADER {
            incoming.header(payload, arena)?;
            return if incoming.missing == 0 {
                self.complete(number, Bytes::new())
            } else {
                Ok(())
            };
        }
        let size = payload.len();
        incoming.check(size)?;
        if incoming.missing == size as u64 && size < LARGE && incoming.body.is_none() {
            let body = arena.copy(payload);
            return self.complete(number, body);
        }
        let mut body = incoming.room(size, pool);
        body.extend(payload);
        self.handle_body(number, body, size)
    }

    /// Where the payload of a large body frame goes, if it is to be read.
    pub(crate) fn body_room(&mut self, head: &FrameHead) -> Result<Option<Body>, Violation> {
        if self.state.is_closing() {
            return Ok(None);
        }
        let incoming = incoming(&mut self.channels, head.channel)?;
        incoming.check(head.size)?;
        let size = head.size.min(AT_ONCE);
        Ok(Some(incoming.room(size, &mut self.memory.pool)))
    }

    /// A body frame of that size is in `body`.
    pub(crate) fn handle_body(
        &mut self,
        number: u16,
        body: Body,
        size: usize,
    ) -> Result<(), Violation> {
        let incoming = incoming(&mut self.channels, number)?;
        incoming.filled(body, size);
        if incoming.missing > 0 {
            return Ok(());
        }
        let body = incoming
            .body
            .take()
            .map(|body| self.memory.pool.finish(body));
        self.complete(number, body.unwrap_or_default())
    }

    /// The message that was coming in on that channel is whole.
    fn complete(&mut self, number: u16, body: Bytes) -> Result<(), Violation> {
        let channel = self.channels.get_mut(number);
        let Some(incoming) = channel.and_then(|channel| channel.incoming.take()) else {
            return Ok(());
        };
        match incoming.message {
            Message::Delivered(mut delivery) => {
                delivery.body = body;
                self.deliver(number, delivery)
            }
            Message::Got(mut delivery) => {
                delivery.body = body;
                self.got(number, delivery)
            }
            Message::Returned(mut returned) => {
                returned.body = body;
                if number == PUBLISHER {
                    return self.returned(returned);
                }
                self.call_returned(number, returned);
                Ok(())
            }
        }
    }

    /// The answer to `basic.get`.
    fn got(&mut self, number: u16, mut delivery: Box<Delivery>) -> Result<(), Violation> {
        let Some(channel) = self.channels.get_mut(number) else {
            return Ok(());
        };
        let Role::Get { promise, no_ack } = channel.role else {
            return Err(Violation::new(503, "basic.get-ok, which nobody asked for"));
        };
        channel.expected(|expect| *expect == Expect::Get);
        channel.role = Role::Settling;
        if !no_ack {
            channel.unsettled.push(delivery.origin.tag);
        }
        delivery.origin.no_ack = no_ack;
        delivery.origin.promise.number = crate::types::ids::PromiseNumber(promise);
        self.has_got_on = true;
        self.settled(promise, Ok(Outcome::Got(Some(delivery))));
        self.release_if_settled(number);
        self.fail_hopeless();
        Ok(())
    }
}

/// The message of which a part has come on that channel.
fn incoming(channels: &mut Channels, number: u16) -> Result<&mut Incoming, Violation> {
    if number == 0 {
        return Err(Violation::new(501, "content on channel 0"));
    }
    let Some(channel) = channels.get_mut(number) else {
        return Err(Violation::new(
            504,
            format!("content on channel {number}, which is not open"),
        ));
    };
    let Some(incoming) = &mut channel.incoming else {
        return Err(Violation::new(505, "content that no method announced"));
    };
    Ok(incoming)
}
