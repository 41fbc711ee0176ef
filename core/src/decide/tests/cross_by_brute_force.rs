//! What is isolated, held against brute force: every pod of a small world, every policy, every namespace, before and after.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::cross::{of_namespace, verdict};
use super::*;
use crate::guardrails::documents;
use crate::labels::LabelSet;
use crate::model::Policies;
use crate::netpol::{Leniency, NetworkPolicySpec, Peer, PeerNamespaces, Peers, Policy};

/// The last value of each stands for all that no selector names.
const POD_LABELS: [(&str, &[&str]); 2] = [("app", &["db", "web", "other"]), ("tier", &["x", "other"])];
const NAMESPACE_LABELS: [(&str, &[&str]); 2] = [("env", &["dev", "prod"]), ("team", &["blue"])];
const NAMES: [&str; 3] = ["payments", "one", "two"];

type Pairs = Vec<(String, String)>;

/// Every set of labels over these keys and values.
fn every(keys: &[(&str, &[&str])]) -> Vec<Pairs> {
    keys.iter().fold(vec![Pairs::new()], |sets, (key, values)| {
        let with = |set: &Pairs, value: Option<&&str>| {
            let own = value.map(|value| ((*key).to_owned(), (*value).to_owned()));
            set.clone().into_iter().chain(own).collect::<Pairs>()
        };
        sets.iter()
            .flat_map(|set| values.iter().map(Some).chain([None]).map(|value| with(set, value)))
            .collect()
    })
}

fn requirement(keys: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = Requirement> {
    (prop::sample::select(keys), 0..4_u8, any::<prop::sample::Index>()).prop_map(|((key, values), operator, value)| {
        let named: Vec<&str> = values.iter().filter(|value| **value != "other").copied().collect();
        let value = vec![named[value.index(named.len())].to_owned()];
        let operator = match operator {
            0 => Operator::new("In", value),
            1 => Operator::new("NotIn", value),
            2 => Operator::new("Exists", Vec::new()),
            _ => Operator::new("DoesNotExist", Vec::new()),
        };
        Requirement {
            key: key.to_owned(),
            operator: operator.expect("valid"),
        }
    })
}

fn some(keys: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = Selector> {
    prop::collection::vec(requirement(keys), 0..3).prop_map(Selector::new)
}

fn clause() -> impl Strategy<Value = Clause> {
    let named = prop::sample::select(&NAMES[..]).prop_map(|text| NamespaceSet::Named([name(text)].into()));
    let selected = some(&NAMESPACE_LABELS).prop_map(NamespaceSet::Selected);
    (prop_oneof![named, selected], some(&POD_LABELS)).prop_map(|(namespaces, pods)| Clause { namespaces, pods })
}

fn written(selector: &Selector) -> Value {
    serde_json::to_value(documents::LabelSelector::from(selector)).expect("JSON")
}

fn peer() -> impl Strategy<Value = Value> {
    let pods = || some(&POD_LABELS).prop_map(|pods| written(&pods));
    let namespaces = || some(&NAMESPACE_LABELS).prop_map(|namespaces| written(&namespaces));
    prop_oneof![
        pods().prop_map(|pods| json!({"podSelector": pods})),
        namespaces().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (pods(), namespaces())
            .prop_map(|(pods, namespaces)| json!({"podSelector": pods, "namespaceSelector": namespaces})),
        Just(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})),
    ]
}

/// A spec as JSON: each direction absent, without rules, or with some, of which one without peers is rare.
fn spec() -> impl Strategy<Value = String> {
    let rule = |peers: &'static str| {
        let listed = prop::collection::vec(peer(), 1..3).prop_map(move |listed| json!({peers: listed}));
        prop_oneof![5 => listed, 1 => Just(json!({}))]
    };
    let rules = move |peers| prop::option::of(prop::collection::vec(rule(peers), 0..3));
    (some(&POD_LABELS), rules("from"), rules("to")).prop_map(|(pods, ingress, egress)| {
        let mut spec = json!({"podSelector": written(&pods), "policyTypes": []});
        for (kind, rules) in [("Ingress", ingress), ("Egress", egress)] {
            if let Some(rules) = rules {
                spec["policyTypes"].as_array_mut().expect("a list").push(kind.into());
                spec[kind.to_lowercase()] = rules.into();
            }
        }
        spec.to_string()
    })
}

fn policy(namespace: &str, name: &str, spec: &str) -> Policy {
    let spec: NetworkPolicySpec = serde_json::from_str(spec).expect("a spec");
    Policy::read(namespace, name, &spec, Leniency::Written).expect("a policy")
}

fn labels() -> impl Strategy<Value = Pairs> {
    prop::sample::select(every(&NAMESPACE_LABELS))
}

/// A segment that keeps some clauses apart from others, and namespaces with labels.
fn world() -> impl Strategy<Value = (Guardrails, BTreeMap<NamespaceName, Pairs>)> {
    let clauses = || prop::collection::vec(clause(), 1..3);
    (clauses(), clauses(), [labels(), labels(), labels()]).prop_map(|(members, isolated_from, labels)| {
        let mut guardrails = guardrails(Mode::Enforce);
        let segment = &mut guardrails.segments[0];
        (segment.members, segment.isolated_from) = (members, isolated_from);
        segment.clients.clear();
        guardrails.index = ClauseIndex::default();
        guardrails.selecting.clear();
        (guardrails, NAMES.map(name).into_iter().zip(labels).collect())
    })
}

fn seen(guardrails: Guardrails, namespaces: &BTreeMap<NamespaceName, Pairs>, policies: &[Policy]) -> Snapshot {
    let known = |(name, labels): (&NamespaceName, &Pairs)| {
        let namespace = Namespace {
            labels: labels.clone(),
            ..Namespace::default()
        };
        (name.clone(), Arc::new(namespace))
    };
    let named = |policy: &Policy| (policy.name.clone(), Arc::new(policy.clone()));
    Snapshot {
        namespaces: Arc::new(namespaces.iter().map(known).collect()),
        policies: Arc::new(policies.iter().map(named).collect::<Policies>()),
        ..snapshot(guardrails)
    }
}

/// What connects two pods that are to be apart: which policy, by which rule and peer, where, and of which clauses.
type Connection = (String, bool, usize, usize, NamespaceName, (bool, usize, usize));

/// Every connection, pod by pod.
fn connections(
    guardrails: &Guardrails,
    namespaces: &BTreeMap<NamespaceName, Pairs>,
    policies: &[Policy],
) -> BTreeSet<Connection> {
    let pods = every(&POD_LABELS);
    let segment = &guardrails.segments[0];
    let is_in = |clause: &Clause, name: &NamespaceName, pod: &Pairs| {
        clause.namespaces.contains(name.as_str(), &namespaces[name]) && clause.pods.matches(pod)
    };
    let mut found = BTreeSet::new();
    for policy in policies
        .iter()
        .filter(|policy| namespaces.contains_key(&policy.name.namespace))
    {
        let own = &policy.name.namespace;
        let lists = [
            (true, &segment.members, &segment.isolated_from),
            (false, &segment.isolated_from, &segment.members),
        ];
        for (members_selected, selected, reached) in lists {
            for (selected_at, selected) in selected.iter().enumerate() {
                let selects = |pod: &Pairs| policy.pods.matches(pod) && is_in(selected, own, pod);
                if !pods.iter().any(selects) {
                    continue;
                }
                for (ingress, rules) in [(true, &policy.ingress), (false, &policy.egress)] {
                    for (rule_at, rule) in rules.iter().flatten().enumerate() {
                        let peers: Vec<Option<&Peer>> = match &rule.peers {
                            Peers::Everyone => vec![None],
                            Peers::Listed(peers) => peers.iter().map(Some).collect(),
                        };
                        for (peer_at, peer) in peers.into_iter().enumerate() {
                            for (reached_at, clause) in reached.iter().enumerate() {
                                for (name, labels) in namespaces {
                                    let reaches = |pod: &Pairs| match peer {
                                        None => true,
                                        Some(Peer::Block(_)) => false,
                                        Some(Peer::Pods { namespaces, pods }) => {
                                            let there = match namespaces {
                                                PeerNamespaces::Own => name == own,
                                                PeerNamespaces::Selected(selector) => selector.matches(labels),
                                            };
                                            there && pods.matches(pod)
                                        }
                                    };
                                    if pods.iter().any(|pod| is_in(clause, name, pod) && reaches(pod)) {
                                        let ends = (members_selected, selected_at, reached_at);
                                        let policy = policy.name.to_string();
                                        found.insert((policy, ingress, rule_at, peer_at, name.clone(), ends));
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    found
}

/// Whether some pod of the namespace is no longer kept apart.
fn leaves(guardrails: &Guardrails, name: &NamespaceName, before: &Pairs, after: &Pairs) -> bool {
    let isolated = &guardrails.segments[0].isolated_from;
    let apart = |labels: &Pairs, pod: &Pairs| {
        isolated
            .iter()
            .any(|clause| clause.namespaces.contains(name.as_str(), labels) && clause.pods.matches(pod))
    };
    every(&POD_LABELS)
        .iter()
        .any(|pod| apart(before, pod) && !apart(after, pod))
}

fn borrowed(labels: &Pairs) -> Vec<(&str, &str)> {
    LabelSet::iter(labels).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_policy_needs_cross_exactly_if_it_connects_some_pods(
        (guardrails, namespaces) in world(),
        at in prop::sample::select(&NAMES[..]),
        spec in spec(),
    ) {
        let connects = !connections(&guardrails, &namespaces, &[policy(at, "mine", &spec)]).is_empty();
        let snapshot = seen(guardrails, &namespaces, &[]);
        let request = write(at, "mine", None, Some(&spec), &[]);
        prop_assert_eq!(verdict(&snapshot, &request, false).allowed(), !connects);
        prop_assert!(verdict(&snapshot, &request, true).allowed());
    }

    #[test]
    fn labels_need_cross_exactly_if_they_connect_some_pods_anew(
        (guardrails, namespaces) in world(),
        at in prop::sample::select(&NAMES[..]),
        before in prop::option::of(labels()),
        specs in prop::collection::vec((prop::sample::select(&NAMES[..]), spec()), 0..4),
    ) {
        let name = name(at);
        let compiled = |(number, (namespace, spec)): (usize, &(&str, String))| policy(namespace, &format!("p{number}"), spec);
        let policies: Vec<Policy> = specs.iter().enumerate().map(compiled).collect();
        let after = namespaces[&name].clone();
        let mut earlier = namespaces.clone();
        match &before {
            Some(before) => earlier.insert(name.clone(), before.clone()),
            None => earlier.remove(&name),
        };
        // In a namespace that is yet to be there stands nothing.
        let standing: Vec<Policy> = policies
            .iter()
            .filter(|policy| before.is_some() || policy.name.namespace != name)
            .cloned()
            .collect();
        let connected = connections(&guardrails, &earlier, &standing);
        let connects = connections(&guardrails, &namespaces, &standing);
        let opens = !connects.is_subset(&connected)
            || before.as_ref().is_some_and(|before| leaves(&guardrails, &name, before, &after));
        let snapshot = seen(guardrails, &earlier, &policies);
        let (was, is) = (before.as_ref().map(borrowed), borrowed(&after));
        let request = of_namespace(at, was.as_deref(), &is);
        prop_assert_eq!(verdict(&snapshot, &request, false).allowed(), !opens);
    }
}
