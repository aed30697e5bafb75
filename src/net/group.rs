//! Several reactors, asleep together: for loops over several clients.

use std::io;
#[cfg(not(all(unix, not(mio_unsupported_force_poll_poll))))]
use std::time::Duration;
use std::time::Instant;

#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
use mio::{Events, Interest, Poll, Token};

#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
use crate::net::poller::{Poller, poll_until};
use crate::net::reactor::Reactor;

/// A poll of several reactors' polls.
#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
#[derive(Debug)]
pub(crate) struct Group {
    poll: Poll,
    events: Events,
}

#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
impl Group {
    pub(crate) fn new<'a>(reactors: impl Iterator<Item = &'a mut Reactor>) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (index, reactor) in reactors.enumerate() {
            let Poller::System(poller) = reactor.enter_poll()?;
            poll.registry().register(
                &mut mio::unix::SourceFd(&poller.as_raw_fd()),
                Token(index),
                Interest::READABLE,
            )?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(64),
        })
    }

    /// [`Reactor::poll`] of each, asleep until one of them has something.
    pub(crate) fn poll<'a>(
        &mut self,
        reactors: impl Iterator<Item = &'a mut Reactor>,
        mut until: Option<Instant>,
    ) -> io::Result<()> {
        let mut all: Vec<&mut Reactor> = reactors.collect();
        for reactor in &mut all {
            reactor.enter_poll()?;
            if reactor.is_readable() {
                until = Some(reactor.now());
            }
        }
        poll_until(&mut self.poll, &mut self.events, until)?;
        all.into_iter()
            .try_for_each(|reactor| reactor.poll(Some(reactor.now())))
    }
}

/// Where polls cannot be polled: a look at each in turn.
#[cfg(not(all(unix, not(mio_unsupported_force_poll_poll))))]
#[derive(Debug)]
pub(crate) struct Group;

#[cfg(not(all(unix, not(mio_unsupported_force_poll_poll))))]
impl Group {
    pub(crate) fn new<'a>(_: impl Iterator<Item = &'a mut Reactor>) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn poll<'a>(
        &mut self,
        reactors: impl Iterator<Item = &'a mut Reactor>,
        until: Option<Instant>,
    ) -> io::Result<()> {
        for reactor in reactors {
            let slice = reactor.now() + Duration::from_millis(10);
            reactor.poll(Some(until.map_or(slice, |until| until.min(slice))))?;
        }
        Ok(())
    }
}
