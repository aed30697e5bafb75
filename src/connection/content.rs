//! A message from its frames: a method, a header, and bodies until the announced size is there.
//!
//! A body in one frame stays where the socket put it. A longer one is put together once, when its last frame is
//! here: nothing is allocated on the peer's word.

use bytes::{Bytes, BytesMut};

use super::channels::{Expect, PUBLISHER, Role};
use super::publisher::MARK;
use super::{Connection, Violation};
use crate::message::{Delivery, Origin, Returned};
use crate::outcome::Outcome;
use crate::wire::{
    BasicDeliver, BasicGetOk, BasicReturn, ContentHeader, FRAME_HEADER, Properties, ShortStr,
};

/// A message, as the method in front of it says; its texts are slices of the read buffer.
#[derive(Debug)]
pub(crate) enum Message {
    Delivered(Delivery),
    Got(Delivery),
    Returned(Returned),
}

impl Message {
    pub(crate) fn delivered(method: &BasicDeliver<'_>, payload: &Bytes, origin: Origin) -> Self {
        let origin = Origin {
            tag: method.delivery_tag,
            ..origin
        };
        let mut delivery = delivery(payload, method.exchange, method.routing_key, origin);
        delivery.consumer_tag = ShortStr::from_wire(payload, method.consumer_tag);
        delivery.redelivered = method.redelivered;
        Self::Delivered(delivery)
    }

    pub(crate) fn got(method: &BasicGetOk<'_>, payload: &Bytes, origin: Origin) -> Self {
        let origin = Origin {
            tag: method.delivery_tag,
            ..origin
        };
        let mut delivery = delivery(payload, method.exchange, method.routing_key, origin);
        delivery.redelivered = method.redelivered;
        delivery.message_count = method.message_count;
        Self::Got(delivery)
    }

    pub(crate) fn returned(method: &BasicReturn<'_>, payload: &Bytes) -> Self {
        Self::Returned(Returned {
            reply_code: method.reply_code,
            reply_text: ShortStr::from_wire(payload, method.reply_text),
            exchange: ShortStr::from_wire(payload, method.exchange),
            routing_key: ShortStr::from_wire(payload, method.routing_key),
            properties: Properties::default(),
            body: Bytes::new(),
        })
    }

    fn fill(&mut self, properties: Properties, body: Bytes) {
        match self {
            Self::Delivered(delivery) | Self::Got(delivery) => {
                delivery.properties = properties;
                delivery.body = body;
                // Users never see the mark of a mandatory message.
                if !delivery.properties.headers.is_empty() {
                    delivery.properties.headers.remove(MARK);
                }
            }
            Self::Returned(returned) => {
                returned.properties = properties;
                returned.body = body;
            }
        }
    }
}

fn delivery(payload: &Bytes, exchange: &[u8], routing_key: &[u8], origin: Origin) -> Delivery {
    Delivery {
        body: Bytes::new(),
        properties: Properties::default(),
        exchange: ShortStr::from_wire(payload, exchange),
        routing_key: ShortStr::from_wire(payload, routing_key),
        consumer_tag: ShortStr::default(),
        redelivered: false,
        message_count: 0,
        origin,
    }
}

/// A message whose frames are coming in.
#[derive(Debug)]
pub(crate) struct Incoming {
    message: Message,
    header: Option<ContentHeader>,
    pieces: Vec<Bytes>,
    missing: u64,
}

impl Incoming {
    pub(crate) fn new(message: Message) -> Self {
        Self {
            message,
            header: None,
            pieces: Vec::new(),
            missing: 0,
        }
    }

    /// Takes the header frame.
    fn header(&mut self, payload: &Bytes) -> Result<(), Violation> {
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
    fn body(&mut self, payload: Bytes) -> Result<(), Violation> {
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

    fn is_complete(&self) -> bool {
        self.header.is_some() && self.missing == 0
    }

    fn finish(mut self) -> Message {
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
        self.message.fill(properties, body);
        self.message
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
        let complete = channel.incoming.take_if(|incoming| incoming.is_complete());
        match complete.map(Incoming::finish) {
            None => Ok(()),
            Some(Message::Delivered(delivery)) => self.deliver(number, delivery),
            Some(Message::Got(delivery)) => self.got(number, delivery),
            Some(Message::Returned(returned)) if number == PUBLISHER => self.returned(returned),
            Some(Message::Returned(returned)) => self.call_returned(number, returned),
        }
    }

    /// The answer to `basic.get`.
    fn got(&mut self, number: u16, mut delivery: Delivery) -> Result<(), Violation> {
        let Some(channel) = self.channels.get_mut(number) else {
            return Ok(());
        };
        let Role::Get { promise, no_ack } = channel.role else {
            return Err(Violation::new(503, "basic.get-ok, which nobody asked for"));
        };
        channel.expected(|expect| *expect == Expect::Get);
        channel.role = Role::Settling;
        if !no_ack {
            channel.unsettled.push_back(delivery.origin.tag);
        }
        delivery.origin.no_ack = no_ack;
        delivery.origin.promise.number = promise;
        self.settled(promise, Ok(Outcome::Got(Some(Box::new(delivery)))));
        self.release_if_settled(number);
        self.fail_hopeless();
        Ok(())
    }
}
