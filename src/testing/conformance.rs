//! What the tests need that run on RabbitMQ and on this one: nodes with settings, and proxies before them. No program
//! should.

use std::net::IpAddr;
use std::time::Duration;

use super::broker::{Broker, chancy};
use super::model::{Settings, Version};
use super::node::HostSettings;
use crate::Client;
use crate::net::memory::{Answer, Name, Settings as NetworkSettings};

/// What a node is set to.
#[derive(Debug, Clone)]
pub struct Setup {
    /// 0: a perfect network; another one is the seed of its chance.
    pub seed: u64,
    /// RabbitMQ 3, not 4.
    pub is_old: bool,
    /// The largest body, if it is not what that RabbitMQ takes unless it is told otherwise.
    pub max_message_size: Option<u64>,
    /// How many channels a connection may have.
    pub channel_max: u16,
    /// The mechanisms of authentication, with blanks between them.
    pub mechanisms: String,
}

impl Default for Setup {
    fn default() -> Self {
        let host = HostSettings::default();
        Self {
            seed: 0,
            is_old: false,
            max_message_size: None,
            channel_max: host.channel_max,
            mechanisms: host.mechanisms,
        }
    }
}

/// A broker so set.
pub fn broker(setup: Setup) -> Broker {
    let network = match setup.seed {
        0 => NetworkSettings::perfect(),
        _ => chancy(),
    };
    let (version, name, mebibytes) = match setup.is_old {
        true => (Version::V3, "3.10.8", 128),
        false => (Version::V4, "4.0.5", 16),
    };
    let node = Settings {
        version,
        max_message_size: setup.max_message_size.unwrap_or(mebibytes << 20),
    };
    let host = HostSettings {
        version: name.into(),
        mechanisms: setup.mechanisms,
        channel_max: setup.channel_max,
        ..HostSettings::default()
    };
    Broker::with(setup.seed, network, node, host)
}

/// Nobody listens at that address.
pub fn refuse(broker: &Broker, address: IpAddr) {
    let refuses = Answer::Refuses(Duration::ZERO);
    broker.network.set_answer(address, refuses);
}

/// Nobody knows that name.
pub fn forget(broker: &Broker, name: &str) {
    let unknown = Name::Unknown(Duration::ZERO);
    broker.network.set_name(name, unknown);
}

/// That name has this address alone.
pub fn set_address(broker: &Broker, name: &str, address: IpAddr) {
    let is = Name::Has(vec![address], Duration::ZERO);
    broker.network.set_name(name, is);
}

/// Resets the connection of one client.
pub fn cut(broker: &Broker, client: &Client) {
    if let Some(link) = client.memory_link() {
        broker.network.cut(link);
    }
}

/// Resets the connections to an address.
pub fn cut_all(broker: &Broker, address: IpAddr) {
    for link in broker.network.links_to(address) {
        broker.network.cut(link);
    }
    broker.settle();
}

/// The clients that are connected to that address lose their connections, and the broker hears of that so long after.
pub fn split(broker: &Broker, address: IpAddr, time: Duration) {
    for link in broker.network.links_to(address) {
        broker.network.cut_unnoticed(link, time);
    }
    broker.settle();
}

/// The clients that are connected to that address hear nothing any more; the broker hears them.
pub fn deafen(broker: &Broker, address: IpAddr) {
    for link in broker.network.links_to(address) {
        broker.network.deafen(link);
    }
}
