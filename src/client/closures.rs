//! The program's own code, as a client keeps it. `C` is the client.

use std::fmt;

use crate::types::error::Result;
use crate::types::recovery::ConnectionEvent;
use crate::types::results::Item;

type Once<C> = dyn FnOnce(&mut C, Result<Item>) + Send;
type Each<C> = dyn FnMut(&mut C, Result<Item>) + Send;
type Event<C> = dyn FnMut(&mut C, ConnectionEvent) + Send;

/// A promise's callback; it knows its promise by itself.
pub(crate) enum Callback<C> {
    Once(Box<Once<C>>),
    Each(Box<Each<C>>),
}

/// The callback for what becomes of the connection.
pub(crate) struct OnEvent<C>(pub(crate) Box<Event<C>>);

impl<C> fmt::Debug for OnEvent<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnEvent")
    }
}
