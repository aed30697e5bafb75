//! How a connection is made: looking up a host, trying the next one, and trying again after a loss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Driver;
use super::deadline::{Deadline, Step};
use crate::connection::{Config, Connection, Login};
use crate::net::clock::after;
use crate::net::lookup::Addresses;
use crate::net::transport::{SocketOptions, Stream, TlsConfig};
use crate::types::client_options::AuthMechanism;
use crate::types::error::{Disconnect, Error};
use crate::types::ids::PromiseId;
use crate::types::tls_failure::TlsFailure;
use crate::wire::MIN_FRAME_MAX;

/// Channel epochs of one connection stay below this.
const EPOCHS: u64 = 1 << 40;

/// How often to see whether a host has been looked up, where the lookup cannot wake who waits for it.
const LOOK: Duration = Duration::from_millis(5);

impl<C> Driver<C> {
    /// Begins to connect.
    pub(crate) fn connect(&mut self) -> PromiseId {
        let promise = self.promises.single();
        if self.begin(promise, false) {
            self.dialer.begin_round(|| self.world.chance());
            self.dial();
        }
        promise
    }

    /// Begins to connect over a stream of the program's own.
    pub(crate) fn connect_over(&mut self, stream: Box<dyn Stream>) -> PromiseId {
        let promise = self.promises.single();
        if self.begin(promise, true) {
            self.start_clock();
            let tls = self.tls_config().map_err(Error::InvalidArgument);
            let adopted = tls.and_then(|tls| {
                let tls = tls.map(|tls| (tls, self.server_name(&self.url.host)));
                self.reactor
                    .adopt(stream, tls)
                    .map_err(Error::ConnectionBroken)
            });
            if let Err(error) = adopted {
                self.give_up(&error);
            }
        }
        promise
    }

    /// Makes the connection that is to get a socket; false if there is one, or may not be one.
    fn begin(&mut self, promise: PromiseId, is_given: bool) -> bool {
        self.see_end();
        let error = match self.options.frame_max_or_default() {
            _ if self.connection.is_some() => Error::AlreadyConnected,
            max @ 1..MIN_FRAME_MAX => Error::InvalidArgument(format!(
                "frame_max is {max}, and AMQP asks for {MIN_FRAME_MAX} at least"
            )),
            _ => {
                self.connections += 1;
                let config = Config {
                    login: self.login(),
                    options: self.options.clone(),
                    client: self.client,
                    epoch: self.connections * EPOCHS,
                    now: self.now(),
                    // A stream of the program's own cannot be had again.
                    recovers: self.options.recovery.is_some() && !is_given,
                };
                self.connection = Some(Connection::new(promise.number, config));
                self.last_error = None;
                return true;
            }
        };
        self.promises.resolve(promise.number, Err(error));
        false
    }

    /// Sees whether the connection has ended meanwhile: a program that was busy elsewhere has not been told yet.
    fn see_end(&mut self) {
        if self.is_open() {
            self.look_for_end();
            self.reactor.set_readable();
            self.read();
        }
    }

    fn login(&self) -> Login {
        use AuthMechanism::{AmqPlain, External, Plain};
        let mechanisms = match &self.options.auth_mechanisms[..] {
            [] if self.options.tls.certificate_file.is_some() && !self.url.has_login => {
                vec![External, Plain, AmqPlain]
            }
            [] => vec![Plain, AmqPlain],
            chosen => chosen.to_vec(),
        };
        Login {
            mechanisms,
            username: self.url.username.clone(),
            password: self.url.password.clone(),
            vhost: self.url.vhost.clone(),
        }
    }

    /// Reads the files; what is wrong with one of them.
    fn tls_config(&self) -> Result<Option<TlsConfig>, String> {
        if !self.url.tls {
            return Ok(None);
        }
        TlsConfig::new(&self.options.tls).map(Some)
    }

    /// What the broker's certificate has to name. No certificate has the zone of an address.
    fn server_name(&self, host: &str) -> String {
        let host = host.split_once('%').map_or(host, |(address, _)| address);
        let chosen = self.options.tls.server_name.as_deref();
        chosen.unwrap_or(host).to_owned()
    }

    fn start_clock(&mut self) {
        let now = self.now();
        let longest = self.options.connect_timeout_or_default();
        let allowance = match &self.options.recovery {
            Some(recovery) => self.dialer.allowance(now, recovery, longest),
            None => longest,
        };
        self.deadline = Some(Deadline {
            at: after(now, allowance),
            limit: allowance,
            step: Step::Connecting,
            is_fresh: true,
        });
    }

    /// Tries the next host of this round.
    fn dial(&mut self) {
        if let Some(recovery) = &self.options.recovery
            && self.dialer.is_too_late(self.now(), recovery)
        {
            return self.round_failed();
        }
        let Some(host) = self.dialer.next_host() else {
            return self.round_failed();
        };
        let Some(connection) = &mut self.connection else {
            return;
        };
        if connection.is_suspended() {
            connection.restart();
        }
        connection.set_retry(self.dialer.may_go_on());
        self.start_clock();
        // Without one, it is asked from time to time.
        let waker = self.reactor.waker().ok();
        match self.world.look_up(&host.name, host.port, waker) {
            Ok(lookup) => {
                self.lookup = Some(lookup);
                self.see_lookup();
            }
            Err(error) => self.looked_up(Err(error)),
        }
    }

    fn see_lookup(&mut self) {
        if let Some(lookup) = &self.lookup
            && let Some(addresses) = lookup.poll()
        {
            self.lookup = None;
            self.looked_up(addresses);
        }
    }

    fn looked_up(&mut self, addresses: Addresses) {
        let host = self.dialer.host_name();
        let deadline = self
            .deadline
            .map_or_else(|| self.now(), |deadline| deadline.at);
        let tls = match self.tls_config() {
            Ok(tls) => tls.map(|tls| (tls, self.server_name(&host))),
            // Somebody may be replacing the file just now: the next attempt reads it again.
            Err(wrong) if self.dialer.is_recovering() => {
                return self.disconnected(Disconnect::Tls(TlsFailure::File(wrong)));
            }
            Err(wrong) => return self.give_up(&Error::InvalidArgument(wrong)),
        };
        let options = SocketOptions {
            tcp_timeout: self.options.tcp_timeout,
        };
        let started = addresses
            .map_err(|error| Disconnect::Resolve {
                host,
                error: Arc::new(error),
            })
            .and_then(|addresses| self.reactor.connect(addresses, deadline, options, tls));
        if let Err(broken) = started {
            self.disconnected(broken);
        }
    }

    /// The connection has lost its socket, or not got one, and is to have another.
    ///
    /// An attempt may fail at once, and is told here, too: then the next one follows it, not from inside of it, for there
    /// may be many.
    pub(crate) fn redial(&mut self) {
        if std::mem::replace(&mut self.is_dialing, true) {
            return;
        }
        while let Some(connection) = &mut self.connection
            && connection.is_suspended()
            && let Some(error) = connection.take_failure()
        {
            let has_got_on = connection.take_progress();
            self.dial_after(error, has_got_on);
        }
        self.is_dialing = false;
    }

    /// What follows such a failure: the next host, the next round, a pause, or the end.
    fn dial_after(&mut self, error: Error, has_got_on: bool) {
        self.write_rest();
        self.drop_socket();
        if has_got_on && let Some(recovery) = &self.options.recovery {
            self.dialer.has_got_on(self.world.now(), recovery);
        }
        if self.dialer.was_up()
            && let Some(recovery) = &self.options.recovery
        {
            if self.dialer.note_lost(self.world.now(), recovery) {
                self.dialer.begin_round(|| self.world.chance());
                self.dial();
            } else {
                self.dialer.failed(error);
                self.round_failed();
            }
        } else {
            self.dialer.failed(error);
            self.dial();
        }
    }

    /// Every host was tried in vain.
    fn round_failed(&mut self) {
        if let Some(recovery) = &self.options.recovery
            && self
                .dialer
                .pause(self.world.now(), recovery, self.world.chance())
        {
            return;
        }
        let error = self.dialer.verdict();
        self.give_up(&error);
    }

    fn give_up(&mut self, error: &Error) {
        if let Some(connection) = &mut self.connection {
            connection.end(error);
        }
        self.collect();
    }

    /// Sees to a lookup that is slow, and to a pause that is over.
    pub(crate) fn handle_dialing(&mut self, now: Instant) {
        self.see_lookup();
        if self.dialer.next_round.is_some_and(|next| now >= next) {
            self.dialer.begin_round(|| self.world.chance());
            self.dial();
        }
    }

    /// How long a poll that no lookup can wake may sleep, while there is one.
    pub(crate) fn time_to_look(&self) -> Option<Duration> {
        self.lookup.as_ref().map(|_| LOOK)
    }

    /// When [`handle_dialing`](Self::handle_dialing) wants to be called.
    pub(crate) fn dialing_timeout(&self) -> Option<Instant> {
        match &self.lookup {
            Some(lookup) if lookup.wakes() => None,
            Some(_) => Some(self.now() + LOOK),
            None => self.dialer.next_round,
        }
    }
}
