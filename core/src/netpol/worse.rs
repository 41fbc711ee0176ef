//! [`worse`]: whether the new form of a policy opens what its old form did not, whatever pods and namespaces there are.

use super::may::NAME_LABEL;
use super::{AddressSet, Direction, Peer, PeerNamespaces, Peers, Policy, PortSet, Ports, Protocol, Rule};
use crate::labels::{LabelSpace, Operator, Requirement, Selector};
use crate::model::NamespaceName;

/// What a policy's new form lets pass, or no longer isolates, that its old form did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worse {
    /// Pods that were isolated in the direction no longer are by it: it left the policyTypes, or the podSelector shrank.
    Releases,
    /// The rule lets something pass that no rule of the old form did.
    Opens {
        /// Number of the rule in the new form.
        rule: usize,
        /// Number of the peer there; none where the rule is for everyone.
        peer: Option<usize>,
    },
}

/// What `after` opens in a direction that `before` did not, each whatever pods and namespaces there are. Both are forms of
/// one policy, so of one namespace. Empty means surely no worse; where it cannot be known without asking who is there (a
/// namespaceSelector against another that happens to select the same), it says worse.
pub fn worse(before: &Policy, after: &Policy, direction: Direction) -> Vec<Worse> {
    let (old_pods, new_pods) = (LabelSpace::from(&before.pods), LabelSpace::from(&after.pods));
    let (isolated, isolates) = (before.rules(direction).is_some(), after.rules(direction).is_some());
    let mut found = Vec::new();
    if isolated && !old_pods.is_empty() && !(isolates && old_pods.is_within(&new_pods)) {
        found.push(Worse::Releases);
    }
    if new_pods.is_empty() {
        return found;
    }
    let old_rules = before.rules(direction).unwrap_or_default();
    let old_addresses: Vec<AddressSet> = old_rules.iter().map(Rule::addresses).collect();
    // What it lets pass for pods that it did not select before may be new to them: other policies may isolate them.
    let selects_more = !new_pods.is_within(&old_pods);
    for (rule_at, rule) in after.rules(direction).unwrap_or_default().iter().enumerate() {
        // Most rules stay as they were, and a rule may list thousands of blocks.
        if !selects_more && old_rules.contains(rule) {
            continue;
        }
        let mut check = |peer: Option<usize>, covered: bool| {
            if selects_more || !covered {
                found.push(Worse::Opens { rule: rule_at, peer });
            }
        };
        match &rule.peers {
            Peers::Everyone => check(
                None,
                let_by(old_rules.iter().filter(|old| old.is_for_everyone()), &rule.ports),
            ),
            Peers::Listed(peers) => {
                for (peer_at, peer) in peers.iter().enumerate() {
                    check(
                        Some(peer_at),
                        is_covered(peer, &rule.ports, old_rules, &old_addresses, &after.name.namespace),
                    );
                }
            }
        }
    }
    found
}

/// Whether the rules let all of these ports through together.
fn let_by<'r>(rules: impl Iterator<Item = &'r Rule>, ports: &Ports) -> bool {
    let rules: Vec<&Rule> = rules.collect();
    let numbered = rules
        .iter()
        .fold(PortSet::default(), |set, rule| set.union(&rule.ports.numbered()));
    let lets_named = |(protocol, name): (Protocol, &str)| {
        PortSet::range(protocol, 1, u16::MAX).is_subset(&numbered)
            || rules
                .iter()
                .any(|rule| rule.ports.named().any(|known| known == (protocol, name)))
    };
    ports.numbered().is_subset(&numbered) && ports.named().all(lets_named)
}

fn is_covered(peer: &Peer, ports: &Ports, rules: &[Rule], addresses: &[AddressSet], own: &NamespaceName) -> bool {
    match peer {
        Peer::Pods { namespaces, pods } => {
            let covers = |rule: &&Rule| {
                rule.is_for_everyone() || rule.listed().iter().any(|old| covers_pods(old, namespaces, pods, own))
            };
            let nobody = LabelSpace::from(pods).is_empty();
            nobody || let_by(rules.iter().filter(covers), ports)
        }
        Peer::Block(block) => {
            // Each part of the block that the old rules tell apart must have had the ports.
            let wanted = block.addresses();
            let known: Vec<AddressSet> = addresses.iter().map(|known| known.intersection(&wanted)).collect();
            let mut sets: Vec<&AddressSet> = known.iter().collect();
            sets.push(&wanted);
            AddressSet::partition(&sets).iter().all(|(_, holding)| {
                let holding = rules
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| holding.contains(at))
                    .map(|(_, rule)| rule);
                let_by(holding, ports)
            })
        }
    }
}

/// Whether an old peer matches all that a new one does.
fn covers_pods(old: &Peer, namespaces: &PeerNamespaces, pods: &Selector, own: &NamespaceName) -> bool {
    let Peer::Pods {
        namespaces: old_namespaces,
        pods: old_pods,
    } = old
    else {
        return false;
    };
    LabelSpace::from(pods).is_within(&LabelSpace::from(old_pods))
        && namespace_space(namespaces, own).is_within(&namespace_space(old_namespaces, own))
}

/// The labels that namespaces of a peer of a policy of `own` could have, their name among them.
pub fn namespace_space(namespaces: &PeerNamespaces, own: &NamespaceName) -> LabelSpace {
    let exists = |operator| {
        Selector::new(vec![Requirement {
            key: NAME_LABEL.to_owned(),
            operator,
        }])
    };
    match namespaces {
        PeerNamespaces::Own => LabelSpace::from(&exists(Operator::In(vec![own.as_str().to_owned()]))),
        PeerNamespaces::Selected(selector) => {
            LabelSpace::from(&exists(Operator::Exists)).intersection(&LabelSpace::from(selector))
        }
    }
}

#[cfg(test)]
mod by_brute_force;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::netpol::Leniency;

    fn policy(spec: Value) -> Policy {
        let spec = serde_json::from_value(spec).expect("a spec");
        Policy::read("shop", "web", &spec, Leniency::Written).expect("a valid policy")
    }

    fn from(peers: &Value, ports: &Value) -> Value {
        json!({"ingress": [{"from": peers, "ports": ports}]})
    }

    #[rstest::rstest]
    // The same, and less.
    #[case(json!({"ingress": [{}]}), json!({"ingress": [{}]}), true)]
    #[case(json!({"ingress": [{}]}), json!({}), true)]
    #[case(json!({"ingress": [{}]}), from(&json!([{"podSelector": {}}]), &json!([])), true)]
    #[case(json!({}), json!({"ingress": [{}]}), false)]
    // An empty list of peers is everyone.
    #[case(from(&json!([{"podSelector": {}}]), &json!([])), from(&json!([]), &json!([])), false)]
    // Ports.
    #[case(from(&json!([]), &json!([{"port": 80, "endPort": 90}])), from(&json!([]), &json!([{"port": 85}])), true)]
    #[case(from(&json!([]), &json!([{"port": 80}])), from(&json!([]), &json!([{"port": 81}])), false)]
    #[case(from(&json!([]), &json!([{"port": 80}])), from(&json!([]), &json!([])), false)]
    #[case(from(&json!([]), &json!([{"port": "http"}])), from(&json!([]), &json!([{"port": "http"}])), true)]
    #[case(from(&json!([]), &json!([{}])), from(&json!([]), &json!([{"port": "http"}])), true)]
    #[case(from(&json!([]), &json!([{"port": 80}])), from(&json!([]), &json!([{"port": "http"}])), false)]
    #[case(
        json!({"ingress": [{"ports": [{"port": 80}]}, {"ports": [{"port": 81}]}]}),
        from(&json!([{"podSelector": {}}]), &json!([{"port": 80, "endPort": 81}])),
        true
    )]
    // Peers.
    #[case(from(&json!([{"namespaceSelector": {}}]), &json!([])), from(&json!([{"podSelector": {}}]), &json!([])), true)]
    #[case(from(&json!([{"podSelector": {}}]), &json!([])), from(&json!([{"namespaceSelector": {}}]), &json!([])), false)]
    #[case(
        from(&json!([{"podSelector": {}}]), &json!([])),
        from(&json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]), &json!([])),
        true
    )]
    #[case(
        from(&json!([{"namespaceSelector": {"matchLabels": {"env": "prod"}}}]), &json!([])),
        from(&json!([{"namespaceSelector": {"matchLabels": {"env": "prod"}}, "podSelector": {"matchLabels": {"a": "b"}}}]), &json!([])),
        true
    )]
    #[case(
        from(&json!([{"namespaceSelector": {"matchLabels": {"env": "prod"}}}]), &json!([])),
        from(&json!([{"podSelector": {}}]), &json!([])),
        false
    )]
    // Addresses.
    #[case(
        from(&json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]), &json!([])),
        from(&json!([{"ipBlock": {"cidr": "10.0.0.0/9"}}, {"ipBlock": {"cidr": "10.128.0.0/9"}}]), &json!([])),
        true
    )]
    #[case(
        from(&json!([{"ipBlock": {"cidr": "10.0.0.0/9"}}, {"ipBlock": {"cidr": "10.128.0.0/9"}}]), &json!([])),
        from(&json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]), &json!([])),
        true
    )]
    #[case(
        from(&json!([{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]), &json!([])),
        from(&json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]), &json!([])),
        false
    )]
    // Who is selected.
    #[case(json!({"podSelector": {"matchLabels": {"a": "b"}}}), json!({}), true)]
    #[case(json!({}), json!({"podSelector": {"matchLabels": {"a": "b"}}}), false)]
    #[case(json!({"ingress": [{}], "podSelector": {"matchLabels": {"a": "b"}}}), json!({"ingress": [{}]}), false)]
    #[case(json!({}), json!({"policyTypes": ["Egress"]}), false)]
    #[case(json!({"policyTypes": ["Egress"]}), json!({"policyTypes": ["Ingress", "Egress"]}), true)]
    #[case(json!({"policyTypes": ["Egress"]}), json!({"policyTypes": ["Ingress"], "ingress": [{}]}), false)]
    fn what_is_surely_no_worse(#[case] before: Value, #[case] after: Value, #[case] no_worse: bool) {
        let found = worse(&policy(before), &policy(after), Direction::Ingress);
        assert_eq!(found.is_empty(), no_worse, "{found:?}");
    }
}
