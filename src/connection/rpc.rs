//! Calls: a message to another program, and its reply, by [direct
//! reply-to](https://www.rabbitmq.com/docs/direct-reply-to).
//!
//! RabbitMQ sends the reply over the channel that the request came by, so each call under way has a channel to itself;
//! an error of one touches no other. A channel that once takes replies goes on taking them in the pool, where a late
//! one is dropped: the next call costs no more than its message.

use std::time::Duration;

use crate::connection::Connection;
use crate::connection::channel::Role;
use crate::connection::expect::Expect;
use crate::connection::request::{Request, Sending};
use crate::types::error::{Error, Result};
use crate::types::message::{Delivery, Response, Returned};
use crate::types::results::Outcome;
use crate::wire::{BasicConsume, BasicQos, write_method};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The consumer of replies. Those of `basic_consume` have dots in their tags.
const REPLY_TAG: &str = "puka-reply";

/// A call that is not over.
#[derive(Debug)]
pub(crate) struct UnderWay {
    /// How long it may take.
    timeout: Duration,
    /// The channel that it went by; none: it waits for one.
    channel: Option<u16>,
}

impl Connection {
    pub(crate) fn start_sending(
        &mut self,
        promise: u64,
        sending: Sending,
        number: u16,
    ) -> Result<()> {
        let Some(channel) = self.channels.get_mut(number) else {
            return Err(Error::NotConnected);
        };
        if !channel.takes_replies {
            let consume = BasicConsume {
                queue: REPLY_TO.as_bytes(),
                consumer_tag: REPLY_TAG.as_bytes(),
                no_ack: true,
                no_wait: true,
                ..Default::default()
            };
            let _ = write_method(self.out.tail(), number, &consume);
        }
        let Sending {
            exchange,
            routing_key,
            message,
            deadline,
            ..
        } = sending;
        let mut message = message.mandatory(true);
        message.properties.set_reply_to(REPLY_TO);
        message.properties.set_correlation_id(&promise.to_string());
        if let Err(error) = self.write_message(number, &exchange, &routing_key, message) {
            self.calls.remove(&(deadline, promise));
            return Err(error);
        }
        if let Some(channel) = self.channels.get_mut(number) {
            channel.takes_replies = true;
        }
        if let Some(call) = self.calls.get_mut(&(deadline, promise)) {
            call.channel = Some(number);
        }
        let role = Role::Caller {
            promise,
            deadline,
            is_handled: false,
        };
        self.occupy(number, role, []);
        if self.blame.is_careful() {
            self.write_call_fence(number);
        }
        Ok(())
    }

    pub(crate) fn replied(&mut self, number: u16, delivery: Box<Delivery>) {
        let id = delivery.properties.correlation_id();
        match self.channels.get(number).map(|channel| &channel.role) {
            Some(&Role::Caller {
                promise, deadline, ..
            }) if id == Some(&promise.to_string()) => {
                self.calls.remove(&(deadline, promise));
                self.has_got_on = true;
                self.release(number);
                let response = Response {
                    body: delivery.body,
                    properties: delivery.properties,
                };
                self.settled(promise, Ok(Outcome::Response(Box::new(response))));
            }
            Some(Role::Caller { .. }) if id.is_none() => log::warn!(
                "a reply has no correlation_id, and is dropped: who replies must set the request's"
            ),
            _ => {
                log::debug!("a reply came too late, or with another correlation_id, and is dropped")
            }
        }
    }

    /// Nobody took the request.
    pub(crate) fn call_returned(&mut self, number: u16, returned: Box<Returned>) {
        let id = returned.properties.correlation_id();
        match self.channels.get(number).map(|channel| &channel.role) {
            Some(&Role::Caller {
                promise, deadline, ..
            }) if id == Some(&promise.to_string()) => {
                self.calls.remove(&(deadline, promise));
                self.release(number);
                self.settled(promise, Err(Error::NoRoute(returned)));
            }
            _ => log::debug!("the return of a request came too late, and is dropped"),
        }
    }

    /// Gives up the calls whose time is up. A thousand may be due at once: none is looked for.
    pub(crate) fn expire_calls(&mut self) {
        while let Some(entry) = self.calls.first_entry()
            && entry.key().0 <= self.now
        {
            let ((_, call), UnderWay { timeout, channel }) = entry.remove_entry();
            match channel {
                Some(channel) => self.fence_off(channel, call),
                None => drop(self.waiting.remove(&call)),
            }
            self.settled(call, Err(Error::NoReply(timeout)));
        }
    }

    /// The broker may yet return the message of a call that was given up, or close the channel because of it: whoever
    /// had that channel next would be hit. So it is free again when the broker has answered something that came after.
    fn fence_off(&mut self, number: u16, promise: u64) {
        self.occupy(number, Role::Expired { promise }, []);
        self.write_call_fence(number);
    }

    /// Asks the broker to say when it has handled what has gone by that channel.
    fn write_call_fence(&mut self, number: u16) {
        if let Some(channel) = self.channels.get_mut(number) {
            channel.expect.push_back(Expect::QosOk);
        }
        // Nothing may follow connection.close.
        if self.state.is_up() {
            let _ = write_method(self.out.tail(), number, &BasicQos::default());
            self.out.commit();
        }
    }

    /// The broker has handled what came before the fence.
    pub(crate) fn call_fence_passed(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        // Its answer may come after the reply to an earlier call.
        if channel.expect.contains(&Expect::QosOk) {
            return;
        }
        match &mut channel.role {
            Role::Caller { is_handled, .. } => *is_handled = true,
            Role::Expired { .. } => self.release(number),
            _ => {}
        }
    }

    /// Notes when a call is given up.
    pub(crate) fn note_deadline(&mut self, promise: u64, request: &Request) {
        if let Request::Send(sending) = request {
            let under_way = UnderWay {
                timeout: sending.timeout,
                channel: None,
            };
            self.calls.insert((sending.deadline, promise), under_way);
        }
    }
}

/// Whether a delivery, on a channel that takes replies, is one, be it too late.
pub(crate) fn is_reply(delivery: &Delivery) -> bool {
    delivery.consumer_tag == REPLY_TAG
}
