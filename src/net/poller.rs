//! Sleeping until a socket is ready: one client's poll, what wakes it up, and several asleep together.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use crate::net::clock::Clock;
#[cfg(feature = "testing")]
use crate::net::memory;
use crate::net::ready::{Belief, Told};
use crate::net::transport::Transport;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// One client's poll, of one socket at a time.
#[derive(Debug)]
pub(crate) enum Poller {
    System(SystemPoller),
    #[cfg(feature = "testing")]
    Memory(memory::Poller),
}

/// What wakes a poll up, from any thread.
#[derive(Debug, Clone)]
pub(crate) enum Waker {
    System(Arc<mio::Waker>),
    #[cfg(feature = "testing")]
    Memory(memory::Waker),
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Self::System(waker) => waker.wake(),
            #[cfg(feature = "testing")]
            Self::Memory(waker) => {
                waker.wake();
                Ok(())
            }
        }
    }
}

impl Poller {
    /// The system's.
    pub(crate) fn system() -> io::Result<Self> {
        SystemPoller::new().map(Self::System)
    }

    /// Has the poll tell of this socket, until that is closed.
    pub(crate) fn register(&mut self, transport: &mut Transport) -> io::Result<()> {
        match self {
            Self::System(poller) => poller.register(transport),
            #[cfg(feature = "testing")]
            Self::Memory(poller) => match transport.memory() {
                Some(endpoint) => {
                    poller.register(endpoint);
                    Ok(())
                }
                // A stream of the program's own.
                None => Err(io::ErrorKind::Unsupported.into()),
            },
        }
    }

    /// Sleeps until there is something to tell, or the time has come; `None` is for ever. `belief` is for worlds that check
    /// whether there is reason to sleep.
    pub(crate) fn poll(&mut self, until: Option<Instant>, belief: Belief) -> io::Result<Told> {
        match self {
            Self::System(poller) => {
                let _ = belief;
                poller.poll(until)
            }
            #[cfg(feature = "testing")]
            Self::Memory(poller) => poller.poll(until, belief),
        }
    }

    /// What wakes it up.
    pub(crate) fn waker(&mut self) -> io::Result<Waker> {
        match self {
            Self::System(poller) => poller.waker().map(Waker::System),
            #[cfg(feature = "testing")]
            Self::Memory(poller) => Ok(Waker::Memory(poller.waker())),
        }
    }
}

/// mio's.
#[derive(Debug)]
pub(crate) struct SystemPoller {
    poll: Poll,
    events: Events,
    /// There may be one of a kind, so all share it.
    waker: Option<Arc<mio::Waker>>,
}

impl SystemPoller {
    fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(8),
            waker: None,
        })
    }

    fn register(&self, transport: &mut Transport) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(transport.source(), SOCKET, interest)
    }

    fn poll(&mut self, until: Option<Instant>) -> io::Result<Told> {
        poll_until(&mut self.poll, &mut self.events, until)?;
        let mut told = Told::default();
        for event in self.events.iter().filter(|event| event.token() == SOCKET) {
            note(&mut told, event);
        }
        Ok(told)
    }

    fn waker(&mut self) -> io::Result<Arc<mio::Waker>> {
        if let Some(waker) = &self.waker {
            return Ok(waker.clone());
        }
        let waker = Arc::new(mio::Waker::new(self.poll.registry(), WAKER)?);
        Ok(self.waker.insert(waker).clone())
    }

    /// Tells when this poll has something to tell.
    #[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
    pub(crate) fn as_raw_fd(&self) -> std::os::fd::RawFd {
        use std::os::fd::AsRawFd;
        self.poll.as_raw_fd()
    }
}

fn note(told: &mut Told, event: &Event) {
    told.read |= event.is_readable();
    told.write |= event.is_writable() || event.is_error();
    told.ended |= event.is_read_closed() || event.is_error();
}

pub(crate) fn poll_until(
    poll: &mut Poll,
    events: &mut Events,
    until: Option<Instant>,
) -> io::Result<()> {
    let now = || Clock::System.now();
    let timeout = until.map(|until| round_up(until.saturating_duration_since(now())));
    match poll.poll(events, timeout) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result,
    }
}

/// To whole milliseconds, as polls count: or they would wake just before the time, and spin.
fn round_up(duration: Duration) -> Duration {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
