//! Isolation profiles on a real API server: it takes every policy that configuration can say, and gives back exactly the
//! spec that it was compiled to, so that what stands can be compared whole.

use std::fmt::Write as _;

use ringfence_controlplane::{Options, started_or_skipped};
use ringfence_core::guardrails::{Profile, RESERVED_PREFIX, Source, compile};
use serde_json::{Value, json};

const NAMESPACE: &str = "isolated";

/// Every built-in policy, in the ways that its options differ. One profile each: names are unique within one.
const BUILTINS: &[&str] = &[
    "builtin: default-deny-ingress",
    "builtin: default-deny-egress",
    "builtin: allow-dns",
    "builtin: allow-dns, with: {podSelector: {matchLabels: {k8s-app: coredns}}, addresses: [169.254.20.10, 'fd00::a']}",
    "builtin: allow-dns, with: {namespaces: [openshift-dns], ports: [{port: 5353}, {port: 5353, protocol: UDP}]}",
    "builtin: allow-dns, with: {namespaceSelector: {matchExpressions: [{key: dns, operator: Exists}]}, ports: [{port: dns}]}",
    "builtin: allow-same-namespace",
    "builtin: allow-same-namespace, with: {directions: [Egress, Ingress]}",
    "builtin: allow-from-ingress-controller, with: {namespaces: [ingress-nginx, istio-ingress]}",
    "builtin: allow-from-ingress-controller, with: {addresses: [10.1.0.0/16], ports: [{port: 8000, endPort: 9000}]}",
    "builtin: allow-from-monitoring, with: {namespaces: [monitoring], podSelector: {matchLabels: {app: prometheus}}}",
    "builtin: allow-to-apiserver, with: {addresses: [10.0.0.1/32, 10.96.0.1]}",
    "builtin: allow-to-apiserver, with: {addresses: ['fd00::/64'], ports: [{port: 6443, protocol: TCP}]}",
    "builtin: deny-external-egress",
    "builtin: deny-external-egress, with: {addresses: [10.0.0.0/8, 192.168.0.0/16]}",
];

const SELECTORS: &[&str] = &[
    "{}",
    "{matchLabels: {}}",
    "{matchLabels: {app: db, example.com/Tier_1: ''}}",
    "{matchExpressions: [{key: job-name, operator: Exists}, {key: canary, operator: DoesNotExist, values: []}]}",
    "{matchExpressions: [{key: env, operator: NotIn, values: [dev, test]}, {key: tier, operator: In, values: [web, web, api]}]}",
];

const PEERS: &[&str] = &[
    "",
    "{podSelector: {}}",
    "{namespaceSelector: {}}",
    "{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchExpressions: [{key: a, operator: Exists}]}}",
    "{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 169.254.169.254/32]}}",
    "{ipBlock: {cidr: '::/0', except: ['fd00::/8']}}, {ipBlock: {cidr: 10.0.0.1/32, except: []}}",
];

const PORTS: &[&str] = &[
    "",
    "{}",
    "{protocol: UDP}",
    "{port: 53}, {port: 53, protocol: UDP}, {port: 7777, protocol: SCTP}",
    "{port: http}, {port: a-1, protocol: UDP}",
    "{port: 1, endPort: 65535}, {port: 80, endPort: 80, protocol: UDP}",
];

const POLICY_TYPES: &[&str] = &[
    "",
    "policyTypes: [], ",
    "policyTypes: [Egress], ",
    "policyTypes: [Egress, Ingress], ",
];

/// Specs of one's own in every combination of two of their parts: each selector, each peer with each ports.
fn own_specs() -> Vec<String> {
    let mut specs = vec![
        "ingress: []".to_owned(),
        "egress: []".to_owned(),
        "ingress: [{}], egress: [{}]".to_owned(),
    ];
    for (peer, ports) in PEERS
        .iter()
        .flat_map(|peer| PORTS.iter().map(move |ports| (peer, ports)))
    {
        specs.push(format!("ingress: [{{from: [{peer}], ports: [{ports}]}}]"));
        specs.push(format!(
            "egress: [{{to: [{peer}], ports: [{ports}]}}, {{to: [{peer}]}}, {{ports: [{ports}]}}]"
        ));
    }
    let mut whole: Vec<String> = Vec::new();
    for (position, rules) in specs.iter().enumerate() {
        let selector = SELECTORS[position % SELECTORS.len()];
        let types = POLICY_TYPES[position % POLICY_TYPES.len()];
        whole.push(format!("{{{types}podSelector: {selector}, {rules}}}"));
    }
    whole.extend(SELECTORS.iter().map(|selector| format!("{{podSelector: {selector}}}")));
    whole
}

/// The profiles of a configuration that says all this.
fn profiles() -> Vec<Profile> {
    let mut text =
        "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {isolation: \
                    {defaultProfile: own}}}\n"
            .to_owned();
    let mut profile = |name: &str, policies: &str| {
        let _ = writeln!(
            text,
            "---\n{{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {{name: {name}}}, spec: {{policies: \
             [{policies}]}}}}"
        );
    };
    for (position, policy) in BUILTINS.iter().enumerate() {
        profile(&format!("builtin-{position}"), &format!("{{{policy}}}"));
    }
    let own = own_specs();
    let policies = own
        .iter()
        .enumerate()
        .map(|(position, spec)| format!("{{name: own-{position}, spec: {spec}}}"));
    profile("own", &policies.collect::<Vec<_>>().join(", "));
    let source = Source {
        name: "guardrails.yaml".to_owned(),
        text,
    };
    let compiled = compile(&[source]).unwrap_or_else(|problems| panic!("{problems}"));
    compiled
        .guardrails
        .profiles
        .values()
        .map(|profile| Profile::clone(profile))
        .collect()
}

/// The policies of all profiles as they are applied, under names that differ between profiles.
fn objects() -> Vec<Value> {
    let of_profile = |profile: &Profile| -> Vec<Value> {
        let in_namespace = |policy| {
            let mut object = profile.policy_in(policy, NAMESPACE);
            object["metadata"]["name"] = format!("{RESERVED_PREFIX}{}-{}", profile.name, policy.name).into();
            object
        };
        profile.policies.iter().map(in_namespace).collect()
    };
    profiles().iter().flat_map(of_profile).collect()
}

#[test]
fn the_api_server_gives_back_what_profiles_are_compiled_to() {
    let Some(cluster) = started_or_skipped(&Options::bare()) else {
        return;
    };
    cluster.create_namespace(NAMESPACE, &[]);
    let objects = objects();
    assert!(objects.len() > BUILTINS.len() + 70, "{}", objects.len());
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let apply = ["apply", "--server-side", "--validate=strict", "-f", "-"];
    cluster.kubectl("admin").args(apply).stdin(list.to_string()).run().ok();
    let get = ["get", "networkpolicies", "-n", NAMESPACE, "-o", "json"];
    let stored = cluster.kubectl("admin").args(get).run().json();
    let stored = stored["items"].as_array().expect("a list");
    assert_eq!(stored.len(), objects.len());
    for object in &objects {
        let name = &object["metadata"]["name"];
        let found = stored.iter().find(|one| one["metadata"]["name"] == *name);
        let found = found.unwrap_or_else(|| panic!("{name} was not stored"));
        assert_eq!(found["spec"], object["spec"], "{name}");
        for field in ["labels", "annotations"] {
            assert_eq!(found["metadata"][field], object["metadata"][field], "{name}");
        }
    }
}
