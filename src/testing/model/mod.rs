//! The state of a RabbitMQ in memory: virtual hosts, users, exchanges, queues, consumers, messages that wait and messages
//! that are out.
//!
//! It knows which channel asks, and what that may do; it gives results, refusals in RabbitMQ's words, and
//! [events](Event). It knows no frames, confirms no publish and sees no socket: that is the session's. Time is what
//! [`Model::advance`] was last told.
//!
//! After each call there may be events: they are to be sent after the call's own reply.

mod refusal;
mod request;

use std::time::Instant;

pub(crate) use refusal::{Outcome, Refusal, Scope};
pub(crate) use request::*;

/// One RabbitMQ cluster.
#[derive(Debug)]
pub(crate) struct Model {
    settings: Settings,
}

#[allow(unused_variables, clippy::needless_pass_by_ref_mut)]
impl Model {
    /// With a virtual host "/", and a user "guest" who may do everything there.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    // Time.

    /// It is that late; what was due until then happens.
    pub(crate) fn advance(&mut self, now: Instant) {
        unimplemented!("it comes")
    }

    /// When something happens by itself: then `advance` wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!("it comes")
    }

    /// What happened since it was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        unimplemented!("it comes")
    }

    // Users and connections.

    pub(crate) fn add_vhost(&mut self, vhost: &str) {
        unimplemented!("it comes")
    }

    /// Who may log in; and do nothing, until it has permissions.
    pub(crate) fn add_user(&mut self, user: &str, password: &str) {
        unimplemented!("it comes")
    }

    /// Refuses in words an expression that it does not understand.
    pub(crate) fn set_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
    ) -> Result<(), String> {
        unimplemented!("it comes")
    }

    /// Whether the password is that user's.
    pub(crate) fn is_password(&self, user: &str, password: &str) -> bool {
        unimplemented!("it comes")
    }

    /// `connection.open`: refused with 530 in RabbitMQ's words. An accepted one is there until `disconnected`.
    pub(crate) fn connected(&mut self, link: LinkId, user: &str, vhost: &str) -> Outcome<()> {
        unimplemented!("it comes")
    }

    /// All its channels end, and its exclusive queues go.
    pub(crate) fn disconnected(&mut self, link: LinkId) {
        unimplemented!("it comes")
    }

    /// All connections are gone, and all that is not durable. No events.
    pub(crate) fn restart(&mut self) {
        unimplemented!("it comes")
    }

    // Channels.

    pub(crate) fn open_channel(&mut self, channel: ChannelKey) {
        unimplemented!("it comes")
    }

    /// Its consumers end, and what is not acknowledged goes back. Nothing happens if it is not open.
    pub(crate) fn close_channel(&mut self, channel: ChannelKey) {
        unimplemented!("it comes")
    }

    pub(crate) fn qos(
        &mut self,
        channel: ChannelKey,
        prefetch_size: u32,
        prefetch_count: u16,
        global: bool,
    ) -> Outcome<()> {
        unimplemented!("it comes")
    }

    // Exchanges.

    pub(crate) fn declare_exchange(
        &mut self,
        caller: Caller<'_>,
        declare: ExchangeDeclare<'_>,
    ) -> Outcome<()> {
        unimplemented!("it comes")
    }

    pub(crate) fn delete_exchange(
        &mut self,
        caller: Caller<'_>,
        exchange: &str,
        if_unused: bool,
    ) -> Outcome<()> {
        unimplemented!("it comes")
    }

    pub(crate) fn bind_exchange(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        unimplemented!("it comes")
    }

    pub(crate) fn unbind_exchange(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        unimplemented!("it comes")
    }

    // Queues.

    pub(crate) fn declare_queue(
        &mut self,
        caller: Caller<'_>,
        declare: QueueDeclare<'_>,
    ) -> Outcome<QueueDeclared> {
        unimplemented!("it comes")
    }

    /// How many messages went with it.
    pub(crate) fn delete_queue(
        &mut self,
        caller: Caller<'_>,
        queue: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Outcome<u32> {
        unimplemented!("it comes")
    }

    /// How many messages went.
    pub(crate) fn purge_queue(&mut self, caller: Caller<'_>, queue: &str) -> Outcome<u32> {
        unimplemented!("it comes")
    }

    pub(crate) fn bind_queue(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        unimplemented!("it comes")
    }

    pub(crate) fn unbind_queue(&mut self, caller: Caller<'_>, bind: Bind<'_>) -> Outcome<()> {
        unimplemented!("it comes")
    }

    // Messages.

    pub(crate) fn publish(
        &mut self,
        caller: Caller<'_>,
        publish: Publish<'_>,
    ) -> Outcome<Published> {
        unimplemented!("it comes")
    }

    /// What `basic.publish` is checked for before its body comes (the exchange is there, the user may write):
    /// RabbitMQ refuses then already. `publish` checks it again.
    pub(crate) fn check_publish(
        &self,
        caller: Caller<'_>,
        exchange: &str,
        immediate: bool,
    ) -> Outcome<()> {
        unimplemented!("it comes")
    }

    /// An operator's `get` takes the message away for good, and its tag is 0.
    pub(crate) fn get(
        &mut self,
        caller: Caller<'_>,
        queue: &str,
        no_ack: bool,
    ) -> Outcome<Option<Got>> {
        unimplemented!("it comes")
    }

    /// The consumer's tag. Deliveries come as events.
    pub(crate) fn consume(&mut self, channel: ChannelKey, consume: Consume<'_>) -> Outcome<String> {
        unimplemented!("it comes")
    }

    /// `basic.cancel` of the client's: what is not acknowledged stays so. An unknown tag does nothing.
    pub(crate) fn cancel(&mut self, channel: ChannelKey, tag: &str) {
        unimplemented!("it comes")
    }

    pub(crate) fn ack(&mut self, channel: ChannelKey, tag: u64, multiple: bool) -> Outcome<()> {
        unimplemented!("it comes")
    }

    /// `basic.nack`, and `basic.reject` with `multiple` false.
    pub(crate) fn nack(
        &mut self,
        channel: ChannelKey,
        tag: u64,
        multiple: bool,
        requeue: bool,
    ) -> Outcome<()> {
        unimplemented!("it comes")
    }

    /// `basic.recover`; 540 if it should not requeue.
    pub(crate) fn recover(&mut self, channel: ChannelKey, requeue: bool) -> Outcome<()> {
        unimplemented!("it comes")
    }

    // On demand.

    /// The next `n` messages on channels that confirm are refused (`Published::is_accepted` false).
    pub(crate) fn nack_next(&mut self, n: u32) {
        unimplemented!("it comes")
    }

    /// The broker ends all consumers of a queue.
    pub(crate) fn cancel_consumers(&mut self, vhost: &str, queue: &str) {
        unimplemented!("it comes")
    }

    // To be asked.

    pub(crate) fn queue(&self, vhost: &str, queue: &str) -> Option<QueueView> {
        unimplemented!("it comes")
    }

    /// The names of a virtual host's queues, in order.
    pub(crate) fn queue_names(&self, vhost: &str) -> Vec<String> {
        unimplemented!("it comes")
    }

    /// Everything that was ever published and accepted, in order.
    pub(crate) fn published(&self) -> &[PublishedView] {
        unimplemented!("it comes")
    }
}
