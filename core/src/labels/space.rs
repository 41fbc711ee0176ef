//! [`LabelSpace`]: every set of labels that a selector could match, whoever may come to carry them. Two selectors could
//! match the same pod exactly if no key's requirements contradict; one contains another exactly if it does so key by key.

use std::collections::{BTreeMap, BTreeSet};

use super::{Operator, Selector};

/// How many pieces a space is cut into before [`LabelSpace::is_within_any`] gives up.
const MOST_PIECES: usize = 4096;

/// How many requirements and values it writes down on the way, taking away one other space.
const MOST_WRITTEN: usize = 1 << 21;

/// All sets of labels that a number of selectors match together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSpace(BTreeMap<String, Choices>);

/// What one key may be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choices {
    /// Whether the label may be absent.
    absent: bool,
    /// Which values it may have where it is present.
    values: Values,
}

/// A set of values out of endlessly many.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Values {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Values {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Only(values) if values.is_empty())
    }

    /// Takes out what is not in the other. Its cost follows the other's size, so that a selector with thousands of
    /// requirements on one key costs as much as it is long.
    fn narrow(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Only(mine), Self::Only(theirs)) if theirs.len() < mine.len() => {
                let both: BTreeSet<String> = theirs.iter().filter(|value| mine.contains(*value)).cloned().collect();
                *mine = both;
            }
            (Self::Only(mine), Self::Only(theirs)) => mine.retain(|value| theirs.contains(value)),
            (Self::Only(mine), Self::AllBut(but)) if but.len() < mine.len() => {
                for value in but {
                    mine.remove(value);
                }
            }
            (Self::Only(mine), Self::AllBut(but)) => mine.retain(|value| !but.contains(value)),
            (Self::AllBut(but), Self::Only(values)) => {
                *self = Self::Only(values.difference(but).cloned().collect());
            }
            (Self::AllBut(mine), Self::AllBut(theirs)) => mine.extend(theirs.iter().cloned()),
        }
    }

    /// Whether some value is in both.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Only(mine), Self::Only(theirs)) => {
                let (few, many) = if mine.len() < theirs.len() {
                    (mine, theirs)
                } else {
                    (theirs, mine)
                };
                few.iter().any(|value| many.contains(value))
            }
            (Self::Only(values), Self::AllBut(but)) | (Self::AllBut(but), Self::Only(values)) => {
                values.iter().any(|value| !but.contains(value))
            }
            (Self::AllBut(_), Self::AllBut(_)) => true,
        }
    }

    /// Whether the other holds all of it.
    fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Only(mine), Self::Only(theirs)) => mine.is_subset(theirs),
            (Self::Only(values), Self::AllBut(but)) => values.is_disjoint(but),
            (Self::AllBut(_), Self::Only(_)) => false,
            (Self::AllBut(mine), Self::AllBut(theirs)) => theirs.is_subset(mine),
        }
    }

    fn complement(&self) -> Self {
        match self {
            Self::Only(values) => Self::AllBut(values.clone()),
            Self::AllBut(values) => Self::Only(values.clone()),
        }
    }

    /// How much it takes to write it down.
    fn size(&self) -> usize {
        match self {
            Self::Only(values) | Self::AllBut(values) => values.len(),
        }
    }

    /// One of them, `x` or longer where any would do.
    fn example(&self) -> Option<String> {
        match self {
            Self::Only(values) => values.first().cloned(),
            Self::AllBut(but) => (1..=but.len() + 1)
                .map(|length| "x".repeat(length))
                .find(|value| !but.contains(value)),
        }
    }
}

impl Choices {
    /// Of a key that nothing is said of.
    const ANY: Self = Self {
        absent: true,
        values: Values::AllBut(BTreeSet::new()),
    };

    fn of(operator: &Operator) -> Self {
        let set = |values: &[String]| values.iter().cloned().collect();
        let (absent, values) = match operator {
            Operator::In(values) => (false, Values::Only(set(values))),
            Operator::NotIn(values) => (true, Values::AllBut(set(values))),
            Operator::Exists => (false, Values::AllBut(BTreeSet::new())),
            Operator::DoesNotExist => (true, Values::Only(BTreeSet::new())),
        };
        Self { absent, values }
    }

    fn is_none(&self) -> bool {
        !self.absent && self.values.is_empty()
    }

    fn narrow(&mut self, other: &Self) {
        self.absent &= other.absent;
        self.values.narrow(&other.values);
    }

    fn meets(&self, other: &Self) -> bool {
        self.absent && other.absent || self.values.meets(&other.values)
    }

    fn is_within(&self, other: &Self) -> bool {
        (!self.absent || other.absent) && self.values.is_within(&other.values)
    }

    fn complement(&self) -> Self {
        Self {
            absent: !self.absent,
            values: self.values.complement(),
        }
    }
}

/// What the selector could match.
impl From<&Selector> for LabelSpace {
    fn from(selector: &Selector) -> Self {
        let mut space = Self::default();
        for requirement in selector.requirements() {
            space.narrow(&requirement.key, &Choices::of(&requirement.operator));
        }
        space
    }
}

impl LabelSpace {
    /// Every set of labels.
    pub fn everything() -> Self {
        Self::default()
    }

    fn narrow(&mut self, key: &str, choices: &Choices) {
        match self.0.get_mut(key) {
            Some(mine) => mine.narrow(choices),
            None => {
                self.0.insert(key.to_owned(), choices.clone());
            }
        }
    }

    /// How many requirements and values it takes to write it down.
    pub fn size(&self) -> usize {
        self.0.values().map(|choices| 1 + choices.values.size()).sum()
    }

    /// Whether it asks anything of this label. What does not is within no space that does, but for one without labels.
    pub fn speaks_of(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether no labels are in it: the requirements of some key contradict each other.
    pub fn is_empty(&self) -> bool {
        self.0.values().any(Choices::is_none)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (key, choices) in &other.0 {
            both.narrow(key, choices);
        }
        both
    }

    /// Whether some labels are in both.
    pub fn meets(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.agrees(other)
    }

    /// Whether no key contradicts the other's, each by itself being possible.
    fn agrees(&self, other: &Self) -> bool {
        let (few, many) = if self.0.len() < other.0.len() {
            (self, other)
        } else {
            (other, self)
        };
        let mut both = few
            .0
            .iter()
            .filter_map(|(key, choices)| Some((choices, many.0.get(key)?)));
        both.all(|(one, other)| one.meets(other))
    }

    /// Whether the selector matches some labels that are in it. As [`LabelSpace::meets`] of the selector's space, but quick
    /// where they differ in one value, as nearly all do.
    pub fn could_match(&self, selector: &Selector) -> bool {
        let apart = selector.requirements().iter().any(|requirement| {
            let Operator::In(values) = &requirement.operator else {
                return false;
            };
            match self.0.get(&requirement.key).map(|choices| &choices.values) {
                Some(Values::Only(only)) => !values.iter().any(|value| only.contains(value)),
                _ => false,
            }
        });
        !apart && self.meets(&Self::from(selector))
    }

    /// Whether the other holds all of it.
    pub fn is_within(&self, other: &Self) -> bool {
        let holds = |(key, choices): (&String, &Choices)| self.0.get(key).unwrap_or(&Choices::ANY).is_within(choices);
        self.is_empty() || other.0.iter().all(holds)
    }

    /// Whether each of its labels is in at least one of the others. Where that would take too long to find out (thousands
    /// of pieces, each covered by another selector, or fewer that are thousands of requirements long) the answer is no.
    pub fn is_within_any<'s>(&self, others: impl IntoIterator<Item = &'s Self>) -> bool {
        let mut left = vec![self.clone()];
        left.retain(|piece| !piece.is_empty());
        for other in others {
            let mut written = 0_usize;
            let pieces = std::mem::take(&mut left);
            for piece in pieces.into_iter().filter(|piece| !piece.is_within(other)) {
                // Each key of the other may make a piece of its own. What takes too long stays whole, like what they do not
                // share.
                written = written.saturating_add(other.0.len().saturating_mul(piece.size() + other.size()));
                if written > MOST_WRITTEN || !piece.meets(other) {
                    left.push(piece);
                } else {
                    left.extend(piece.without(other));
                }
            }
            if left.len() > MOST_PIECES {
                return false;
            }
        }
        left.is_empty()
    }

    /// What of it is not in the other, as disjoint spaces.
    fn without(&self, other: &Self) -> Vec<Self> {
        let mut inside = self.clone();
        let mut pieces = Vec::new();
        for (key, choices) in &other.0 {
            if inside.0.get(key).unwrap_or(&Choices::ANY).is_within(choices) {
                continue;
            }
            let mut piece = inside.clone();
            piece.narrow(key, &choices.complement());
            if !piece.is_empty() {
                pieces.push(piece);
            }
            inside.narrow(key, choices);
        }
        pieces
    }

    /// Some labels that are in it, none where it is empty.
    pub fn example(&self) -> Option<Vec<(String, String)>> {
        let mut labels = Vec::new();
        for (key, choices) in &self.0 {
            match choices.values.example() {
                _ if choices.absent => {}
                Some(value) => labels.push((key.clone(), value)),
                None => return None,
            }
        }
        Some(labels)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels::Requirement;

    const KEYS: [&str; 2] = ["app", "tier"];
    const VALUES: [&str; 3] = ["a", "b", ""];

    fn selector() -> impl Strategy<Value = Selector> {
        let values = prop::sample::subsequence(&VALUES[..], 1..=3);
        let requirement = (prop::sample::select(&KEYS[..]), 0..4_usize, values).prop_map(|(key, operator, values)| {
            let (word, takes) = [
                ("In", true),
                ("NotIn", true),
                ("Exists", false),
                ("DoesNotExist", false),
            ][operator];
            let values = values
                .iter()
                .filter(|_| takes)
                .map(|value| (*value).to_owned())
                .collect();
            Requirement {
                key: key.to_owned(),
                operator: Operator::new(word, values).expect("a valid operator"),
            }
        });
        prop::collection::vec(requirement, 0..4).prop_map(Selector::new)
    }

    /// Every set of labels over the keys; `z` stands for all values that no selector names.
    fn universe() -> Vec<Vec<(String, String)>> {
        let choices = [None, Some("a"), Some("b"), Some(""), Some("z")];
        let label = |key: &str, value: Option<&str>| value.map(|value| (key.to_owned(), value.to_owned()));
        let pairs = choices
            .iter()
            .flat_map(|app| choices.iter().map(move |tier| (app, tier)));
        pairs
            .map(|(app, tier)| label("app", *app).into_iter().chain(label("tier", *tier)).collect())
            .collect()
    }

    fn matched(selector: &Selector) -> BTreeSet<Vec<(String, String)>> {
        universe()
            .into_iter()
            .filter(|labels| selector.matches(labels))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn spaces_are_what_sets_of_labels_are(one in selector(), two in selector(), three in selector()) {
            let [a, b, c] = [&one, &two, &three].map(LabelSpace::from);
            let [in_a, in_b, in_c] = [&one, &two, &three].map(matched);
            prop_assert_eq!(a.is_empty(), in_a.is_empty());
            prop_assert_eq!(a.meets(&b), !in_a.is_disjoint(&in_b));
            prop_assert_eq!(a.is_within(&b), in_a.is_subset(&in_b));
            prop_assert_eq!(a.is_within_any([&b, &c]), in_a.is_subset(&(&in_b | &in_c)));
            match a.example() {
                Some(labels) => prop_assert!(one.matches(&labels), "{:?} in {:?}", labels, one),
                None => prop_assert!(in_a.is_empty()),
            }
            prop_assert_eq!(a.intersection(&b).example().is_none(), in_a.is_disjoint(&in_b));
        }
    }

    #[test]
    fn an_example_avoids_what_is_excluded() {
        let not = |values: &[&str]| Requirement {
            key: "app".to_owned(),
            operator: Operator::new("NotIn", values.iter().map(|value| (*value).to_owned()).collect()).expect("valid"),
        };
        let exists = Requirement {
            key: "app".to_owned(),
            operator: Operator::Exists,
        };
        let space = LabelSpace::from(&Selector::new(vec![exists, not(&["x", "xx"])]));
        assert_eq!(space.example(), Some(vec![("app".to_owned(), "xxx".to_owned())]));
    }
}
