//! Connections and channels: what is theirs, and what is out to them.

use std::collections::BTreeMap;

use super::queue::{Place, Stored};

/// A connection that may use a virtual host.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) user: String,
    pub(super) vhost: String,
}

/// Its virtual host and its name.
pub(super) type QueueKey = (String, String);

#[derive(Debug, Default)]
pub(super) struct Channel {
    /// For the consumers to come. 0: no limit.
    pub(super) prefetch: u16,
    /// For all its consumers together.
    pub(super) shared_prefetch: u16,
    pub(super) last_tag: u64,
    pub(super) unacked: BTreeMap<u64, Unacked>,
    /// How many of those went to consumers.
    pub(super) consumers_unacked: usize,
    /// Their queues, by tag.
    pub(super) consumers: BTreeMap<String, String>,
    pub(super) last_queue: Option<String>,
    pub(super) replies: Option<ReplyConsumer>,
}

/// The consumer of `amq.rabbitmq.reply-to`.
#[derive(Debug)]
pub(super) struct ReplyConsumer {
    pub(super) tag: String,
    /// Where the replies are sent.
    pub(super) queue: String,
}

/// A delivery that is out.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) queue: String,
    /// The queue may have gone, and there may be another of its name.
    pub(super) queue_id: u64,
    pub(super) place: Place,
    pub(super) stored: Stored,
    /// None: `basic.get`.
    pub(super) consumer: Option<String>,
}
