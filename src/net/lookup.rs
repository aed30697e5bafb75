//! The addresses of a host, without waiting for them.
//!
//! The system's lookup cannot be interrupted, so it has a thread of its own, which wakes the client's poll when it is done,
//! and is left to itself when nobody wants its answer any more.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

#[cfg(feature = "testing")]
use crate::net::memory;
use crate::net::poller::Waker;

pub(crate) type Addresses = io::Result<Vec<SocketAddr>>;

/// A look-up under way.
#[derive(Debug)]
pub(crate) struct Lookup(Inner);

#[derive(Debug)]
enum Inner {
    Thread(Thread),
    #[cfg(feature = "testing")]
    Memory(memory::Lookup),
}

impl Lookup {
    /// Begins to look up a host; the answer may be there at once.
    pub(crate) fn new(host: &str, port: u16, waker: Option<Waker>) -> io::Result<Self> {
        Thread::new(host, port, waker).map(|thread| Self(Inner::Thread(thread)))
    }

    /// The same in a network in memory.
    #[cfg(feature = "testing")]
    pub(crate) fn memory(
        network: &memory::Network,
        host: &str,
        port: u16,
        waker: Option<&Waker>,
    ) -> Self {
        let waker = match waker {
            Some(Waker::Memory(waker)) => Some(waker),
            _ => None,
        };
        Self(Inner::Memory(network.begin_lookup(host, port, waker)))
    }

    /// Whether a poll is woken up for the answer; else one has to look.
    pub(crate) fn wakes(&self) -> bool {
        match &self.0 {
            Inner::Thread(thread) => thread.wakes,
            #[cfg(feature = "testing")]
            Inner::Memory(lookup) => lookup.wakes(),
        }
    }

    /// The answer, once, if it is there.
    pub(crate) fn poll(&self) -> Option<Addresses> {
        match &self.0 {
            Inner::Thread(thread) => thread.poll(),
            #[cfg(feature = "testing")]
            Inner::Memory(lookup) => lookup.poll(),
        }
    }
}

/// The system's look-up, in a thread of its own.
#[derive(Debug)]
struct Thread {
    answer: Receiver<Addresses>,
    /// Whether a poll is woken up for the answer; else one has to look.
    wakes: bool,
}

impl Thread {
    /// Begins to look up a host; the answer may be there at once.
    fn new(host: &str, port: u16, waker: Option<Waker>) -> io::Result<Self> {
        let (sender, answer) = channel();
        let wakes = waker.is_some();
        if let Ok(address) = host.parse() {
            // The receiver is right here.
            let _ = sender.send(Ok(vec![SocketAddr::new(address, port)]));
            return Ok(Self { answer, wakes });
        }
        let host = host.to_owned();
        let look = move || {
            let addresses = (host.as_str(), port).to_socket_addrs();
            // Nobody may be listening any more.
            let _ = sender.send(addresses.map(Iterator::collect));
            if let Some(waker) = waker
                && let Err(error) = waker.wake()
            {
                log::warn!("the lookup of {host} cannot wake the client: {error}");
            }
        };
        thread::Builder::new()
            .name("puka-lookup".into())
            .spawn(look)?;
        Ok(Self { answer, wakes })
    }

    /// The answer, once, if it is there.
    fn poll(&self) -> Option<Addresses> {
        match self.answer.try_recv() {
            Ok(addresses) => Some(addresses),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(io::Error::other("the lookup ended without an answer")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::World;

    /// What the lookup of a name comes to, asleep until it wakes the poll.
    fn look_up(host: &str) -> Addresses {
        let world = World::default();
        let mut poller = world.poller().unwrap();
        let waker = poller.waker().unwrap();
        let lookup = world.look_up(host, 7, Some(waker)).unwrap();
        let limit = world.now() + Duration::from_secs(60);
        poller
            .poll(Some(limit), crate::net::ready::Belief::default())
            .unwrap();
        assert!(world.now() < limit, "nothing has woken the poll");
        lookup.poll().unwrap()
    }

    #[test]
    fn an_address_is_its_own_answer_at_once_and_the_answer_for_a_name_wakes_the_poll() {
        for host in ["127.0.0.1", "::1"] {
            let addresses = Lookup::new(host, 1, None).unwrap().poll();
            assert_eq!(
                addresses.unwrap().unwrap()[0],
                SocketAddr::new(host.parse().unwrap(), 1)
            );
        }
        let addresses = look_up("localhost").unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.port() == 7));
        assert!(look_up("no-such-host.invalid").is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_of_one_link_has_the_link_by_its_name() {
        for address in look_up("fe80::1%lo").unwrap() {
            let SocketAddr::V6(address) = address else {
                panic!("{address}");
            };
            assert_ne!(address.scope_id(), 0);
        }
    }
}
