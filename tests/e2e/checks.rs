//! Every check on policies, on a real API server: refused in a namespace where it is enforced, let in by whoever may waive
//! it, passed on where it is no worse than before, warned and recorded where the rollout says so. One control plane, a table.

use std::time::Duration;

use ringfence_controlplane::wait_until;
use serde_json::{Value, json};

use super::checks_attacks::every_way_of_writing;
use super::world::{PATIENCE, World, bind};

/// Every check is enforced in `web`; in `warned` it warns, in `audited` it records.
const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  rollout: {namespaces: [{name: warned, mode: Warn}, {name: audited, mode: Audit}]}
  checks:
    - {name: WorldIngress, allowFrom: [20.0.0.0/8]}
    - {name: WorldEgress}
    - {name: AllNamespaces, podRanges: [192.168.0.0/16, 'fd00:10:244::/56']}
    - {name: MissingPorts}
    - {name: WideCIDR, widest: {ipv4: 8}}
    - {name: MetadataEndpoint}
    - {name: UnownedNamespaceLabel, ownedLabels: [team]}
    - {name: SelectsNothing, mode: Enforce}
    - {name: UnknownPort, mode: Enforce}
";

/// One check and a policy that breaks it alone.
struct Case {
    check: &'static str,
    /// What it refuses.
    spec: Value,
    /// A merge patch of the spec that leaves it no worse.
    no_worse: Value,
    /// One that makes of that something worse.
    worse: Value,
    /// What the warning says that it opens; empty where it opens nothing.
    opens: &'static str,
    /// A policy like it that the check leaves alone.
    harmless: Value,
}

fn cases() -> Vec<Case> {
    let web = || json!({"podSelector": {"matchLabels": {"app": "web"}}});
    let ingress = |from: Value| json!({"podSelector": {}, "ingress": [{"from": from, "ports": [{"port": 80}]}]});
    let egress = |to: Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to, "ports": [{"port": 80}]}]});
    let all = || json!({"podSelector": {"matchLabels": null}});
    let block = |cidr: &str| json!([{"ipBlock": {"cidr": cidr}}]);
    let namespaces = |selector: Value| json!([{"namespaceSelector": selector}]);
    vec![
        Case {
            check: "WorldIngress",
            spec: ingress(json!([])),
            no_worse: web(),
            worse: json!({"ingress": [{"ports": [{"port": 81}]}]}),
            opens: "opens ingress from everyone (TCP 80); see: ringfence reach --to web/",
            harmless: ingress(block("20.0.0.0/8")),
        },
        Case {
            check: "WorldEgress",
            spec: json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}),
            no_worse: web(),
            worse: all(),
            opens: "opens egress to everyone (UDP 53); see: ringfence reach --from web/",
            harmless: egress(block("10.0.0.0/8")),
        },
        Case {
            check: "AllNamespaces",
            spec: ingress(namespaces(json!({}))),
            no_worse: web(),
            worse: all(),
            opens: "opens ingress from 1 selector of pods (TCP 80)",
            harmless: ingress(namespaces(
                json!({"matchLabels": {"kubernetes.io/metadata.name": "web"}}),
            )),
        },
        Case {
            check: "MissingPorts",
            spec: json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}),
            no_worse: web(),
            worse: all(),
            opens: "opens ingress from 1 selector of pods (all ports)",
            harmless: json!({"podSelector": {}, "ingress": []}),
        },
        Case {
            check: "WideCIDR",
            spec: egress(block("fd80::/9")),
            no_worse: web(),
            worse: json!({"egress": [{"to": block("fd80::/9"), "ports": [{"port": 80}, {"port": 443}]}]}),
            opens: "opens egress to IPv6 /9 (TCP 80); see: ringfence reach --from web/",
            harmless: egress(block("fd80::/48")),
        },
        Case {
            check: "MetadataEndpoint",
            spec: egress(block("169.254.169.254/32")),
            no_worse: web(),
            worse: json!({"egress": [{"to": block("169.254.169.0/24"), "ports": [{"port": 80}]}]}),
            opens: "opens egress to 1 address (TCP 80)",
            harmless: egress(json!([{"ipBlock": {"cidr": "169.254.0.0/16", "except": ["169.254.169.254/32"]}}])),
        },
        Case {
            check: "UnownedNamespaceLabel",
            spec: ingress(namespaces(json!({"matchLabels": {"env": "prod"}}))),
            no_worse: web(),
            worse: json!({"ingress": [{"from": namespaces(json!({"matchLabels": {"env": "dev"}})), "ports": [{"port": 80}]}]}),
            opens: "opens ingress from 1 selector of pods; see: ringfence reach --to web/",
            harmless: ingress(namespaces(json!({"matchLabels": {"env": "prod", "team": "blue"}}))),
        },
        Case {
            check: "SelectsNothing",
            spec: json!({"podSelector": {"matchLabels": {"app": "wbe"}}}),
            no_worse: json!({"podSelector": {"matchLabels": {"app": "ewb"}}}),
            worse: Value::Null,
            opens: "",
            harmless: json!({"podSelector": {"matchLabels": {"app": "web"}}}),
        },
        Case {
            check: "UnknownPort",
            spec: json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": "htpp"}]}]}),
            no_worse: web(),
            worse: json!({"ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": "httq"}]}]}),
            opens: "opens ingress from 1 selector of pods (1 by name)",
            harmless: json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": "http"}]}]}),
        },
    ]
}

pub(super) fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// A Deployment that runs nothing: its template is what policies select.
fn runs(namespace: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "web", "ports": [{"name": "http", "containerPort": 80}]}]},
            },
        },
    })
}

/// The checks that a refusal names.
pub(super) fn named(said: &str) -> Vec<&str> {
    let checks = said
        .lines()
        .filter_map(|line| line.split_once("can-i waive policychecks.ringfence.dev/"));
    checks.filter_map(|(_, rest)| rest.split_whitespace().next()).collect()
}

#[test]
fn every_check_refuses_warns_records_and_is_waived() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    for namespace in ["warned", "audited"] {
        world.cluster.create_namespace(namespace, &[]);
        bind(&world.cluster, namespace, "ClusterRole/edit", "mallory");
    }
    for namespace in ["web", "warned", "audited"] {
        world.apply("admin", &runs(namespace)).ok();
    }
    is_guarded_where_it_is_enforced(&world);
    for case in cases() {
        refused_and_waived(&world, &case);
        no_worse_and_worse(&world, &case);
        warned_and_recorded(&world, &case);
    }
    addresses_of_pods(&world);
    every_way_of_writing(&world);
    are_published(&world);
    // What is deleted no longer isolates, and each says so.
    let output = world.kubectl("mallory", "delete networkpolicies --all -n web");
    assert!(output.success, "{}", output.stderr);
    let told = output.stderr.matches("no longer isolates").count();
    assert!(told >= cases().len(), "{}", output.stderr);
}

/// The webhook for policies fails closed in all namespaces but those that the rollout takes out.
fn is_guarded_where_it_is_enforced(world: &World) {
    let selects = wait_until(PATIENCE, "the webhook for policies to fail closed", || {
        let served = world.served();
        let guard = served
            .iter()
            .find(|webhook| webhook["name"] == "networkpolicies.guard.ringfence.dev")?;
        let selector = &guard["namespaceSelector"]["matchExpressions"][0];
        (guard["failurePolicy"] == "Fail" && selector["operator"] == "NotIn").then(|| selector["values"].clone())
    });
    let but = selects.unwrap_or_else(|error| panic!("{error}"));
    let but: Vec<&str> = but.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(
        but.contains(&"warned") && but.contains(&"audited") && !but.contains(&"web"),
        "{but:?}"
    );
}

fn refused_and_waived(world: &World, case: &Case) {
    let name = case.check.to_lowercase();
    let object = policy("web", &name, &case.spec);
    let said = world.apply("mallory", &object).refused();
    assert_eq!(named(&said), [case.check], "{said}");
    world
        .apply("mallory", &policy("web", &format!("{name}-harmless"), &case.harmless))
        .ok();
    world
        .grant(
            "admin",
            &format!("waive policychecks/{} --cluster --user ci", case.check),
        )
        .ok();
    let waived = wait_until(PATIENCE, "the waiver to be seen", || {
        let output = world.apply("ci", &object);
        output.success.then_some(output.stderr)
    });
    let warned = waived.unwrap_or_else(|error| panic!("{}: {error}", case.check));
    let opened = warned
        .lines()
        .filter(|line| line.contains("; see: ringfence reach"))
        .count();
    assert_eq!(opened, usize::from(!case.opens.is_empty()), "{}: {warned}", case.check);
    assert!(warned.contains(case.opens), "{}: {warned}", case.check);
    assert!(
        warned
            .lines()
            .all(|line| line.chars().count() <= "Warning: ".len() + 120),
        "{warned}"
    );
}

fn no_worse_and_worse(world: &World, case: &Case) {
    let patch = |spec: &Value| {
        let name = case.check.to_lowercase();
        let patch = json!({"spec": spec}).to_string();
        world.kubectl(
            "mallory",
            &format!("patch networkpolicy {name} -n web --type=merge -p {patch}"),
        )
    };
    let output = patch(&case.no_worse);
    assert!(output.success, "{}: {}", case.check, output.stderr);
    assert!(
        output.stderr.contains(" may go on to "),
        "{}: {}",
        case.check,
        output.stderr
    );
    if !case.worse.is_null() {
        let said = patch(&case.worse).refused();
        assert_eq!(named(&said), [case.check], "{said}");
    }
}

fn warned_and_recorded(world: &World, case: &Case) {
    let name = case.check.to_lowercase();
    let output = world.apply("mallory", &policy("warned", &name, &case.spec));
    assert!(output.success, "{}: {}", case.check, output.stderr);
    let warning = format!("Warning: ringfence: NetworkPolicy warned/{name} may not ");
    assert!(output.stderr.contains(&warning), "{}: {}", case.check, output.stderr);
    let output = world.apply("mallory", &policy("audited", &name, &case.spec));
    assert_eq!((output.success, output.stderr.as_str()), (true, ""), "{}", case.check);
    let record = world.ringfence.wait_for_record(case.check, |record| {
        record["namespace"] == "audited" && record["findings"][0]["rule"] == case.check
    });
    let finding = &record["findings"][0];
    assert_eq!(
        (&record["verdict"], &finding["mode"], &finding["reason"]),
        (&json!("audit"), &json!("Audit"), &json!("LacksPermission")),
        "{record}"
    );
}

/// The pods' own range is every namespace, in whatever pieces.
fn addresses_of_pods(world: &World) {
    let from = |blocks: Value| {
        let spec = json!({"podSelector": {}, "ingress": [{"from": blocks, "ports": [{"port": 80}]}]});
        world.apply("mallory", &policy("web", "addresses", &spec))
    };
    let said =
        from(json!([{"ipBlock": {"cidr": "192.168.0.0/17"}}, {"ipBlock": {"cidr": "192.168.128.0/17"}}])).refused();
    assert_eq!(named(&said), ["AllNamespaces"], "{said}");
    let said = from(json!([{"ipBlock": {"cidr": "fd00:10:244::/64"}}])).refused();
    assert_eq!(named(&said), ["AllNamespaces"], "{said}");
    from(json!([{"ipBlock": {"cidr": "192.168.0.0/15", "except": ["192.168.0.0/16"]}}])).ok();
}

/// Each check is an object, and `can-i` answers by its name.
fn are_published(world: &World) {
    let published = wait_until(Duration::from_secs(60), "the checks to be published", || {
        let list = world
            .kubectl("admin", "get policychecks -o jsonpath={.items[*].metadata.name}")
            .succeeded()
            .ok()?;
        (list.split_whitespace().count() == cases().len()).then_some(())
    });
    published.unwrap_or_else(|error| panic!("{error}"));
    let told = world.kubectl("admin", "get policychecks").ok();
    assert!(
        told.contains("UnknownPort") && told.contains("A named port that no selected pod has."),
        "{told}"
    );
    let may = |user: &str| {
        let question = "auth can-i waive policychecks.ringfence.dev/WorldIngress --all-namespaces";
        world.kubectl(user, question).stdout.trim().to_owned()
    };
    assert_eq!((may("ci").as_str(), may("mallory").as_str()), ("yes", "no"));
}
