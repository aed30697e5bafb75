//! The making anew of what was there before a loss: declarations, each before what needs it, then consumers, then
//! publishes.
//!
//! Some things cannot be had at once: an exclusive queue is locked until the broker has noticed that its old connection
//! is dead (405), a queue on a node that is down is not there (404). They are tried again for a while.

use std::time::{Duration, Instant};

use super::channels::{Expect, Role};
use super::consumer::Consumer;
use super::handshake::State;
use super::topology::{Plan, Step};
use super::{Connection, Event};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::recovery::{ConnectionEvent, Restored};
use crate::wire::{ChannelOpen, ShortStr, write_method};

/// How long to wait before trying again what the broker cannot do yet.
const RETRY: Duration = Duration::from_millis(500);

/// For how long, at least, nothing else begins while an exclusive queue is locked: messages for it would be lost.
const HOLD: Duration = Duration::from_secs(10);

/// The making anew of what was there before a loss.
#[derive(Debug, Default)]
pub(super) struct Replay {
    plan: Plan,
    phase: usize,
    outstanding: usize,
    /// What the broker could not do yet.
    again: Vec<(Step, Error)>,
    retry_at: Option<Instant>,
    /// Until when locked queues hold everything up.
    hold_until: Option<Instant>,
    /// Until when to try.
    until: Option<Instant>,
    report: Restored,
}

impl Replay {
    /// Why a queue cannot be had yet.
    fn pending(&self, queue: &ShortStr) -> Option<&Error> {
        let mut again = self.again.iter();
        let (_, error) =
            again.find(|(step, _)| matches!(step, Step::Queue(name, _) if name == queue))?;
        Some(error)
    }
}

/// Whether the broker may be able to do it later.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::ResourceLocked(_) => true,
        Error::NotFound(reply) => reply.text.contains("down or inaccessible"),
        _ => false,
    }
}

impl Connection {
    /// The connection is open anew, and everything is to be declared before anything else.
    pub(super) fn begin_replay(&mut self) {
        self.state = State::Recovering;
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
            hold_until: Some(self.now + hold.min(recovery.limit)),
            until: self.now.checked_add(recovery.limit),
            ..Replay::default()
        };
        self.go_on_replaying();
    }

    fn go_on_replaying(&mut self) {
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
                self.replay.again.push((step, error));
                continue;
            }
            match self.channels.acquire() {
                Some((channel, is_new)) => self.start_step(step, channel, is_new),
                None if self.replay.outstanding > 0 => {
                    self.replay.plan[self.replay.phase].push_front(step);
                    return;
                }
                None => {
                    let error = Error::NoFreeChannel(self.channels.capacity());
                    self.replay.again.push((step, error));
                }
            }
        }
        self.replay_done();
    }

    fn start_step(&mut self, mut step: Step, channel: u16, is_new: bool) {
        // A queue may have got its new name since the plan was made.
        if let Step::QueueBinding(binding) = &mut step {
            self.topology.follow_name(&mut binding.queue);
        }
        let mark = self.out.tail().len();
        if is_new {
            // It has no field that could be too long.
            let _ = write_method(self.out.tail(), channel, &ChannelOpen::default());
        }
        match self.write_call(&step.request(), channel) {
            Ok(call) => {
                self.occupy(channel, Role::Replay(step), [Expect::Call(call)]);
                self.replay.outstanding += 1;
                self.out.commit();
            }
            Err(error) => {
                self.out.tail().truncate(mark);
                if is_new {
                    self.channels.retire(channel);
                } else {
                    self.channels.put_back(channel);
                }
                self.report(&step, error);
            }
        }
    }

    /// A step's answer.
    pub(super) fn replayed(&mut self, number: u16, outcome: Outcome) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        if let Role::Replay(step) = std::mem::replace(&mut channel.role, Role::Settling)
            && let (Step::Queue(old, _), Outcome::QueueDeclareOk(ok)) = (step, outcome)
            && old != ok.queue
        {
            self.topology.rename(&old, &ok.queue);
            self.replay.report.renamed.push((old, ok.queue));
        }
        self.replay.outstanding = self.replay.outstanding.saturating_sub(1);
        self.release(number);
        self.go_on_replaying();
    }

    pub(super) fn replay_failed(&mut self, step: Step, error: &Error) {
        if !self.state.is_up() {
            return;
        }
        self.replay.outstanding = self.replay.outstanding.saturating_sub(1);
        if is_transient(error) {
            self.replay.again.push((step, error.clone()));
        } else {
            self.report(&step, error.clone());
        }
        self.go_on_replaying();
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
        let is_locked = |(step, error): &(Step, Error)| {
            matches!((step, error), (Step::Queue(..), Error::ResourceLocked(_)))
        };
        let may_hold = self.replay.hold_until.is_some_and(|until| self.now < until);
        let holds = may_hold && self.replay.again.iter().any(is_locked);
        if !self.state.is_open() && !holds {
            self.open_again();
        } else if !holds {
            self.start_suspended();
        }
        self.plan_retry();
    }

    fn plan_retry(&mut self) {
        if !self.replay.again.is_empty() || !self.suspended.is_empty() {
            self.replay.retry_at = Some(self.now + RETRY);
        }
    }

    fn open_again(&mut self) {
        self.state = State::Open;
        self.start_suspended();
        let mut report = std::mem::take(&mut self.replay.report);
        report.republished = self.publish_suspended();
        log::warn!(
            "the connection is restored; {} messages published again",
            report.republished
        );
        self.events
            .push_back(Event::Changed(ConnectionEvent::Restored(report)));
        self.serve_early();
    }

    /// Starts the consumers that were lost with their channels, as far as their queues are there.
    fn start_suspended(&mut self) {
        for (mut consumer, error) in std::mem::take(&mut self.suspended) {
            for name in consumer.queue_names() {
                self.topology.follow_name(name);
            }
            if consumer
                .queue_names()
                .any(|name| self.replay.pending(name).is_some())
            {
                self.suspended.push_back((consumer, error));
                continue;
            }
            let Some((channel, is_new)) = self.channels.acquire() else {
                let error = Error::NoFreeChannel(self.channels.capacity());
                self.suspended.push_back((consumer, error));
                continue;
            };
            if is_new {
                let _ = write_method(self.out.tail(), channel, &ChannelOpen::default());
            }
            self.restart_consumer(consumer, channel);
        }
    }

    fn restart_consumer(&mut self, consumer: Consumer, channel: u16) {
        let promises: Vec<u64> = consumer.promises().collect();
        let mark = self.out.tail().len();
        let started: Result<()> = self.start_consumer(consumer, channel);
        if started.is_err() {
            self.out.tail().truncate(mark);
        }
        self.out.commit();
        if let Err(error) = started {
            // It was short enough once, so this is for a smaller frame_max. The channel stays idle.
            self.channels.put_back(channel);
            for promise in promises {
                self.settled(promise, Err(error.clone()));
            }
        }
    }

    /// Puts a consumer whose channel was closed aside, if it is to be tried again later; gives it back if not.
    pub(super) fn retry_consumer(&mut self, consumer: Consumer, error: &Error) -> Option<Consumer> {
        let may_retry = self.replay.until.is_some_and(|until| self.now < until);
        if !consumer.restarted
            || consumer.starting == 0
            || !self.state.is_up()
            || !may_retry
            || !is_transient(error)
        {
            return Some(consumer);
        }
        self.suspend_consumer(consumer, &Default::default(), error);
        self.plan_retry();
        None
    }

    /// When to try again what the broker could not do; never on a connection that is not up.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.replay.retry_at.filter(|_| self.state.is_up())
    }

    /// Tries again what the broker could not do, when the time has come.
    pub(super) fn retry_replay(&mut self) {
        if self.retry_at().is_none_or(|retry_at| self.now < retry_at) {
            return;
        }
        self.replay.retry_at = None;
        let again = std::mem::take(&mut self.replay.again);
        if self.replay.until.is_none_or(|until| self.now < until) {
            for (step, _) in again {
                let phase = step.phase();
                self.replay.plan[phase].push_back(step);
            }
            self.replay.phase = 0;
            return self.go_on_replaying();
        }
        for (step, error) in again {
            self.report(&step, error);
        }
        for (consumer, error) in std::mem::take(&mut self.suspended) {
            self.fail_consumer(consumer, &error);
        }
        if !self.state.is_open() {
            self.open_again();
        }
    }
}
