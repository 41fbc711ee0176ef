//! Labels and selectors, exactly as Kubernetes matches them: [`Selector`] for one, [`SelectorIndex`] and [`ClauseIndex`]
//! for very many at once, [`LabelSpace`] for what a selector could match.

mod index;
mod selector;
mod space;
mod syntax;

use std::borrow::Cow;

pub use index::{ClauseIndex, SelectorIndex};
pub use selector::{InvalidSelector, Operator, Requirement, Selector};
pub use space::LabelSpace;
pub use syntax::{InvalidLabel, check_key, check_value};

/// The label that every namespace has: its name. The API server sets it, and nobody can forge it.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Something that has labels to be matched.
pub trait LabelSet {
    /// The value of a label, none where the key is absent.
    fn value(&self, key: &str) -> Option<&str>;

    /// Every label, key and value.
    fn iter(&self) -> impl Iterator<Item = (&str, &str)>;
}

/// Labels of an object as decoded: key and value, in the order sent, each key once. A handful, so a list beats a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Labels<'a> {
    /// From pairs; the caller has made sure that each key comes once.
    pub fn new(pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Self {
        Self(pairs)
    }

    /// Whether both hold the same labels, in whatever order.
    pub fn same_as(&self, other: &Labels<'_>) -> bool {
        // The API server sends both sorted; and there may be tens of thousands.
        self.0.len() == other.0.len() && (self.0 == other.0 || self.sorted() == other.sorted())
    }

    fn sorted(&self) -> Vec<(&str, &str)> {
        let mut sorted: Vec<(&str, &str)> = self.iter().collect();
        sorted.sort_unstable();
        sorted
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)))
                .collect(),
        )
    }
}

impl LabelSet for Labels<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_ref())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }
}

impl LabelSet for Vec<(String, String)> {
    fn value(&self, key: &str) -> Option<&str> {
        self.as_slice()
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.as_slice()
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
