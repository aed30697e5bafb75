//! What a user may say of the client. What of each request is in `options.rs`.

use std::time::Duration;

use crate::wire::{FieldTable, FieldValue, ShortStr};

/// Options of a [`Client`](crate::Client).
///
/// ```
/// use std::time::Duration;
/// use puka::{Client, ClientOptions};
///
/// let options = ClientOptions::new()
///     .connection_name("billing")
///     .heartbeat(20)
///     .connect_timeout(Duration::from_secs(3));
/// let client = Client::with_options("amqp://localhost/", options)?;
/// # Ok::<(), puka::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    pub(crate) pubacks: Option<bool>,
    pub(crate) client_properties: FieldTable,
    pub(crate) heartbeat: u16,
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    pub(crate) connect_timeout: Duration,
    pub(crate) high_water_mark: usize,
    pub(crate) blocking_publish: bool,
    pub(crate) resend: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            pubacks: None,
            client_properties: FieldTable::new(),
            heartbeat: 0,
            channel_max: 0,
            frame_max: 131_072,
            connect_timeout: Duration::from_secs(10),
            high_water_mark: 16 * 1024 * 1024,
            blocking_publish: true,
            resend: true,
        }
    }
}

impl ClientOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether publishes are confirmed by the broker ([publisher
    /// confirms](https://www.rabbitmq.com/docs/confirms#publisher-confirms)). Unset, the client finds out whether the
    /// broker can; `true` insists; `false` never asks, and follows each message by an empty one that comes back, which
    /// any AMQP broker can do (puka's emulation).
    #[must_use]
    pub fn pubacks(mut self, pubacks: bool) -> Self {
        self.pubacks = Some(pubacks);
        self
    }

    /// Adds to what the broker shows of this client, or replaces a default (`product`, `version`, `platform`,
    /// `capabilities`).
    #[must_use]
    pub fn client_property(
        mut self,
        name: impl Into<ShortStr>,
        value: impl Into<FieldValue>,
    ) -> Self {
        self.client_properties.insert(name, value);
        self
    }

    /// The name that the broker shows for the [connection](https://www.rabbitmq.com/docs/connections#client-provided-names).
    #[must_use]
    pub fn connection_name(self, name: impl Into<String>) -> Self {
        self.client_property("connection_name", name.into())
    }

    /// The [heartbeat](https://www.rabbitmq.com/docs/heartbeats) interval in seconds; the smaller of this and the
    /// broker's proposal is used. The client sends one when it has been silent for half the interval, and gives the
    /// connection up after two intervals of silence. 0, the default as in puka, asks for none.
    ///
    /// Heartbeats need the client to run: a program that computes for longer than two intervals between calls loses its
    /// connection.
    #[must_use]
    pub fn heartbeat(mut self, seconds: u16) -> Self {
        self.heartbeat = seconds;
        self
    }

    /// The most channels to ask for, and so the most requests and consumers at once; 0, the default, leaves it to the
    /// broker (2047 in RabbitMQ). Requests beyond wait their turn.
    #[must_use]
    pub fn channel_max(mut self, channels: u16) -> Self {
        self.channel_max = channels;
        self
    }

    /// The largest frame to ask for, in bytes; 131072 by default, at least 4096 (8192 from RabbitMQ 4.1 on).
    #[must_use]
    pub fn frame_max(mut self, bytes: u32) -> Self {
        self.frame_max = bytes;
        self
    }

    /// How long [`connect`](crate::Client::connect) may take in all, name lookup and login included, and how long
    /// [`close`](crate::Client::close) may; 10 seconds by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many bytes of messages the client holds, unsent or unconfirmed, before
    /// [`basic_publish`](crate::Client::basic_publish) first makes room; 16 MiB by default. One message more than that
    /// may be held, however large.
    #[must_use]
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.high_water_mark = bytes;
        self
    }

    /// Whether [`basic_publish`](crate::Client::basic_publish) drives the socket until there is room when the
    /// high-water mark is reached; `true` by default. A program with an event loop of its own says `false`, and asks
    /// [`has_room`](crate::Client::has_room).
    #[must_use]
    pub fn blocking_publish(mut self, blocking: bool) -> Self {
        self.blocking_publish = blocking;
        self
    }

    /// Whether publishes that surely came after a refused one, and so were never taken, are sent again on a new
    /// channel; `true` by default. Else they fail with [`Error::NotSent`](crate::Error::NotSent).
    #[must_use]
    pub fn resend(mut self, resend: bool) -> Self {
        self.resend = resend;
        self
    }
}
