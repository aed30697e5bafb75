//! One AMQP connection, without socket, clock or thread: bytes and the time go in; bytes, results and the time of the
//! next timer come out. That is what lets the whole client be tested against a scripted peer in memory.
//!
//! # The life of a request
//! ```text
//!   request(number, ..)                                     handle_read(count)
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
//!   out.slices() -> the socket                        events: (number, result)
//! ```
//!
//! The methods are of four kinds: commands of the user ([`request`](Connection::request),
//! [`publish`](Connection::publish), [`settle`](Connection::settle), …), input from outside (`handle_*`), output
//! (`poll_*` and [`out`](Connection::out)), and questions. After any of the first two, take all events and write the
//! output.
//!
//! - `handshake.rs` opens and closes; `heartbeat.rs` has the timers of a socket.
//! - `requests.rs` and `channels.rs` carry the plain requests, `encode.rs` has their bytes; `rpc.rs` is for those that wait
//!   for the reply of another program.
//! - `incoming/`: what is read, as frames and then as messages.
//! - `publish/`: the confirm channel, what is refused on it, what waits, and the bytes to be written.
//! - `consume/`: consumers, their prefetch, and how deliveries are settled or go back.
//! - `recovery/`: how all of it is carried over to another socket, and how not every socket dies of the same.

mod channels;
mod consume;
mod encode;
mod handshake;
mod heartbeat;
mod incoming;
mod publish;
mod recovery;
mod requests;
mod rpc;
#[cfg(test)]
#[path = "../../tests/simulator/mod.rs"]
mod simulator;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

pub(crate) use consume::settle::Settle;
pub(crate) use handshake::Login;
#[cfg(any(test, fuzzing))]
pub(crate) use incoming::input::read_in_pieces;
pub(crate) use publish::output::{Output, SLICES};
pub(crate) use requests::{Request, Sending};

use crate::types::client_options::ClientOptions;
use crate::types::error::{Disconnect, Error, Reply, Result};
use crate::types::ids::{PromiseId, PromiseNumber};
use crate::types::message::{Delivery, Origin};
use crate::types::recovery::ConnectionEvent;
use crate::types::results::{Connected, Outcome};
use crate::wire::{
    BasicDeliver, ChannelFlowOk, DecodeError, FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT,
    FRAME_METHOD, Frame, FrameError, Method, ShortStr, begin_frame, end_frame, write_method,
};
use channels::{Channels, Expect, PUBLISHER, Role};
use consume::consumer::Consumer;
use consume::gate::Account;
use handshake::State;
use heartbeat::{Due, Heartbeat};
use incoming::content::{Incoming, Message};
use incoming::input::{Input, Next, PlainDelivery};
use incoming::memory::Memory;
use publish::Publisher;
use publish::blocked::Blocked;
use recovery::blame::Blame;
use recovery::replay::Replay;
use recovery::topology::Topology;
use requests::EarlyPublish;
use rpc::UnderWay;

/// What a connection needs to know from the start.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) login: Login,
    pub(crate) options: ClientOptions,
    /// Which client this is, for the promises of its deliveries.
    pub(crate) client: u32,
    /// Channel epochs count from here: no two connections of a client share any.
    pub(crate) epoch: u64,
    /// When it begins.
    pub(crate) now: Instant,
    /// Whether there is another socket once it was open.
    pub(crate) recovers: bool,
}

impl Config {
    fn id(&self, number: u64) -> PromiseId {
        PromiseId {
            client: self.client,
            number: PromiseNumber(number),
        }
    }

    /// Where a delivery comes from; whose it is shows when the message is whole.
    fn origin(&self, channel: u16, epoch: u64, tag: u64) -> Origin {
        Origin {
            promise: self.id(0),
            channel,
            epoch,
            tag,
            no_ack: false,
            is_returned: false,
        }
    }
}

/// Something for a promise.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its result; or the end of a consumer.
    Resolved(u64, Result<Outcome>),
    /// The publishes of all promises from `first` to `last` have succeeded.
    Published {
        first: u64,
        last: u64,
    },
    Delivery(u64, Box<Delivery>),
    /// The deliveries of a consumer that nobody has read will come again.
    Stale(u64),
    /// A consumer is cancelled: what nobody has read of it goes back, by [`Connection::give_back`], which has to be called.
    Unread {
        consumer: u64,
        channel: u16,
        /// The tags of queues that are no more, as far as anybody knows: what came of these stays to be read.
        gone: Vec<ShortStr>,
    },
    /// Something for the program, and no promise.
    Changed(ConnectionEvent),
}

/// What the peer may not do. It ends the connection, with the AMQP code for it.
#[derive(Debug)]
pub(crate) struct Violation(Box<Fault>);

#[derive(Debug)]
struct Fault {
    code: u16,
    text: String,
    method: (u16, u16),
}

impl Violation {
    #[cold]
    pub(crate) fn new(code: u16, text: impl Into<String>) -> Self {
        Self(Box::new(Fault {
            code,
            text: text.into(),
            method: (0, 0),
        }))
    }

    fn of(mut self, method: (u16, u16)) -> Self {
        self.0.method = method;
        self
    }
}

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        Self::new(501, error.to_string())
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        let code = if matches!(error, DecodeError::UnknownMethod { .. }) {
            540
        } else {
            502
        };
        Self::new(code, error.to_string())
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    config: Config,
    /// How much work the broker may have with deliveries that go back one by one.
    return_work: usize,
    state: State,
    /// The promise of the opening, until it is open.
    connect: Option<u64>,
    /// Promises of the closing, while that takes.
    closes: Vec<u64>,
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
    consumers: HashMap<u64, u16>,
    /// What their gates hold back.
    gates: Account,
    /// Requests that wait for a channel, or for the connection to open, by their promises: first come, first served.
    waiting: BTreeMap<u64, Request>,
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
    secrets: VecDeque<u64>,
    /// Calls to other programs, by when they are given up, and their promises.
    calls: BTreeMap<(Instant, u64), UnderWay>,
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
    fn settled(&mut self, number: u64, result: Result<Outcome>) {
        self.events.push_back(Event::Resolved(number, result));
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
        if !self.check_protocol(input.unread()) {
            return Ok(());
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
                    Some(body) => input.go_straight(head, body),
                    None => break,
                },
                Next::Straight(_) if self.state.is_closing() => {}
                Next::Straight(frame) => self.handle_body(frame.channel, frame.body, frame.size)?,
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
            FRAME_METHOD => {
                if let Some(deliver) = BasicDeliver::decode(payload) {
                    return self
                        .begin_delivery(channel, &deliver)
                        .map_err(|violation| violation.of((60, 60)));
                }
                let method = Method::decode(payload)?;
                self.handle_method(channel, &method)
                    .map_err(|violation| violation.of(method.id()))
            }
            FRAME_HEADER | FRAME_BODY => self.handle_content(channel, kind, payload),
            FRAME_HEARTBEAT => Ok(()),
            _ => Err(Violation::new(
                501,
                format!("a frame of the unknown type {kind}"),
            )),
        }
    }

    /// A method on a channel.
    fn handle_method(&mut self, number: u16, method: &Method<'_>) -> Result<(), Violation> {
        let channel = self.channels.for_method(number, || method.name())?;
        let is_publisher = number == PUBLISHER;
        match method {
            Method::BasicReturn(returned) if is_publisher || channel.takes_replies => {
                let message = Message::returned(returned, &mut self.memory.arena);
                channel.incoming = Some(Incoming::new(message));
                Ok(())
            }
            Method::BasicGetOk(ok) if channel.expect.contains(&Expect::Get) => {
                let origin = self.config.origin(number, channel.epoch, ok.delivery_tag);
                let message = Message::got(ok, origin, &mut self.memory);
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
                let reply = Reply::from_broker(
                    close.reply_code,
                    close.reply_text,
                    close.class_id,
                    close.method_id,
                );
                self.channel_closed(number, Error::from_reply(reply));
                Ok(())
            }
            Method::ChannelFlow(flow) => {
                let _ = write_method(
                    self.out.tail(),
                    number,
                    &ChannelFlowOk {
                        active: flow.active,
                    },
                );
                self.out.commit();
                Ok(())
            }
            Method::BasicCancel(cancel) => {
                self.cancelled_by_broker(number, cancel.consumer_tag);
                Ok(())
            }
            Method::BasicConsumeOk(ok) => {
                self.consume_ok(number, ok.consumer_tag);
                self.fail_hopeless();
                Ok(())
            }
            method => self.handle_reply(number, method),
        }
    }

    /// `basic.deliver`.
    fn begin_delivery(&mut self, number: u16, deliver: &BasicDeliver<'_>) -> Result<(), Violation> {
        let delivery = self.delivered(number, deliver)?;
        if let Some(channel) = self.channels.get_mut(number) {
            channel.incoming = Some(Incoming::new(Message::Delivered(delivery)));
        }
        Ok(())
    }

    /// Three frames at once.
    fn handle_plain_delivery(&mut self, plain: &PlainDelivery<'_>) -> Result<(), Violation> {
        let mut delivery = self.delivered(plain.channel, &plain.deliver)?;
        delivery.body = self.memory.arena.copy(plain.body);
        self.deliver(plain.channel, delivery)
    }

    /// What `basic.deliver` says of a message.
    fn delivered(
        &mut self,
        number: u16,
        deliver: &BasicDeliver<'_>,
    ) -> Result<Box<Delivery>, Violation> {
        let channel = self.channels.for_method(number, || "basic.deliver")?;
        let tag = match &channel.role {
            Role::Publisher => return Err(Violation::new(503, "a delivery where nobody consumes")),
            Role::Consumer(consumer) => consumer.known_tag(deliver.consumer_tag),
            _ => None,
        };
        let mut delivery = self.memory.delivery();
        let arena = &mut self.memory.arena;
        delivery.consumer_tag =
            tag.unwrap_or_else(|| ShortStr::from_wire(deliver.consumer_tag, arena));
        delivery.exchange = ShortStr::from_wire(deliver.exchange, arena);
        delivery.routing_key = ShortStr::from_wire(deliver.routing_key, arena);
        delivery.redelivered = deliver.redelivered;
        delivery.origin = self
            .config
            .origin(number, channel.epoch, deliver.delivery_tag);
        Ok(delivery)
    }

    /// A method that should be the answer to something.
    fn handle_reply(&mut self, number: u16, method: &Method<'_>) -> Result<(), Violation> {
        let unexpected =
            || Violation::new(503, format!("{}, which nobody asked for", method.name()));
        let channel = self.channels.get_mut(number).ok_or_else(unexpected)?;
        let fits = |expect: &Expect| match (expect, method) {
            (Expect::OpenOk, Method::ChannelOpenOk(_))
            | (Expect::SelectOk, Method::ConfirmSelectOk(_))
            | (Expect::Get, Method::BasicGetEmpty(_))
            | (Expect::QosOk, Method::BasicQosOk(_))
            | (Expect::RecoverOk(_), Method::BasicRecoverOk(_))
            | (Expect::CancelOk | Expect::Replaced(_), Method::BasicCancelOk(_)) => true,
            // The oldest call, or nobody.
            (Expect::Call(_), _) => true,
            _ => false,
        };
        let expect = channel.expected(fits).ok_or_else(unexpected)?;
        match (expect, &mut channel.role) {
            (Expect::Call(call), Role::Calls(calls)) => {
                let outcome = call.outcome(method).ok_or_else(unexpected)?;
                if let Some(calling) = calls.pop_front() {
                    self.has_got_on = true;
                    self.topology.note_stream(&calling.request);
                    let is_last = calls.is_empty();
                    if self.config.options.recovery.is_some() {
                        self.blame.accepted(&calling.request);
                        self.topology.note(calling.request, &outcome);
                    }
                    if is_last {
                        self.channels.put_back(number);
                    }
                    self.serve_waiting();
                    self.settled(calling.promise, Ok(outcome));
                }
            }
            (Expect::Call(call), Role::Replay(_)) => {
                let outcome = call.outcome(method).ok_or_else(unexpected)?;
                self.replayed(number, outcome);
            }
            (Expect::Get, &mut Role::Get { promise, .. }) => {
                self.has_got_on = true;
                self.release(number);
                self.settled(promise, Ok(Outcome::Got(None)));
            }
            (Expect::QosOk, Role::Publisher) => self.fence_passed(),
            (Expect::QosOk, _) => self.call_fence_passed(number),
            (Expect::CancelOk, _) => self.cancel_ok(number),
            (Expect::RecoverOk(promise), _) => self.settled(promise, Ok(Outcome::Done)),
            (Expect::Replaced(last), _) => self.replaced(number, last),
            _ => {}
        }
        self.fail_hopeless();
        Ok(())
    }

    /// Call when the time that [`poll_timeout`](Self::poll_timeout) gave has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.expire_calls();
        self.expire_blocked();
        self.retry_replay();
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
            Due::GiveUp(silence) => self.handle_disconnect(Disconnect::BrokerSilent(silence)),
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
        let timers = [
            self.heartbeat.next(),
            self.calls.keys().next().map(|&(deadline, _)| deadline),
            self.blocked_deadline(),
            self.retry_at(),
            self.turn_ends_at(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Whether the peer has been silent for so long that [`handle_timeout`](Self::handle_timeout) will give it up: see
    /// first whether something is there to be read.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        matches!(self.heartbeat.due(now), Due::GiveUp(_))
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
    #[cfg(test)]
    fn leftovers(&self) -> Vec<&'static str> {
        let left = [
            ("connect", self.connect.is_some()),
            ("closes", !self.closes.is_empty()),
            ("channels", !self.channels.is_empty()),
            ("publisher", !self.publisher.is_empty()),
            ("consumers", !self.consumers.is_empty()),
            ("waiting", !self.waiting.is_empty()),
            ("early", !self.early.is_empty()),
            ("secrets", !self.secrets.is_empty()),
            ("calls", !self.calls.is_empty()),
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
