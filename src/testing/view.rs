//! What a test sees of queues and messages: plain data, as it was when it was asked for.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::model;
use crate::types::message::Message;
use crate::wire::{FieldValue, Properties, ShortStr};

/// A queue of a [`Broker`](super::Broker), as it was at that moment: see [`Broker::queue`](super::Broker::queue).
#[derive(Debug, Clone)]
pub struct QueueView {
    name: String,
    vhost: String,
    found: Option<model::QueueView>,
    /// The queues that there are, for who has mistaken a name.
    names: Vec<String>,
}

impl QueueView {
    pub(super) fn new(
        vhost: &str,
        name: &str,
        found: Option<model::QueueView>,
        names: Vec<String>,
    ) -> Self {
        Self {
            name: name.into(),
            vhost: vhost.into(),
            found,
            names,
        }
    }

    fn found(&self) -> &model::QueueView {
        let Self {
            name, vhost, names, ..
        } = self;
        match &self.found {
            Some(found) => found,
            None => panic!(
                "there is no queue {name:?} in the virtual host {vhost:?}; there are: {names:?}"
            ),
        }
    }

    /// Whether there is such a queue. All other questions are for one that is there.
    pub fn exists(&self) -> bool {
        self.found.is_some()
    }

    /// How many messages are ready; those that are out with consumers do not count.
    ///
    /// # Panics
    /// If there is no such queue: a test that has mistaken its name should not find it empty.
    pub fn len(&self) -> usize {
        self.found().ready.len()
    }

    /// Whether no message is ready.
    ///
    /// # Panics
    /// If there is no such queue.
    pub fn is_empty(&self) -> bool {
        self.found().ready.is_empty()
    }

    /// The bodies of the messages that are ready, the one that is delivered next at first.
    ///
    /// # Panics
    /// If there is no such queue.
    pub fn bodies(&self) -> Vec<Bytes> {
        let ready = self.found().ready.iter();
        ready.map(|ready| ready.message.body.clone()).collect()
    }

    /// The messages that are ready, the one that is delivered next at first.
    ///
    /// # Panics
    /// If there is no such queue.
    pub fn messages(&self) -> Vec<MessageView> {
        self.found().ready.iter().map(MessageView::new).collect()
    }

    /// The messages that are out with consumers and not acknowledged.
    ///
    /// # Panics
    /// If there is no such queue.
    pub fn unacknowledged(&self) -> Vec<MessageView> {
        let out = self.found().unacknowledged.iter();
        out.map(MessageView::new).collect()
    }

    /// How many consumers it has.
    ///
    /// # Panics
    /// If there is no such queue.
    pub fn consumers(&self) -> usize {
        self.found().consumers.len()
    }
}

/// A message in a queue.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MessageView {
    /// The body.
    pub body: Bytes,
    /// The properties.
    pub properties: Properties,
    /// The exchange it was published to; empty for the default exchange.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// Whether it was delivered before.
    pub redelivered: bool,
}

impl MessageView {
    fn new(view: &model::MessageView) -> Self {
        Self::of(view.message.clone(), view.redelivered)
    }

    pub(super) fn of(message: model::Message, redelivered: bool) -> Self {
        Self {
            exchange: message.exchange.into(),
            routing_key: message.routing_key.into(),
            properties: unmarked(message.properties),
            body: message.body,
            redelivered,
        }
    }

    /// The header of that name.
    pub fn header(&self, name: &str) -> Option<FieldValue> {
        self.properties.headers.get(name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn body_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// A message that was published, and that the broker took.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PublishedView {
    /// The body.
    pub body: Bytes,
    /// The properties.
    pub properties: Properties,
    /// The exchange; empty for the default exchange.
    pub exchange: ShortStr,
    /// The routing key.
    pub routing_key: ShortStr,
    /// Whether any queue got it.
    pub is_routed: bool,
    /// When: [`Broker::elapsed`](super::Broker::elapsed) at that time.
    pub at: Duration,
}

impl PublishedView {
    pub(super) fn new(view: &model::PublishedView) -> Self {
        let message = view.message.clone();
        Self {
            exchange: message.exchange.into(),
            routing_key: message.routing_key.into(),
            properties: unmarked(message.properties),
            body: message.body,
            is_routed: view.is_routed,
            at: view.at,
        }
    }

    /// The header of that name.
    pub fn header(&self, name: &str) -> Option<FieldValue> {
        self.properties.headers.get(name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn body_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// Without what a client of this crate has put into a mandatory message, to know it when it comes back: no program sees that.
fn unmarked(mut properties: Properties) -> Properties {
    properties.headers.remove("x-puka-delivery-tag");
    properties
}

/// A body and its properties, to publish again, say.
impl From<MessageView> for Message {
    fn from(view: MessageView) -> Self {
        Self::new(view.body).properties(view.properties)
    }
}
