//! The broker: its clients, its time, and what it is asked.

use std::fmt;
use std::fmt::Write;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::cluster::{Cluster, State};
use super::model::{Settings, Version};
use super::node::{HostSettings, Node};
use super::view::{PublishedView, QueueView};
use crate::Client;
use crate::net::World;
use crate::net::memory::{Network, Settings as NetworkSettings};
use crate::types::client_options::ClientOptions;
use crate::types::error::{Error, Result};

/// A RabbitMQ in memory, and a virtual host of it. The [module](super) tells what it is for.
///
/// It is a handle: its clones are the same broker. What it is told of connections, hosts and time is for the whole broker;
/// queues, exchanges and messages are those of its virtual host, "/" or another [one](Self::vhost).
#[derive(Clone)]
pub struct Broker {
    pub(super) network: Network,
    pub(super) cluster: Cluster,
    pub(super) vhost: Arc<str>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("vhost", &self.vhost)
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

/// What a connection is ready for: see [`Broker::poll`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// There is something to read: call [`Client::on_read`].
    pub readable: bool,
    /// There is room to write: call [`Client::on_write`].
    pub writable: bool,
}

impl Broker {
    /// A broker at the other end of a perfect network: nothing takes time, and everything arrives whole.
    ///
    /// It does what RabbitMQ 4 does; it has the virtual host "/" and the user "guest", whose password is "guest".
    pub fn new() -> Self {
        Self::of(0, NetworkSettings::perfect())
    }

    /// A broker at the other end of a network of chance: bytes take their time and arrive in pieces, confirms come
    /// late and together. The same seed is the same chance, so a test that fails fails again.
    pub fn with_seed(seed: u64) -> Self {
        Self::of(seed, chancy())
    }

    pub(super) fn of(seed: u64, settings: NetworkSettings) -> Self {
        let node = Settings {
            version: Version::V4,
            max_message_size: 16 * 1024 * 1024,
        };
        Self::with(seed, settings, node, HostSettings::default())
    }

    pub(super) fn with(
        seed: u64,
        network: NetworkSettings,
        node: Settings,
        host: HostSettings,
    ) -> Self {
        let cluster = Cluster::new(Node::new(seed, node), host);
        Self {
            network: Network::new(seed, network, Box::new(cluster.clone())),
            cluster,
            vhost: "/".into(),
        }
    }

    /// A virtual host of this broker, which is made if it is not there; "guest" may do everything in it.
    #[must_use]
    pub fn vhost(&self, name: &str) -> Self {
        self.cluster.lock().node.add_vhost(name);
        let vhost = Self {
            vhost: name.into(),
            ..self.clone()
        };
        // Everything matches, so that nothing can be wrong with it.
        let given = vhost.set_permissions("guest", ".*", ".*", ".*");
        debug_assert!(given.is_ok());
        vhost
    }

    /// A client of this virtual host, which logs in as guest; it does not connect yet. There may be as many as you like.
    ///
    /// It is a [`Client`] like any other, but for its world: it has no [socket](Client::as_fd), and its clock is the
    /// [broker's](Self::now).
    ///
    /// # Panics
    /// If the options make no sense, as [`Client::with_options`] says.
    pub fn client(&self, options: ClientOptions) -> Client {
        let url = format!("amqp://localhost/{}", Encoded(&self.vhost));
        match self.client_with_url(&url, options) {
            Ok(client) => client,
            Err(error) => panic!("no client can be made with these options: {error}"),
        }
    }

    /// A client of this broker, for programs that take a URL: user, password and virtual host are the URL's. Whatever host
    /// it names is this broker.
    ///
    /// # Errors
    /// Those of [`Client::with_options`]; and [`Error::InvalidUrl`] for `amqps://`, since there is no TLS here.
    pub fn client_with_url(&self, url: &str, options: ClientOptions) -> Result<Client> {
        if url.trim_start().to_ascii_lowercase().starts_with("amqps:") {
            return Err(Error::InvalidUrl(
                "puka::testing has no TLS: use an amqp:// URL in this test".into(),
            ));
        }
        Client::in_world(url, options, World::Memory(self.network.clone()))
    }

    // Time.

    /// What time it is here. The clock stands still while the program works; it moves when a client waits, to whatever
    /// happens next, and when the test [says so](Self::advance).
    pub fn now(&self) -> Instant {
        self.network.now()
    }

    /// How much time has passed here since the broker was made.
    pub fn elapsed(&self) -> Duration {
        self.network.elapsed()
    }

    /// The program works for that long, and calls no client. Meanwhile messages expire, bytes arrive, and
    /// [background heartbeats](ClientOptions::background_heartbeats) are sent.
    pub fn advance(&self, time: Duration) {
        self.network.advance(time);
    }

    /// Has this happen in so long, while a client waits or time is [advanced](Self::advance).
    ///
    /// ```
    /// # use puka::testing::Broker;
    /// # fn main() -> puka::Result<()> {
    /// # let broker = Broker::new();
    /// # let mut client = broker.client(Default::default());
    /// # client.connect().wait(&mut client)?;
    /// # client.queue_declare("orders").wait(&mut client)?;
    /// let consumer = client.basic_consume("orders");
    /// broker.after(std::time::Duration::from_secs(60), |broker| {
    ///     broker.publish("", "orders", "one").expect("there is such a queue");
    /// });
    /// assert_eq!(client.wait(consumer)?.body, "one"); // in no time
    /// # Ok(())
    /// # }
    /// ```
    pub fn after(&self, time: Duration, what: impl FnOnce(&Self) + Send + 'static) {
        let broker = self.clone();
        self.network.schedule(time, move || what(&broker));
    }

    /// The poll of a program that has an event loop of its own, for a client of this broker: it sleeps until the client has
    /// something to [read](Client::needs_read), or room for what it has to [write](Client::needs_write), but not for longer
    /// than `timeout` (`None`: there is no limit).
    ///
    /// ```
    /// # fn turn(broker: &puka::testing::Broker, client: &mut puka::Client) -> puka::Result<()> {
    /// client.run_any_callbacks();
    /// let timeout = client.next_timeout();
    /// let ready = broker.poll(client, timeout)?;
    /// if ready.readable { client.on_read(); }
    /// if ready.writable { client.on_write(); }
    /// client.on_timeout();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::WaitsForever`] if nothing can end this sleep.
    pub fn poll(&self, client: &mut Client, timeout: Option<Duration>) -> Result<Readiness> {
        let (readable, writable) = client.poll_in_memory(false, timeout)?;
        Ok(Readiness { readable, writable })
    }

    // Questions.

    /// A queue of this virtual host, as it is now.
    pub fn queue(&self, name: &str) -> QueueView {
        let state = self.settled();
        let found = state.node.queue(&self.vhost, name);
        QueueView::new(
            &self.vhost,
            name,
            found,
            state.node.queue_names(&self.vhost),
        )
    }

    /// All that was published in this virtual host, and taken by the broker, in order: what clients have published, and the
    /// test; not what was dead-lettered.
    pub fn published(&self) -> Vec<PublishedView> {
        let state = self.settled();
        let all = state.node.published().iter();
        all.filter(|view| view.vhost == *self.vhost)
            .map(PublishedView::new)
            .collect()
    }

    /// How many connections are open, by the broker's count.
    pub fn connections(&self) -> usize {
        self.settled().node.open_links().len()
    }

    /// Lets all happen that happens at this moment.
    pub(super) fn settle(&self) {
        self.network.advance(Duration::ZERO);
    }

    /// The node, when that has happened.
    pub(super) fn settled(&self) -> MutexGuard<'_, State> {
        self.settle();
        self.cluster.lock()
    }
}

/// Once in a while of everything that a real network does.
pub(super) fn chancy() -> NetworkSettings {
    NetworkSettings {
        latency: Duration::from_micros(50)..=Duration::from_millis(2),
        pieces: 4,
        short: 8,
        would_block: 16,
        spurious: 16,
        ..NetworkSettings::perfect()
    }
}

/// As a part of a URL.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                    f.write_char(char::from(byte))?;
                }
                _ => write!(f, "%{byte:02x}")?,
            }
        }
        Ok(())
    }
}
