//! Sets of numbers as sorted ranges that neither overlap nor touch: what sets of ports and sets of addresses are made of.

use std::collections::{BTreeMap, BTreeSet};

/// A number that ranges are made of.
pub(super) trait Number: Copy + Ord + std::fmt::Debug {
    /// The greatest.
    const MOST: Self;
    /// The number after it, none after the greatest.
    fn after(self) -> Option<Self>;
    /// The number before it, none before 0.
    fn before(self) -> Option<Self>;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const MOST: Self = <$type>::MAX;

            fn after(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}

number!(u16, u32, u128);

/// Sorted ranges, first and last of each; no two overlap or touch, so equal sets are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ranges<T>(Vec<(T, T)>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Number> FromIterator<(T, T)> for Ranges<T> {
    fn from_iter<I: IntoIterator<Item = (T, T)>>(ranges: I) -> Self {
        let mut ranges: Vec<(T, T)> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if end.after().is_none_or(|after| first <= after) => *end = (*end).max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

impl<T: Number> Ranges<T> {
    pub(super) fn as_slice(&self) -> &[(T, T)] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, number: T) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(at).is_some_and(|(first, _)| *first <= number)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// Costs as much as the one with fewer ranges, and what is shared.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let (few, many) = if self.0.len() < other.0.len() {
            (self, other)
        } else {
            (other, self)
        };
        let mut shared = Vec::new();
        for &(first, last) in &few.0 {
            let begin = many.0.partition_point(|(_, end)| *end < first);
            let meeting = many.0[begin..].iter().take_while(|(from, _)| *from <= last);
            shared.extend(meeting.map(|&(from, to)| (first.max(from), last.min(to))));
        }
        Self(shared)
    }

    pub(super) fn difference(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for &(first, last) in &self.0 {
            let mut from = Some(first);
            let begin = other.0.partition_point(|(_, end)| *end < first);
            for &(hole, end) in other.0[begin..].iter().take_while(|(hole, _)| *hole <= last) {
                if let (Some(from), Some(to)) = (from, hole.before())
                    && from <= to
                {
                    left.push((from, to));
                }
                from = end.after();
            }
            if let Some(from) = from
                && from <= last
            {
                left.push((from, last));
            }
        }
        Self(left)
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|(first, last)| {
            let at = other.0.partition_point(|(_, end)| end < first);
            other
                .0
                .get(at)
                .is_some_and(|(begin, end)| begin <= first && last <= end)
        })
    }
}

/// Cuts the union of sets into parts that lie in the same of them: the ranges of each part, by the positions of the sets
/// that hold it.
pub(super) fn partition<'s, T: Number + 's>(
    sets: impl IntoIterator<Item = &'s Ranges<T>>,
) -> BTreeMap<Vec<usize>, Ranges<T>> {
    // Where a set begins or no longer holds.
    let mut events: BTreeMap<T, Vec<usize>> = BTreeMap::new();
    for (position, set) in sets.into_iter().enumerate() {
        for &(first, last) in set.as_slice() {
            for edge in [Some(first), last.after()].into_iter().flatten() {
                events.entry(edge).or_default().push(position);
            }
        }
    }
    let mut parts: BTreeMap<Vec<usize>, Vec<(T, T)>> = BTreeMap::new();
    let mut holding: BTreeSet<usize> = BTreeSet::new();
    let mut events = events.into_iter().peekable();
    while let Some((from, changes)) = events.next() {
        for position in changes {
            // A set's ranges do not touch, so that each edge is a beginning or an end.
            if !holding.remove(&position) {
                holding.insert(position);
            }
        }
        let to = events.peek().and_then(|(next, _)| next.before()).unwrap_or(T::MOST);
        if !holding.is_empty() {
            parts
                .entry(holding.iter().copied().collect())
                .or_default()
                .push((from, to));
        }
    }
    parts
        .into_iter()
        .map(|(holding, ranges)| (holding, ranges.into_iter().collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Small enough for its ends, where arithmetic overflows, to be met often.
    number!(u8);

    fn numbers() -> impl Strategy<Value = Vec<(u8, u8)>> {
        let number = prop_oneof![0..12_u8, 244..=255_u8];
        prop::collection::vec((number.clone(), number), 0..5)
    }

    fn members(ranges: &[(u8, u8)]) -> BTreeSet<u8> {
        ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_partition_tells_apart_what_lies_in_other_sets(sets in prop::collection::vec(numbers(), 0..4)) {
            let sets: Vec<Ranges<u8>> = sets.into_iter().map(|ranges| ranges.into_iter().collect()).collect();
            let parts = partition(&sets);
            for number in 0..=u8::MAX {
                let holding: Vec<usize> = (0..sets.len()).filter(|at| sets[*at].contains(number)).collect();
                let found: Vec<&Vec<usize>> =
                    parts.iter().filter(|(_, part)| part.contains(number)).map(|(holding, _)| holding).collect();
                let expected: Vec<&Vec<usize>> = Some(&holding).filter(|holding| !holding.is_empty()).into_iter().collect();
                prop_assert_eq!(found, expected, "{}", number);
            }
        }

        #[test]
        fn ranges_are_what_sets_of_their_members_are(left in numbers(), right in numbers(), probe: u8) {
            let (a, b) = (members(&left), members(&right));
            let (left, right): (Ranges<u8>, Ranges<u8>) = (left.into_iter().collect(), right.into_iter().collect());
            let of = |ranges: &Ranges<u8>| members(ranges.as_slice());
            prop_assert_eq!(of(&left), a.clone());
            prop_assert_eq!(of(&left.union(&right)), &a | &b);
            prop_assert_eq!(of(&left.intersection(&right)), &a & &b);
            prop_assert_eq!(of(&left.difference(&right)), &a - &b);
            prop_assert_eq!(left.is_subset(&right), a.is_subset(&b));
            prop_assert_eq!(left.contains(probe), a.contains(&probe));
            for set in [left.union(&right), left.intersection(&right), left.difference(&right)] {
                for pair in set.as_slice().windows(2) {
                    prop_assert!(pair[0].1 + 1 < pair[1].0, "neither overlapping nor touching: {:?}", set);
                }
            }
        }
    }
}
