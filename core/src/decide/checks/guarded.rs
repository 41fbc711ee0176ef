//! Whether whoever could come to be a peer needs a permission for it: a clause of an enforced segment holds them all. Then a
//! label that anybody may write is no longer one.

use crate::guardrails::{Clause, Guardrails, NamespaceSet};
use crate::labels::{LabelSpace, Selector};
use crate::model::{Mode, NamespaceName};
use crate::netpol::{PeerNamespaces, namespace_space};

/// Whether every pod that the peer could mean, in every namespace that it could mean, is in one clause of a segment that is
/// enforced wherever it may run.
pub(super) fn guarded(
    guardrails: &Guardrails,
    namespaces: &PeerNamespaces,
    pods: &Selector,
    own: &NamespaceName,
) -> bool {
    let capped = guardrails
        .rollout
        .default
        .iter()
        .chain(guardrails.rollout.namespaces.values());
    if capped.into_iter().any(|mode| *mode < Mode::Enforce) {
        return false;
    }
    let (namespaces, pods) = (namespace_space(namespaces, own), LabelSpace::from(pods));
    let holds = |clause: &Clause| {
        pods.is_within(&LabelSpace::from(&clause.pods))
            && match &clause.namespaces {
                NamespaceSet::Selected(selector) => namespaces.is_within(&LabelSpace::from(selector)),
                NamespaceSet::Named(names) => {
                    let named = names.iter().map(|name| namespace_space(&PeerNamespaces::Own, name));
                    namespaces.is_within_any(&named.collect::<Vec<_>>())
                }
            }
    };
    let enforced = guardrails
        .segments
        .iter()
        .filter(|segment| segment.mode == Mode::Enforce);
    enforced
        .flat_map(|segment| segment.members.iter().chain(&segment.clients))
        .any(holds)
}
