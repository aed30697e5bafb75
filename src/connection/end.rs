//! Ends: of a channel, of a socket, and of the connection.

use crate::connection::Connection;
use crate::connection::channel::{Channel, Role};
use crate::connection::expect::Expect;
use crate::connection::publish::output::Output;
use crate::connection::recovery::step::Item;
use crate::connection::state::State;
use crate::connection::violation::{Fault, Violation};
use crate::types::error::{Disconnect, Error};
use crate::types::reply::Reply;
use crate::wire::{ChannelCloseOk, ConnectionClose, write_method};

impl Connection {
    /// The broker closed a channel: an error for whatever went on there, and for nothing else.
    pub(crate) fn channel_closed(&mut self, number: u16, error: Error) {
        log::debug!("the broker closed channel {number}: {error}");
        let _ = write_method(self.out.tail(), number, &ChannelCloseOk {});
        self.out.commit();
        let Some(mut channel) = self.channels.retire(number) else {
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

    /// Every promise that goes with a channel that has gone.
    pub(crate) fn fail_channel(&mut self, channel: Channel, error: &Error) {
        match channel.role {
            Role::Calls(calls) => {
                for calling in calls {
                    self.settled(calling.promise, Err(error.clone()));
                }
            }
            Role::Get { promise, .. } => self.settled(promise, Err(error.clone())),
            Role::Caller {
                promise, deadline, ..
            } => {
                self.calls.remove(&(deadline, promise));
                self.settled(promise, Err(error.clone()));
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
            | Role::Expired { .. }
            | Role::Returning(_)
            | Role::Settling
            | Role::Publisher => {}
        }
        for expect in channel.expect {
            if let Expect::Replaced(Some(promise)) | Expect::RecoverOk(promise) = expect {
                self.settled(promise, Err(error.clone()));
            }
        }
    }

    /// The end of the connection: nothing may stay open.
    pub(crate) fn end(&mut self, error: &Error) {
        self.tell_of_giving_up(error);
        if let Some(connect) = self.connect.take() {
            self.settled(connect, Err(error.clone()));
        }
        for close in std::mem::take(&mut self.closes) {
            self.settled(close, Err(error.clone()));
        }
        self.state.become_(State::Over);
        self.ended = Some(error.clone());
        self.heartbeat.stop();
        self.publisher_lost(error);
        for channel in self.channels.drain() {
            self.fail_channel(channel, error);
        }
        self.fail_suspended(error);
        for promise in std::mem::take(&mut self.secrets) {
            self.settled(promise, Err(error.clone()));
        }
        self.fail_waiting(error);
        self.fail_early(error);
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
        self.finish(&error);
    }

    /// The socket has gone.
    pub(crate) fn handle_disconnect(&mut self, broken: Disconnect) {
        if self.state.is_over() || self.is_suspended() {
            return;
        }
        let error = Error::ConnectionBroken(broken);
        log::debug!("{error}");
        self.finish(&error);
        // What was called not sent must not be sent after all.
        self.out = Output::default();
    }
}
