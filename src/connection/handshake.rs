//! The life of the connection itself: protocol header, start, tune, open; and close, in both directions.
//!
//! ```text
//!            header >        < start   start-ok >       < tune   tune-ok, open >      < open-ok
//!   new() ------------> Start -------------------> Tune --------------------> Opening ------> Open
//!                                                                                              |
//!                              Over <------ < close-ok ------ Closing <------ close > ---------+
//!                               ^                                                              |
//!                               +---- < close, close-ok >  (at any time)  ---------------------+
//! ```

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::channels::Channels;
use super::heartbeat::Heartbeat;
use super::{Config, Connection, Output, Publisher, Violation};
use crate::error::{Broken, Error, Printable, Reply};
use crate::outcome::{Connected, Outcome};
use crate::wire::{
    ConnectionClose, ConnectionCloseOk, ConnectionOpen, ConnectionStart, ConnectionStartOk,
    ConnectionTune, ConnectionTuneOk, FieldTable, MIN_FRAME_MAX, Method, PROTOCOL_HEADER,
    write_method,
};

/// The largest frame when the broker has no limit, and before it has told.
const FRAME_MAX: u32 = 131_072;

/// Who logs in, and to what. `Debug` does not show the password.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .field("vhost", &self.vhost)
            .finish_non_exhaustive()
    }
}

/// Where the connection is in its life, with the promise that waits for the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Start { connect: u64 },
    Tune { connect: u64 },
    Opening { connect: u64 },
    Open,
    Closing { close: u64 },
    Over,
}

impl State {
    pub(crate) fn is_open(self) -> bool {
        self == Self::Open
    }

    pub(crate) fn is_closing(self) -> bool {
        matches!(self, Self::Closing { .. })
    }

    pub(crate) fn is_over(self) -> bool {
        self == Self::Over
    }

    pub(crate) fn end(&mut self) {
        *self = Self::Over;
    }
}

impl Connection {
    /// A connection whose protocol header is ready to be written; `connect` is the promise of its opening.
    pub(crate) fn new(connect: u64, config: Config) -> Self {
        let mut out = Output::default();
        out.tail().extend_from_slice(PROTOCOL_HEADER);
        Self {
            state: State::Start { connect },
            out,
            channels: Channels::new(config.epoch),
            publisher: Publisher::default(),
            consumers: Default::default(),
            waiting: Default::default(),
            early: Default::default(),
            early_bytes: 0,
            heartbeat: Heartbeat::default(),
            frame_max: FRAME_MAX as usize,
            connected: None,
            blocked: None,
            ended: None,
            events: Default::default(),
            config,
        }
    }

    /// Begins to close; `close` is the promise of the end.
    pub(crate) fn close(&mut self, close: u64) {
        match self.state {
            State::Open => {
                let bye = ConnectionClose {
                    reply_code: 200,
                    reply_text: b"Goodbye",
                    ..Default::default()
                };
                let _ = write_method(self.out.tail(), 0, &bye);
                self.out.commit();
                self.state = State::Closing { close };
            }
            // Nothing is open yet that would have to be closed in order.
            State::Start { connect } | State::Tune { connect } | State::Opening { connect } => {
                self.settled(connect, Err(Error::Closed));
                self.end(&Error::Closed);
                self.settled(close, Ok(Outcome::Done));
            }
            State::Closing { .. } | State::Over => self.settled(close, Err(Error::Closed)),
        }
    }

    /// Whether the first bytes can be those of a frame. It ends the connection if not.
    pub(super) fn check_protocol(&mut self, input: &mut BytesMut) -> bool {
        let State::Start { connect } = self.state else {
            return true;
        };
        let Some(&first) = input.first() else {
            return false;
        };
        if first == crate::wire::FRAME_METHOD {
            return true;
        }
        if input.len() < PROTOCOL_HEADER.len()
            && PROTOCOL_HEADER.starts_with(&input[..input.len().min(4)])
        {
            return false;
        }
        let text = match input.first_chunk::<8>() {
            Some(&[b'A', b'M', b'Q', b'P', id, major, minor, revision]) => format!(
                "the peer speaks AMQP {id}-{major}-{minor}-{revision}, this client AMQP 0-9-1: is the port the right \
                 one?"
            ),
            _ => {
                let start = &input[..input.len().min(16)];
                format!(
                    "the peer does not speak AMQP: its first bytes are \"{}\"",
                    start.escape_ascii()
                )
            }
        };
        let error = Error::UnsupportedProtocol(text);
        self.settled(connect, Err(error.clone()));
        self.end(&error);
        false
    }

    /// A method on channel 0.
    pub(super) fn handle_connection_method(
        &mut self,
        method: &Method<'_>,
        payload: &Bytes,
        now: Instant,
    ) -> Result<(), Violation> {
        match (self.state, method) {
            (State::Start { connect }, Method::ConnectionStart(start)) => {
                self.start_login(connect, start, payload)
            }
            (State::Tune { connect }, Method::ConnectionTune(tune)) => {
                self.tune(connect, tune, now)
            }
            (State::Opening { connect }, Method::ConnectionOpenOk(_)) => {
                self.state = State::Open;
                if let Some(connected) = self.connected.clone() {
                    log::debug!(
                        "connected to {connected}: channel_max {}, frame_max {}, heartbeat {} s",
                        connected.channel_max,
                        connected.frame_max,
                        connected.heartbeat
                    );
                    self.settled(connect, Ok(Outcome::Connected(connected)));
                }
                self.serve_early();
                Ok(())
            }
            (State::Closing { close }, Method::ConnectionCloseOk(_)) => {
                log::debug!("connection closed");
                self.end(&Error::Closed);
                self.settled(close, Ok(Outcome::Done));
                Ok(())
            }
            (_, Method::ConnectionClose(close)) => {
                self.closed_by_broker(close);
                Ok(())
            }
            (State::Closing { .. }, _) => Ok(()),
            (_, Method::ConnectionBlocked(blocked)) => {
                let reason = String::from_utf8_lossy(blocked.reason).into_owned();
                log::warn!(
                    "the broker takes no messages for now: {}",
                    Printable(&reason)
                );
                self.blocked = Some(reason);
                Ok(())
            }
            (_, Method::ConnectionUnblocked(_)) => {
                log::warn!("the broker takes messages again");
                self.blocked = None;
                Ok(())
            }
            (_, method) => Err(Violation::new(
                503,
                format!("{} on channel 0 at this time", method.name()),
            )),
        }
    }

    fn start_login(
        &mut self,
        connect: u64,
        start: &ConnectionStart<'_>,
        payload: &Bytes,
    ) -> Result<(), Violation> {
        let server_properties = FieldTable::from_wire(payload, start.server_properties);
        if !start
            .mechanisms
            .split(|&byte| byte == b' ')
            .any(|mechanism| mechanism == b"PLAIN")
        {
            return Err(Violation::new(
                540,
                format!(
                    "no login mechanism in common: PLAIN is not in {:?}",
                    start.mechanisms.escape_ascii().to_string()
                ),
            ));
        }
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
        let Login {
            username, password, ..
        } = &self.config.login;
        let response = format!("\0{username}\0{password}");
        let properties = client_properties(&self.config.options.client_properties);
        let ok = ConnectionStartOk {
            client_properties: properties.encoded(),
            mechanism: b"PLAIN",
            response: response.as_bytes(),
            locale: b"en_US",
        };
        let written = properties
            .check_encodable()
            .and_then(|()| write_method(self.out.tail(), 0, &ok));
        self.state = State::Tune { connect };
        self.finish_or_give_up(connect, written)
    }

    fn tune(&mut self, connect: u64, tune: &ConnectionTune, now: Instant) -> Result<(), Violation> {
        let options = &self.config.options;
        let channel_max = smaller_limit(
            options.channel_max.into(),
            tune.channel_max.into(),
            u16::MAX.into(),
        );
        let frame_max = smaller_limit(options.frame_max, tune.frame_max, FRAME_MAX);
        if frame_max < MIN_FRAME_MAX {
            return Err(Violation::new(
                530,
                format!("frame_max {frame_max} is below {MIN_FRAME_MAX}"),
            ));
        }
        let heartbeat = Heartbeat::negotiate(options.heartbeat, tune.heartbeat);
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
        self.state = State::Opening { connect };
        self.finish_or_give_up(connect, written)
    }

    /// Ends the login if the user's own words do not fit into it.
    fn finish_or_give_up(
        &mut self,
        connect: u64,
        written: Result<(), crate::wire::EncodeError>,
    ) -> Result<(), Violation> {
        match written {
            Ok(()) => self.out.commit(),
            Err(error) => {
                let error = Error::InvalidArgument(error.to_string());
                self.settled(connect, Err(error.clone()));
                self.end(&error);
            }
        }
        Ok(())
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
        self.fail_connect_or_close(&error);
        self.end(&error);
    }

    /// The promise of the step that the connection is in, if it is in any.
    pub(super) fn fail_connect_or_close(&mut self, error: &Error) {
        match self.state {
            State::Start { connect } | State::Tune { connect } | State::Opening { connect } => {
                self.settled(connect, Err(error.clone()));
            }
            State::Closing { close } => self.settled(close, Err(error.clone())),
            State::Open | State::Over => {}
        }
    }
}

impl Connection {
    /// The end of the connection: nothing may stay open.
    pub(super) fn end(&mut self, error: &Error) {
        self.state.end();
        self.ended = Some(error.clone());
        self.heartbeat.stop();
        self.publisher_lost(error);
        for channel in self.channels.drain().collect::<Vec<_>>() {
            self.fail_channel(channel, error);
        }
        for (number, _) in std::mem::take(&mut self.waiting) {
            self.settled(number, Err(error.clone()));
        }
        for early in std::mem::take(&mut self.early) {
            self.settled(early.number, Err(Error::NotSent(Box::new(error.clone()))));
        }
        self.early_bytes = 0;
    }

    /// Ends a connection whose peer may not be trusted any further.
    pub(super) fn break_off(&mut self, violation: Violation) {
        let Violation {
            code,
            text,
            method: (class_id, method_id),
        } = violation;
        let reply = Reply {
            code,
            text,
            class_id,
            method_id,
            from_broker: false,
        };
        let error = Error::from_reply(reply.clone());
        self.take_back_unsent(&error);
        let text = reply.text.as_bytes();
        let close = ConnectionClose {
            reply_code: code,
            reply_text: &text[..text.len().min(255)],
            class_id,
            method_id,
        };
        let _ = write_method(self.out.tail(), 0, &close);
        self.out.commit();
        log::debug!("closing the connection: {error}");
        self.fail_connect_or_close(&error);
        self.end(&error);
    }

    /// The socket has gone.
    pub(crate) fn handle_disconnect(&mut self, broken: Broken) {
        if self.state.is_over() {
            return;
        }
        let error = Error::ConnectionBroken(broken);
        log::debug!("{error}");
        self.fail_connect_or_close(&error);
        self.end(&error);
        // What was called not sent must not be sent after all.
        self.out = Output::default();
    }
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
