//! The world of a life: the broker, its hosts, the network between; and what the judge asks of them.

use std::time::Duration;

use puka::testing::Broker;
use puka::testing::inside::{self, Audit, Host, World};
use puka::{Client, ClientOptions, Error, Message, Properties};

use super::chance::Chance;
use super::judge::{NOTHING_LEFT, holds};
use super::names::{FIXED_BINDINGS, fixed_exchanges, fixed_queues};
use super::sim::Sim;

/// The hosts of the cluster; who knows of one only knows the first.
const HOSTS: &[&str] = &["one", "two", "three"];

/// Whether the network has the limits of TLS at times.
const SEALS: bool = false;

/// A network of chance, or one that does all at once.
fn network(chance: &mut Chance) -> World {
    let mut world = World::default();
    world.is_old = chance.percent(30);
    if chance.percent(20) {
        return world;
    }
    let most = chance.pick(&[0, 100, 2000, 40_000]);
    let rare = |chance: &mut Chance| chance.pick(&[0, 2, 5, 20]);
    world.latency = Duration::ZERO..=Duration::from_micros(most);
    let capacities = [100, 500, 4000, 20_000, 256 * 1024, 256 * 1024];
    // Few bytes that take long would take for ever.
    let least = if most > 2000 { 3 } else { 0 };
    world.capacity = chance.pick(&capacities[least..]);
    world.pieces = rare(chance);
    world.short = rare(chance);
    world.would_block = rare(chance);
    world.spurious = rare(chance);
    world.rearms = chance.percent(25);
    world.seals = chance.percent(20) && SEALS;
    world
}

/// A broker, and what its world is like.
pub(crate) fn broker(chance: &mut Chance) -> (Broker, World) {
    let world = network(chance);
    let broker = inside::broker(chance.next(), world.clone());
    for host in HOSTS {
        let host = (*host, some_host(chance));
        inside::set_host(&broker, host.0, &host.1);
    }
    for exchange in fixed_exchanges() {
        inside::declare_exchange(&broker, exchange);
    }
    for queue in fixed_queues() {
        inside::declare_queue(&broker, queue);
    }
    for (queue, exchange) in FIXED_BINDINGS {
        inside::bind(&broker, queue, exchange, "");
    }
    (broker, world)
}

/// A host, which may differ from the others.
fn some_host(chance: &mut Chance) -> Host {
    let mut host = Host::default();
    if chance.percent(50) {
        host.frame_max = chance.pick(&[8192, 10_000, 131_072]);
    }
    if chance.percent(25) {
        host.channel_max = 3 + chance.below(12) as u16;
    }
    host.heartbeat = chance.pick(&[0, 1, 10, 60]);
    if chance.percent(10) {
        host.mechanisms = "AMQPLAIN".into();
    }
    if chance.percent(15) {
        host.lacks = vec!["basic.nack".into()];
    }
    if chance.percent(10) {
        host.lacks.push("consumer_cancel_notify".into());
    }
    host
}

/// Hosts go, come, answer late, say something else.
pub(crate) fn change_hosts(sim: &Sim) {
    let (name, host) = sim.chance(|chance| {
        let mut host = some_host(chance);
        let time = Duration::from_millis(chance.below(4000) as u64);
        match chance.below(8) {
            0 => host.lookup = inside::Lookup::Unknown(time),
            1 => host.lookup = inside::Lookup::Never,
            2 => host.lookup = inside::Lookup::Found(time),
            3 => host.answer = inside::Answer::Refuses(time),
            4 => host.answer = inside::Answer::Never,
            5 => host.answer = inside::Answer::Accepts(time),
            6 => host.addresses = 1 + chance.below(3) as u8,
            _ => {}
        }
        (chance.pick(HOSTS), host)
    });
    sim.tell(|| format!("the host {name:?} is now: {host:?}"));
    sim.trouble_all();
    inside::set_host(&sim.broker, name, &host);
}

pub(crate) fn heal_hosts(sim: &Sim) {
    for name in HOSTS {
        inside::set_host(&sim.broker, name, &Host::default());
    }
}

pub(crate) fn client(sim: &Sim, options: ClientOptions, several: bool) -> Client {
    let host = if several {
        sim.chance(|chance| chance.pick(HOSTS))
    } else {
        HOSTS[0]
    };
    let url = format!("amqp://{host}/");
    let client = sim.broker.client_with_url(&url, options);
    client.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// How long the world has been there.
pub(crate) fn age(broker: &Broker) -> Duration {
    broker.elapsed()
}

/// Something happens a while later, while somebody waits or works.
pub(crate) fn after(broker: &Broker, time: Duration, what: impl FnOnce() + Send + 'static) {
    broker.after(time, move |_| what());
}

/// The readiness of a client's socket for a loop of the program's own: whether to read, whether to write.
pub(crate) fn poll(
    broker: &Broker,
    client: &mut Client,
    tells_edges: bool,
    timeout: Duration,
) -> (bool, bool) {
    let readiness = if tells_edges {
        inside::poll_edges(client, Some(timeout))
    } else {
        broker.poll(client, Some(timeout))
    };
    let readiness = readiness.unwrap_or_else(|error| panic!("a poll with a limit: {error}"));
    (readiness.readable, readiness.writable)
}

/// What the watchdogs of the network have seen.
pub(crate) fn faults(broker: &Broker) -> Vec<String> {
    inside::take_faults(broker)
}

pub(crate) fn missed(broker: &Broker) -> Vec<inside::Missed> {
    inside::take_missed(broker)
}

pub(crate) fn audit(client: &Client) -> Audit {
    inside::audit(client)
}

/// Whether an error says that a wait would never end.
pub(crate) fn is_endless(error: &Error) -> bool {
    inside::is_endless(error)
}

/// What of a message the broker has taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) count: usize,
    /// How often it went to a queue.
    pub(crate) routed: usize,
}

pub(crate) fn taken(sim: &Sim, id: u64) -> Taken {
    let mut state = sim.state();
    let state = &mut *state;
    for (message, is_routed) in inside::published_since(&sim.broker, state.published) {
        state.published += 1;
        if let Some(message) = message {
            let taken: &mut Taken = state.taken.entry(message).or_default();
            taken.count += 1;
            taken.routed += usize::from(is_routed);
        }
    }
    state.taken.get(&id).copied().unwrap_or_default()
}

/// Whether a broker's error is an answer to a login.
pub(crate) fn is_login(code: u16) -> bool {
    code == 530
}

/// Whether a host has so few channels that they may run out.
pub(crate) fn has_few_channels(_: &Broker) -> bool {
    true
}

/// A message's properties as a consumer gets them.
pub(crate) fn as_delivered(message: &Message) -> Properties {
    message.properties.clone()
}

pub(crate) fn was_restarted(sim: &Sim) -> bool {
    sim.state().was_restarted
}

/// The numbers of the messages in a queue.
pub(crate) fn messages(broker: &Broker, queue: &str) -> Vec<u64> {
    let view = broker.queue(queue);
    let ready = view.messages();
    let out = view.unacknowledged();
    let ids = ready
        .iter()
        .chain(&out)
        .map(|message| message.properties.message_id());
    ids.filter_map(|id| id.and_then(|id| id.parse().ok()))
        .collect()
}

/// All clients are closed: the broker has no connection of any.
pub(crate) fn nobody_is_connected(sim: &Sim) {
    let links = inside::links(&sim.broker);
    holds(links.is_empty(), NOTHING_LEFT, || {
        format!("connections are open: {links:?}")
    });
}

/// What was to happen later holds the whole world: it happens now.
pub(crate) fn forget(sim: &Sim) {
    sim.state().is_healed = true;
    sim.broker.advance(Duration::from_secs(24 * 3600));
}
