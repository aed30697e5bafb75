//! What the table has of one promise.

use crate::promises::inbox::Inbox;
use crate::types::error::{Error, Result};
use crate::types::results::{Item, Outcome};

/// What a promise's entry is waiting for, or has.
#[derive(Debug)]
pub(crate) enum State {
    /// A request whose reply has not come.
    Waiting,
    /// Its reply.
    Done(Result<Outcome>),
    /// A consumer; the end comes after all deliveries.
    Consumer { inbox: Inbox, end: Option<Error> },
}

impl State {
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Waiting => false,
            Self::Done(_) => true,
            Self::Consumer { inbox, end } => !inbox.is_empty() || end.is_some(),
        }
    }

    /// Whether it has the last thing it will ever give, and no delivery.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Waiting => false,
            Self::Done(_) => true,
            Self::Consumer { inbox, end } => inbox.is_empty() && end.is_some(),
        }
    }

    /// The last thing it gives, once [`is_over`](Self::is_over).
    pub(crate) fn into_last(self) -> Option<Result<Item>> {
        match self {
            Self::Waiting => None,
            Self::Done(result) => Some(result.map(Item::Outcome)),
            Self::Consumer { end, .. } => end.map(Err),
        }
    }
}

/// `C` is a callback.
pub(crate) struct Entry<C> {
    pub(crate) state: State,
    pub(crate) callback: Option<C>,
    /// Whether the number is among those whose callbacks could run, where it stands at most once.
    pub(crate) queued: bool,
}

impl<C> Entry<C> {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state,
            callback: None,
            queued: false,
        }
    }
}
