//! The addresses of a host, one after the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::net::World;
use crate::net::transport::{SocketOptions, TlsConfig, Transport};
use crate::types::error::Disconnect;

/// TLS, and the name that the peer's certificate must have.
pub(crate) type Security = (TlsConfig, String);

/// What is left to try.
#[derive(Debug)]
pub(crate) struct Connecting {
    pub(crate) address: SocketAddr,
    next: VecDeque<SocketAddr>,
    /// When this address has had its share of the time.
    pub(crate) deadline: Instant,
    /// When all of them have.
    last_deadline: Instant,
    failures: Vec<String>,
    pub(crate) options: SocketOptions,
    tls: Option<Security>,
}

impl Connecting {
    pub(crate) fn new(
        addresses: Vec<SocketAddr>,
        deadline: Instant,
        options: SocketOptions,
        tls: Option<Security>,
    ) -> Self {
        Self {
            address: SocketAddr::from(([0; 4], 0)), // None yet.
            next: addresses.into(),
            deadline,
            last_deadline: deadline,
            failures: Vec::new(),
            options,
            tls,
        }
    }

    /// This address is of no use.
    pub(crate) fn failed(&mut self, failure: &str) {
        log::debug!("cannot connect to {}: {failure}", self.address);
        self.failures.push(format!("{}: {failure}", self.address));
    }

    /// Begins to connect to the next address.
    pub(crate) fn next(mut self, world: &World) -> Result<(Transport, Self), Disconnect> {
        while let Some(address) = self.next.pop_front() {
            self.address = address;
            let now = world.now();
            let left = self.last_deadline.saturating_duration_since(now);
            match world.connect(address, &self.options) {
                Ok(mut transport) => {
                    log::debug!("connecting to {address}");
                    if let Some((config, name)) = &self.tls {
                        transport.secure(config, name)?;
                    }
                    // Each that is left has its share of the time.
                    let shares = u32::try_from(self.next.len() + 1).unwrap_or(u32::MAX);
                    self.deadline = now + left / shares;
                    return Ok((transport, self));
                }
                Err(error) => self.failed(&error.to_string()),
            }
        }
        if self.failures.is_empty() {
            self.failures.push("the host has no address".into());
        }
        Err(Disconnect::Connect(self.failures.join("; ")))
    }
}
