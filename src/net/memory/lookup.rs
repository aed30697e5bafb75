//! A look-up of a host's addresses.

use super::names::Addresses;
use super::network::Network;
use super::sleep::Waker;

#[derive(Debug)]
pub(crate) struct Lookup {
    network: Network,
    number: u64,
    wakes: bool,
}

impl Network {
    /// Begins to look up a name.
    pub(crate) fn begin_lookup(&self, name: &str, port: u16, waker: Option<&Waker>) -> Lookup {
        let number = self.look_up(name, port, waker.map(Waker::poller));
        Lookup {
            network: self.clone(),
            number,
            wakes: waker.is_some(),
        }
    }
}

impl Lookup {
    pub(crate) fn wakes(&self) -> bool {
        self.wakes
    }

    /// The answer, once, if it is there.
    pub(crate) fn poll(&self) -> Option<Addresses> {
        self.network.take_addresses(self.number)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.network.lock().names.forget(self.number);
    }
}
