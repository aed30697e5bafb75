//! The life of the connection itself: protocol header, start, tune, open; and close, in both directions.
//!
//! The states it goes through are drawn in `state.rs`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::connection::Connection;
use crate::connection::heartbeat::Heartbeat;
use crate::connection::state::State;
use crate::connection::violation::Violation;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::reply::Reply;
use crate::types::results::{Connected, Outcome};
use crate::wire::{
    ConnectionClose, ConnectionCloseOk, ConnectionOpen, ConnectionStart, ConnectionStartOk,
    ConnectionTune, ConnectionTuneOk, ConnectionUpdateSecret, FieldTable, MIN_FRAME_MAX, Method,
    PROTOCOL_HEADER, ShortStr, check_frame, reply_code, write_method,
};

/// The largest frame when the broker has no limit, and before it has told.
pub(super) const FRAME_MAX: u32 = 131_072;

impl Connection {
    /// Begins to close; `close` is the promise of the end.
    pub(crate) fn close(&mut self, close: PromiseNumber) {
        match self.state {
            State::Open => {
                // Nothing may follow.
                self.release_all_held();
                let bye = ConnectionClose {
                    reply_code: reply_code::REPLY_SUCCESS,
                    reply_text: b"Goodbye",
                    ..Default::default()
                };
                let _ = write_method(self.out.tail(), 0, &bye);
                self.out.commit();
                self.state.enter(State::Closing);
                self.closes.push(close);
            }
            State::Closing => self.closes.push(close),
            // Nothing is open yet that would have to be closed in order.
            State::Suspended | State::Start | State::Tune | State::Opening | State::Recovering => {
                self.end(&Error::Closed);
                self.resolve(close, Ok(Outcome::Done));
            }
            State::Over => self.resolve(close, Err(Error::Closed)),
        }
    }

    /// A method on channel 0.
    pub(super) fn handle_connection_method(
        &mut self,
        method: &Method<'_>,
        now: Instant,
    ) -> Result<(), Violation> {
        match (self.state, method) {
            (State::Start, Method::ConnectionStart(start)) => self.start_login(start),
            (State::Tune, Method::ConnectionTune(tune)) => self.tune(tune, now),
            (State::Opening, Method::ConnectionOpenOk(_)) => {
                self.opened();
                Ok(())
            }
            (State::Closing, Method::ConnectionCloseOk(_)) => {
                log::debug!("connection closed");
                let closes = std::mem::take(&mut self.closes);
                self.end(&Error::Closed);
                for close in closes {
                    self.resolve(close, Ok(Outcome::Done));
                }
                Ok(())
            }
            (_, Method::ConnectionClose(close)) => {
                self.closed_by_broker(close);
                Ok(())
            }
            (State::Closing, _) => Ok(()),
            (_, Method::ConnectionBlocked(blocked)) => {
                self.block(String::from_utf8_lossy(blocked.reason).into_owned(), now);
                Ok(())
            }
            (_, Method::ConnectionUnblocked(_)) => {
                self.unblock();
                Ok(())
            }
            (_, Method::ConnectionUpdateSecretOk(_)) if !self.secrets.is_empty() => {
                if let Some(promise) = self.secrets.pop_front() {
                    self.resolve(promise, Ok(Outcome::Done));
                }
                Ok(())
            }
            (_, method) => Err(Violation::new(
                reply_code::COMMAND_INVALID,
                format!("{} on channel 0 at this time", method.name()),
            )),
        }
    }

    fn opened(&mut self) {
        let Some(connected) = self.connected.clone() else {
            return;
        };
        log::debug!(
            "connected to {connected}: channel_max {}, frame_max {}, heartbeat {} s",
            connected.channel_max,
            connected.frame_max,
            connected.heartbeat
        );
        match self.connect.take() {
            Some(connect) => {
                self.state.enter(State::Open);
                self.retry = self.config.recovers;
                self.resolve(connect, Ok(Outcome::Connected(connected)));
                self.serve_early();
            }
            None => self.begin_replay(),
        }
    }

    fn start_login(&mut self, start: &ConnectionStart<'_>) -> Result<(), Violation> {
        let (major, minor) = (start.version_major, start.version_minor);
        if (major, minor) != (0, 9) {
            let text = format!("the peer speaks AMQP {major}-{minor}, this client AMQP 0-9-1");
            self.suspend(&Error::UnsupportedProtocol(text));
            return Ok(());
        }
        let server_properties =
            FieldTable::from_wire(Bytes::copy_from_slice(start.server_properties));
        let Some(mechanism) = self.config.login.mechanism(start.mechanisms) else {
            // The socket is closed without a word, as AMQP asks for.
            let offered = &start.mechanisms[..start.mechanisms.len().min(255)];
            self.suspend(&Error::NoMechanism {
                offered: String::from_utf8_lossy(offered).into_owned(),
                allowed: self.config.login.mechanism_names(),
            });
            return Ok(());
        };
        let connected = Connected {
            server_properties,
            channel_max: 0,
            frame_max: 0,
            heartbeat: 0,
            pubacks: false,
        };
        let pubacks = self.config.options.pubacks;
        let confirms = pubacks.unwrap_or_else(|| connected.has_capability("publisher_confirms"));
        self.publisher.confirms = confirms;
        self.connected = Some(Arc::new(Connected {
            pubacks: confirms,
            ..connected
        }));
        let response = self.config.login.response(mechanism);
        let properties = client_properties(&self.config.options.client_properties);
        let ok = ConnectionStartOk {
            client_properties: properties.encoded(),
            mechanism: mechanism.name().as_bytes(),
            response: &response,
            locale: b"en_US",
        };
        let users = &self.config.options.client_properties;
        let written = users
            .check_encodable()
            .and_then(|()| write_method(self.out.tail(), 0, &ok));
        self.state.enter(State::Tune);
        self.commit_login(written)
    }

    fn tune(&mut self, tune: &ConnectionTune, now: Instant) -> Result<(), Violation> {
        let options = &self.config.options;
        let channel_max = smaller_limit(
            options.channel_max_or_default().into(),
            tune.channel_max.into(),
            u16::MAX.into(),
        );
        let frame_max = smaller_limit(options.frame_max_or_default(), tune.frame_max, FRAME_MAX);
        if frame_max < MIN_FRAME_MAX {
            return Err(Violation::new(
                reply_code::NOT_ALLOWED,
                format!("frame_max {frame_max} is below {MIN_FRAME_MAX}"),
            ));
        }
        let heartbeat = Heartbeat::negotiate(options.heartbeat_or_default(), tune.heartbeat);
        let channel_max = u16::try_from(channel_max).unwrap_or(u16::MAX);
        self.channels.set_max(channel_max);
        // No frame can now be smaller than its own overhead.
        self.frame_max = frame_max as usize;
        if let Some(connected) = self.connected.take() {
            let connected = Connected {
                channel_max,
                frame_max,
                heartbeat,
                ..Arc::unwrap_or_clone(connected)
            };
            self.connected = Some(Arc::new(connected));
        }
        let ok = ConnectionTuneOk {
            channel_max,
            frame_max,
            heartbeat,
        };
        let vhost = self.config.login.vhost.as_bytes();
        let open = ConnectionOpen {
            virtual_host: vhost,
            ..Default::default()
        };
        let written = write_method(self.out.tail(), 0, &ok)
            .and_then(|()| write_method(self.out.tail(), 0, &open));
        self.heartbeat.start(heartbeat, now);
        self.state.enter(State::Opening);
        self.commit_login(written)
    }

    /// Ends the login if the user's own words do not fit into it.
    fn commit_login(
        &mut self,
        written: Result<(), crate::wire::EncodeError>,
    ) -> Result<(), Violation> {
        match written {
            Ok(()) => self.out.commit(),
            Err(error) => {
                self.end(&Error::InvalidArgument(error.to_string()));
            }
        }
        Ok(())
    }

    /// Tells the broker a new secret; later logins use it as well.
    pub(crate) fn update_secret(
        &mut self,
        promise: PromiseNumber,
        secret: String,
        reason: &ShortStr,
    ) {
        let update = ConnectionUpdateSecret {
            new_secret: secret.as_bytes(),
            reason: reason.as_bytes(),
        };
        if self.state.is_up() {
            let out = self.out.tail();
            let mark = out.len();
            let written =
                write_method(out, 0, &update).and_then(|()| check_frame(out, mark, self.frame_max));
            if let Err(error) = written {
                out.truncate(mark);
                let error = Error::InvalidArgument(error.to_string());
                return self.resolve(promise, Err(error));
            }
            self.out.commit();
            self.secrets.push_back(promise);
        } else if matches!(self.state, State::Closing | State::Over) {
            self.resolve(promise, Err(Error::Closed));
        } else {
            // The login, which is yet to come, tells it.
            self.resolve(promise, Ok(Outcome::Done));
        }
        self.config.login.password = secret;
    }

    fn closed_by_broker(&mut self, close: &ConnectionClose<'_>) {
        let _ = write_method(self.out.tail(), 0, &ConnectionCloseOk {});
        self.out.commit();
        let reply = Reply::from_broker(
            close.reply_code,
            close.reply_text,
            close.class_id,
            close.method_id,
        );
        let error = Error::from_reply(reply);
        log::debug!("the broker closed the connection: {error}");
        if self.state.is_closing() && matches!(error, Error::ConnectionForced(_)) {
            // An operator was faster: it is closed in order, as was asked for.
            for close in std::mem::take(&mut self.closes) {
                self.resolve(close, Ok(Outcome::Done));
            }
        }
        self.suspend(&error);
    }
}

/// How a peer begins.
#[derive(Debug)]
pub(crate) enum FirstBytes {
    TooFew,
    Frame,
    /// The peer speaks something else; what that is, in words.
    Foreign(String),
}

/// What the first bytes can be.
pub(crate) fn first_bytes(input: &[u8]) -> FirstBytes {
    let Some(&first) = input.first() else {
        return FirstBytes::TooFew;
    };
    if first == crate::wire::FRAME_METHOD {
        return FirstBytes::Frame;
    }
    if input.len() < PROTOCOL_HEADER.len()
        && PROTOCOL_HEADER.starts_with(&input[..input.len().min(4)])
    {
        return FirstBytes::TooFew;
    }
    let text = match *input {
        [b'A', b'M', b'Q', b'P', id, major, minor, revision, ..] => format!(
            "the peer speaks AMQP {id}-{major}-{minor}-{revision}, this client AMQP 0-9-1: is the port the right \
             one?"
        ),
        // The head of an alert, which may come in pieces.
        [0x15 | 0x16] | [0x15 | 0x16, 3] => return FirstBytes::TooFew,
        [0x15 | 0x16, 3, ..] => {
            "the peer speaks TLS: use amqps://, or the port for plain AMQP (5672)".to_owned()
        }
        _ => {
            let start = &input[..input.len().min(16)];
            format!(
                "the peer does not speak AMQP: its first bytes are \"{}\"",
                start.escape_ascii()
            )
        }
    };
    FirstBytes::Foreign(text)
}

/// 0 is no limit, on either side; `otherwise` counts where both have none.
fn smaller_limit(ours: u32, theirs: u32, otherwise: u32) -> u32 {
    [ours, theirs]
        .into_iter()
        .filter(|&limit| limit != 0)
        .min()
        .unwrap_or(otherwise)
}

/// What the broker is told of this client: the user's word before ours.
fn client_properties(users: &FieldTable) -> FieldTable {
    let capabilities = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
    ];
    let capabilities: FieldTable = capabilities.into_iter().map(|name| (name, true)).collect();
    let mut properties = FieldTable::new()
        .with("product", "puka")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("platform", "Rust")
        .with("capabilities", capabilities);
    properties.extend(users.iter());
    properties
}
