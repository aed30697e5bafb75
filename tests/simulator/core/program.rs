//! The program: its calls, its promises, and what it may expect of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::body_of;
use super::broker::{self, Broker, Fate, Key, SERVICE};
use super::rng::Rng;
use crate::connection::channel::Role;
use crate::connection::consume::returning::WORK;
use crate::connection::{Connection, Request, RpcRequest, Settle};
use crate::types::error::{Error, Result};
use crate::types::ids::PromiseNumber;
use crate::types::message::{Delivery, Message, Origin};
use crate::types::requests::{
    Consume, ConsumeMulti, ExchangeDeclare, ExchangeDelete, Get, QueueBind, QueueDeclare,
    QueueDelete, Requeue,
};
use crate::types::results::Outcome;
use crate::wire::ShortStr;

pub(super) const QUEUES: &[&str] = &["a", "b", "c", "d"];
const EXCHANGES: &[&str] = &["x", "y", "amq.fanout"];

/// What a promise is of.
#[derive(Debug, Clone)]
enum Kind {
    Connect,
    Close,
    /// By its signature at the broker.
    Call(String),
    Publish {
        id: u64,
        mandatory: bool,
        body: usize,
    },
    /// A request to another program, with the body that comes back.
    Request {
        id: u64,
        body: usize,
        is_served: bool,
    },
    Consumer,
    /// `basic_cancel`, `basic_qos`, `basic_recover`.
    OfConsumer,
}

/// A delivery that is to be settled.
#[derive(Debug)]
struct Held {
    key: Key,
    /// A channel that is opened anew has the same keys again.
    opening: u64,
    origin: Origin,
}

#[derive(Debug)]
pub(super) struct Program {
    promises: u64,
    /// Messages have numbers of their own: a promise has one message, or none.
    open: BTreeMap<u64, Kind>,
    settled: BTreeSet<u64>,
    consumers: Vec<u64>,
    /// Consumers whose deliveries were asked for again.
    recovered: BTreeSet<u64>,
    /// How many deliveries each consumer's queue has had on that connection.
    counts: BTreeMap<(u32, u64, usize), u64>,
    held: Vec<Held>,
    /// Deliveries that have come, and have not been read.
    unread: BTreeMap<u64, VecDeque<(Held, Delivery)>>,
    succeeded: Vec<u64>,
    not_sent: Vec<u64>,
    /// Publishes that were told a definite failure.
    refused: Vec<u64>,
    /// Names of queues that the broker has made.
    made: Vec<String>,
    /// So few channels that they may run out.
    few_channels: bool,
    /// So low a mark that deliveries go back before the program sees them.
    has_low_mark: bool,
    recovers: bool,
    closes: bool,
    /// Promises that kill the connection.
    deadly: BTreeSet<u64>,
    pub(super) deliveries: u64,
    pub(super) publishes: u64,
}

impl Program {
    pub(super) fn new(few_channels: bool, has_low_mark: bool, recovers: bool) -> Self {
        Self {
            promises: 1,
            open: BTreeMap::from([(1, Kind::Connect)]),
            settled: BTreeSet::new(),
            consumers: Vec::new(),
            recovered: BTreeSet::new(),
            counts: BTreeMap::new(),
            held: Vec::new(),
            unread: BTreeMap::new(),
            succeeded: Vec::new(),
            not_sent: Vec::new(),
            refused: Vec::new(),
            made: Vec::new(),
            few_channels,
            has_low_mark,
            recovers,
            closes: false,
            deadly: BTreeSet::new(),
            deliveries: 0,
            publishes: 0,
        }
    }

    fn promise(&mut self, kind: Kind) -> u64 {
        self.promises += 1;
        self.open.insert(self.promises, kind);
        self.promises
    }

    fn request(&mut self, connection: &mut Connection, what: String, request: Request) -> String {
        let told = format!("{} {what}", self.promises + 1);
        let promise = self.promise(Kind::Call(what));
        connection.request(PromiseNumber(promise), request);
        told
    }

    /// Does something, and says what.
    pub(super) fn act(
        &mut self,
        connection: &mut Connection,
        broker: &mut Broker,
        rng: &mut Rng,
        now: Instant,
    ) -> String {
        let queue = rng.pick(QUEUES);
        let exchange = rng.pick(EXCHANGES);
        match rng.below(100) {
            0..12 => {
                let name = if rng.percent(10) { "" } else { queue };
                let passive = rng.percent(20) && !name.is_empty();
                let durable = rng.percent(90);
                let declare = QueueDeclare::new(name).durable(durable).passive(passive);
                let what = format!("queue.declare {name} {passive} {durable}");
                self.request(connection, what, Request::QueueDeclare(declare))
            }
            12..14 => {
                let delete = Request::QueueDelete(QueueDelete::new(queue));
                self.request(connection, "queue.delete".into(), delete)
            }
            14..16 => {
                let purge = Request::QueuePurge(queue.into());
                self.request(connection, format!("queue.purge {queue}"), purge)
            }
            16..20 => {
                let bind = QueueBind::new(queue, exchange).routing_key("k");
                let what = format!("queue.bind {queue} {exchange}");
                self.request(connection, what, Request::QueueBind(bind))
            }
            20..22 => {
                let unbind = QueueBind::new(queue, exchange).routing_key("k");
                self.request(
                    connection,
                    "queue.unbind".into(),
                    Request::QueueUnbind(unbind),
                )
            }
            22..25 => {
                let (name, kind) = (rng.pick(&["x", "y"]), rng.pick(&["direct", "fanout"]));
                let passive = rng.percent(20);
                let declare = ExchangeDeclare::with_kind(name, kind).passive(passive);
                let what = format!("exchange.declare {name} {kind} {passive}");
                self.request(connection, what, Request::ExchangeDeclare(declare))
            }
            25 => {
                let delete = Request::ExchangeDelete(ExchangeDelete::new(rng.pick(&["x", "y"])));
                self.request(connection, "exchange.delete".into(), delete)
            }
            26 if rng.percent(50) => self.publish_many(connection, rng, exchange),
            26..60 => self.publish(connection, rng, queue, exchange),
            60..65 => self.consume(connection, rng, queue),
            65..69 => {
                let get = Get::new(queue).no_ack(rng.percent(30));
                self.request(connection, format!("basic.get {queue}"), Request::Get(get))
            }
            69..72 => self.call(connection, rng, now),
            72..77 => self.of_consumer(connection, rng),
            77..84 => self.read(connection, rng),
            84..89 => self.fan_out(connection, rng),
            89 => self.kill(connection, rng),
            _ => self.settle(connection, broker, rng),
        }
    }

    /// So many that those behind several refused ones wait in line.
    fn publish_many(
        &mut self,
        connection: &mut Connection,
        rng: &mut Rng,
        exchange: &str,
    ) -> String {
        let count = 50 + rng.below(250);
        let first = self.promises + 1;
        for _ in 0..count {
            let queue = rng.pick(QUEUES);
            self.publish(connection, rng, queue, exchange);
        }
        format!("{first} basic.publish, {count} times")
    }

    /// What goes by itself, in some order.
    fn fan_out(&mut self, connection: &mut Connection, rng: &mut Rng) -> String {
        let queue = rng.pick(&[broker::OWN, broker::TEMPORARY]);
        match rng.below(6) {
            0 => {
                let declare = ExchangeDeclare::fanout(broker::SELF_DELETED).auto_delete(true);
                let what = format!("exchange.declare {} fanout false", broker::SELF_DELETED);
                self.request(connection, what, Request::ExchangeDeclare(declare))
            }
            1 => {
                let declare = QueueDeclare::new(queue)
                    .exclusive(queue == broker::OWN)
                    .auto_delete(queue == broker::TEMPORARY);
                let what = format!("queue.declare {queue} false false");
                self.request(connection, what, Request::QueueDeclare(declare))
            }
            2 | 3 => {
                let bind = QueueBind::new(queue, broker::SELF_DELETED);
                let what = format!("queue.bind {queue} {}", broker::SELF_DELETED);
                self.request(connection, what, Request::QueueBind(bind))
            }
            4 => self.consume(connection, rng, queue),
            _ => self.publish(connection, rng, queue, broker::SELF_DELETED),
        }
    }

    /// Asks for something that closes the connection.
    fn kill(&mut self, connection: &mut Connection, rng: &mut Rng) -> String {
        if rng.percent(70) {
            return String::new();
        }
        self.deadly.insert(self.promises + 1);
        match rng.below(4) {
            0 => {
                let declare = QueueDeclare::new(broker::DEADLY);
                let what = format!("queue.declare {} false false", broker::DEADLY);
                self.request(connection, what, Request::QueueDeclare(declare))
            }
            1 => {
                let declare = ExchangeDeclare::with_kind("other", "odd");
                let what = "exchange.declare other odd false".into();
                self.request(connection, what, Request::ExchangeDeclare(declare))
            }
            2 => self.consume(connection, rng, broker::MOODY),
            _ => {
                let id = self.promises + 1;
                let promise = self.promise(Kind::Publish {
                    id,
                    mandatory: false,
                    body: 1,
                });
                let message = Message::new(body_of(id, 1))
                    .message_id(id.to_string())
                    .correlation_id(broker::DEADLY);
                connection.publish(PromiseNumber(promise), "", "a", message);
                format!("{promise} basic.publish, deadly")
            }
        }
    }

    fn publish(
        &mut self,
        connection: &mut Connection,
        rng: &mut Rng,
        queue: &str,
        exchange: &str,
    ) -> String {
        let made = rng.one(self.made.clone());
        let missing = format!("missing-{}", rng.below(100));
        let (exchange, key) = match rng.below(50) {
            0..5 => ("", made.as_deref().unwrap_or(queue)),
            5..25 => ("", queue),
            25..35 => (exchange, "k"),
            35..49 => (rng.pick(broker::EXCHANGES), "k"),
            _ => (&*missing, "k"),
        };
        let body = match rng.below(10) {
            0 => 0,
            1 => 4096 + rng.below(20_000),
            2 => 1 + rng.below(5000),
            _ => 1 + rng.below(60),
        };
        let mandatory = rng.percent(30);
        let id = self.promises + 1;
        let promise = self.promise(Kind::Publish {
            id,
            mandatory,
            body,
        });
        let mut message = Message::new(body_of(id, body))
            .message_id(id.to_string())
            .mandatory(mandatory);
        if let Some(made) = self.made.last().filter(|_| rng.percent(20)) {
            message = message.reply_to(made.as_str());
        }
        if rng.percent(4) {
            let poisoned = rng.percent(30);
            message = message.expiration(if poisoned { "soon" } else { "1000" });
        }
        connection.publish(PromiseNumber(promise), exchange, key, message);
        self.publishes += 1;
        format!(
            "{promise} basic.publish {exchange:?} {key:?}, {body} bytes, mandatory: {mandatory}"
        )
    }

    fn consume(&mut self, connection: &mut Connection, rng: &mut Rng, queue: &str) -> String {
        let (prefetch, no_ack) = (rng.below(4) as u16, rng.percent(20));
        let mut queues = vec![queue];
        if rng.percent(30) {
            queues.push(rng.pick(QUEUES));
        }
        let exclusive = rng.percent(15);
        let consumers = queues
            .iter()
            .map(|&queue| Consume::new(queue).exclusive(exclusive));
        let consume = ConsumeMulti::new(consumers)
            .prefetch_count(prefetch)
            .no_ack(no_ack);
        let promise = self.promise(Kind::Consumer);
        self.consumers.push(promise);
        connection.request(PromiseNumber(promise), Request::Consume(consume));
        format!("{promise} basic.consume {queues:?}, prefetch {prefetch}, no_ack: {no_ack}")
    }

    fn call(&mut self, connection: &mut Connection, rng: &mut Rng, now: Instant) -> String {
        let is_served = rng.percent(70);
        let key = if is_served { SERVICE } else { "nobody" };
        let exchange = if rng.percent(20) { "missing" } else { "" };
        let (id, body) = (self.promises + 1, rng.below(200));
        let timeout = Duration::from_secs(rng.below(30) as u64);
        let sending = RpcRequest {
            exchange: exchange.into(),
            routing_key: key.into(),
            message: Message::new(body_of(id, body)).message_id(id.to_string()),
            timeout,
            deadline: now + timeout,
        };
        let promise = self.promise(Kind::Request {
            id,
            body,
            is_served,
        });
        connection.request(PromiseNumber(promise), Request::Rpc(Box::new(sending)));
        format!("{promise} call {exchange:?} {key}")
    }

    fn of_consumer(&mut self, connection: &mut Connection, rng: &mut Rng) -> String {
        let Some(consumer) = rng.one(self.consumers.iter().copied()) else {
            return String::new();
        };
        let promise = self.promise(Kind::OfConsumer);
        match rng.below(5) {
            0 | 1 => {
                connection.cancel(PromiseNumber(promise), PromiseNumber(consumer));
                format!("{promise} basic.cancel {consumer}")
            }
            2 => {
                self.recovered.insert(consumer);
                connection.recover(PromiseNumber(promise), PromiseNumber(consumer));
                format!("{promise} basic.recover {consumer}")
            }
            _ => {
                let prefetch = rng.below(4) as u16;
                connection.qos(PromiseNumber(promise), PromiseNumber(consumer), prefetch);
                format!("{promise} basic.qos {consumer} {prefetch}")
            }
        }
    }

    fn settle(
        &mut self,
        connection: &mut Connection,
        broker: &mut Broker,
        rng: &mut Rng,
    ) -> String {
        if self.held.is_empty() {
            return String::new();
        }
        let held = self.held.remove(rng.below(self.held.len()));
        let requeue = if rng.percent(50) {
            Requeue::Yes
        } else {
            Requeue::No
        };
        let multiple = rng.percent(30);
        let how = match rng.below(10) {
            0..7 => Settle::Ack { multiple },
            7 => Settle::Reject(requeue),
            _ => Settle::Nack { multiple, requeue },
        };
        let (multiple, fate) = match (how, requeue) {
            (Settle::Ack { multiple }, _) => (multiple, Fate::Acked),
            (Settle::Reject(_), Requeue::Yes) => (false, Fate::Requeued),
            (Settle::Reject(_), Requeue::No) => (false, Fate::Dropped),
            (Settle::Nack { multiple, .. }, Requeue::Yes) => (multiple, Fate::Requeued),
            (Settle::Nack { multiple, .. }, Requeue::No) => (multiple, Fate::Dropped),
        };
        let was_open = connection.is_open();
        let is_taken_back = connection.is_taken_back(held.origin);
        match connection.settle(held.origin, how) {
            // It comes again.
            Ok(()) if is_taken_back => assert!(!broker.is_unacked(held.key, held.opening)),
            Ok(()) => {
                broker.expect(held.key, fate);
                if multiple {
                    let origin = held.origin;
                    let (with_it, others) =
                        std::mem::take(&mut self.held)
                            .into_iter()
                            .partition(|other: &Held| {
                                other.origin.epoch == origin.epoch && other.origin.tag < origin.tag
                            });
                    self.held = others;
                    for other in with_it {
                        broker.expect(other.key, fate);
                    }
                }
            }
            Err(Error::StaleDelivery(_)) => {
                let promise = held.origin.promise.number();
                let is_live = was_open && broker.is_unacked(held.key, held.opening);
                assert!(
                    !is_live || self.recovered.contains(&promise),
                    "{held:?} is not stale"
                );
            }
            // It comes again.
            Err(Error::AlreadySettled(_))
                if self.recovered.contains(&held.origin.promise.number()) => {}
            Err(error) => panic!("{held:?}: {error}"),
        }
        format!("{:?} {how:?}", held.key)
    }

    /// Reads one delivery, or all there are, of some consumer.
    fn read(&mut self, connection: &mut Connection, rng: &mut Rng) -> String {
        let Some(consumer) = rng.one(self.unread.keys().copied()) else {
            return String::new();
        };
        let count = if rng.percent(50) { 1 } else { usize::MAX };
        let unread = self.unread.entry(consumer).or_default();
        for (held, delivery) in unread.drain(..count.min(unread.len())) {
            if delivery.origin.is_returned {
                // It has gone back already, and an acknowledgement does nothing.
                let acked = connection.settle(delivery.origin, Settle::Ack { multiple: false });
                assert!(acked.is_ok(), "{held:?}: {acked:?}");
            } else if !delivery.origin.no_ack {
                self.held.push(held);
            }
        }
        if unread.is_empty() {
            self.unread.remove(&consumer);
        }
        format!("reads {consumer}")
    }

    /// The deliveries of a consumer come again.
    pub(super) fn forget_unread(&mut self, consumer: u64) {
        self.unread.remove(&consumer);
    }

    /// A consumer is cancelled.
    pub(super) fn give_back(&mut self, consumer: u64, gone: &[ShortStr]) -> Vec<Origin> {
        let mut unread = self.unread.remove(&consumer).unwrap_or_default();
        let origins = unread.iter().map(|(_, delivery)| delivery.origin);
        let origins = origins.collect();
        unread.retain_mut(|(_, delivery)| {
            delivery.origin.is_returned = true;
            gone.contains(&delivery.consumer_tag)
        });
        if !unread.is_empty() {
            self.unread.insert(consumer, unread);
        }
        origins
    }

    /// Nothing is under way: whoever consumes does so for the broker, too, and of what is bound.
    pub(super) fn check_alive(&self, broker: &Broker, connection: &Connection) {
        if !connection.is_open() {
            return;
        }
        for (promise, kind) in &self.open {
            let is_consumer = matches!(kind, Kind::Consumer);
            assert!(
                !is_consumer || broker.consumes(*promise),
                "consumer {promise} is deaf"
            );
        }
        for queue in [broker::OWN, broker::TEMPORARY] {
            let is_theirs = connection.topology.binds(queue, broker::SELF_DELETED);
            assert!(
                !is_theirs
                    || !broker.is_alive(queue)
                    || broker.is_bound(queue, broker::SELF_DELETED),
                "the binding of {queue} is lost"
            );
        }
    }

    /// Nothing is under way: of what has ended only that is locked which the program has read, and only for that is a
    /// channel kept.
    pub(super) fn check_locks(&self, broker: &Broker, connection: &Connection) {
        for (key, sent) in broker.unacked() {
            let promise = sent.consumer.map(|(promise, ..)| promise);
            let has_ended = promise.is_some_and(|promise| self.settled.contains(&promise));
            let is_held = self.held.iter().any(|held| held.key == key);
            // Where few are much, what is behind one that the program has read waits for that.
            let waits = connection.return_work < WORK
                && self.held.iter().any(|held| {
                    let ((one, two, tag), (other, another, before)) = (key, held.key);
                    (one, two) == (other, another) && before < tag
                });
            assert!(
                is_held || waits || !has_ended,
                "{key:?} stays locked: {sent:?}"
            );
        }
        for (number, channel) in connection.channels.open_channels() {
            let is_its =
                |held: &Held| (held.origin.channel.0, held.origin.epoch) == (number, channel.epoch);
            match channel.role {
                Role::Returning(_) => panic!("channel {number} waits for what is unread"),
                Role::Settling => assert!(
                    self.held.iter().any(is_its),
                    "channel {number} stays taken for nothing"
                ),
                _ => {}
            }
        }
    }

    pub(super) fn close(&mut self, connection: &mut Connection) {
        self.closes = true;
        let promise = self.promise(Kind::Close);
        connection.close(PromiseNumber(promise));
    }

    pub(super) fn delivered(&mut self, promise: u64, delivery: Delivery, broker: &Broker) {
        assert!(
            matches!(self.open.get(&promise), Some(Kind::Consumer)),
            "{promise}: {delivery:?}"
        );
        let key = self.check(&delivery, broker);
        let (of, queue, count) = broker.sent[&key].consumer.expect("one that was delivered");
        assert_eq!(of, promise, "a delivery of another consumer");
        let seen = self.counts.entry((key.0, promise, queue)).or_default();
        let is_next = count == *seen + 1;
        // What the client held for it comes again, too, if all is to.
        let may_skip = (self.has_low_mark || self.recovered.contains(&promise)) && count > *seen;
        assert!(is_next || may_skip, "consumer {promise} missed a delivery");
        *seen = count;
        if !delivery.origin.no_ack
            && let Some(held) = self.held.pop()
        {
            let unread = self.unread.entry(promise).or_default();
            unread.push_back((held, delivery));
        }
    }

    /// A delivery is what the broker sent.
    fn check(&mut self, delivery: &Delivery, broker: &Broker) -> Key {
        self.deliveries += 1;
        let origin = delivery.origin;
        let key = (broker.number, origin.channel.0, origin.tag);
        let sent = &broker.sent[&key];
        assert_eq!(delivery.properties, broker::properties_of(sent.message));
        assert!(
            delivery.body == sent.body,
            "another body than was published"
        );
        assert_eq!(delivery.redelivered, sent.redelivered);
        if !origin.no_ack {
            let opening = sent.opening;
            self.held.push(Held {
                key,
                opening,
                origin,
            });
        }
        key
    }

    pub(super) fn settled(&mut self, promise: u64, result: Result<Outcome>, broker: &mut Broker) {
        let kind = self.open.remove(&promise);
        let kind = kind.unwrap_or_else(|| panic!("promise {promise} once more: {result:?}"));
        assert!(self.settled.insert(promise));
        let is_deadly = self.deadly.contains(&promise);
        match result {
            Ok(outcome) => {
                assert!(!is_deadly, "{kind:?} succeeded");
                self.succeeded(&kind, outcome, broker);
            }
            Err(error) if matches!(error.reply_code(), Some(503 | 541)) => {
                assert!(broker.deaths() > 0);
                self.killed(&kind, is_deadly, &error);
            }
            Err(error) => self.failed(&kind, &error, broker),
        }
    }

    /// The connection died of something: of this, if there is another; or this cannot be done twice.
    fn killed(&mut self, kind: &Kind, is_deadly: bool, error: &Error) {
        let cannot_be_repeated = match kind {
            Kind::Call(what) => [
                "basic.get",
                "queue.purge",
                "queue.delete",
                "exchange.delete",
            ]
            .iter()
            .any(|name| what.starts_with(name)),
            Kind::Publish { .. } | Kind::Consumer => false,
            _ => true,
        };
        assert!(
            !self.recovers || self.closes || is_deadly || cannot_be_repeated,
            "{kind:?} suffers for another: {error}"
        );
    }

    fn succeeded(&mut self, kind: &Kind, outcome: Outcome, broker: &Broker) {
        match (kind, outcome) {
            (Kind::Publish { id, .. }, Outcome::Published) => {
                assert!(
                    broker.taken.contains_key(id),
                    "message {id} is not with the broker"
                );
                self.succeeded.push(*id);
            }
            (Kind::Call(what), Outcome::QueueDeclareOk(ok))
                if what.starts_with("queue.declare  ") =>
            {
                self.made.push(ok.queue.to_string());
            }
            (
                Kind::Request {
                    id,
                    body,
                    is_served,
                },
                Outcome::Response(response),
            ) => {
                assert!(*is_served && response.body == body_of(*id, *body));
            }
            (Kind::Call(what), Outcome::Got(got)) => {
                assert!(what.starts_with("basic.get"));
                if let Some(delivery) = got {
                    let key = self.check(&delivery, broker);
                    assert_eq!(broker.sent[&key].consumer, None);
                }
            }
            (Kind::Publish { .. } | Kind::Request { .. } | Kind::Consumer, outcome) => {
                panic!("{kind:?}: {outcome:?}");
            }
            _ => {}
        }
    }

    fn failed(&mut self, kind: &Kind, error: &Error, broker: &mut Broker) {
        if let Some(reply) = error.reply() {
            assert!(reply.from_broker, "the client says: {error}");
            if reply.code == 320 {
                assert!(broker.was_forced);
                return self.lost(kind, error);
            }
        }
        match (kind, error) {
            // Its own error, and nobody else's.
            (
                Kind::Call(what),
                Error::NotFound(_)
                | Error::PreconditionFailed(_)
                | Error::ResourceLocked(_)
                | Error::AccessRefused(_),
            ) => {
                let count = broker.failed.get_mut(what);
                let count = count.unwrap_or_else(|| panic!("{what} did not fail: {error}"));
                assert!(*count > 0, "{what} did not fail that often: {error}");
                *count -= 1;
            }
            (Kind::Publish { id, .. }, Error::NotFound(_) | Error::PreconditionFailed(_)) => {
                assert!(
                    broker.refused.contains(id),
                    "{kind:?} was not refused: {error}"
                );
                self.refused.push(*id);
            }
            (Kind::Publish { id, .. }, Error::Nacked) => {
                assert!(broker.nacked.contains(id));
                self.refused.push(*id);
            }
            (
                Kind::Publish {
                    id,
                    mandatory,
                    body,
                    ..
                },
                Error::NoRoute(returned),
            ) => {
                assert!(*mandatory && broker.returned.contains(id));
                self.refused.push(*id);
                assert!(returned.body == body_of(*id, *body));
                assert_eq!(returned.properties.headers().len(), 0, "puka's mark shows");
            }
            (
                Kind::Request {
                    is_served: false, ..
                },
                Error::NoRoute(_),
            )
            | (Kind::Request { .. }, Error::NoReply(_))
            | (
                Kind::Consumer,
                Error::Cancelled(_)
                | Error::NotFound(_)
                | Error::ResourceLocked(_)
                | Error::AccessRefused(_),
            ) => {}
            (Kind::Request { id, .. }, Error::NotFound(_)) => {
                assert!(
                    broker.refused.contains(id),
                    "{kind:?} was not refused: {error}"
                );
            }
            // The consumer had ended already, or cannot have more.
            (
                Kind::OfConsumer,
                Error::UnknownPromise(_)
                | Error::Cancelled(_)
                | Error::NotFound(_)
                | Error::InvalidArgument(_)
                | Error::ResourceLocked(_)
                | Error::AccessRefused(_),
            ) => {}
            (kind, error) => self.lost(kind, error),
        }
    }

    /// What may befall anything.
    fn lost(&mut self, kind: &Kind, error: &Error) {
        match (kind, error) {
            (Kind::Publish { id, .. }, Error::NotSent(_)) => self.not_sent.push(*id),
            (Kind::Publish { .. }, Error::OutcomeUnknown(_)) => {}
            (Kind::Publish { .. }, _) => panic!("{kind:?}: {error}"),
            // An operator who closes it, too, does what was asked for.
            (Kind::Close, Error::ConnectionForced(_)) => panic!("{kind:?}: {error}"),
            (_, Error::NoFreeChannel(_)) => assert!(self.few_channels, "{kind:?}: {error}"),
            (_, Error::ConnectionBroken(_) | Error::ConnectionForced(_) | Error::Closed) => {}
            _ => panic!("{kind:?}: {error}"),
        }
    }

    /// Whether something is under way that only time will end.
    pub(super) fn waits(&self, connection: &Connection) -> bool {
        let ends = |kind: &Kind| !matches!(kind, Kind::Consumer);
        self.open.values().any(ends) && !connection.is_over()
    }

    /// Nothing is under way but consumers.
    pub(super) fn check_settled(&self) {
        for (promise, kind) in &self.open {
            assert!(
                matches!(kind, Kind::Consumer),
                "promise {promise} hangs: {kind:?}"
            );
        }
    }

    /// The connection is over.
    pub(super) fn check_over(&self, broker: &Broker, was_lost: bool, recovers: bool) {
        assert!(self.open.is_empty(), "without a result: {:?}", self.open);
        for id in &self.not_sent {
            assert!(
                !broker.taken.contains_key(id),
                "message {id}, not sent, is with the broker"
            );
        }
        for id in &self.refused {
            assert!(
                !broker.queued.contains(id),
                "message {id}, refused, is in a queue"
            );
        }
        for id in &self.succeeded {
            assert!(
                broker.taken.contains_key(id),
                "message {id} is not with the broker"
            );
        }
        // Twice is only what was published again after a loss.
        if !(was_lost && recovers) {
            let twice = broker.taken.iter().find(|&(_, &count)| count > 1);
            assert!(twice.is_none(), "message {twice:?} times");
        }
    }
}
