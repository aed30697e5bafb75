//! The network in memory, and the reactor over it, against a peer that sends everything back.

mod faults;
mod reactor;
mod time;

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::net::World;
use crate::net::reactor::{Inlet, Reactor};
use crate::net::transport::SocketOptions;
use crate::types::error::Disconnect;

const SECOND: Duration = Duration::from_secs(1);

/// What the peer has to say, and has heard.
#[derive(Debug, Default)]
struct Said {
    out: BTreeMap<u64, VecDeque<u8>>,
    heard: BTreeMap<u64, Vec<u8>>,
    accepted: Vec<SocketAddr>,
    gone: Vec<u64>,
    /// It closes when it has sent all.
    is_done: bool,
    is_deaf: bool,
}

/// A peer that echoes.
#[derive(Debug, Clone, Default)]
struct Echo(Arc<Mutex<Said>>);

impl Echo {
    fn said<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

impl Peer for Echo {
    fn accept(&mut self, _: Instant, address: SocketAddr) -> u64 {
        self.said(|said| {
            said.accepted.push(address);
            said.accepted.len() as u64
        })
    }

    fn receive(&mut self, _: Instant, link: u64, bytes: &[u8]) {
        self.said(|said| {
            said.heard.entry(link).or_default().extend(bytes);
            said.out.entry(link).or_default().extend(bytes);
        });
    }

    fn take_output(&mut self, link: u64, max: usize) -> Vec<u8> {
        self.said(|said| {
            let out = said.out.entry(link).or_default();
            out.drain(..max.min(out.len())).collect()
        })
    }

    fn has_output(&self, link: u64) -> bool {
        self.said(|said| said.out.get(&link).is_some_and(|out| !out.is_empty()))
    }

    fn is_done(&self, _: u64) -> bool {
        self.said(|said| said.is_done)
    }

    fn wants_read(&self, _: u64) -> bool {
        self.said(|said| !said.is_deaf)
    }

    fn disconnected(&mut self, _: Instant, link: u64) {
        self.said(|said| said.gone.push(link));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn next_event(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}
}

/// What a client reads.
#[derive(Debug)]
struct Received {
    bytes: Vec<u8>,
    space: Vec<u8>,
}

impl Default for Received {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            space: vec![0; 1000],
        }
    }
}

impl Inlet for Received {
    fn space(&mut self) -> [&mut [u8]; 2] {
        let (one, two) = self.space.split_at_mut(300);
        [one, two]
    }

    fn filled(&mut self, count: usize, _: Instant) -> bool {
        self.bytes.extend_from_slice(&self.space[..count]);
        true
    }
}

/// A client's reactor, in a network with an echo.
struct Bed {
    network: Network,
    echo: Echo,
    reactor: Reactor,
    received: Received,
    /// What is to be written.
    out: Vec<u8>,
}

/// An address of the network.
fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 8, number], 5672))
}

fn ip(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 9, 8, number))
}

impl Bed {
    fn new(seed: u64, settings: Settings) -> Self {
        let echo = Echo::default();
        let network = Network::new(seed, settings, Box::new(echo.clone()));
        Self {
            reactor: Reactor::new(World::Memory(network.clone())),
            network,
            echo,
            received: Received::default(),
            out: Vec::new(),
        }
    }

    fn perfect() -> Self {
        Self::new(1, Settings::perfect())
    }

    /// Turns until it is connected, or cannot be.
    fn connect(&mut self, addresses: &[SocketAddr]) -> Result<(), Disconnect> {
        let deadline = self.network.now() + 30 * SECOND;
        let options = SocketOptions::default();
        self.reactor
            .connect(addresses.to_vec(), deadline, options, None)?;
        while self.reactor.is_connecting() {
            self.reactor.poll(self.reactor.poll_timeout()).unwrap();
            self.reactor.handle_timeout()?;
        }
        Ok(())
    }

    fn link(&self) -> u64 {
        self.reactor.memory_link().unwrap()
    }

    /// Writes and reads what it can, as the driver does, and sleeps if there is nothing else to do.
    fn turn(&mut self) -> Result<(), Disconnect> {
        self.reactor.flush()?;
        while !self.out.is_empty() {
            let count = self.reactor.write(&[IoSlice::new(&self.out)], false)?;
            if count == 0 {
                break;
            }
            self.out.drain(..count);
        }
        self.reactor.set_belief(crate::net::Belief {
            has_unsent: !self.out.is_empty() || self.reactor.wants_write(),
            ..crate::net::Belief::default()
        });
        let until = if !self.out.is_empty() && self.reactor.is_writable() {
            Some(self.network.now())
        } else {
            None
        };
        self.reactor.poll(until).unwrap();
        self.reactor.read(&mut self.received)
    }

    /// Sends this, and reads until all of it has come back.
    fn exchange(&mut self, bytes: &[u8]) -> Result<(), Disconnect> {
        let count = self.received.bytes.len() + bytes.len();
        self.out.extend_from_slice(bytes);
        while self.received.bytes.len() < count {
            self.turn()?;
        }
        Ok(())
    }
}

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect()
}
