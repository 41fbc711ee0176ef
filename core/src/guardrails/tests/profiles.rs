//! Isolation profiles: what each built-in policy comes to with every option, and what is refused.

use rstest::Context;
use serde_json::{Value, json};

use super::{accepted, guardrails_with, refused};
use crate::guardrails::documents::IsolationProfileSpec;
use crate::guardrails::{MANAGED_BY, PROFILE_LABEL, PolicyKind, Profile};
use crate::model::Mode;

/// Profile `p` with this spec (in flow style), beside an empty Guardrails document.
fn document(spec: &str) -> String {
    guardrails_with("{}")
        + &format!(
            "---\n{{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {{name: p}},\nspec: {spec}}}\n"
        )
}

fn profile(spec: &str) -> Profile {
    let guardrails = accepted(&document(spec)).guardrails;
    Profile::clone(&guardrails.profiles["p"])
}

/// The spec of the first policy of a profile.
fn first_policy(policies: &str) -> (String, Value) {
    let policy = profile(&format!("{{policies: {policies}}}")).policies.remove(0);
    (policy.name, policy.spec)
}

fn named(namespace: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}})
}

fn dns_ports() -> Value {
    json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}])
}

fn to(peers: &Value, ports: &Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": peers, "ports": ports}]})
}

fn from(peers: &Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]})
}

#[rstest::rstest]
#[case::deny_ingress("{builtin: default-deny-ingress}", json!({"podSelector": {}, "policyTypes": ["Ingress"]}))]
#[case::deny_egress("{builtin: default-deny-egress}", json!({"podSelector": {}, "policyTypes": ["Egress"]}))]
#[case::dns("{builtin: allow-dns}", to(
    &json!([{"namespaceSelector": named("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]),
    &dns_ports(),
))]
#[case::dns_by_other_pods("{builtin: allow-dns, with: {podSelector: {matchLabels: {k8s-app: coredns}}}}", to(
    &json!([{"namespaceSelector": named("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "coredns"}}}]),
    &dns_ports(),
))]
#[case::dns_beside_the_node("{builtin: allow-dns, with: {addresses: [169.254.20.10, 'fd00::a/128']}}", to(
    &json!([
        {"namespaceSelector": named("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}},
        {"ipBlock": {"cidr": "169.254.20.10/32"}},
        {"ipBlock": {"cidr": "fd00::a/128"}},
    ]),
    &dns_ports(),
))]
#[case::dns_of_open_shift(
    "{builtin: allow-dns, with: {namespaces: [openshift-dns], ports: [{port: 5353, protocol: UDP}, {port: 5353}]}}",
    to(
        &json!([{"namespaceSelector": named("openshift-dns")}]),
        &json!([{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]),
    )
)]
#[case::ingress_controller("{builtin: allow-from-ingress-controller, with: {namespaces: [ingress-nginx]}}", from(
    &json!([{"namespaceSelector": named("ingress-nginx")}])
))]
#[case::ingress_controllers(
    "{builtin: allow-from-ingress-controller, with: {namespaces: [a, b], podSelector: {matchLabels: {x: z}}}}",
    from(&json!([{
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}],
        },
        "podSelector": {"matchLabels": {"x": "z"}},
    }]))
)]
#[case::ingress_controller_of_the_nodes("{builtin: allow-from-ingress-controller, with: {addresses: [10.1.0.0/16]}}", from(
    &json!([{"ipBlock": {"cidr": "10.1.0.0/16"}}])
))]
#[case::monitoring(
    "{builtin: allow-from-monitoring, with: {namespaceSelector: {matchLabels: {team: ops}}, ports: [{port: metrics}]}}",
    json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{
        "from": [{"namespaceSelector": {"matchLabels": {"team": "ops"}}}],
        "ports": [{"port": "metrics", "protocol": "TCP"}],
    }]})
)]
#[case::apiserver("{builtin: allow-to-apiserver, with: {addresses: [10.0.0.1, 10.96.0.1]}}", to(
    &json!([{"ipBlock": {"cidr": "10.0.0.1/32"}}, {"ipBlock": {"cidr": "10.96.0.1/32"}}]),
    &json!([{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]),
))]
#[case::inside_only("{builtin: deny-external-egress, with: {addresses: [10.0.0.0/8]}}", json!({
    "podSelector": {}, "policyTypes": ["Egress"],
    "egress": [{"to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
}))]
fn a_built_in_policy_comes_to(#[case] policy: &str, #[case] expected: Value) {
    let (name, spec) = first_policy(&format!("[{policy}]"));
    assert_eq!(spec, expected);
    assert!(policy.contains(&name.replacen("ringfence-", "builtin: ", 1)), "{name}");
}

#[rstest::rstest]
#[case::alone("[{builtin: allow-same-namespace}]", &["Ingress"])]
#[case::as_the_profile("[{builtin: allow-same-namespace}, {builtin: default-deny-ingress}]", &["Ingress"])]
#[case::as_the_other_direction("[{builtin: allow-same-namespace}, {builtin: allow-dns}]", &["Egress"])]
#[case::as_both("[{builtin: allow-same-namespace}, {builtin: default-deny-ingress}, {builtin: default-deny-egress}]", &["Ingress", "Egress"])]
#[case::as_a_policy_of_ones_own("[{builtin: allow-same-namespace}, {name: mine, spec: {podSelector: {}, egress: [{}]}}]", &["Ingress", "Egress"])]
#[case::as_said("[{builtin: allow-same-namespace, with: {directions: [Egress]}}, {builtin: default-deny-ingress}]", &["Egress"])]
fn the_same_namespace_is_let_in_where_the_profile_closes(#[case] policies: &str, #[case] directions: &[&str]) {
    let (_, spec) = first_policy(policies);
    let own = json!([{"podSelector": {}}]);
    let mut expected = json!({"podSelector": {}, "policyTypes": directions});
    if directions.contains(&"Ingress") {
        expected["ingress"] = json!([{"from": own}]);
    }
    if directions.contains(&"Egress") {
        expected["egress"] = json!([{"to": own}]);
    }
    assert_eq!(spec, expected);
}

const EVERYTHING: &str = "{settle: 1m30s, policies: [{builtin: allow-dns}, {builtin: allow-same-namespace}, {name: mine, spec: \
    {podSelector: {matchLabels: {job-name: a}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}}], \
    manifests: [{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a, labels: {x: z}}, spec: {z: [1]}}, \
    {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: b}}]}";

#[test]
fn what_is_written_back_compiles_to_the_same_profile() {
    let profile = profile(EVERYTHING);
    let written = serde_json::to_string(&IsolationProfileSpec::from(&profile)).expect("JSON");
    assert_eq!(self::profile(&written), profile);
}

#[test]
fn injected_objects_say_whose_they_are() {
    let profile = profile(EVERYTHING);
    let objects = [
        profile.policy_in(&profile.policies[0], "web"),
        profile.manifest_in(&profile.manifests[0], "web"),
    ];
    for (object, name) in objects.iter().zip(["ringfence-allow-dns", "ringfence-a"]) {
        let metadata = &object["metadata"];
        assert_eq!(
            (&metadata["name"], &metadata["namespace"]),
            (&json!(name), &json!("web"))
        );
        assert_eq!(metadata["labels"][MANAGED_BY.0], MANAGED_BY.1);
        assert_eq!(metadata["labels"][PROFILE_LABEL], "p");
        let description = metadata["annotations"]["ringfence.dev/description"]
            .as_str()
            .unwrap_or_default();
        assert!(description.contains("ringfence.dev/isolation=PROFILE"), "{description}");
    }
    assert_eq!(objects[1]["metadata"]["labels"]["x"], "z");
    assert_eq!(objects[1]["spec"], json!({"z": [1]}));
}

#[test]
fn kinds_that_are_not_read_are_gathered() {
    let kinds = accepted(&document(EVERYTHING)).guardrails.policy_kinds;
    let cilium = PolicyKind {
        group: "cilium.io".to_owned(),
        kind: "CiliumNetworkPolicy".to_owned(),
    };
    assert_eq!(kinds, [cilium]);
}

#[test]
fn profiles_without_isolation_are_told() {
    let compiled = accepted(&document("{policies: [{builtin: allow-dns}]}"));
    assert_eq!(compiled.guardrails.isolation, None);
    let told: Vec<_> = compiled.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["notice: no namespace is isolated: there are isolation profiles, but the Guardrails have no `spec.isolation`"]
    );
}

#[rstest::rstest]
#[case("{mode: Warn, isolation: {defaultProfile: none}}", Mode::Warn)]
#[case("{mode: Warn, isolation: {mode: Enforce, defaultProfile: none}}", Mode::Enforce)]
fn isolation_may_say_its_own_mode(#[case] spec: &str, #[case] mode: Mode) {
    let guardrails = accepted(&guardrails_with(spec)).guardrails;
    assert_eq!(guardrails.isolation_mode("web"), Some(mode));
    assert_eq!(guardrails.isolation_mode("kube-system"), None);
    assert_eq!(guardrails.isolation_enforced(), mode == Mode::Enforce);
}

#[rstest::rstest]
#[case::nothing("{}")]
#[case::unknown_builtin("{policies: [{builtin: allow-dnss}]}")]
#[case::neither_form(
    "{policies: [{}, {name: a}, {builtin: allow-dns, name: a}, {name: b, with: {}, spec: {podSelector: {}}}]}"
)]
#[case::same_name("{policies: [{builtin: allow-dns}, {name: allow-dns, spec: {podSelector: {}}}]}")]
#[case::options(
    "{policies: [{builtin: default-deny-ingress, with: {namespaces: [a]}}, {builtin: allow-dns, with: {namespaces: [], \
     directions: [Ingress]}}, {builtin: allow-from-monitoring}, {builtin: allow-from-ingress-controller, with: {podSelector: \
     {}}}, {builtin: allow-to-apiserver, with: {ports: [{port: 0}]}}, {builtin: deny-external-egress, with: {addresses: \
     [10.0.0.1/8, 'fe80::1%eth0', '::ffff:10.0.0.1', 10.0.0.0/08]}}, {builtin: allow-same-namespace, with: {directions: \
     [Ingress, Ingress]}}]}"
)]
#[case::option_shapes(
    "{policies: [{builtin: allow-dns, with: {namespace: [a], ports: [53], addresses: 10.0.0.1, podSelector: {matchLabels: a}}}]}"
)]
#[case::peers_of_options(
    "{policies: [{builtin: allow-dns, with: {namespaces: [a, a, 'kube-*'], podSelector: {matchLabels: {'a b': c}}}}, {builtin: \
     allow-from-monitoring, with: {namespaces: [a], namespaceSelector: {}}}]}"
)]
#[case::policy_contents(
    "{policies: [{name: 'A', spec: {podSelector: {matchLabels: {'a b': c}}, policyTypes: [Ingress, Ingress], ingress: [{from: \
     [{}, {podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.0.0.0/33, except: [x]}}], ports: [{port: 0}, \
     {port: 80, endPort: 79}, {port: http, endPort: 80}, {port: HTTP}, {protocol: tcp}]}]}}]}"
)]
#[case::policy_values(
    "{policies: [{name: 'A', spec: {podSelector: {matchLabels: {'a b': c}}, policyTypes: [Ingress, Ingress], egress: [{to: \
     [{}, {podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.0.0.0/8, except: [x, 11.0.0.0/9, 10.0.0.0/8, \
     'fd00::/9', 10.1.2.3/16]}}], ports: [{port: 0}, {port: 80, endPort: 79}, {port: http, endPort: 80}, {port: '80'}, \
     {endPort: 80}]}]}}]}"
)]
#[case::settle_too_long("{settle: 11m, policies: [{builtin: allow-dns}]}")]
#[case::settle_no_duration("{settle: 5 seconds, policies: [{builtin: allow-dns}]}")]
#[case::manifests(
    "{manifests: [{}, {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}}, {apiVersion: apps/v1, \
     kind: Deployment, metadata: {name: a}}, {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a}, spec: \
     {anything: [goes]}}, {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a, namespace: c, uid: x}, \
     status: {}}, {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a}}]}"
)]
#[case::manifest_metadata(
    "{manifests: [{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a, labels: [a], annotations: \
     {'A.io/b': 1, 'a b': c}}}, {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: b, labels: {a: 'b c', \
     ringfence.dev/profile: other, app.kubernetes.io/managed-by: me}}}]}"
)]
fn profiles(#[context] context: Context, #[case] spec: &str) {
    let name = context.description.unwrap_or_default();
    let told: Vec<String> = refused(&document(spec))
        .0
        .iter()
        .map(|problem| format!("{}: {} ({})", problem.path, problem.message, problem.advice))
        .collect();
    insta::assert_snapshot!(format!("profile_{name}"), told.join("\n"));
}

#[rstest::rstest]
#[case("none", "\"none\" is reserved: it is the profile without policies")]
#[case("a.b", "\"a.b\" is not a valid profile name: namespaces choose it by a label")]
fn profile_names(#[case] name: &str, #[case] expected: &str) {
    let text = document("{policies: [{builtin: allow-dns}]}").replace("name: p}", &format!("name: {name}}}"));
    let messages: Vec<String> = refused(&text).0.into_iter().map(|problem| problem.message).collect();
    assert_eq!(messages, [expected]);
}
