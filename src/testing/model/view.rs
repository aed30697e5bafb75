//! What a test may look at.

use super::Model;
use super::queue::Stored;
use super::request::{MessageView, PublishedView, QueueView};

impl Stored {
    fn view(&self) -> MessageView {
        MessageView {
            message: self.message.clone(),
            redelivered: self.redelivered,
        }
    }
}

impl Model {
    pub(crate) fn queue(&self, vhost: &str, queue: &str) -> Option<QueueView> {
        let it = self.vhosts.get(vhost)?.queues.get(queue)?;
        let unacked = self
            .channels
            .values()
            .flat_map(|channel| channel.unacked.values());
        let unacked = unacked.filter(|unacked| unacked.queue_id == it.id);
        let mut unacked: Vec<_> = unacked.collect();
        unacked.sort_by_key(|unacked| unacked.place);
        Some(QueueView {
            name: queue.to_owned(),
            durable: it.durable,
            exclusive: it.owner.is_some(),
            auto_delete: it.auto_delete,
            arguments: it.arguments.clone(),
            ready: it.ready.values().map(Stored::view).collect(),
            unacknowledged: unacked.into_iter().map(|it| it.stored.view()).collect(),
            consumers: it.consumers.iter().map(|it| it.key.clone()).collect(),
        })
    }

    /// The names of a virtual host's queues, in order.
    pub(crate) fn queue_names(&self, vhost: &str) -> Vec<String> {
        let host = self.vhosts.get(vhost);
        host.into_iter()
            .flat_map(|host| host.queues.keys().cloned())
            .collect()
    }

    /// Everything that was ever published and accepted, in order.
    pub(crate) fn published(&self) -> &[PublishedView] {
        &self.published
    }
}
