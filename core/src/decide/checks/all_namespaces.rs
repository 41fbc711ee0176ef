//! # AllNamespaces
//!
//! **Stops** a policy with a peer that is every namespace, those of tomorrow too: `namespaceSelector: {}`, and what comes to
//! the same without naming a label that a namespace must have (`NotIn`, `DoesNotExist`). Where every namespace carries a label
//! (a team, a cost centre), that it exists narrows nothing either: name such labels in `commonLabels`. A podSelector beside it
//! narrows nothing: whoever may create a pod anywhere chooses its labels. Both directions count: what goes out to every
//! namespace reaches whoever puts up a pod there. A rule for everyone names no namespace: that is for WorldIngress and
//! WorldEgress.
//!
//! **Example.** `from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: hollowapp}}}]` lets in any pod of any
//! namespace that carries a copied label. Where an enforced segment guards just those pods everywhere (its `clients` or
//! `members` hold all that the peer could mean, and no rollout caps it), the label cannot be copied, and the peer is no breach.
//!
//! **An ipBlock may mean pods, too**, where the network plugin matches them by address (the API leaves it open), and a pod of
//! any namespace may come to have any of their addresses. With `{name: AllNamespaces, podRanges: [10.244.0.0/16]}` an ipBlock
//! that holds even one of them is refused, so it does not help to cut the range up; what `except` takes out does not count.
//! The ranges are what `--cluster-cidr` of the controller manager says, `kubectl get nodes -o yaml` under `podCIDRs`, or the
//! subnets from which a cloud gives pods their addresses. Name the range of Services, too, where the plugin sees what goes out
//! before it is sent on to a pod, and that of the nodes where no policy is to name them: pods of the host network of any
//! namespace have their addresses, and so does what comes in by a NodePort. Without `podRanges` no ipBlock is looked at here.
//!
//! **Settle it** by naming the namespaces (`kubernetes.io/metadata.name`), by a segment, or with `waive` on
//! `policychecks.ringfence.dev/AllNamespaces` at the cluster.

use std::collections::BTreeSet;

use super::sight::{Breach, Sight};
use crate::labels::{Operator, Selector};
use crate::netpol::{Peer, PeerNamespaces};

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    sight.breaches_by_peer(|peer| every_namespace(sight, peer))
}

/// How a peer comes to be every namespace, to follow its path; none where it does not.
fn every_namespace(sight: &Sight<'_>, peer: &Peer) -> Option<String> {
    match peer {
        Peer::Pods {
            namespaces: PeerNamespaces::Own,
            ..
        } => None,
        Peer::Pods {
            namespaces: namespaces @ PeerNamespaces::Selected(selector),
            pods,
        } => (is_open(selector, &sight.options().common_labels) && !sight.is_guarded(namespaces, pods)).then(|| {
            if selector.is_everything() {
                " is every namespace (an empty namespaceSelector)".to_owned()
            } else {
                format!(" is every namespace but few (namespaceSelector {selector})")
            }
        }),
        Peer::Block(block) => {
            let of_pods = block.addresses().intersection(&sight.options().pod_ranges);
            let first = of_pods.cidrs().next()?;
            Some(format!(
                ".ipBlock {} holds addresses of pods ({first}), which are of any namespace",
                block.cidr
            ))
        }
    }
}

/// Whether a namespace matches that has the common labels alone, whatever their values: all but finitely many do.
fn is_open(selector: &Selector, common: &BTreeSet<String>) -> bool {
    selector.requirements().iter().all(|requirement| {
        let everywhere = common.contains(&requirement.key);
        match requirement.operator {
            Operator::In(_) => false,
            Operator::NotIn(_) => true,
            Operator::Exists => everywhere,
            Operator::DoesNotExist => !everywhere,
        }
    })
}
