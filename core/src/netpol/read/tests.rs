//! What is refused, with its fields (`cases.json`; tests/netpol_parity.rs holds the same cases against the real API
//! server), and the defaults that are filled in.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::netpol::{Direction, PROTOCOLS, PortRule, PortSet, Protocol};

#[derive(Deserialize)]
struct Case {
    name: String,
    spec: NetworkPolicySpec,
    invalid: BTreeSet<String>,
}

fn refused(spec: &NetworkPolicySpec, leniency: Leniency) -> BTreeSet<String> {
    let invalid = Policy::read("shop", "case", spec, leniency).err().unwrap_or_default();
    invalid.into_iter().map(|invalid| invalid.path).collect()
}

fn read(spec: Value) -> Policy {
    let spec = serde_json::from_value(spec).expect("a spec");
    Policy::read("shop", "case", &spec, Leniency::Written).expect("a valid policy")
}

#[test]
fn what_the_api_server_refuses_is_refused_with_its_field() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).expect("cases");
    for case in &cases {
        assert_eq!(refused(&case.spec, Leniency::Written), case.invalid, "{}", case.name);
    }
    assert!(cases.iter().any(|case| case.invalid.is_empty()) && cases.iter().any(|case| !case.invalid.is_empty()));
}

#[rstest::rstest]
#[case("10.1.2.3/8", "10.0.0.0/8")]
#[case("010.0.0.08/8", "10.0.0.0/8")]
#[case("10.0.0.0/08", "10.0.0.0/8")]
#[case("::ffff:10.0.0.0/104", "10.0.0.0/8")]
#[case("2001:0db8::1/64", "2001:db8::/64")]
fn what_older_api_servers_stored_is_read_as_they_read_it(#[case] written: &str, #[case] meant: &str) {
    let spec = json!({"ingress": [{"from": [{"ipBlock": {"cidr": written}}]}]});
    let spec: NetworkPolicySpec = serde_json::from_value(spec).expect("a spec");
    let policy = Policy::read("shop", "case", &spec, Leniency::Stored).expect("stored");
    let Some(
        [
            Rule {
                peers: Peers::Listed(peers),
                ..
            },
        ],
    ) = policy.rules(Direction::Ingress)
    else {
        panic!("one rule with peers: {policy:?}");
    };
    let [Peer::Block(block)] = &peers[..] else {
        panic!("one block: {peers:?}")
    };
    assert_eq!(block.cidr.to_string(), meant);
}

#[test]
fn a_stored_selector_may_ask_for_a_value_that_no_label_has() {
    let spec = json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b c"]}]}});
    let spec = serde_json::from_value(spec).expect("a spec");
    assert_eq!(refused(&spec, Leniency::Stored), BTreeSet::new());
    assert_eq!(refused(&spec, Leniency::Written).len(), 1);
}

#[rstest::rstest]
#[case("Upper", "shop", "metadata.name")]
#[case("", "shop", "metadata.name")]
#[case("web.v2", "shop.v2", "metadata.namespace")]
fn names_are_looked_at(#[case] name: &str, #[case] namespace: &str, #[case] path: &str) {
    let invalid = Policy::read(namespace, name, &NetworkPolicySpec::default(), Leniency::Written).expect_err("refused");
    assert_eq!(
        invalid.into_iter().map(|invalid| invalid.path).collect::<Vec<_>>(),
        [path]
    );
}

#[rstest::rstest]
#[case(json!({}), Some(0), None)]
#[case(json!({"ingress": []}), Some(0), None)]
#[case(json!({"ingress": [{}]}), Some(1), None)]
#[case(json!({"egress": []}), Some(0), None)]
#[case(json!({"egress": [{}]}), Some(0), Some(1))]
#[case(json!({"policyTypes": []}), Some(0), None)]
#[case(json!({"policyTypes": [], "egress": [{}, {}]}), Some(0), Some(2))]
#[case(json!({"policyTypes": ["Ingress"], "egress": [{}]}), Some(0), None)]
#[case(json!({"policyTypes": ["Egress"]}), None, Some(0))]
#[case(json!({"policyTypes": ["Egress"], "ingress": [{}]}), None, Some(0))]
#[case(json!({"policyTypes": ["Ingress", "Egress"]}), Some(0), Some(0))]
#[case(json!({"policyTypes": ["Egress", "Egress"]}), None, Some(0))]
fn the_directions_that_are_isolated(
    #[case] spec: Value,
    #[case] ingress: Option<usize>,
    #[case] egress: Option<usize>,
) {
    let policy = read(spec);
    let count = |direction| policy.rules(direction).map(<[Rule]>::len);
    assert_eq!((count(Direction::Ingress), count(Direction::Egress)), (ingress, egress));
}

#[rstest::rstest]
#[case(json!({}), None)]
#[case(json!({"from": null}), None)]
#[case(json!({"from": []}), None)]
#[case(json!({"from": [{"podSelector": {}}]}), Some((true, true)))]
#[case(json!({"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}), Some((true, false)))]
#[case(json!({"from": [{"namespaceSelector": {}}]}), Some((false, true)))]
#[case(json!({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}]}), Some((false, false)))]
fn absent_and_empty_peers(#[case] rule: Value, #[case] own_and_every_pod: Option<(bool, bool)>) {
    let policy = read(json!({"ingress": [rule]}));
    let found = match &policy.ingress.as_deref().expect("isolated")[0].peers {
        Peers::Everyone => None,
        Peers::Listed(peers) => match &peers[..] {
            [Peer::Pods { namespaces, pods }] => Some((*namespaces == PeerNamespaces::Own, pods.is_everything())),
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(found, own_and_every_pod);
}

#[test]
fn ports_have_their_defaults() {
    let ports = |ports: Value| {
        read(json!({"ingress": [{"ports": ports}]})).ingress.expect("isolated")[0]
            .ports
            .clone()
    };
    assert_eq!(ports(json!(null)), Ports::All);
    assert_eq!(ports(json!([])), Ports::All);
    assert_eq!(
        ports(json!([{}])).numbered(),
        PortSet::range(Protocol::Tcp, 1, 65535),
        "one empty port is all of TCP"
    );
    assert_eq!(
        ports(json!([{"protocol": "UDP"}])).numbered(),
        PortSet::range(Protocol::Udp, 1, 65535)
    );
    assert_eq!(
        ports(json!([{"port": 80}])).numbered(),
        PortSet::range(Protocol::Tcp, 80, 80)
    );
    assert_eq!(
        ports(json!([{"port": 80, "endPort": 90}])).numbered(),
        PortSet::range(Protocol::Tcp, 80, 90)
    );
    let named = ports(json!([{"port": "dns", "protocol": "UDP"}]));
    assert!(named.numbered().is_empty());
    assert_eq!(named, Ports::Listed(vec![PortRule::Named(Protocol::Udp, "dns".into())]));
    assert_eq!(
        PROTOCOLS.map(|protocol| Ports::All.numbered().ranges(protocol).len()),
        [1, 1, 1]
    );
}
