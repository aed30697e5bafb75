//! What a program with an event loop of its own needs: the descriptor, the readiness that it tells the client, and the
//! time of the next timer. `examples/bare_poll.rs` is such a program.

use std::time::Duration;

use crate::Client;

impl Client {
    /// The socket; `None` without one, as while a host's name is looked up. It changes with each
    /// [`connect`](Self::connect) and recovery, and while those try one address after another, and the new one often has
    /// the number of the old one, which a poll has forgotten all the same. So pass it to your poll before each time it
    /// sleeps, or give the client itself to a mio `Poll`, where each new socket is registered for you.
    #[cfg(unix)]
    pub fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.driver.reactor.as_fd()
    }

    /// [`as_fd`](Self::as_fd), as a number.
    #[cfg(unix)]
    pub fn as_raw_fd(&self) -> Option<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.as_fd().map(|fd| fd.as_raw_fd())
    }

    /// The socket is readable: reads what there is, as far as it [should](Self::needs_read), and sees to timers that are
    /// due. No callback runs; see [`run_any_callbacks`](Self::run_any_callbacks).
    ///
    /// It stops after some megabytes; then [`next_timeout`](Self::next_timeout) is zero.
    pub fn on_read(&mut self) {
        self.driver.on_readable();
    }

    /// Whether the client wants to read: not while the deliveries that nobody has read have reached their
    /// [mark](crate::ClientOptions::unread_high_water_mark). Then [`on_read`](Self::on_read) only looks whether the peer has
    /// ended the connection (then it reads the rest), and a poll that tells again and again what is readable should not be
    /// asked for it.
    pub fn needs_read(&self) -> bool {
        !self.driver.is_full()
    }

    /// The socket is writable: writes as much as it takes, and sees to timers that are due. After some megabytes it stops;
    /// then [`next_timeout`](Self::next_timeout) is zero.
    pub fn on_write(&mut self) {
        self.driver.on_writable();
    }

    /// Whether there is something to write, or a connection being made: call [`on_write`](Self::on_write) when the
    /// socket is writable.
    ///
    /// A poll that tells only changes, as mio's does, may have told that already: call [`on_write`](Self::on_write)
    /// also after making requests.
    pub fn needs_write(&self) -> bool {
        self.driver.needs_write()
    }

    /// How long until [`on_timeout`](Self::on_timeout) or [`run_any_callbacks`](Self::run_any_callbacks) has to be
    /// called; `None`: not before the socket is ready. Ask anew after any other call.
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.has_work() || self.driver.can_read() || self.driver.can_write() {
            return Some(Duration::ZERO);
        }
        let next = self.driver.next_timeout();
        let next = next.map(|next| next.saturating_duration_since(self.driver.now()));
        // The lookup of a host wakes the client's own poll, and no other.
        let look = self.driver.time_to_look();
        next.into_iter().chain(look).min()
    }

    /// The connection in memory that it has, if that is its world.
    #[cfg(feature = "testing")]
    pub(crate) fn memory_link(&self) -> Option<u64> {
        self.driver.reactor.memory_link()
    }

    /// What a poll of the program's own tells of a client in memory: whether it is readable, and writable. With `is_edge` it
    /// tells each change once, else what is so again and again, of what the client wants.
    #[cfg(feature = "testing")]
    pub(crate) fn poll_in_memory(
        &mut self,
        is_edge: bool,
        timeout: Option<Duration>,
    ) -> crate::Result<(bool, bool)> {
        let wish = crate::net::memory::Wish {
            read: self.needs_read(),
            write: self.needs_write(),
            is_edge,
            until: timeout.map(|timeout| self.driver.after(timeout)),
        };
        let told = self.driver.reactor.poll_elsewhere(wish);
        told.map_err(crate::driver::poll_failed)
    }

    /// Sees to every timer whose time has come: heartbeats, and the limits of connect and close; and reads and writes on
    /// where it stopped before all was done. It is never too early to call it.
    pub fn on_timeout(&mut self) {
        self.driver.on_time();
    }
}

/// The client as a source of somebody else's `Poll`: whatever socket it has, or will have, is registered there.
///
/// Deregister it before it is dropped, or given to another `Poll`.
#[cfg(unix)]
impl mio::event::Source for Client {
    fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> std::io::Result<()> {
        self.driver.reactor.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> std::io::Result<()> {
        self.driver.reactor.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &mio::Registry) -> std::io::Result<()> {
        self.driver.reactor.deregister(registry)
    }
}
