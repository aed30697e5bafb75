//! The making anew of what was there before a loss: declarations, each before what needs it, then consumers
//! (`restart.rs`), then publishes.
//!
//! Some things cannot be had at once: an exclusive queue is locked until the broker has noticed that its old connection
//! is dead, a queue's node is on its way back, and what deletes itself may yet do so, for the old connection's sake,
//! after it was declared anew. Brokers have many words for this, and other brokers have others. So it is not the word
//! that counts: whatever the broker had done for this client before, and refuses now, is tried again for as long as
//! recovery may take; and a binding, or a consumer, that finds nothing is tried again together with what it needs.
//!
//! So it goes in rounds, with a pause after each: its end is the one deadline. What becomes then of what a round could not
//! have the age of the replay says ([`Stage`]), and what waits for it, each step ([`Holds`]): publishes must not overtake
//! what they are for, for what finds no queue is confirmed, and lost.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::connection::channel::{Channel, Role};
use crate::connection::event::Event;
use crate::connection::expect::Expect;
use crate::connection::recovery::step::{Gone, Holds, Item, Pending, Plan, Step, StepKey};
use crate::connection::state::State;
use crate::types::error::Error;
use crate::types::ids::ChannelId;
use crate::types::recovery::{ConnectionEvent, Restored};
use crate::types::results::Outcome;
use crate::wire::ShortStr;

/// How long to wait before trying again what the broker cannot do yet: at first, and at most.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// For how long, at least, nothing else begins while an exclusive queue is locked.
const HOLD: Duration = Duration::from_secs(10);

/// The making anew of what was there before a loss.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    plan: Plan,
    phase: usize,
    outstanding: usize,
    /// What the broker could not do yet.
    again: Vec<Pending>,
    /// Why queues cannot be had yet.
    pending: HashMap<ShortStr, Error>,
    /// Exchanges and queues that have gone since they were declared anew.
    gone: Gone,
    /// When it began; `hold` and `limit` count from then.
    began: Option<Instant>,
    /// For how long locked queues hold everything up.
    hold: Duration,
    /// For how long to try.
    limit: Duration,
    /// When the next round begins, or all is given up.
    next_round: Option<Instant>,
    /// Whether publishes wait for something of it.
    holds_publishes: bool,
    report: Restored,
}

/// What becomes of what the broker refuses: by the age of the replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is tried again. What is locked holds everything up: it may be so by this client's old connection.
    Hold,
    /// It is tried again. Whoever has it locked for longer is somebody else.
    Retry,
    /// It fails: recovery has lasted for as long as it may. What was never tried has its first try.
    GiveUp,
}

impl Replay {
    /// Why a queue cannot be had yet.
    pub(crate) fn pending(&self, queue: &ShortStr) -> Option<&Error> {
        self.pending.get(queue)
    }

    /// When it began.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// How many steps have not been tried.
    pub(crate) fn left(&self) -> usize {
        self.plan.iter().map(VecDeque::len).sum()
    }

    /// Whether publishes wait.
    pub(crate) fn holds_publishes(&self) -> bool {
        self.holds_publishes
    }

    /// Whether what is refused now is tried again.
    pub(crate) fn may_retry(&self, now: Instant) -> bool {
        self.stage(now) != Stage::GiveUp
    }

    fn stage(&self, now: Instant) -> Stage {
        let Some(began) = self.began else {
            return Stage::GiveUp;
        };
        match now.saturating_duration_since(began) {
            age if age < self.hold => Stage::Hold,
            age if age < self.limit => Stage::Retry,
            _ => Stage::GiveUp,
        }
    }

    /// What waits, at the end of a round, for what it could not have.
    fn holds(&self, now: Instant) -> Holds {
        let has = |wanted| self.again.iter().any(|pending| pending.holds == wanted);
        if self.stage(now) == Stage::Hold && has(Holds::Everything) {
            Holds::Everything
        } else if self.gone.holds || has(Holds::Publishes) {
            Holds::Publishes
        } else {
            Holds::Nothing
        }
    }

    /// How long to wait before trying something again.
    pub(crate) fn pause(&self, now: Instant) -> Duration {
        let began = self.began.unwrap_or(now);
        let lasted = now.saturating_duration_since(began);
        (lasted / 8).clamp(RETRY, RETRY_MAX)
    }

    fn put_off(&mut self, step: Step, error: Error, mut holds: Holds) {
        // What is refused for other reasons may be there, if not as it was declared.
        let is_away = !matches!(
            error,
            Error::PreconditionFailed(_) | Error::AccessRefused(_)
        );
        if let Step::Queue(name, _) = &step
            && is_away
        {
            self.pending.insert(name.clone(), error.clone());
        }
        // A queue, or a binding that waits for it.
        if matches!(error, Error::ResourceLocked(_)) {
            holds = Holds::Everything;
        }
        self.again.push(Pending { step, error, holds });
    }
}

/// Whether the broker has refused one thing, and nothing else.
pub(crate) fn is_refusal(error: &Error) -> bool {
    error.reply().is_some_and(|reply| reply.from_broker)
}

/// Whether a consumer that is set aside for this has been refused since the loss.
fn was_tried(error: &Error) -> bool {
    matches!(
        error,
        Error::AccessRefused(_)
            | Error::NotFound(_)
            | Error::ResourceLocked(_)
            | Error::PreconditionFailed(_)
            | Error::NoFreeChannel(_)
    )
}

impl Connection {
    /// The connection is open anew, and everything is to be declared before anything else.
    pub(crate) fn begin_replay(&mut self) {
        self.state.enter(State::Recovering);
        let Some(recovery) = &self.config.options.recovery else {
            return self.open_again();
        };
        let heartbeat = self
            .connected
            .as_ref()
            .map_or(0, |connected| connected.heartbeat);
        let hold = HOLD.max(3 * Duration::from_secs(heartbeat.into()));
        self.replay = Replay {
            plan: if recovery.topology {
                self.topology.plan()
            } else {
                Plan::default()
            },
            began: Some(self.now),
            hold: hold.min(recovery.limit),
            limit: recovery.limit,
            ..Replay::default()
        };
        self.blame.begin();
        for (step, error) in self.leave_out_refused() {
            self.report(&step, error);
        }
        self.go_on_replaying();
        self.go_on_carefully();
    }

    /// What has killed a connection is not declared again; what may have comes last. Every plan passes here.
    fn leave_out_refused(&mut self) -> Vec<(Step, Error)> {
        let mut refused = Vec::new();
        for steps in &mut self.replay.plan {
            if self.blame.has_refused() {
                steps.retain(|step| match self.blame.refused(&step.key()) {
                    Some(error) => {
                        refused.push((step.clone(), error.clone()));
                        false
                    }
                    None => true,
                });
            }
            if self.blame.is_careful() {
                let is_suspect = |step: &Step| self.blame.suspects(&Item::Step(step.key()));
                steps.make_contiguous().sort_by_cached_key(is_suspect);
            }
        }
        refused
    }

    pub(crate) fn go_on_replaying(&mut self) {
        while let Some(steps) = self.replay.plan.get_mut(self.replay.phase) {
            let Some(step) = steps.pop_front() else {
                if self.replay.outstanding > 0 {
                    return;
                }
                self.replay.phase += 1;
                continue;
            };
            if let Step::QueueBinding(binding) = &step
                && let Some(error) = self.replay.pending(&binding.queue).cloned()
            {
                self.replay.put_off(step, error, Holds::Publishes);
                continue;
            }
            if !self.blame.may_start(|| Item::Step(step.key())) {
                self.replay.plan[self.replay.phase].push_front(step);
                return;
            }
            match self.channels.acquire() {
                Some((channel, is_new)) => self.start_step(step, channel, is_new),
                None if self.replay.outstanding > 0 => {
                    self.replay.plan[self.replay.phase].push_front(step);
                    return;
                }
                None => {
                    let error = Error::NoFreeChannel(self.channels.capacity());
                    self.replay.put_off(step, error, Holds::Publishes);
                }
            }
        }
        self.replay_done();
    }

    fn start_step(&mut self, mut step: Step, id: ChannelId, is_new: bool) {
        // A queue may have got its new name since the plan was made.
        self.topology.names.follow_step(&mut step);
        match self.write_on(id, is_new, |it| it.write_call(&step.request(), id)) {
            Ok(call) => {
                let key = step.key();
                self.blame.note_start(self.now, || Item::Step(key));
                self.occupy(id, Role::Replay(step), [Expect::Call(call)]);
                self.replay.outstanding += 1;
            }
            Err(error) => self.report(&step, error),
        }
    }

    /// A step's answer.
    pub(crate) fn replayed(&mut self, id: ChannelId, outcome: Outcome) {
        let channel = self.channels.known(id);
        if let Some(step) = channel.and_then(Channel::take_step) {
            self.blame.answered(|| Item::Step(step.key()));
            if let (Step::Queue(old, _), Outcome::QueueDeclareOk(ok)) = (step, outcome)
                && old != ok.queue
            {
                self.topology.rename(&old, &ok.queue);
            }
        }
        self.replay.outstanding = self.replay.outstanding.saturating_sub(1);
        self.release(id);
        self.go_on_replaying();
    }

    pub(crate) fn replay_failed(&mut self, step: Step, error: &Error) {
        if !self.state.is_up() {
            return;
        }
        self.replay.outstanding = self.replay.outstanding.saturating_sub(1);
        self.blame.answered(|| Item::Step(step.key()));
        if is_refusal(error) && self.replay.may_retry(self.now) {
            self.retry_step(step, error);
        } else {
            self.report(&step, error.clone());
        }
        self.go_on_replaying();
    }

    fn retry_step(&mut self, step: Step, error: &Error) {
        log::debug!("the {} is to be declared later: {error}", step.name());
        let is_missing = matches!(error, Error::NotFound(_));
        let is_needed = match step.ends() {
            None => is_missing,
            Some(ends) if is_missing => {
                if let Some(refused) = ends.iter().find_map(|end| self.blame.refused(end)) {
                    let refused = refused.clone();
                    return self.report(&step, refused);
                }
                self.are_gone(&ends)
            }
            Some(_) => false,
        };
        let holds = match is_needed {
            true => Holds::Publishes,
            false => Holds::Nothing,
        };
        self.replay.put_off(step, error.clone(), holds);
    }

    /// One of these two is not there, but was when they were bound. What is ours is to be made once more; if both are, or
    /// the broker's, publishes wait for that. Of what is somebody else's nobody knows whether it comes back.
    fn are_gone(&mut self, ends: &[StepKey; 2]) -> bool {
        let mut is_ours = true;
        for end in ends {
            if self.topology.has_end(end) {
                self.replay.gone.insert(end);
            } else {
                is_ours &= end.is_brokers();
            }
        }
        is_ours
    }

    /// A queue of a consumer's is not there. Made by this client, it is made once more, with all that is bound to it; if
    /// that is refused, here is why.
    pub(crate) fn queue_is_gone(&mut self, queue: &ShortStr) -> Option<Error> {
        let recovery = self.config.options.recovery.as_ref();
        if recovery.is_some_and(|recovery| recovery.topology) && self.topology.has_queue(queue) {
            let key = StepKey::Queue(queue.clone());
            if let Some(refused) = self.blame.refused(&key) {
                return Some(refused.clone());
            }
            self.replay.gone.insert(&key);
            self.replay.gone.holds = true;
            self.replay.holds_publishes = true;
        }
        None
    }

    fn report(&mut self, step: &Step, error: Error) {
        let name = step.name();
        log::warn!("the {name} could not be declared again: {error}");
        if !self.state.is_open() {
            self.replay.report.failed.push((name, error));
        }
    }

    /// Every step has been tried.
    fn replay_done(&mut self) {
        let holds = self.replay.holds(self.now);
        self.replay.holds_publishes = holds != Holds::Nothing;
        match holds {
            Holds::Everything => {}
            Holds::Nothing | Holds::Publishes if self.state.is_open() => {
                self.tell_new_names();
                self.start_suspended();
                self.go_on_publishing();
            }
            Holds::Nothing | Holds::Publishes => self.open_again(),
        }
        self.plan_next_round();
    }

    /// Sets the one deadline, if there is something to try again.
    pub(crate) fn plan_next_round(&mut self) {
        let replay = &mut self.replay;
        if replay.again.is_empty() && replay.gone.is_empty() && self.suspended.is_empty() {
            return;
        }
        replay.next_round = Some(self.now + replay.pause(self.now));
    }

    fn open_again(&mut self) {
        self.state.enter(State::Open);
        self.start_suspended();
        let mut report = std::mem::take(&mut self.replay.report);
        for pending in &self.replay.again {
            let name = pending.step.name();
            log::warn!("the {name} cannot be declared again yet: {}", pending.error);
            report.failed.push((name, pending.error.clone()));
        }
        report.renamed = self.topology.names.take_untold();
        report.republished = self.held_count();
        log::warn!(
            "the connection is restored; {} messages are published again",
            report.republished
        );
        self.events
            .push_back(Event::Notice(ConnectionEvent::Restored(report)));
        self.go_on_publishing();
        self.serve_waiting();
    }

    /// A queue was declared, and named anew, only when the program had been told already what is restored.
    fn tell_new_names(&mut self) {
        let renamed = self.topology.names.take_untold();
        if renamed.is_empty() {
            return;
        }
        let report = Restored {
            renamed,
            ..Restored::default()
        };
        self.events
            .push_back(Event::Notice(ConnectionEvent::Restored(report)));
    }

    /// Publishes what was kept, and what came since, unless something has to come first.
    pub(crate) fn go_on_publishing(&mut self) {
        if !self.state.is_open() || self.blocked.is_some() || self.publishes_wait() {
            return;
        }
        self.release_all_held();
        self.serve_early();
    }

    /// When to go on with what the broker could not do; never on a connection that is not up.
    pub(crate) fn next_round(&self) -> Option<Instant> {
        self.replay.next_round.filter(|_| self.state.is_up())
    }

    /// Goes on with what the broker could not do, when the time has come.
    pub(crate) fn end_pause(&mut self) {
        if self.next_round().is_none_or(|at| self.now < at) {
            return;
        }
        self.replay.next_round = None;
        if self.replay.outstanding > 0 || self.replay.left() > 0 {
            // It is at work on some of it, or its turn is to come.
            return self.plan_next_round();
        }
        match self.replay.stage(self.now) {
            Stage::Hold | Stage::Retry => self.begin_round(),
            Stage::GiveUp => self.give_up_replay(),
        }
    }

    /// Tries again what could not be had, and what has gone.
    fn begin_round(&mut self) {
        let replay = &mut self.replay;
        replay.pending.clear();
        let mut plan = self.topology.part(std::mem::take(&mut replay.gone));
        let mut planned: HashSet<_> = plan.iter().flatten().map(Step::key).collect();
        for Pending { mut step, .. } in std::mem::take(&mut replay.again) {
            self.topology.names.follow_step(&mut step);
            // It may have been deleted meanwhile.
            if self.topology.has(&step) && planned.insert(step.key()) {
                plan[step.phase()].push_back(step);
            }
        }
        replay.plan = plan;
        replay.phase = 0;
        // That has been reported.
        self.leave_out_refused();
        self.go_on_replaying();
        self.go_on_carefully();
    }

    /// It has lasted for as long as recovery may take: what was refused fails.
    fn give_up_replay(&mut self) {
        let replay = &mut self.replay;
        replay.pending.clear();
        replay.gone = Gone::default();
        replay.holds_publishes = false;
        for pending in std::mem::take(&mut replay.again) {
            self.report(&pending.step, pending.error);
        }
        // What has only waited for others was not tried yet.
        for (consumer, error) in std::mem::take(&mut self.suspended) {
            if was_tried(&error) {
                self.fail_consumer(consumer, &error);
            } else {
                self.suspended.push_back((consumer, error));
            }
        }
        if self.state.is_open() {
            self.start_suspended();
            self.go_on_publishing();
        } else {
            self.open_again();
        }
        self.plan_next_round();
    }
}
