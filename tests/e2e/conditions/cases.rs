//! What is sent to pods, bindings, namespaces and policies: the object that requests begin from, the changes that must reach
//! ringfence and those that must not.

use ringfence_controlplane::NODE_USER;
use serde_json::{Value, json};

use super::templates::template;

/// Bytes of what is put into an object to make it large; etcd takes about 1.5 MB.
pub(super) const LARGE: usize = 900_000;

/// Where the objects are.
pub(super) const NAMESPACE: &str = "web";

const JSON: &str = "application/json";
pub(super) const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Whether a request reaches ringfence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reaches {
    Yes,
    No,
}
pub(super) use Reaches::{No, Yes};

/// A write of one path.
pub(super) struct Case {
    /// `UPDATE pods/status`: as it is counted.
    pub(super) path: String,
    /// Who writes.
    pub(super) user: &'static str,
    pub(super) method: &'static str,
    pub(super) content: &'static str,
    /// Below the object's URL, or the whole.
    pub(super) at: String,
    pub(super) body: Value,
    pub(super) reaches: Reaches,
}

pub(super) fn patch(path: &'static str, at: &str, body: Value, reaches: Reaches) -> Case {
    Case {
        path: path.to_owned(),
        user: "admin",
        method: "PATCH",
        content: STRATEGIC,
        at: at.to_owned(),
        body,
        reaches,
    }
}

/// Changes of an object's metadata: all of them but labels matter to nobody.
pub(super) fn metadata() -> Vec<Value> {
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "none"}]);
    vec![
        json!({}),
        json!({"metadata": {"annotations": {"note": "mine"}}}),
        json!({"metadata": {"annotations": null}}),
        json!({"metadata": {"finalizers": ["example.org/hold"]}}),
        json!({"metadata": {"ownerReferences": owner}}),
        json!({"metadata": {"annotations": {"large": "x".repeat(200_000)}}}),
    ]
}

pub(super) fn url(group_version: &str, resource: &str, name: &str) -> String {
    let root = if group_version == "v1" { "api" } else { "apis" };
    format!("/{root}/{group_version}/namespaces/{NAMESPACE}/{resource}/{name}")
}

/// One object with the other's keys.
pub(super) fn merged(mut one: Value, other: &Value) -> Value {
    for (key, value) in other.as_object().into_iter().flatten() {
        one[key] = value.clone();
    }
    one
}

pub(super) fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "spec": template()["spec"]})
}

/// In a strategic merge patch: this address, whatever others were there.
fn alone(address: &str) -> Value {
    json!([{"$patch": "replace"}, {"ip": address}])
}

pub(super) fn cases_of_pods() -> Vec<Case> {
    let at = url("v1", "pods", "still");
    let status = format!("{at}/status");
    let images = |containers: &str, name: &str| json!({"spec": {containers: [{"name": name, "image": "app:2"}]}});
    let labels = [
        json!({"metadata": {"labels": {"app": "hollowapp"}}}),
        json!({"metadata": {"labels": {"run": null}}}),
        json!({"metadata": {"labels": null}}),
    ];
    let mut cases = Vec::new();
    for body in metadata() {
        cases.push(patch("UPDATE pods", &at, body.clone(), No));
        cases.push(patch("UPDATE pods/status", &status, body, No));
    }
    for body in labels {
        cases.push(patch("UPDATE pods", &at, body.clone(), Yes));
        cases.push(patch("UPDATE pods/status", &status, body, Yes));
    }
    let deadline = json!({"spec": {"activeDeadlineSeconds": 99}});
    cases.push(patch("UPDATE pods", &at, deadline, No));
    cases.push(patch("UPDATE pods", &at, images("containers", "main"), Yes));
    cases.push(patch("UPDATE pods", &at, images("initContainers", "first"), Yes));
    // As a kubelet tells how its pods are.
    let running = json!({"status": {
        "phase": "Running", "podIP": "10.244.0.77", "podIPs": alone("10.244.0.77"),
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
        "containerStatuses": [{"name": "main", "image": "app:1", "imageID": "", "ready": true, "restartCount": 3,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
    }});
    let placed = format!("{}/status", url("v1", "pods", "placed"));
    let by_its_node = patch("UPDATE pods/status", &placed, running.clone(), No);
    cases.push(Case {
        user: NODE_USER,
        ..by_its_node
    });
    // Of no node yet: this one speaks for another.
    let by_a_node = patch("UPDATE pods/status", &status, running.clone(), Yes);
    cases.push(Case {
        user: NODE_USER,
        ..by_a_node
    });
    cases.push(patch("UPDATE pods/status", &placed, running, Yes));
    for (field, value) in [("phase", json!("Failed")), ("podIP", json!("10.244.0.78"))] {
        cases.push(patch(
            "UPDATE pods/status",
            &placed,
            json!({"status": {field: value}}),
            Yes,
        ));
    }
    let host = json!({"status": {"hostIP": "192.0.2.1", "hostIPs": alone("192.0.2.1")}});
    cases.push(patch("UPDATE pods/status", &placed, host, Yes));
    let conditions = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}], "reason": "Evicted"}});
    cases.push(patch("UPDATE pods/status", &placed, conditions, No));
    cases.push(patch(
        "UPDATE pods/status",
        &status,
        json!({"status": {"message": "x".repeat(LARGE)}}),
        No,
    ));
    cases
}

pub(super) fn cases_of_bindings() -> Vec<Case> {
    let binding = |metadata: Value| json!({"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": {"kind": "Node", "name": "node-0"}});
    let zone = json!({"topology.kubernetes.io/zone": "a", "topology.kubernetes.io/region": "b"});
    let metadata = [
        (json!({"name": "still"}), No),
        (json!({"name": "still", "labels": null}), No),
        (json!({"name": "still", "labels": {}}), No),
        (
            json!({"name": "still", "labels": zone, "annotations": {"note": "mine"}}),
            No,
        ),
        (json!({"name": "still", "labels": {"app": "hollowapp"}}), Yes),
        (
            json!({"name": "still", "labels": merged(zone, &json!({"app": "hollowapp"}))}),
            Yes,
        ),
    ];
    let paths = [
        ("CREATE pods/binding", url("v1", "pods", "still/binding")),
        ("CREATE bindings", format!("/api/v1/namespaces/{NAMESPACE}/bindings")),
    ];
    let mut cases = Vec::new();
    for (path, at) in paths {
        cases.extend(metadata.iter().map(|(metadata, reaches)| Case {
            path: path.to_owned(),
            user: "admin",
            method: "POST",
            content: JSON,
            at: at.clone(),
            body: binding(metadata.clone()),
            reaches: *reaches,
        }));
    }
    cases
}

pub(super) fn cases_of_namespaces() -> Vec<Case> {
    let at = format!("/api/v1/namespaces/{NAMESPACE}");
    let labels = json!({"metadata": {"labels": {"team": "blue"}}});
    let mut cases = Vec::new();
    for (path, at) in [
        ("UPDATE namespaces", at.clone()),
        ("UPDATE namespaces/status", format!("{at}/status")),
    ] {
        cases.push(patch(path, &at, labels.clone(), Yes));
        cases.push(patch(
            path,
            &at,
            json!({"metadata": {"annotations": {"note": "mine"}}}),
            No,
        ));
        cases.push(patch(path, &at, json!({}), No));
        // The API server puts the one label back that names the namespace.
        cases.push(patch(path, &at, json!({"metadata": {"labels": null}}), No));
    }
    let told = json!({"status": {"conditions": [{"type": "Told", "status": "True", "lastTransitionTime": null}]}});
    cases.push(patch("UPDATE namespaces/status", &format!("{at}/status"), told, No));
    let whole = |labels: Value, finalizers: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}, "spec": {"finalizers": finalizers}});
    let name = json!({"kubernetes.io/metadata.name": NAMESPACE});
    let finalize = [
        (whole(name.clone(), json!(["kubernetes"])), No),
        (whole(name.clone(), json!(["kubernetes", "example.org/hold"])), No),
        (
            whole(merged(name, &json!({"team": "blue"})), json!(["kubernetes"])),
            Yes,
        ),
    ];
    cases.extend(finalize.into_iter().map(|(body, reaches)| Case {
        path: "UPDATE namespaces/finalize".to_owned(),
        user: "admin",
        method: "PUT",
        content: JSON,
        at: format!("{at}/finalize"),
        body,
        reaches,
    }));
    cases
}

/// A policy with everything in its metadata that could take it out of force.
pub(super) fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {
            "name": "still", "namespace": NAMESPACE, "labels": {"team": "blue"}, "annotations": {"kept": "as-it-is"},
            "finalizers": ["example.org/one", "example.org/two"],
            // An owner of no kind that the garbage collector knows.
            "ownerReferences": [
                {"apiVersion": "example.org/v1", "kind": "Unknown", "name": "1", "uid": "1"},
                {"apiVersion": "example.org/v1", "kind": "Unknown", "name": "2", "uid": "2"},
            ],
        },
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    })
}

pub(super) fn cases_of_policies() -> Vec<Case> {
    let at = url("networking.k8s.io/v1", "networkpolicies", "still");
    let change = |pointer: &str, value: Value, reaches| {
        let mut whole = policy();
        *whole.pointer_mut(pointer).expect("it is there") = value;
        Case {
            path: "UPDATE networkpolicies".to_owned(),
            user: "admin",
            method: "PUT",
            content: JSON,
            at: at.clone(),
            body: whole,
            reaches,
        }
    };
    let owner =
        |number: &str| json!({"apiVersion": "example.org/v1", "kind": "Unknown", "name": number, "uid": number});
    let empty = || json!([]);
    vec![
        change("/metadata/name", json!("still"), No),
        change("/metadata/finalizers", empty(), No),
        change("/metadata/finalizers", Value::Null, No),
        change("/metadata/finalizers", json!(["example.org/two"]), No),
        change("/metadata/ownerReferences", empty(), No),
        change("/metadata/ownerReferences", json!([owner("2")]), No),
        change(
            "/metadata/finalizers",
            json!(["example.org/one", "example.org/three"]),
            Yes,
        ),
        change("/metadata/ownerReferences", json!([owner("1"), owner("3")]), Yes),
        change("/metadata/labels", json!({"team": "red"}), Yes),
        change("/metadata/labels", Value::Null, Yes),
        change("/metadata/annotations", json!({"kept": "changed"}), Yes),
        change("/metadata/annotations", Value::Null, Yes),
        change("/spec/policyTypes", json!(["Egress"]), Yes),
        change(
            "/spec",
            json!({"podSelector": {"matchLabels": {"app": "x".repeat(60)}}}),
            Yes,
        ),
    ]
}
