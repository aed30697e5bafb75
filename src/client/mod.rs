//! The client: what a program calls. Each call is a few lines that ask the driver; the protocol is in `connection/`.
//!
//! Here is the client itself. Its calls are in files by subject: `connect`, `declare`, `publish`, `consume`; waiting in
//! `wait` and `event_loop`; running the program's callbacks in `callbacks`; what a program with an event loop of its own needs
//! in `embed`, and what one with threads needs in `handle`.

#[cfg(feature = "testing")]
pub(crate) mod audit;
mod callbacks;
mod closures;
mod connect;
mod consume;
mod declare;
mod embed;
pub(crate) mod event_loop;
pub(crate) mod handle;
mod jobs;
pub(crate) mod promise;
mod publish;
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::closures::{Callback, OnEvent};
use crate::client::jobs::Jobs;
use crate::connection::Request;
use crate::driver::Driver;
use crate::driver::hosts::Host;
use crate::net::World;
use crate::types::client_options::ClientOptions;
use crate::types::error::{Error, Result};
use crate::types::ids::Promise;
use crate::types::url::{AmqpUrl, parse_address};

/// Tells the promises of one client from another's.
static CLIENTS: AtomicU32 = AtomicU32::new(0);

/// A client of one RabbitMQ broker.
///
/// Every request returns a [`Promise`] at once and never fails at the call: what goes wrong comes from the wait or
/// the callback. Nothing is written before the program waits or loops, but that a publish past the
/// [high-water mark](ClientOptions::high_water_mark) makes room.
///
/// **A client that is dropped writes nothing more.** What you have asked for since the last wait or loop is lost with it,
/// publishes and acknowledgements too, and so it is where `main` returns. End with [`close`](Self::close) and wait for it:
/// that writes everything. (To know that a publish has arrived, wait for its promise.)
///
/// An AMQP error of one request touches no other: each has a channel of the connection to itself, or, if it is one of
/// many plain calls (declares, binds, deletes, purges), is made again where an error took its channel. Requests beyond the
/// broker's limit (2047 channels, unless it is told otherwise) wait their turn; where consumers and unacknowledged
/// deliveries hold all channels, so that the turn might never come, they fail with [`Error::NoFreeChannel`].
///
/// So requests that are under way at once have no order among each other: wait for a queue to be declared before
/// publishing to it. Only publishes have: they all go over one channel, in the order of their calls.
///
/// Requests made while the connection is being opened wait for it. Without a connection they fail with
/// [`Error::NotConnected`], publishes with [`Error::NotSent`] of that.
///
/// A panic in a callback goes through to whoever waits or loops; one who catches it has a client that is whole: what the
/// callback asked for is under way, its delivery is dropped unsettled, and a consumer keeps its callback.
#[derive(Debug)]
pub struct Client {
    id: u32,
    pub(crate) driver: Driver<Callback<Self>>,
    /// Set by `loop_break`, for the innermost of the loops that run.
    pub(crate) is_broken: bool,
    /// How many loops run, one inside the other.
    pub(crate) loops: usize,
    /// Another thread has asked for the end of a loop where none ran: of the next one, then.
    pub(crate) is_next_broken: bool,
    pub(crate) on_event: Option<OnEvent<Self>>,
    /// What other threads ask for, once one has a handle.
    pub(crate) jobs: Option<Arc<Jobs<Self>>>,
}

/// The URL's host, and further ones.
fn hosts(url: &AmqpUrl, further: &[String]) -> Result<Vec<Host>> {
    let mut hosts = vec![Host {
        name: url.host.clone(),
        port: url.port,
    }];
    for host in further {
        let (name, port) = parse_address(host)
            .map_err(|wrong| Error::InvalidArgument(format!("the host {host:?}: {wrong}")))?;
        let port = port.unwrap_or(url.port);
        hosts.push(Host { name, port });
    }
    Ok(hosts)
}

impl Client {
    /// A client of the broker at an [AMQP URL](https://www.rabbitmq.com/docs/uri-spec); it does not connect yet.
    ///
    /// `amqp://user:password@host:port/vhost`, each part percent-encoded where needed. All parts but the scheme have
    /// defaults: `guest`, `guest`, `localhost`, 5672 and `/`. An empty vhost is `/`, as in puka, and so is `//`. `amqps://` is TLS, on
    /// port 5671, and needs the crate's feature `tls`.
    ///
    /// [Query parameters](https://www.rabbitmq.com/docs/uri-query-parameters) set what [`ClientOptions`] sets, which
    /// win: `heartbeat` (seconds), `connection_timeout` (milliseconds), `channel_max`, `frame_max`, `auth_mechanism`
    /// (`plain`, `amqplain` or `external`; may be repeated), `connection_name`, and for TLS `cacertfile`, `certfile`,
    /// `keyfile`, `verify` (`verify_peer` or `verify_none`) and `server_name_indication`. An unknown one is an error.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(url: &str) -> Result<Self> {
        Self::with_options(url, ClientOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`]; [`Error::InvalidArgument`] for a [host](ClientOptions::hosts) that is none, and for
    /// [`TlsOptions`](crate::TlsOptions) that say something where the URL is not `amqps://`.
    pub fn with_options(url: &str, options: ClientOptions) -> Result<Self> {
        Self::in_world(url, options, World::default())
    }

    /// The same, in a world that need not be the system's.
    pub(crate) fn in_world(url: &str, options: ClientOptions, world: World) -> Result<Self> {
        let url = AmqpUrl::parse(url).map_err(Error::InvalidUrl)?;
        if url.tls && !cfg!(feature = "tls") {
            return Err(Error::InvalidUrl(
                "amqps:// needs the crate's feature tls: puka = { version = \"0.1\", features = [\"tls\"] }"
                    .into(),
            ));
        }
        // The URL's own parameters of this kind are refused where they are read.
        if !url.tls && !options.tls.is_empty() {
            return Err(Error::InvalidArgument(
                "TlsOptions need an amqps:// URL: nothing is encrypted, and nobody's certificate checked, at an amqp:// one"
                    .into(),
            ));
        }
        let options = options.or(url.options.clone());
        let hosts = hosts(&url, &options.hosts)?;
        let id = CLIENTS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            id,
            driver: Driver::new(id, url, options, hosts, world),
            is_broken: false,
            loops: 0,
            is_next_broken: false,
            on_event: None,
            jobs: None,
        })
    }

    pub(super) fn request<T>(&mut self, request: Request) -> Promise<T> {
        Promise::new(self.driver.request(request))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(jobs) = &self.jobs {
            jobs.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Delivery, QueueDeclareOk};

    #[test]
    fn a_client_can_go_to_another_thread_and_a_promise_is_a_plain_number() {
        fn is_send<T: Send>() {}
        fn is_plain<
            T: Copy + Eq + std::hash::Hash + std::fmt::Debug + std::fmt::Display + Send + Sync,
        >() {
        }
        is_send::<Client>();
        is_plain::<Promise<Delivery>>();
        let promise = Client::new("amqp:///").map(|mut client| client.queue_declare("a"));
        assert!(promise.is_ok_and(|promise| promise.number() == 1 && promise.to_string() == "1"));
    }

    #[test]
    fn options_of_tls_are_not_passed_over_where_nothing_is_encrypted() {
        use crate::TlsOptions;

        let all = [
            TlsOptions::new().ca_file("ca.pem"),
            TlsOptions::new().client_certificate("client.pem", "client.key"),
            TlsOptions::new().server_name("rabbit.example"),
            TlsOptions::new().dangerous_accept_any_certificate(),
        ];
        for tls in all {
            let options = ClientOptions::new().tls(tls);
            let error = Client::with_options("amqp://localhost/", options.clone()).unwrap_err();
            assert!(
                matches!(&error, Error::InvalidArgument(text) if text.contains("amqps://")),
                "{error}"
            );
            let made = Client::with_options("amqps://localhost/", options);
            assert_eq!(made.is_ok(), cfg!(feature = "tls"));
        }
        // What says nothing harms nobody.
        let options = ClientOptions::new().tls(TlsOptions::new());
        assert!(Client::with_options("amqp://localhost/", options).is_ok());
    }

    #[test]
    fn a_callback_that_sets_itself_anew_is_told_the_end_once() {
        use std::sync::Mutex;

        fn listen(client: &mut Client, promise: Promise<QueueDeclareOk>, told: Arc<Mutex<usize>>) {
            promise.then(client, move |client, promise, result| {
                assert!(result.is_err());
                let count = {
                    let mut count = told.lock().unwrap();
                    *count += 1;
                    *count
                };
                assert!(count < 10, "it is told the end for ever");
                listen(client, promise, told);
            });
        }

        let mut client = Client::new("amqp:///").unwrap();
        let mut other = Client::new("amqp:///").unwrap();
        let told = Arc::new(Mutex::new(0));
        // There is no connection; and it is another client's.
        let promise = client.queue_declare("a");
        listen(&mut client, promise, told.clone());
        listen(&mut other, promise, told.clone());
        client.run_any_callbacks();
        other.run_any_callbacks();
        assert_eq!(*told.lock().unwrap(), 2);
        // Whoever asks later is told that there is nothing.
        listen(&mut client, promise, told.clone());
        client.run_any_callbacks();
        assert_eq!(*told.lock().unwrap(), 3);
    }
}
