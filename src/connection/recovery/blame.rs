//! What a connection has died of, where there is another: whoever killed one must not kill them all.
//!
//! A `connection.close` names the class and the method of the request that it is for. If one such request is under way,
//! it was that one, and it gets the error. If several are, or the connection just broke, each of them may have been it,
//! or none: networks break, too. So it is counted on how many dying connections each was under way. What was so on three
//! in a row, or fewer where the broker has said that something is wrong, is suspect, and the next connection is a careful
//! one (`careful.rs`): it sends what is suspect with nothing else under way. If that dies, too, fewer are suspect. What was
//! alone under way when a connection died, and that twice, or eight times where nothing was said, is not sent again: it
//! fails by itself, and the rest goes on. What the broker has answered is not suspect any more.
//!
//! ```text
//!   dies ---> one fits the broker's word ---------------------------> it fails
//!     |
//!     +-----> several may have been it ---> a careful connection ---> dies again, and one was under way: it fails
//!                                             |
//!                                             +--> all is answered: not careful any more
//! ```
//!
//! Under way is whatever the broker may be handling: also what the client has given up meanwhile.
//!
//! A shutdown in order, mere silence, and a socket that goes long after anything was sent, are nobody's fault.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::connection::channel::Role;
use crate::connection::recovery::careful::Careful;
use crate::connection::recovery::step::{Item, StepKey};
use crate::connection::request::Request;
use crate::types::error::{Disconnect, Error};
use crate::types::ids::PromiseNumber;
use crate::wire::{BasicConsume, BasicGet, BasicPublish, MethodId};

/// So many dying connections in a row make a suspect, if the broker has said that something is wrong; and if it has not.
/// Where it has, so many with nothing else under way are a conviction, too.
const ENOUGH: u32 = 2;
const ENOUGH_UNSAID: u32 = 3;

/// So many alone are a conviction where nothing was said: networks that flap cut an innocent three times in a row, too.
const ALONE_UNSAID: u32 = 8;

/// What kills a connection without a word does so within this time.
const PROMPT: Duration = Duration::from_secs(5);

/// How often a consumer that ran before may end a connection because the broker has run out of something.
const STRIKES: u32 = 4;

/// When it is tried again: at first, and twice as long each time.
const PAUSE: Duration = Duration::from_secs(5);

/// Something that the broker may be handling.
#[derive(Debug)]
pub(crate) struct UnderWay {
    item: Item,
    method: MethodId,
    /// Whether an earlier connection may have done it.
    sent_before: bool,
}

/// What a connection has died of.
#[derive(Debug)]
struct Verdict {
    item: Item,
    error: Error,
    /// Whether the broker has refused it, and surely not done it before.
    is_certain: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Blame {
    /// On how many dying connections in a row each was under way.
    deaths: HashMap<Item, u32>,
    /// What was alone under way on so many.
    alone: Option<(Item, u32)>,
    /// Whether the next connection is a careful one.
    is_due: bool,
    /// When anything was last sent that could be sent again.
    sent_at: Option<Instant>,
    /// Whether this death has been looked into.
    is_noted: bool,
    verdict: Option<Verdict>,
    /// Declarations that are not made again.
    refused: HashMap<StepKey, Error>,
    /// On a careful connection.
    pub(crate) careful: Option<Careful>,
}

impl Blame {
    pub(crate) fn is_careful(&self) -> bool {
        self.careful.is_some()
    }

    /// Whether the last connections may have died of it.
    pub(crate) fn suspects(&self, item: &Item) -> bool {
        self.deaths.contains_key(item)
    }

    /// The last promise that is suspect.
    pub(crate) fn youngest_suspect(&self) -> Option<PromiseNumber> {
        let promises = self.deaths.keys().filter_map(|item| match item {
            Item::Promise(promise) => Some(*promise),
            Item::Step(_) => None,
        });
        promises.max()
    }

    /// Something is sent that could be sent again.
    pub(crate) fn note_sending(&mut self, now: Instant) {
        self.sent_at = Some(now);
        if let Some(careful) = &mut self.careful {
            careful.note_sending(now);
        }
    }

    /// Whether one more thing may be sent.
    pub(crate) fn may_start(&self, item: impl FnOnce() -> Item) -> bool {
        let Some(careful) = &self.careful else {
            return true;
        };
        let item = item();
        careful.admits(&item, self.suspects(&item))
    }

    /// It is sent.
    pub(crate) fn note_start(&mut self, now: Instant, item: impl FnOnce() -> Item) {
        self.note_sending(now);
        if self.is_careful() {
            let is_suspect = self.suspects(&item());
            if let Some(careful) = &mut self.careful {
                careful.note(is_suspect);
            }
        }
    }

    /// The broker has answered it, and lives.
    pub(crate) fn answered(&mut self, item: impl FnOnce() -> Item) {
        if self.deaths.is_empty() && self.alone.is_none() {
            return;
        }
        let item = item();
        self.deaths.remove(&item);
        self.alone.take_if(|(last, _)| *last == item);
    }

    /// Why a declaration is not made again.
    pub(crate) fn refused(&self, key: &StepKey) -> Option<&Error> {
        self.refused.get(key)
    }

    /// Whether any is not.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// The broker has done it for the user.
    pub(crate) fn accepted(&mut self, request: &Request) {
        if self.refused.is_empty() {
            return;
        }
        match request {
            Request::QueueDeclare(queue) => {
                self.refused.remove(&StepKey::Queue(queue.queue.clone()));
            }
            Request::ExchangeDeclare(exchange) => {
                let key = StepKey::Exchange(exchange.exchange.clone());
                self.refused.remove(&key);
            }
            _ => {}
        }
    }

    /// There is another connection.
    pub(crate) fn begin(&mut self) {
        self.is_noted = false;
        self.careful = std::mem::take(&mut self.is_due).then(Careful::new);
        if self.is_careful() {
            log::warn!(
                "the last connections may have died of what was sent: it is sent one by one"
            );
        }
    }

    /// Counts a death with all that was under way.
    fn count(&mut self, under_way: Vec<UnderWay>, error: &Error) {
        let word = error.reply().filter(|reply| reply.from_broker);
        let named = word
            .filter(|reply| reply.class_id != 0)
            .map(|reply| (reply.class_id, reply.method_id));
        let is_it = |it: &UnderWay| named.is_none_or(|named| named == it.method);
        let mut suspects: Vec<UnderWay> = under_way.into_iter().filter(is_it).collect();
        if suspects.is_empty() {
            return;
        }
        let (enough, alone) = match word {
            Some(_) => (ENOUGH, ENOUGH),
            None => (ENOUGH_UNSAID, ALONE_UNSAID),
        };
        let was_careful = self.careful.take().is_some();
        if suspects.len() == 1
            && let Some(UnderWay {
                item, sent_before, ..
            }) = suspects.pop()
        {
            let count = match self.alone.take() {
                Some((last, count)) if last == item => count + 1,
                _ => 1,
            };
            if named.is_some() || count >= alone {
                self.deaths.clear();
                self.verdict = Some(Verdict {
                    item,
                    error: error.clone(),
                    is_certain: named.is_some() && !sent_before,
                });
                return;
            }
            self.alone = Some((item.clone(), count));
            let deaths = self.deaths.remove(&item).unwrap_or_default() + 1;
            self.deaths = HashMap::from([(item, deaths)]);
            self.is_due = was_careful || deaths >= enough;
            return;
        }
        let mut before = std::mem::take(&mut self.deaths);
        let count = |it: UnderWay| {
            let deaths = before.remove(&it.item).unwrap_or_default() + 1;
            (it.item, deaths)
        };
        self.deaths = suspects.into_iter().map(count).collect();
        let is_suspect = |&deaths: &u32| deaths >= enough;
        self.is_due = was_careful || named.is_some() || self.deaths.values().any(is_suspect);
    }
}

impl Connection {
    /// Looks into the death of a connection that will have a successor, while all is there yet.
    pub(crate) fn look_into(&mut self, error: &Error) {
        if !self.state.is_up() || self.blame.is_noted {
            return;
        }
        self.blame.is_noted = true;
        if self.is_suspicious(error) {
            let under_way = self.under_way();
            self.blame.count(under_way, error);
        }
    }

    /// Whether it may have been something that this client has sent.
    fn is_suspicious(&self, error: &Error) -> bool {
        match error {
            Error::ConnectionForced(_) => false,
            Error::ConnectionBroken(Disconnect::Eof | Disconnect::Io(_) | Disconnect::Tls(_)) => {
                let sent_at = self.blame.sent_at;
                sent_at.is_none_or(|at| self.now.saturating_duration_since(at) < PROMPT)
            }
            Error::ConnectionBroken(_) => false,
            _ => true,
        }
    }

    /// What the broker may be handling. Of publishes two stand for them all: they are handled in order.
    pub(crate) fn under_way(&self) -> Vec<UnderWay> {
        let mut all = Vec::new();
        let mut add = |item, method| {
            all.push(UnderWay {
                item,
                method,
                sent_before: false,
            });
        };
        for channel in self.channels.iter() {
            match &channel.role {
                Role::Calls(calls) => {
                    for calling in calls {
                        add(Item::Promise(calling.promise), calling.request.method());
                    }
                }
                Role::Replay(step) => add(Item::Step(step.key()), step.request().method()),
                Role::Get { promise, .. } => add(Item::Promise(*promise), BasicGet::ID),
                Role::Rpc {
                    promise,
                    is_handled: false,
                    ..
                }
                | Role::ExpiredRpc { promise } => add(Item::Promise(*promise), BasicPublish::ID),
                Role::Consumer(consumer) if consumer.starting > 0 => {
                    add(Item::Promise(consumer.promise), BasicConsume::ID);
                }
                _ => {}
            }
        }
        let publishes = self.publishes_under_way().filter(|&(.., is_sent)| is_sent);
        all.extend(publishes.take(2).map(|(promise, sent_before, _)| UnderWay {
            item: Item::Promise(promise),
            method: BasicPublish::ID,
            sent_before,
        }));
        all
    }

    /// Fails what the connection has died of; all else has been put aside for the next one.
    pub(crate) fn convict(&mut self) {
        let lasted = self
            .config
            .options
            .recovery
            .as_ref()
            .zip(self.replay.began());
        let lasted = lasted.and_then(|(recovery, began)| began.checked_add(recovery.max_delay));
        if lasted.is_some_and(|lasted| self.now >= lasted) {
            self.blame.refused.clear();
        }
        let Some(Verdict {
            item,
            error,
            is_certain,
        }) = self.blame.verdict.take()
        else {
            return;
        };
        self.has_got_on = true;
        match item {
            Item::Step(key) => {
                self.blame.refused.insert(key, error);
            }
            Item::Promise(promise) => {
                if self.waiting.remove(&promise).is_some() {
                    self.resolve(promise, Err(error));
                } else if self.is_set_aside(promise) {
                    self.convict_consumer(promise, &error);
                } else {
                    self.convict_publish(promise, &error, is_certain);
                }
            }
        }
    }

    fn convict_consumer(&mut self, promise: PromiseNumber, error: &Error) {
        let Some(mut consumer) = self.take_suspended(promise) else {
            return;
        };
        // It ran before, so the broker may have enough another time, or another broker may have.
        if consumer.ran && matches!(error, Error::ResourceError(_)) && consumer.strikes < STRIKES {
            consumer.not_before = Some(self.now + PAUSE * 2_u32.pow(consumer.strikes));
            consumer.strikes += 1;
            return self.suspended.push_back((consumer, error.clone()));
        }
        self.fail_consumer(consumer, error);
    }
}
