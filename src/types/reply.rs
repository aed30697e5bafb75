//! What a broker says of a request that it refuses, and what to do about it.

use std::fmt;

use crate::types::text::Printable;
use crate::wire::{method_name, reply_code};

/// The error that the broker sent; or ours, if the broker broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// AMQP's reply code.
    pub code: u16,
    /// The reply text.
    pub text: String,
    /// The class of the method that failed; 0 if no method did.
    pub class_id: u16,
    /// The method that failed; 0 if none did.
    pub method_id: u16,
    /// Whether the broker said so; else it was the broker's own bytes that made no sense.
    pub from_broker: bool,
}

impl Reply {
    /// What the broker says when it closes a channel, or the connection.
    pub(crate) fn from_broker(code: u16, text: &[u8], class_id: u16, method_id: u16) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        Self {
            code,
            text,
            class_id,
            method_id,
            from_broker: true,
        }
    }

    /// The name of the method that failed (`queue.declare`, say), if one did.
    pub fn method(&self) -> Option<&'static str> {
        method_name(self.class_id, self.method_id)
    }

    /// What to do about it, where a known trap shows.
    pub fn hint(&self) -> Option<&'static str> {
        let text = &self.text;
        match self.code {
            reply_code::INTERNAL_ERROR if text.contains("transient_nonexcl_queues") => Some(
                "this broker refuses queues that are neither durable nor exclusive: declare the queue with \
                 durable(true), or with exclusive(true) if no other connection needs it",
            ),
            reply_code::PRECONDITION_FAILED if text.contains("'non-durable'") => {
                Some("queues of this type are always durable: declare the queue with durable(true)")
            }
            reply_code::PRECONDITION_FAILED if text.contains("delivery acknowledgement") => Some(
                "a delivery was not acknowledged in time (30 minutes, unless consumer_timeout says otherwise): \
                 acknowledge before long work, or raise the limit; see \
                 https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout",
            ),
            reply_code::PRECONDITION_FAILED if text.contains("message size") => Some(
                "the message is over the broker's max_message_size (16 MiB by default since RabbitMQ 4.0, 128 MiB \
                 before): raise it, or send the data another way",
            ),
            reply_code::FRAME_ERROR if text.contains("frame_too_large") => Some(
                "a frame was larger than the broker's frame_max: most often a header block, which cannot be split",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.from_broker {
            f.write_str("the peer broke the protocol: ")?;
        }
        write!(f, "{} ({}", Printable(&self.text), self.code)?;
        if let Some(method) = self.method() {
            write!(f, ", {method}")?;
        }
        f.write_str(")")?;
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply {
            code,
            text: text.into(),
            class_id: 50,
            method_id: 10,
            from_broker: true,
        }
    }

    #[test]
    fn known_traps_have_hints() {
        for (code, text, hint) in [
            (
                541,
                "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.",
                "durable(true)",
            ),
            (
                406,
                "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/'",
                "durable(true)",
            ),
            (
                406,
                "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out",
                "consumer_timeout",
            ),
            (
                406,
                "PRECONDITION_FAILED - message size 9 is larger than configured max size 8",
                "max_message_size",
            ),
            (501, "FRAME_ERROR - type 2, frame_too_large", "header block"),
        ] {
            assert!(reply(code, text).to_string().contains(hint), "{text}");
        }
        assert_eq!(reply(404, "NOT_FOUND - no queue").hint(), None);
    }

    #[test]
    fn a_peers_text_cannot_break_the_terminal() {
        let text = reply(404, "no queue '\u{1b}[2J\n'").to_string();
        assert_eq!(text, "no queue '\\u{1b}[2J\\n' (404, queue.declare)");
    }
}
