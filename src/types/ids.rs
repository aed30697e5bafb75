//! Numbers with a type of their own, so that one cannot stand for another.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// The number of a result to come, and its type.
///
/// A promise is a plain number (`Copy`, no more): it may be waited for, given a callback, or ignored. It belongs to
/// the [`Client`](crate::Client) that made it; to every other client it is an error.
pub struct Promise<T> {
    id: PromiseId,
    result: PhantomData<fn() -> T>,
}

impl<T> Promise<T> {
    pub(crate) fn new(id: PromiseId) -> Self {
        Self {
            id,
            result: PhantomData,
        }
    }

    /// The number: the first promise of a client is 1.
    pub fn number(self) -> u64 {
        self.id.number()
    }

    /// The promise without the type of its result: what [`Client::wait_ready`](crate::Client::wait_ready) takes.
    pub fn id(self) -> PromiseId {
        self.id
    }
}

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Promise<T> {}

impl<T> PartialEq for Promise<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Promise<T> {}

impl<T> Hash for Promise<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<T> fmt::Display for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// The number of a promise, without the type of its result.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromiseId {
    pub(crate) client: u32,
    pub(crate) number: PromiseNumber,
}

impl PromiseId {
    /// That of no client.
    pub(crate) const NOBODYS: Self = Self {
        client: u32::MAX,
        number: PromiseNumber(0),
    };

    /// The number: the first promise of a client is 1.
    pub fn number(self) -> u64 {
        self.number.0
    }
}

impl fmt::Display for PromiseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.number, f)
    }
}

impl fmt::Debug for PromiseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.number, f)
    }
}

/// Which promise of one client; they count from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PromiseNumber(pub(crate) u64);

impl fmt::Display for PromiseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PromiseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Which channel of one connection; channel 0 is the connection's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelId(pub(crate) u16);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
