//! What a program with an event loop of its own needs: the descriptor, the readiness that it tells the client, and the
//! time of the next timer. `examples/bare_poll.rs` is such a program.

use std::time::Duration;

use crate::Client;
use crate::reactor::now;

impl Client {
    /// The socket; `None` without one. It changes with each [`connect`](Self::connect), and while that tries one
    /// address after another, so ask for it anew each time, or give the client itself to a mio `Poll`.
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

    /// The socket is readable: reads it empty, as far as it [should](Self::needs_read). No callback runs; see
    /// [`run_any_callbacks`](Self::run_any_callbacks).
    pub fn on_read(&mut self) {
        self.driver.is_present();
        self.driver.reactor.set_readable();
        self.read_empty();
    }

    fn read_empty(&mut self) {
        self.driver.read();
        while self.driver.reactor.is_readable() {
            self.driver.read();
        }
        // Answers to the peer should not wait for the next event.
        self.driver.flush();
    }

    /// Whether the client wants to read: not while the deliveries that nobody has read have reached their
    /// [mark](crate::ClientOptions::unread_high_water_mark). Then [`on_read`](Self::on_read) reads nothing, and a poll
    /// that tells again and again what is readable should not be asked for it.
    pub fn needs_read(&self) -> bool {
        !self.driver.is_full()
    }

    /// The socket is writable: writes as much as it takes.
    pub fn on_write(&mut self) {
        self.driver.reactor.set_writable();
        self.driver.flush();
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
        if self.has_work() || self.driver.can_read() {
            return Some(Duration::ZERO);
        }
        let next = self.driver.next_timeout()?;
        Some(next.saturating_duration_since(now()))
    }

    /// Sees to every timer whose time has come: heartbeats, and the limits of connect and close; and reads on where
    /// it stopped before all was read. It is never too early to call it.
    pub fn on_timeout(&mut self) {
        if self.driver.can_read() {
            self.read_empty();
        }
        self.driver.handle_timeout();
        self.driver.flush();
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
