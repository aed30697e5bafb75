//! Publisher confirms of one channel: which tags, in which order, how many at once.

use std::collections::BTreeMap;

use super::super::chance::Chance;

/// What became of a message whose confirm has not been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) is_accepted: bool,
    /// Its queue takes its time.
    pub(super) is_late: bool,
}

/// `basic.ack` or `basic.nack`, to the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confirm {
    pub(super) tag: u64,
    pub(super) multiple: bool,
    pub(super) is_accepted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Confirms {
    published: u64,
    unsent: BTreeMap<u64, Fate>,
}

impl Confirms {
    pub(super) fn publish(&mut self, fate: Fate) {
        self.published += 1;
        self.unsent.insert(self.published, fate);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// All that are not late.
    pub(super) fn take_ready(&mut self, chance: &mut Chance) -> Vec<Confirm> {
        let (late, taken) = std::mem::take(&mut self.unsent)
            .into_iter()
            .partition(|(_, fate)| fate.is_late);
        self.unsent = late;
        self.combine(&taken, chance)
    }

    pub(super) fn take_all(&mut self, chance: &mut Chance) -> Vec<Confirm> {
        let taken = std::mem::take(&mut self.unsent);
        self.combine(&taken, chance)
    }

    /// As RabbitMQ does it: refusals first, and what is below every other tag as one.
    fn combine(&self, taken: &BTreeMap<u64, Fate>, chance: &mut Chance) -> Vec<Confirm> {
        let tags = |accepted: bool| {
            let of = taken
                .iter()
                .filter(move |(_, fate)| fate.is_accepted == accepted);
            of.map(|(&tag, _)| tag).collect::<Vec<u64>>()
        };
        let (acks, nacks) = (tags(true), tags(false));
        let unsent = self.unsent.keys().next().copied().unwrap_or(u64::MAX);
        let mut confirms = Vec::new();
        for (tags, others, is_accepted) in [(&nacks, &acks, false), (&acks, &nacks, true)] {
            // Refusals that have just been sent are no longer in the way, but RabbitMQ counts them.
            let cutoff = unsent.min(others.first().copied().unwrap_or(u64::MAX));
            let below = tags.partition_point(|&tag| tag < cutoff);
            let is_combined = below > 1 && !chance.percent(25);
            let from = if is_combined { below - 1 } else { 0 };
            confirms.extend(
                tags[from..]
                    .iter()
                    .enumerate()
                    .map(|(index, &tag)| Confirm {
                        tag,
                        multiple: is_combined && index == 0,
                        is_accepted,
                    }),
            );
        }
        confirms
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn fate(is_accepted: bool, is_late: bool) -> Fate {
        Fate {
            is_accepted,
            is_late,
        }
    }

    /// Settles the tags that a confirm means.
    fn settle(open: &mut BTreeSet<u64>, confirm: Confirm) -> Vec<(u64, bool)> {
        let tags: Vec<u64> = if confirm.multiple {
            open.range(..=confirm.tag).copied().collect()
        } else {
            vec![confirm.tag]
        };
        for tag in &tags {
            assert!(open.remove(tag), "{tag} is confirmed twice");
        }
        let settled = tags.into_iter().map(|tag| (tag, confirm.is_accepted));
        settled.collect()
    }

    #[test]
    fn without_chance_what_is_taken_together_is_one_confirm() {
        let mut confirms = Confirms::default();
        let chance = &mut Chance::new(0);
        confirms.publish(fate(true, false));
        let one = |tag, multiple| Confirm {
            tag,
            multiple,
            is_accepted: true,
        };
        assert_eq!(confirms.take_ready(chance), [one(1, false)]);
        for _ in 0..3 {
            confirms.publish(fate(true, false));
        }
        assert_eq!(confirms.take_ready(chance), [one(4, true)]);
        assert!(confirms.take_all(chance).is_empty());
    }

    #[test]
    fn each_publish_is_confirmed_once_and_truly_whatever_chance_does() {
        let mut combined = 0;
        for seed in 0..200 {
            let chance = &mut Chance::new(seed);
            let mut confirms = Confirms::default();
            let (mut open, mut settled) = (BTreeSet::new(), BTreeMap::new());
            for tag in 1..=50 {
                confirms.publish(fate(tag % 7 != 3, chance.percent(20)));
                open.insert(tag);
                if tag % 3 == 0 {
                    for confirm in confirms.take_ready(chance) {
                        combined += usize::from(confirm.multiple);
                        settled.extend(settle(&mut open, confirm));
                    }
                }
            }
            for confirm in confirms.take_all(chance) {
                settled.extend(settle(&mut open, confirm));
            }
            assert!(open.is_empty());
            assert!(
                settled
                    .iter()
                    .all(|(tag, accepted)| *accepted == (tag % 7 != 3))
            );
            assert_eq!(settled.len(), 50);
        }
        assert!(combined > 0);
    }

    #[test]
    fn what_is_late_holds_back_no_other_and_is_not_said_to_be_below_one() {
        let chance = &mut Chance::new(0);
        let mut confirms = Confirms::default();
        for tag in 1..=6 {
            confirms.publish(fate(true, tag == 3));
        }
        let shown = |confirms: Vec<Confirm>| {
            let pairs = confirms
                .iter()
                .map(|confirm| (confirm.tag, confirm.multiple));
            pairs.collect::<Vec<_>>()
        };
        let ready = shown(confirms.take_ready(chance));
        assert_eq!(ready, [(2, true), (4, false), (5, false), (6, false)]);
        assert_eq!(shown(confirms.take_all(chance)), [(3, false)]);
    }
}
