//! What a real broker, and a real network, do once a year: here, on demand.

use std::time::Duration;

use super::broker::Broker;
use super::model::Refusal;
use crate::net::memory::Direction;

impl Broker {
    /// Resets all connections, as a network does that fails.
    pub fn cut(&self) {
        for (link, _) in self.network.links() {
            self.network.cut(link);
        }
        self.settle();
    }

    /// Resets each connection that there is when its client has sent so many more bytes: those arrive.
    pub fn cut_after(&self, bytes: usize) {
        self.cut_way(Direction::ToPeer, bytes);
    }

    /// Resets each connection that there is when the broker has sent so many more bytes over it: those arrive. So a message
    /// is taken, and its confirm is lost.
    pub fn cut_after_answering(&self, bytes: usize) {
        self.cut_way(Direction::ToClient, bytes);
    }

    fn cut_way(&self, way: Direction, bytes: usize) {
        for (link, _) in self.network.links() {
            self.network.cut_after(link, way, bytes);
        }
        self.settle();
    }

    /// The broker's host vanishes, for the connections that there are: nothing is said, and nothing is heard.
    pub fn silence(&self) {
        for (link, _) in self.network.links() {
            self.network.silence(link);
        }
        self.settle();
    }

    /// Nobody answers new connections: they are refused.
    pub fn refuse_connections(&self) {
        self.network.refuse_connections(true);
    }

    /// New connections are accepted again.
    pub fn accept_connections(&self) {
        self.network.refuse_connections(false);
    }

    /// So many bytes a second pass in each direction over each connection that there is; `u64::MAX`: as many as come.
    pub fn slow(&self, bytes_per_second: u64) {
        for (link, _) in self.network.links() {
            self.network.slow(link, Some(bytes_per_second));
        }
    }

    /// Bytes are under way for that long, in each direction, over each connection that there is.
    pub fn delay(&self, latency: Duration) {
        for (link, _) in self.network.links() {
            self.network.delay(link, latency);
        }
    }

    /// An [alarm](https://www.rabbitmq.com/docs/alarms): the broker takes no messages, says so to whoever publishes, for
    /// this reason, and does not read from him any more.
    pub fn block(&self, reason: &str) {
        self.cluster.lock().node.block(reason);
        self.settle();
    }

    /// The alarm is over.
    pub fn unblock(&self) {
        self.cluster.lock().node.unblock();
        self.settle();
    }

    /// The broker refuses the next `n` messages (`basic.nack`) that are published with confirms.
    pub fn nack_next(&self, n: u32) {
        self.cluster.lock().node.nack_next(n);
    }

    /// The broker cancels all consumers of a queue, as it does when the queue's node goes down.
    pub fn cancel_consumer(&self, queue: &str) {
        let mut state = self.cluster.lock();
        state.node.cancel_consumers(&self.vhost, queue);
        drop(state);
        self.settle();
    }

    /// The broker closes all connections with this reply code: 320 is what an operator's command says, and a shutdown.
    pub fn close_connections(&self, code: u16) {
        let text = format!("{} - closed by the test", Refusal::name_of(code));
        let now = self.now();
        self.cluster.lock().node.close_connections(now, code, &text);
        self.settle();
    }

    /// The broker dies, and is there again: with its durable exchanges and queues, and the persistent messages in those.
    /// Connections are lost without a word.
    pub fn restart(&self) {
        let now = self.now();
        self.cluster.lock().node.restart(now);
        self.settle();
    }

    /// The broker dies, as in [`restart`](Self::restart), and stays away: connections are refused.
    pub fn stop(&self) {
        self.refuse_connections();
        self.restart();
    }

    /// The broker is there again after a [`stop`](Self::stop).
    pub fn start(&self) {
        self.accept_connections();
    }

    /// The broker's process is stopped: its connections stay, and nobody answers; nor does he who accepts new ones.
    pub fn pause(&self) {
        self.settle();
        self.cluster.lock().is_paused = true;
    }

    /// It goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.cluster.lock().is_paused = false;
        self.settle();
    }
}
