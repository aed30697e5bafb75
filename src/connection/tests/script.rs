//! A server made of wire methods, and a client made of a [`Connection`] and a counter of promises.

use std::collections::HashMap;
use std::io::{IoSlice, Read};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::ClientOptions;
use crate::connection::{Config, Connection, Event, Login, Request, RpcRequest, SLICES, Settle};
use crate::types::client_options::AuthMechanism;
use crate::types::error::{Disconnect, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::{Delivery, Message};
use crate::types::recovery::{ConnectionEvent, Recovery};
use crate::types::requests::{ConsumeMulti, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{
    self, Arena, BasicDeliver, ConnectionOpenOk, ConnectionStart, ConnectionTune, ContentHeader,
    FRAME_BODY, FRAME_HEADER, FRAME_METHOD, FieldTable, Method, OwnedFrame, PROTOCOL_HEADER,
    Properties, ShortStr, WireMethod, begin_frame, end_frame, split_frame, write_method,
};

/// The promise of the connection's opening.
pub(super) const CONNECT: u64 = 1;

/// Epochs of the script's channels count from here.
pub(super) const EPOCH: u64 = 700;

#[derive(Debug)]
pub(super) struct Script {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    /// The number of the last promise.
    promises: u64,
    /// None: the result was taken.
    results: HashMap<u64, Option<Result<Outcome>>>,
    deliveries: Vec<(u64, Delivery)>,
    /// All events so far, as text.
    pub(super) events: Vec<String>,
    /// What became of the connection, since it was last looked at.
    pub(super) changes: Vec<ConnectionEvent>,
    /// What the socket has taken, and no `expect` has.
    pub(super) output: BytesMut,
}

impl Script {
    /// A connection that has not been given a byte; its protocol header is still to be taken.
    pub(super) fn new(options: ClientOptions) -> Self {
        Self::with_vhost(options, "/")
    }

    pub(super) fn with_vhost(options: ClientOptions, vhost: &str) -> Self {
        let mechanisms = match &options.auth_mechanisms[..] {
            [] => vec![AuthMechanism::Plain, AuthMechanism::AmqPlain],
            chosen => chosen.to_vec(),
        };
        let login = Login {
            mechanisms,
            username: "guest".into(),
            password: "secret".into(),
            vhost: vhost.into(),
        };
        let config = Config {
            login,
            recovers: options.recovery.is_some(),
            options,
            client: 7,
            epoch: EPOCH,
            now: crate::net::clock::now(),
        };
        Self {
            now: config.now,
            connection: Connection::new(PromiseNumber(CONNECT), config),
            promises: CONNECT,
            results: HashMap::new(),
            deliveries: Vec::new(),
            changes: Vec::new(),
            events: Vec::new(),
            output: BytesMut::new(),
        }
    }

    /// A connection that is open, to a broker that confirms.
    pub(super) fn connected() -> Self {
        Self::connected_with(ClientOptions::new())
    }

    pub(super) fn connected_with(options: ClientOptions) -> Self {
        let mut script = Self::new(options);
        script.connect(TUNE);
        assert_matches!(script.result(CONNECT), Some(Ok(Outcome::Connected(_))));
        script
    }

    /// The handshake, on both sides; the client's is looked at elsewhere.
    pub(super) fn connect(&mut self, tune: ConnectionTune) {
        self.connect_to(&server_properties("3.13.7"), tune);
    }

    pub(super) fn connect_to(&mut self, properties: &FieldTable, tune: ConnectionTune) {
        self.expect_bytes(PROTOCOL_HEADER);
        self.send(0, start(properties));
        self.frame();
        self.send(0, tune);
        self.frame();
        self.frame();
        self.expect_nothing();
        self.send(0, ConnectionOpenOk::default());
    }

    /// A connection that will have another socket when it loses this one.
    pub(super) fn recovering(options: ClientOptions) -> Self {
        Self::connected_with(options.recovery(Recovery::new()))
    }

    /// The socket is lost.
    pub(super) fn lose(&mut self) {
        self.disconnect(Disconnect::Eof);
        assert!(self.connection.is_suspended());
        self.output.clear();
    }

    /// There is another one, and the login on it.
    pub(super) fn reconnect(&mut self) {
        self.connection.restart();
        self.connect(TUNE);
    }

    /// The login, as far as the client's word on who it is.
    pub(super) fn frame_of_login(&mut self) {
        self.expect_bytes(PROTOCOL_HEADER);
        let properties = server_properties("3.13.7");
        self.send(0, start(&properties));
        self.frame();
    }

    /// The next promise's number.
    pub(super) fn promise(&mut self) -> u64 {
        self.promises += 1;
        self.promises
    }

    pub(super) fn request(&mut self, request: Request) -> u64 {
        let promise = self.promise();
        self.connection.request(PromiseNumber(promise), request);
        self.collect();
        promise
    }

    pub(super) fn declare(&mut self, queue: &str) -> u64 {
        self.request(Request::QueueDeclare(QueueDeclare::new(queue)))
    }

    pub(super) fn consume(&mut self, request: impl Into<ConsumeMulti>) -> u64 {
        self.request(Request::Consume(request.into()))
    }

    pub(super) fn publish(
        &mut self,
        exchange: &str,
        routing_key: &str,
        message: impl Into<Message>,
    ) -> u64 {
        let promise = self.promise();
        self.connection.publish(
            PromiseNumber(promise),
            exchange,
            routing_key,
            message.into(),
        );
        self.collect();
        promise
    }

    pub(super) fn cancel(&mut self, consumer: u64) -> u64 {
        let promise = self.promise();
        self.connection
            .cancel(PromiseNumber(promise), PromiseNumber(consumer));
        self.collect();
        promise
    }

    /// `basic_recover`.
    pub(super) fn recover(&mut self, consumer: u64) -> u64 {
        let promise = self.promise();
        self.connection
            .recover(PromiseNumber(promise), PromiseNumber(consumer));
        self.collect();
        promise
    }

    pub(super) fn qos(&mut self, consumer: u64, prefetch: u16) -> u64 {
        let promise = self.promise();
        self.connection
            .qos(PromiseNumber(promise), PromiseNumber(consumer), prefetch);
        self.collect();
        promise
    }

    /// The user settles a delivery.
    pub(super) fn settle(&mut self, delivery: &Delivery, how: Settle) -> Result<()> {
        let settled = self.connection.settle(delivery.origin, how);
        self.collect();
        settled
    }

    pub(super) fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        self.settle(delivery, Settle::Ack { multiple: false })
    }

    /// That much time passes, and the timers run.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.connection.handle_timeout(self.now);
        self.collect();
    }

    pub(super) fn disconnect(&mut self, broken: Disconnect) {
        self.connection.set_time(self.now);
        self.connection.disconnected(broken);
        self.collect();
    }

    pub(super) fn close(&mut self) -> u64 {
        let promise = self.promise();
        self.connection.close(PromiseNumber(promise));
        self.collect();
        promise
    }

    /// The broker says this.
    pub(super) fn send<M: WireMethod>(&mut self, channel: u16, method: M) {
        let bytes = frame_of(channel, &method);
        self.send_bytes(&bytes);
    }

    /// The broker says this, and a message goes with it: in one body frame, if it is not empty.
    pub(super) fn send_content<M: WireMethod>(
        &mut self,
        channel: u16,
        method: M,
        properties: &Properties,
        body: &[u8],
    ) {
        let bytes = content_of(channel, &method, properties, &[body]);
        self.send_bytes(&bytes);
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let mut filled = 0;
            for space in self.connection.read_space() {
                filled += bytes.read(space).unwrap();
            }
            self.connection.handle_read(filled, self.now);
        }
        self.collect();
    }

    /// The broker delivers a message.
    pub(super) fn deliver(&mut self, channel: u16, consumer_tag: &str, tag: u64, body: &str) {
        let deliver = BasicDeliver {
            consumer_tag: consumer_tag.as_bytes(),
            delivery_tag: tag,
            ..Default::default()
        };
        self.send_content(channel, deliver, &Properties::default(), body.as_bytes());
    }

    /// The socket takes up to `limit` bytes.
    pub(super) fn write(&mut self, limit: usize) {
        let mut left = limit;
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.connection.out.slices(&mut slices);
            let before = self.output.len();
            for slice in &slices[..used] {
                let taken = left.min(slice.len());
                self.output.extend_from_slice(&slice[..taken]);
                left -= taken;
            }
            let written = self.output.len() - before;
            if written == 0 {
                return;
            }
            self.connection.handle_written(written, self.now);
        }
    }

    /// The next frame that the client has written.
    pub(super) fn frame(&mut self) -> OwnedFrame {
        self.write(usize::MAX);
        split_frame(&mut self.output, usize::MAX)
            .unwrap()
            .expect("the client wrote no further frame")
    }

    /// What the client has written meanwhile: the channel and the name of each method.
    pub(super) fn methods(&mut self) -> Vec<String> {
        self.write(usize::MAX);
        let mut methods = Vec::new();
        while let Some(frame) = split_frame(&mut self.output, usize::MAX).unwrap() {
            if frame.kind == FRAME_METHOD {
                let method = Method::decode(&frame.payload).unwrap();
                methods.push(format!("{} {}", frame.channel, method.name()));
            }
        }
        methods
    }

    /// A broker that has a word for some methods, and answers all others that it gets meanwhile as one does that has
    /// nothing to say. The word: false, and the method is answered.
    pub(super) fn serve(&mut self, mut word: impl FnMut(&mut Self, u16, &Method<'_>) -> bool) {
        self.write(usize::MAX);
        while let Some(frame) = split_frame(&mut self.output, usize::MAX).unwrap() {
            if frame.kind == FRAME_METHOD {
                let method = Method::decode(&frame.payload).unwrap();
                if !word(self, frame.channel, &method) {
                    self.answer(frame.channel, &method);
                }
                self.write(usize::MAX);
            }
        }
    }

    fn answer(&mut self, channel: u16, method: &Method<'_>) {
        match method {
            Method::ChannelOpen(_) => self.send(channel, wire::ChannelOpenOk::default()),
            Method::ConfirmSelect(_) => self.send(channel, wire::ConfirmSelectOk {}),
            Method::BasicQos(_) => self.send(channel, wire::BasicQosOk {}),
            Method::BasicGet(_) => self.send(channel, wire::BasicGetEmpty::default()),
            Method::ExchangeDeclare(_) => self.send(channel, wire::ExchangeDeclareOk {}),
            Method::QueueBind(_) => self.send(channel, wire::QueueBindOk {}),
            Method::QueueDeclare(declare) => {
                let queue = declare.queue;
                let ok = wire::QueueDeclareOk {
                    queue,
                    ..Default::default()
                };
                self.send(channel, ok);
            }
            Method::BasicConsume(consume) if !consume.no_wait => {
                let consumer_tag = consume.consumer_tag;
                self.send(channel, wire::BasicConsumeOk { consumer_tag });
            }
            _ => {}
        }
    }

    /// The broker is there, and so much time passes.
    pub(super) fn live(&mut self, time: Duration) {
        self.send_bytes(&raw_frame(wire::FRAME_HEARTBEAT, 0, b""));
        self.pass(time);
    }

    /// The broker closes the connection because of such a request.
    pub(super) fn die_of(&mut self, (class_id, method_id): (u16, u16)) {
        self.write(usize::MAX);
        self.output.clear();
        let close = wire::ConnectionClose {
            reply_code: 541,
            class_id,
            method_id,
            ..Default::default()
        };
        self.send(0, close);
        self.write(usize::MAX);
        self.output.clear();
        assert!(self.connection.is_suspended());
    }

    /// A request to another program.
    pub(super) fn call(&mut self, timeout: Duration) -> u64 {
        let sending = RpcRequest {
            exchange: "".into(),
            routing_key: "rpc".into(),
            message: Message::new("x"),
            timeout,
            deadline: self.now + timeout,
        };
        self.request(Request::Rpc(Box::new(sending)))
    }

    /// The next bytes that the client has written.
    pub(super) fn expect_bytes(&mut self, bytes: &[u8]) {
        self.write(usize::MAX);
        let written = self.output.split_to(bytes.len().min(self.output.len()));
        assert_eq!(
            written.escape_ascii().to_string(),
            bytes.escape_ascii().to_string()
        );
    }

    /// The next frame that the client has written is this method.
    #[track_caller]
    pub(super) fn expect<M: WireMethod>(&mut self, channel: u16, method: M) {
        let expected = split_frame(&mut frame_of(channel, &method), usize::MAX);
        let expected = expected.unwrap().unwrap();
        let found = self.frame();
        assert!(
            found == expected,
            "the client wrote {}\n        instead of {}",
            shown(&found),
            shown(&expected)
        );
    }

    /// The next frames are a content header and its body.
    #[track_caller]
    pub(super) fn expect_content(&mut self, channel: u16, properties: &Properties, body: &[u8]) {
        let header = self.frame();
        assert_eq!((header.kind, header.channel), (FRAME_HEADER, channel));
        let expected = ContentHeader {
            class_id: 60,
            body_size: body.len() as u64,
            properties: properties.clone(),
        };
        assert_eq!(
            ContentHeader::decode(&header.payload, &mut Arena::default()),
            Ok(expected)
        );
        let mut found = Vec::new();
        while found.len() < body.len() {
            let frame = self.frame();
            assert_eq!((frame.kind, frame.channel), (FRAME_BODY, channel));
            found.extend_from_slice(&frame.payload);
        }
        assert!(found == body, "another body than was published");
    }

    #[track_caller]
    pub(super) fn expect_nothing(&mut self) {
        self.write(usize::MAX);
        let next = split_frame(&mut self.output, usize::MAX).unwrap();
        assert!(
            next.is_none() && self.output.is_empty(),
            "the client wrote {}",
            next.map_or_else(|| format!("{:?}", self.output), |frame| shown(&frame))
        );
    }

    /// What a promise has come to, if to anything; once.
    pub(super) fn result(&mut self, promise: u64) -> Option<Result<Outcome>> {
        self.results.get_mut(&promise)?.take()
    }

    /// What has come for a promise since the last time.
    pub(super) fn deliveries(&mut self, promise: u64) -> Vec<Delivery> {
        let (its, others) = std::mem::take(&mut self.deliveries)
            .into_iter()
            .partition::<Vec<_>, _>(|(number, _)| *number == promise);
        self.deliveries = others;
        its.into_iter().map(|(_, delivery)| delivery).collect()
    }

    fn set_result(&mut self, promise: u64, result: Result<Outcome>) {
        let before = self.results.insert(promise, Some(result));
        assert!(
            before.is_none(),
            "promise {promise} has two results: {before:?}"
        );
    }

    /// A consumer is cancelled: what no test has taken goes back.
    fn give_back(&mut self, consumer: u64, channel: ChannelId, gone: &[ShortStr]) {
        let mut unread = Vec::new();
        self.deliveries.retain_mut(|(promise, delivery)| {
            if *promise != consumer {
                return true;
            }
            unread.push(delivery.origin);
            delivery.origin.is_returned = gone.contains(&delivery.consumer_tag);
            delivery.origin.is_returned
        });
        self.connection.give_back(channel, &unread);
    }

    /// Takes the events. No promise may get two results, and none a delivery after its result.
    pub(super) fn collect(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.events.push(format!("{event:?}"));
            match event {
                Event::Resolved(PromiseNumber(promise), result) => self.set_result(promise, result),
                Event::Published {
                    first: PromiseNumber(first),
                    last: PromiseNumber(last),
                } => {
                    for promise in first..=last {
                        self.set_result(promise, Ok(Outcome::Published));
                    }
                }
                Event::Delivery(PromiseNumber(promise), delivery) => {
                    assert!(
                        !self.results.contains_key(&promise),
                        "{promise}: {delivery:?}"
                    );
                    self.deliveries.push((promise, *delivery));
                }
                Event::Stale(PromiseNumber(promise)) => {
                    self.deliveries.retain(|(its, _)| *its != promise)
                }
                Event::Unread {
                    consumer: PromiseNumber(consumer),
                    channel,
                    gone,
                } => self.give_back(consumer, channel, &gone),
                Event::Notice(change) => self.changes.push(change),
            }
        }
    }
}

/// What RabbitMQ proposes.
pub(super) const TUNE: ConnectionTune = ConnectionTune {
    channel_max: 2047,
    frame_max: 131_072,
    heartbeat: 60,
};

pub(super) fn server_properties(version: &str) -> FieldTable {
    FieldTable::new()
        .with(
            "capabilities",
            FieldTable::new()
                .with("publisher_confirms", true)
                .with("basic.nack", true),
        )
        .with("product", "RabbitMQ")
        .with("version", version)
}

pub(super) fn start(server_properties: &FieldTable) -> ConnectionStart<'_> {
    ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: server_properties.encoded(),
        mechanisms: b"AMQPLAIN PLAIN",
        locales: b"en_US",
    }
}

/// A method's frame.
pub(super) fn frame_of<M: WireMethod>(channel: u16, method: &M) -> BytesMut {
    let mut out = BytesMut::new();
    write_method(&mut out, channel, method).unwrap();
    out
}

/// A frame of any kind.
pub(super) fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let mark = begin_frame(&mut out, kind, channel);
    out.extend_from_slice(payload);
    end_frame(&mut out, mark);
    out
}

/// A content header's frame.
pub(super) fn header_of(channel: u16, properties: &Properties, body_size: usize) -> BytesMut {
    let header = ContentHeader {
        class_id: 60,
        body_size: body_size as u64,
        properties: properties.clone(),
    };
    let mut payload = BytesMut::new();
    header.encode(&mut payload).unwrap();
    raw_frame(FRAME_HEADER, channel, &payload)
}

/// A method's frame, and those of its message, whose body comes in these pieces.
pub(super) fn content_of<M: WireMethod>(
    channel: u16,
    method: &M,
    properties: &Properties,
    pieces: &[&[u8]],
) -> BytesMut {
    let mut out = frame_of(channel, method);
    let size = pieces.iter().map(|piece| piece.len()).sum();
    out.extend_from_slice(&header_of(channel, properties, size));
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        out.extend_from_slice(&raw_frame(FRAME_BODY, channel, piece));
    }
    out
}

/// `channel.close`, as the broker says it.
pub(super) fn channel_close(code: u16, text: &str) -> wire::ChannelClose<'_> {
    wire::ChannelClose {
        reply_code: code,
        reply_text: text.as_bytes(),
        ..Default::default()
    }
}

/// `queue.declare` of a name and nothing else.
pub(super) fn wire_declare(queue: &str) -> wire::QueueDeclare<'_> {
    wire::QueueDeclare {
        queue: queue.as_bytes(),
        ..Default::default()
    }
}

pub(super) fn wire_declare_ok(queue: &str) -> wire::QueueDeclareOk<'_> {
    wire::QueueDeclareOk {
        queue: queue.as_bytes(),
        ..Default::default()
    }
}

fn shown(frame: &OwnedFrame) -> String {
    let OwnedFrame {
        kind,
        channel,
        payload,
    } = frame;
    match Method::decode(payload) {
        Ok(method) if *kind == FRAME_METHOD => format!("{channel}: {method:?}"),
        _ => format!("{channel}: a frame of type {kind}, {}", start_of(payload)),
    }
}

fn start_of(payload: &Bytes) -> String {
    payload[..payload.len().min(64)].escape_ascii().to_string()
}
