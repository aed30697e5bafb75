//! Rpc: a message to another program, and its reply, by [direct
//! reply-to](https://www.rabbitmq.com/docs/direct-reply-to).
//!
//! RabbitMQ sends the reply over the channel that the request came by, so each rpc has a channel to itself; an error of one
//! touches no other. A channel that once takes replies goes on taking them in the pool, where a late one is dropped: the
//! next rpc costs no more than its message.

use std::time::Duration;

use crate::connection::Connection;
use crate::connection::channel::Role;
use crate::connection::expect::Expect;
use crate::connection::request::{Request, RpcRequest};
use crate::types::error::{Error, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::{Delivery, Response, Returned};
use crate::types::results::Outcome;
use crate::wire::{BasicConsume, BasicQos, write_method};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The consumer of replies. Those of `basic_consume` have dots in their tags.
const REPLY_TAG: &str = "puka-reply";

/// An rpc that is not over.
#[derive(Debug)]
pub(crate) struct OpenRpc {
    /// How long it may take.
    timeout: Duration,
    /// The channel that it went by; none: it waits for one.
    channel: Option<ChannelId>,
}

impl Connection {
    pub(crate) fn start_rpc(
        &mut self,
        promise: PromiseNumber,
        sending: RpcRequest,
        id: ChannelId,
    ) -> Result<()> {
        let Some(channel) = self.channels.known(id) else {
            return Err(Error::bug("a request goes by a closed channel"));
        };
        if !channel.takes_replies {
            let consume = BasicConsume {
                queue: REPLY_TO.as_bytes(),
                consumer_tag: REPLY_TAG.as_bytes(),
                no_ack: true,
                no_wait: true,
                ..Default::default()
            };
            let _ = write_method(self.out.tail(), id.0, &consume);
        }
        let RpcRequest {
            exchange,
            routing_key,
            message,
            deadline,
            ..
        } = sending;
        let mut message = message.mandatory(true);
        message.properties.set_reply_to(REPLY_TO);
        message.properties.set_correlation_id(&promise.to_string());
        if let Err(error) = self.write_message(id, &exchange, &routing_key, message) {
            self.rpcs.remove(&(deadline, promise));
            return Err(error);
        }
        if let Some(channel) = self.channels.known(id) {
            channel.takes_replies = true;
        }
        if let Some(call) = self.rpcs.get_mut(&(deadline, promise)) {
            call.channel = Some(id);
        }
        let role = Role::Rpc {
            promise,
            deadline,
            is_handled: false,
        };
        self.occupy(id, role, []);
        if self.blame.is_careful() {
            self.write_rpc_fence(id);
        }
        Ok(())
    }

    pub(crate) fn replied(&mut self, id: ChannelId, delivery: Box<Delivery>) {
        let correlation = delivery.properties.correlation_id();
        match self.channels.get(id).map(|channel| &channel.role) {
            Some(&Role::Rpc {
                promise, deadline, ..
            }) if correlation == Some(&promise.to_string()) => {
                self.rpcs.remove(&(deadline, promise));
                self.has_got_on = true;
                self.release(id);
                let response = Response {
                    body: delivery.body,
                    properties: delivery.properties,
                };
                self.resolve(promise, Ok(Outcome::Response(Box::new(response))));
            }
            Some(Role::Rpc { .. }) if correlation.is_none() => log::warn!(
                "a reply has no correlation_id, and is dropped: who replies must set the request's"
            ),
            _ => {
                log::debug!("a reply came too late, or with another correlation_id, and is dropped")
            }
        }
    }

    /// Nobody took the request.
    pub(crate) fn rpc_returned(&mut self, id: ChannelId, returned: Box<Returned>) {
        let correlation = returned.properties.correlation_id();
        match self.channels.get(id).map(|channel| &channel.role) {
            Some(&Role::Rpc {
                promise, deadline, ..
            }) if correlation == Some(&promise.to_string()) => {
                self.rpcs.remove(&(deadline, promise));
                self.release(id);
                self.resolve(promise, Err(Error::NoRoute(returned)));
            }
            _ => log::debug!("the return of a request came too late, and is dropped"),
        }
    }

    /// Gives up what has no reply when its time is up. A thousand may be due at once: none is looked for.
    pub(crate) fn expire_rpcs(&mut self) {
        while let Some(entry) = self.rpcs.first_entry()
            && entry.key().0 <= self.now
        {
            let ((_, call), OpenRpc { timeout, channel }) = entry.remove_entry();
            match channel {
                Some(channel) => self.fence_off(channel, call),
                None => drop(self.waiting.remove(&call)),
            }
            self.resolve(call, Err(Error::NoReply(timeout)));
        }
    }

    /// The broker may yet return the message of an rpc that was given up, or close the channel because of it: whoever
    /// had that channel next would be hit. So it is free again when the broker has answered something that came after.
    fn fence_off(&mut self, id: ChannelId, promise: PromiseNumber) {
        self.occupy(id, Role::ExpiredRpc { promise }, []);
        self.write_rpc_fence(id);
    }

    /// Asks the broker to say when it has handled what has gone by that channel.
    fn write_rpc_fence(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.known(id) {
            channel.expect.push_back(Expect::QosOk);
        }
        // Nothing may follow connection.close.
        if self.state.is_up() {
            let _ = write_method(self.out.tail(), id.0, &BasicQos::default());
            self.out.commit();
        }
    }

    /// The broker has handled what came before the fence.
    pub(crate) fn rpc_fence_passed(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.known(id) else {
            return;
        };
        // Its answer may come after the reply to an earlier call.
        if channel.expect.contains(&Expect::QosOk) {
            return;
        }
        match &mut channel.role {
            Role::Rpc { is_handled, .. } => *is_handled = true,
            Role::ExpiredRpc { .. } => self.release(id),
            _ => {}
        }
    }

    /// Notes when an rpc is given up.
    pub(crate) fn note_deadline(&mut self, promise: PromiseNumber, request: &Request) {
        if let Request::Rpc(sending) = request {
            let open = OpenRpc {
                timeout: sending.timeout,
                channel: None,
            };
            self.rpcs.insert((sending.deadline, promise), open);
        }
    }
}

/// Whether a delivery, on a channel that takes replies, is one, be it too late.
pub(crate) fn is_reply(delivery: &Delivery) -> bool {
    delivery.consumer_tag == REPLY_TAG
}
