//! A connection whose peer, program, socket and clock are played by the bytes of an input.
//!
//! What must hold whatever happens: a promise has one result, no delivery comes after it, and none is left open at the
//! end; all that is written are whole frames of methods and messages, not larger than agreed on; a timer that was seen to
//! does not ask again at once.

mod broker;
mod program;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::Choices;
use crate::connection::{Connection, Event, rig};
use crate::types::client_options::ClientOptions;
use crate::types::error::{Disconnect, Error};
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::message::Delivery;
use crate::types::recovery::Recovery;
use crate::types::results::Outcome;
use crate::wire::{
    self, Arena, ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD,
    FRAME_OVERHEAD, FieldTable, Method, OwnedFrame, PROTOCOL_HEADER, ShortStr, split_frame,
};

/// How many steps an input may take, and how many bytes of bodies it may make up: it should not take long.
const STEPS: usize = 1_000;
const BODIES: usize = 1 << 20;

pub(super) struct Session {
    connection: Connection,
    now: Instant,
    /// The number of the last promise.
    promises: u64,
    /// Those without a result.
    open: BTreeSet<u64>,
    deliveries: VecDeque<Delivery>,
    /// What the broker owes: the channel, and the frames of its answer.
    owed: VecDeque<(u16, Bytes)>,
    /// Consumers that the broker knows: the channel, and the tag.
    consumers: Vec<(u16, Bytes)>,
    /// Channels that take replies to calls.
    callers: BTreeSet<u16>,
    /// Promises that are consumers'.
    consuming: BTreeSet<u64>,
    /// Whether the broker has said nothing yet that a broker would not say.
    pub(super) is_honest: bool,
    confirms: bool,
    /// Messages published on channel 1, and deliveries of the broker.
    published: u64,
    delivered: u64,
    frame_max: u32,
    /// What the socket has taken.
    written: BytesMut,
    expects_header: bool,
    /// How many bytes of bodies may still be made up.
    bodies: usize,
    /// All events, as text, if somebody wants them.
    pub(super) log: Option<Vec<String>>,
    /// The peer has broken the rules, or its first bytes were no AMQP.
    pub(super) is_broken_off: bool,
}

impl Session {
    /// A connection that has not been given a byte; `choice` makes the options.
    pub(super) fn new(choice: u8) -> Self {
        let is_set = |bit: u8| choice >> bit & 1 == 1;
        let frame_max = match (is_set(5), is_set(6)) {
            (true, _) => 4096,
            (false, true) => 1 << 30,
            (false, false) => 131_072,
        };
        let mut options = ClientOptions::new()
            .pubacks(!is_set(1))
            .frame_max(frame_max)
            .resend_after_refusal(!is_set(7));
        if is_set(0) {
            options = options.recovery(Recovery::new());
        }
        if is_set(2) {
            options = options.heartbeat(10);
        }
        if is_set(3) {
            options = options.blocked_timeout(Duration::from_secs(5));
        }
        if is_set(4) {
            options = options.channel_max(4);
        }
        let (connection, now) = rig::begin(options, "/", 1);
        Self {
            connection,
            now,
            promises: 1,
            open: BTreeSet::from([1]),
            deliveries: VecDeque::new(),
            owed: VecDeque::new(),
            consumers: Vec::new(),
            callers: BTreeSet::new(),
            consuming: BTreeSet::new(),
            is_honest: true,
            confirms: false,
            published: 0,
            delivered: 0,
            frame_max,
            written: BytesMut::new(),
            expects_header: true,
            bodies: BODIES,
            log: None,
            is_broken_off: false,
        }
    }

    /// The login, which the broker takes.
    pub(super) fn connect(&mut self) {
        let capabilities = FieldTable::new().with("publisher_confirms", true);
        let properties = FieldTable::new().with("capabilities", capabilities);
        let start = wire::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: properties.encoded(),
            mechanisms: b"PLAIN",
            locales: b"en_US",
        };
        self.say(0, &start);
        self.say(
            0,
            &wire::ConnectionTune {
                channel_max: 2047,
                frame_max: self.frame_max,
                heartbeat: 60,
            },
        );
        self.say(0, &wire::ConnectionOpenOk::default());
        self.write(usize::MAX);
    }

    /// Takes the steps that the bytes tell of.
    pub(super) fn play(&mut self, choices: &mut Choices<'_>) {
        for _ in 0..STEPS {
            if choices.rest.is_empty() || self.connection.is_over() {
                return;
            }
            match choices.byte() % 4 {
                0 => self.ask_for_more(choices),
                1 => self.answer(choices),
                2 => self.say_anything(choices),
                _ => self.go_on(choices),
            }
            self.collect();
        }
    }

    /// The socket takes some bytes, or goes; time passes.
    fn go_on(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.byte();
        match kind % 4 {
            0 => self.write(choices.short().into()),
            1 => {
                self.now += Duration::from_millis(u64::from(choices.byte()) << (kind >> 5));
                self.see_to_timers();
            }
            2 if kind & 0x80 == 0 => {
                self.connection.disconnected(Disconnect::Eof);
                self.written.clear();
            }
            _ => {
                if self.connection.is_suspended() {
                    self.restart();
                    if kind & 0x40 == 0 {
                        self.connect();
                    }
                }
            }
        }
    }

    fn restart(&mut self) {
        self.connection.restart();
        self.written.clear();
        self.expects_header = true;
        self.owed.clear();
        self.consumers.clear();
        self.callers.clear();
        self.confirms = false;
        self.delivered = 0;
    }

    fn see_to_timers(&mut self) {
        for _ in 0..100 {
            let due = |at: Instant| at <= self.now;
            if !self.connection.poll_timeout().is_some_and(due) {
                return;
            }
            self.connection.handle_timeout(self.now);
            self.collect();
        }
        panic!("a timer is due for ever");
    }

    /// The socket brings these bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.connection.is_done() {
            rig::read(&mut self.connection, &mut bytes, self.now);
            self.collect();
        }
    }

    /// The socket takes up to `limit` bytes.
    pub(super) fn write(&mut self, limit: usize) {
        rig::write(&mut self.connection, limit, &mut self.written, self.now);
        self.look_at_written();
    }

    fn look_at_written(&mut self) {
        if self.expects_header && self.written.len() >= PROTOCOL_HEADER.len() {
            let header = self.written.split_to(PROTOCOL_HEADER.len());
            assert_eq!(&header[..], PROTOCOL_HEADER);
            self.expects_header = false;
        }
        if self.expects_header {
            return;
        }
        while let Some(frame) =
            split_frame(&mut self.written, usize::MAX).expect("the client writes frames")
        {
            self.look_at_frame(&frame);
        }
    }

    fn look_at_frame(&mut self, frame: &OwnedFrame) {
        let OwnedFrame {
            kind,
            channel,
            payload,
        } = frame;
        let mut is_login = false;
        match *kind {
            FRAME_METHOD => {
                let method = Method::decode(payload).expect("the client writes methods");
                // How large a login may be nobody has agreed on.
                is_login = matches!(method, Method::ConnectionStartOk(_));
                if let Some(answer) = self.answer_to(*channel, &method) {
                    self.owed.push_back((*channel, answer));
                }
            }
            FRAME_HEADER => {
                let header = ContentHeader::decode(payload, &mut Arena::default())
                    .expect("the client writes headers");
                if let Some(returned) = self.return_of(*channel, &header) {
                    self.owed.push_back((*channel, returned));
                }
            }
            FRAME_BODY => assert!(!payload.is_empty()),
            kind => assert_eq!(kind, FRAME_HEARTBEAT),
        }
        let size = payload.len() + FRAME_OVERHEAD;
        let connected = self.connection.connected();
        let most = connected.map_or(0, |connected| connected.frame_max as usize);
        assert!(
            is_login || most == 0 || size <= most,
            "a frame of {size} bytes, where {most} were agreed on"
        );
    }

    /// Takes the events. No promise may get two results, and none a delivery after its result.
    fn collect(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            if let Some(log) = &mut self.log {
                log.push(format!("{event:?}"));
            }
            match event {
                Event::Resolved(PromiseNumber(promise), result) => {
                    self.settled(promise);
                    self.note(promise, result);
                }
                Event::Published {
                    first: PromiseNumber(first),
                    last: PromiseNumber(last),
                } => {
                    for promise in first..=last {
                        self.settled(promise);
                    }
                }
                Event::Delivery(PromiseNumber(promise), mut delivery) => {
                    assert!(self.open.contains(&promise), "{promise} is over");
                    let taken = std::mem::replace(&mut *delivery, Delivery::blank());
                    self.connection.recycle(delivery);
                    self.deliveries.push_back(taken);
                }
                Event::Stale(PromiseNumber(promise)) => {
                    self.deliveries
                        .retain(|delivery| delivery.promise().number() != promise);
                }
                Event::Unread {
                    consumer: PromiseNumber(consumer),
                    channel,
                    gone,
                } => self.leave_unread(consumer, channel, &gone),
                Event::Notice(_) => {}
            }
        }
    }

    /// The program reads every other delivery.
    fn leave_unread(&mut self, consumer: u64, channel: ChannelId, gone: &[ShortStr]) {
        let mut unread = Vec::new();
        self.deliveries.retain_mut(|delivery| {
            let origin = delivery.origin;
            if origin.promise.number() != consumer || origin.tag % 2 == 0 {
                return true;
            }
            unread.push(origin);
            delivery.origin.is_returned = gone.contains(&delivery.consumer_tag);
            delivery.origin.is_returned
        });
        self.connection.give_back(channel, &unread);
    }

    fn settled(&mut self, promise: u64) {
        assert!(self.open.remove(&promise), "{promise} has two results");
    }

    fn note(&mut self, promise: u64, result: Result<Outcome, Error>) {
        match result {
            Ok(Outcome::Connected(_)) => assert_eq!(promise, 1),
            Ok(Outcome::Got(Some(delivery))) => self.deliveries.push_back(*delivery),
            Err(error) => {
                let by_us = error.reply().is_some_and(|reply| !reply.from_broker);
                self.is_broken_off |= by_us || matches!(error, Error::UnsupportedProtocol(_));
            }
            Ok(_) => {}
        }
    }

    /// If the broker was one, it now does all that it was asked for, and then nothing waits any more but consumers.
    pub(super) fn settle_down(&mut self) {
        if !self.is_honest || self.connection.is_over() {
            return;
        }
        if self.connection.is_suspended() {
            self.restart();
        }
        if !self.connection.is_up() {
            self.connect();
        }
        for _ in 0..40 {
            self.say(0, &wire::ConnectionUnblocked {});
            self.write(usize::MAX);
            while let Some((_, frames)) = self.owed.pop_front() {
                self.feed(&frames);
                self.write(usize::MAX);
            }
            self.now += Duration::from_secs(1);
            self.see_to_timers();
        }
        if self.is_honest && !self.connection.is_over() {
            let open = self.open.difference(&self.consuming);
            assert_eq!(open.collect::<Vec<_>>(), [&0; 0], "nothing comes of these");
        }
    }

    /// The end, if it was not over before: then no promise is open any more, and nothing is kept for one.
    pub(super) fn finish(&mut self) {
        self.write(usize::MAX);
        if let Some(end) = self.connection.take_end() {
            self.note(0, Err(end));
        }
        assert!(
            !(self.is_honest && self.is_broken_off),
            "the broker has done nothing wrong"
        );
        self.connection.disconnected(Disconnect::Eof);
        if self.connection.is_suspended() {
            self.connection.end(&Error::Closed);
        }
        self.collect();
        assert!(self.connection.is_over());
        assert!(self.open.is_empty(), "without a result: {:?}", self.open);
        self.written.clear();
        self.write(usize::MAX);
        assert_eq!(self.connection.buffered(), 0);
    }
}
