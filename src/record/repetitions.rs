//! [`Repetitions`]: what is alike within a minute is one record with a count. The first is let through at once, those that
//! repeat it are summed and come out when their minute is over. Pure: time is given, the table is bounded.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::DecisionRecord;

/// How long what is alike is one record.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// How many kinds of records are watched for repetition at once; what comes beyond is recorded one by one.
const LIMIT: usize = 1024;

/// The records of the last minute, by what they tell.
#[derive(Default)]
pub(super) struct Repetitions {
    windows: HashMap<u64, Window>,
    hasher: RandomState,
}

/// What was alike since a record was let through.
struct Window {
    opened: Instant,
    /// The last one.
    record: DecisionRecord,
    /// How many since the first, and when the first of those was.
    repeated: Option<(u64, Timestamp)>,
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.opened) >= WINDOW
    }

    /// All that repeated the first, as one.
    fn into_summary(self) -> Option<DecisionRecord> {
        let (count, since) = self.repeated?;
        Some(DecisionRecord {
            count,
            since: (count > 1).then_some(since),
            ..self.record
        })
    }
}

impl Repetitions {
    /// Takes a record and gives what is to be recorded now: nothing where it repeats one of the last minute, else itself,
    /// after what had still to be told of the minute before.
    pub(super) fn admit(&mut self, record: DecisionRecord, now: Instant) -> Vec<DecisionRecord> {
        let key = self.hasher.hash_one(record.grouping());
        let room = self.windows.len() < LIMIT;
        let (owed, watch) = match self.windows.get_mut(&key) {
            None => (None, room),
            // Two kinds of one hash: the second is not watched.
            Some(window) if !window.record.repeats(&record) => (None, false),
            Some(window) if window.is_over(now) => (self.windows.remove(&key).and_then(Window::into_summary), true),
            Some(window) => {
                let (count, since) = window.repeated.unwrap_or((0, record.time));
                window.repeated = Some((count + 1, since));
                window.record = record;
                return Vec::new();
            }
        };
        if watch {
            let window = Window {
                opened: now,
                record: record.clone(),
                repeated: None,
            };
            self.windows.insert(key, window);
        }
        owed.into_iter().chain([record]).collect()
    }

    /// What is to be told of the minutes that are over.
    pub(super) fn over(&mut self, now: Instant) -> Vec<DecisionRecord> {
        let over = self.windows.extract_if(|_, window| window.is_over(now));
        over.filter_map(|(_, window)| window.into_summary()).collect()
    }

    /// What is to be told of all of them, over or not; afterwards nothing is watched.
    pub(super) fn end(&mut self) -> Vec<DecisionRecord> {
        self.windows
            .drain()
            .filter_map(|(_, window)| window.into_summary())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::example;
    use super::*;

    const NONE: [u64; 0] = [];

    fn by(user: &str) -> DecisionRecord {
        DecisionRecord {
            user: user.to_owned(),
            ..example()
        }
    }

    fn counts(records: Vec<DecisionRecord>) -> Vec<u64> {
        records.into_iter().map(|record| record.count).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_what_repeats_it_at_the_end_of_its_minute() {
        let (mut repetitions, start) = (Repetitions::default(), Instant::now());
        assert_eq!(counts(repetitions.admit(example(), start)), [1]);
        for second in 1..=3 {
            let record = DecisionRecord {
                uid: format!("uid-{second}"),
                time: example().time + Duration::from_secs(second),
                ..example()
            };
            assert_eq!(
                counts(repetitions.admit(record, start + Duration::from_secs(second))),
                NONE
            );
        }
        assert_eq!(repetitions.over(start + WINDOW.mul_f64(0.99)), []);
        let told = repetitions.over(start + WINDOW);
        assert_eq!(counts(told.clone()), [3]);
        assert_eq!(told[0].uid, "uid-3");
        assert_eq!(told[0].since, Some(example().time + Duration::from_secs(1)));
        assert_eq!(repetitions.over(start + 2 * WINDOW), [], "told once");
    }

    #[test]
    fn after_its_minute_the_next_is_told_at_once_again() {
        let (mut repetitions, start) = (Repetitions::default(), Instant::now());
        assert_eq!(counts(repetitions.admit(example(), start)), [1]);
        assert_eq!(counts(repetitions.admit(example(), start)), NONE);
        assert_eq!(
            counts(repetitions.admit(example(), start + WINDOW)),
            [1, 1],
            "what was owed, then itself"
        );
    }

    #[test]
    fn another_user_owner_or_finding_is_another_record() {
        let (mut repetitions, start) = (Repetitions::default(), Instant::now());
        assert_eq!(counts(repetitions.admit(example(), start)), [1]);
        assert_eq!(counts(repetitions.admit(by("eve"), start)), [1]);
        let owner = DecisionRecord {
            owner: "other".to_owned(),
            ..example()
        };
        assert_eq!(counts(repetitions.admit(owner, start)), [1]);
        let mut finding = example();
        finding.findings[0].segment = Some("other".to_owned());
        assert_eq!(counts(repetitions.admit(finding, start)), [1]);
        let named = DecisionRecord {
            name: "rogue-2".to_owned(),
            uid: "2".to_owned(),
            ..example()
        };
        assert_eq!(
            counts(repetitions.admit(named, start)),
            NONE,
            "a pod of the same owner under another name repeats"
        );
    }

    #[test]
    fn a_full_table_tells_one_by_one_and_never_grows() {
        let (mut repetitions, start) = (Repetitions::default(), Instant::now());
        for user in 0..LIMIT {
            assert_eq!(counts(repetitions.admit(by(&user.to_string()), start)), [1]);
        }
        for _ in 0..3 {
            assert_eq!(counts(repetitions.admit(by("one too many"), start)), [1]);
        }
        assert_eq!(repetitions.windows.len(), LIMIT);
        assert_eq!(
            counts(repetitions.admit(by("0"), start)),
            NONE,
            "those in the table are still summed"
        );
    }

    proptest! {
        /// Whatever comes when, every review is told exactly once.
        #[test]
        fn counts_add_up_to_the_number_of_reviews(
            reviews in prop::collection::vec((0_u8..4, 0_u64..40, any::<bool>()), 0..60)
        ) {
            let (mut repetitions, mut now) = (Repetitions::default(), Instant::now());
            let mut told = 0;
            for (user, seconds, tick) in &reviews {
                now += Duration::from_secs(*seconds);
                told += counts(repetitions.admit(by(&user.to_string()), now)).iter().sum::<u64>();
                if *tick {
                    told += counts(repetitions.over(now)).iter().sum::<u64>();
                }
            }
            told += counts(repetitions.end()).iter().sum::<u64>();
            prop_assert_eq!(told, reviews.len() as u64);
        }
    }
}
