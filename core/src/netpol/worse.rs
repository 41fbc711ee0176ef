//! [`worse`]: whether the new form of a policy opens what its old form did not, whatever pods and namespaces there are.

use std::cell::Cell;

use hashbrown::{HashMap, HashSet};

use super::{AddressSet, Direction, Peer, PeerNamespaces, Peers, Policy, PortSet, Ports, Protocol, Rule};
use crate::labels::{LabelSpace, NAMESPACE_NAME_LABEL, Operator, Requirement, Selector};
use crate::model::NamespaceName;

/// How many rules, peers, requirements and ranges of the old form are looked at in all, beyond those that a hash finds. What
/// is left then counts as opened: a policy of a megabyte that changes in a thousand rules at once would else hold up
/// whoever judges it for minutes.
const MOST_STEPS: usize = 1 << 20;

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
/// namespaceSelector against another that happens to select the same), or takes too long, it says worse. In the order of
/// the rules and their peers, [`Worse::Releases`] first.
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
    let rules = after.rules(direction).unwrap_or_default();
    // What it lets pass for pods that it did not select before may be new to them: other policies may isolate them.
    if !new_pods.is_within(&old_pods) {
        found.extend(spots(rules).map(|(rule, peer)| Worse::Opens { rule, peer }));
        return found;
    }
    let old = Old::of(before.rules(direction).unwrap_or_default(), &after.name.namespace);
    for (rule_at, rule) in rules.iter().enumerate() {
        // Most rules stay as they were, and a rule may list thousands of blocks.
        if old.same.contains(rule) {
            continue;
        }
        let wanted = old.wanted(&rule.ports);
        let mut check = |peer: Option<usize>, covered: bool| {
            if !covered {
                found.push(Worse::Opens { rule: rule_at, peer });
            }
        };
        match &rule.peers {
            Peers::Everyone => check(None, wanted.is_nothing()),
            Peers::Listed(peers) => {
                for (peer_at, peer) in peers.iter().enumerate() {
                    check(Some(peer_at), wanted.is_nothing() || old.covers(peer, &wanted));
                }
            }
        }
    }
    found
}

/// Every rule and peer, in order.
fn spots(rules: &[Rule]) -> impl Iterator<Item = (usize, Option<usize>)> {
    rules.iter().enumerate().flat_map(|(at, rule)| {
        let everyone = rule.is_for_everyone().then_some((at, None));
        let peers = (0..rule.listed().len()).map(move |peer| (at, Some(peer)));
        everyone.into_iter().chain(peers)
    })
}

/// Ports of a new rule that the old rules for everyone do not let through already.
struct Wanted<'p> {
    numbered: PortSet,
    named: Vec<(Protocol, &'p str)>,
}

impl Wanted<'_> {
    fn is_nothing(&self) -> bool {
        self.numbered.is_empty() && self.named.is_empty()
    }
}

/// The rules of the old form, laid open so that each peer of the new one finds what concerns it.
struct Old<'p> {
    own: &'p NamespaceName,
    same: HashSet<&'p Rule>,
    rules: Vec<OldRule<'p>>,
    /// What the rules for everyone let through.
    everyone: PortSet,
    everyone_named: HashSet<(Protocol, &'p str)>,
    /// Which rules list a peer, as it is written.
    listing: HashMap<&'p Peer, Vec<usize>>,
    /// The peers that are pods, each with its rule.
    pods: Vec<OldPods>,
    steps: Cell<usize>,
}

/// One of them; those for everyone are told apart.
struct OldRule<'p> {
    numbered: PortSet,
    named: HashSet<(Protocol, &'p str)>,
    addresses: AddressSet,
}

struct OldPods {
    rule: usize,
    namespaces: LabelSpace,
    pods: LabelSpace,
    size: usize,
}

impl<'p> Old<'p> {
    fn of(rules: &'p [Rule], own: &'p NamespaceName) -> Self {
        let mut old = Self {
            own,
            same: rules.iter().collect(),
            rules: Vec::new(),
            everyone: PortSet::default(),
            everyone_named: HashSet::new(),
            listing: HashMap::new(),
            pods: Vec::new(),
            steps: Cell::new(0),
        };
        let (everyone, listed): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| rule.is_for_everyone());
        let through: Vec<PortSet> = everyone.iter().map(|rule| rule.ports.numbered()).collect();
        old.everyone = PortSet::union_of(&through);
        old.everyone_named = everyone.iter().flat_map(|rule| rule.ports.named()).collect();
        for (at, rule) in listed.into_iter().enumerate() {
            for peer in rule.listed() {
                let listing = old.listing.entry(peer).or_default();
                if listing.last() != Some(&at) {
                    listing.push(at);
                }
                if let Peer::Pods { namespaces, pods } = peer {
                    let (namespaces, pods) = (namespace_space(namespaces, own), LabelSpace::from(pods));
                    old.pods.push(OldPods {
                        rule: at,
                        size: 1 + namespaces.size() + pods.size(),
                        namespaces,
                        pods,
                    });
                }
            }
            old.rules.push(OldRule {
                numbered: rule.ports.numbered(),
                named: rule.ports.named().collect(),
                addresses: rule.addresses(),
            });
        }
        old
    }

    /// Whether there is time for these steps, too.
    fn affords(&self, steps: usize) -> bool {
        let taken = self.steps.get().saturating_add(steps);
        self.steps.set(taken);
        taken <= MOST_STEPS
    }

    fn wanted<'w>(&self, ports: &'w Ports) -> Wanted<'w> {
        let whole = |protocol| PortSet::range(protocol, 1, u16::MAX).is_subset(&self.everyone);
        let is_let =
            |(protocol, name): &(Protocol, &str)| self.everyone_named.contains(&(*protocol, *name)) || whole(*protocol);
        Wanted {
            numbered: ports.numbered().difference(&self.everyone),
            named: ports.named().filter(|port| !is_let(port)).collect(),
        }
    }

    /// Whether a peer of the new form was let through on these ports.
    fn covers(&self, peer: &Peer, wanted: &Wanted<'_>) -> bool {
        let as_written = self.listing.get(peer).is_some_and(|listing| self.lets(listing, wanted));
        as_written
            || match peer {
                Peer::Pods { namespaces, pods } => self.covers_pods(namespaces, pods, wanted),
                Peer::Block(block) => self.covers_block(&block.addresses(), wanted),
            }
    }

    fn covers_pods(&self, namespaces: &PeerNamespaces, pods: &Selector, wanted: &Wanted<'_>) -> bool {
        let pods = LabelSpace::from(pods);
        if pods.is_empty() {
            return true;
        }
        let namespaces = namespace_space(namespaces, self.own);
        let mut covering = Vec::new();
        for old in &self.pods {
            if !self.affords(old.size) {
                return false;
            }
            if pods.is_within(&old.pods) && namespaces.is_within(&old.namespaces) && covering.last() != Some(&old.rule)
            {
                covering.push(old.rule);
            }
        }
        self.lets(&covering, wanted)
    }

    /// Each part of the block that the old rules tell apart must have had the ports.
    fn covers_block(&self, block: &AddressSet, wanted: &Wanted<'_>) -> bool {
        if !self.affords(self.rules.len()) {
            return false;
        }
        let shared = self.rules.iter().map(|rule| rule.addresses.intersection(block));
        let (holding, mut sets): (Vec<usize>, Vec<AddressSet>) =
            shared.enumerate().filter(|(_, shared)| !shared.is_empty()).unzip();
        let cut: usize = sets.iter().map(AddressSet::size).sum();
        if !self.affords(cut.saturating_mul(sets.len())) {
            return false;
        }
        sets.push(block.clone());
        let parts = AddressSet::partition(&sets.iter().collect::<Vec<_>>());
        parts.iter().all(|(_, part)| {
            let rules: Vec<usize> = part.iter().filter_map(|at| holding.get(*at).copied()).collect();
            self.lets(&rules, wanted)
        })
    }

    /// Whether these rules let all of the ports through together.
    fn lets(&self, rules: &[usize], wanted: &Wanted<'_>) -> bool {
        let rules: Vec<&OldRule<'_>> = rules.iter().filter_map(|at| self.rules.get(*at)).collect();
        let written: usize = rules.iter().map(|rule| 1 + rule.numbered.size()).sum();
        if !self.affords(written + wanted.numbered.size() + wanted.named.len().saturating_mul(rules.len())) {
            return false;
        }
        let together = match rules.as_slice() {
            [alone] => alone.numbered.clone(),
            rules => PortSet::union_of(rules.iter().map(|rule| &rule.numbered)),
        };
        let whole = |protocol| {
            let rest = PortSet::range(protocol, 1, u16::MAX).difference(&self.everyone);
            rest.is_subset(&together)
        };
        let lets_named = |port: &(Protocol, &str)| whole(port.0) || rules.iter().any(|rule| rule.named.contains(port));
        wanted.numbered.is_subset(&together) && wanted.named.iter().all(lets_named)
    }
}

/// The labels that namespaces of a peer of a policy of `own` could have, their name among them.
pub fn namespace_space(namespaces: &PeerNamespaces, own: &NamespaceName) -> LabelSpace {
    let exists = |operator| {
        Selector::new(vec![Requirement {
            key: NAMESPACE_NAME_LABEL.to_owned(),
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
mod naively;

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
