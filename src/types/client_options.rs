//! What a user may say of the client. What of each request is in `types/requests.rs`.

use std::time::Duration;

use crate::types::recovery::Recovery;
use crate::types::tls_options::TlsOptions;
use crate::wire::{DEFAULT_FRAME_MAX, FieldTable, FieldValue, ShortStr};

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
    pub(crate) hosts: Vec<String>,
    pub(crate) shuffle_hosts: bool,
    /// None, here and below: the URL has the word, and then the default.
    pub(crate) heartbeat: Option<u16>,
    pub(crate) background_heartbeats: bool,
    pub(crate) tcp_timeout: Option<Duration>,
    pub(crate) channel_max: Option<u16>,
    pub(crate) frame_max: Option<u32>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) auth_mechanisms: Vec<AuthMechanism>,
    pub(crate) tls: TlsOptions,
    pub(crate) high_water_mark: usize,
    pub(crate) unread_high_water_mark: usize,
    pub(crate) blocking_publish: bool,
    pub(crate) blocked_timeout: Option<Duration>,
    pub(crate) resend_after_refusal: bool,
    pub(crate) recovery: Option<Recovery>,
}

/// How the client tells who it is: a [SASL mechanism](https://www.rabbitmq.com/docs/access-control#mechanisms).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMechanism {
    /// User and password.
    Plain,
    /// User and password, as an AMQP table.
    AmqPlain,
    /// The client's TLS certificate; the broker needs the plugin `rabbitmq_auth_mechanism_ssl`.
    External,
}

impl AuthMechanism {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::External => "EXTERNAL",
        }
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            pubacks: None,
            client_properties: FieldTable::new(),
            hosts: Vec::new(),
            shuffle_hosts: false,
            heartbeat: None,
            background_heartbeats: false,
            tcp_timeout: Some(Duration::from_secs(60)),
            channel_max: None,
            frame_max: None,
            connect_timeout: None,
            auth_mechanisms: Vec::new(),
            tls: TlsOptions::default(),
            high_water_mark: 16 * 1024 * 1024,
            unread_high_water_mark: 64 * 1024 * 1024,
            blocking_publish: true,
            blocked_timeout: None,
            resend_after_refusal: true,
            recovery: None,
        }
    }
}

/// What is in force: the option, or its default.
impl ClientOptions {
    pub(crate) fn heartbeat_or_default(&self) -> u16 {
        self.heartbeat.unwrap_or(0)
    }

    pub(crate) fn channel_max_or_default(&self) -> u16 {
        self.channel_max.unwrap_or(0)
    }

    pub(crate) fn frame_max_or_default(&self) -> u32 {
        self.frame_max.unwrap_or(DEFAULT_FRAME_MAX)
    }

    pub(crate) fn connect_timeout_or_default(&self) -> Duration {
        self.connect_timeout.unwrap_or(Duration::from_secs(10))
    }

    /// What is not said here, as the URL says it.
    pub(crate) fn or(mut self, url: Self) -> Self {
        self.heartbeat = self.heartbeat.or(url.heartbeat);
        self.channel_max = self.channel_max.or(url.channel_max);
        self.frame_max = self.frame_max.or(url.frame_max);
        self.connect_timeout = self.connect_timeout.or(url.connect_timeout);
        if self.auth_mechanisms.is_empty() {
            self.auth_mechanisms = url.auth_mechanisms;
        }
        self.tls = self.tls.or(&url.tls);
        let name = "connection_name";
        if let Some(value) = url.client_properties.get(name)
            && !self.client_properties.contains(name)
        {
            self.client_properties.insert(name, value);
        }
        self
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

    /// Further hosts of the same cluster: each a name or an address, with a port if it is not the URL's. `connect`
    /// tries the URL's host first and then these, in turn, each for as long as
    /// [`connect_timeout`](Self::connect_timeout) says.
    ///
    /// ```
    /// # use puka::{Client, ClientOptions};
    /// let options = ClientOptions::new().hosts(["rabbit2", "rabbit3:5673", "[2001:db8::1]"]);
    /// let client = Client::with_options("amqp://user:password@rabbit1/", options)?;
    /// # Ok::<(), puka::Error>(())
    /// ```
    #[must_use]
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        // A user and a password belong in the URL: should they be here, nobody is shown them.
        let hidden = |host: String| match host.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => host,
        };
        let hosts = hosts.into_iter().map(Into::into);
        self.hosts = hosts.map(hidden).collect();
        self
    }

    /// Whether the hosts are tried in an order of chance, so that many clients spread over a cluster; `false` by default.
    #[must_use]
    pub fn shuffle_hosts(mut self, shuffle: bool) -> Self {
        self.shuffle_hosts = shuffle;
        self
    }

    /// The [heartbeat](https://www.rabbitmq.com/docs/heartbeats) interval in seconds; the smaller of this and the
    /// broker's proposal is used. The client sends one when it has been silent for half the interval, and gives the
    /// connection up after two intervals of silence. 0, the default as in puka, asks for none.
    ///
    /// Heartbeats need the client to run. A program that computes for longer than two intervals between calls loses its
    /// connection, unless it asks for [`background_heartbeats`](Self::background_heartbeats), or computes in slices with
    /// [`Client::sleep`](crate::Client::sleep) of no time between. Without heartbeats a program may compute for as long
    /// as it likes: then the system looks after the connection ([`tcp_timeout`](Self::tcp_timeout)).
    #[must_use]
    pub fn heartbeat(mut self, seconds: u16) -> Self {
        self.heartbeat = Some(seconds);
        self
    }

    /// Whether a thread sends the heartbeats while the program is busy elsewhere; `false` by default. It does nothing
    /// but write a heartbeat between two frames when nothing else was written for half the interval, and only when
    /// everything before has been written. It makes no difference without [`heartbeat`](Self::heartbeat)s, nor to a
    /// [stream of the program's own](crate::Client::connect_over).
    ///
    /// A broker then takes a program that hangs for one that works: choose that with open eyes.
    #[must_use]
    pub fn background_heartbeats(mut self, background: bool) -> Self {
        self.background_heartbeats = background;
        self
    }

    /// How long the broker's host may be gone before the connection counts as lost; 60 seconds by default, and `None`
    /// leaves it to the system (hours). So a host that has vanished is noticed without heartbeats; a broker that hangs on
    /// a host that is up is not.
    ///
    /// While nothing is on its way to the broker, the system sends TCP keepalive probes, also while the program computes.
    /// While bytes are on their way, the client asks the system whether the broker's host acknowledges them: on Linux, and
    /// while the program waits or loops. That takes up to twice as long. Elsewhere, and while the program computes, the
    /// system gives up by itself after some minutes.
    ///
    /// A broker that takes no bytes for a while, as in a memory alarm, is not lost however long that lasts: its host
    /// answers.
    #[must_use]
    pub fn tcp_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.tcp_timeout = timeout.into();
        self
    }

    /// The most channels to ask for, and so the most requests and consumers at once; 0, the default, leaves it to the
    /// broker (2047 in RabbitMQ). Requests beyond wait their turn.
    #[must_use]
    pub fn channel_max(mut self, channels: u16) -> Self {
        self.channel_max = Some(channels);
        self
    }

    /// The largest frame to ask for, in bytes; 131072 by default, at least 4096 (8192 from RabbitMQ 4.1 on).
    #[must_use]
    pub fn frame_max(mut self, bytes: u32) -> Self {
        self.frame_max = Some(bytes);
        self
    }

    /// How long [`connect`](crate::Client::connect) may take with each host, name lookup and login included, and how
    /// long [`close`](crate::Client::close) may; 10 seconds by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How to log in: the first of these that the broker offers is used. By default that is user and password; with a
    /// [client certificate](TlsOptions::client_certificate) and no user in the URL it is the certificate
    /// ([`External`](AuthMechanism::External)), if the broker offers that.
    #[must_use]
    pub fn auth_mechanisms(mut self, mechanisms: impl IntoIterator<Item = AuthMechanism>) -> Self {
        self.auth_mechanisms = mechanisms.into_iter().collect();
        self
    }

    /// Certificates for `amqps://`, which needs the crate's feature `tls`. With an `amqp://` URL they are an error.
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// How many bytes of messages the client holds, unsent or unconfirmed, before
    /// [`basic_publish`](crate::Client::basic_publish) first makes room; 16 MiB by default. One message more than that
    /// may be held, however large. Headers count, and what the client keeps of each message beside its bytes.
    #[must_use]
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.high_water_mark = bytes;
        self
    }

    /// How many bytes of deliveries that nobody has read the client keeps before it reads no further; 64 MiB by default.
    /// Some more may be kept: what was read at once, or one message, however large.
    ///
    /// Only consumers without a bound count: those without a `prefetch_count`, or with `no_ack`; and those that get more than
    /// their prefetch, which the client holds back. At the mark the broker
    /// keeps the rest, and so any answer that is behind it: a wait for anything else, or a loop that has no callback to
    /// run, ends with [`Error::UnreadDeliveries`](crate::Error::UnreadDeliveries). Reading goes on once deliveries have
    /// been taken (`wait` for their promise, or run their callback in a loop), or their consumer is cancelled.
    #[must_use]
    pub fn unread_high_water_mark(mut self, bytes: usize) -> Self {
        self.unread_high_water_mark = bytes;
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

    /// For how long publishes wait while the broker [takes none](https://www.rabbitmq.com/docs/connection-blocked);
    /// `None`, the default, is for ever. Once the broker has blocked the connection for that long, all that wait fail,
    /// and each further one fails at once, until the broker takes messages again: with
    /// [`Error::NotSent`](crate::Error::NotSent), or [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if it was
    /// on its way already. See [`Client::blocked`](crate::Client::blocked).
    #[must_use]
    pub fn blocked_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.blocked_timeout = timeout.into();
        self
    }

    /// Whether a connection that is lost is made anew, with all that was under way; not by default, as puka has none.
    /// See [`Recovery`].
    #[must_use]
    pub fn recovery(mut self, recovery: impl Into<Option<Recovery>>) -> Self {
        self.recovery = recovery.into();
        self
    }

    /// Whether publishes that surely came after a refused one, and so were never taken, are sent again on a new
    /// channel; `true` by default. Else they fail with [`Error::NotSent`](crate::Error::NotSent).
    #[must_use]
    pub fn resend_after_refusal(mut self, resend: bool) -> Self {
        self.resend_after_refusal = resend;
        self
    }
}
