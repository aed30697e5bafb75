//! The model of a broker: what RabbitMQ does, as far as this client can tell, and judge of every byte that it is sent.

mod trouble;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::rng::Rng;
use crate::wire::{
    self, Arena, ContentHeader, FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD,
    FieldTable, FrameHead, Method, PROTOCOL_HEADER, Properties, WireMethod, begin_frame, end_frame,
    write_method,
};
use trouble::Trouble;
pub(super) use trouble::{DEADLY, MOODY, OWN, SELF_DELETED, TEMPORARY};

/// Where a request goes that somebody answers.
pub(super) const SERVICE: &str = "service";
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Exchanges that come and go. Two have names that the broker's text does not tell apart.
pub(super) const EXCHANGES: &[&str] = &["x", "y", LONG[0], LONG[1]];
const LONG: [&str; 2] = [
    "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\
     eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-1",
    "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\
     eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-2",
];

/// How names begin that the broker makes.
const GENERATED: &str = "amq.gen-";

#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// What the program calls it.
    pub(super) id: u64,
    pub(super) body: Vec<u8>,
    exchange: String,
    routing_key: String,
    redelivered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
    messages: VecDeque<Stored>,
}

#[derive(Debug)]
struct Exchange {
    kind: String,
    auto_delete: bool,
    /// Queue and key.
    bindings: BTreeSet<(String, String)>,
}

#[derive(Debug, Clone)]
struct Consumer {
    queue: String,
    no_ack: bool,
    exclusive: bool,
    prefetch: usize,
}

#[derive(Debug)]
struct Unacked {
    queue: String,
    message: Stored,
    consumer: String,
}

/// How the program settled a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Acked,
    Dropped,
    Requeued,
}

/// A delivery as both sides know it: the connection, the channel, the tag.
pub(super) type Key = (u32, u16, u64);

/// What was sent under that key.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) message: u64,
    /// Of its channel.
    pub(super) opening: u64,
    pub(super) body: Vec<u8>,
    pub(super) redelivered: bool,
    /// The consumer's promise, which of its queues it is, and the how-manieth delivery of that; none: `basic.get`.
    pub(super) consumer: Option<(u64, usize, u64)>,
    /// What the program did with it.
    pub(super) fate: Option<Fate>,
}

/// What the client wants of a channel.
#[derive(Debug)]
enum Command {
    Method(Vec<u8>),
    Publish(Vec<u8>, ContentHeader, Vec<u8>),
}

/// A message whose frames are coming in.
#[derive(Debug)]
struct Partial {
    method: Vec<u8>,
    header: Option<ContentHeader>,
    body: Vec<u8>,
}

#[derive(Debug, Default)]
struct Channel {
    /// Unlike its number, no other has it.
    opening: u64,
    /// `channel.close` is out: everything is ignored until it is answered.
    closing: bool,
    mailbox: VecDeque<Command>,
    partial: Option<Partial>,
    confirms: bool,
    published: u64,
    /// Whether it was taken.
    unconfirmed: BTreeMap<u64, bool>,
    delivered: u64,
    unacked: BTreeMap<u64, Unacked>,
    consumers: BTreeMap<String, Consumer>,
    prefetch: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Header,
    StartOk,
    TuneOk,
    Open,
    Running,
    /// `connection.close` is out.
    Closing,
    /// Nothing may come any more.
    Closed,
    /// It has died without a word.
    Dead,
}

/// One connection.
#[derive(Debug)]
struct Link {
    phase: Phase,
    input: Vec<u8>,
    frame_max: usize,
    channel_max: u16,
    channels: BTreeMap<u16, Channel>,
    /// Frames to be sent; those of one channel stay in order.
    out: BTreeMap<u16, VecDeque<Vec<u8>>>,
    blocked: bool,
}

/// What it proposes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) channel_max: u16,
    pub(super) frame_max: u32,
    pub(super) heartbeat: u16,
}

#[derive(Debug)]
pub(super) struct Broker {
    limits: Limits,
    queues: BTreeMap<String, Queue>,
    exchanges: BTreeMap<String, Exchange>,
    link: Option<Link>,
    /// The number of the connection.
    pub(super) number: u32,
    names: u32,
    trouble: Trouble,
    /// How often each message was taken.
    pub(super) taken: BTreeMap<u64, u32>,
    pub(super) nacked: BTreeSet<u64>,
    pub(super) returned: BTreeSet<u64>,
    /// Messages that closed their channel.
    pub(super) refused: BTreeSet<u64>,
    /// Messages that any queue has ever had.
    pub(super) queued: BTreeSet<u64>,
    /// Names of its own making whose queues went with their connection.
    gone: BTreeSet<String>,
    /// Calls that failed, by what they were, and how often.
    pub(super) failed: BTreeMap<String, u32>,
    pub(super) sent: BTreeMap<Key, Sent>,
    /// How many deliveries each consumer's queue was sent, on this connection.
    counts: BTreeMap<(u64, usize), u64>,
    /// The connection was closed by an operator.
    pub(super) was_forced: bool,
    pub(super) frames: u64,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a name of the program's")
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mark = begin_frame(&mut out, kind, channel);
    out.extend_from_slice(payload);
    end_frame(&mut out, mark);
    out.to_vec()
}

fn method_frame(channel: u16, method: &impl WireMethod) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_method(&mut out, channel, method).expect("a method of the model's");
    out.to_vec()
}

impl Broker {
    pub(super) fn new(limits: Limits) -> Self {
        let mut broker = Self {
            limits,
            queues: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            link: None,
            number: 0,
            names: 0,
            trouble: Trouble::default(),
            taken: BTreeMap::new(),
            nacked: BTreeSet::new(),
            returned: BTreeSet::new(),
            refused: BTreeSet::new(),
            queued: BTreeSet::new(),
            gone: BTreeSet::new(),
            failed: BTreeMap::new(),
            sent: BTreeMap::new(),
            counts: BTreeMap::new(),
            was_forced: false,
            frames: 0,
        };
        broker.add_exchange("amq.fanout", "fanout");
        broker
    }

    /// An exchange that was there before.
    pub(super) fn add_exchange(&mut self, name: &str, kind: &str) {
        let exchange = Exchange {
            kind: kind.into(),
            auto_delete: false,
            bindings: BTreeSet::new(),
        };
        self.exchanges.insert(name.into(), exchange);
    }

    /// A queue that was there before.
    pub(super) fn add_queue(&mut self, name: &str) {
        let queue = Queue {
            durable: true,
            ..Queue::default()
        };
        self.queues.insert(name.into(), queue);
    }

    /// Another host of it, which differs: in its frames, or so that nobody can log in.
    pub(super) fn differ(&mut self, rng: &mut Rng) {
        self.limits.frame_max = match rng.below(4) {
            0 => 100,
            1 => 4096,
            _ => 4096 + rng.below(130_000) as u32,
        };
    }

    /// Somebody has connected.
    pub(super) fn connect(&mut self) {
        assert!(self.link.is_none());
        self.number += 1;
        self.counts.clear();
        self.link = Some(Link {
            phase: Phase::Header,
            input: Vec::new(),
            // What both must take before they have agreed.
            frame_max: 131_072,
            channel_max: 0,
            channels: BTreeMap::new(),
            out: BTreeMap::new(),
            blocked: false,
        });
    }

    /// The socket has gone: whatever was unacknowledged is queued again.
    pub(super) fn disconnect(&mut self) {
        if let Some(link) = self.link.take() {
            self.forget_link(&link);
            // Queues that it named are for one connection only.
            let (gone, others) = std::mem::take(&mut self.queues)
                .into_iter()
                .partition(|(name, _)| name.starts_with(GENERATED));
            let gone: BTreeMap<String, Queue> = gone;
            self.queues = others;
            for exchange in self.exchanges.values_mut() {
                exchange
                    .bindings
                    .retain(|(queue, _)| !gone.contains_key(queue));
            }
            self.gone.extend(gone.into_keys());
            for (_, channel) in link.channels {
                self.requeue_all(channel.unacked);
            }
        }
    }

    fn requeue_all(&mut self, unacked: BTreeMap<u64, Unacked>) {
        for (_, unacked) in unacked.into_iter().rev() {
            self.requeue(unacked);
        }
    }

    fn requeue(&mut self, unacked: Unacked) {
        if let Some(queue) = self.queues.get_mut(&unacked.queue) {
            let mut message = unacked.message;
            message.redelivered = true;
            queue.messages.push_front(message);
        }
    }

    fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("a connection")
    }

    fn channel(&mut self, number: u16) -> &mut Channel {
        self.link().channels.get_mut(&number).expect("a channel")
    }

    fn push(&mut self, channel: u16, frame: Vec<u8>) {
        self.link().out.entry(channel).or_default().push_back(frame);
    }

    fn say(&mut self, channel: u16, method: &impl WireMethod) {
        self.push(channel, method_frame(channel, method));
    }

    fn say_content(
        &mut self,
        channel: u16,
        method: &impl WireMethod,
        properties: &Properties,
        body: &[u8],
        rng: &mut Rng,
    ) {
        self.say(channel, method);
        let mut header = BytesMut::new();
        ContentHeader {
            class_id: 60,
            body_size: body.len() as u64,
            properties: properties.clone(),
        }
        .encode(&mut header)
        .expect("properties that were read");
        self.push(channel, frame(FRAME_HEADER, channel, &header));
        let max = self.link().frame_max - 8;
        let mut rest = body;
        while !rest.is_empty() {
            let most = rest.len().min(max);
            let size = if rng.percent(70) {
                most
            } else {
                1 + rng.below(most)
            };
            let (piece, left) = rest.split_at(size);
            self.push(channel, frame(FRAME_BODY, channel, piece));
            rest = left;
        }
    }

    /// Moves one frame to the wire.
    pub(super) fn flush(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        let link = self.link.as_mut()?;
        let channel = rng.one(link.out.keys().copied())?;
        let frames = link.out.get_mut(&channel)?;
        let frame = frames.pop_front();
        if frames.is_empty() {
            link.out.remove(&channel);
        }
        frame
    }

    /// Whether the socket is to be closed when everything is out.
    pub(super) fn is_closed(&self) -> bool {
        self.link.as_ref().is_some_and(|link| {
            matches!(link.phase, Phase::Closed | Phase::Dead) && link.out.is_empty()
        })
    }

    /// Bytes have come.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Some(link) = &mut self.link else { return };
        link.input.extend_from_slice(bytes);
        if link.phase == Phase::Header {
            if link.input.len() < PROTOCOL_HEADER.len() {
                return;
            }
            let rest = link.input.split_off(PROTOCOL_HEADER.len());
            assert_eq!(std::mem::replace(&mut link.input, rest), PROTOCOL_HEADER);
            link.phase = Phase::StartOk;
            self.start();
        }
        loop {
            let link = self.link();
            let max = link.frame_max;
            let Some(head) =
                FrameHead::read(&link.input, max).expect("a frame that is not too large")
            else {
                return;
            };
            if link.input.len() < head.frame_size() {
                return;
            }
            let rest = link.input.split_off(head.frame_size());
            let bytes = std::mem::replace(&mut link.input, rest);
            assert_eq!(bytes.last(), Some(&FRAME_END));
            let frame = head.frame(&bytes).expect("a frame");
            self.frames += 1;
            self.take(frame.kind, frame.channel, frame.payload);
        }
    }

    fn start(&mut self) {
        let properties = FieldTable::new()
            .with(
                "capabilities",
                FieldTable::new()
                    .with("publisher_confirms", true)
                    .with("basic.nack", !self.number.is_multiple_of(4)),
            )
            .with("product", "RabbitMQ")
            .with("version", "3.13.7");
        let start = wire::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: properties.encoded(),
            mechanisms: b"PLAIN",
            locales: b"en_US",
        };
        self.say(0, &start);
    }

    fn take(&mut self, kind: u8, number: u16, payload: &[u8]) {
        let phase = self.link().phase;
        if phase == Phase::Dead {
            return;
        }
        if kind == FRAME_HEARTBEAT {
            assert_eq!((number, payload), (0, &b""[..]));
            return;
        }
        assert_ne!(
            phase,
            Phase::Closed,
            "a frame after connection.close: {kind} {number} {payload:?}"
        );
        if number == 0 {
            assert_eq!(kind, FRAME_METHOD);
            return self.take_connection_method(&Method::decode(payload).expect("a method"));
        }
        if phase == Phase::Closing {
            return;
        }
        assert_eq!(
            phase,
            Phase::Running,
            "channel {number} before connection.open-ok"
        );
        if kind == FRAME_METHOD {
            self.take_method(number, payload);
        } else {
            self.take_content(kind, number, payload);
        }
    }

    fn take_connection_method(&mut self, method: &Method<'_>) {
        let limits = self.limits;
        let phase = self.link().phase;
        match (phase, method) {
            (Phase::StartOk, Method::ConnectionStartOk(ok)) => {
                assert_eq!(ok.mechanism, b"PLAIN");
                let tune = wire::ConnectionTune {
                    channel_max: limits.channel_max,
                    frame_max: limits.frame_max,
                    heartbeat: limits.heartbeat,
                };
                self.say(0, &tune);
                self.link().phase = Phase::TuneOk;
            }
            (Phase::TuneOk, Method::ConnectionTuneOk(ok)) => {
                assert!(ok.channel_max > 0 && ok.channel_max <= limits.channel_max);
                assert!(ok.frame_max >= 4096 && ok.frame_max <= limits.frame_max);
                let link = self.link();
                link.frame_max = ok.frame_max as usize;
                link.channel_max = ok.channel_max;
                link.phase = Phase::Open;
            }
            (Phase::Open, Method::ConnectionOpen(_)) => {
                self.link().phase = Phase::Running;
                self.say(0, &wire::ConnectionOpenOk::default());
            }
            // It has proposed frames that are too small.
            (Phase::TuneOk, Method::ConnectionClose(_)) if limits.frame_max < 4096 => {
                self.link().phase = Phase::Closed;
            }
            (Phase::Closing, Method::ConnectionCloseOk(_)) => self.link().phase = Phase::Closed,
            (Phase::Closing, Method::ConnectionClose(_)) => {}
            (Phase::Running, Method::ConnectionClose(close)) => {
                assert_eq!(
                    close.reply_code,
                    200,
                    "{}",
                    String::from_utf8_lossy(close.reply_text)
                );
                self.say(0, &wire::ConnectionCloseOk {});
                self.link().phase = Phase::Closed;
            }
            _ => panic!("{} in {phase:?}", method.name()),
        }
    }

    fn take_method(&mut self, number: u16, payload: &[u8]) {
        let method = Method::decode(payload).expect("a method");
        let frames = self.frames;
        let link = self.link();
        if let Method::ChannelOpen(_) = method {
            assert!(
                number <= link.channel_max,
                "channel {number} is beyond channel_max"
            );
            let channel = Channel {
                opening: frames,
                ..Channel::default()
            };
            let before = link.channels.insert(number, channel);
            assert!(before.is_none(), "channel {number} is open already");
            let open = Command::Method(payload.into());
            self.channel(number).mailbox.push_back(open);
            return;
        }
        let Some(channel) = link.channels.get_mut(&number) else {
            panic!("{} on channel {number}, which is not open", method.name());
        };
        if channel.closing {
            if let Method::ChannelCloseOk(_) = method {
                link.channels.remove(&number);
            }
            return;
        }
        assert!(
            channel.partial.is_none(),
            "{} within a message",
            method.name()
        );
        assert!(
            !matches!(method, Method::ChannelCloseOk(_)),
            "channel.close-ok unasked"
        );
        if let Method::BasicPublish(_) = method {
            channel.partial = Some(Partial {
                method: payload.into(),
                header: None,
                body: Vec::new(),
            });
        } else {
            channel.mailbox.push_back(Command::Method(payload.into()));
        }
    }

    fn take_content(&mut self, kind: u8, number: u16, payload: &[u8]) {
        let Some(channel) = self.link().channels.get_mut(&number) else {
            panic!("content on channel {number}, which is not open");
        };
        if channel.closing {
            return;
        }
        let partial = channel
            .partial
            .as_mut()
            .expect("a publish before its content");
        match (kind, &partial.header) {
            (FRAME_HEADER, None) => {
                let header = ContentHeader::decode(payload, &mut Arena::default());
                partial.header = Some(header.expect("a header"));
            }
            (FRAME_BODY, Some(_)) => partial.body.extend_from_slice(payload),
            _ => panic!("a content frame of kind {kind} out of turn"),
        }
        let whole = partial.header.as_ref().is_some_and(|header| {
            assert!(
                partial.body.len() as u64 <= header.body_size,
                "too long a body"
            );
            partial.body.len() as u64 == header.body_size
        });
        if whole
            && let Some(Partial {
                method,
                header: Some(header),
                body,
            }) = channel.partial.take()
        {
            channel
                .mailbox
                .push_back(Command::Publish(method, header, body));
        }
    }

    /// Does one thing that is to be done; false: there is none.
    pub(super) fn work(&mut self, rng: &mut Rng) -> bool {
        let Some(link) = &self.link else { return false };
        if link.phase != Phase::Running {
            return false;
        }
        let busy = |channel: &Channel| !channel.mailbox.is_empty() && !channel.closing;
        let ready = link.channels.iter().filter(|(_, channel)| busy(channel));
        if let Some(number) = rng.one(ready.map(|(&number, _)| number)) {
            if let Some(command) = self.channel(number).mailbox.pop_front() {
                self.execute(number, command, rng);
            }
            return true;
        }
        self.deliver(rng) || self.confirm(rng)
    }

    /// Confirms some publishes; in any order, one or many at once.
    pub(super) fn confirm(&mut self, rng: &mut Rng) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        if link.phase != Phase::Running {
            return false;
        }
        let owing = link
            .channels
            .iter_mut()
            .filter(|(_, channel)| !channel.closing && !channel.unconfirmed.is_empty());
        let Some((&number, channel)) = rng.one(owing) else {
            return false;
        };
        let tag = rng
            .one(channel.unconfirmed.keys().copied())
            .expect("one of some");
        let ok = channel.unconfirmed[&tag];
        let below = || channel.unconfirmed.range(..=tag);
        let multiple = rng.percent(50) && below().all(|(_, &other)| other == ok);
        if multiple {
            channel.unconfirmed = channel.unconfirmed.split_off(&(tag + 1));
        } else {
            channel.unconfirmed.remove(&tag);
        }
        if ok {
            self.say(
                number,
                &wire::BasicAck {
                    delivery_tag: tag,
                    multiple,
                },
            );
        } else {
            let requeue = false;
            self.say(
                number,
                &wire::BasicNack {
                    delivery_tag: tag,
                    multiple,
                    requeue,
                },
            );
        }
        true
    }

    /// Delivers a message to one of the consumers that may have one.
    pub(super) fn deliver(&mut self, rng: &mut Rng) -> bool {
        let Some(link) = &self.link else { return false };
        if link.phase != Phase::Running {
            return false;
        }
        let mut able = Vec::new();
        for (&number, channel) in link.channels.iter().filter(|(_, channel)| !channel.closing) {
            for (tag, consumer) in &channel.consumers {
                let out = channel
                    .unacked
                    .values()
                    .filter(|unacked| unacked.consumer == *tag);
                // Some brokers keep no prefetch.
                let has_room = consumer.no_ack
                    || consumer.prefetch == 0
                    || self.limits.frame_max % 8 == 3
                    || out.count() < consumer.prefetch;
                let queue = self.queues.get(&consumer.queue);
                if has_room && queue.is_some_and(|queue| !queue.messages.is_empty()) {
                    able.push((number, tag.clone()));
                }
            }
        }
        let Some((number, tag)) = rng.one(able) else {
            return false;
        };
        let consumer = self.channel(number).consumers[&tag].clone();
        let queue = self.queues.get_mut(&consumer.queue).expect("its queue");
        let message = queue.messages.pop_front().expect("a message");
        let whose = whose(&tag);
        let count = self.counts.entry(whose).or_default();
        *count += 1;
        let sent = (whose.0, whose.1, *count);
        let delivery_tag = self.hand_out(
            number,
            &consumer.queue,
            &message,
            consumer.no_ack,
            &tag,
            Some(sent),
        );
        let method = wire::BasicDeliver {
            consumer_tag: tag.as_bytes(),
            delivery_tag,
            redelivered: message.redelivered,
            exchange: message.exchange.as_bytes(),
            routing_key: message.routing_key.as_bytes(),
        };
        let properties = properties_of(message.id);
        self.say_content(number, &method, &properties, &message.body, rng);
        true
    }

    /// Notes a message that goes out; its tag.
    fn hand_out(
        &mut self,
        number: u16,
        queue: &str,
        message: &Stored,
        no_ack: bool,
        consumer: &str,
        to: Option<(u64, usize, u64)>,
    ) -> u64 {
        let link = self.number;
        let channel = self.channel(number);
        channel.delivered += 1;
        let tag = channel.delivered;
        let opening = channel.opening;
        if !no_ack {
            let unacked = Unacked {
                queue: queue.into(),
                message: message.clone(),
                consumer: consumer.into(),
            };
            channel.unacked.insert(tag, unacked);
        }
        let sent = Sent {
            message: message.id,
            opening,
            body: message.body.clone(),
            redelivered: message.redelivered,
            consumer: to,
            fate: None,
        };
        self.sent.insert((link, number, tag), sent);
        tag
    }

    /// Whether a delivery is out and could be settled.
    pub(super) fn is_unacked(&self, (link, number, tag): Key, opening: u64) -> bool {
        let link = self.link.as_ref().filter(|_| link == self.number);
        let channel = link.and_then(|link| link.channels.get(&number));
        channel.is_some_and(|channel| {
            channel.opening == opening && !channel.closing && channel.unacked.contains_key(&tag)
        })
    }

    /// A message closes its channel.
    fn refuse(&mut self, number: u16, id: u64, code: u16, reply: &str) {
        self.refused.insert(id);
        self.fail_as(number, (60, 40), format!("basic.publish {id}"), code, reply);
    }

    /// An error of one channel.
    fn fail(&mut self, number: u16, what: String, code: u16, reply: &str) {
        self.fail_as(number, (0, 0), what, code, reply);
    }

    fn fail_as(
        &mut self,
        number: u16,
        (class_id, method_id): (u16, u16),
        what: String,
        code: u16,
        reply: &str,
    ) {
        // A text has 255 bytes at most.
        let cut = format!("{}...", reply.get(..252).unwrap_or_default());
        let reply = if reply.len() > 255 { &cut } else { reply };
        *self.failed.entry(what).or_default() += 1;
        let channel = self.channel(number);
        channel.closing = true;
        channel.mailbox.clear();
        channel.partial = None;
        let consumers = std::mem::take(&mut channel.consumers);
        let unacked = std::mem::take(&mut channel.unacked);
        self.requeue_all(unacked);
        for (_, consumer) in consumers {
            self.last_consumer_gone(&consumer.queue);
        }
        let close = wire::ChannelClose {
            reply_code: code,
            reply_text: reply.as_bytes(),
            class_id,
            method_id,
        };
        self.say(number, &close);
    }

    fn execute(&mut self, number: u16, command: Command, rng: &mut Rng) {
        match command {
            Command::Method(payload) => {
                let method = Method::decode(&payload).expect("a method");
                self.call(number, &method, rng);
            }
            Command::Publish(payload, header, body) => {
                let Ok(Method::BasicPublish(publish)) = Method::decode(&payload) else {
                    panic!("a publish");
                };
                self.publish(number, &publish, &header.properties, body, rng);
            }
        }
    }

    fn call(&mut self, number: u16, method: &Method<'_>, rng: &mut Rng) {
        let what = signature(method);
        if self.troubles(number, method, &what, rng) {
            return;
        }
        let missing = |queue: &str| format!("NOT_FOUND - no queue '{queue}' in vhost '/'");
        match method {
            Method::ChannelOpen(_) => self.say(number, &wire::ChannelOpenOk::default()),
            Method::ConfirmSelect(_) => {
                self.channel(number).confirms = true;
                self.say(number, &wire::ConfirmSelectOk {});
            }
            Method::QueueDeclare(declare) => {
                let mut name = text(declare.queue);
                if name.is_empty() {
                    self.names += 1;
                    name = format!("{GENERATED}{}", self.names);
                }
                match self.queues.get(&name) {
                    None if declare.passive => {
                        return self.fail(number, what, 404, &missing(&name));
                    }
                    Some(queue) if !declare.passive && queue.durable != declare.durable => {
                        let reply = "PRECONDITION_FAILED - inequivalent arg 'durable'";
                        return self.fail(number, what, 406, reply);
                    }
                    _ => {}
                }
                let queue = self.queues.entry(name.clone()).or_insert_with(|| Queue {
                    durable: declare.durable,
                    exclusive: declare.exclusive,
                    auto_delete: declare.auto_delete,
                    messages: VecDeque::new(),
                });
                let ok = wire::QueueDeclareOk {
                    queue: name.as_bytes(),
                    message_count: queue.messages.len() as u32,
                    consumer_count: 0,
                };
                self.say(number, &ok);
            }
            Method::QueueDelete(delete) => {
                let message_count = self.delete_queue(&text(delete.queue));
                self.say(number, &wire::QueueDeleteOk { message_count });
            }
            Method::QueuePurge(purge) => match self.queues.get_mut(&text(purge.queue)) {
                None => self.fail(number, what, 404, &missing(&text(purge.queue))),
                Some(queue) => {
                    let message_count = queue.messages.len() as u32;
                    queue.messages.clear();
                    self.say(number, &wire::QueuePurgeOk { message_count });
                }
            },
            Method::QueueBind(bind) => {
                let (queue, exchange) = (text(bind.queue), text(bind.exchange));
                if !self.queues.contains_key(&queue) {
                    return self.fail(number, what, 404, &missing(&queue));
                }
                let Some(exchange) = self.exchanges.get_mut(&exchange) else {
                    let reply = format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'");
                    return self.fail(number, what, 404, &reply);
                };
                exchange.bindings.insert((queue, text(bind.routing_key)));
                self.say(number, &wire::QueueBindOk {});
            }
            Method::QueueUnbind(unbind) => {
                let bound = self.bound();
                if let Some(exchange) = self.exchanges.get_mut(&text(unbind.exchange)) {
                    let binding = (text(unbind.queue), text(unbind.routing_key));
                    exchange.bindings.remove(&binding);
                }
                self.delete_unbound(&bound);
                self.say(number, &wire::QueueUnbindOk {});
            }
            Method::ExchangeDeclare(declare) => {
                let kind = text(declare.kind);
                match self.exchanges.get(&text(declare.exchange)) {
                    None if declare.passive => {
                        return self.fail(number, what, 404, "NOT_FOUND - no exchange");
                    }
                    Some(exchange) if !declare.passive && exchange.kind != kind => {
                        return self.fail(number, what, 406, "PRECONDITION_FAILED - type");
                    }
                    _ => {}
                }
                let exchange = self.exchanges.entry(text(declare.exchange));
                exchange.or_insert(Exchange {
                    kind,
                    auto_delete: declare.auto_delete,
                    bindings: BTreeSet::new(),
                });
                self.say(number, &wire::ExchangeDeclareOk {});
            }
            Method::ExchangeDelete(delete) => {
                self.exchanges.remove(&text(delete.exchange));
                self.say(number, &wire::ExchangeDeleteOk {});
            }
            Method::BasicQos(qos) => {
                self.channel(number).prefetch = qos.prefetch_count.into();
                self.say(number, &wire::BasicQosOk {});
            }
            Method::BasicConsume(consume) => self.consume(number, consume, what),
            Method::BasicCancel(cancel) => {
                let consumers = &mut self.channel(number).consumers;
                if let Some(consumer) = consumers.remove(&text(cancel.consumer_tag)) {
                    self.last_consumer_gone(&consumer.queue);
                }
                let ok = wire::BasicCancelOk {
                    consumer_tag: cancel.consumer_tag,
                };
                self.say(number, &ok);
            }
            Method::BasicGet(get) => self.get(number, get, what, rng),
            Method::BasicAck(ack) => {
                self.settle(number, ack.delivery_tag, ack.multiple, Fate::Acked)
            }
            Method::BasicReject(reject) => {
                self.settle(number, reject.delivery_tag, false, refusal(reject.requeue));
            }
            Method::BasicNack(nack) => {
                self.settle(
                    number,
                    nack.delivery_tag,
                    nack.multiple,
                    refusal(nack.requeue),
                );
            }
            Method::BasicRecover(recover) => {
                assert!(recover.requeue);
                let unacked = std::mem::take(&mut self.channel(number).unacked);
                self.requeue_all(unacked);
                self.say(number, &wire::BasicRecoverOk {});
            }
            method => panic!("{} on channel {number}", method.name()),
        }
    }

    fn consume(&mut self, number: u16, consume: &wire::BasicConsume<'_>, what: String) {
        let (queue, tag) = (text(consume.queue), text(consume.consumer_tag));
        if queue != REPLY_TO && !self.queues.contains_key(&queue) {
            let reply = format!("NOT_FOUND - no queue '{queue}' in vhost '/'");
            return self.fail(number, what, 404, &reply);
        }
        let channel = self.channel(number);
        let consumer = Consumer {
            queue,
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            prefetch: channel.prefetch,
        };
        let before = channel.consumers.insert(tag.clone(), consumer);
        assert!(before.is_none(), "the tag {tag} twice");
        if !consume.no_wait {
            let ok = wire::BasicConsumeOk {
                consumer_tag: tag.as_bytes(),
            };
            self.say(number, &ok);
            // A slip of 3.10.
            if self.frames.is_multiple_of(7) {
                self.say(number, &ok);
            }
        }
    }

    fn get(&mut self, number: u16, get: &wire::BasicGet<'_>, what: String, rng: &mut Rng) {
        let name = text(get.queue);
        let Some(queue) = self.queues.get_mut(&name) else {
            let reply = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
            return self.fail(number, what, 404, &reply);
        };
        let Some(message) = queue.messages.pop_front() else {
            return self.say(number, &wire::BasicGetEmpty::default());
        };
        let message_count = queue.messages.len() as u32;
        let delivery_tag = self.hand_out(number, &name, &message, get.no_ack, "", None);
        let ok = wire::BasicGetOk {
            delivery_tag,
            redelivered: message.redelivered,
            exchange: message.exchange.as_bytes(),
            routing_key: message.routing_key.as_bytes(),
            message_count,
        };
        let properties = properties_of(message.id);
        self.say_content(number, &ok, &properties, &message.body, rng);
    }

    /// The client settles deliveries: only what the program has settled, and so as it has.
    fn settle(&mut self, number: u16, tag: u64, multiple: bool, fate: Fate) {
        let link = self.number;
        let channel = self.channel(number);
        let tags: Vec<u64> = if multiple {
            channel.unacked.range(..=tag).map(|(&tag, _)| tag).collect()
        } else {
            channel
                .unacked
                .contains_key(&tag)
                .then_some(tag)
                .into_iter()
                .collect()
        };
        assert!(
            !tags.is_empty(),
            "PRECONDITION_FAILED - unknown delivery tag {tag} on channel {number}"
        );
        for tag in tags.into_iter().rev() {
            let unacked = self
                .channel(number)
                .unacked
                .remove(&tag)
                .expect("it was there");
            let sent = &self.sent[&(link, number, tag)];
            // What comes for a consumer that has ended the client sends back by itself.
            let may = sent.fate == Some(fate) || sent.fate.is_none() && fate == Fate::Requeued;
            assert!(
                may,
                "{fate:?} for message {}, of which the program said {:?}",
                sent.message, sent.fate
            );
            if fate == Fate::Requeued {
                self.requeue(unacked);
            }
        }
    }

    fn publish(
        &mut self,
        number: u16,
        publish: &wire::BasicPublish<'_>,
        properties: &Properties,
        body: Vec<u8>,
        rng: &mut Rng,
    ) {
        let id: u64 = properties
            .message_id()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        if properties.correlation_id() == Some(DEADLY) {
            return self.die(541, (60, 40), rng);
        }
        let (exchange, routing_key) = (text(publish.exchange), text(publish.routing_key));
        if let Some(expiration) = properties.expiration()
            && expiration.parse::<u32>().is_err()
        {
            let reply =
                format!("PRECONDITION_FAILED - invalid expiration '{expiration}': no_integer");
            return self.refuse(number, id, 406, &reply);
        }
        let reply_to = properties.reply_to().unwrap_or_default();
        let is_gone = |name: &str| exchange.is_empty() && self.gone.contains(name);
        assert!(
            !is_gone(&routing_key) && !is_gone(reply_to),
            "message {id} names a queue that has gone: {routing_key} {reply_to}"
        );
        let queues: Vec<String> = if exchange.is_empty() {
            let queue = self
                .queues
                .contains_key(&routing_key)
                .then(|| routing_key.clone());
            queue.into_iter().collect()
        } else if let Some(found) = self.exchanges.get(&exchange) {
            let matches = |key: &String| found.kind == "fanout" || *key == routing_key;
            let bound = found.bindings.iter().filter(|(_, key)| matches(key));
            let names: BTreeSet<_> = bound.map(|(queue, _)| queue.clone()).collect();
            names.into_iter().collect()
        } else {
            let reply = format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'");
            return self.refuse(number, id, 404, &reply);
        };
        let is_request = properties.reply_to() == Some(REPLY_TO);
        let confirms = self.channel(number).confirms;
        let refuses = confirms && rng.percent(3);
        let is_routed = !queues.is_empty() || is_request && routing_key == SERVICE;
        if refuses {
            self.nacked.insert(id);
        } else {
            *self.taken.entry(id).or_default() += 1;
            let stored = Stored {
                id,
                body: body.clone(),
                exchange: exchange.clone(),
                routing_key: routing_key.clone(),
                redelivered: false,
            };
            for queue in &queues {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.messages.push_back(stored.clone());
                    self.queued.insert(id);
                }
            }
            if publish.mandatory && !is_routed {
                self.returned.insert(id);
                let returned = wire::BasicReturn {
                    reply_code: 312,
                    reply_text: b"NO_ROUTE",
                    exchange: exchange.as_bytes(),
                    routing_key: routing_key.as_bytes(),
                };
                self.say_content(number, &returned, properties, &body, rng);
            }
        }
        if confirms {
            let channel = self.channel(number);
            channel.published += 1;
            channel.unconfirmed.insert(channel.published, !refuses);
        }
        if is_request && routing_key == SERVICE {
            self.answer(number, properties, &body, rng);
        }
    }

    /// The service answers with what it was sent.
    fn answer(&mut self, number: u16, request: &Properties, body: &[u8], rng: &mut Rng) {
        let channel = self.channel(number);
        let is_reply = |consumer: &Consumer| consumer.queue == REPLY_TO;
        let consumer = channel
            .consumers
            .iter()
            .find(|(_, consumer)| is_reply(consumer));
        let tag = consumer
            .map(|(tag, _)| tag.clone())
            .expect("a consumer of replies");
        channel.delivered += 1;
        let deliver = wire::BasicDeliver {
            consumer_tag: tag.as_bytes(),
            delivery_tag: channel.delivered,
            ..Default::default()
        };
        let mut properties = Properties::default();
        if let Some(id) = request.correlation_id() {
            properties.set_correlation_id(id);
        }
        self.say_content(number, &deliver, &properties, body, rng);
    }

    fn delete_queue(&mut self, name: &str) -> u32 {
        let Some(queue) = self.queues.remove(name) else {
            return 0;
        };
        let bound = self.bound();
        for exchange in self.exchanges.values_mut() {
            exchange.bindings.retain(|(queue, _)| queue != name);
        }
        self.delete_unbound(&bound);
        let mut cancelled = Vec::new();
        let link = self.link.as_mut();
        if let Some(link) = link.filter(|link| link.phase == Phase::Running) {
            for (&number, channel) in &mut link.channels {
                channel.consumers.retain(|tag, consumer| {
                    if consumer.queue == name {
                        cancelled.push((number, tag.clone()));
                    }
                    consumer.queue != name
                });
            }
        }
        for (number, tag) in cancelled {
            let cancel = wire::BasicCancel {
                consumer_tag: tag.as_bytes(),
                no_wait: true,
            };
            self.say(number, &cancel);
        }
        queue.messages.len() as u32
    }

    /// Somebody else does something.
    pub(super) fn interfere(&mut self, rng: &mut Rng, name: &str) {
        match rng.below(13) {
            9..13 => self.change(rng, name),
            0 => {
                self.delete_queue(name);
            }
            1 | 2 => {
                self.exchanges.remove(rng.pick(EXCHANGES));
            }
            // So that there is something to delete, and a queue that has what came before.
            6 | 7 => {
                let exchange = rng.pick(EXCHANGES);
                if !self.exchanges.contains_key(exchange) {
                    self.add_exchange(exchange, "fanout");
                }
                if let Some(exchange) = self.exchanges.get_mut(exchange)
                    && self.queues.contains_key(name)
                {
                    exchange.bindings.insert((name.into(), "k".into()));
                }
            }
            3 | 4 => self.set_blocked(rng.percent(20)),
            _ => self.store(rng, name),
        }
    }

    /// A message of nobody's: a number that the program does not use.
    pub(super) fn store(&mut self, rng: &mut Rng, name: &str) {
        let id = u64::MAX - rng.next() % 1_000_000;
        let message = Stored {
            id,
            body: super::body_of(id, rng.below(300)),
            exchange: String::new(),
            routing_key: name.into(),
            redelivered: false,
        };
        if let Some(queue) = self.queues.get_mut(name) {
            queue.messages.push_back(message);
        }
    }

    pub(super) fn set_blocked(&mut self, blocked: bool) {
        let Some(link) = self
            .link
            .as_mut()
            .filter(|link| link.phase == Phase::Running)
        else {
            return;
        };
        if std::mem::replace(&mut link.blocked, blocked) == blocked {
            return;
        }
        if blocked {
            self.say(
                0,
                &wire::ConnectionBlocked {
                    reason: b"low on memory",
                },
            );
        } else {
            self.say(0, &wire::ConnectionUnblocked {});
        }
    }

    /// An operator closes the connection.
    pub(super) fn force(&mut self) {
        let Some(link) = self
            .link
            .as_mut()
            .filter(|link| link.phase == Phase::Running)
        else {
            return;
        };
        link.phase = Phase::Closing;
        // A frame that is partly out would have to be finished; these have not begun.
        link.out.clear();
        self.was_forced = true;
        let close = wire::ConnectionClose {
            reply_code: 320,
            reply_text: b"CONNECTION_FORCED - by operator",
            ..Default::default()
        };
        self.say(0, &close);
    }

    pub(super) fn heartbeat(&mut self) {
        if self
            .link
            .as_ref()
            .is_some_and(|link| link.phase == Phase::Running)
        {
            self.push(0, frame(FRAME_HEARTBEAT, 0, b""));
        }
    }

    /// Nothing is under way: what the program has settled, the broker has heard of.
    pub(super) fn check_settled(&self) {
        let channels = self.link.iter().flat_map(|link| &link.channels);
        for (&number, channel) in channels {
            for &tag in channel.unacked.keys() {
                let sent = &self.sent[&(self.number, number, tag)];
                assert_eq!(
                    sent.fate, None,
                    "delivery {tag} on channel {number} is not settled"
                );
            }
        }
    }

    /// Deliveries that are out.
    pub(super) fn unacked(&self) -> impl Iterator<Item = (Key, &Sent)> {
        let channels = self.link.iter().flat_map(|link| &link.channels);
        channels.flat_map(move |(&number, channel)| {
            let keys = channel
                .unacked
                .keys()
                .map(move |&tag| (self.number, number, tag));
            keys.map(|key| (key, &self.sent[&key]))
        })
    }

    /// The program has settled a delivery.
    pub(super) fn expect(&mut self, key: Key, fate: Fate) {
        let sent = self.sent.get_mut(&key).expect("a delivery of ours");
        assert_eq!(sent.fate.replace(fate), None, "settled twice");
    }
}

/// What a message goes out with; some have headers that nobody understands down to their end.
pub(super) fn properties_of(id: u64) -> Properties {
    let mut properties = Properties::default();
    properties.set_message_id(&id.to_string());
    if id % 8 == 3 {
        let wire = b"\x01aF\0\0\0\x03\x01bF\x03oddU?";
        properties.headers = FieldTable::from_wire(Bytes::from_static(wire));
    }
    properties
}

fn refusal(requeue: bool) -> Fate {
    if requeue {
        Fate::Requeued
    } else {
        Fate::Dropped
    }
}

/// The promise of a consumer's tag, and which of its queues it is for.
fn whose(tag: &str) -> (u64, usize) {
    let mut parts = tag.split(['.', '~']);
    let promise = parts.next().and_then(|part| part.parse().ok());
    let index = parts.next().and_then(|part| part.parse().ok());
    (promise.expect("a promise"), index.expect("an index"))
}

/// What a call is, as the program would say it.
fn signature(method: &Method<'_>) -> String {
    match method {
        Method::QueueDeclare(declare) => format!(
            "queue.declare {} {} {}",
            text(declare.queue),
            declare.passive,
            declare.durable
        ),
        Method::QueuePurge(purge) => format!("queue.purge {}", text(purge.queue)),
        Method::QueueBind(bind) => {
            format!("queue.bind {} {}", text(bind.queue), text(bind.exchange))
        }
        Method::ExchangeDeclare(declare) => format!(
            "exchange.declare {} {} {}",
            text(declare.exchange),
            text(declare.kind),
            declare.passive
        ),
        Method::BasicConsume(consume) => format!("basic.consume {}", text(consume.queue)),
        Method::BasicGet(get) => format!("basic.get {}", text(get.queue)),
        method => method.name().to_owned(),
    }
}
