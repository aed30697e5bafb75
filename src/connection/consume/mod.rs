//! A consumer's life: qos, consume, deliver, qos anew, cancel, acknowledge.
//!
//! One promise, one channel, one or more queues. The broker counts a prefetch for each queue's consumer, and fixes it
//! when that consumer starts. Puka's promise is another: one limit for all queues together, which may change while it
//! runs. So the client keeps a gate of its own: no more than `prefetch` deliveries are with the user and unsettled;
//! those beyond are held back in the order they came. And a changed prefetch replaces each of the broker's consumers
//! by a new one on the same channel: first the new, then the old is cancelled, so that a queue never stands without.
//!
//! RabbitMQ's queue sends the consume-ok, and its channel fails if the tag is cancelled before that has passed. So what
//! is asked of a consumer that starts waits for the consume-ok.
//!
//! ```text
//!                 qos, consume ...            basic_cancel, or the broker's cancel
//!   (a channel) ------------------> running ----------------------------------> ending --> over
//!                                    |  ^     cancel each tag that is left      cancel-ok for each
//!                                    +--+ basic_qos: qos, consume new, cancel old
//! ```

pub(crate) mod consumer;
pub(crate) mod gate;
pub(crate) mod prefetch;
pub(crate) mod returning;
pub(crate) mod settle;
pub(crate) mod unsettled;

use crate::connection::Connection;
use crate::connection::channel::{Channel, Consuming, Role};
use crate::connection::consume::consumer::{Consumer, Deferred, Ending, Queue};
use crate::connection::consume::unsettled::Unsettled;
use crate::connection::event::Event;
use crate::connection::expect::Expect;
use crate::connection::recovery::step::Item;
use crate::connection::request::Request;
use crate::connection::rpc::is_reply;
use crate::connection::violation::Violation;
use crate::types::error::{Error, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::Delivery;
use crate::types::results::CancelledBy;
use crate::types::results::{CancelOk, Outcome};
use crate::wire::reply_code::COMMAND_INVALID;
use crate::wire::{BasicCancel, ShortStr, write_ack, write_method};

impl Connection {
    /// Puts a consumer on its channel; gives it back if it cannot be asked for.
    pub(crate) fn start_consumer(
        &mut self,
        mut consumer: Consumer,
        channel: ChannelId,
    ) -> Result<(), Box<(Consumer, Error)>> {
        for queue in &mut consumer.queues {
            if let Some(is_stream) = self.topology.is_stream(&queue.request.queue) {
                queue.declared(is_stream);
            }
        }
        let expect = match consumer.start(channel, self.out.tail(), self.frame_max) {
            Ok(expect) => expect,
            Err(error) => {
                let error = Error::InvalidArgument(error.to_string());
                return Err(Box::new((consumer, error)));
            }
        };
        self.consumers.insert(consumer.promise, channel);
        self.occupy(channel, Role::Consumer(consumer), expect);
        Ok(())
    }

    /// The end of a consumer, and of all that was asked of it.
    pub(crate) fn fail_consumer(&mut self, consumer: Consumer, error: &Error) {
        for promise in consumer.promises() {
            self.resolve(promise, Err(error.clone()));
        }
        self.forget_auto_deleted(&consumer, |queue| queue.ran);
    }

    /// A consumer whose socket has gone: it will have another.
    pub(crate) fn suspend_consumer(
        &mut self,
        mut consumer: Consumer,
        unsettled: &Unsettled,
        error: &Error,
    ) {
        if !consumer.no_ack {
            self.events.push_back(Event::Stale(consumer.promise));
        }
        let (changed, ending) = consumer.prepare_restart(unsettled);
        for promise in changed {
            self.resolve(promise, Ok(Outcome::Done));
        }
        match ending {
            Some(ending) => self.cancelled(&consumer, ending),
            None => self.suspended.push_back((consumer, error.clone())),
        }
    }

    /// The end of a consumer by somebody's word.
    fn cancelled(&mut self, consumer: &Consumer, ending: Ending) {
        self.resolve(consumer.promise, Err(consumer.cancelled(ending.by)));
        for promise in ending.promises {
            let consumer_tag = consumer.last_tag();
            self.resolve(promise, Ok(Outcome::CancelOk(CancelOk { consumer_tag })));
        }
        // Without a loss it would have run.
        let would_have = consumer.restarted || !self.state.is_up();
        self.forget_auto_deleted(consumer, |queue| queue.ran || would_have);
    }

    /// Queues that go with their last consumer are not to be declared again, if it was that.
    fn forget_auto_deleted(&mut self, consumer: &Consumer, ran: impl Fn(&Queue) -> bool) {
        if self.config.options.recovery.is_none() || self.state.is_over() {
            return;
        }
        for queue in consumer.queues.iter().filter(|queue| ran(queue)) {
            let mut name = queue.request.queue.clone();
            self.topology.names.follow_name(&mut name);
            // Of the others one need not look for each.
            if !self.topology.is_auto_deleted(&name) || self.is_consumed(&name) {
                continue;
            }
            if queue.alive {
                self.topology.set_queue_aside(&name);
            } else {
                self.topology.forget_queue(&name);
            }
        }
    }

    /// Whether a consumer of this client's has that queue, or will have it as if no connection had been lost.
    fn is_consumed(&self, name: &ShortStr) -> bool {
        let has_it = |consumer: &Consumer| {
            let mut queues = consumer.queues.iter();
            queues.any(|queue| self.topology.names.is_now(&queue.request.queue, name))
        };
        let mut running = self.consumers.values();
        let mut suspended = self.suspended.iter();
        let mut waiting = self.waiting.values();
        running.any(|&id| {
            let role = self.channels.get(id).map(|channel| &channel.role);
            matches!(role, Some(Role::Consumer(other)) if has_it(other))
        }) || suspended.any(|(consumer, _)| has_it(consumer))
            || !self.state.is_up()
                && waiting.any(|request| match request {
                    Request::Consume(multi) => {
                        let mut queues = multi.consumers.iter();
                        queues.any(|queue| self.topology.names.is_now(&queue.queue, name))
                    }
                    _ => false,
                })
    }

    pub(crate) fn no_such_consumer(&mut self, promise: PromiseNumber, consumer: PromiseNumber) {
        let error = Error::UnknownPromise(self.config.id(consumer));
        self.resolve(promise, Err(error));
    }

    /// A delivery for a consumer: to its promise, or held back.
    pub(crate) fn deliver(
        &mut self,
        id: ChannelId,
        mut delivery: Box<Delivery>,
    ) -> Result<(), Violation> {
        let Some(channel) = self.channels.known(id) else {
            return Ok(());
        };
        if channel.takes_replies && is_reply(&delivery) {
            self.replied(id, delivery);
            return Ok(());
        }
        let Role::Consumer(consumer) = &mut channel.role else {
            return Err(not_allowed("a delivery where nobody consumes"));
        };
        let (promise, no_ack, rewinds) = (consumer.promise, consumer.no_ack, consumer.rewinds);
        let Some(queue) = consumer.queue_of(delivery.consumer_tag.as_bytes()) else {
            return Err(not_allowed("a delivery for an unknown consumer"));
        };
        // What comes before recover-ok was sent before the broker took it all back.
        let takes_back = |expect: &Expect| matches!(expect, Expect::RecoverOk(_));
        if !no_ack && channel.expect.iter().any(takes_back) {
            return Ok(());
        }
        if rewinds {
            write_ack(self.out.tail(), id.0, delivery.origin.tag, false);
            self.out.commit();
            return Ok(());
        }
        delivery.origin.promise.number = promise;
        delivery.origin.no_ack = no_ack;
        if !no_ack {
            if !channel.unsettled.push(delivery.origin.tag) {
                return Err(not_allowed("a delivery tag that does not rise"));
            }
            let headers = &delivery.properties.headers;
            queue.note_offset(delivery.origin.tag, &channel.unsettled, headers);
            let given = channel.unsettled.len() - consumer.held.len() - 1;
            let full = consumer.prefetch != 0 && given >= usize::from(consumer.prefetch);
            if full || !consumer.held.is_empty() || consumer.ending.is_some() {
                self.hold_back(id, delivery);
                return Ok(());
            }
        } else {
            self.has_got_on = true;
        }
        self.events.push_back(Event::Delivery(promise, delivery));
        Ok(())
    }

    /// Does it now, or when the consumer has started.
    pub(crate) fn defer(&mut self, id: ChannelId, what: Deferred) {
        if let Some(consumer) = self.consumer(id) {
            consumer.deferred.push_back(what);
            self.run_deferred(id);
        }
    }

    fn consumer(&mut self, id: ChannelId) -> Option<&mut Consumer> {
        match &mut self.channels.get_mut(id)?.role {
            Role::Consumer(consumer) => Some(consumer),
            _ => None,
        }
    }

    fn run_deferred(&mut self, id: ChannelId) {
        while let Some(consumer) = self.consumer(id).filter(|consumer| consumer.starting == 0) {
            match consumer.deferred.pop_front() {
                Some(Deferred::Qos { promise, prefetch }) => self.start_qos(promise, id, prefetch),
                Some(Deferred::Rewind { promise }) => self.rewind(promise, id),
                Some(Deferred::End { by, promise }) => self.end_consumer(id, by, promise),
                None => return,
            }
        }
    }

    /// `basic.consume-ok`. RabbitMQ 3.10 sends it once more when the leader of a quorum queue restarts, which does no harm.
    pub(crate) fn consume_ok(&mut self, id: ChannelId, tag: &[u8]) {
        let Some(channel) = self.channels.known(id) else {
            return;
        };
        let Role::Consumer(consumer) = &mut channel.role else {
            return log::debug!("a consume-ok for a consumer that is no more");
        };
        let queue = consumer.queue_of(tag).filter(|queue| queue.starting);
        let Some(queue) = queue.filter(|queue| queue.wire_tag().as_bytes() == tag) else {
            return log::debug!("a second consume-ok for a consumer");
        };
        queue.started();
        self.topology.has_queue_after_all(&queue.request.queue);
        consumer.starting = consumer.starting.saturating_sub(1);
        self.has_got_on |= !consumer.ran;
        consumer.ran = true;
        if consumer.starting == 0 {
            let promise = consumer.promise;
            self.blame.answered(|| Item::Promise(promise));
        }
        channel.expected(|expect| *expect == Expect::ConsumeOk);
        self.run_deferred(id);
    }

    /// `basic_cancel` of a consumer that runs, or waits for its channel.
    pub(crate) fn cancel(&mut self, promise: PromiseNumber, consumer: PromiseNumber) {
        if self.state.is_closing() {
            // Nothing may follow connection.close.
            return self.resolve(promise, Err(Error::Closed));
        }
        if let Some(request) = self.waiting_consumer(consumer) {
            let waiting = Consumer::new(consumer, request.clone());
            self.waiting.remove(&consumer);
            return self.cancelled(&waiting, Ending::by_client(promise));
        }
        match self.consumers.get(&consumer).copied() {
            Some(id) => self.defer(
                id,
                Deferred::End {
                    by: CancelledBy::Client,
                    promise: Some(promise),
                },
            ),
            None => match self.take_suspended(consumer) {
                Some(consumer) => self.cancelled(&consumer, Ending::by_client(promise)),
                None => self.no_such_consumer(promise, consumer),
            },
        }
    }

    /// The broker has cancelled one of a consumer's tags: the rest goes too.
    pub(crate) fn cancelled_by_broker(&mut self, id: ChannelId, tag: &[u8]) {
        let Some(Role::Consumer(consumer)) =
            self.channels.get_mut(id).map(|channel| &mut channel.role)
        else {
            return;
        };
        let queue = consumer.queue_of(tag);
        if let Some(queue) = queue.filter(|queue| queue.wire_tag().as_bytes() == tag) {
            queue.alive = false;
            log::debug!(
                "the broker cancelled the consumer of queue {:?}",
                &*queue.request.queue
            );
            if consumer.ending.is_none() {
                self.defer(
                    id,
                    Deferred::End {
                        by: CancelledBy::Broker,
                        promise: None,
                    },
                );
            }
        }
    }

    /// Cancels every tag that is left; [`cancel_ok`](Self::cancel_ok) does the rest.
    fn end_consumer(&mut self, id: ChannelId, by: CancelledBy, promise: Option<PromiseNumber>) {
        let Some(Consuming {
            consumer, expect, ..
        }) = self.channels.consuming(id)
        else {
            return;
        };
        if let Some(ending) = &mut consumer.ending {
            ending.promises.extend(promise);
            return;
        }
        let mut left = 0;
        for queue in consumer.queues.iter().filter(|queue| queue.alive) {
            let tag = queue.wire_tag();
            let cancel = BasicCancel {
                consumer_tag: tag.as_bytes(),
                no_wait: false,
            };
            // The tag was short enough when the consumer started.
            if write_method(self.out.tail(), id.0, &cancel).is_ok() {
                expect.push_back(Expect::CancelOk);
                left += 1;
            }
        }
        self.out.commit();
        consumer.ending = Some(Ending {
            by,
            promises: promise.into_iter().collect(),
            left,
        });
        // It waits for the answer now, which must be read.
        self.count_held(id);
        if left == 0 {
            self.finish_consumer(id);
        }
    }

    pub(crate) fn cancel_ok(&mut self, id: ChannelId) {
        let Some(Consuming { consumer, .. }) = self.channels.consuming(id) else {
            return;
        };
        let Some(ending) = &mut consumer.ending else {
            return;
        };
        ending.left = ending.left.saturating_sub(1);
        if ending.left == 0 {
            self.finish_consumer(id);
        }
    }

    fn finish_consumer(&mut self, id: ChannelId) {
        let channel = self.channels.known(id);
        let Some(mut consumer) = channel.and_then(Channel::take_consumer) else {
            return;
        };
        self.consumers.remove(&consumer.promise);
        self.discount_held(&mut consumer);
        if !consumer.no_ack {
            self.return_unread(id, &mut consumer);
        }
        let Some(mut ending) = consumer.ending.take() else {
            return;
        };
        // The broker may have ended it at once, before what waited for its start.
        for later in std::mem::take(&mut consumer.deferred) {
            match later {
                Deferred::Qos { promise, .. } | Deferred::Rewind { promise } => {
                    self.no_such_consumer(promise, consumer.promise);
                }
                Deferred::End { promise, .. } => ending.promises.extend(promise),
            }
        }
        self.cancelled(&consumer, ending);
        self.release_if_settled(id);
    }

    /// What nobody has read of a consumer goes back to its queue, in order: what its gate held is read by nobody either.
    fn return_unread(&mut self, id: ChannelId, consumer: &mut Consumer) {
        let Some(channel) = self.channels.known(id) else {
            return;
        };
        if channel.unsettled.is_empty() {
            return;
        }
        let mut of_streams: Vec<u64> = consumer.queues.iter().flat_map(Queue::kept).collect();
        of_streams.sort_unstable();
        channel.role = Role::Returning(of_streams);
        while let Some(delivery) = consumer.held.pop() {
            self.events
                .push_back(Event::Delivery(consumer.promise, delivery));
        }
        let gone = consumer.queues.iter().filter(|queue| !queue.alive);
        self.events.push_back(Event::Unread {
            consumer: consumer.promise,
            channel: id,
            gone: gone.map(|queue| queue.tag.clone()).collect(),
        });
    }
}

fn not_allowed(what: &str) -> Violation {
    Violation::new(COMMAND_INVALID, what)
}
