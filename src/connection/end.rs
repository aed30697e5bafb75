//! Ends: of a channel, of a socket, and of the connection. A connection ends by four verbs:
//!
//! - `disconnected`: the socket has gone;
//! - `break_off`: the peer does what AMQP does not allow, so it is told, and the socket is given up;
//! - `suspend`: the socket is of no use any more; what can go on over another one is kept for it. If there will be none, that
//!   is the end;
//! - `end`: nothing goes on, and no promise stays open.

use crate::connection::Connection;
use crate::connection::channel::{Channel, Role};
use crate::connection::event::Event;
use crate::connection::expect::Expect;
use crate::connection::publish::output::Output;
use crate::connection::recovery::replay::Replay;
use crate::connection::recovery::step::Item;
use crate::connection::state::State;
use crate::connection::violation::{Fault, Violation};
use crate::types::error::{Disconnect, Error};
use crate::types::ids::ChannelId;
use crate::types::recovery::ConnectionEvent;
use crate::types::reply::Reply;
use crate::wire::{
    ChannelClose, ChannelCloseOk, ConnectionClose, FRAME_METHOD, Method, write_method,
};

impl Connection {
    /// The broker closed a channel: an error for whatever went on there, and for nothing else.
    pub(crate) fn channel_closed(&mut self, id: ChannelId, close: &ChannelClose<'_>) {
        let error = Error::from_reply(Reply::from_broker(
            close.reply_code,
            close.reply_text,
            close.class_id,
            close.method_id,
        ));
        log::debug!("the broker closed channel {id}: {error}");
        let _ = write_method(self.out.tail(), id.0, &ChannelCloseOk {});
        self.out.commit();
        let Some(mut channel) = self.channels.closed_by_broker(id) else {
            return;
        };
        if let Role::Calls(calls) = &mut channel.role {
            // The broker has ignored whatever came after the one that failed.
            let ignored = calls.drain(1.min(calls.len())..);
            for calling in ignored {
                self.waiting.insert(calling.promise, calling.request);
            }
        }
        // Refused is answered.
        self.has_got_on |= matches!(channel.role, Role::Calls(_) | Role::Get { .. });
        if matches!(channel.role, Role::Publisher) {
            self.publisher_closed(&error);
        } else {
            self.fail_channel(channel, &error);
        }
        self.serve_waiting();
    }

    /// Whether a frame comes too late: on a channel that the broker has closed, and before the open-ok of the next one.
    pub(crate) fn is_late(&self, id: ChannelId, kind: u8, payload: &[u8]) -> bool {
        self.channels.is_stale(id)
            && (kind != FRAME_METHOD
                || matches!(Method::decode(payload), Ok(method) if !matches!(method, Method::ChannelOpenOk(_))))
    }

    /// Every promise that goes with a channel that has gone.
    pub(crate) fn fail_channel(&mut self, channel: Channel, error: &Error) {
        match channel.role {
            Role::Calls(calls) => {
                for calling in calls {
                    self.resolve(calling.promise, Err(error.clone()));
                }
            }
            Role::Get { promise, .. } => self.resolve(promise, Err(error.clone())),
            Role::Rpc {
                promise, deadline, ..
            } => {
                self.rpcs.remove(&(deadline, promise));
                self.resolve(promise, Err(error.clone()));
            }
            Role::Replay(step) => self.replay_failed(step, error),
            Role::Consumer(mut consumer) => {
                self.discount_held(&mut consumer);
                self.consumers.remove(&consumer.promise);
                let promise = consumer.promise;
                self.blame.answered(|| Item::Promise(promise));
                let retried = self.retry_consumer(consumer, &channel.unsettled, error);
                if let Some((consumer, error)) = retried {
                    self.fail_consumer(consumer, &error);
                }
            }
            Role::Idle
            | Role::ExpiredRpc { .. }
            | Role::Returning(_)
            | Role::Settling
            | Role::Publisher => {}
        }
        for expect in channel.expect {
            if let Expect::Replaced(Some(promise)) | Expect::RecoverOk(promise) = expect {
                self.resolve(promise, Err(error.clone()));
            }
        }
    }

    /// The socket is of no use any more. Another one comes, or it is the end.
    pub(crate) fn suspend(&mut self, error: &Error) {
        if !self.will_recover(error) {
            return self.end(error);
        }
        self.look_into(error);
        if self.state.is_open() {
            log::warn!("the connection is lost, and will be made anew: {error}");
            let lost = ConnectionEvent::Lost(error.clone());
            self.events.push_back(Event::Notice(lost));
        }
        if self.state.is_up() {
            self.suspend_publishes();
        }
        self.state.enter(State::Suspended);
        // No turn is going on, nor is one timed.
        self.blame.careful = None;
        self.failure = Some(error.clone());
        self.heartbeat.stop();
        self.blocked = None;
        let mut repeated = Vec::new();
        let mut channels = self.channels.drain();
        // Whether a consumer that ends with it was the last one of its queue shows when the others are set aside.
        channels.sort_by_key(Channel::is_ending);
        for channel in channels {
            self.suspend_channel(channel, error, &mut repeated);
        }
        self.consumers.clear();
        self.waiting.extend(repeated);
        for promise in std::mem::take(&mut self.secrets) {
            self.resolve(promise, Err(error.clone()));
        }
        self.convict();
        self.replay = Replay::default();
    }

    /// Whether there will be another socket after an end with that error.
    pub(crate) fn will_recover(&self, error: &Error) -> bool {
        self.retry && self.is_recoverable(error)
    }

    fn is_recoverable(&self, error: &Error) -> bool {
        let by_broker = error.reply().is_some_and(|reply| reply.from_broker);
        match self.state {
            State::Suspended | State::Closing | State::Over => false,
            // A login that is refused is refused everywhere; whatever else it was, the next host may do better.
            State::Start | State::Tune | State::Opening => {
                !(by_broker && matches!(error, Error::AccessRefused(_)))
            }
            // Whatever has ended it: what it was fails by itself (`blame.rs`).
            State::Recovering | State::Open => true,
        }
    }

    /// The end of the connection: nothing may stay open.
    pub(crate) fn end(&mut self, error: &Error) {
        self.note_given_up(error);
        if let Some(connect) = self.connect.take() {
            self.resolve(connect, Err(error.clone()));
        }
        for close in std::mem::take(&mut self.closes) {
            self.resolve(close, Err(error.clone()));
        }
        self.state.enter(State::Over);
        self.ended = Some(error.clone());
        self.heartbeat.stop();
        self.publisher_lost(error);
        for channel in self.channels.drain() {
            self.fail_channel(channel, error);
        }
        self.fail_suspended(error);
        for promise in std::mem::take(&mut self.secrets) {
            self.resolve(promise, Err(error.clone()));
        }
        self.fail_waiting(error);
        self.fail_early(error);
    }

    /// The program hears of it if the connection was lost before, and the program has not closed it.
    fn note_given_up(&mut self, error: &Error) {
        let was_open = self.connect.is_none();
        let is_lost = !matches!(self.state, State::Open | State::Closing | State::Over);
        if was_open && is_lost && !matches!(error, Error::Closed) {
            log::error!("the connection is lost for good: {error}");
            let given_up = ConnectionEvent::GivenUp(error.clone());
            self.events.push_back(Event::Notice(given_up));
        }
    }

    /// Ends a connection whose peer may not be trusted any further.
    pub(crate) fn break_off(&mut self, violation: Violation) {
        let Fault {
            code,
            text,
            method: (class_id, method_id),
        } = *violation.0;
        let reply = Reply {
            code,
            text,
            class_id,
            method_id,
            from_broker: false,
        };
        let error = Error::from_reply(reply.clone());
        if self.will_recover(&error) {
            self.look_into(&error);
        }
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
        self.suspend(&error);
    }

    /// The socket has gone.
    pub(crate) fn disconnected(&mut self, why: Disconnect) {
        if self.state.is_over() || self.is_suspended() {
            return;
        }
        let error = Error::ConnectionBroken(why);
        log::debug!("{error}");
        self.suspend(&error);
        // What was called not sent must not be sent after all.
        self.out = Output::default();
    }
}
