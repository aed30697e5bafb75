//! What this crate's own tests look at and turn, and no program should: hosts that differ, networks of every kind,
//! connections that are lost in every way, requests that a broker dies of, and what the network has seen of its clients.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::broker::{Broker, Readiness};
use super::model::{self, Bind, LinkId, Version};
use super::node::HostSettings;
use crate::Client;
pub use crate::client::audit::Audit;
use crate::net::memory::{self, Name, Settings};
use crate::types::error::{Error, Result};
use crate::types::requests::{ExchangeDeclare, QueueDeclare};

/// What a network is like, and which RabbitMQ is behind it. The numbers say how rare something is: once in so many times;
/// 0: never.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct World {
    /// How long bytes are under way.
    pub latency: RangeInclusive<Duration>,
    /// How many bytes a connection takes in each direction that the other end has not read.
    pub capacity: usize,
    /// Bytes that were sent together arrive apart.
    pub pieces: u64,
    /// A read gets less than there is, a write takes less than there is room for.
    pub short: u64,
    /// A write takes nothing for a moment although there is room.
    pub would_block: u64,
    /// A poll tells what is not so, or returns for nothing.
    pub spurious: u64,
    /// As on Windows: what was told is told again only after a call that would have blocked.
    pub rearms: bool,
    /// With the limits of TLS.
    pub seals: bool,
    /// RabbitMQ 3, not 4.
    pub is_old: bool,
}

impl Default for World {
    fn default() -> Self {
        let Settings {
            latency, capacity, ..
        } = Settings::perfect();
        Self {
            latency,
            capacity,
            pieces: 0,
            short: 0,
            would_block: 0,
            spurious: 0,
            rearms: false,
            seals: false,
            is_old: false,
        }
    }
}

/// A broker in such a world.
pub fn broker(seed: u64, world: World) -> Broker {
    let settings = Settings {
        latency: world.latency,
        capacity: world.capacity,
        pieces: world.pieces,
        short: world.short,
        would_block: world.would_block,
        spurious: world.spurious,
        rearms: world.rearms,
        seals: world.seals,
    };
    let node = model::Settings {
        version: if world.is_old {
            Version::V3
        } else {
            Version::V4
        },
        max_message_size: 16 * 1024 * 1024,
    };
    let mut host = HostSettings::default();
    if world.is_old {
        host.version = "3.12.14".into();
    }
    Broker::with(seed, settings, node, host)
}

/// What comes of looking a host up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// Its addresses, after so long.
    Found(Duration),
    /// Nobody knows it, which takes so long to find out.
    Unknown(Duration),
    /// Nobody ever answers.
    Never,
}

/// What comes of connecting to a host's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A connection, after so long.
    Accepts(Duration),
    /// It is refused, after so long.
    Refuses(Duration),
    /// There is no way to it.
    Unreachable,
    /// Nobody answers.
    Never,
}

/// A host of the cluster. They may differ.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Host {
    /// The version that it names; empty: the broker's.
    pub version: String,
    /// The mechanisms of authentication, with blanks between them.
    pub mechanisms: String,
    /// Capabilities that it does not have.
    pub lacks: Vec<String>,
    /// How many channels a connection may have.
    pub channel_max: u16,
    /// How large a frame may be.
    pub frame_max: u32,
    /// The heartbeat that it proposes, in seconds; 0: none.
    pub heartbeat: u16,
    /// How many addresses it has. All but the last refuse connections.
    pub addresses: u8,
    /// What comes of looking it up.
    pub lookup: Lookup,
    /// What comes of connecting to it.
    pub answer: Answer,
}

impl Default for Host {
    fn default() -> Self {
        let settings = HostSettings::default();
        Self {
            version: String::new(),
            mechanisms: settings.mechanisms,
            lacks: Vec::new(),
            channel_max: settings.channel_max,
            frame_max: settings.frame_max,
            heartbeat: settings.heartbeat,
            addresses: 1,
            lookup: Lookup::Found(Duration::ZERO),
            answer: Answer::Accepts(Duration::ZERO),
        }
    }
}

/// An address of a host: each name has its own.
fn address(name: &str, number: u8) -> IpAddr {
    let sum = |sum: u16, byte: u8| sum.wrapping_mul(31).wrapping_add(byte.into());
    let [high, low] = name.bytes().fold(7, sum).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(172, high, low, number))
}

/// What that host is like from now on.
pub fn set_host(broker: &Broker, name: &str, host: &Host) {
    let addresses: Vec<IpAddr> = (0..host.addresses.max(1))
        .map(|number| address(name, number))
        .collect();
    {
        let mut state = broker.cluster.lock();
        let mut settings = state.host.clone();
        if !host.version.is_empty() {
            settings.version.clone_from(&host.version);
        }
        settings.mechanisms.clone_from(&host.mechanisms);
        settings
            .capabilities
            .retain(|name| !host.lacks.contains(name));
        settings.channel_max = host.channel_max;
        settings.frame_max = host.frame_max;
        settings.heartbeat = host.heartbeat;
        for address in &addresses {
            state.hosts.insert(*address, settings.clone());
        }
    }
    let answer = match host.answer {
        Answer::Accepts(time) => memory::Answer::Accepts(time),
        Answer::Refuses(time) => memory::Answer::Refuses(time),
        Answer::Unreachable => memory::Answer::Unreachable,
        Answer::Never => memory::Answer::Silent,
    };
    for (index, address) in addresses.iter().enumerate() {
        let is_last = index + 1 == addresses.len();
        let refuses = memory::Answer::Refuses(Duration::ZERO);
        broker
            .network
            .set_answer(*address, if is_last { answer } else { refuses });
    }
    let found = match host.lookup {
        Lookup::Found(time) => Name::Has(addresses, time),
        Lookup::Unknown(time) => Name::Unknown(time),
        Lookup::Never => Name::Silent,
    };
    broker.network.set_name(name, found);
}

/// The way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// What the client sends.
    ToBroker,
    /// What the broker sends.
    ToClient,
    /// Whichever.
    Either,
}

/// The connections that there are, the oldest first, and the `connection_name` of each client that has logged in.
pub fn links(broker: &Broker) -> Vec<(u64, Option<String>)> {
    let names = broker.settled().node.names();
    let name_of = |peer: u64| {
        let mut names = names.iter();
        names
            .find(|(link, _)| link.0 == peer)
            .map(|(_, name)| name.clone())
    };
    let links = broker.network.links().into_iter();
    links
        .map(|(link, peer)| (link, peer.and_then(name_of)))
        .collect()
}

/// Resets one connection, at both ends.
pub fn cut(broker: &Broker, link: u64) {
    broker.network.cut(link);
    broker.settle();
}

/// Resets one connection at the client's end; the broker sees that when so long has passed.
pub fn cut_unnoticed(broker: &Broker, link: u64, after: Duration) {
    broker.network.cut_unnoticed(link, after);
    broker.settle();
}

/// So many bytes more pass, and then the connection is reset.
pub fn cut_after(broker: &Broker, link: u64, direction: Direction, bytes: usize) {
    let direction = match direction {
        Direction::ToBroker => memory::Direction::ToPeer,
        Direction::ToClient => memory::Direction::ToClient,
        Direction::Either => memory::Direction::Either,
    };
    broker.network.cut_after(link, direction, bytes);
}

/// Nothing goes either way any more, and nobody is told.
pub fn silence(broker: &Broker, link: u64) {
    broker.network.silence(link);
}

/// So many bytes a second pass in each direction; `None`: as many as come.
pub fn slow(broker: &Broker, link: u64, rate: Option<u64>) {
    broker.network.slow(link, rate);
}

/// The broker closes one connection.
pub fn close(broker: &Broker, link: u64, code: u16, text: &str) {
    let links = broker.network.links().into_iter();
    let peer = links
        .filter(|(number, _)| *number == link)
        .find_map(|(_, peer)| peer);
    if let Some(peer) = peer {
        let now = broker.now();
        let mut state = broker.cluster.lock();
        state.node.close_link(now, LinkId(peer), code, text);
    }
    broker.settle();
}

/// How a request ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Death {
    /// By `connection.close` with that code, which names the request's method.
    Naming(u16),
    /// By one that names none.
    NamingNothing(u16),
    /// The socket is closed.
    Wordless,
}

/// Whoever declares a queue or an exchange of that name, consumes from it, or publishes with it as the correlation id, loses
/// his connection from now on.
pub fn poison(broker: &Broker, name: &str, death: Death) {
    let death = match death {
        Death::Naming(code) => super::node::Death::Naming(code),
        Death::NamingNothing(code) => super::node::Death::NamingNothing(code),
        Death::Wordless => super::node::Death::Wordless,
    };
    broker.cluster.lock().node.troubles().poison(name, death);
}

/// The queue's node is down: nobody can declare it or consume from it, and is told this text.
pub fn take_down(broker: &Broker, queue: &str, text: &str) {
    broker.cluster.lock().node.troubles().take_down(queue, text);
}

/// The queue's node is there again; whether it was down.
pub fn bring_up(broker: &Broker, queue: &str) -> bool {
    broker.cluster.lock().node.troubles().bring_up(queue)
}

/// A client that the broker has thrown out, for it had heard nothing from it for two heartbeats.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Missed {
    /// The client's `connection_name`.
    pub name: String,
    /// How long ago.
    pub ago: Duration,
    /// The heartbeat that was agreed on.
    pub interval: Duration,
}

/// Those who were thrown out since it was last asked.
pub fn take_missed(broker: &Broker) -> Vec<Missed> {
    let now = broker.now();
    let missed = broker.cluster.lock().node.troubles().take_missed();
    let missed = missed.into_iter().map(|missed| Missed {
        name: missed.name,
        ago: now.saturating_duration_since(missed.at),
        interval: missed.interval,
    });
    missed.collect()
}

/// What the network has seen of clients since it was last asked: sleeps over something that was to be done.
pub fn take_faults(broker: &Broker) -> Vec<String> {
    broker.network.take_faults()
}

/// What a client holds.
pub fn audit(client: &Client) -> Audit {
    client.audit()
}

/// Whether this says that a wait would never have ended.
pub fn is_endless(error: &Error) -> bool {
    matches!(error, Error::WaitsForever(_))
}

/// [`Broker::poll`], for a loop that tells each change once.
///
/// # Errors
/// Those of [`Broker::poll`].
pub fn poll_edges(client: &mut Client, timeout: Option<Duration>) -> Result<Readiness> {
    let (readable, writable) = client.poll_in_memory(true, timeout)?;
    Ok(Readiness { readable, writable })
}

/// The messages that were published and taken from that one on: the number that each one's `message_id` is, and whether a
/// queue got it.
pub fn published_since(broker: &Broker, first: usize) -> Vec<(Option<u64>, bool)> {
    let state = broker.cluster.lock();
    let published = state.node.published().get(first..).unwrap_or_default();
    let published = published.iter().map(|view| {
        let id = view.message.properties.message_id();
        (id.and_then(|id| id.parse().ok()), view.is_routed)
    });
    published.collect()
}

/// Declares a queue, as another program would; whether that was possible.
pub fn declare_queue(broker: &Broker, declare: QueueDeclare) -> bool {
    let request = model::QueueDeclare {
        queue: &declare.queue,
        passive: declare.passive,
        durable: declare.durable,
        exclusive: declare.exclusive,
        auto_delete: declare.auto_delete,
        arguments: declare.arguments.clone(),
    };
    broker.settled().node.declare_queue("/", request).is_ok()
}

/// Declares an exchange, as another program would; whether that was possible.
pub fn declare_exchange(broker: &Broker, declare: ExchangeDeclare) -> bool {
    let request = model::ExchangeDeclare {
        exchange: &declare.exchange,
        kind: &declare.kind,
        passive: declare.passive,
        durable: declare.durable,
        auto_delete: declare.auto_delete,
        internal: declare.internal,
        arguments: declare.arguments.clone(),
    };
    broker.settled().node.declare_exchange("/", request).is_ok()
}

/// Binds a queue to an exchange, as another program would; whether that was possible.
pub fn bind(broker: &Broker, queue: &str, exchange: &str, routing_key: &str) -> bool {
    let bind = Bind {
        source: exchange,
        destination: queue,
        routing_key,
        ..Bind::default()
    };
    broker.settled().node.bind("/", bind).is_ok()
}

/// Deletes a queue, as another program would; whether that was possible.
pub fn delete_queue(broker: &Broker, queue: &str) -> bool {
    broker.settled().node.delete_queue("/", queue).is_ok()
}

/// Deletes an exchange, as another program would; whether that was possible.
pub fn delete_exchange(broker: &Broker, exchange: &str) -> bool {
    broker.settled().node.delete_exchange("/", exchange).is_ok()
}
