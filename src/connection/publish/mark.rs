//! Marks in messages, by which their returns are known, and what is known of a publish that failed.

use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::wire::{BasicPublish, CLASS_BASIC, ContentHeader, EncodeError, FieldValue, Properties};

/// Marks a mandatory message, so that its return can be told from another's; users never see it.
pub(crate) const MARK: &str = "x-puka-delivery-tag";
/// Marks the empty message behind each message, where confirms are emulated.
pub(crate) const FOOTER: &str = "x-puka-footer";

/// Marks a mandatory message as that promise's, and no other's: it may be one that another client had marked.
pub(crate) fn mark(message: &mut Message, promise: PromiseNumber) {
    if message.mandatory {
        let headers = &mut message.properties.headers;
        headers.remove(FOOTER);
        headers.insert(MARK, FieldValue::I64(promise.0.cast_signed()));
    }
}

/// What comes behind each message, in place of confirms.
pub(crate) fn footer(promise: PromiseNumber) -> (BasicPublish<'static>, ContentHeader) {
    let mut properties = Properties::default();
    let mark = FieldValue::I64(promise.0.cast_signed());
    properties.headers.insert(MARK, mark);
    properties.headers.insert(FOOTER, true);
    let header = ContentHeader {
        class_id: CLASS_BASIC,
        body_size: 0,
        properties,
    };
    let publish = BasicPublish {
        mandatory: true,
        ..Default::default()
    };
    (publish, header)
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

/// A frame has no room for them.
pub(crate) fn invalid_header(error: &EncodeError) -> Error {
    Error::InvalidArgument(format!("the message's properties and headers: {error}"))
}
