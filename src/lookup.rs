//! The addresses of a host, without waiting for them.
//!
//! The system's lookup cannot be interrupted, so it has a thread of its own, which is left to itself when nobody wants
//! its answer any more.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

pub(crate) type Addresses = io::Result<Vec<SocketAddr>>;

#[derive(Debug)]
pub(crate) struct Lookup {
    answer: Receiver<Addresses>,
}

impl Lookup {
    /// Begins to look up a host; the answer may be there at once.
    pub(crate) fn new(host: &str, port: u16) -> io::Result<Self> {
        let (sender, answer) = channel();
        if let Ok(address) = host.parse() {
            // The receiver is right here.
            let _ = sender.send(Ok(vec![SocketAddr::new(address, port)]));
            return Ok(Self { answer });
        }
        let host = host.to_owned();
        let look = move || {
            let addresses = (host.as_str(), port).to_socket_addrs();
            // Nobody may be listening any more.
            let _ = sender.send(addresses.map(Iterator::collect));
        };
        thread::Builder::new()
            .name("puka-lookup".into())
            .spawn(look)?;
        Ok(Self { answer })
    }

    /// The answer, once, if it is there within that time.
    pub(crate) fn poll(&self, wait: Duration) -> Option<Addresses> {
        match self.answer.recv_timeout(wait) {
            Ok(addresses) => Some(addresses),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(io::Error::other("the lookup ended without an answer")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn an_address_is_its_own_answer_at_once_and_a_name_has_some() {
        for host in ["127.0.0.1", "::1"] {
            let addresses = Lookup::new(host, 1).unwrap().poll(Duration::ZERO);
            assert_eq!(
                addresses.unwrap().unwrap()[0],
                SocketAddr::new(host.parse().unwrap(), 1)
            );
        }
        let addresses = Lookup::new("localhost", 7).unwrap().poll(LIMIT).unwrap();
        assert!(addresses.unwrap().iter().all(|address| address.port() == 7));
        let nobody = Lookup::new("no-such-host.invalid", 7).unwrap();
        assert!(nobody.poll(LIMIT).unwrap().is_err());
    }
}
