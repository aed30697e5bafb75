//! A poll of the program's own that watches whatever socket the client has, or will have.

use std::io;

#[cfg(unix)]
use mio::{Interest, Token};

use super::Reactor;

impl Reactor {
    #[cfg(unix)]
    pub(super) fn register_elsewhere(&mut self) -> io::Result<()> {
        match &self.registered {
            Some((registry, token, interest)) => self.register_fd(registry, *token, *interest),
            None => Ok(()),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn register_elsewhere(&mut self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(unix)]
    fn register_fd(
        &self,
        registry: &mio::Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        match self.as_fd() {
            Some(fd) => {
                registry.register(&mut mio::unix::SourceFd(&fd.as_raw_fd()), token, interest)
            }
            None => Ok(()),
        }
    }
}

#[cfg(unix)]
impl mio::event::Source for Reactor {
    fn register(
        &mut self,
        registry: &mio::Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.registered = Some((registry.try_clone()?, token, interest));
        self.register_fd(registry, token, interest)
    }

    fn reregister(
        &mut self,
        registry: &mio::Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        self.registered = Some((registry.try_clone()?, token, interest));
        match self.as_fd() {
            Some(fd) => {
                registry.reregister(&mut mio::unix::SourceFd(&fd.as_raw_fd()), token, interest)
            }
            None => Ok(()),
        }
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        self.registered = None;
        match self.as_fd() {
            Some(fd) => registry.deregister(&mut mio::unix::SourceFd(&fd.as_raw_fd())),
            None => Ok(()),
        }
    }
}
