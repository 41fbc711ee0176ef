//! # AllNamespaces
//!
//! **Stops** a policy with a peer that is every namespace, those of tomorrow too: `namespaceSelector: {}`, and what comes to
//! the same without naming a label that a namespace must have (`NotIn`, `DoesNotExist`). A podSelector beside it narrows
//! nothing: whoever may create a pod anywhere chooses its labels. Both directions count: what goes out to every namespace
//! reaches whoever puts up a pod there.
//!
//! **Example.** `from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: hollowapp}}}]` lets in any pod of any
//! namespace that carries a copied label. Where an enforced segment guards just those pods everywhere (its `clients` or
//! `members` hold all that the peer could mean, and no rollout caps it), the label cannot be copied, and the peer is no breach.
//!
//! **Settle it** by naming the namespaces (`kubernetes.io/metadata.name`), by a segment, or with `waive` on
//! `policychecks.ringfence.dev/AllNamespaces` at the cluster.

use super::guarded::guarded;
use super::sight::{Breach, DIRECTIONS, Sight};
use crate::labels::{Operator, Selector};
use crate::netpol::{Peer, PeerNamespaces};

/// The label that every namespace has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
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
                let own = &sight.policy.name.namespace;
                if is_open(selector) && !guarded(sight.guardrails, namespaces, pods, own) {
                    let why = format!(
                        "{}[{at}] is every namespace {}",
                        seen.peers_path(),
                        if selector.is_everything() {
                            "(an empty namespaceSelector)".to_owned()
                        } else {
                            format!("but few (namespaceSelector {selector})")
                        }
                    );
                    found.push(sight.breach(direction, [seen.spot(at)], why));
                }
            }
        }
    }
    found
}

/// Whether a namespace that nobody has labelled matches, whatever its name: all but finitely many do.
pub(super) fn is_open(selector: &Selector) -> bool {
    selector.requirements().iter().all(|requirement| {
        let named = requirement.key == NAME_LABEL;
        match requirement.operator {
            Operator::In(_) => false,
            Operator::NotIn(_) => true,
            Operator::Exists => named,
            Operator::DoesNotExist => !named,
        }
    })
}
