//! Policies of kinds that ringfence does not read: left out while the cluster has no such kind, then applied as they are and
//! held to it, defaults and all.

use ringfence_controlplane::eventually;
use serde_json::{Value, json};

use crate::world::{GUARDRAILS, World, world};

const PROFILE: &str = "
---
apiVersion: ringfence.dev/v1alpha1
kind: IsolationProfile
metadata: {name: mixed}
spec:
  policies:
    - builtin: default-deny-ingress
  manifests:
    - apiVersion: nets.example.com/v1
      kind: WidgetPolicy
      metadata: {name: extra}
      spec: {rule: deny}
";

/// A kind that fills in what nobody said.
fn definition() -> Value {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "rule": {"type": "string"}, "order": {"type": "integer", "default": 10}, "note": {"type": "string"}}}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgetpolicies.nets.example.com"},
        "spec": {"group": "nets.example.com", "scope": "Namespaced",
            "names": {"plural": "widgetpolicies", "singular": "widgetpolicy", "kind": "WidgetPolicy", "listKind": "WidgetPolicyList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

fn rights() -> Value {
    let verbs = ["get", "list", "watch", "create", "patch", "update", "delete"];
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "ringfence-widgets", "labels": {"ringfence.dev/aggregate-to-policies": "true"}},
        "rules": [{"apiGroups": ["nets.example.com"], "resources": ["widgetpolicies"], "verbs": verbs}]})
}

fn path(namespace: &str) -> String {
    format!("/apis/nets.example.com/v1/namespaces/{namespace}/widgetpolicies/ringfence-extra")
}

fn widget(world: &World, namespace: &str) -> Option<Value> {
    let answer = world.cluster.request("admin", "GET", &path(namespace)).send();
    (answer.status == 200).then(|| answer.ok())
}

#[test]
fn a_policy_of_a_kind_that_comes_later_is_applied_then_and_held_to_what_it_says() {
    let Some(world) = world() else { return };
    let mixed = json!({"ringfence.dev/isolation": "mixed"});
    world.configure(&format!("{GUARDRAILS}{PROFILE}"));
    world.namespace("widgets", &mixed);
    world.wait_for_policies("widgets", &["ringfence-default-deny-ingress"]);
    world.pod("widgets", "first").ok();
    eventually("the missing kind to be told", || {
        let profile = world.cluster.object(&["isolationprofile.ringfence.dev", "mixed"])?;
        let status = &profile["status"];
        (status["missingKinds"] == json!(["WidgetPolicy (nets.example.com/v1)"]) && status["failing"] == 0)
            .then_some(())
    });

    world
        .post("/apis/rbac.authorization.k8s.io/v1/clusterroles", &rights())
        .ok();
    world
        .post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition())
        .ok();
    let first = eventually("it to be applied", || widget(&world, "widgets"));
    assert_eq!(
        first["spec"],
        json!({"rule": "deny", "order": 10}),
        "as the API server writes it down"
    );
    assert_eq!(first["metadata"]["labels"]["ringfence.dev/profile"], "mixed");

    world
        .cluster
        .request("admin", "PATCH", &path("widgets"))
        .json(&json!({"spec": {"note": "planted"}}))
        .send()
        .ok();
    eventually("what was planted to be gone", || {
        (widget(&world, "widgets")?["spec"] == json!({"rule": "deny", "order": 10})).then_some(())
    });
    world.cluster.request("admin", "DELETE", &path("widgets")).send().ok();
    eventually("it to be made again", || widget(&world, "widgets"));

    // A pod that comes before anybody has seen its namespace: both policies stand first.
    world.stall_watches();
    world.namespace("widgets-unseen", &mixed);
    eventually("the pod", || {
        (world.pod("widgets-unseen", "first").status == 201).then_some(())
    });
    eventually("replicas to know the kind", || {
        world
            .post(
                "/api/v1/namespaces/widgets-unseen/pods",
                &json!({"metadata": {"generateName": "pod-"},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}}),
            )
            .ok();
        widget(&world, "widgets-unseen")
    });
    for replica in world.ringfence.replicas() {
        replica.gate().resume_watches();
    }
    eventually("nothing to be lacking", || {
        (world.ringfence.counted("ringfence_isolation_lacking_namespaces") == 0).then_some(())
    });
    // What the profile has no longer goes.
    world
        .patch(
            "/api/v1/namespaces/widgets",
            &json!({"metadata": {"labels": {"ringfence.dev/isolation": "none"}}}),
        )
        .ok();
    eventually("it to be taken away", || {
        widget(&world, "widgets").is_none().then_some(())
    });
    world.configure(GUARDRAILS);
    world.admin(&["delete", "crd", "widgetpolicies.nets.example.com"]).ok();
    world.admin(&["delete", "clusterrole", "ringfence-widgets"]).ok();
}
