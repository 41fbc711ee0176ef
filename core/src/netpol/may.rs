//! What policies could do, whoever comes to run: asked of label spaces, not of pods. Each function states one fact; what is
//! good or bad is for those who ask.

use super::{
    AddressSet, DIRECTIONS, Direction, Family, PROTOCOLS, Peer, PeerNamespaces, Peers, Policy, PortRule, PortSet,
    Ports, Protocol, Rule,
};
use crate::guardrails::{Clause, NamespaceSet};
use crate::labels::{LabelSet, LabelSpace, NAMESPACE_NAME_LABEL, Operator, Selector};
use crate::model::NamespaceName;

/// A namespace that exists, with its labels.
#[derive(Debug, Clone, Copy)]
pub struct Existing<'n> {
    /// Its name.
    pub name: &'n NamespaceName,
    /// Its labels; `kubernetes.io/metadata.name` need not be among them.
    pub labels: &'n [(String, String)],
}

/// Labels of a namespace, its name among them whatever is written.
struct Named<'n>(&'n Existing<'n>);

impl LabelSet for Named<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        if key == NAMESPACE_NAME_LABEL {
            return Some(self.0.name.as_str());
        }
        let mut labels = self.0.labels.iter();
        labels.find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.0.labels.iter().filter(|(key, _)| key != NAMESPACE_NAME_LABEL);
        let others = others.map(|(key, value)| (key.as_str(), value.as_str()));
        others.chain([(NAMESPACE_NAME_LABEL, self.0.name.as_str())])
    }
}

impl Existing<'_> {
    /// Whether a clause speaks of it.
    pub fn is_in(&self, namespaces: &NamespaceSet) -> bool {
        namespaces.contains(self.name.as_str(), &Named(self))
    }

    /// Whether a peer of a policy of `own` speaks of it.
    pub fn is_of(&self, namespaces: &PeerNamespaces, own: &NamespaceName) -> bool {
        match namespaces {
            PeerNamespaces::Own => self.name == own,
            PeerNamespaces::Selected(selector) => selector.matches(&Named(self)),
        }
    }
}

/// How a policy could let pods in, or out to them, wherever they are.
#[derive(Debug, Clone, Copy)]
pub struct Way<'p> {
    /// Number of the rule.
    pub rule: usize,
    /// Number of the peer; none where the rule is for everyone.
    pub peer: Option<usize>,
    /// On which ports.
    pub ports: &'p Ports,
    own: &'p NamespaceName,
    /// None where it is for everyone.
    namespaces: Option<&'p PeerNamespaces>,
}

impl Way<'_> {
    /// Whether the pods are let in, or out to, in this namespace.
    pub fn leads_to(&self, namespace: &Existing<'_>) -> bool {
        self.namespaces
            .is_none_or(|namespaces| namespace.is_of(namespaces, self.own))
    }
}

/// How a policy lets a clause in, or out to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening<'p> {
    /// Number of the rule.
    pub rule: usize,
    /// Number of the peer; none where the rule is for everyone.
    pub peer: Option<usize>,
    /// A namespace in which the clause's pods are let in; the first of those given.
    pub namespace: NamespaceName,
    /// On which ports.
    pub ports: &'p Ports,
}

impl Policy {
    /// Whether it could select pods with these labels, where they are in its namespace.
    pub fn could_select(&self, pods: &LabelSpace) -> bool {
        pods.could_match(&self.pods)
    }

    /// Whether it could select pods of a clause, its own namespace having these labels.
    pub fn could_select_of(&self, clause: &Clause, own: &Existing<'_>) -> bool {
        own.is_in(&clause.namespaces) && self.could_select(&LabelSpace::from(&clause.pods))
    }

    /// Whether its podSelector contradicts itself: no pod will ever match.
    pub fn selects_nothing(&self) -> bool {
        LabelSpace::from(&self.pods).is_empty()
    }

    /// Whether it isolates, in a direction, every pod of its namespace that these labels could be on.
    pub fn isolates_all(&self, pods: &LabelSpace, direction: Direction) -> bool {
        self.rules(direction).is_some() && pods.is_within(&LabelSpace::from(&self.pods))
    }

    /// How its rules of a direction could let pods of a clause in (Ingress) or those that it selects out to them (Egress),
    /// over the namespaces that exist. ipBlocks are not looked at: they are about addresses.
    pub fn openings(&self, direction: Direction, clause: &Clause, existing: &[Existing<'_>]) -> Vec<Opening<'_>> {
        let of_clause: Vec<&Existing<'_>> = existing.iter().filter(|one| one.is_in(&clause.namespaces)).collect();
        let ways = self.ways(direction, &LabelSpace::from(&clause.pods));
        ways.into_iter()
            .filter_map(|way| {
                let namespace = of_clause.iter().find(|one| way.leads_to(one))?;
                Some(Opening {
                    rule: way.rule,
                    peer: way.peer,
                    namespace: namespace.name.clone(),
                    ports: way.ports,
                })
            })
            .collect()
    }

    /// How its rules of a direction could let such pods in (Ingress) or those that it selects out to them (Egress), in
    /// whatever namespaces they are: [`Way::leads_to`] tells in which. ipBlocks are not looked at: they are about addresses.
    pub fn ways(&self, direction: Direction, pods: &LabelSpace) -> Vec<Way<'_>> {
        let rules = if pods.is_empty() { None } else { self.rules(direction) };
        let mut found = Vec::new();
        for (rule_at, rule) in rules.unwrap_or_default().iter().enumerate() {
            let way = |peer, namespaces| Way {
                rule: rule_at,
                peer,
                ports: &rule.ports,
                own: &self.name.namespace,
                namespaces,
            };
            if rule.is_for_everyone() {
                found.push(way(None, None));
            }
            for (peer_at, peer) in rule.listed().iter().enumerate() {
                match peer {
                    Peer::Pods {
                        namespaces,
                        pods: selector,
                    } if pods.could_match(selector) => found.push(way(Some(peer_at), Some(namespaces))),
                    Peer::Pods { .. } | Peer::Block(_) => {}
                }
            }
        }
        found
    }

    /// The peers that its rules of both directions list.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        let rules = DIRECTIONS.into_iter().filter_map(|direction| self.rules(direction));
        rules.flatten().flat_map(Rule::listed)
    }

    /// The addresses outside that its rules of a direction name, by ipBlock or by being for everyone.
    pub fn addresses(&self, direction: Direction) -> AddressSet {
        let rules = self.rules(direction).unwrap_or_default();
        AddressSet::union_of(&rules.iter().map(Rule::addresses).collect::<Vec<_>>())
    }

    /// The keys of namespace labels by which its peers of a direction select, but for the one that nobody can forge.
    pub fn namespace_keys(&self, direction: Direction) -> impl Iterator<Item = &str> {
        let rules = self.rules(direction).unwrap_or_default().iter();
        let selectors = rules.flat_map(Rule::listed).filter_map(|peer| match peer {
            Peer::Pods {
                namespaces: PeerNamespaces::Selected(selector),
                ..
            } => Some(selector),
            Peer::Pods { .. } | Peer::Block(_) => None,
        });
        let keys = selectors
            .flat_map(Selector::requirements)
            .map(|requirement| requirement.key.as_str());
        keys.filter(|key| *key != NAMESPACE_NAME_LABEL)
    }
}

/// Whether at least one of the policies isolates each pod of their namespace that these labels could be on; they may do so
/// together, one by one value and another by another.
pub fn isolated_by_any<'p>(
    pods: &LabelSpace,
    direction: Direction,
    policies: impl IntoIterator<Item = &'p Policy>,
) -> bool {
    let isolating = policies.into_iter().filter(|policy| policy.rules(direction).is_some());
    let spaces: Vec<LabelSpace> = isolating.map(|policy| LabelSpace::from(&policy.pods)).collect();
    pods.is_within_any(&spaces)
}

impl Rule {
    /// Its peers; none where it is for everyone.
    pub fn listed(&self) -> &[Peer] {
        match &self.peers {
            Peers::Everyone => &[],
            Peers::Listed(peers) => peers,
        }
    }

    /// Whether `from` or `to` is absent or empty.
    pub fn is_for_everyone(&self) -> bool {
        self.peers == Peers::Everyone
    }

    /// The peers that select every namespace, present and future, by their number; with the pods that they select there.
    pub fn of_all_namespaces(&self) -> impl Iterator<Item = (usize, &Selector)> {
        self.listed().iter().enumerate().filter_map(|(at, peer)| match peer {
            Peer::Pods {
                namespaces: PeerNamespaces::Selected(selector),
                pods,
            } if selects_all_namespaces(selector) => Some((at, pods)),
            Peer::Pods { .. } | Peer::Block(_) => None,
        })
    }

    /// The addresses outside that it names: all where it is for everyone.
    pub fn addresses(&self) -> AddressSet {
        if self.is_for_everyone() {
            return AddressSet::all();
        }
        let blocks = self.listed().iter().filter_map(|peer| match peer {
            Peer::Block(block) => Some(block.addresses()),
            Peer::Pods { .. } => None,
        });
        AddressSet::union_of(&blocks.collect::<Vec<_>>())
    }

    /// The length of the widest CIDR of a family that its ipBlocks leave after their excepts, as a whole.
    pub fn widest(&self, family: Family) -> Option<u8> {
        self.addresses().widest(family)
    }

    /// The protocols of which it lets every port through.
    pub fn whole_protocols(&self) -> impl Iterator<Item = Protocol> {
        let ports = self.ports.numbered();
        PROTOCOLS
            .into_iter()
            .filter(move |protocol| PortSet::range(*protocol, 1, u16::MAX).is_subset(&ports))
    }
}

/// Whether a namespaceSelector matches whatever labels a namespace has.
fn selects_all_namespaces(selector: &Selector) -> bool {
    let name_exists = |operator: &Operator| matches!(operator, Operator::Exists);
    selector
        .requirements()
        .iter()
        .all(|one| one.key == NAMESPACE_NAME_LABEL && name_exists(&one.operator))
}

impl Ports {
    /// Whether `ports` is absent or empty.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Its entries; none where it is all ports.
    pub fn listed(&self) -> &[PortRule] {
        match self {
            Self::All => &[],
            Self::Listed(listed) => listed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::labels::Requirement;
    use crate::netpol::Leniency;

    fn policy(spec: Value) -> Policy {
        let spec = serde_json::from_value(spec).expect("a spec");
        Policy::read("shop", "web", &spec, Leniency::Written).expect("a valid policy")
    }

    fn selector(requirements: &[(&str, &str, &[&str])]) -> Selector {
        let requirement = |(key, operator, values): &(&str, &str, &[&str])| Requirement {
            key: (*key).to_owned(),
            operator: Operator::new(operator, values.iter().map(|value| (*value).to_owned()).collect()).expect("valid"),
        };
        Selector::new(requirements.iter().map(requirement).collect())
    }

    fn name(text: &str) -> NamespaceName {
        NamespaceName::new(text).expect("a name")
    }

    #[test]
    fn a_policy_could_select_what_does_not_contradict_it() {
        let policy = policy(
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}}),
        );
        let could =
            |requirements: &[(&str, &str, &[&str])]| policy.could_select(&LabelSpace::from(&selector(requirements)));
        assert!(could(&[("app", "In", &["web", "db"])]) && could(&[("app", "DoesNotExist", &[])]) && could(&[]));
        assert!(!could(&[("app", "In", &["db"])]));
        assert!(!policy.selects_nothing());
    }

    #[test]
    fn isolation_may_come_from_several_policies_together() {
        let part = |operator: &str| {
            policy(json!({"podSelector": {"matchExpressions": [{"key": "tier", "operator": operator}]}}))
        };
        let (with, without) = (part("Exists"), part("DoesNotExist"));
        let pods = LabelSpace::from(&selector(&[("app", "In", &["db"])]));
        assert!(isolated_by_any(&pods, Direction::Ingress, [&with, &without]));
        assert!(!isolated_by_any(&pods, Direction::Ingress, [&with]));
        assert!(!isolated_by_any(&pods, Direction::Egress, [&with, &without]));
        assert!(!with.isolates_all(&pods, Direction::Ingress));
        assert!(with.isolates_all(
            &LabelSpace::from(&selector(&[("tier", "In", &["x"])])),
            Direction::Ingress
        ));
    }

    #[rstest::rstest]
    #[case(json!({}), true, 0, Some(0), 3)]
    #[case(json!({"from": [{"podSelector": {}}]}), false, 0, None, 3)]
    #[case(json!({"from": [{"namespaceSelector": {}}], "ports": [{"port": 80}]}), false, 1, None, 0)]
    #[case(
        json!({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}}]}),
        false, 1, None, 3
    )]
    #[case(json!({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "env", "operator": "Exists"}]}}]}), false, 0, None, 3)]
    #[case(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "11.0.0.0/8"}}], "ports": [{"protocol": "UDP"}]}), false, 0, Some(7), 1)]
    fn how_wide_a_rule_is(
        #[case] rule: Value,
        #[case] everyone: bool,
        #[case] all_namespaces: usize,
        #[case] widest: Option<u8>,
        #[case] whole_protocols: usize,
    ) {
        let policy = policy(json!({"ingress": [rule]}));
        let rule = &policy.rules(Direction::Ingress).expect("isolated")[0];
        assert_eq!(rule.is_for_everyone(), everyone);
        assert_eq!(rule.of_all_namespaces().count(), all_namespaces);
        assert_eq!(rule.widest(Family::V4), widest);
        assert_eq!(rule.whole_protocols().count(), whole_protocols);
    }

    #[test]
    fn the_keys_of_namespaces_that_anyone_could_copy() {
        let policy = policy(json!({"egress": [{"to": [
            {"namespaceSelector": {"matchLabels": {"env": "prod", "kubernetes.io/metadata.name": "bank"}}},
            {"podSelector": {"matchLabels": {"app": "db"}}},
        ]}]}));
        assert_eq!(policy.namespace_keys(Direction::Egress).collect::<Vec<_>>(), ["env"]);
        assert_eq!(policy.namespace_keys(Direction::Ingress).count(), 0);
    }

    fn requirement() -> impl Strategy<Value = Value> {
        let key = prop::sample::select(&["app", "env"][..]);
        (key, 0..4_usize, prop::sample::select(&["a", "b"][..])).prop_map(|(key, operator, value)| match operator {
            0 => json!({"key": key, "operator": "In", "values": [value]}),
            1 => json!({"key": key, "operator": "NotIn", "values": [value]}),
            2 => json!({"key": key, "operator": "Exists"}),
            _ => json!({"key": key, "operator": "DoesNotExist"}),
        })
    }

    fn any_selector() -> impl Strategy<Value = Value> {
        prop::collection::vec(requirement(), 0..3).prop_map(|requirements| json!({"matchExpressions": requirements}))
    }

    /// Every set of labels that the selectors above can tell apart.
    fn universe() -> Vec<Vec<(String, String)>> {
        let choices = [None, Some("a"), Some("b"), Some("c")];
        let label = |key: &str, value: Option<&str>| value.map(|value| (key.to_owned(), value.to_owned()));
        let pairs = choices.iter().flat_map(|app| choices.iter().map(move |env| (app, env)));
        pairs
            .map(|(app, env)| label("app", *app).into_iter().chain(label("env", *env)).collect())
            .collect()
    }

    fn compiled(selector: &Value) -> Selector {
        policy(json!({"podSelector": selector})).pods
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn an_opening_is_there_if_some_pod_of_the_clause_could_come_through(
            (pods, namespaces) in (any_selector(), any_selector()),
            peers in prop::collection::vec((any_selector(), prop::option::of(any_selector())), 1..3),
            env in prop::option::of(prop::sample::select(&["a", "b"][..])),
        ) {
            let written: Vec<Value> = peers
                .iter()
                .map(|(pods, namespaces)| json!({"podSelector": pods, "namespaceSelector": namespaces}))
                .collect();
            let policy = policy(json!({"ingress": [{"from": written}]}));
            let clause = Clause { namespaces: NamespaceSet::Selected(compiled(&namespaces)), pods: compiled(&pods) };
            let labels: Vec<(String, String)> = env.map(|env| ("env".to_owned(), env.to_owned())).into_iter().collect();
            let names = [name("shop"), name("bank")];
            let existing = [Existing { name: &names[0], labels: &[] }, Existing { name: &names[1], labels: &labels }];
            let expected: Vec<Option<usize>> = peers
                .iter()
                .enumerate()
                .filter(|(_, (peer_pods, peer_namespaces))| {
                    let (peer_pods, peer_namespaces) = (compiled(peer_pods), peer_namespaces.as_ref().map(compiled));
                    let namespace = existing.iter().any(|one| {
                        let own = one.labels.to_vec();
                        let of_peer = peer_namespaces.as_ref().map_or(one.name.as_str() == "shop", |selector| selector.matches(&own));
                        of_peer && compiled(&namespaces).matches(&own)
                    });
                    let pod = universe().iter().any(|labels| clause.pods.matches(labels) && peer_pods.matches(labels));
                    namespace && pod
                })
                .map(|(at, _)| Some(at))
                .collect();
            let found = policy.openings(Direction::Ingress, &clause, &existing);
            prop_assert_eq!(found.iter().map(|opening| opening.peer).collect::<Vec<_>>(), expected);
        }
    }
}
