//! What a consumer is: its queues, their tags, its gate. What goes on with it is in `consume/mod.rs`.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::BytesMut;

use crate::connection::consume::gate::Held;
use crate::connection::consume::unsettled::Unsettled;
use crate::connection::expect::Expect;
use crate::types::error::Error;
use crate::types::ids::{ChannelId, PromiseNumber};
use crate::types::requests::{Consume, ConsumeMulti};
use crate::types::results::{Cancelled, CancelledBy};
use crate::wire::{
    BasicConsume, BasicQos, EncodeError, FieldTable, FieldValue, ShortStr, check_frame,
    write_method,
};

/// Where a consumer of a stream begins, and where each of its deliveries stands.
const STREAM_OFFSET: &str = "x-stream-offset";

/// So many offsets of deliveries that are settled may be kept, beside as many as are not.
const OFFSETS_SLACK: usize = 64;

/// One of the broker's consumers, of one queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) request: Consume,
    /// The tag as the user knows it.
    pub(crate) tag: ShortStr,
    /// How often the broker's consumer was replaced: its tag on the wire ends in that, from the first time on.
    pub(crate) generation: u32,
    /// False once the broker has cancelled it.
    pub(crate) alive: bool,
    /// Whether its consume-ok is outstanding.
    pub(crate) starting: bool,
    /// Whether the broker has ever started it.
    pub(crate) ran: bool,
    /// Whether the queue is a stream, as far as its deliveries tell: what is copied from a stream looks like it.
    is_stream: Option<bool>,
    /// Whether it is one for sure: it was declared as one, or its consumer was asked for with an offset.
    is_sure: bool,
    /// Whether it was the program that asked for an offset.
    asks: bool,
    /// Whether more than one delivery had an offset.
    rises: bool,
    /// Of a stream: the offsets of deliveries that may be unsettled, by their tags.
    offsets: VecDeque<(u64, i64)>,
    /// Of a stream: behind the last delivery.
    next_offset: Option<i64>,
}

impl Queue {
    pub(crate) fn wire_tag(&self) -> ShortStr {
        match self.generation {
            0 => self.tag.clone(),
            generation => format!("{}~{generation}", self.tag).into(),
        }
    }

    /// Whether a second consumer beside this one would not do what the first did.
    pub(crate) fn is_irreplaceable(&self) -> bool {
        self.request.exclusive || self.is_sure || self.is_stream == Some(true) && self.rises
    }

    /// Whether it is a stream for sure: what a stream keeps, any other queue would lose.
    pub(crate) fn is_stream(&self) -> bool {
        self.is_sure
    }

    /// What this client has declared it as.
    pub(crate) fn declared(&mut self, is_stream: bool) {
        self.is_stream = Some(is_stream);
        self.is_sure |= is_stream;
    }

    /// The broker has started its consumer: that of a stream, if it took an offset.
    pub(crate) fn started(&mut self) {
        self.starting = false;
        self.ran = true;
        self.is_sure |= self.request.arguments.contains(STREAM_OFFSET);
    }

    /// The broker has refused its consumer: if for an offset that only the deliveries have told of, it is no stream.
    fn refused(&mut self, error: &Error) -> bool {
        let names_it = error
            .reply()
            .is_some_and(|reply| reply.from_broker && reply.text.contains(STREAM_OFFSET));
        let is_wrong = names_it && !self.asks && self.request.arguments.remove(STREAM_OFFSET);
        if is_wrong {
            self.is_no_stream();
        }
        is_wrong
    }

    fn is_no_stream(&mut self) {
        self.is_stream = Some(false);
        self.is_sure = false;
        self.rises = false;
        self.next_offset = None;
        self.offsets.clear();
    }

    /// Whether that tag is of a stream's delivery.
    pub(crate) fn keeps(&self, tag: u64) -> bool {
        let offsets = &self.offsets;
        self.is_sure && offsets.binary_search_by_key(&tag, |&(tag, _)| tag).is_ok()
    }

    /// The tags of a stream's deliveries that may be unsettled.
    pub(crate) fn kept(&self) -> impl Iterator<Item = u64> {
        let offsets = self.offsets.iter().filter(|_| self.is_sure);
        offsets.map(|&(tag, _)| tag)
    }

    /// Notes how far a stream has come.
    pub(crate) fn note_offset(&mut self, tag: u64, unsettled: &Unsettled, headers: &FieldTable) {
        if self.is_stream == Some(false) && !self.is_sure {
            return;
        }
        // In every delivery of a stream, as a long, and each is behind the one before.
        let offset = match headers.get(STREAM_OFFSET) {
            Some(FieldValue::I64(offset)) => Some(offset),
            _ => None,
        };
        let is_next = |offset: &i64| self.next_offset.is_none_or(|next| *offset >= next);
        let Some(offset) = offset.filter(|offset| self.is_sure || is_next(offset)) else {
            return self.is_no_stream();
        };
        self.rises |= self.next_offset.is_some();
        self.is_stream = Some(true);
        let oldest = unsettled.first();
        while self
            .offsets
            .front()
            .is_some_and(|&(tag, _)| Some(tag) < oldest)
        {
            self.offsets.pop_front();
        }
        // One that is kept for long keeps no others.
        if self.offsets.len() > 2 * unsettled.len() + OFFSETS_SLACK {
            self.offsets.retain(|&(tag, _)| unsettled.contains(tag));
        }
        self.offsets.push_back((tag, offset));
        self.next_offset = Some(offset.saturating_add(1));
    }

    /// What a new consumer in place of one that was lost has to say.
    pub(crate) fn prepare_restart(&mut self, unsettled: &Unsettled) {
        self.generation = 0;
        self.alive = true;
        self.starting = false;
        // Another queue may have its name by then.
        self.is_stream = self.is_stream.filter(|&is_stream| is_stream);
        self.rewind(unsettled);
    }

    /// Has the next consumer of a stream begin with the oldest delivery that is not settled. It begins there once more if
    /// that one is lost, too, before anything has come.
    pub(crate) fn rewind(&mut self, unsettled: &Unsettled) {
        let offsets = std::mem::take(&mut self.offsets);
        let oldest = offsets.iter().find(|(tag, _)| unsettled.contains(*tag));
        self.next_offset = oldest.map(|&(_, offset)| offset).or(self.next_offset);
        if let Some(offset) = self.next_offset {
            self.request.arguments.insert(STREAM_OFFSET, offset);
        }
    }

    pub(crate) fn start(
        &mut self,
        no_ack: bool,
        channel: ChannelId,
        out: &mut BytesMut,
        frame_max: usize,
    ) -> Result<(), EncodeError> {
        let mark = out.len();
        self.request.arguments.check_encodable()?;
        let tag = self.wire_tag();
        let method = BasicConsume {
            queue: self.request.queue.as_bytes(),
            consumer_tag: tag.as_bytes(),
            no_local: self.request.no_local,
            no_ack,
            exclusive: self.request.exclusive,
            arguments: self.request.arguments.encoded(),
            ..Default::default()
        };
        write_method(out, channel.0, &method)?;
        check_frame(out, mark, frame_max)?;
        self.starting = true;
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) promise: PromiseNumber,
    pub(crate) queues: Vec<Queue>,
    pub(crate) no_ack: bool,
    /// The limit of the gate; 0 is none.
    pub(crate) prefetch: u16,
    /// What the broker's consumers were started with.
    pub(crate) broker_prefetch: u16,
    /// Deliveries beyond the limit, which the user has not seen.
    pub(crate) held: Held,
    /// How many deliveries may be unsettled as far as the broker keeps its prefetch; none: it has none.
    pub(crate) allowed: Option<usize>,
    /// How many consume-oks are outstanding.
    pub(crate) starting: usize,
    /// Whether all that comes now comes again, after the end of the broker's consumer that sends it.
    pub(crate) rewinds: bool,
    /// What was asked meanwhile.
    pub(crate) deferred: VecDeque<Deferred>,
    pub(crate) ending: Option<Ending>,
    /// Whether it had another channel before a loss.
    pub(crate) restarted: bool,
    /// Whether the broker has ever started it.
    pub(crate) ran: bool,
    /// How often it has ended a connection since, and when it may be tried again.
    pub(crate) strikes: u32,
    pub(crate) not_before: Option<Instant>,
}

/// What waits for a consumer to have started.
#[derive(Debug)]
pub(crate) enum Deferred {
    Qos {
        promise: PromiseNumber,
        prefetch: u16,
    },
    /// `basic_recover`, of a stream.
    Rewind { promise: PromiseNumber },
    /// The promise is that of `basic_cancel`, if it was that.
    End {
        by: CancelledBy,
        promise: Option<PromiseNumber>,
    },
}

#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) by: CancelledBy,
    /// Promises of `basic_cancel`.
    pub(crate) promises: Vec<PromiseNumber>,
    /// How many cancel-oks are outstanding.
    pub(crate) left: usize,
}

impl Ending {
    /// Of a consumer that the broker does not know.
    pub(crate) fn by_client(promise: PromiseNumber) -> Self {
        Self {
            by: CancelledBy::Client,
            promises: vec![promise],
            left: 0,
        }
    }
}

impl Consumer {
    pub(crate) fn new(promise: PromiseNumber, request: ConsumeMulti) -> Self {
        let ConsumeMulti {
            consumers,
            prefetch_count,
            no_ack,
        } = request;
        let queues = consumers
            .into_iter()
            .enumerate()
            .map(|(index, request)| Queue {
                tag: format!("{promise}.{index}.{}", request.consumer_tag).into(),
                is_stream: None,
                is_sure: request.arguments.contains(STREAM_OFFSET),
                asks: request.arguments.contains(STREAM_OFFSET),
                rises: false,
                request,
                generation: 0,
                alive: true,
                starting: false,
                ran: false,
                offsets: VecDeque::new(),
                next_offset: None,
            });
        Self {
            promise,
            queues: queues.collect(),
            no_ack,
            prefetch: prefetch_count,
            broker_prefetch: prefetch_count,
            held: Held::default(),
            allowed: None,
            starting: 0,
            rewinds: false,
            deferred: VecDeque::new(),
            ending: None,
            restarted: false,
            ran: false,
            strikes: 0,
            not_before: None,
        }
    }

    /// Writes what starts it, and returns the replies that the broker then owes.
    pub(crate) fn start(
        &mut self,
        channel: ChannelId,
        out: &mut BytesMut,
        frame_max: usize,
    ) -> Result<Vec<Expect>, EncodeError> {
        // Always: a channel out of the pool may have had another prefetch.
        write_method(
            out,
            channel.0,
            &BasicQos {
                prefetch_count: self.prefetch,
                ..Default::default()
            },
        )?;
        let mut expect = vec![Expect::QosOk];
        for queue in &mut self.queues {
            queue.start(self.no_ack, channel, out, frame_max)?;
            expect.push(Expect::ConsumeOk);
        }
        self.starting = self.queues.len();
        self.allow(0);
        Ok(expect)
    }

    /// The broker's consumers were started anew, with so many deliveries of others before unsettled.
    pub(crate) fn allow(&mut self, before: usize) {
        let each = usize::from(self.broker_prefetch);
        self.allowed = (each > 0).then(|| before + each * self.queues.len());
    }

    /// How it ended, by that one's word.
    pub(crate) fn cancelled(&self, by: CancelledBy) -> Error {
        // The broker cancels one queue, and the client the rest.
        let its = self.queues.iter().find(|queue| !queue.alive);
        let queue = its
            .filter(|_| by == CancelledBy::Broker)
            .or(self.queues.last());
        let name = queue.map(|queue| queue.request.queue.clone());
        Error::Cancelled(Box::new(Cancelled {
            by,
            queue: name.unwrap_or_default(),
            consumer_tag: queue.map(|queue| queue.tag.clone()).unwrap_or_default(),
        }))
    }

    /// Which queue has that tag, on the wire or for the user: the tag itself says it.
    fn index_of(&self, tag: &[u8]) -> Option<usize> {
        // Most have one queue.
        if self
            .queues
            .first()
            .is_some_and(|queue| queue.tag.as_bytes() == tag)
        {
            return Some(0);
        }
        let tag = str::from_utf8(tag).ok()?;
        let index: usize = tag.split('.').nth(1)?.parse().ok()?;
        let generation = tag.strip_prefix(&*self.queues.get(index)?.tag)?;
        (generation.is_empty() || generation.starts_with('~')).then_some(index)
    }

    /// The queue of that tag, if it is one of this consumer's.
    pub(crate) fn queue_of(&mut self, tag: &[u8]) -> Option<&mut Queue> {
        let index = self.index_of(tag)?;
        self.queues.get_mut(index)
    }

    /// The user's name for the tag of a delivery. `None`: it is not one of this consumer's.
    pub(crate) fn known_tag(&self, wire_tag: &[u8]) -> Option<ShortStr> {
        let queue = self.queues.get(self.index_of(wire_tag)?)?;
        Some(queue.tag.clone())
    }

    /// Every promise that goes with this consumer, if its channel goes.
    pub(crate) fn promises(&self) -> impl Iterator<Item = PromiseNumber> {
        let cancels = self
            .ending
            .iter()
            .flat_map(|ending| ending.promises.iter().copied());
        let later = self.deferred.iter().filter_map(|later| match later {
            Deferred::Qos { promise, .. } | Deferred::Rewind { promise } => Some(*promise),
            Deferred::End { promise, .. } => *promise,
        });
        std::iter::once(self.promise).chain(cancels).chain(later)
    }

    /// Whether the broker has refused an offset that was only a guess: it is not asked for again.
    pub(crate) fn is_wrong_guess(&mut self, error: &Error) -> bool {
        let mut queues = self.queues.iter_mut();
        queues.any(|queue| queue.refused(error))
    }

    /// Whether it is being cancelled, or will be once it has started.
    pub(crate) fn is_ending(&self) -> bool {
        let mut later = self.deferred.iter();
        self.ending.is_some() || later.any(|later| matches!(later, Deferred::End { .. }))
    }

    /// Whether a delivery of that tag stays in its queue, which is a stream, whatever is said of it.
    pub(crate) fn keeps(&self, tag: u64) -> bool {
        self.queues.iter().any(|queue| queue.keeps(tag))
    }

    /// The queues by name.
    pub(crate) fn queue_names(&mut self) -> impl Iterator<Item = &mut ShortStr> {
        self.queues.iter_mut().map(|queue| &mut queue.request.queue)
    }

    /// Makes it ready for another channel, after the loss of the one with these unsettled tags. The promises of
    /// `basic_qos`, and `basic_recover`, that this settles; and whether, instead, it had been cancelled.
    pub(crate) fn prepare_restart(
        &mut self,
        unsettled: &Unsettled,
    ) -> (Vec<PromiseNumber>, Option<Ending>) {
        let mut settled = Vec::new();
        for later in std::mem::take(&mut self.deferred) {
            match later {
                Deferred::Qos { promise, prefetch } => {
                    self.prefetch = prefetch;
                    settled.push(promise);
                }
                Deferred::Rewind { promise } => settled.push(promise),
                Deferred::End { by, promise } => {
                    let ending = self.ending.get_or_insert(Ending {
                        by,
                        promises: Vec::new(),
                        left: 0,
                    });
                    ending.promises.extend(promise);
                }
            }
        }
        for queue in &mut self.queues {
            queue.prepare_restart(unsettled);
        }
        self.held.clear();
        self.restarted = true;
        self.starting = 0;
        self.rewinds = false;
        self.broker_prefetch = self.prefetch;
        (settled, self.ending.take())
    }

    pub(crate) fn last_tag(&self) -> ShortStr {
        self.queues
            .last()
            .map(|queue| queue.tag.clone())
            .unwrap_or_default()
    }
}
