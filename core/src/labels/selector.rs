//! [`Selector`]: a Kubernetes LabelSelector, compiled. Every requirement must hold; none at all matches everything
//! (LabelSelector in the API reference; `metav1.LabelSelectorAsSelector`).

use super::LabelSet;

/// One requirement on one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The label key.
    pub key: String,
    /// What must hold of it.
    pub operator: Operator,
}

/// What must hold of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// Present with one of these values (sorted, never empty). `matchLabels` is this with one value.
    In(Vec<String>),
    /// Absent, or present with none of these values (sorted, never empty).
    NotIn(Vec<String>),
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

/// A selector that the API server would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// `In` or `NotIn` without values.
    #[error("operator {operator} needs at least one value")]
    NoValues {
        /// `In` or `NotIn`.
        operator: &'static str,
    },
    /// `Exists` or `DoesNotExist` with values.
    #[error("operator {operator} takes no values")]
    Values {
        /// `Exists` or `DoesNotExist`.
        operator: &'static str,
    },
    /// Not one of the four operators.
    #[error("unknown operator {0:?}: use In, NotIn, Exists or DoesNotExist")]
    UnknownOperator(String),
}

impl Operator {
    /// From the API's spelling, an operator and its values.
    pub fn new(operator: &str, mut values: Vec<String>) -> Result<Self, InvalidSelector> {
        values.sort_unstable();
        values.dedup();
        match (operator, values.is_empty()) {
            ("In", false) => Ok(Self::In(values)),
            ("NotIn", false) => Ok(Self::NotIn(values)),
            ("In", true) => Err(InvalidSelector::NoValues { operator: "In" }),
            ("NotIn", true) => Err(InvalidSelector::NoValues { operator: "NotIn" }),
            ("Exists", true) => Ok(Self::Exists),
            ("DoesNotExist", true) => Ok(Self::DoesNotExist),
            ("Exists", false) => Err(InvalidSelector::Values { operator: "Exists" }),
            ("DoesNotExist", false) => Err(InvalidSelector::Values {
                operator: "DoesNotExist",
            }),
            (other, _) => Err(InvalidSelector::UnknownOperator(other.to_owned())),
        }
    }

    /// Whether a value (or its absence) satisfies this.
    pub fn admits(&self, value: Option<&str>) -> bool {
        let among = |values: &[String], value: &str| values.binary_search_by(|probe| probe.as_str().cmp(value)).is_ok();
        match (self, value) {
            (Self::In(values), Some(value)) => among(values, value),
            (Self::NotIn(values), Some(value)) => !among(values, value),
            (Self::Exists, Some(_)) | (Self::NotIn(_) | Self::DoesNotExist, None) => true,
            (Self::In(_) | Self::Exists, None) | (Self::DoesNotExist, Some(_)) => false,
        }
    }
}

/// A compiled LabelSelector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector(Vec<Requirement>);

impl Selector {
    /// All requirements must hold; none matches everything.
    pub fn new(requirements: Vec<Requirement>) -> Self {
        Self(requirements)
    }

    /// The selector that matches everything, as `{}` does.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Its requirements.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it matches these labels.
    pub fn matches(&self, labels: &impl LabelSet) -> bool {
        self.0
            .iter()
            .all(|requirement| requirement.operator.admits(labels.value(&requirement.key)))
    }

    /// The labels that made it match, as people write them: `app=hollowapp, tier`. Empty where nothing but absence did.
    pub fn matched_labels(&self, labels: &impl LabelSet) -> Vec<String> {
        let mut words: Vec<String> = self
            .0
            .iter()
            .filter_map(|requirement| {
                labels
                    .value(&requirement.key)
                    .map(|value| format!("{}={value}", requirement.key))
            })
            .collect();
        words.sort_unstable();
        words.dedup();
        words
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::labels::Labels;

    fn requirement(key: &str, operator: &str, values: &[&str]) -> Requirement {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Requirement {
            key: key.to_owned(),
            operator: Operator::new(operator, values).expect("valid operator"),
        }
    }

    #[rstest]
    #[case("In", &["a", "b"], Some("a"), true)]
    #[case("In", &["a", "b"], Some("c"), false)]
    #[case("In", &["a"], None, false)]
    #[case("In", &[""], Some(""), true)]
    #[case("In", &[""], None, false)]
    #[case("NotIn", &["a"], Some("a"), false)]
    #[case("NotIn", &["a"], Some(""), true)]
    #[case("NotIn", &["a"], None, true)]
    #[case("Exists", &[], Some(""), true)]
    #[case("Exists", &[], None, false)]
    #[case("DoesNotExist", &[], Some(""), false)]
    #[case("DoesNotExist", &[], None, true)]
    fn absent_and_empty_are_told_apart(
        #[case] operator: &str,
        #[case] values: &[&str],
        #[case] value: Option<&str>,
        #[case] matches: bool,
    ) {
        let selector = Selector::new(vec![requirement("app", operator, values)]);
        let labels: Labels<'_> = value.map(|value| ("app", value)).into_iter().collect();
        assert_eq!(selector.matches(&labels), matches);
    }

    #[test]
    fn no_requirement_matches_everything() {
        assert!(Selector::everything().matches(&Labels::default()));
        assert!(Selector::everything().matches(&[("app", "a")].into_iter().collect::<Labels<'_>>()));
    }

    #[test]
    fn every_requirement_must_hold() {
        let selector = Selector::new(vec![
            requirement("app", "In", &["a"]),
            requirement("tier", "Exists", &[]),
        ]);
        assert!(!selector.matches(&[("app", "a")].into_iter().collect::<Labels<'_>>()));
        assert!(selector.matches(&[("app", "a"), ("tier", "")].into_iter().collect::<Labels<'_>>()));
    }

    #[rstest]
    #[case("In", &[], InvalidSelector::NoValues { operator: "In" })]
    #[case("NotIn", &[], InvalidSelector::NoValues { operator: "NotIn" })]
    #[case("Exists", &["a"], InvalidSelector::Values { operator: "Exists" })]
    #[case("DoesNotExist", &["a"], InvalidSelector::Values { operator: "DoesNotExist" })]
    #[case("in", &["a"], InvalidSelector::UnknownOperator("in".into()))]
    fn what_the_api_server_refuses_is_refused(
        #[case] operator: &str,
        #[case] values: &[&str],
        #[case] error: InvalidSelector,
    ) {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(Operator::new(operator, values), Err(error));
    }
}
