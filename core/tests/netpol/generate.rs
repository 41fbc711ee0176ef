//! Small clusters in which everything meets everything: each field of a NetworkPolicy absent, null, empty and set.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::oracle::{Object, Pod};

pub(crate) const NAMESPACES: [&str; 3] = ["shop", "bank", "dev"];
/// One in each part of the outside that the blocks below can tell apart.
pub(crate) const ADDRESSES: [&str; 9] = [
    "10.0.0.1",
    "10.1.0.1",
    "10.1.2.3",
    "11.0.0.1",
    "0.0.0.0",
    "200.1.1.1",
    "255.255.255.255",
    "2001:db8::1",
    "::1",
];
/// The edges of the ports below.
pub(crate) const PORTS: [u16; 8] = [1, 52, 53, 79, 80, 81, 90, 65535];

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) namespaces: BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) policies: Vec<Object>,
    pub(crate) ipblock_pods: bool,
}

/// A field: absent, null, or set.
fn field(set: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(Value::Null)), 6 => set.prop_map(Some)].boxed()
}

fn object(fields: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let with_names = move |values: Vec<Option<Value>>| {
        let fields = names
            .iter()
            .zip(values)
            .filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    values.prop_map(with_names).boxed()
}

fn list(item: impl Strategy<Value = Value> + 'static, most: usize) -> BoxedStrategy<Value> {
    prop::collection::vec(item, 0..=most).prop_map(Value::Array).boxed()
}

fn expression(keys: &'static [&'static str], values: &'static [&'static str]) -> BoxedStrategy<Value> {
    let some = prop::sample::subsequence(values, 1..=2);
    let expression = (prop::sample::select(keys), 0..4_usize, some).prop_map(|(key, operator, values)| {
        match ["In", "NotIn", "Exists", "DoesNotExist"][operator] {
            operator @ ("In" | "NotIn") => json!({"key": key, "operator": operator, "values": values}),
            operator => json!({"key": key, "operator": operator}),
        }
    });
    expression.boxed()
}

fn selector(keys: &'static [&'static str], values: &'static [&'static str]) -> BoxedStrategy<Value> {
    let label = prop::collection::btree_map(prop::sample::select(keys), prop::sample::select(values), 0..=1)
        .prop_map(|labels| json!(labels));
    object(vec![
        ("matchLabels", field(label)),
        ("matchExpressions", field(list(expression(keys, values), 2))),
    ])
}

fn of_pods() -> BoxedStrategy<Value> {
    selector(&["app", "tier"], &["web", "db", ""])
}

fn of_namespaces() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => selector(&["env", "kubernetes.io/metadata.name"], &["prod", "shop", "bank"]),
        1 => Just(json!({})),
    ]
    .boxed()
}

fn block() -> BoxedStrategy<Value> {
    let cidr = |cidr: &'static str, holes: &'static [&'static str]| {
        let except = field(prop::sample::subsequence(holes, 0..=holes.len()).prop_map(|holes| json!(holes)));
        object(vec![("cidr", Just(Some(json!(cidr))).boxed()), ("except", except)])
    };
    prop_oneof![
        cidr("0.0.0.0/0", &["10.0.0.0/8", "10.1.2.3/32"]),
        cidr("10.0.0.0/8", &["10.1.0.0/16", "10.1.2.0/24"]),
        cidr("10.1.2.0/24", &["10.1.2.3/32"]),
        cidr("128.0.0.0/1", &["255.255.255.255/32"]),
        cidr("::/0", &["2001:db8::/32"]),
        cidr("2001:db8::/32", &[]),
    ]
    .boxed()
}

fn peer() -> BoxedStrategy<Value> {
    prop_oneof![
        2 => of_pods().prop_map(|pods| json!({"podSelector": pods})),
        2 => (of_namespaces(), field(of_pods())).prop_map(|(namespaces, pods)| match pods {
            None => json!({"namespaceSelector": namespaces}),
            Some(pods) => json!({"namespaceSelector": namespaces, "podSelector": pods}),
        }),
        2 => block().prop_map(|block| json!({"ipBlock": block, "podSelector": null})),
    ]
    .boxed()
}

fn port() -> BoxedStrategy<Value> {
    let protocol = || field(prop::sample::select(&["TCP", "UDP", "SCTP"][..]).prop_map(Value::from));
    let numbered =
        (prop::sample::select(&[1, 53, 80, 65535][..]), 0..3_u32, protocol()).prop_map(|(port, range, protocol)| {
            let end = match range {
                0 => Value::Null,
                1 => json!(port),
                _ => json!(match port {
                    ..80 => 80,
                    80 => 90,
                    _ => 65535,
                }),
            };
            json!({"port": port, "endPort": end, "protocol": protocol})
        });
    let named = (prop::sample::select(&["http", "dns", "none"][..]), protocol())
        .prop_map(|(port, protocol)| json!({"port": port, "protocol": protocol}));
    let all = protocol().prop_map(|protocol| match protocol {
        None => json!({}),
        Some(protocol) => json!({"protocol": protocol}),
    });
    prop_oneof![3 => numbered, 2 => named, 1 => all].boxed()
}

fn rule(peers: &'static str) -> BoxedStrategy<Value> {
    object(vec![(peers, field(list(peer(), 2))), ("ports", field(list(port(), 2)))])
}

fn spec() -> BoxedStrategy<Value> {
    let types = prop::sample::select(vec![
        json!([]),
        json!(["Ingress"]),
        json!(["Egress"]),
        json!(["Ingress", "Egress"]),
        json!(["Egress", "Egress"]),
    ]);
    object(vec![
        ("podSelector", field(prop_oneof![Just(json!({})), of_pods()])),
        ("policyTypes", field(types)),
        ("ingress", field(list(rule("from"), 2))),
        ("egress", field(list(rule("to"), 2))),
    ])
}

fn policy() -> impl Strategy<Value = Object> {
    (prop::sample::select(&NAMESPACES[..2]), spec()).prop_map(|(namespace, spec)| Object { namespace, spec })
}

fn pod() -> impl Strategy<Value = Pod> {
    let values = || prop::sample::select(&[None, Some("web"), Some("db"), Some(""), Some("other")][..]);
    let ports = prop::sample::subsequence(
        vec![
            ("http", "TCP", 80),
            ("http", "TCP", 81),
            ("http", "UDP", 90),
            ("dns", "UDP", 53),
            ("dns", "TCP", 1),
        ],
        0..=2,
    );
    let address = prop::sample::select(&[None, Some("10.1.2.3"), Some("10.0.0.1"), Some("2001:db8::1")][..]);
    let host_network = prop::bool::weighted(0.15);
    (
        prop::sample::select(&NAMESPACES[..]),
        values(),
        values(),
        ports,
        host_network,
        address,
    )
        .prop_map(|(namespace, app, tier, ports, host_network, address)| Pod {
            namespace,
            labels: [("app", app), ("tier", tier)]
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect(),
            ports,
            host_network,
            address: address.map(|address| address.parse::<IpAddr>().expect("an address")),
        })
}

pub(crate) fn pods() -> impl Strategy<Value = Vec<Pod>> {
    prop::collection::vec(pod(), 1..5)
}

pub(crate) fn policies() -> impl Strategy<Value = Vec<Object>> {
    prop::collection::vec(policy(), 0..4)
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let env = || prop::sample::select(&[None, Some("prod"), Some("")][..]);
    let namespaces = (env(), env()).prop_map(|(shop, bank)| {
        let labels = |env: Option<&'static str>| env.map(|env| ("env", env)).into_iter().collect();
        // The third has no Namespace object.
        [("shop", labels(shop)), ("bank", labels(bank))].into_iter().collect()
    });
    (
        namespaces,
        prop::collection::vec(pod(), 1..5),
        policies(),
        any::<bool>(),
    )
        .prop_map(|(namespaces, pods, policies, ipblock_pods)| Case {
            namespaces,
            pods,
            policies,
            ipblock_pods,
        })
}

/// What to take out of a policy: at each list met, in order, whether its first item goes.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(prop::bool::weighted(0.3), 24)
}

/// A policy without some items of its lists.
pub(crate) fn cut(spec: &Value, cuts: &[bool]) -> Value {
    fn walk(value: &Value, cuts: &mut impl Iterator<Item = bool>) -> Value {
        match value {
            Value::Array(items) => {
                // Requirements need their values.
                let goes = cuts.next().unwrap_or(false) && !items.iter().all(Value::is_string);
                items
                    .iter()
                    .skip(usize::from(goes))
                    .map(|item| walk(item, cuts))
                    .collect()
            }
            Value::Object(fields) => fields
                .iter()
                .map(|(name, field)| (name.clone(), walk(field, cuts)))
                .collect(),
            other => other.clone(),
        }
    }
    walk(spec, &mut cuts.iter().copied())
}
