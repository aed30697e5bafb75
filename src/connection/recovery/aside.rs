//! What has gone by itself, as far as one can tell, and may prove to be there.
//!
//! What deletes itself goes with its last consumer, or binding. Whether one was the last, only the broker knows: other
//! clients have theirs. So what is forgotten for that reason is kept aside for a while, and comes back when the broker's
//! word for something else shows that it is there.

use std::collections::VecDeque;

use crate::connection::recovery::bindings::Binding;
use crate::connection::recovery::step::{Step, StepKey};
use crate::wire::ShortStr;

/// So many things are kept, and so many steps in all: a program may use up a queue for each request.
const MOST: usize = 64;
const MOST_STEPS: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Each with all that went with it; oldest first.
    kept: VecDeque<(StepKey, Vec<Step>)>,
    steps: usize,
}

impl Aside {
    pub(crate) fn put(&mut self, key: StepKey, steps: Vec<Step>) {
        self.take(&key);
        self.steps += steps.len();
        self.kept.push_back((key, steps));
        while self.kept.len() > MOST || self.steps > MOST_STEPS && self.kept.len() > 1 {
            if let Some((_, steps)) = self.kept.pop_front() {
                self.steps -= steps.len();
            }
        }
    }

    pub(crate) fn take(&mut self, key: &StepKey) -> Vec<Step> {
        let index = self.kept.iter().position(|(kept, _)| kept == key);
        let kept = index.and_then(|index| self.kept.remove(index));
        let steps = kept.map(|(_, steps)| steps).unwrap_or_default();
        self.steps -= steps.len();
        steps
    }

    /// It has gone for sure, or was made anew, and so has all that was bound to it.
    pub(crate) fn forget(&mut self, key: &StepKey) {
        self.take(key);
        let (exchange, queue) = match key {
            StepKey::Exchange(name) => (Some(name), None),
            StepKey::Queue(name) => (None, Some(name)),
            StepKey::ExchangeBinding(_) | StepKey::QueueBinding(_) => (None, None),
        };
        let is_end = |end: &ShortStr, name: Option<&ShortStr>| name == Some(end);
        self.retain(|step| match step {
            Step::QueueBinding(it) => {
                !is_end(it.source(), exchange) && !is_end(it.destination(), queue)
            }
            Step::ExchangeBinding(it) => {
                !is_end(it.source(), exchange) && !is_end(it.destination(), exchange)
            }
            Step::Exchange(_) | Step::Queue(..) => true,
        });
    }

    /// A binding was taken away.
    pub(crate) fn forget_binding(&mut self, key: impl FnOnce() -> StepKey) {
        if !self.kept.is_empty() {
            let key = key();
            self.retain(|step| step.key() != key);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Step) -> bool) {
        for (_, steps) in &mut self.kept {
            steps.retain(&keep);
        }
        self.steps = self.kept.iter().map(|(_, steps)| steps.len()).sum();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::requests::QueueBind;

    fn steps(count: usize) -> Vec<Step> {
        let bind = |number: usize| QueueBind::new("q", "x").routing_key(number.to_string());
        (0..count).map(|it| Step::QueueBinding(bind(it))).collect()
    }

    #[test]
    fn not_everything_is_kept_for_ever() {
        let mut aside = Aside::default();
        let key = |number: usize| StepKey::Queue(number.to_string().into());
        for number in 0..1000 {
            aside.put(key(number), steps(2));
        }
        assert_eq!((aside.kept.len(), aside.steps), (MOST, 2 * MOST));
        assert_eq!(aside.take(&key(999)).len(), 2);
        assert_eq!(aside.take(&key(999)).len(), 0);
        aside.put(key(1), steps(2 * MOST_STEPS));
        assert_eq!(aside.kept.len(), 1);
        aside.forget(&StepKey::Exchange("x".into()));
        assert_eq!(aside.steps, 0);
    }
}
