//! [`worse`] against every flow of a small universe: whatever a new form of a policy lets pass that its old form did not is
//! told, with each rule and peer that lets it pass; and so is every pod that is isolated no longer.

use std::net::IpAddr;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::labels::{LabelSet as _, Labels};
use crate::netpol::{Leniency, Ports};

const OWN: &str = "shop";

/// One end of a flow beside the pods that the policy selects.
enum Other {
    Pod {
        namespace: Labels<'static>,
        pod: Labels<'static>,
    },
    Address(IpAddr),
}

/// Something that could pass: a selected pod, who is on the other side, and the destination's port with its name.
struct Flow<'f> {
    pod: &'f Labels<'static>,
    other: &'f Other,
    port: (Protocol, u16, Option<&'static str>),
}

fn labels(key: &'static str, value: Option<&'static str>) -> Labels<'static> {
    value.map(|value| (key, value)).into_iter().collect()
}

/// `z` stands for every value that no selector names.
fn apps() -> impl Iterator<Item = Labels<'static>> {
    [None, Some("a"), Some("b"), Some("z")]
        .into_iter()
        .map(|value| labels("app", value))
}

/// Everybody who could be on the other side.
static OTHERS: LazyLock<Vec<Other>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for name in [OWN, "bank", "z"] {
        for env in [None, Some("prod"), Some("dev")] {
            for pod in apps() {
                let env = env.map(|value| ("env", value));
                let namespace = env.into_iter().chain([(NAMESPACE_NAME_LABEL, name)]).collect();
                all.push(Other::Pod { namespace, pod });
            }
        }
    }
    let addresses = [
        "10.0.0.0",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "192.0.2.1",
        "fd00::1",
        "fd00::2",
    ];
    all.extend(addresses.map(|text| Other::Address(text.parse().expect("an address"))));
    all
});

/// Each number, as a pod that names it and as one that does not; the last stands for all that no rule names.
const PORTS: [(Protocol, u16, Option<&str>); 8] = [
    (Protocol::Tcp, 80, None),
    (Protocol::Tcp, 80, Some("http")),
    (Protocol::Tcp, 81, None),
    (Protocol::Tcp, 82, Some("http")),
    (Protocol::Tcp, 65535, None),
    (Protocol::Udp, 80, None),
    (Protocol::Udp, 53, Some("http")),
    (Protocol::Sctp, 9, None),
];

fn lets_port(ports: &Ports, (protocol, number, name): (Protocol, u16, Option<&str>), is_pod: bool) -> bool {
    ports.is_all()
        || ports.numbered().contains(protocol, number)
        || is_pod && ports.named().any(|(of, named)| of == protocol && Some(named) == name)
}

fn lets_other(peer: &Peer, other: &Other) -> bool {
    match (peer, other) {
        (Peer::Block(block), Other::Address(address)) => {
            block.cidr.contains(address) && !block.except.iter().any(|hole| hole.contains(address))
        }
        (Peer::Pods { namespaces, pods }, Other::Pod { namespace, pod }) => {
            pods.matches(pod)
                && match namespaces {
                    PeerNamespaces::Own => namespace.value(NAMESPACE_NAME_LABEL) == Some(OWN),
                    PeerNamespaces::Selected(selector) => selector.matches(namespace),
                }
        }
        _ => false,
    }
}

/// Every flow between these pods and the others.
fn flows<'f>(pods: &'f [Labels<'static>]) -> impl Iterator<Item = Flow<'f>> {
    pods.iter()
        .flat_map(|pod| OTHERS.iter().map(move |other| (pod, other)))
        .flat_map(|(pod, other)| PORTS.into_iter().map(move |port| Flow { pod, other, port }))
}

/// The rules and peers by which a policy lets a flow pass.
fn spots(policy: &Policy, direction: Direction, flow: &Flow<'_>) -> Vec<Worse> {
    let rules = policy.rules(direction).filter(|_| policy.pods.matches(flow.pod));
    let is_pod = direction == Direction::Ingress || matches!(flow.other, Other::Pod { .. });
    let mut spots = Vec::new();
    for (at, rule) in rules.unwrap_or_default().iter().enumerate() {
        if !lets_port(&rule.ports, flow.port, is_pod) {
            continue;
        }
        if rule.is_for_everyone() {
            spots.push(Worse::Opens { rule: at, peer: None });
        }
        for (peer_at, peer) in rule.listed().iter().enumerate() {
            if lets_other(peer, flow.other) {
                spots.push(Worse::Opens {
                    rule: at,
                    peer: Some(peer_at),
                });
            }
        }
    }
    spots
}

fn selector(key: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let some = move || prop::sample::subsequence(values, 1..=values.len());
    let expression = |operator: &'static str| move |values: Vec<&str>| json!({"operator": operator, "values": values});
    let requirement = prop_oneof![
        some().prop_map(expression("In")),
        some().prop_map(expression("NotIn")),
        Just(json!({"operator": "Exists"})),
        Just(json!({"operator": "DoesNotExist"})),
    ];
    prop::collection::vec(requirement, 0..3).prop_map(move |mut requirements| {
        for requirement in &mut requirements {
            requirement["key"] = key.into();
        }
        json!({"matchExpressions": requirements})
    })
}

fn peer() -> impl Strategy<Value = Value> {
    let pods = || selector("app", &["a", "b"]);
    let namespaces = || {
        prop_oneof![
            selector("env", &["prod", "dev"]),
            selector(NAMESPACE_NAME_LABEL, &[OWN, "bank"])
        ]
    };
    let block = prop::sample::select(vec![
        json!({"cidr": "10.0.0.0/31"}),
        json!({"cidr": "10.0.0.2/31"}),
        json!({"cidr": "10.0.0.0/30"}),
        json!({"cidr": "10.0.0.0/29", "except": ["10.0.0.0/31"]}),
        json!({"cidr": "10.0.0.0/30", "except": ["10.0.0.0/31", "10.0.0.2/31"]}),
        json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.3/32"]}),
        json!({"cidr": "fd00::/126"}),
        json!({"cidr": "fd00::1/128"}),
    ]);
    prop_oneof![
        pods().prop_map(|pods| json!({"podSelector": pods})),
        namespaces().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (pods(), namespaces())
            .prop_map(|(pods, namespaces)| json!({"podSelector": pods, "namespaceSelector": namespaces})),
        block.prop_map(|block| json!({"ipBlock": block})),
    ]
}

fn ports() -> impl Strategy<Value = Value> {
    let port = prop::sample::select(vec![
        json!({}),
        json!({"port": 80}),
        json!({"port": 81}),
        json!({"port": 80, "endPort": 81}),
        json!({"port": 1, "endPort": 65535}),
        json!({"port": "http"}),
        json!({"port": "http", "protocol": "UDP"}),
        json!({"protocol": "UDP"}),
        json!({"protocol": "SCTP"}),
    ]);
    prop::collection::vec(port, 0..3).prop_map(Value::from)
}

/// A spec of one namespace: rules from few peers and ports, so that what one form says the other often does, too.
fn policy() -> impl Strategy<Value = Policy> {
    let rule = |peers: &'static str| {
        (prop::collection::vec(peer(), 0..3), ports())
            .prop_map(move |(listed, ports)| json!({peers: listed, "ports": ports}))
    };
    let rules = move |peers| prop::option::of(prop::collection::vec(rule(peers), 0..3));
    let pods = prop_oneof![Just(json!({})), selector("app", &["a", "b"])];
    (pods, rules("from"), rules("to")).prop_map(|(pods, ingress, egress)| {
        let mut spec = json!({"podSelector": pods, "policyTypes": []});
        for (kind, rules) in [("Ingress", ingress), ("Egress", egress)] {
            if let Some(rules) = rules {
                spec["policyTypes"].as_array_mut().expect("a list").push(kind.into());
                spec[kind.to_lowercase()] = rules.into();
            }
        }
        let spec = serde_json::from_value(spec).expect("a spec");
        Policy::read(OWN, "web", &spec, Leniency::Written).expect("a policy")
    })
}

/// The same policy with something of it changed: then most of it is no worse.
fn changed(before: &Policy, other: &Policy, what: usize) -> Policy {
    let mut after = before.clone();
    match what {
        0 => after = other.clone(),
        1 => after.pods = other.pods.clone(),
        2 => after.ingress.clone_from(&other.ingress),
        3 => after.egress.clone_from(&other.egress),
        _ => {
            for (mine, theirs) in [(&mut after.ingress, &other.ingress), (&mut after.egress, &other.egress)] {
                let (Some(mine), Some(theirs)) = (mine.as_mut(), theirs.as_ref()) else {
                    continue;
                };
                for (rule, given) in mine.iter_mut().zip(theirs) {
                    if what == 4 {
                        rule.ports.clone_from(&given.ports);
                    } else {
                        rule.peers.clone_from(&given.peers);
                    }
                }
            }
        }
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn what_passes_anew_is_told(before in policy(), other in policy(), what in 0..6_usize) {
        let after = changed(&before, &other, what);
        let pods: Vec<_> = apps().collect();
        for direction in [Direction::Ingress, Direction::Egress] {
            let told = worse(&before, &after, direction);
            prop_assert!(worse(&after, &after, direction).is_empty());
            let holds = |policy: &Policy, pod: &Labels<'static>| policy.rules(direction).is_some() && policy.pods.matches(pod);
            let released = pods.iter().any(|pod| holds(&before, pod) && !holds(&after, pod));
            prop_assert!(!released || told.contains(&Worse::Releases), "{:?} then {:?}", before, after);
            let mut nothing_new = true;
            for flow in flows(&pods) {
                let now = spots(&after, direction, &flow);
                if now.is_empty() || !spots(&before, direction, &flow).is_empty() {
                    continue;
                }
                nothing_new = false;
                let missing: Vec<_> = now.iter().filter(|spot| !told.contains(spot)).collect();
                prop_assert!(missing.is_empty(), "{:?} of {:?} then {:?}", missing, before, after);
            }
            // What is dropped opens nothing.
            if after.rules(direction).is_none_or(<[Rule]>::is_empty) {
                prop_assert!(nothing_new && told.iter().all(|worse| *worse == Worse::Releases));
            }
        }
    }
}
