//! [`worse`] against the same as it is meant: peer by peer and rule by rule, whatever it costs. What is skipped because it was
//! there before, found by its hash, or cut to what concerns a peer, changes nothing.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::netpol::Leniency;

fn policy(spec: Value) -> Policy {
    let spec = serde_json::from_value(spec).expect("a spec");
    Policy::read("shop", "web", &spec, Leniency::Written).expect("a valid policy")
}

/// As it is meant, peer by peer and rule by rule, whatever it costs.
fn naively(before: &Policy, after: &Policy, direction: Direction) -> Vec<Worse> {
    let (old_pods, new_pods) = (LabelSpace::from(&before.pods), LabelSpace::from(&after.pods));
    let (old, new) = (before.rules(direction), after.rules(direction));
    let mut found = Vec::new();
    if old.is_some() && !old_pods.is_empty() && !(new.is_some() && old_pods.is_within(&new_pods)) {
        found.push(Worse::Releases);
    }
    let old = old.unwrap_or_default();
    let selects_more = !new_pods.is_within(&old_pods);
    for (rule_at, rule) in new
        .unwrap_or_default()
        .iter()
        .enumerate()
        .filter(|_| !new_pods.is_empty())
    {
        let mut check = |peer, covered: bool| {
            if selects_more || !covered {
                found.push(Worse::Opens { rule: rule_at, peer });
            }
        };
        if rule.is_for_everyone() {
            check(
                None,
                let_by(old.iter().filter(|old| old.is_for_everyone()), &rule.ports),
            );
        }
        for (peer_at, peer) in rule.listed().iter().enumerate() {
            check(Some(peer_at), is_covered(peer, &rule.ports, old, &after.name.namespace));
        }
    }
    found
}

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

fn is_covered(peer: &Peer, ports: &Ports, rules: &[Rule], own: &NamespaceName) -> bool {
    match peer {
        Peer::Pods { namespaces, pods } => {
            let (pods, namespaces) = (LabelSpace::from(pods), namespace_space(namespaces, own));
            let covers_pods = |old: &Peer| match old {
                Peer::Pods {
                    namespaces: old_namespaces,
                    pods: old_pods,
                } => {
                    pods.is_within(&LabelSpace::from(old_pods))
                        && namespaces.is_within(&namespace_space(old_namespaces, own))
                }
                Peer::Block(_) => false,
            };
            let covers = |rule: &&Rule| rule.is_for_everyone() || rule.listed().iter().any(covers_pods);
            pods.is_empty() || let_by(rules.iter().filter(covers), ports)
        }
        Peer::Block(block) => {
            let mut sets: Vec<AddressSet> = rules.iter().map(Rule::addresses).collect();
            let wanted = block.addresses();
            sets.push(wanted.clone());
            let parts = AddressSet::partition(&sets.iter().collect::<Vec<_>>());
            let mut wanted = parts.iter().filter(|(part, _)| part.is_subset(&wanted));
            wanted.all(|(_, holding)| let_by(holding.iter().filter_map(|at| rules.get(*at)), ports))
        }
    }
}

fn some_policy() -> impl Strategy<Value = Value> {
    let peer = prop::sample::select(vec![
        json!({"podSelector": {}}),
        json!({"podSelector": {"matchLabels": {"a": "b"}}}),
        json!({"podSelector": {"matchLabels": {"a": "c"}}, "namespaceSelector": {}}),
        json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "DoesNotExist"}]}}),
        json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}}),
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}),
        json!({"ipBlock": {"cidr": "10.0.0.0/8"}}),
        json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9"]}}),
        json!({"ipBlock": {"cidr": "10.0.0.0/9"}}),
        json!({"ipBlock": {"cidr": "fd00::/8"}}),
    ]);
    let port = prop::sample::select(vec![
        json!({"port": 80}),
        json!({"port": 81}),
        json!({"port": 79, "endPort": 81}),
        json!({"protocol": "UDP", "port": 80}),
        json!({"protocol": "TCP"}),
        json!({"port": "http"}),
    ]);
    let rule = (prop::collection::vec(peer, 0..3), prop::collection::vec(port, 0..3))
        .prop_map(|(from, ports)| json!({"from": from, "ports": ports}));
    let pods = prop::sample::select(vec![json!({}), json!({}), json!({"matchLabels": {"app": "web"}})]);
    let types = prop::sample::select(vec![json!(["Ingress"]), json!(["Ingress"]), json!(["Egress"])]);
    (pods, types, prop::collection::vec(rule, 0..4))
        .prop_map(|(pods, types, rules)| json!({"podSelector": pods, "policyTypes": types, "ingress": rules}))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_worse_is_what_is_meant(before in some_policy(), after in some_policy()) {
        let (before, after) = (policy(before), policy(after));
        let found = worse(&before, &after, Direction::Ingress);
        prop_assert_eq!(&found, &naively(&before, &after, Direction::Ingress));
    }
}
