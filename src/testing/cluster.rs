//! The RabbitMQ as the network sees it: hosts with addresses, and one node behind all of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::model::LinkId;
use super::node::{HostSettings, Node};
use crate::net::memory::Peer;

/// The node, shared by the network, which brings it bytes, and by whoever asks or orders something of it.
#[derive(Debug, Clone)]
pub(super) struct Cluster(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) node: Node,
    /// What those hosts say that differ from the rest.
    pub(super) hosts: BTreeMap<IpAddr, HostSettings>,
    pub(super) host: HostSettings,
    /// Its process is stopped: it does nothing, and its system keeps the sockets.
    pub(super) is_paused: bool,
}

impl Cluster {
    pub(super) fn new(node: Node, host: HostSettings) -> Self {
        Self(Arc::new(Mutex::new(State {
            node,
            hosts: BTreeMap::new(),
            host,
            is_paused: false,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for Cluster {
    fn accept(&mut self, now: Instant, address: SocketAddr) -> u64 {
        let mut state = self.lock();
        let State {
            node, hosts, host, ..
        } = &mut *state;
        node.accept(now, hosts.get(&address.ip()).unwrap_or(host)).0
    }

    fn receive(&mut self, now: Instant, link: u64, bytes: &[u8]) {
        self.lock().node.receive(now, LinkId(link), bytes);
    }

    fn take_output(&mut self, link: u64, max: usize) -> Vec<u8> {
        let mut state = self.lock();
        if state.is_paused {
            return Vec::new();
        }
        state.node.take_output(LinkId(link), max)
    }

    fn has_output(&self, link: u64) -> bool {
        let state = self.lock();
        !state.is_paused && state.node.has_output(LinkId(link))
    }

    fn is_done(&self, link: u64) -> bool {
        let state = self.lock();
        !state.is_paused && state.node.is_done(LinkId(link))
    }

    fn wants_read(&self, link: u64) -> bool {
        let state = self.lock();
        !state.is_paused && state.node.wants_read(LinkId(link))
    }

    fn disconnected(&mut self, now: Instant, link: u64) {
        self.lock().node.disconnected(now, LinkId(link));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let state = self.lock();
        state.node.poll_timeout().filter(|_| !state.is_paused)
    }

    fn next_event(&self) -> Option<Instant> {
        let state = self.lock();
        state.node.next_event().filter(|_| !state.is_paused)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.lock().node.handle_timeout(now);
    }
}
