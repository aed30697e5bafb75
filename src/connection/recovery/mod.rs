//! From one socket to the next: what goes on, what is made anew, and what fails.
//!
//! ```text
//!           the socket goes            another socket          open-ok             all is declared
//!   Open --------------------> Suspended ----------> Start ... ------> Recovering ----------------> Open
//!     ^                            ^                   |                   |
//!     |                            +-------------------+-------------------+  it goes, too
//! ```
//!
//! When to try again, and where, is the driver's business. What happens while it is Recovering is in `replay.rs`.

pub(crate) mod aside;
pub(crate) mod bindings;
pub(crate) mod blame;
pub(crate) mod careful;
pub(crate) mod replay;
pub(crate) mod restart;
pub(crate) mod step;
pub(crate) mod topology;

use crate::connection::Connection;
use crate::connection::channel::{Calling, Channel, Role};
use crate::connection::consume::consumer::Consumer;
use crate::connection::event::Event;
use crate::connection::expect::Expect;
use crate::connection::recovery::replay::Replay;
use crate::connection::request::Request;
use crate::connection::state::State;
use crate::types::error::Error;
use crate::types::recovery::ConnectionEvent;
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

    /// The end of the socket: of the connection too, unless there will be another.
    pub(crate) fn finish(&mut self, error: &Error) {
        if self.will_recover(error) {
            self.look_into(error);
            self.suspend(error);
        } else {
            self.end(error);
        }
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

    fn suspend(&mut self, error: &Error) {
        if self.state.is_open() {
            log::warn!("the connection is lost, and will be made anew: {error}");
            let lost = ConnectionEvent::Lost(error.clone());
            self.events.push_back(Event::Changed(lost));
        }
        if self.state.is_up() {
            self.suspend_publishes();
        }
        self.state.become_(State::Suspended);
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
            self.settled(promise, Err(error.clone()));
        }
        self.convict();
        self.replay = Replay::default();
    }

    fn suspend_channel(
        &mut self,
        channel: Channel,
        error: &Error,
        repeated: &mut Vec<(u64, Request)>,
    ) {
        for expect in &channel.expect {
            // The new consumer begins with that prefetch, and with all that was not settled.
            if let Expect::Replaced(Some(promise)) | Expect::RecoverOk(promise) = *expect {
                self.settled(promise, Ok(Outcome::Done));
            }
        }
        match channel.role {
            Role::Calls(calls) => {
                for Calling { promise, request } in calls {
                    if request.may_be_repeated() {
                        repeated.push((promise, request));
                    } else {
                        self.settled(promise, Err(error.clone()));
                    }
                }
            }
            Role::Get { promise, .. } => self.settled(promise, Err(error.clone())),
            Role::Caller {
                promise, deadline, ..
            } => {
                self.calls.remove(&(deadline, promise));
                self.settled(promise, Err(error.clone()));
            }
            Role::Consumer(mut consumer) => {
                self.discount_held(&mut consumer);
                self.suspend_consumer(consumer, &channel.unsettled, error);
            }
            Role::Idle
            | Role::Expired { .. }
            | Role::Returning(_)
            | Role::Settling
            | Role::Publisher
            | Role::Replay(_) => {}
        }
    }

    /// There is another socket: from the protocol header on.
    pub(crate) fn restart(&mut self) {
        self.state.become_(State::Start);
        self.input.clear();
        self.failure = None;
        self.frame_max = crate::connection::handshake::FRAME_MAX as usize;
        self.out = Default::default();
        self.out.tail().extend_from_slice(PROTOCOL_HEADER);
    }

    /// There will be no other socket after all.
    pub(crate) fn give_up(&mut self, error: &Error) {
        self.end(error);
    }

    /// A connection that was lost, and is not closed by the user, ends: the program hears of it.
    pub(crate) fn tell_of_giving_up(&mut self, error: &Error) {
        let was_open = self.connect.is_none();
        let is_lost = !matches!(self.state, State::Open | State::Closing | State::Over);
        if was_open && is_lost && !matches!(error, Error::Closed) {
            log::error!("the connection is lost for good: {error}");
            let given_up = ConnectionEvent::GivenUp(error.clone());
            self.events.push_back(Event::Changed(given_up));
        }
    }

    pub(crate) fn fail_suspended(&mut self, error: &Error) {
        for (consumer, _) in std::mem::take(&mut self.suspended) {
            self.fail_consumer(consumer, error);
        }
    }

    /// Whether a consumer has no channel at the moment.
    pub(crate) fn is_set_aside(&self, promise: u64) -> bool {
        let mut suspended = self.suspended.iter();
        suspended.any(|(consumer, _)| consumer.promise == promise)
    }

    /// A consumer that has no channel at the moment, out of those.
    pub(crate) fn take_suspended(&mut self, promise: u64) -> Option<Consumer> {
        let index = self
            .suspended
            .iter()
            .position(|(consumer, _)| consumer.promise == promise)?;
        self.suspended.remove(index).map(|(consumer, _)| consumer)
    }
}
