//! What comes in: bytes, frames out of them, and messages out of frames. Here is a message of which a part has come; what
//! becomes of a whole one is in `content.rs`.

pub(crate) mod body;
pub(crate) mod content;
pub(crate) mod input;
pub(crate) mod memory;

use bytes::Bytes;

use crate::connection::incoming::body::{Body, Pool};
use crate::connection::incoming::memory::Memory;
use crate::connection::publish::mark::MARK;
use crate::connection::violation::Violation;
use crate::types::message::{Delivery, Origin, Returned};
use crate::wire::{
    Arena, BasicGetOk, BasicReturn, CLASS_BASIC, ContentHeader, Properties, ShortStr, reply_code,
};

/// A message, as the method in front of it says.
#[derive(Debug)]
pub(crate) enum Kind {
    Delivered(Box<Delivery>),
    Got(Box<Delivery>),
    Returned(Box<Returned>),
}

impl Kind {
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
    pub(crate) kind: Kind,
    /// Whether the header has come.
    has_header: bool,
    /// What has come of the body, if it is large, or in several frames.
    pub(crate) body: Option<Body>,
    pub(crate) missing: u64,
}

impl Incoming {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            has_header: false,
            body: None,
            missing: 0,
        }
    }

    /// Takes the header frame.
    pub(crate) fn header(&mut self, payload: &[u8], arena: &mut Arena) -> Result<(), Violation> {
        if self.has_header {
            return Err(Violation::new(
                reply_code::UNEXPECTED_FRAME,
                "a second content header for one message",
            ));
        }
        self.missing = match ContentHeader::plain(payload) {
            Some(size) => size,
            None => {
                let header = ContentHeader::decode(payload, arena)?;
                if header.class_id != CLASS_BASIC {
                    return Err(Violation::new(
                        reply_code::FRAME_ERROR,
                        format!("a content header of the class {}", header.class_id),
                    ));
                }
                self.kind.set_properties(header.properties);
                header.body_size
            }
        };
        self.has_header = true;
        Ok(())
    }

    /// Checks that a body frame of so many bytes may come.
    pub(crate) fn check(&self, size: usize) -> Result<(), Violation> {
        if !self.has_header {
            return Err(Violation::new(
                reply_code::UNEXPECTED_FRAME,
                "a body frame before its content header",
            ));
        }
        if self.missing < size as u64 {
            return Err(Violation::new(
                reply_code::UNEXPECTED_FRAME,
                "a body longer than its header announced",
            ));
        }
        Ok(())
    }

    /// Where a body frame of so many bytes goes.
    pub(crate) fn room(&mut self, size: usize, pool: &mut Pool) -> Body {
        let mut body = self.body.take().unwrap_or_default();
        pool.reserve(&mut body, size, self.missing);
        body
    }

    /// Takes back what [`room`](Self::room) gave, with those bytes in it.
    pub(crate) fn filled(&mut self, body: Body, size: usize) {
        self.missing -= size as u64;
        self.body = Some(body);
    }
}
