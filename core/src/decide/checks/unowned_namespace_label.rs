//! # UnownedNamespaceLabel
//!
//! **Stops** a policy that trusts a namespace label which any creator of namespaces can copy. A namespaceSelector is as good
//! as the labels that it needs: `kubernetes.io/metadata.name` cannot be forged; of the others, those in `ownedLabels` are
//! set by those alone whom you trust with it. A peer has to *need* one of them (`In`, or `Exists` for those of `ownedLabels`):
//! what is only excluded (`NotIn`, `DoesNotExist`) pins nothing. Both directions count.
//!
//! **Example.** `from: [{namespaceSelector: {matchLabels: {env: prod}}}]` lets in `kubectl create namespace mine` and
//! `kubectl label namespace mine env=prod`. With `{name: UnownedNamespaceLabel, ownedLabels: [env]}` it is trusted; so is a
//! peer whose pods an enforced segment guards wherever it could mean them. An empty namespaceSelector trusts no label: that
//! is for AllNamespaces.
//!
//! **Settle it** by naming the namespaces, or with `waive` on `policychecks.ringfence.dev/UnownedNamespaceLabel` at the
//! cluster.

use super::sight::{Breach, Sight};
use crate::labels::{NAMESPACE_NAME_LABEL, Operator, Selector};
use crate::netpol::{Peer, PeerNamespaces};

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    let owned = &sight.options().owned_labels;
    sight.breaches_by_peer(|peer| match peer {
        Peer::Pods {
            namespaces: namespaces @ PeerNamespaces::Selected(selector),
            pods,
        } => {
            let key = trusted(selector, |key| owned.contains(key))?;
            (!sight.is_guarded(namespaces, pods))
                .then(|| format!(" trusts namespace label {key}, which not only its owners may set"))
        }
        Peer::Pods { .. } | Peer::Block(_) => None,
    })
}

/// The first key that a selector trusts although anybody may set it; none where an owned one pins it, or where it speaks of
/// names alone.
fn trusted(selector: &Selector, is_owned: impl Fn(&str) -> bool) -> Option<&str> {
    let pins = selector.requirements().iter().any(|requirement| {
        is_owned(&requirement.key)
            && match requirement.operator {
                Operator::In(_) => true,
                Operator::Exists => requirement.key != NAMESPACE_NAME_LABEL,
                Operator::NotIn(_) | Operator::DoesNotExist => false,
            }
    });
    let mut keys = selector
        .requirements()
        .iter()
        .map(|requirement| requirement.key.as_str());
    if pins {
        None
    } else {
        keys.find(|key| *key != NAMESPACE_NAME_LABEL)
    }
}
