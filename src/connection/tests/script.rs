//! A server made of wire methods, and a client made of a [`Connection`] and a counter of promises.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::frames::{TUNE, content_of, frame_of, server_properties, shown, start};
use crate::ClientOptions;
use crate::connection::{Connection, Event, Request, Settle, rig};
use crate::types::error::{Disconnect, Result};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::{Delivery, Message};
use crate::types::recovery::{ConnectionEvent, Recovery};
use crate::types::requests::{ConsumeMulti, QueueDeclare};
use crate::types::results::Outcome;
use crate::wire::{
    Arena, BasicDeliver, ConnectionOpenOk, ConnectionTune, ContentHeader, FRAME_BODY, FRAME_HEADER,
    FRAME_METHOD, FieldTable, Method, OwnedFrame, PROTOCOL_HEADER, Properties, ShortStr,
    WireMethod, split_frame,
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
    pub(super) promises: u64,
    /// None: the result was taken.
    pub(super) results: HashMap<u64, Option<Result<Outcome>>>,
    pub(super) deliveries: Vec<(u64, Delivery)>,
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
        let (connection, now) = rig::begin(options, vhost, EPOCH);
        Self {
            now,
            connection,
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
            rig::read(&mut self.connection, &mut bytes, self.now);
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
        rig::write(&mut self.connection, limit, &mut self.output, self.now);
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

    pub(super) fn set_result(&mut self, promise: u64, result: Result<Outcome>) {
        let before = self.results.insert(promise, Some(result));
        assert!(
            before.is_none(),
            "promise {promise} has two results: {before:?}"
        );
    }

    /// A consumer is cancelled: what no test has taken goes back.
    pub(super) fn give_back(&mut self, consumer: u64, channel: ChannelId, gone: &[ShortStr]) {
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
