//! The tags of deliveries that want an acknowledgement, which may come in any order.

use std::collections::VecDeque;

/// So many settled tags may stay among those that are not, beside as many as are not.
const SLACK: usize = 64;

/// A set of tags that are added in rising order, and taken out in any.
///
/// A tag that is taken out of the midst stays where it was, as a blank: to move all behind it would take the time of all
/// of them for each. Blanks go when they come to the front, or are more than the others.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// Ascending; false is a blank. The first is none.
    tags: VecDeque<(u64, bool)>,
    /// Those that are no blanks.
    count: usize,
    /// Tags that are none of the program's any more, and are to go back to their queues: ascending; each of those above is
    /// outside.
    returning: VecDeque<Run>,
    /// How many those are.
    return_count: usize,
}

/// Tags without a gap, which are to go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    first: u64,
    last: u64,
    /// Whether their queue, which is a stream, has them anyway.
    is_kept: bool,
}

/// What is to go back next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) tag: u64,
    /// All up to that tag, none of which is with the program; or the single one.
    pub(crate) multiple: bool,
    /// Whether their queue, which is a stream, has them anyway.
    pub(crate) is_kept: bool,
}

impl Unsettled {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether none is left, and none is to go back.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && self.returning.is_empty()
    }

    /// Whether some are to go back.
    pub(crate) fn has_returning(&self) -> bool {
        !self.returning.is_empty()
    }

    /// The oldest one.
    pub(crate) fn first(&self) -> Option<u64> {
        self.tags.front().map(|&(tag, _)| tag)
    }

    /// The newest one.
    pub(crate) fn last(&self) -> Option<u64> {
        let mut tags = self.tags.iter().rev();
        tags.find(|&&(_, is_there)| is_there).map(|&(tag, _)| tag)
    }

    /// Adds a tag; false: it is not above all that are known here.
    pub(crate) fn push(&mut self, tag: u64) -> bool {
        if self.tags.back().is_some_and(|&(last, _)| last >= tag)
            || self.returning.back().is_some_and(|run| run.last >= tag)
        {
            return false;
        }
        self.tags.push_back((tag, true));
        self.count += 1;
        true
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let found = self.tags.binary_search_by_key(&tag, |&(tag, _)| tag);
        found.ok().filter(|&index| self.tags[index].1)
    }

    pub(crate) fn contains(&self, tag: u64) -> bool {
        self.find(tag).is_some()
    }

    /// Takes one tag out; false: it is not there.
    pub(crate) fn remove(&mut self, tag: u64) -> bool {
        // Most are settled in their order.
        if self.first() == Some(tag) {
            self.tags.pop_front();
        } else if let Some(index) = self.find(tag) {
            self.tags[index].1 = false;
        } else {
            return false;
        }
        self.count -= 1;
        self.tidy();
        true
    }

    /// Takes out that tag and all below it; false, and none is taken: it is not there.
    pub(crate) fn remove_to(&mut self, tag: u64) -> bool {
        let Some(index) = self.find(tag) else {
            return false;
        };
        let removed = self.tags.drain(..=index);
        self.count -= removed.filter(|&(_, is_there)| is_there).count();
        self.tidy();
        true
    }

    /// Takes out tags, ascending, which are to go back; those that are not there stay away. With each, whether its queue, which
    /// is a stream, has it anyway.
    pub(crate) fn give_up(&mut self, tags: impl Iterator<Item = (u64, bool)>) {
        let mut is_behind = true;
        for (tag, is_kept) in tags {
            if !self.remove(tag) {
                continue;
            }
            self.return_count += 1;
            match self.returning.back_mut() {
                Some(run) if run.last.checked_add(1) == Some(tag) && run.is_kept == is_kept => {
                    run.last = tag;
                }
                run => {
                    is_behind &= run.is_none_or(|run| run.last < tag);
                    self.returning.push_back(Run {
                        first: tag,
                        last: tag,
                        is_kept,
                    });
                }
            }
        }
        if !is_behind {
            self.returning.make_contiguous().sort_unstable();
        }
    }

    /// Takes out what goes back next: at best what is older than all that the program has; else single ones, as long as they
    /// are, with those that the program has, no more than `work` allows.
    pub(crate) fn next_return(&mut self, work: usize) -> Option<Next> {
        let oldest = *self.returning.front()?;
        let first = self.first();
        if first.is_some_and(|first| first < oldest.first) {
            return if self.return_work() <= work {
                self.pop_returning()
            } else {
                None
            };
        }
        let mut last = oldest.last;
        for run in self.returning.iter().skip(1) {
            if run.is_kept != oldest.is_kept || first.is_some_and(|first| first < run.first) {
                break;
            }
            last = run.last;
        }
        self.take_returning(last);
        Some(Next {
            tag: last,
            multiple: last != oldest.first,
            is_kept: oldest.is_kept,
        })
    }

    /// Takes out the oldest that is to go back.
    pub(crate) fn pop_returning(&mut self) -> Option<Next> {
        let oldest = *self.returning.front()?;
        self.take_returning(oldest.first);
        Some(Next {
            tag: oldest.first,
            multiple: false,
            is_kept: oldest.is_kept,
        })
    }

    /// How many unsettled deliveries the broker looks at to have them back one by one: for each those in front of it.
    fn return_work(&self) -> usize {
        self.return_count
            .saturating_mul(self.return_count.saturating_add(self.count))
    }

    fn take_returning(&mut self, up_to: u64) {
        while let Some(run) = self.returning.front_mut()
            && run.first <= up_to
        {
            let taken = up_to.min(run.last) - run.first + 1;
            let taken = usize::try_from(taken).unwrap_or(usize::MAX);
            self.return_count = self.return_count.saturating_sub(taken);
            if up_to < run.last {
                run.first = up_to + 1;
                return;
            }
            self.returning.pop_front();
        }
    }

    /// The last of those that are older than all that is to go back.
    pub(crate) fn before_returning(&self) -> Option<u64> {
        let oldest = self.returning.front()?.first;
        let below = self.tags.partition_point(|&(tag, _)| tag < oldest);
        let mut older = self.tags.range(..below).rev();
        older.find(|&&(_, is_there)| is_there).map(|&(tag, _)| tag)
    }

    /// Whether something below that tag is to go back.
    pub(crate) fn returns_below(&self, tag: u64) -> bool {
        self.returning.front().is_some_and(|run| run.first < tag)
    }

    fn tidy(&mut self) {
        while self.tags.front().is_some_and(|&(_, is_there)| !is_there) {
            self.tags.pop_front();
        }
        if self.tags.len() > 2 * self.count + SLACK {
            self.tags.retain(|&(_, is_there)| is_there);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_agrees_with_a_set_and_stays_as_small() {
        let mut unsettled = Unsettled::default();
        let mut set = BTreeSet::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut last = 0;
        for _ in 0..50_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let some = last - (random % 300).min(last);
            match random >> 60 {
                0..8 => {
                    last += 1 + random % 3;
                    assert!(unsettled.push(last) && !unsettled.push(last));
                    set.insert(last);
                }
                8..15 => assert_eq!(unsettled.remove(some), set.remove(&some)),
                _ => {
                    let is_there = set.contains(&some);
                    assert_eq!(unsettled.remove_to(some), is_there);
                    if is_there {
                        set = set.split_off(&(some + 1));
                    }
                }
            }
            assert_eq!(unsettled.first(), set.first().copied());
            assert_eq!(unsettled.last(), set.last().copied());
            assert_eq!(unsettled.len(), set.len());
            assert_eq!(unsettled.contains(some), set.contains(&some));
            assert!(unsettled.tags.len() <= 2 * set.len() + SLACK);
        }
    }

    /// What goes back until the work is too much.
    fn returned(unsettled: &mut Unsettled, work: usize) -> Vec<Next> {
        std::iter::from_fn(|| unsettled.next_return(work)).collect()
    }

    #[test]
    fn what_is_to_go_back_agrees_with_a_set() {
        let mut unsettled = Unsettled::default();
        let (mut set, mut returning) = (BTreeSet::new(), BTreeSet::new());
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut last = 0;
        for _ in 0..50_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let some = last - (random % 100).min(last);
            match random >> 60 {
                0..7 => {
                    last += 1 + random % 2;
                    assert!(unsettled.push(last) && !unsettled.push(last));
                    set.insert(last);
                }
                7..10 => assert_eq!(unsettled.remove(some), set.remove(&some)),
                10..14 => {
                    unsettled.give_up((some..some + random % 4).map(|tag| (tag, tag % 16 == 0)));
                    let gone = (some..some + random % 4).filter(|tag| set.remove(tag));
                    returning.extend(gone.collect::<Vec<_>>());
                    assert!(!unsettled.push(last));
                }
                _ => match unsettled.next_return(400) {
                    Some(Next {
                        tag,
                        multiple: true,
                        is_kept,
                    }) => {
                        assert!(set.first().is_none_or(|&first| first > tag));
                        let left = returning.split_off(&(tag + 1));
                        assert!(returning.len() > 1 && returning.contains(&tag));
                        assert!(returning.iter().all(|tag| (tag % 16 == 0) == is_kept));
                        returning = left;
                    }
                    Some(Next { tag, is_kept, .. }) => {
                        assert_eq!(returning.pop_first(), Some(tag));
                        assert_eq!(tag % 16 == 0, is_kept);
                    }
                    None => assert!(
                        returning.is_empty()
                            || set.first() < returning.first()
                                && returning.len() * (returning.len() + set.len()) > 400
                    ),
                },
            }
            assert_eq!(unsettled.return_count, returning.len());
            assert_eq!(unsettled.len(), set.len());
            assert_eq!(unsettled.is_empty(), set.is_empty() && returning.is_empty());
            assert_eq!(unsettled.contains(some), set.contains(&some));
            let before = returning
                .first()
                .and_then(|&oldest| set.range(..oldest).last());
            assert_eq!(unsettled.before_returning(), before.copied());
            assert_eq!(
                unsettled.returns_below(some),
                returning.first() < Some(&some) && !returning.is_empty()
            );
        }
    }

    #[test]
    fn however_many_are_to_go_back_they_are_few_ranges() {
        let mut unsettled = Unsettled::default();
        for tag in 1..=100_000 {
            assert!(unsettled.push(tag));
            if tag > 1 {
                unsettled.give_up(std::iter::once((tag, false)));
            }
        }
        assert_eq!(unsettled.returning.len(), 1);
        assert!(unsettled.tags.len() <= SLACK + 2);
        assert_eq!(returned(&mut unsettled, 1 << 20), []);
        assert!(unsettled.remove(1));
        assert_eq!(
            returned(&mut unsettled, 0),
            [Next {
                tag: 100_000,
                multiple: true,
                is_kept: false
            }]
        );
        assert!(unsettled.is_empty());
    }

    #[test]
    fn a_delivery_that_is_kept_keeps_no_others() {
        let mut unsettled = Unsettled::default();
        for tag in 1..100_000 {
            assert!(unsettled.push(tag));
            assert!(tag == 1 || unsettled.remove(tag));
        }
        assert!(unsettled.tags.len() <= SLACK + 2);
    }
}
