//! The client's connection: opening and closing it, and what becomes of it meanwhile.

use crate::Client;
use crate::client::closures::OnEvent;
use crate::net::transport::Stream;
#[cfg(doc)]
use crate::types::error::Error;
use crate::types::ids::Promise;
use crate::types::recovery::ConnectionEvent;
use crate::types::results::Connected;
use crate::wire::ShortStr;

impl Client {
    /// Connects and logs in. It may be called again after a close, or a loss, also one that the client has not been told of
    /// yet: it first looks whether the peer has closed the socket.
    ///
    /// The call begins to look the host's name up; the rest happens while the program waits. Of several
    /// [hosts](crate::ClientOptions::hosts), and of several addresses of a host, each is tried in turn.
    ///
    /// # Errors
    /// The promise fails with [`Error::ConnectionBroken`], [`Error::UnsupportedProtocol`], [`Error::NoMechanism`], or
    /// the broker's word: [`Error::AccessRefused`] for a wrong password, [`Error::NotAllowed`] for an unknown vhost. With
    /// [`Error::InvalidArgument`] if a file of [`TlsOptions`](crate::TlsOptions) cannot be used. With
    /// [`Error::AlreadyConnected`] if there is a connection, or one that is being made or [made
    /// anew](crate::ClientOptions::recovery), or closed: wait for [`close`](Self::close) first, and ignore its error.
    pub fn connect(&mut self) -> Promise<Connected> {
        Promise::new(self.driver.connect())
    }

    /// [`connect`](Self::connect) over a stream of the program's own, in place of a TCP connection to the URL's host: a
    /// Unix socket, a tunnel that is through. The URL says who logs in, and whether TLS goes over it.
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # fn f(mut client: puka::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let stream = mio::net::UnixStream::connect("/run/rabbitmq.sock")?;
    /// client.connect_over(stream).wait(&mut client)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A connection of this kind that is lost is not made anew by [`recovery`](crate::ClientOptions::recovery), but all that
    /// was under way fails with its loss.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub fn connect_over(&mut self, stream: impl Stream + 'static) -> Promise<Connected> {
        Promise::new(self.driver.connect_over(Box::new(stream)))
    }

    /// Tells the broker a new [secret](https://www.rabbitmq.com/docs/oauth2#token-expiration), before the token that
    /// the client logged in with expires; `reason` is for the broker's log. Later logins of this client use it, too.
    ///
    /// # Errors
    /// The broker closes the connection if it refuses the secret: [`Error::NotAllowed`].
    pub fn update_secret(
        &mut self,
        secret: impl Into<String>,
        reason: impl Into<ShortStr>,
    ) -> Promise<()> {
        Promise::new(self.driver.update_secret(secret.into(), reason.into()))
    }

    /// Closes the connection in order: everything that was asked for before is written before, and it succeeds when the broker
    /// has read that. Every other open promise fails with [`Error::Closed`]; a publish with [`Error::NotSent`] of that, or,
    /// if it was on its way and is not confirmed when the broker answers, with [`Error::OutcomeUnknown`].
    ///
    /// # Errors
    /// The promise fails with [`Error::ConnectionBroken`] if the connection is lost before the broker answers, or the
    /// broker does not answer within [`connect_timeout`](crate::ClientOptions::connect_timeout); with the broker's error
    /// if the broker closes the connection for one; and with [`Error::NotConnected`] if there is no connection. The
    /// connection is gone then, too. It succeeds if the broker closes the connection in order at the same moment: when an
    /// operator closes it, or the broker shuts down.
    pub fn close(&mut self) -> Promise<()> {
        Promise::new(self.driver.close())
    }

    /// Whether the client has a connection, makes one, or waits to make one again ([recovery](crate::ClientOptions::recovery)):
    /// so whether anything can still happen. While it looks a host up, or waits between two attempts, there is no
    /// [socket](Self::as_fd), and this is `true`.
    pub fn is_active(&self) -> bool {
        self.driver.is_active()
    }

    /// Whether the connection is open, as far as the client knows.
    pub fn is_connected(&self) -> bool {
        self.driver.is_open()
    }

    /// What the broker said when the connection was made; `None` without one.
    pub fn connected(&self) -> Option<&Connected> {
        self.driver.connected().map(|connected| &**connected)
    }

    /// Why the broker takes no messages at the moment
    /// ([connection.blocked](https://www.rabbitmq.com/docs/connection-blocked)), if it does not.
    pub fn blocked(&self) -> Option<&str> {
        self.driver.blocked()
    }

    /// Sets the callback for what becomes of the connection, in place of any other: blocked and unblocked, lost and
    /// restored. It runs inside every wait and loop, and inside a publish that waits for room, as soon as it happens.
    pub fn on_connection_event(
        &mut self,
        callback: impl FnMut(&mut Self, ConnectionEvent) + Send + 'static,
    ) {
        self.on_event = Some(OnEvent(Box::new(callback)));
        self.driver.wants_notices = true;
    }

    /// Bytes of messages that are unsent, or sent and not yet confirmed.
    pub fn buffered(&self) -> usize {
        self.driver.buffered()
    }

    /// Whether [`buffered`](Self::buffered) is below the [high-water mark](crate::ClientOptions::high_water_mark).
    pub fn has_room(&self) -> bool {
        self.driver.has_room()
    }
}
