//! Whether whoever could come to be a peer needs a permission for it: a clause of an enforced segment holds them all. Then a
//! label that anybody may write is no longer one.

use std::cell::{Cell, OnceCell};

use crate::guardrails::{Clause, Guardrails, NamespaceSet};
use crate::labels::{LabelSpace, NAMESPACE_NAME_LABEL, Operator, Requirement, Selector};
use crate::model::{Mode, NamespaceName};
use crate::netpol::{PeerNamespaces, namespace_space};

/// How many clauses are looked at for all peers of a policy together; the peers that are left count as not guarded.
const MOST_STEPS: usize = 1 << 20;

/// The clauses of segments that are enforced wherever they may run.
pub(super) struct Guarded<'g> {
    /// Each with the space of its namespaces and of its pods, once somebody has looked at them: of thousands of segments
    /// nearly all ask of pods what the peer does not.
    clauses: Vec<(&'g Clause, OnceCell<(LabelSpace, LabelSpace)>)>,
    steps: Cell<usize>,
}

impl<'g> Guarded<'g> {
    pub(super) fn by(guardrails: &'g Guardrails) -> Self {
        let mut capped = guardrails
            .rollout
            .default
            .iter()
            .chain(guardrails.rollout.namespaces.values());
        let clauses = if capped.any(|mode| *mode < Mode::Enforce) {
            Vec::new()
        } else {
            let enforced = guardrails
                .segments
                .iter()
                .filter(|segment| segment.mode == Mode::Enforce);
            enforced
                .flat_map(|segment| segment.members.iter().chain(&segment.clients))
                .map(|clause| (clause, OnceCell::new()))
                .collect()
        };
        Self {
            clauses,
            steps: Cell::new(0),
        }
    }

    /// Whether every pod that the peer could mean, in every namespace that it could mean, is in one of the clauses.
    pub(super) fn holds(&self, namespaces: &PeerNamespaces, pods: &Selector, own: &NamespaceName) -> bool {
        let (namespaces, pods) = (namespace_space(namespaces, own), LabelSpace::from(pods));
        let steps = self.clauses.len().saturating_mul(1 + namespaces.size() + pods.size());
        self.steps.set(self.steps.get().saturating_add(steps));
        let nobody = pods.is_empty();
        let may_hold = |clause: &Clause| {
            let mut asked = clause.pods.requirements().iter();
            nobody || asked.all(|requirement| pods.speaks_of(&requirement.key))
        };
        self.steps.get() <= MOST_STEPS
            && self.clauses.iter().any(|(clause, spaces)| {
                let spaces = || spaces.get_or_init(|| (namespaces_of(clause), LabelSpace::from(&clause.pods)));
                may_hold(clause) && {
                    let (of_namespaces, of_pods) = spaces();
                    pods.is_within(of_pods) && namespaces.is_within(of_namespaces)
                }
            })
    }
}

fn namespaces_of(clause: &Clause) -> LabelSpace {
    match &clause.namespaces {
        NamespaceSet::Selected(selector) => LabelSpace::from(selector),
        NamespaceSet::Named(names) => LabelSpace::from(&Selector::new(vec![Requirement {
            key: NAMESPACE_NAME_LABEL.to_owned(),
            operator: Operator::In(names.iter().map(ToString::to_string).collect()),
        }])),
    }
}
