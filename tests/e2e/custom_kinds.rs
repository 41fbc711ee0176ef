//! Custom kinds that make pods: a CRD like those of progressive delivery, its controller played by the test with a
//! service account. The template is judged where it is written; what the controller makes of it inherits that.

use ringfence_controlplane::wait_until;
use serde_json::{Value, json};

use super::world::{PATIENCE, World};

const GUARDRAILS: &str = r#"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  workloads:
    - {group: argoproj.io, version: v1alpha1, resource: rollouts, template: /spec/template,
       controllers: ["system:serviceaccount:argo-rollouts:argo-rollouts"]}
    - {group: argoproj.io, version: v1alpha1, resource: experiments, template: /spec/templates,
       controllers: ["system:serviceaccount:argo-rollouts:argo-rollouts"]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  consent: {namespace: payments}
  members: [{namespaces: [payments], podSelector: {matchLabels: {app: hollowdb}}}]
  clients: [{namespaceSelector: {}, podSelector: {matchLabels: {app: hollowapp}}}]
"#;

/// A CRD as loose as one may be: nothing but ringfence looks into its templates.
fn crd(kind: &str, plural: &str) -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.argoproj.io")},
        "spec": {
            "group": "argoproj.io", "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
            }],
        },
    })
}

fn template(app: &str, image: &str) -> Value {
    json!({
        "metadata": {"labels": {"run": "front", "app": app}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    })
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "web"}, "spec": spec})
}

/// The kinds, their controller's account and its rights, ringfence's right to read them, and who may write them.
fn argo(world: &World) {
    for (kind, plural) in [("Rollout", "rollouts"), ("Experiment", "experiments")] {
        world.apply("admin", &crd(kind, plural)).ok();
        world
            .kubectl(
                "admin",
                &format!("wait --for=condition=Established crd/{plural}.argoproj.io --timeout=60s"),
            )
            .ok();
    }
    let role = |name: &str, labels: Value, rules: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels}, "rules": rules})
    };
    let kinds = json!(["rollouts", "experiments"]);
    let read = json!([{"apiGroups": ["argoproj.io"], "resources": kinds, "verbs": ["get"]}]);
    let aggregate = json!({"ringfence.dev/aggregate-to-workloads": "true"});
    world
        .apply("admin", &role("ringfence-reads-argo", aggregate, read))
        .ok();
    let write = json!([{"apiGroups": ["argoproj.io"], "resources": kinds, "verbs": ["*"]}]);
    let edit = json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"});
    world.apply("admin", &role("argo-edit", edit, write)).ok();
    world.cluster.create_namespace("argo-rollouts", &[]);
    world
        .kubectl("admin", "create serviceaccount argo-rollouts -n argo-rollouts")
        .ok();
    world
        .kubectl(
            "admin",
            "create clusterrolebinding argo-rollouts --clusterrole=edit --serviceaccount=argo-rollouts:argo-rollouts",
        )
        .ok();
    world.eventually("mallory", "auth can-i create rollouts.argoproj.io -n web");
    world.eventually("ci", "auth can-i create rollouts.argoproj.io -n web");
    let served = world.eventually(
        "admin",
        "get validatingwebhookconfiguration ringfence -o jsonpath={.webhooks[*].rules[*].resources}",
    );
    assert!(
        served.contains("rollouts") && served.contains("experiments"),
        "{served}"
    );
    world.eventually(
        "admin",
        "auth can-i get rollouts.argoproj.io -n web --as=system:serviceaccount:ringfence-system:ringfence",
    );
}

/// As the controller does: writes what it makes of a Rollout.
fn controller(world: &World, object: &Value) -> ringfence_controlplane::Output {
    world
        .cluster
        .kubectl_as_account("argo-rollouts", "argo-rollouts")
        .args(["apply", "--server-side", "-f", "-"])
        .stdin(object.to_string())
        .run()
}

/// What a controller makes of an object: with this owner, from this template.
fn made(kind: &str, name: &str, owner: &Value, template: &Value) -> Value {
    let reference = json!([{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]);
    let metadata = json!({"name": name, "namespace": "web", "labels": template["metadata"]["labels"], "ownerReferences": reference});
    match kind {
        "Pod" => json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}),
        _ => json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {
            "replicas": 2, "selector": {"matchLabels": {"run": "front"}}, "template": template}}),
    }
}

fn get(world: &World, resource: &str, name: &str) -> Value {
    world
        .kubectl("admin", &format!("get {resource} {name} -n web -o json"))
        .json()
}

#[test]
fn a_rollout_is_judged_where_it_is_written_and_what_is_made_of_it_inherits() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    argo(&world);
    let rollout = |app: &str, image: &str| {
        object(
            "Rollout",
            "front",
            &json!({"replicas": 2, "template": template(app, image)}),
        )
    };
    let said = world.eventually_refused_apply("mallory", &rollout("hollowapp", "evil"));
    assert!(
        said.contains("rollouts web/front may not connect to segment payments-db"),
        "{said}"
    );
    world.apply("mallory", &rollout("other", "app:1")).ok();
    // An update that gains the label is judged as well, and so is a change of what runs under it.
    world.apply("mallory", &rollout("hollowapp", "app:1")).refused();
    world.let_connect("ci");
    let applied = wait_until(PATIENCE, "ci to be let in", || {
        world.apply("ci", &rollout("hollowapp", "app:1")).succeeded().ok()
    });
    applied.unwrap_or_else(|error| panic!("{error}"));
    world.apply("mallory", &rollout("hollowapp", "evil")).refused();
    world.kubectl("mallory", "annotate rollout front -n web note=mine").ok();

    // The controller makes a ReplicaSet of it, and kube-controller-manager its pods.
    let owner = get(&world, "rollouts", "front");
    let set = made("ReplicaSet", "front-1", &owner, &template("hollowapp", "app:1"));
    controller(&world, &set).ok();
    world
        .kubectl(
            "admin",
            "wait --for=jsonpath={.status.readyReplicas}=2 replicaset/front-1 -n web --timeout=60s",
        )
        .ok();
    // Or a pod itself.
    controller(
        &world,
        &made("Pod", "front-direct", &owner, &template("hollowapp", "app:1")),
    )
    .ok();

    // Not with another image than the template names, not of another owner, and nobody else in its name.
    controller(
        &world,
        &made("Pod", "front-swapped", &owner, &template("hollowapp", "evil")),
    )
    .refused();
    let mut forged = owner.clone();
    forged["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555".into();
    controller(
        &world,
        &made("Pod", "front-forged", &forged, &template("hollowapp", "app:1")),
    )
    .refused();
    world
        .apply(
            "mallory",
            &made("Pod", "front-borrowed", &owner, &template("hollowapp", "app:1")),
        )
        .refused();
    // An owner of the kind whose template does not have the label.
    world
        .apply(
            "mallory",
            &object("Rollout", "other", &json!({"template": template("other", "app:1")})),
        )
        .ok();
    let other = get(&world, "rollouts", "other");
    controller(
        &world,
        &made("Pod", "other-direct", &other, &template("hollowapp", "app:1")),
    )
    .refused();
}

#[test]
fn each_template_of_a_list_is_judged_in_its_place() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    argo(&world);
    let experiment = |templates: Value| object("Experiment", "try", &json!({"templates": templates}));
    let (plain, protected) = (template("other", "app:1"), template("hollowapp", "app:1"));
    world.eventually_refused_apply("mallory", &experiment(json!([plain, protected])));
    world.apply("mallory", &experiment(json!([plain, plain]))).ok();
    world.apply("mallory", &experiment(json!([plain, protected]))).refused();
    world.let_connect("ci");
    let applied = wait_until(PATIENCE, "ci to be let in", || {
        world
            .apply("ci", &experiment(json!([plain, protected])))
            .succeeded()
            .ok()
    });
    applied.unwrap_or_else(|error| panic!("{error}"));
    // What is kept is kept: a change beside it needs nothing, one under the label does.
    let moved = json!([template("other", "app:2"), protected]);
    world.apply("mallory", &experiment(moved.clone())).ok();
    world
        .apply(
            "mallory",
            &experiment(json!([template("other", "app:2"), template("hollowapp", "evil")])),
        )
        .refused();
    let owner = get(&world, "experiments", "try");
    controller(&world, &made("Pod", "try-1", &owner, &protected)).ok();
    controller(&world, &made("Pod", "try-2", &owner, &template("hollowapp", "app:2"))).refused();
}

/// Odd objects of a kind without a schema: no condition errs, and what is not understood is not let in unseen.
#[test]
fn odd_objects_of_a_custom_kind_are_let_in_or_refused_in_our_words() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    argo(&world);
    world.eventually_refused_apply(
        "mallory",
        &object("Rollout", "front", &json!({"template": template("hollowapp", "evil")})),
    );
    for (name, spec) in [
        ("none", json!(null)),
        ("empty", json!({})),
        ("null-template", json!({"template": null})),
        (
            "null-labels",
            json!({"template": {"metadata": {"labels": null}, "spec": null}}),
        ),
        ("a-list", json!({"template": []})),
    ] {
        let made = object("Rollout", name, &spec);
        world.apply("mallory", &made).ok();
        let said = world
            .apply(
                "mallory",
                &object("Rollout", name, &json!({"template": template("hollowapp", "evil")})),
            )
            .refused();
        assert!(
            said.contains("may not connect to segment payments-db"),
            "{name}: {said}"
        );
        world
            .kubectl("mallory", &format!("annotate rollout {name} -n web note=mine"))
            .ok();
    }
}
