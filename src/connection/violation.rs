//! What a peer does that AMQP does not allow.

use crate::wire::{DecodeError, FrameError, MethodId, reply_code};

/// What the peer may not do. It ends the connection, with the AMQP code for it.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) Box<Fault>);

#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    pub(crate) text: String,
    pub(crate) method: MethodId,
}

impl Violation {
    #[cold]
    pub(crate) fn new(code: u16, text: impl Into<String>) -> Self {
        Self(Box::new(Fault {
            code,
            text: text.into(),
            method: (0, 0),
        }))
    }

    pub(crate) fn of(mut self, method: MethodId) -> Self {
        self.0.method = method;
        self
    }
}

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        Self::new(reply_code::FRAME_ERROR, error.to_string())
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        let code = if matches!(error, DecodeError::UnknownMethod { .. }) {
            reply_code::NOT_IMPLEMENTED
        } else {
            reply_code::SYNTAX_ERROR
        };
        Self::new(code, error.to_string())
    }
}
