//! The keys that some ranges cover together.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

/// A union of ranges `[begin, end)` of keys, kept as disjoint pieces.
///
/// `[b, f)` and `[d, k)` are kept as `b → k`; `d` is in it, `k` is not.
#[derive(Debug, Default)]
pub(super) struct IntervalSet<'a> {
    /// begin → end. Invariant: begin < end, and pieces neither overlap nor touch.
    pieces: BTreeMap<&'a [u8], End<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End<'a> {
    /// The key itself, and nothing after it.
    After(&'a [u8]),
    Before(&'a [u8]),
}

impl End<'_> {
    fn is_past(self, key: &[u8]) -> bool {
        match self {
            End::After(last) => key <= last,
            End::Before(end) => key < end,
        }
    }

    /// Whether this end is at or past the other.
    fn reaches(self, other: End<'_>) -> bool {
        match (self, other) {
            (End::Before(a), End::Before(b)) | (End::After(a), End::After(b)) => a >= b,
            (End::After(a), End::Before(b)) => a >= b || successor_is(a, b),
            (End::Before(a), End::After(b)) => a > b,
        }
    }
}

/// Whether no key is between `key` and `next`.
fn successor_is(key: &[u8], next: &[u8]) -> bool {
    next.strip_prefix(key) == Some(&[0])
}

impl<'a> IntervalSet<'a> {
    /// Adds a range; one that is empty adds nothing.
    pub(super) fn insert(&mut self, begin: &'a [u8], end: End<'a>) {
        if !end.is_past(begin) {
            return;
        }
        let (mut begin, mut end) = (begin, end);
        if let Some((&before, &its_end)) = self.pieces.range::<[u8], _>((Unbounded, Included(begin))).next_back()
            && its_end.is_past(begin)
        {
            begin = before;
            end = if its_end.reaches(end) { its_end } else { end };
        }
        while let Some((&inside, &its_end)) = self.pieces.range::<[u8], _>((Included(begin), Unbounded)).next()
            && end.is_past(inside)
        {
            self.pieces.remove(inside);
            end = if its_end.reaches(end) { its_end } else { end };
        }
        self.pieces.insert(begin, end);
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let before = self.pieces.range::<[u8], _>((Unbounded, Included(key))).next_back();
        before.is_some_and(|(_, end)| end.is_past(key))
    }

    /// Adds all that another set covers.
    pub(super) fn extend(&mut self, other: IntervalSet<'a>) {
        if self.pieces.is_empty() {
            *self = other;
            return;
        }
        for (begin, end) in other.pieces {
            self.insert(begin, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_any_of_its_ranges_holds(ranges in prop::collection::vec(("[a-c]{1,2}", "[a-c]{1,2}", any::<bool>()), 0..12),
                                              key in "[a-d]{1,3}") {
            let mut set = IntervalSet::default();
            let mut naive = false;
            for (begin, end, single) in &ranges {
                let (begin, end) = (begin.as_bytes(), end.as_bytes());
                let end = if *single { End::After(begin) } else { End::Before(end) };
                set.insert(begin, end);
                naive |= begin <= key.as_bytes() && end.is_past(key.as_bytes());
            }
            prop_assert_eq!(set.contains(key.as_bytes()), naive);
        }
    }
}
