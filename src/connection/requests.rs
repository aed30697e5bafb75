//! Requests: how each gets its channel, which reply ends it, and what its promise then gets. Their bytes are in
//! `encode.rs`.

use crate::connection::Connection;
use crate::connection::channel::{Calling, Channel, Role};
use crate::connection::consume::consumer::Consumer;
use crate::connection::encode::Target;
use crate::connection::expect::Expect;
use crate::connection::recovery::step::Item;
use crate::connection::request::{Call, Request};
use crate::connection::violation::Violation;
use crate::types::error::{Error, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::requests::{ConsumeMulti, Get};
use crate::types::results::Outcome;
use crate::wire::{
    BasicGet, ChannelOpen, EncodeError, Method, check_frame, reply_code, write_method,
};

/// How many channels have calls under way before others join them there. Each channel costs the broker a process and
/// some of its time, so more would be slower.
const CALL_CHANNELS: usize = 16;

/// How many calls share a channel at most: those behind a slow one wait for it.
const CALLS_PER_CHANNEL: usize = 64;

impl Connection {
    /// Does what the user asked for, now or when its turn comes; an event settles its promise.
    pub(crate) fn request(&mut self, promise: PromiseNumber, request: Request) {
        if let Err(error) = request.check() {
            return self.resolve(promise, Err(error));
        }
        if self.state.is_over() {
            return self.resolve(promise, Err(Error::Closed));
        }
        self.note_deadline(promise, &request);
        self.waiting.insert(promise, request);
        if self.blame.is_careful() {
            return self.go_on_carefully();
        }
        self.serve_waiting();
    }

    /// Hands channels to those who wait for one.
    pub(super) fn serve_waiting(&mut self) {
        if self.state.is_open() {
            self.serve_before(PromiseNumber(u64::MAX));
            self.fail_hopeless();
        }
    }

    /// Hands channels to those who asked before that promise.
    pub(crate) fn serve_before(&mut self, younger: PromiseNumber) {
        while self
            .waiting
            .first_key_value()
            .is_some_and(|(&promise, _)| promise < younger)
        {
            if !self.may_serve_next() {
                return;
            }
            let Some((channel, is_new)) = self.channel_for_next() else {
                return;
            };
            if let Some((promise, request)) = self.waiting.pop_first() {
                self.start(promise, request, channel, is_new);
            }
        }
    }

    /// Whether the next one that waits may have been the death of a connection, and has to wait.
    fn may_serve_next(&mut self) -> bool {
        let next = self.waiting.first_key_value();
        next.is_none_or(|(&promise, _)| self.blame.may_start(|| Item::Promise(promise)))
    }

    /// A channel for the next one that waits: its own; or, for a call, one with few calls under way.
    fn channel_for_next(&mut self) -> Option<(ChannelId, bool)> {
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
    fn start(&mut self, promise: PromiseNumber, request: Request, id: ChannelId, is_new: bool) {
        self.blame.note_start(self.now, || Item::Promise(promise));
        let started = self.write_on(id, is_new, |it| it.start_on(promise, request, id));
        if let Err(error) = started {
            self.resolve(promise, Err(error));
        }
    }

    /// Writes what begins something on a channel, which is opened if it is new. If that cannot be written, nothing is, and the
    /// channel is free again.
    pub(crate) fn write_on<T, E>(
        &mut self,
        id: ChannelId,
        is_new: bool,
        write: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let out = self.out.tail();
        let mark = out.len();
        if is_new {
            // It has no field that could be too long.
            let _ = write_method(out, id.0, &ChannelOpen::default());
        }
        let written = write(self);
        if written.is_ok() {
            self.out.commit();
            return written;
        }
        self.out.tail().truncate(mark);
        if is_new {
            self.channels.retire(id);
        } else if self.channels.is_idle(id) {
            self.channels.put_back(id);
        }
        written
    }

    fn start_on(
        &mut self,
        promise: PromiseNumber,
        mut request: Request,
        channel: ChannelId,
    ) -> Result<()> {
        self.topology.names.follow(&mut request);
        match request {
            Request::Get(get) => self.start_get(promise, &get, channel),
            Request::Consume(consume) => self
                .start_consumer(Consumer::new(promise, consume), channel)
                .map_err(|failure| failure.1),
            Request::Rpc(sending) => self.start_rpc(promise, *sending, channel),
            request => {
                let call = self.write_call(&request, channel)?;
                let calling = Calling { promise, request };
                self.channels.push_call(channel, calling, call);
                Ok(())
            }
        }
    }

    /// Writes a request that has one method as its reply.
    pub(super) fn write_call(&mut self, request: &Request, channel: ChannelId) -> Result<Call> {
        let invalid = |error: EncodeError| Error::InvalidArgument(error.to_string());
        let out = self.out.tail();
        let mark = out.len();
        let mut target = Target {
            out: &mut *out,
            channel: channel.0,
        };
        let Some(call) = request.encode(&mut target).map_err(invalid)? else {
            return Err(Error::bug("a request has no method of its own"));
        };
        check_frame(out, mark, self.frame_max).map_err(invalid)?;
        Ok(call)
    }

    fn start_get(&mut self, promise: PromiseNumber, get: &Get, channel: ChannelId) -> Result<()> {
        let no_ack = get.no_ack;
        let method = BasicGet {
            queue: get.queue.as_bytes(),
            no_ack,
            ..Default::default()
        };
        write_method(self.out.tail(), channel.0, &method)
            .map_err(|error| Error::InvalidArgument(error.to_string()))?;
        self.occupy(channel, Role::Get { promise, no_ack }, [Expect::Get]);
        Ok(())
    }

    /// Gives a channel to what goes on there from now on, and notes the replies that the broker owes.
    pub(super) fn occupy(
        &mut self,
        channel: ChannelId,
        role: Role,
        expect: impl IntoIterator<Item = Expect>,
    ) {
        if let Some(channel) = self.channels.known(channel) {
            channel.role = role;
            channel.expect.extend(expect);
        }
    }

    /// Back into the pool once nothing keeps it.
    pub(crate) fn release_if_settled(&mut self, id: ChannelId) {
        let done = |channel: &Channel| {
            matches!(channel.role, Role::Settling) && channel.unsettled.is_empty()
        };
        if self.channels.get(id).is_some_and(done) {
            self.release(id);
        }
    }

    pub(crate) fn release(&mut self, id: ChannelId) {
        self.channels.put_back(id);
        self.serve_waiting();
    }

    /// The broker has done what a call asked for; whether it was the last one on its channel.
    fn call_done(&mut self, id: ChannelId, calling: Calling, outcome: Outcome, is_last: bool) {
        self.has_got_on = true;
        self.topology.note_stream(&calling.request);
        if self.config.options.recovery.is_some() {
            self.blame.accepted(&calling.request);
            self.topology.note(calling.request, &outcome);
        }
        if is_last {
            self.channels.put_back(id);
        }
        self.serve_waiting();
        self.resolve(calling.promise, Ok(outcome));
    }

    /// A method that should be the answer to something.
    pub(crate) fn handle_reply(
        &mut self,
        id: ChannelId,
        method: &Method<'_>,
    ) -> Result<(), Violation> {
        let unexpected = || {
            Violation::new(
                reply_code::COMMAND_INVALID,
                format!("{}, which nobody asked for", method.name()),
            )
        };
        let channel = self.channels.get_mut(id).ok_or_else(unexpected)?;
        let expect = channel.expected(|expect| expect.may_be(method));
        let expect = expect.ok_or_else(unexpected)?;
        match (expect, &mut channel.role) {
            (Expect::Call(call), Role::Calls(calls)) => {
                let outcome = call.outcome(method).ok_or_else(unexpected)?;
                if let Some(calling) = calls.pop_front() {
                    let is_last = calls.is_empty();
                    self.call_done(id, calling, outcome, is_last);
                }
            }
            (Expect::Call(call), Role::Replay(_)) => {
                let outcome = call.outcome(method).ok_or_else(unexpected)?;
                self.replayed(id, outcome);
            }
            (Expect::Get, &mut Role::Get { promise, .. }) => {
                self.has_got_on = true;
                self.release(id);
                self.resolve(promise, Ok(Outcome::Got(None)));
            }
            (Expect::OpenOk, _) => self.channels.opened(id),
            (Expect::QosOk, Role::Publisher) => self.fence_passed(),
            (Expect::QosOk, _) => self.rpc_fence_passed(id),
            (Expect::CancelOk, _) => self.cancel_ok(id),
            (Expect::RecoverOk(promise), _) => self.resolve(promise, Ok(Outcome::Done)),
            (Expect::Replaced(last), _) => self.replaced(id, last),
            _ => {}
        }
        self.fail_hopeless();
        Ok(())
    }

    /// Those who wait for a channel.
    pub(super) fn fail_waiting(&mut self, error: &Error) {
        for (promise, request) in std::mem::take(&mut self.waiting) {
            if let Request::Rpc(sending) = request {
                self.rpcs.remove(&(sending.deadline, promise));
            }
            self.resolve(promise, Err(error.clone()));
        }
    }

    /// A consumer that has not got its channel yet.
    pub(super) fn waiting_consumer(&mut self, promise: PromiseNumber) -> Option<&mut ConsumeMulti> {
        match self.waiting.get_mut(&promise)? {
            Request::Consume(consume) => Some(consume),
            _ => None,
        }
    }
}
