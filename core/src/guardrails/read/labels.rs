//! LabelSelectors: what Kubernetes would refuse, what could never match, and labels that no clause can stand on.

use std::collections::{BTreeMap, BTreeSet};

use crate::guardrails::documents::LabelSelector;
use crate::guardrails::place::{Found, Place};
use crate::labels::{NAMESPACE_NAME_LABEL, Operator, Requirement, Selector, check_key, check_value};

/// Whose labels are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of pods, by a clause of a segment.
    Pods,
    /// Of pods, by a policy of a profile: whatever writes a label, a policy may stand on it.
    PolicyPods,
    /// Of namespaces.
    Namespaces,
}

/// The most requirements in one selector: every pod that comes near is measured by all of them.
pub(in crate::guardrails) const MAX_REQUIREMENTS: usize = 256;

/// Labels that controllers and the API server write onto pods and that their templates do not have: a clause on one
/// would refuse rightful pods and let planted ones in. A key that ends in `/` stands for all keys with that prefix.
const GENERATED: [(&str, &str); 11] = [
    ("pod-template-hash", "the Deployment controller"),
    ("job-name", "the Job controller"),
    ("controller-uid", "the Job controller"),
    ("batch.kubernetes.io/", "the Job controller"),
    ("job-completion-index", "the Job controller"),
    ("statefulset.kubernetes.io/pod-name", "the StatefulSet controller"),
    ("apps.kubernetes.io/pod-index", "the StatefulSet controller"),
    ("pod-template-generation", "the DaemonSet controller"),
    ("controller-revision-hash", "the StatefulSet and DaemonSet controllers"),
    ("topology.kubernetes.io/zone", "the binding of the pod to a node"),
    ("topology.kubernetes.io/region", "the binding of the pod to a node"),
];

/// The selector, where nothing is wrong with it.
pub(super) fn selector(
    place: &Place<'_>,
    written: &LabelSelector,
    whose: Whose,
    found: &mut Found,
) -> Option<Selector> {
    let before = found.problems.len();
    let count = written.match_labels.len() + written.match_expressions.len();
    if count > MAX_REQUIREMENTS {
        found.wrong(
            place,
            format!("{count} requirements in one selector"),
            format!("use at most {MAX_REQUIREMENTS}"),
        );
        return None;
    }
    let labels = place.field("matchLabels");
    let mut requirements = Vec::with_capacity(count);
    for (key, value) in &written.match_labels {
        check_label_key(&|| labels.key(key), key, whose, found);
        check_label_value(&|| labels.field(key), value, found);
        requirements.push(Requirement {
            key: key.clone(),
            operator: Operator::In(vec![value.clone()]),
        });
    }
    let expressions = place.field("matchExpressions");
    for (position, expression) in written.match_expressions.iter().enumerate() {
        let at = || expressions.item(position);
        check_label_key(&|| at().field("key"), &expression.key, whose, found);
        for (index, value) in expression.values.iter().enumerate() {
            check_label_value(&|| at().field("values").item(index), value, found);
        }
        match Operator::new(expression.operator.as_str(), expression.values.clone()) {
            Ok(operator) => requirements.push(Requirement {
                key: expression.key.clone(),
                operator,
            }),
            Err(error) => {
                found.wrong(
                    &at().field("values"),
                    error.to_string(),
                    "give values for In and NotIn, none for Exists and DoesNotExist",
                );
            }
        }
    }
    if found.problems.len() > before {
        return None;
    }
    let contradictions = contradictions(&requirements, whose);
    for (key, why) in &contradictions {
        found.wrong(
            place,
            format!("this can never match: label {key:?} {why}"),
            "remove one of the requirements",
        );
    }
    contradictions.is_empty().then(|| Selector::new(requirements))
}

/// Who writes a label onto pods whose template does not have it; none where its owner does.
pub(in crate::guardrails) fn generated_by(key: &str) -> Option<&'static str> {
    let mut generated = GENERATED.iter();
    let (_, writer) = generated.find(|(name, _)| key == *name || name.ends_with('/') && key.starts_with(name))?;
    Some(writer)
}

fn check_label_key<'a>(place: &dyn Fn() -> Place<'a>, key: &str, whose: Whose, found: &mut Found) {
    if let Err(error) = check_key(key) {
        found.wrong(
            &place(),
            error.to_string(),
            "take the key from the labels of the pod template or namespace",
        );
    }
    if let (Whose::Pods, Some(writer)) = (whose, generated_by(key)) {
        found.wrong(
            &place(),
            format!("label {key:?} is written by {writer}, not by the owner of the pods: no clause can stand on it"),
            "select by a label of the pod template",
        );
    }
}

fn check_label_value<'a>(place: &dyn Fn() -> Place<'a>, value: &str, found: &mut Found) {
    if let Err(error) = check_value(value) {
        found.wrong(&place(), error.to_string(), "no object could ever carry this value");
    }
}

/// The keys whose requirements no value and no absence can meet, with the reason.
fn contradictions(requirements: &[Requirement], whose: Whose) -> Vec<(String, String)> {
    let mut by_key: BTreeMap<&str, Constraint<'_>> = BTreeMap::new();
    for Requirement { key, operator } in requirements {
        by_key.entry(key).or_default().add(operator);
    }
    if let (Whose::Namespaces, Some(name)) = (whose, by_key.get_mut(NAMESPACE_NAME_LABEL)) {
        // Every namespace has it.
        name.present = true;
    }
    by_key
        .into_iter()
        .filter_map(|(key, constraint)| constraint.contradiction().map(|why| (key.to_owned(), why)))
        .collect()
}

/// Everything that is required of one key.
#[derive(Default)]
struct Constraint<'a> {
    /// The values that every In agrees on; none where there is no In.
    allowed: Option<BTreeSet<&'a str>>,
    forbidden: BTreeSet<&'a str>,
    present: bool,
    absent: bool,
}

impl<'a> Constraint<'a> {
    fn add(&mut self, operator: &'a Operator) {
        match operator {
            Operator::In(values) => {
                let values = values.iter().map(String::as_str);
                self.allowed = Some(match self.allowed.take() {
                    Some(allowed) => values.filter(|value| allowed.contains(value)).collect(),
                    None => values.collect(),
                });
            }
            Operator::NotIn(values) => self.forbidden.extend(values.iter().map(String::as_str)),
            Operator::Exists => self.present = true,
            Operator::DoesNotExist => self.absent = true,
        }
    }

    fn contradiction(self) -> Option<String> {
        if self.absent && (self.present || self.allowed.is_some()) {
            return Some("would have to be present and absent".to_owned());
        }
        let allowed = self.allowed?;
        if allowed.is_empty() {
            return Some("would have to have two values at once".to_owned());
        }
        allowed.is_subset(&self.forbidden).then(|| {
            format!(
                "has no value left: {} is excluded",
                allowed.into_iter().collect::<Vec<_>>().join(", ")
            )
        })
    }
}
