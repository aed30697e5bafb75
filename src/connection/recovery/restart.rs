//! Consumers that have lost their channels, and get others.

use crate::connection::Connection;
use crate::connection::consume::consumer::Consumer;
use crate::connection::consume::unsettled::Unsettled;
use crate::connection::recovery::replay::is_refusal;
use crate::connection::recovery::step::Item;
use crate::types::error::Error;
use crate::types::ids::ChannelId;

impl Connection {
    /// Starts the consumers that were lost with their channels, as far as their queues are there.
    pub(crate) fn start_suspended(&mut self) {
        if self.blame.is_careful() {
            let is_suspect = |(consumer, _): &(Consumer, Error)| {
                self.blame.suspects(&Item::Promise(consumer.promise))
            };
            let suspended = self.suspended.make_contiguous();
            suspended.sort_by_cached_key(is_suspect);
        }
        for (mut consumer, error) in std::mem::take(&mut self.suspended) {
            for name in consumer.queue_names() {
                self.topology.names.follow_name(name);
            }
            let mut names = consumer.queue_names();
            let pending = names.find_map(|name| self.replay.pending(name)).cloned();
            drop(names);
            if let Some(error) = pending {
                self.suspended.push_back((consumer, error));
                continue;
            }
            let is_early = consumer.not_before.is_some_and(|time| self.now < time);
            if is_early || !self.blame.may_start(|| Item::Promise(consumer.promise)) {
                self.suspended.push_back((consumer, error));
                continue;
            }
            let Some((channel, is_new)) = self.channels.acquire() else {
                let error = Error::NoFreeChannel(self.channels.capacity());
                self.suspended.push_back((consumer, error));
                continue;
            };
            self.restart_consumer(consumer, channel, is_new);
        }
    }

    fn restart_consumer(&mut self, consumer: Consumer, id: ChannelId, is_new: bool) {
        let promise = consumer.promise;
        self.blame.note_start(self.now, || Item::Promise(promise));
        let started = self.write_on(id, is_new, |it| it.start_consumer(consumer, id));
        if let Err(failure) = started {
            // It was short enough once, so this is for a smaller frame_max.
            self.fail_consumer(failure.0, &failure.1);
        }
    }

    /// Puts a consumer whose channel was closed, with these unsettled tags, aside, if it is to be tried again later; gives it
    /// back if not, and says why.
    pub(crate) fn retry_consumer(
        &mut self,
        mut consumer: Consumer,
        unsettled: &Unsettled,
        error: &Error,
    ) -> Option<(Consumer, Error)> {
        let may_restart = consumer.restarted && consumer.starting > 0 && self.state.is_up();
        if may_restart && consumer.is_wrong_guess(error) {
            log::debug!("consumer {} is not a stream's: {error}", consumer.promise);
            self.suspend_consumer(consumer, unsettled, error);
            if self.state.is_open() {
                self.start_suspended();
            }
            self.plan_next_round();
            return None;
        }
        if !may_restart || !consumer.ran || !self.replay.may_retry(self.now) || !is_refusal(error) {
            return Some((consumer, error.clone()));
        }
        log::debug!("consumer {} is to start later: {error}", consumer.promise);
        if let Error::NotFound(_) = error {
            let mut names = consumer.queue_names();
            let refused = names.find_map(|name| self.queue_is_gone(name));
            drop(names);
            if let Some(refused) = refused {
                return Some((consumer, refused));
            }
        }
        consumer.not_before = Some(self.now + self.replay.pause(self.now));
        self.suspend_consumer(consumer, unsettled, error);
        self.plan_next_round();
        None
    }
}
