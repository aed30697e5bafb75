//! Several reactors, asleep together: for loops over several clients of one world.

use std::io;
use std::time::Instant;

use crate::net::poller::Poller;
use crate::net::reactor::Reactor;

/// What sleeps for all of them.
#[derive(Debug)]
pub(crate) enum Group {
    System(system::Polls),
    /// The network in memory does.
    #[cfg(feature = "testing")]
    Memory,
}

impl Group {
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if they live in different worlds.
    pub(crate) fn new<'a>(reactors: impl Iterator<Item = &'a mut Reactor>) -> io::Result<Self> {
        let mut all: Vec<&mut Reactor> = reactors.collect();
        let mut others = 0;
        for reactor in &mut all {
            others += usize::from(!matches!(reactor.enter_poll()?, Poller::System(_)));
        }
        match others {
            0 => system::Polls::new(all).map(Self::System),
            #[cfg(feature = "testing")]
            _ if others == all.len() => Ok(Self::Memory),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "clients of different worlds cannot share a loop",
            )),
        }
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
        match self {
            Self::System(polls) => polls.poll(&mut all, until)?,
            #[cfg(feature = "testing")]
            Self::Memory => {
                let parts: io::Result<Vec<_>> = all
                    .iter_mut()
                    .filter_map(|reactor| reactor.memory_poller().transpose())
                    .collect();
                crate::net::memory::sleep(&parts?, until)?;
            }
        }
        all.into_iter()
            .try_for_each(|reactor| reactor.poll(Some(reactor.now())))
    }
}

#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
mod system {
    use std::io;
    use std::time::Instant;

    use mio::{Events, Interest, Poll, Token};

    use crate::net::poller::{Poller, poll_until};
    use crate::net::reactor::Reactor;

    /// A poll of several reactors' polls.
    #[derive(Debug)]
    pub(crate) struct Polls {
        poll: Poll,
        events: Events,
    }

    impl Polls {
        pub(super) fn new(reactors: Vec<&mut Reactor>) -> io::Result<Self> {
            let poll = Poll::new()?;
            for (index, reactor) in reactors.into_iter().enumerate() {
                #[cfg_attr(not(feature = "testing"), allow(irrefutable_let_patterns))]
                let Poller::System(poller) = reactor.enter_poll()? else {
                    continue;
                };
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

        pub(super) fn poll(
            &mut self,
            _: &mut [&mut Reactor],
            until: Option<Instant>,
        ) -> io::Result<()> {
            poll_until(&mut self.poll, &mut self.events, until)
        }
    }
}

/// Where polls cannot be polled: a look at each in turn.
#[cfg(not(all(unix, not(mio_unsupported_force_poll_poll))))]
mod system {
    use std::io;
    use std::time::{Duration, Instant};

    use crate::net::reactor::Reactor;

    #[derive(Debug)]
    pub(crate) struct Polls;

    impl Polls {
        pub(super) fn new(_: Vec<&mut Reactor>) -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn poll(
            &mut self,
            reactors: &mut [&mut Reactor],
            until: Option<Instant>,
        ) -> io::Result<()> {
            for reactor in reactors {
                let slice = reactor.now() + Duration::from_millis(10);
                reactor.poll(Some(until.map_or(slice, |until| until.min(slice))))?;
            }
            Ok(())
        }
    }
}
