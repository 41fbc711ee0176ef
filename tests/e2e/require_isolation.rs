//! Members that are always isolated: what takes the last policy from them, by every way that takes one.

use serde_json::{Value, json};

use super::modes::told_where_not_enforced;
use super::world::{World, bind};

/// Three segments of one kind, each in its own namespace and mode.
fn guardrails() -> String {
    let segment = |name: &str, mode: &str| {
        format!(
            "---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {{name: {name}}}
spec:
  mode: {mode}
  consent: {{cluster: true}}
  members: [{{namespaces: [{name}], podSelector: {{matchLabels: {{app: db}}}}}}]
  requireIsolation: [Ingress]
"
        )
    };
    let head =
        "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {name: default}\nspec: {mode: Enforce}\n";
    [
        head.to_owned(),
        segment("held", "Enforce"),
        segment("warned", "Warn"),
        segment("audited", "Audit"),
    ]
    .concat()
}

fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn members() -> Value {
    json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]})
}

fn everything() -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"]})
}

/// Whether it was refused for leaving members unisolated.
#[track_caller]
fn unisolated(said: &str) {
    assert!(
        said.contains("may not leave members of segment held unisolated"),
        "{said}"
    );
    assert!(
        said.contains("ringfence grant waive policychecks/RequireIsolation --cluster"),
        "{said}"
    );
}

const NARROWED: &str = r#"[{"op":"add","path":"/spec/podSelector/matchLabels/tier","value":"back"}]"#;
const OTHER_DIRECTION: &str = r#"[{"op":"replace","path":"/spec/policyTypes","value":["Egress"]}]"#;
const ALL_OF_HELD: &str = "/apis/networking.k8s.io/v1/namespaces/held/networkpolicies";

#[test]
fn members_are_never_left_without_a_policy() {
    let Some(world) = World::own(&guardrails()) else { return };
    for namespace in ["held", "warned", "audited"] {
        world.kubectl("admin", &format!("create namespace {namespace}")).ok();
        for user in ["mallory", "pam"] {
            bind(&world.cluster, namespace, "ClusterRole/edit", user);
        }
        world.apply("admin", &policy(namespace, "deny", &members())).ok();
        world
            .grant("admin", &format!("manage segments/{namespace} --cluster --user pam"))
            .ok();
    }
    world.eventually("pam", "annotate netpol deny -n held seen=yes --dry-run=server");

    // Who may only edit gets nowhere at all; who manages the policies may not leave the members without one.
    let said = world.kubectl("mallory", "delete netpol deny -n held").refused();
    assert!(said.contains("may not be deleted from segment held"), "{said}");
    let managed = |arguments: &str| world.kubectl("pam", arguments);
    unisolated(&world.eventually_refused("pam", "delete netpol deny -n held --dry-run=server"));
    wait_until_managed(&world);
    unisolated(&managed("delete netpol deny -n held").refused());
    unisolated(&managed(&format!("patch netpol deny -n held --type=json -p={NARROWED}")).refused());
    unisolated(&managed(&format!("patch netpol deny -n held --type=json -p={OTHER_DIRECTION}")).refused());
    // One that selects other pods, or the other direction, does not take its place.
    let out = json!({"podSelector": {}, "policyTypes": ["Egress"]});
    world.apply("pam", &policy("held", "out", &out)).ok();
    unisolated(&managed("delete netpol deny -n held").refused());

    // One that a finalizer alone holds up is as good as gone.
    let mut dying = policy("held", "dying", &everything());
    dying["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.apply("pam", &dying).ok();
    managed("delete netpol dying -n held --wait=false").ok();
    unisolated(&managed("delete netpol deny -n held").refused());
    managed(r#"patch netpol dying -n held --type=json -p=[{"op":"remove","path":"/metadata/finalizers"}]"#).ok();

    // What its owner left the garbage collector may not delete either.
    let mut owned = policy("held", "owned", &everything());
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]);
    world.apply("pam", &owned).ok();
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    world
        .ringfence
        .wait_for_record("the garbage collector to be refused", |record| {
            record["user"] == collector && record["name"] == "owned" && record["verdict"] == "deny"
        });
    managed("delete netpol owned -n held").ok();

    // Of a whole collection the last one that holds them stays.
    world.apply("pam", &policy("held", "also", &everything())).ok();
    unisolated(&managed(&format!("delete --raw {ALL_OF_HELD}")).refused());
    let left = managed("get netpol -n held -o jsonpath={.items[*].metadata.name}").ok();
    assert_eq!(
        left.split_whitespace()
            .filter(|name| ["deny", "also"].contains(name))
            .count(),
        1,
        "{left}"
    );

    // Where another holds them, it may go; and the last one with a permission.
    world.apply("pam", &policy("held", "deny", &members())).ok();
    world.apply("pam", &policy("held", "also", &everything())).ok();
    managed("delete netpol deny -n held").ok();
    unisolated(&managed("delete netpol also -n held").refused());
    world
        .grant("admin", "waive policychecks/RequireIsolation --cluster --user pam")
        .ok();
    world.eventually("pam", "delete netpol also -n held");

    modes(&world);

    // A namespace takes its policies along.
    world.apply("admin", &policy("held", "deny", &members())).ok();
    world
        .kubectl("admin", "delete namespace held --wait=true --timeout=60s")
        .ok();
}

/// Waits until both replicas know that pam manages the segment's policies.
#[track_caller]
fn wait_until_managed(world: &World) {
    let known = ringfence_controlplane::wait_until(super::world::PATIENCE, "pam to manage", || {
        let said = world
            .kubectl("pam", "delete netpol deny -n held --dry-run=server")
            .stderr;
        (!said.contains("may not be deleted")).then_some(())
    });
    known.unwrap_or_else(|error| panic!("{error}"));
}

/// Warn and Audit let it happen; the one says so, both record it.
fn modes(world: &World) {
    world
        .grant("admin", "manage segments/warned --cluster --user mallory")
        .ok();
    world
        .grant("admin", "manage segments/audited --cluster --user mallory")
        .ok();
    let warning = "NetworkPolicy warned/deny may not leave members of segment warned unisolated";
    told_where_not_enforced(world, "RequireIsolation", warning, |namespace| {
        world.kubectl("mallory", &format!("delete netpol deny -n {namespace}"))
    });
}
