//! The protocol of a RabbitMQ in memory, one [`Session`] a connection: the handshake, frames in and out, channels and
//! their errors, confirms, heartbeats, the two ways to close.
//!
//! What queues, exchanges and messages do is the model's. Bytes and time go in, bytes come out; a session knows no
//! socket and no other session.

mod auth;
mod channel;
mod closing;
mod confirms;
mod fault;
mod handshake;
mod heartbeat;
mod host;
mod output;
mod publish;
mod requests;
mod trouble;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::chance::Chance;
use super::model::{ChannelKey, Event, LinkId, Model, Refusal};
use crate::wire::{
    self, FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, FrameError, FrameHead, Method,
    PROTOCOL_HEADER, WireMethod,
};
use channel::Channel;
use fault::Fault;
use heartbeat::Heartbeat;
pub(crate) use host::HostSettings;
use output::Output;
pub(crate) use trouble::{Death, Missed, Troubles};

/// How long RabbitMQ waits for a client to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long it waits for `connection.close-ok`, at most.
const CLOSING: Duration = Duration::from_secs(30);
/// How long it says nothing to somebody who made no sense.
const SILENCE: Duration = Duration::from_secs(3);
/// How late a confirm may be, by chance.
const CONFIRM_DELAY: Duration = Duration::from_millis(2);

/// What a session works with while it does something.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) model: &'a mut Model,
    pub(super) chance: &'a mut Chance,
    /// Why the broker takes no messages, if it does not.
    pub(super) alarm: Option<&'a str>,
    pub(super) troubles: &'a mut Troubles,
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The protocol header is to come; then start-ok, tune-ok, open.
    Header,
    Starting,
    Tuning,
    Opening,
    Running,
    /// `connection.close` is out, or its close-ok: all but a close and its close-ok is ignored.
    Closing,
    /// Nothing is read, and soon the socket is closed.
    Silent,
    /// The socket is to be closed.
    Done,
}

/// What a client said it can do.
#[derive(Debug, Clone, Copy, Default)]
struct Capabilities {
    authentication_failure_close: bool,
    connection_blocked: bool,
    consumer_cancel_notify: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    id: LinkId,
    host: HostSettings,
    phase: Phase,
    input: BytesMut,
    output: Output,
    client: Capabilities,
    /// What the client calls itself, if it does.
    name: String,
    user: String,
    /// `usize::MAX`: no limit.
    frame_max: usize,
    /// 0: no limit.
    channel_max: usize,
    channels: BTreeMap<u16, Channel>,
    heartbeat: Option<Heartbeat>,
    /// When the phase is over.
    deadline: Option<Instant>,
    /// When the confirms go out that are late.
    confirm_at: Option<Instant>,
    /// It has published in an alarm, and is not read.
    is_blocked: bool,
    /// The model knows of it.
    is_in_model: bool,
}

impl Session {
    pub(super) fn new(id: LinkId, host: HostSettings, now: Instant) -> Self {
        Self {
            id,
            phase: Phase::Header,
            input: BytesMut::new(),
            output: Output::default(),
            client: Capabilities::default(),
            name: String::new(),
            user: String::new(),
            frame_max: host.min_frame_max() as usize,
            host,
            channel_max: 0,
            channels: BTreeMap::new(),
            heartbeat: None,
            deadline: Some(now + HANDSHAKE),
            confirm_at: None,
            is_blocked: false,
            is_in_model: false,
        }
    }

    // Output.

    pub(super) fn take_output(&mut self, max: usize, chance: &mut Chance) -> Vec<u8> {
        self.output.take(max, chance)
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done && self.output.is_empty()
    }

    /// What the client calls itself; empty: nothing.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    // Input.

    pub(super) fn wants_read(&self) -> bool {
        !self.is_blocked && !matches!(self.phase, Phase::Silent | Phase::Done)
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.received();
        }
    }

    /// Does what the next frame says; false: there is none, or it is not read now.
    pub(super) fn step(&mut self, turn: &mut Turn<'_>) -> bool {
        if !self.wants_read() {
            return false;
        }
        if self.phase == Phase::Header {
            return self.read_protocol_header();
        }
        let head = match FrameHead::read(&self.input, self.frame_max) {
            Ok(Some(head)) if self.input.len() >= head.frame_size() => head,
            Ok(_) => return false,
            Err(error) => {
                let kind = self.input.first().copied().unwrap_or_default();
                self.fail(turn, 0, unreadable(kind, error, &[]));
                return false;
            }
        };
        let bytes = self.input.split_to(head.frame_size()).freeze();
        let result = match head.frame(&bytes) {
            Ok(frame) => self.take_frame(turn, frame.kind, frame.channel, frame.payload),
            Err(error) => {
                let payload = bytes.get(FrameHead::LEN..FrameHead::LEN + head.size);
                Err(unreadable(head.kind, error, payload.unwrap_or_default()))
            }
        };
        if let Err(fault) = result {
            self.fail(turn, head.channel, fault);
        }
        true
    }

    fn take_frame(
        &mut self,
        turn: &mut Turn<'_>,
        kind: u8,
        channel: u16,
        payload: &[u8],
    ) -> Result<(), Fault> {
        match (self.phase, kind, channel) {
            (_, FRAME_HEARTBEAT, 0) => Ok(()),
            (_, FRAME_METHOD, 0) => {
                let method = decode(payload)?;
                self.take_connection_method(turn, &method)
                    .map_err(|fault| fault.about(method.id()))
            }
            (Phase::Closing, ..) => Ok(()),
            (Phase::Running, FRAME_METHOD | FRAME_HEADER | FRAME_BODY, 1..) => {
                self.take_channel_frame(turn, channel, kind, payload)
            }
            (_, FRAME_METHOD | FRAME_HEADER | FRAME_BODY | FRAME_HEARTBEAT, _) => {
                Err(Fault::unexpected_frame(kind, payload))
            }
            _ => {
                let text = format!("type {kind}, {}: unknown_frame", fault::snippet(payload));
                Err(Fault::connection(501, text))
            }
        }
    }

    fn take_connection_method(
        &mut self,
        turn: &mut Turn<'_>,
        method: &Method<'_>,
    ) -> Result<(), Fault> {
        match (self.phase, method) {
            (Phase::Starting, Method::ConnectionStartOk(ok)) => self.start_ok(turn, ok),
            (Phase::Tuning, Method::ConnectionTuneOk(ok)) => self.tune_ok(turn, ok),
            (Phase::Opening, Method::ConnectionOpen(open)) => self.open(turn, open),
            (Phase::Running, Method::ConnectionClose(_)) => self.client_closes(turn),
            (Phase::Closing, Method::ConnectionClose(_)) => {
                self.say(0, &wire::ConnectionCloseOk {})
            }
            (Phase::Closing, Method::ConnectionCloseOk(_)) => {
                self.finish();
                Ok(())
            }
            (Phase::Closing, _) => Ok(()),
            (Phase::Running, Method::ConnectionUpdateSecret(_)) => {
                self.say(0, &wire::ConnectionUpdateSecretOk {})
            }
            (phase, _) => {
                let phase = match phase {
                    Phase::Starting => "starting",
                    Phase::Tuning => "tuning",
                    Phase::Opening => "opening",
                    _ => "running",
                };
                let text = format!("unexpected method in connection state {phase}");
                Err(Fault::connection(504, text))
            }
        }
    }

    // What the model does by itself.

    /// Tells the client, if it still wants to know.
    pub(super) fn tell(&mut self, turn: &mut Turn<'_>, event: &Event) {
        let (Event::Deliver { consumer, .. } | Event::Cancel(consumer)) = event;
        let number = consumer.channel.channel;
        let is_open = self.channels.get(&number).is_some_and(Channel::is_running);
        if self.phase != Phase::Running || !is_open {
            return;
        }
        let consumer_tag = consumer.tag.as_bytes();
        let result = match event {
            Event::Cancel(_) if !self.client.consumer_cancel_notify => Ok(()),
            Event::Cancel(_) => {
                let no_wait = true;
                self.say(
                    number,
                    &wire::BasicCancel {
                        consumer_tag,
                        no_wait,
                    },
                )
            }
            Event::Deliver {
                delivery_tag,
                redelivered,
                message,
                ..
            } => {
                let method = wire::BasicDeliver {
                    consumer_tag,
                    delivery_tag: *delivery_tag,
                    redelivered: *redelivered,
                    exchange: message.exchange.as_bytes(),
                    routing_key: message.routing_key.as_bytes(),
                };
                self.say_content(turn, number, &method, &message.properties, &message.body)
            }
        };
        if let Err(fault) = result {
            self.fail(turn, number, fault);
        }
    }

    // Time.

    /// When it wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let heartbeat = self.heartbeat.as_ref().map(Heartbeat::poll_timeout);
        [self.next_event(), heartbeat].into_iter().flatten().min()
    }

    /// The same without heartbeats.
    pub(super) fn next_event(&self) -> Option<Instant> {
        [self.deadline, self.confirm_at].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| turn.now >= at);
        if is_due(self.deadline) {
            return self.end(turn);
        }
        if is_due(self.confirm_at) {
            self.send_confirms(turn, true);
        }
        let is_reading = self.wants_read();
        let Some(heartbeat) = &mut self.heartbeat else {
            return;
        };
        let due = heartbeat.handle_timeout(turn.now, is_reading);
        if due.is_dead {
            turn.troubles.note_missed(Missed {
                link: self.id,
                name: self.name.clone(),
                at: turn.now,
                interval: heartbeat.interval(),
            });
            return self.end(turn);
        }
        // Where older bytes are still to be sent, those will do.
        if due.send && self.output.is_empty() {
            self.output.frame(FRAME_HEARTBEAT, 0, b"");
        }
    }

    // An alarm.

    /// Whether it was blocked: it may be read again.
    pub(super) fn unblock(&mut self) -> bool {
        if !std::mem::take(&mut self.is_blocked) {
            return false;
        }
        if self.client.connection_blocked {
            let said = self.say(0, &wire::ConnectionUnblocked {});
            debug_assert!(said.is_ok());
        }
        true
    }

    // Small things.

    fn key(&self, channel: u16) -> ChannelKey {
        ChannelKey {
            link: self.id,
            channel,
        }
    }

    /// No heartbeat is needed for a while.
    fn speaks(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.sent();
        }
    }

    fn say(&mut self, channel: u16, method: &impl WireMethod) -> Result<(), Fault> {
        self.speaks();
        self.output
            .method(channel, method)
            .map_err(|error| Fault::connection(541, error.to_string()))
    }

    fn say_content(
        &mut self,
        turn: &mut Turn<'_>,
        channel: u16,
        method: &impl WireMethod,
        properties: &wire::Properties,
        body: &[u8],
    ) -> Result<(), Fault> {
        self.speaks();
        let message = (properties, body);
        self.output
            .content(channel, method, message, self.frame_max, turn.chance)
            .map_err(|error| Fault::connection(541, error.to_string()))
    }
}

/// A method, or what RabbitMQ says of one that it cannot read.
fn decode(payload: &[u8]) -> Result<Method<'_>, Fault> {
    let malformed = |_| {
        let Some((&[c0, c1, m0, m1], fields)) = payload.split_first_chunk() else {
            return Fault::Wordless;
        };
        let method = [[c0, c1], [m0, m1]].map(u16::from_be_bytes);
        if wire::method_name(method[0], method[1]).is_none() {
            return Fault::Wordless;
        }
        let text = format!("cannot decode {}", fault::erlang(fields));
        Fault::connection(501, text).about(method.into())
    };
    Method::decode(payload).map_err(malformed)
}

/// What RabbitMQ says where it can no longer tell frames apart.
fn unreadable(kind: u8, error: FrameError, payload: &[u8]) -> Fault {
    let cause = match error {
        FrameError::TooLarge { size, max } => {
            let [size, max] = [size, max].map(|size| size.saturating_sub(wire::FRAME_OVERHEAD));
            format!("{{frame_too_large,{size},{max}}}")
        }
        FrameError::End(end) => format!("{{invalid_frame_end_marker,{end}}}"),
    };
    let text = format!("type {kind}, {}: {cause}", fault::snippet(payload));
    Fault::Unreadable(Refusal::connection(501, text))
}

#[cfg(test)]
mod tests;
