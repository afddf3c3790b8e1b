//! Which parts of a file are free.
//!
//! ```text
//! take 1000, 3000, 500     |1024|3072|512|           the file ends at 4608
//! give back 3000           |1024|    |512|           free: 3072 at 1024
//! take 600                 |1024|640|   |512|        of the smallest free part that is large enough; free: 2432 at 1664
//! give back 600            |1024|    |512|           free neighbours are one part again
//! ```
//! So what is free comes in at most one part more than what is taken, whatever the sizes were.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Slab {
    /// The lengths of the free parts, by where they begin. No two of them touch.
    free: BTreeMap<u64, u64>,
    /// The same as (length, begin).
    by_length: BTreeSet<(u64, u64)>,
    /// Where the file ends.
    end: u64,
    /// Sum of the lengths of the free parts.
    unused: u64,
}

/// What a value of that length takes: up to an eighth more, so that values of about the same length fit each other's places.
pub(super) fn rounded(length: u64) -> u64 {
    length.next_multiple_of((length.next_power_of_two() / 16).max(16))
}

impl Slab {
    /// Where the file ends: everything that was ever taken is below.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that are taken, as they were rounded.
    pub(super) fn used(&self) -> u64 {
        self.end - self.unused
    }

    /// A place for so many bytes in what is free, or None.
    pub(super) fn take(&mut self, length: u64) -> Option<u64> {
        let length = rounded(length);
        let (found, at) = self.by_length.range((length, 0)..).next().copied()?;
        self.remove(at, found);
        if found > length {
            self.insert(at + length, found - length);
        }
        Some(at)
    }

    /// A place for so many bytes at the end, which is moved for that.
    pub(super) fn extend(&mut self, length: u64) -> u64 {
        let at = self.end;
        self.end += rounded(length);
        at
    }

    /// What was taken at `at` for so many bytes is free.
    pub(super) fn give_back(&mut self, at: u64, length: u64) {
        let (mut at, mut length) = (at, rounded(length));
        if let Some((before, its)) = self.free.range(..at).next_back().map(|(before, its)| (*before, *its))
            && before + its == at
        {
            self.remove(before, its);
            (at, length) = (before, its + length);
        }
        if let Some(its) = self.free.get(&(at + length)).copied() {
            self.remove(at + length, its);
            length += its;
        }
        self.insert(at, length);
    }

    fn insert(&mut self, at: u64, length: u64) {
        self.free.insert(at, length);
        self.by_length.insert((length, at));
        self.unused += length;
    }

    fn remove(&mut self, at: u64, length: u64) {
        self.free.remove(&at);
        self.by_length.remove(&(length, at));
        self.unused -= length;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_given_back_is_used_again() {
        let mut slab = Slab::default();
        let places = [1000, 3000, 500].map(|length| slab.extend(length));
        assert_eq!((places, slab.end(), slab.take(1)), ([0, 1024, 4096], 4608, None));
        slab.give_back(1024, 3000);
        assert_eq!((slab.take(4000), slab.take(600), slab.take(2300)), (None, Some(1024), Some(1664)));
        for (at, length) in [(1024, 600), (4096, 500), (1664, 2300), (0, 1000)] {
            slab.give_back(at, length);
        }
        assert_eq!((slab.used(), slab.take(4608)), (0, Some(0)));
    }

    #[test]
    fn a_place_is_at_most_an_eighth_larger_than_asked_for() {
        for length in 128..10_000 {
            assert!((length..=length + length / 8).contains(&rounded(length)), "{length}: {}", rounded(length));
        }
        assert_eq!([1, 128, 129, 1 << 20, (1 << 20) + 1].map(rounded), [16, 128, 144, 1 << 20, (1 << 20) + (1 << 17)]);
    }

    /// Take so many bytes, or give back the n-th of what is taken.
    #[derive(Clone, Debug)]
    enum Step {
        Take(u64),
        GiveBack(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => prop_oneof![1..3000u64, Just(1024)].prop_map(Step::Take),
            4 => any::<usize>().prop_map(Step::GiveBack),
        ];
        proptest::collection::vec(step, 1..300)
    }

    proptest! {
        /// Against a list of what is taken, looked through from the beginning.
        #[test]
        fn taken_places_are_apart_and_all_else_is_free(steps in steps()) {
            let (mut slab, mut taken) = (Slab::default(), BTreeMap::<u64, u64>::new());
            for step in steps {
                match step {
                    Step::Take(length) => {
                        let fits = gaps(&taken, slab.end()).into_iter().map(|(_, gap)| gap).filter(|gap| *gap >= rounded(length)).min();
                        let at = slab.take(length);
                        prop_assert_eq!(at.is_some(), fits.is_some());
                        let at = at.unwrap_or_else(|| slab.extend(length));
                        prop_assert!(taken.insert(at, length).is_none());
                    }
                    Step::GiveBack(n) if !taken.is_empty() => {
                        let (at, length) = taken.iter().nth(n % taken.len()).map(|(at, length)| (*at, *length)).unwrap();
                        taken.remove(&at);
                        slab.give_back(at, length);
                    }
                    Step::GiveBack(_) => {}
                }
                let ends = taken.iter().map(|(at, length)| at + rounded(*length));
                prop_assert!(ends.zip(taken.keys().skip(1)).all(|(end, next)| end <= *next));
                prop_assert_eq!(slab.free.clone().into_iter().collect::<Vec<_>>(), gaps(&taken, slab.end()));
                prop_assert_eq!(slab.by_length.iter().map(|(length, at)| (*at, *length)).collect::<BTreeMap<_, _>>(), slab.free.clone());
                prop_assert_eq!(slab.used(), taken.values().map(|length| rounded(*length)).sum::<u64>());
                prop_assert!(slab.free.len() <= taken.len() + 1);
            }
        }
    }

    /// What lies between taken places, as (begin, length).
    fn gaps(taken: &BTreeMap<u64, u64>, end: u64) -> Vec<(u64, u64)> {
        let (mut gaps, mut from) = (Vec::new(), 0);
        for (at, length) in taken.iter().map(|(at, length)| (*at, rounded(*length))).chain([(end, 0)]) {
            if at > from {
                gaps.push((from, at - from));
            }
            from = at + length;
        }
        gaps
    }
}
