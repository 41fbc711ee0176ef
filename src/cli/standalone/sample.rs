//! A review to begin with: a pod that the first segment's clause matches, made by a user whom nobody knows. From the
//! snapshot in, the JSON of an AdmissionReview out.

use ringfence_core::guardrails::{Clause, NamespaceSet};
use ringfence_core::labels::{Operator, Selector};
use ringfence_core::model::Snapshot;
use serde_json::{Map, Value, json};

/// The AdmissionReview of a pod that a clause matches, where there is one and labels can satisfy it.
pub(super) fn review(snapshot: &Snapshot) -> String {
    let clause = snapshot
        .guardrails
        .segments
        .iter()
        .flat_map(|segment| segment.clients.iter().chain(&segment.members))
        .next();
    let namespace = clause
        .and_then(|clause| namespace(snapshot, clause))
        .unwrap_or_else(|| "default".to_owned());
    let labels = clause.map(|clause| labels(&clause.pods)).unwrap_or_default();
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "00000000-0000-4000-8000-000000000001",
            "kind": kind, "requestKind": kind,
            "resource": resource, "requestResource": resource,
            "name": "sample", "namespace": namespace, "operation": "CREATE",
            "userInfo": {"username": "somebody", "groups": ["system:authenticated"]},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "sample", "namespace": namespace, "labels": labels},
                "spec": {"containers": [{"name": "main", "image": "registry.example/sample:1"}]},
            },
            "oldObject": null, "dryRun": false,
        },
    });
    format!("{review:#}\n")
}

/// A namespace that the clause covers, as far as the manifests know any.
fn namespace(snapshot: &Snapshot, clause: &Clause) -> Option<String> {
    match &clause.namespaces {
        NamespaceSet::Named(names) => names.first().map(ToString::to_string),
        NamespaceSet::Selected(selector) => {
            let mut names: Vec<&str> = snapshot
                .namespaces
                .iter()
                .filter(|(_, namespace)| selector.matches(&namespace.labels))
                .map(|(name, _)| name.as_str())
                .collect();
            names.sort_unstable();
            names.first().map(|name| (*name).to_owned())
        }
    }
}

/// Labels that satisfy every requirement that asks for presence.
fn labels(selector: &Selector) -> Map<String, Value> {
    let present = selector.requirements().iter().filter_map(|requirement| {
        let value = match &requirement.operator {
            Operator::In(values) => values.first().cloned().unwrap_or_default(),
            Operator::Exists => String::new(),
            Operator::NotIn(_) | Operator::DoesNotExist => return None,
        };
        Some((requirement.key.clone(), Value::String(value)))
    });
    present.collect()
}
