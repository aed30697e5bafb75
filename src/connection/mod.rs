//! One AMQP connection, without socket, clock or thread: bytes and the time go in; bytes, results and the time of the
//! next timer come out. That is what lets the whole client be tested against a scripted peer in memory.
//!
//! # The life of a request
//! ```text
//!   request(promise, ..)                                    handle_read(count)
//!        |                                                        |
//!        v      no channel free                                   v
//!   [ check ] ----------------> waiting                   [ Input::next ]
//!        |                         |                              |
//!        | a channel, of the pool  | one is released              v
//!        v <-----------------------+                     [ Method::decode ]
//!   channel.open (if new), the method                             |
//!        |  encoded straight into `out`;                          v
//!        |  the reply is now expected                 the channel's expected reply
//!        v                                                        |
//!   out.slices() -> the socket                        events: (promise, result)
//! ```
//!
//! The methods are of four kinds: commands of the user ([`request`](Connection::request),
//! [`publish`](Connection::publish), [`settle`](Connection::settle), …), input from outside (`handle_*`), output
//! (`poll_*` and [`out`](Connection::out)), and questions. After any of the first two, take all events and write the
//! output.
//!
//! # Words
//! - *Socket*: what carries a connection. With recovery a connection lives over several, one after another.
//! - *Promise*: the user's number for a result. It is *resolved*, once; that of a consumer has deliveries before.
//! - *Request*: what the user asks of the broker. A *call* is one of one method out and one method in.
//! - *Rpc*: a message to another program, and the reply of that one.
//! - *Channel*: AMQP's. Its *role* is what goes on there; its *epoch* tells it from the next one of the same number.
//! - *Confirm channel*: the one of all publishes. *In flight* is what the broker has not answered there.
//! - *Held*: a publish that stands in *line*, because it cannot be written yet; a delivery that the *gate* keeps from the user.
//! - *Settled*: a delivery that was acknowledged or refused. A publish, as any promise, is resolved.
//! - *Fence*: a `basic.qos` that changes nothing. Its answer says that the broker has handled all before it.
//! - *Suspended*: without a socket; of a consumer, without a channel.
//! - *Step*: one declaration that is made again. All steps, in the order of what needs what, are the *plan*, and doing
//!   them is the *replay*.
//! - *Suspect*: what the last connections may have died of. A *careful* connection sends suspects one by one, and a
//!   suspect that is *convicted* is not sent again.
//!
//! # Files
//! Data, each file below those that use it: `config`, `event`, `violation`, `state` (every state and every way between
//! them), `request` (and `encode`, its bytes), `expect` (replies that the broker owes), `channel`, `channels`.
//!
//! Behaviour: `handshake` opens and closes, `requests` decides whose turn it is and takes the replies, `rpc` waits for other
//! programs, `heartbeat` has the timers of a socket, `end` has every end. Here are the connection itself, and what a frame
//! is for.
//!
//! - `incoming/`: what is read: frames, then messages.
//! - `publish/`: publishes, from the call to the bytes; their confirms, returns and refusals; those that wait; the output.
//! - `consume/`: consumers, their prefetch, and how deliveries are settled or go back.
//! - `recovery/`: how all of it is carried over to another socket, and how not every socket dies of the same.
//! - `rig`, for tests and fuzzers alone: a connection without a socket, and how bytes go in and out.

mod channel;
mod channels;
mod config;
mod consume;
mod encode;
mod end;
mod event;
mod expect;
mod handshake;
mod heartbeat;
mod incoming;
mod publish;
mod recovery;
mod request;
mod requests;
#[cfg(any(test, fuzzing))]
pub(crate) mod rig;
mod rpc;
#[cfg(test)]
#[path = "../../tests/simulator/core/mod.rs"]
mod simulator;
mod state;
#[cfg(test)]
mod tests;
mod violation;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

pub(crate) use config::{Config, Login};
pub(crate) use consume::settle::Settle;
pub(crate) use event::Event;
pub(crate) use publish::output::{Output, SLICES};
pub(crate) use request::{Request, RpcRequest};

use crate::connection::channel::PUBLISHER;
use crate::connection::channels::Channels;
use crate::connection::consume::consumer::Consumer;
use crate::connection::consume::gate::Account;
use crate::connection::consume::returning::WORK;
use crate::connection::expect::Expect;
use crate::connection::handshake::{FirstBytes, first_bytes};
use crate::connection::heartbeat::{Due, Heartbeat};
use crate::connection::incoming::input::{Input, Next};
use crate::connection::incoming::memory::Memory;
use crate::connection::incoming::{Incoming, Kind};
use crate::connection::publish::blocked::Blocked;
use crate::connection::publish::early::EarlyPublish;
use crate::connection::publish::publisher::Publisher;
use crate::connection::recovery::blame::Blame;
use crate::connection::recovery::replay::Replay;
use crate::connection::recovery::topology::Topology;
use crate::connection::rpc::OpenRpc;
use crate::connection::state::State;
use crate::connection::violation::Violation;
use crate::types::error::{Disconnect, Error, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::Delivery;
use crate::types::results::{Connected, Outcome};
use crate::wire::{
    BasicDeliver, ChannelFlowOk, DEFAULT_FRAME_MAX, FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT,
    FRAME_METHOD, Frame, Method, PROTOCOL_HEADER, begin_frame, end_frame, reply_code, write_method,
};

#[derive(Debug)]
pub(crate) struct Connection {
    config: Config,
    /// How much work the broker may have with deliveries that go back one by one.
    return_work: usize,
    state: State,
    /// The promise of the opening, until it is open.
    connect: Option<PromiseNumber>,
    /// Promises of the closing, while that takes.
    closes: Vec<PromiseNumber>,
    /// Whether there would be another socket after this one.
    retry: bool,
    /// Why there is no socket, while there is none.
    failure: Option<Error>,
    /// The time as it was last told.
    now: Instant,
    input: Input,
    /// For what is kept of it.
    memory: Memory,
    /// What is to be written.
    pub(crate) out: Output,
    channels: Channels,
    publisher: Publisher,
    /// The channel of each consumer, by its promise.
    consumers: HashMap<PromiseNumber, ChannelId>,
    /// What their gates hold back.
    gates: Account,
    /// Requests that wait for a channel, or for the connection to open, by their promises: first come, first served.
    waiting: BTreeMap<PromiseNumber, Request>,
    /// Publishes that wait for the connection to open.
    early: VecDeque<EarlyPublish>,
    /// Bytes of this process that they take.
    early_bytes: usize,
    heartbeat: Heartbeat,
    /// The largest frame, ours and theirs. At least 4096 from the start, as tune sees to.
    frame_max: usize,
    /// None until the connection is open.
    connected: Option<Arc<Connected>>,
    /// While the broker takes no messages.
    blocked: Option<Blocked>,
    /// Promises of `update_secret`, oldest first.
    secrets: VecDeque<PromiseNumber>,
    /// Open rpcs, by when they are given up, and their promises.
    rpcs: BTreeMap<(Instant, PromiseNumber), OpenRpc>,
    /// What the client has declared.
    topology: Topology,
    /// The making anew of all that was there before a loss.
    replay: Replay,
    /// What connections have died of.
    blame: Blame,
    /// Whether anything was done that need not be done again.
    has_got_on: bool,
    /// Consumers without a channel, with the reason why they have none.
    suspended: VecDeque<(Consumer, Error)>,
    /// Why it is over, once it is.
    ended: Option<Error>,
    events: VecDeque<Event>,
}

impl Connection {
    /// A connection whose protocol header is ready to be written; `connect` is the promise of its opening.
    pub(crate) fn new(connect: PromiseNumber, config: Config) -> Self {
        let mut out = Output::default();
        out.tail().extend_from_slice(PROTOCOL_HEADER);
        Self {
            return_work: WORK,
            state: State::Start,
            connect: Some(connect),
            closes: Vec::new(),
            retry: false,
            failure: None,
            now: config.now,
            topology: Topology::default(),
            replay: Replay::default(),
            blame: Default::default(),
            has_got_on: false,
            suspended: Default::default(),
            secrets: Default::default(),
            rpcs: Default::default(),
            input: Input::default(),
            memory: Memory::default(),
            out,
            channels: Channels::new(config.epoch),
            publisher: Publisher::default(),
            consumers: Default::default(),
            gates: Default::default(),
            waiting: Default::default(),
            early: Default::default(),
            early_bytes: 0,
            heartbeat: Heartbeat::default(),
            frame_max: DEFAULT_FRAME_MAX as usize,
            connected: None,
            blocked: None,
            ended: None,
            events: Default::default(),
            config,
        }
    }

    fn resolve(&mut self, promise: PromiseNumber, result: Result<Outcome>) {
        self.events.push_back(Event::Resolved(promise, result));
    }

    /// Where the socket is to be read into, in this order; then call [`handle_read`](Self::handle_read).
    pub(crate) fn read_space(&mut self) -> [&mut [u8]; 2] {
        self.input.space()
    }

    /// Takes in what was read.
    pub(crate) fn handle_read(&mut self, count: usize, now: Instant) {
        self.now = now;
        self.heartbeat.received(now);
        self.input.filled(count);
        let mut input = std::mem::take(&mut self.input);
        if let Err(violation) = self.read_frames(&mut input, now) {
            self.break_off(violation);
        }
        if self.blame.is_careful() {
            self.go_on_carefully();
        }
        if self.is_done() {
            input.clear();
        }
        self.input = input;
    }

    fn read_frames(&mut self, input: &mut Input, now: Instant) -> Result<(), Violation> {
        if self.state == State::Start {
            match first_bytes(input.unread()) {
                FirstBytes::Frame => {}
                FirstBytes::TooFew => return Ok(()),
                FirstBytes::Foreign(text) => {
                    self.suspend(&Error::UnsupportedProtocol(text));
                    return Ok(());
                }
            }
        }
        while !self.is_done() {
            if self.state.is_up()
                && let Some(delivery) = input.next_plain_delivery(self.frame_max)
            {
                self.handle_plain_delivery(&delivery)
                    .map_err(|violation| violation.of((60, 60)))?;
                continue;
            }
            match input.next(self.frame_max)? {
                Next::Frame(frame) => self.handle_frame(frame, now)?,
                Next::Large(head) => match self.body_room(&head)? {
                    Some(body) => input.read_directly(head, body),
                    None => break,
                },
                Next::Direct(_) if self.state.is_closing() => {}
                Next::Direct(frame) => self.handle_body(frame.channel, frame.body, frame.size)?,
                Next::Incomplete => break,
            }
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: Frame<'_>, now: Instant) -> Result<(), Violation> {
        let Frame {
            kind,
            channel,
            payload,
        } = frame;
        match kind {
            FRAME_METHOD if channel == 0 => {
                let method = Method::decode(payload)?;
                self.handle_connection_method(&method, now)
                    .map_err(|violation| violation.of(method.id()))
            }
            // After our connection.close only its answer counts.
            _ if self.state.is_closing() => Ok(()),
            FRAME_METHOD | FRAME_HEADER | FRAME_BODY
                if self.is_late(ChannelId(channel), kind, payload) =>
            {
                Ok(())
            }
            FRAME_METHOD => {
                if let Some(deliver) = BasicDeliver::decode(payload) {
                    return self
                        .begin_delivery(ChannelId(channel), &deliver)
                        .map_err(|violation| violation.of((60, 60)));
                }
                let method = Method::decode(payload)?;
                self.handle_method(ChannelId(channel), &method)
                    .map_err(|violation| violation.of(method.id()))
            }
            FRAME_HEADER | FRAME_BODY => self.handle_content(ChannelId(channel), kind, payload),
            FRAME_HEARTBEAT => Ok(()),
            _ => Err(Violation::new(
                reply_code::FRAME_ERROR,
                format!("a frame of the unknown type {kind}"),
            )),
        }
    }

    /// A method on a channel.
    fn handle_method(&mut self, id: ChannelId, method: &Method<'_>) -> Result<(), Violation> {
        let channel = self.channels.for_method(id, || method.name())?;
        let is_publisher = id == PUBLISHER;
        match method {
            Method::BasicReturn(returned) if is_publisher || channel.takes_replies => {
                let message = Kind::returned(returned, &mut self.memory.arena);
                channel.incoming = Some(Incoming::new(message));
                Ok(())
            }
            Method::BasicGetOk(ok) if channel.expect.contains(&Expect::Get) => {
                let origin = self.config.origin(id, channel.epoch, ok.delivery_tag);
                let message = Kind::got(ok, origin, &mut self.memory);
                channel.incoming = Some(Incoming::new(message));
                Ok(())
            }
            Method::BasicAck(ack) if is_publisher => {
                self.confirmed(ack.delivery_tag, ack.multiple, true)
            }
            Method::BasicNack(nack) if is_publisher => {
                self.confirmed(nack.delivery_tag, nack.multiple, false)
            }
            Method::ChannelClose(close) => {
                self.channel_closed(id, close);
                Ok(())
            }
            Method::ChannelFlow(flow) => {
                let ok = ChannelFlowOk {
                    active: flow.active,
                };
                let _ = write_method(self.out.tail(), id.0, &ok);
                self.out.commit();
                Ok(())
            }
            Method::BasicCancel(cancel) => {
                self.cancelled_by_broker(id, cancel.consumer_tag);
                Ok(())
            }
            Method::BasicConsumeOk(ok) => {
                self.consume_ok(id, ok.consumer_tag);
                self.fail_hopeless();
                Ok(())
            }
            method => self.handle_reply(id, method),
        }
    }

    /// Call when the time that [`poll_timeout`](Self::poll_timeout) gave has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.expire_rpcs();
        self.expire_blocked();
        self.end_pause();
        if self.blame.is_careful() {
            self.go_on_carefully();
        }
        match self.heartbeat.due(now) {
            Due::Nothing => {}
            Due::Send => {
                let out = self.out.tail();
                let mark = begin_frame(out, FRAME_HEARTBEAT, 0);
                end_frame(out, mark);
                self.out.commit();
                self.heartbeat.sent(now);
            }
            Due::GiveUp(silence) => self.disconnected(Disconnect::BrokerSilent(silence)),
        }
    }

    /// Tells it the time.
    pub(crate) fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    /// Notes that the socket took some output.
    pub(crate) fn handle_written(&mut self, bytes: usize, now: Instant) {
        self.out.advance(bytes);
        self.heartbeat.sent(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let timers = [self.heartbeat.next(), self.next_deadline()];
        timers.into_iter().flatten().min()
    }

    /// The same, without heartbeats: what ends, or goes on, by itself.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let timers = [
            self.rpcs.keys().next().map(|&(deadline, _)| deadline),
            self.blocked_deadline(),
            self.next_round(),
            self.turn_ends_at(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Nobody has read, so nothing could be heard.
    pub(crate) fn postpone_silence(&mut self, now: Instant) {
        self.heartbeat.received(now);
    }

    /// Whether there are so many events that one should see to them first: they are in the cache, yet.
    pub(crate) fn has_many_events(&self) -> bool {
        self.events.len() >= 1024
    }

    /// Takes back the box of a delivery, which is blank again.
    pub(crate) fn recycle(&mut self, delivery: Box<Delivery>) {
        self.memory.recycle(delivery);
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether nothing more will happen, but that what is in `out` should be written.
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// Whether it has done with its socket, but for the output.
    pub(crate) fn is_done(&self) -> bool {
        self.is_over() || self.is_suspended()
    }

    /// Why it is over; [`Error::Closed`] if all is well.
    pub(crate) fn take_end(&mut self) -> Option<Error> {
        self.ended.take()
    }

    /// Whether requests are taken by the broker.
    pub(crate) fn is_open(&self) -> bool {
        self.state.is_open()
    }

    pub(crate) fn connected(&self) -> Option<&Arc<Connected>> {
        self.connected.as_ref()
    }

    pub(crate) fn blocked(&self) -> Option<&str> {
        self.blocked.as_ref().map(|blocked| &*blocked.reason)
    }

    /// The tables that are not empty.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn leftovers(&self) -> Vec<&'static str> {
        let left = [
            ("connect", self.connect.is_some()),
            ("closes", !self.closes.is_empty()),
            ("channels", !self.channels.is_empty()),
            ("publisher", !self.publisher.is_empty()),
            ("consumers", !self.consumers.is_empty()),
            ("waiting", !self.waiting.is_empty()),
            ("early", !self.early.is_empty()),
            ("secrets", !self.secrets.is_empty()),
            ("rpcs", !self.rpcs.is_empty()),
            ("suspended", !self.suspended.is_empty()),
            ("events", !self.events.is_empty()),
            ("gates", !self.gates.is_empty()),
            ("early bytes", self.early_bytes > 0),
            ("bytes in line", self.publisher.line.bytes() > 0),
        ];
        let full = left.into_iter().filter(|(_, is_full)| *is_full);
        full.map(|(name, _)| name).collect()
    }

    /// Bytes of messages that are unsent, or unconfirmed.
    pub(crate) fn buffered(&self) -> usize {
        self.out.held() + self.early_bytes + self.publisher.line.bytes()
    }
}
