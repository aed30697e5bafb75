//! A message from its frames: a method, a header, and bodies until the announced size is there.
//!
//! A body in one frame stays where the socket put it. A longer one is put together once, when its last frame is
//! here: nothing is allocated on the peer's word.

use bytes::{Bytes, BytesMut};

use super::channels::{Expect, Role};
use super::publisher::MARK;
use super::{Connection, Violation};
use crate::message::{Delivery, Origin, Returned};
use crate::outcome::Outcome;
use crate::wire::{
    BasicDeliver, BasicGetOk, BasicReturn, ContentHeader, FRAME_HEADER, Properties, ShortStr,
};

/// The method that announced the content, with its texts as slices of the read buffer.
#[derive(Debug)]
pub(crate) enum Head {
    Deliver {
        consumer_tag: ShortStr,
        tag: u64,
        redelivered: bool,
        exchange: ShortStr,
        routing_key: ShortStr,
    },
    GetOk {
        tag: u64,
        redelivered: bool,
        exchange: ShortStr,
        routing_key: ShortStr,
        message_count: u32,
    },
    Return {
        reply_code: u16,
        reply_text: ShortStr,
        exchange: ShortStr,
        routing_key: ShortStr,
    },
}

impl Head {
    pub(crate) fn deliver(method: &BasicDeliver<'_>, payload: &Bytes) -> Self {
        Self::Deliver {
            consumer_tag: ShortStr::from_wire(payload, method.consumer_tag),
            tag: method.delivery_tag,
            redelivered: method.redelivered,
            exchange: ShortStr::from_wire(payload, method.exchange),
            routing_key: ShortStr::from_wire(payload, method.routing_key),
        }
    }

    pub(crate) fn get_ok(method: &BasicGetOk<'_>, payload: &Bytes) -> Self {
        Self::GetOk {
            tag: method.delivery_tag,
            redelivered: method.redelivered,
            exchange: ShortStr::from_wire(payload, method.exchange),
            routing_key: ShortStr::from_wire(payload, method.routing_key),
            message_count: method.message_count,
        }
    }

    pub(crate) fn returned(method: &BasicReturn<'_>, payload: &Bytes) -> Self {
        Self::Return {
            reply_code: method.reply_code,
            reply_text: ShortStr::from_wire(payload, method.reply_text),
            exchange: ShortStr::from_wire(payload, method.exchange),
            routing_key: ShortStr::from_wire(payload, method.routing_key),
        }
    }
}

/// A message whose frames are coming in.
#[derive(Debug)]
pub(crate) struct Incoming {
    head: Head,
    header: Option<ContentHeader>,
    pieces: Vec<Bytes>,
    missing: u64,
}

/// A message whose frames are all here.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) head: Head,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
}

impl Incoming {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            header: None,
            pieces: Vec::new(),
            missing: 0,
        }
    }

    /// Takes the header frame.
    pub(crate) fn header(&mut self, payload: &Bytes) -> Result<(), Violation> {
        if self.header.is_some() {
            return Err(Violation::new(
                505,
                "a second content header for one message",
            ));
        }
        let header = ContentHeader::decode(payload)?;
        self.missing = header.body_size;
        self.header = Some(header);
        Ok(())
    }

    /// Takes a body frame.
    pub(crate) fn body(&mut self, payload: Bytes) -> Result<(), Violation> {
        if self.header.is_none() {
            return Err(Violation::new(
                505,
                "a body frame before its content header",
            ));
        }
        let Some(missing) = self.missing.checked_sub(payload.len() as u64) else {
            return Err(Violation::new(
                505,
                "a body longer than its header announced",
            ));
        };
        self.missing = missing;
        if !payload.is_empty() {
            self.pieces.push(payload);
        }
        Ok(())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.header.is_some() && self.missing == 0
    }

    pub(crate) fn finish(mut self) -> Content {
        let body = match self.pieces.len() {
            0 => Bytes::new(),
            1 => self.pieces.swap_remove(0),
            _ => {
                let mut body = BytesMut::with_capacity(self.pieces.iter().map(Bytes::len).sum());
                for piece in self.pieces {
                    body.extend_from_slice(&piece);
                }
                body.freeze()
            }
        };
        let properties = self
            .header
            .map(|header| header.properties)
            .unwrap_or_default();
        Content {
            head: self.head,
            properties,
            body,
        }
    }
}

impl Connection {
    /// A header or body frame.
    pub(super) fn handle_content(
        &mut self,
        number: u16,
        kind: u8,
        payload: Bytes,
    ) -> Result<(), Violation> {
        if number == 0 {
            return Err(Violation::new(501, "content on channel 0"));
        }
        let Some(channel) = self.channels.get_mut(number) else {
            return Err(Violation::new(
                504,
                format!("content on channel {number}, which is not open"),
            ));
        };
        let Some(incoming) = &mut channel.incoming else {
            return Err(Violation::new(505, "content that no method announced"));
        };
        if kind == FRAME_HEADER {
            incoming.header(&payload)?;
        } else {
            incoming.body(payload)?;
        }
        match channel.incoming.take_if(|incoming| incoming.is_complete()) {
            Some(incoming) => self.handle_message(number, incoming.finish()),
            None => Ok(()),
        }
    }

    /// A whole message, on a channel that is open.
    fn handle_message(&mut self, number: u16, content: Content) -> Result<(), Violation> {
        let Content {
            head,
            mut properties,
            body,
        } = content;
        if !properties.headers.is_empty() && !matches!(head, Head::Return { .. }) {
            properties.headers.remove(MARK);
        }
        let Some(epoch) = self.channels.get(number).map(|channel| channel.epoch) else {
            return Ok(());
        };
        let promise = self.config.id(0);
        let origin = |tag| Origin {
            promise,
            channel: number,
            epoch,
            tag,
            no_ack: false,
        };
        let delivery = |body, properties, exchange, routing_key, redelivered, origin| Delivery {
            body,
            properties,
            exchange,
            routing_key,
            consumer_tag: ShortStr::default(),
            redelivered,
            message_count: 0,
            origin,
        };
        match head {
            Head::Deliver {
                consumer_tag,
                tag,
                redelivered,
                exchange,
                routing_key,
            } => self.deliver(
                number,
                &consumer_tag,
                delivery(
                    body,
                    properties,
                    exchange,
                    routing_key,
                    redelivered,
                    origin(tag),
                ),
            ),
            Head::GetOk {
                tag,
                redelivered,
                exchange,
                routing_key,
                message_count,
            } => {
                let delivery = delivery(
                    body,
                    properties,
                    exchange,
                    routing_key,
                    redelivered,
                    origin(tag),
                );
                self.got(
                    number,
                    Delivery {
                        message_count,
                        ..delivery
                    },
                )
            }
            Head::Return {
                reply_code,
                reply_text,
                exchange,
                routing_key,
            } => {
                let returned = Returned {
                    reply_code,
                    reply_text,
                    exchange,
                    routing_key,
                    properties,
                    body,
                };
                self.returned(returned)
            }
        }
    }

    /// The answer to `basic.get`.
    fn got(&mut self, number: u16, mut delivery: Delivery) -> Result<(), Violation> {
        let promise = match self.channels.get_mut(number) {
            Some(channel) => match channel.role {
                Role::Get { promise, no_ack } => {
                    channel.expected(|expect| *expect == Expect::Get);
                    channel.role = Role::Settling;
                    delivery.origin.no_ack = no_ack;
                    if !no_ack {
                        channel.unsettled.push_back(delivery.origin.tag);
                    }
                    promise
                }
                _ => return Err(Violation::new(503, "basic.get-ok, which nobody asked for")),
            },
            None => return Ok(()),
        };
        delivery.origin.promise = self.config.id(promise);
        self.settled(promise, Ok(Outcome::Got(Some(Box::new(delivery)))));
        self.release_if_settled(number);
        self.fail_hopeless();
        Ok(())
    }
}
