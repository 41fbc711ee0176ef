//! [`SelectorIndex`] and [`ClauseIndex`]: which selectors, or clauses, match, without walking all of them. Each is filed
//! under one requirement that a pod must meet for it to match (a key with a value, or a key), the rarest it has; a lookup
//! visits what is filed under the pod's own labels, so its cost follows the labels of the pod, not the number of selectors.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{LabelSet, LabelSpace, Operator, Requirement, Selector};
use crate::guardrails::{Clause, ClauseId, NamespaceSet};
use crate::model::NamespaceName;

/// Every clause, filed for lookup by namespace name and pod labels.
#[derive(Debug, Clone, Default)]
pub struct ClauseIndex {
    /// Clauses that name their namespaces, filed under each.
    named: HashMap<NamespaceName, SelectorIndex<ClauseId>>,
    /// Clauses that select their namespaces by labels.
    selected: SelectorIndex<ClauseId>,
}

/// Selectors, each with what it stands for, filed by what they require.
#[derive(Debug, Clone)]
pub struct SelectorIndex<Id> {
    by_value: HashMap<String, HashMap<String, Vec<Filed<Id>>>>,
    by_key: HashMap<String, Vec<Filed<Id>>>,
    /// Nothing that must be present: an empty selector, or only NotIn and DoesNotExist.
    always: Vec<Filed<Id>>,
}

#[derive(Debug, Clone)]
struct Filed<Id> {
    id: Id,
    /// Shared: one selector is filed under each of its values, in each namespace.
    selector: Arc<Selector>,
}

impl<Id> Default for SelectorIndex<Id> {
    fn default() -> Self {
        Self {
            by_value: HashMap::new(),
            by_key: HashMap::new(),
            always: Vec::new(),
        }
    }
}

/// How often each anchor is wanted, so that every clause is filed under its rarest.
#[derive(Default)]
struct Wanted<'a> {
    values: HashMap<(&'a str, &'a str), usize>,
    keys: HashMap<&'a str, usize>,
}

/// A requirement that must be met by presence.
enum Anchor<'a> {
    Values(&'a str, &'a [String]),
    Key(&'a str),
}

fn anchor(requirement: &Requirement) -> Option<Anchor<'_>> {
    match &requirement.operator {
        Operator::In(values) => Some(Anchor::Values(&requirement.key, values)),
        Operator::Exists => Some(Anchor::Key(&requirement.key)),
        Operator::NotIn(_) | Operator::DoesNotExist => None,
    }
}

impl<'a> Wanted<'a> {
    fn count(selectors: impl Iterator<Item = &'a Selector>) -> Self {
        let mut wanted = Self::default();
        for requirement in selectors.flat_map(Selector::requirements) {
            match anchor(requirement) {
                Some(Anchor::Values(key, values)) => {
                    for value in values {
                        *wanted.values.entry((key, value)).or_default() += 1;
                    }
                }
                Some(Anchor::Key(key)) => *wanted.keys.entry(key).or_default() += 1,
                None => {}
            }
        }
        wanted
    }

    /// The cost of filing under an anchor: how many share it. A bare key is met by every value, so it counts for more.
    fn cost(&self, anchor: &Anchor<'_>) -> usize {
        match anchor {
            Anchor::Values(key, values) => values
                .iter()
                .filter_map(|value| self.values.get(&(*key, value.as_str())))
                .sum(),
            Anchor::Key(key) => self.keys.get(key).copied().unwrap_or_default().saturating_mul(16),
        }
    }
}

impl<Id: Copy + Ord> SelectorIndex<Id> {
    /// Files every selector.
    pub fn new(selectors: &[(Id, &Selector)]) -> Self {
        let wanted = Wanted::count(selectors.iter().map(|(_, selector)| *selector));
        let mut index = Self::default();
        for (id, selector) in selectors {
            index.file(*id, &Arc::new((*selector).clone()), &wanted);
        }
        index
    }

    /// What stands behind the selectors that match these labels. Sorted, each once.
    pub fn matching(&self, labels: &impl LabelSet) -> Vec<Id> {
        let mut found = Vec::new();
        self.find(labels, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What stands behind the selectors that could match labels of this space. Visits every selector: for what is rare.
    fn meeting(&self, space: &LabelSpace, found: &mut Vec<Id>) {
        let by_value = self.by_value.values().flat_map(HashMap::values);
        let all = by_value.chain(self.by_key.values()).flatten().chain(&self.always);
        let meets = |filed: &&Filed<Id>| space.could_match(&filed.selector);
        found.extend(all.filter(meets).map(|filed| filed.id));
    }

    fn file(&mut self, id: Id, selector: &Arc<Selector>, wanted: &Wanted<'_>) {
        let filed = Filed {
            id,
            selector: Arc::clone(selector),
        };
        let rarest = selector
            .requirements()
            .iter()
            .filter_map(anchor)
            .min_by_key(|candidate| wanted.cost(candidate));
        match rarest {
            Some(Anchor::Values(key, values)) => {
                let by_value = self.by_value.entry_ref(key).or_default();
                for value in values {
                    by_value.entry_ref(value.as_str()).or_default().push(filed.clone());
                }
            }
            Some(Anchor::Key(key)) => self.by_key.entry_ref(key).or_default().push(filed),
            None => self.always.push(filed),
        }
    }

    fn find(&self, labels: &impl LabelSet, found: &mut Vec<Id>) {
        let mut look = |filed: &[Filed<Id>]| {
            found.extend(
                filed
                    .iter()
                    .filter(|filed| filed.selector.matches(labels))
                    .map(|filed| filed.id),
            );
        };
        look(&self.always);
        if self.by_value.is_empty() && self.by_key.is_empty() {
            return;
        }
        for (key, value) in labels.iter() {
            if let Some(filed) = self.by_value.get(key).and_then(|by_value| by_value.get(value)) {
                look(filed);
            }
            if let Some(filed) = self.by_key.get(key) {
                look(filed);
            }
        }
    }
}

impl ClauseIndex {
    /// Files every clause.
    pub fn new(clauses: &[(ClauseId, &Clause)]) -> Self {
        let mut index = Self::default();
        index.extend(clauses);
        index
    }

    /// Files more clauses; those that stand in it are not looked at.
    pub fn extend(&mut self, clauses: &[(ClauseId, &Clause)]) {
        let wanted = Wanted::count(clauses.iter().map(|(_, clause)| &clause.pods));
        for (id, clause) in clauses {
            let pods = Arc::new(clause.pods.clone());
            match &clause.namespaces {
                NamespaceSet::Named(names) => {
                    for name in names {
                        let drawer = self.named.entry(name.clone()).or_default();
                        drawer.file(*id, &pods, &wanted);
                    }
                }
                NamespaceSet::Selected(_) => self.selected.file(*id, &pods, &wanted),
            }
        }
    }

    /// The clauses whose podSelector could match labels of this space, in this namespace or in namespaces that are selected
    /// by labels (which the caller has still to look at). Sorted, each once. Its cost follows the number of clauses.
    pub fn meeting(&self, namespace: &str, space: &LabelSpace) -> Vec<ClauseId> {
        let mut found = Vec::new();
        if let Some(drawer) = self.named.get(namespace) {
            drawer.meeting(space, &mut found);
        }
        self.selected.meeting(space, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The clauses whose podSelector matches these labels and whose namespaces name this one or are selected by labels
    /// (which the caller has still to look at). Sorted, each once.
    pub fn candidates(&self, namespace: &str, labels: &impl LabelSet) -> Vec<ClauseId> {
        let mut found = Vec::new();
        if let Some(drawer) = self.named.get(namespace) {
            drawer.find(labels, &mut found);
        }
        self.selected.find(labels, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::guardrails::{SegmentId, Side};
    use crate::labels::Labels;

    /// Whoever writes a policy chooses how many values a selector has.
    #[test]
    fn a_selector_of_many_values_is_held_once() {
        let values: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let selector = Selector::new(vec![Requirement {
            key: "app".to_owned(),
            operator: Operator::In(values),
        }]);
        let index = SelectorIndex::new(&[(7, &selector)]);
        let by_value = &index.by_value["app"];
        assert_eq!(by_value.len(), 1_000);
        let held = Arc::strong_count(&by_value["0"][0].selector);
        assert!(held >= 1_000, "{held} of 1000 share it");
        assert_eq!(
            index.matching(&[("app", "999")].into_iter().collect::<Labels<'_>>()),
            [7]
        );
    }

    const KEYS: [&str; 3] = ["app", "tier", "team"];
    const VALUES: [&str; 3] = ["a", "b", ""];
    const NAMESPACES: [&str; 3] = ["web", "payments", "dev"];

    fn requirement() -> impl Strategy<Value = Requirement> {
        let values = prop::collection::btree_set(prop::sample::select(&VALUES[..]), 1..3)
            .prop_map(|values| values.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let operator = (0..4_u8, values).prop_map(|(which, values)| match which {
            0 => Operator::new("In", values),
            1 => Operator::new("NotIn", values),
            2 => Operator::new("Exists", Vec::new()),
            _ => Operator::new("DoesNotExist", Vec::new()),
        });
        (prop::sample::select(&KEYS[..]), operator).prop_map(|(key, operator)| Requirement {
            key: key.to_owned(),
            operator: operator.expect("valid operator"),
        })
    }

    fn selector() -> impl Strategy<Value = Selector> {
        prop::collection::vec(requirement(), 0..4).prop_map(Selector::new)
    }

    fn namespaces() -> impl Strategy<Value = NamespaceSet> {
        let names = prop::collection::btree_set(prop::sample::select(&NAMESPACES[..]), 1..3).prop_map(|names| {
            let names = names
                .into_iter()
                .map(|name| NamespaceName::new(name).expect("valid name"));
            NamespaceSet::Named(names.collect::<BTreeSet<_>>())
        });
        prop_oneof![names, selector().prop_map(NamespaceSet::Selected)]
    }

    fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
        prop::collection::btree_map(prop::sample::select(&KEYS[..]), prop::sample::select(&VALUES[..]), 0..4).prop_map(
            |map| {
                map.into_iter()
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect()
            },
        )
    }

    /// The words of the Kubernetes documentation, one by one, over a plain map.
    fn naive(selector: &Selector, labels: &[(String, String)]) -> bool {
        selector.requirements().iter().all(|requirement| {
            let value = labels
                .iter()
                .find(|(key, _)| *key == requirement.key)
                .map(|(_, value)| value);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_selector_matches_what_the_naive_matcher_matches(selector in selector(), labels in labels()) {
            prop_assert_eq!(selector.matches(&labels), naive(&selector, &labels));
        }

        #[test]
        fn the_index_finds_what_a_linear_scan_finds(
            clauses in prop::collection::vec((namespaces(), selector()), 0..40),
            namespace in prop::sample::select(&NAMESPACES[..]),
            labels in labels(),
        ) {
            let clauses: Vec<Clause> =
                clauses.into_iter().map(|(namespaces, pods)| Clause { namespaces, pods }).collect();
            let ids: Vec<(ClauseId, &Clause)> = clauses
                .iter()
                .enumerate()
                .map(|(position, clause)| {
                    let segment = SegmentId(u32::try_from(position).expect("small"));
                    (ClauseId { segment, side: Side::Client, position: 0 }, clause)
                })
                .collect();
            let scanned: Vec<ClauseId> = ids
                .iter()
                .filter(|(_, clause)| naive(&clause.pods, &labels))
                .filter(|(_, clause)| match &clause.namespaces {
                    NamespaceSet::Named(names) => names.contains(namespace),
                    NamespaceSet::Selected(_) => true,
                })
                .map(|(id, _)| *id)
                .collect();
            prop_assert_eq!(ClauseIndex::new(&ids).candidates(namespace, &labels), scanned);
        }

        #[test]
        fn the_index_finds_what_could_match_as_spaces_say(
            clauses in prop::collection::vec((namespaces(), selector()), 0..20),
            namespace in prop::sample::select(&NAMESPACES[..]),
            selected in selector(),
        ) {
            let clauses: Vec<Clause> =
                clauses.into_iter().map(|(namespaces, pods)| Clause { namespaces, pods }).collect();
            let ids: Vec<(ClauseId, &Clause)> = (0..).zip(&clauses).map(|(position, clause)| {
                (ClauseId { segment: SegmentId(position), side: Side::Member, position: 0 }, clause)
            }).collect();
            let space = LabelSpace::from(&selected);
            let scanned: Vec<ClauseId> = ids
                .iter()
                .filter(|(_, clause)| LabelSpace::from(&clause.pods).meets(&space))
                .filter(|(_, clause)| match &clause.namespaces {
                    NamespaceSet::Named(names) => names.contains(namespace),
                    NamespaceSet::Selected(_) => true,
                })
                .map(|(id, _)| *id)
                .collect();
            prop_assert_eq!(ClauseIndex::new(&ids).meeting(namespace, &space), scanned);
        }
    }

    #[test]
    fn a_label_that_every_clause_wants_does_not_make_a_lookup_visit_them_all() {
        let clause = |team: usize| {
            let equals = |key: &str, value: String| Requirement {
                key: key.to_owned(),
                operator: Operator::new("In", vec![value]).expect("valid"),
            };
            Clause {
                namespaces: NamespaceSet::Selected(Selector::everything()),
                pods: Selector::new(vec![equals("app", "db".into()), equals("team", format!("t{team}"))]),
            }
        };
        let clauses: Vec<Clause> = (0..1_000).map(clause).collect();
        let id = |position: usize| ClauseId {
            segment: SegmentId(u32::try_from(position).expect("small")),
            side: Side::Member,
            position: 0,
        };
        let ids: Vec<_> = clauses
            .iter()
            .enumerate()
            .map(|(position, clause)| (id(position), clause))
            .collect();
        let index = ClauseIndex::new(&ids);
        assert!(
            index.selected.by_value["team"].values().all(|filed| filed.len() == 1),
            "filed under the rarer label"
        );
        assert!(!index.selected.by_value.contains_key("app"));
        let labels: Labels<'_> = [("app", "db"), ("team", "t7")].into_iter().collect();
        assert_eq!(index.candidates("web", &labels), [id(7)]);
    }
}
