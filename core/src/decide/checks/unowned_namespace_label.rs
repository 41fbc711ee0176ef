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

use super::sight::{Breach, DIRECTIONS, Sight};
use crate::labels::{Operator, Selector};
use crate::netpol::{Peer, PeerNamespaces};

/// The label that every namespace has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    let owned = &sight.options().owned_labels;
    let mut found = Vec::new();
    for direction in DIRECTIONS {
        for seen in sight.rules(direction) {
            for (at, peer) in seen.peers() {
                let Peer::Pods { namespaces, pods } = peer else {
                    continue;
                };
                let PeerNamespaces::Selected(selector) = namespaces else {
                    continue;
                };
                let Some(key) = trusted(selector, |key| owned.contains(key)) else {
                    continue;
                };
                if !sight.is_guarded(namespaces, pods) {
                    let why = format!(
                        "{}[{at}] trusts namespace label {key}, which not only its owners may set",
                        seen.peers_path()
                    );
                    found.push(sight.breach(direction, [seen.spot(at)], why));
                }
            }
        }
    }
    found
}

/// The first key that a selector trusts although anybody may set it; none where an owned one pins it, or where it speaks of
/// names alone.
fn trusted(selector: &Selector, is_owned: impl Fn(&str) -> bool) -> Option<&str> {
    let pins = selector.requirements().iter().any(|requirement| {
        is_owned(&requirement.key)
            && match requirement.operator {
                Operator::In(_) => true,
                Operator::Exists => requirement.key != NAME_LABEL,
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
        keys.find(|key| *key != NAME_LABEL)
    }
}
