//! The driver in a world in memory, where what takes a network's whims is quickly told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::net::World;
use crate::net::memory::{Answer, Name, Network, Peer, Settings};
use crate::{Client, ClientOptions, Error};

/// A peer that says nothing.
struct Mute;

impl Peer for Mute {
    fn accept(&mut self, _: Instant, _: SocketAddr) -> u64 {
        1
    }

    fn receive(&mut self, _: Instant, _: u64, _: &[u8]) {}

    fn take_output(&mut self, _: u64, _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn has_output(&self, _: u64) -> bool {
        false
    }

    fn is_done(&self, _: u64) -> bool {
        false
    }

    fn wants_read(&self, _: u64) -> bool {
        true
    }

    fn disconnected(&mut self, _: Instant, _: u64) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn next_event(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}
}

fn client(network: &Network, options: ClientOptions) -> Client {
    let world = World::Memory(network.clone());
    Client::in_world("amqp://first/", options, world).unwrap()
}

fn network() -> Network {
    Network::new(1, Settings::perfect(), Box::new(Mute))
}

#[test]
fn any_number_of_hosts_may_fail_at_once() {
    let network = network();
    let nowhere = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));
    network.set_answer(nowhere, Answer::Unreachable);
    let hosts: Vec<String> = (0..5_000).map(|number| format!("host{number}")).collect();
    for host in &hosts {
        network.set_name(host, Name::Has(vec![nowhere], Duration::ZERO));
    }
    network.set_name("first", Name::Has(vec![nowhere], Duration::ZERO));
    let mut client = client(&network, ClientOptions::new().hosts(hosts));
    let error = client.connect().wait(&mut client).unwrap_err();
    assert!(error.to_string().contains("host4999"), "{error}");
    assert_eq!(network.elapsed(), Duration::ZERO);
}

#[test]
fn a_host_that_says_nothing_is_given_up_when_the_time_is_up() {
    let network = network();
    let options = ClientOptions::new().connect_timeout(Duration::from_secs(7));
    let mut client = client(&network, options);
    let error = client.connect().wait(&mut client).unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
    assert_eq!(network.elapsed(), Duration::from_secs(7));
    assert_eq!(network.take_faults(), [""; 0]);
}

#[test]
fn a_name_that_nobody_answers_for_does_not_outlast_the_limit() {
    let network = network();
    network.set_name("first", Name::Silent);
    let options = ClientOptions::new().connect_timeout(Duration::from_secs(7));
    let mut client = client(&network, options);
    let error = client.connect().wait(&mut client).unwrap_err();
    assert!(matches!(error, Error::ConnectionBroken(_)), "{error}");
    assert_eq!(network.elapsed(), Duration::from_secs(7));
}
