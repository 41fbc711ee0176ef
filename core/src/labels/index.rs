//! [`ClauseIndex`]: which clauses could match, without walking all segments. Each clause is filed under one requirement
//! that a pod must meet for it to match (a key with a value, or a key), the rarest it has; a lookup visits what is filed
//! under the pod's own labels, so its cost follows the labels of the pod, not the number of segments.

use hashbrown::HashMap;

use super::{LabelSet, Operator, Requirement, Selector};
use crate::guardrails::{Clause, ClauseId, NamespaceSet};
use crate::model::NamespaceName;

/// Every clause, filed for lookup by namespace name and pod labels.
#[derive(Debug, Default)]
pub struct ClauseIndex {
    /// Clauses that name their namespaces, filed under each.
    named: HashMap<NamespaceName, Drawer>,
    /// Clauses that select their namespaces by labels.
    selected: Drawer,
}

/// Clauses filed by what their podSelector requires.
#[derive(Debug, Default)]
struct Drawer {
    by_value: HashMap<String, HashMap<String, Vec<Filed>>>,
    by_key: HashMap<String, Vec<Filed>>,
    /// Nothing that must be present: an empty selector, or only NotIn and DoesNotExist.
    always: Vec<Filed>,
}

#[derive(Debug, Clone)]
struct Filed {
    id: ClauseId,
    pods: Selector,
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
    fn count(clauses: &[(ClauseId, &'a Clause)]) -> Self {
        let mut wanted = Self::default();
        for requirement in clauses.iter().flat_map(|(_, clause)| clause.pods.requirements()) {
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

impl Drawer {
    fn file(&mut self, id: ClauseId, clause: &Clause, wanted: &Wanted<'_>) {
        let filed = Filed {
            id,
            pods: clause.pods.clone(),
        };
        let rarest = clause
            .pods
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

    fn find(&self, labels: &impl LabelSet, found: &mut Vec<ClauseId>) {
        let mut look = |filed: &[Filed]| {
            found.extend(
                filed
                    .iter()
                    .filter(|filed| filed.pods.matches(labels))
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
        let wanted = Wanted::count(clauses);
        let mut index = Self::default();
        for (id, clause) in clauses {
            match &clause.namespaces {
                NamespaceSet::Named(names) => {
                    for name in names {
                        index.named.entry(name.clone()).or_default().file(*id, clause, &wanted);
                    }
                }
                NamespaceSet::Selected(_) => index.selected.file(*id, clause, &wanted),
            }
        }
        index
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
