//! From one socket to the next: what goes on, what is made anew, and what fails.
//!
//! The states are drawn in `state.rs`; the end of a socket is in `end.rs`. When to try again, and where, is the
//! driver's business. What happens while it is Recovering is in `replay.rs`.

pub(crate) mod aside;
pub(crate) mod bindings;
pub(crate) mod blame;
pub(crate) mod careful;
pub(crate) mod names;
pub(crate) mod replay;
pub(crate) mod restart;
pub(crate) mod step;
pub(crate) mod topology;

use crate::connection::Connection;
use crate::connection::channel::{Calling, Channel, Role};
use crate::connection::consume::consumer::Consumer;
use crate::connection::expect::Expect;
use crate::connection::request::Request;
use crate::connection::state::State;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::results::Outcome;
use crate::wire::PROTOCOL_HEADER;

impl Connection {
    /// Whether there would be another socket after this one.
    pub(crate) fn set_retry(&mut self, retry: bool) {
        self.retry = retry;
    }

    /// Whether the login is done.
    pub(crate) fn is_up(&self) -> bool {
        self.state.is_up()
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.state == State::Suspended
    }

    /// Why it has no socket.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Whether anything was done over the last sockets that need not be done again, or it was found out what they died of.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_got_on)
    }

    pub(crate) fn suspend_channel(
        &mut self,
        channel: Channel,
        error: &Error,
        repeated: &mut Vec<(PromiseNumber, Request)>,
    ) {
        for expect in &channel.expect {
            // The new consumer begins with that prefetch, and with all that was not settled.
            if let Expect::Replaced(Some(promise)) | Expect::RecoverOk(promise) = *expect {
                self.resolve(promise, Ok(Outcome::Done));
            }
        }
        match channel.role {
            Role::Calls(calls) => {
                for Calling { promise, request } in calls {
                    if request.may_be_repeated() {
                        repeated.push((promise, request));
                    } else {
                        self.resolve(promise, Err(error.clone()));
                    }
                }
            }
            Role::Get { promise, .. } => self.resolve(promise, Err(error.clone())),
            Role::Rpc {
                promise, deadline, ..
            } => {
                self.rpcs.remove(&(deadline, promise));
                self.resolve(promise, Err(error.clone()));
            }
            Role::Consumer(mut consumer) => {
                self.discount_held(&mut consumer);
                self.suspend_consumer(consumer, &channel.unsettled, error);
            }
            Role::Idle
            | Role::ExpiredRpc { .. }
            | Role::Returning(_)
            | Role::Settling
            | Role::Publisher
            | Role::Replay(_) => {}
        }
    }

    /// There is another socket: from the protocol header on.
    pub(crate) fn restart(&mut self) {
        self.state.enter(State::Start);
        self.input.clear();
        self.failure = None;
        self.frame_max = crate::connection::handshake::FRAME_MAX as usize;
        self.out = Default::default();
        self.out.tail().extend_from_slice(PROTOCOL_HEADER);
    }

    pub(crate) fn fail_suspended(&mut self, error: &Error) {
        for (consumer, _) in std::mem::take(&mut self.suspended) {
            self.fail_consumer(consumer, error);
        }
    }

    /// Whether a consumer has no channel at the moment.
    pub(crate) fn is_set_aside(&self, promise: PromiseNumber) -> bool {
        let mut suspended = self.suspended.iter();
        suspended.any(|(consumer, _)| consumer.promise == promise)
    }

    /// A consumer that has no channel at the moment, out of those.
    pub(crate) fn take_suspended(&mut self, promise: PromiseNumber) -> Option<Consumer> {
        let index = self
            .suspended
            .iter()
            .position(|(consumer, _)| consumer.promise == promise)?;
        self.suspended.remove(index).map(|(consumer, _)| consumer)
    }
}
