//! Requests: how each gets its channel, which reply ends it, and what its promise then gets. Their bytes are in
//! `encode.rs`.

use std::time::{Duration, Instant};

use super::Connection;
use super::channels::{Calling, Expect, Role};
use super::consume::consumer::Consumer;
use super::encode::Target;
use super::handshake::State;
use super::recovery::blame::Item;
use crate::types::error::{Error, Result};
use crate::types::message::Message;
use crate::types::requests::{
    ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind, QueueDeclare,
    QueueDelete,
};
use crate::types::results::{Outcome, QueueDeclareOk};
use crate::wire::{BasicGet, ChannelOpen, EncodeError, Method, ShortStr, write_method};

/// The longest suffix of a consumer tag, in bytes.
const SUFFIX_MAX: usize = 200;

/// How many channels have calls under way before others join them there. Each channel costs the broker a process and
/// some of its time, so more would be slower.
const CALL_CHANNELS: usize = 16;

/// How many calls share a channel at most: those behind a slow one wait for it.
const CALLS_PER_CHANNEL: usize = 64;

/// What a user asked for, while it waits for a channel, or for the connection.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    QueueDeclare(QueueDeclare),
    QueueDelete(QueueDelete),
    QueuePurge(ShortStr),
    QueueBind(QueueBind),
    QueueUnbind(QueueBind),
    ExchangeDeclare(ExchangeDeclare),
    ExchangeDelete(ExchangeDelete),
    ExchangeBind(ExchangeBind),
    ExchangeUnbind(ExchangeBind),
    Get(Get),
    Consume(ConsumeMulti),
    /// A message to another program, for a reply.
    Send(Box<Sending>),
}

/// A call to another program.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) message: Message,
    /// How long it may take, and when that time is up.
    pub(crate) timeout: Duration,
    pub(crate) deadline: Instant,
}

/// A publish from before the connection was open.
#[derive(Debug)]
pub(crate) struct EarlyPublish {
    pub(super) number: u64,
    exchange: ShortStr,
    routing_key: ShortStr,
    message: Message,
}

impl EarlyPublish {
    /// Bytes of this process that it takes.
    fn size(&self) -> usize {
        let names = self.exchange.len() + self.routing_key.len();
        let message = self.message.body.len() + self.message.properties.shared_bytes();
        size_of::<Self>() + names + message
    }
}

/// A request of the first kind: one method out, one method in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    QueueDeclare,
    QueueDelete,
    QueuePurge,
    QueueBind,
    QueueUnbind,
    ExchangeDeclare,
    ExchangeDelete,
    ExchangeBind,
    ExchangeUnbind,
}

impl Call {
    /// What the promise gets, if `method` is the reply to this call.
    pub(crate) fn outcome(self, method: &Method<'_>) -> Option<Outcome> {
        Some(match (self, method) {
            (Self::QueueDeclare, Method::QueueDeclareOk(ok)) => {
                Outcome::QueueDeclareOk(QueueDeclareOk {
                    queue: String::from_utf8_lossy(ok.queue).into_owned().into(),
                    message_count: ok.message_count,
                    consumer_count: ok.consumer_count,
                })
            }
            (Self::QueueDelete, Method::QueueDeleteOk(ok)) => {
                Outcome::MessageCount(ok.message_count)
            }
            (Self::QueuePurge, Method::QueuePurgeOk(ok)) => Outcome::MessageCount(ok.message_count),
            (Self::QueueBind, Method::QueueBindOk(_))
            | (Self::QueueUnbind, Method::QueueUnbindOk(_))
            | (Self::ExchangeDeclare, Method::ExchangeDeclareOk(_))
            | (Self::ExchangeDelete, Method::ExchangeDeleteOk(_))
            | (Self::ExchangeBind, Method::ExchangeBindOk(_))
            | (Self::ExchangeUnbind, Method::ExchangeUnbindOk(_)) => Outcome::Done,
            _ => return None,
        })
    }
}

impl Request {
    /// Whether it is one method out, one method in.
    fn is_call(&self) -> bool {
        !matches!(self, Self::Get(_) | Self::Consume(_) | Self::Send(_))
    }

    /// Refuses what would hit something else than was meant.
    pub(crate) fn check(&self) -> Result<()> {
        let queue = match self {
            Self::QueueDelete(request) => &request.queue,
            Self::QueuePurge(queue) => queue,
            Self::QueueBind(request) | Self::QueueUnbind(request) => &request.queue,
            Self::Get(request) => &request.queue,
            Self::Consume(request) if request.consumers.is_empty() => {
                return Err(Error::InvalidArgument(
                    "a consumer needs at least one queue".into(),
                ));
            }
            Self::Consume(request) => {
                // A consumer that is replaced gets a number more into its tag, which may have 255 bytes.
                if request
                    .consumers
                    .iter()
                    .any(|consumer| consumer.consumer_tag.len() > SUFFIX_MAX)
                {
                    let error =
                        format!("the suffix of a consumer tag may have {SUFFIX_MAX} bytes at most");
                    return Err(Error::InvalidArgument(error));
                }
                match request
                    .consumers
                    .iter()
                    .find(|consumer| consumer.queue.is_empty())
                {
                    Some(consumer) => &consumer.queue,
                    None => return Ok(()),
                }
            }
            _ => return Ok(()),
        };
        if queue.is_empty() {
            return Err(Error::InvalidArgument(
                "the queue's name is empty: to the broker that is the queue last declared on the same channel, which \
                 may be anybody's; use the name in QueueDeclareOk"
                    .into(),
            ));
        }
        Ok(())
    }
}

impl Connection {
    /// Does what the user asked for, now or when its turn comes; an event settles its promise.
    pub(crate) fn request(&mut self, number: u64, request: Request) {
        if let Err(error) = request.check() {
            return self.settled(number, Err(error));
        }
        if self.state.is_over() {
            return self.settled(number, Err(Error::Closed));
        }
        self.note_deadline(number, &request);
        self.waiting.insert(number, request);
        if self.blame.is_careful() {
            return self.go_on_carefully();
        }
        self.serve_waiting();
    }

    /// Publishes, now or when the connection is open.
    pub(crate) fn publish(
        &mut self,
        number: u64,
        exchange: &str,
        routing_key: &str,
        message: Message,
    ) {
        if let Some(error) = self.refusal() {
            return self.settled(number, Err(Error::NotSent(Box::new(error))));
        }
        match self.state {
            State::Open if self.blocked.is_none() && !self.publishes_wait() => {
                self.publish_now(number, exchange, routing_key, message)
            }
            State::Closing | State::Over => {
                self.settled(number, Err(Error::NotSent(Box::new(Error::Closed))));
            }
            _ => {
                let early = EarlyPublish {
                    number,
                    exchange: exchange.into(),
                    routing_key: routing_key.into(),
                    message,
                };
                self.early_bytes += early.size();
                self.early.push_back(early);
            }
        }
    }

    /// The broker takes messages: everything from before, in the order of the calls.
    pub(super) fn serve_early(&mut self) {
        if self.blocked.is_some() || self.publishes_wait() {
            return self.serve_waiting();
        }
        self.early_bytes = 0;
        for early in std::mem::take(&mut self.early) {
            self.serve_before(early.number);
            self.publish_now(
                early.number,
                &early.exchange,
                &early.routing_key,
                early.message,
            );
        }
        self.serve_waiting();
    }

    /// Hands channels to those who wait for one.
    pub(super) fn serve_waiting(&mut self) {
        if self.state.is_open() {
            self.serve_before(u64::MAX);
            self.fail_hopeless();
        }
    }

    /// Hands channels to those who asked before that promise.
    fn serve_before(&mut self, promise: u64) {
        while self
            .waiting
            .first_key_value()
            .is_some_and(|(number, _)| *number < promise)
        {
            if !self.may_serve_next() {
                return;
            }
            let Some((channel, is_new)) = self.channel_for_next() else {
                return;
            };
            if let Some((number, request)) = self.waiting.pop_first() {
                self.start(number, request, channel, is_new);
            }
        }
    }

    /// Whether the next one that waits may have been the death of a connection, and has to wait.
    fn may_serve_next(&mut self) -> bool {
        let next = self.waiting.first_key_value();
        next.is_none_or(|(&number, _)| self.blame.may_start(|| Item::Promise(number)))
    }

    /// Whether something has to come before any further publish.
    pub(super) fn publishes_wait(&self) -> bool {
        self.replay.holds_publishes() || self.blame.is_careful()
    }

    /// A channel for the next one that waits: its own; or, for a call, one with few calls under way.
    fn channel_for_next(&mut self) -> Option<(u16, bool)> {
        let (_, next) = self.waiting.first_key_value()?;
        if !next.is_call() {
            return self.channels.acquire();
        }
        if self.channels.calling().len() < CALL_CHANNELS
            && let Some(own) = self.channels.acquire()
        {
            return Some(own);
        }
        let (count, channel) = self.channels.fewest_calls()?;
        (count < CALLS_PER_CHANNEL).then_some((channel, false))
    }

    /// Those who wait when no channel will come free by itself would wait for ever.
    pub(super) fn fail_hopeless(&mut self) {
        if self.waiting.is_empty()
            || !self.state.is_open()
            || self.channels.is_busy()
            || self.blame.is_careful()
        {
            return;
        }
        let error = Error::NoFreeChannel(self.channels.capacity());
        self.fail_waiting(&error);
    }

    /// Puts a request on its channel.
    pub(super) fn start(&mut self, number: u64, request: Request, channel: u16, is_new: bool) {
        let out = self.out.tail();
        let mark = out.len();
        if is_new {
            // It has no field that could be too long.
            let _ = write_method(out, channel, &ChannelOpen::default());
        }
        self.blame.note_start(self.now, || Item::Promise(number));
        match self.start_on(number, request, channel) {
            Ok(()) => self.out.commit(),
            Err(error) => {
                self.out.tail().truncate(mark);
                if is_new {
                    self.channels.retire(channel);
                } else if self.channels.is_idle(channel) {
                    self.channels.put_back(channel);
                }
                self.settled(number, Err(error));
            }
        }
    }

    fn start_on(&mut self, number: u64, mut request: Request, channel: u16) -> Result<()> {
        self.topology.follow(&mut request);
        match request {
            Request::Get(get) => self.start_get(number, &get, channel),
            Request::Consume(consume) => self
                .start_consumer(Consumer::new(number, consume), channel)
                .map_err(|failure| failure.1),
            Request::Send(sending) => self.start_sending(number, *sending, channel),
            request => {
                let call = self.write_call(&request, channel)?;
                let calling = Calling {
                    promise: number,
                    request,
                };
                self.channels.push_call(channel, calling, call);
                Ok(())
            }
        }
    }

    /// Writes a request that has one method as its reply.
    pub(super) fn write_call(&mut self, request: &Request, channel: u16) -> Result<Call> {
        let invalid = |error: EncodeError| Error::InvalidArgument(error.to_string());
        let out = self.out.tail();
        let mark = out.len();
        let mut target = Target {
            out: &mut *out,
            channel,
        };
        let Some(call) = request.encode(&mut target).map_err(invalid)? else {
            return Err(Error::NotConnected);
        };
        check_frame(out, mark, self.frame_max).map_err(invalid)?;
        Ok(call)
    }

    fn start_get(&mut self, promise: u64, get: &Get, channel: u16) -> Result<()> {
        let no_ack = get.no_ack;
        let method = BasicGet {
            queue: get.queue.as_bytes(),
            no_ack,
            ..Default::default()
        };
        write_method(self.out.tail(), channel, &method)
            .map_err(|error| Error::InvalidArgument(error.to_string()))?;
        self.occupy(channel, Role::Get { promise, no_ack }, [Expect::Get]);
        Ok(())
    }

    /// Gives a channel to what goes on there from now on, and notes the replies that the broker owes.
    pub(super) fn occupy(
        &mut self,
        channel: u16,
        role: Role,
        expect: impl IntoIterator<Item = Expect>,
    ) {
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.role = role;
            channel.expect.extend(expect);
        }
    }

    /// The publishes that wait.
    pub(super) fn fail_early(&mut self, error: &Error) {
        self.early_bytes = 0;
        for early in std::mem::take(&mut self.early) {
            self.settled(early.number, Err(Error::NotSent(Box::new(error.clone()))));
        }
    }

    /// Those who wait for a channel.
    pub(super) fn fail_waiting(&mut self, error: &Error) {
        for (number, request) in std::mem::take(&mut self.waiting) {
            if let Request::Send(sending) = request {
                self.calls.remove(&(sending.deadline, number));
            }
            self.settled(number, Err(error.clone()));
        }
    }

    /// A consumer that has not got its channel yet.
    pub(super) fn waiting_consumer(&mut self, promise: u64) -> Option<&mut ConsumeMulti> {
        match self.waiting.get_mut(&promise)? {
            Request::Consume(consume) => Some(consume),
            _ => None,
        }
    }
}

/// A method's frame, or a header's, from `mark` on: neither can be split.
pub(super) fn check_frame(out: &[u8], mark: usize, max: usize) -> Result<(), EncodeError> {
    match out.len() - mark {
        len if len > max => Err(EncodeError::FrameTooLarge { len, max }),
        _ => Ok(()),
    }
}
