//! The CRDs on a real API server: accepted, known to discovery, and losing nothing of what is published.

use std::time::Duration;

use jiff::Timestamp;
use ringfence::manifests::crds::crds;
use ringfence::manifests::published::{published_guardrails, published_segments};
use ringfence_controlplane::{ControlPlane, Options, User, started_or_skipped, wait_until};
use ringfence_core::guardrails::{Source, compile};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  rollout: {default: Audit, namespaces: [{name: payments, mode: Enforce}]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  description: Card data. Ask team payments for access.
  members:
    - namespaces: [payments]
      podSelector: {matchLabels: {app: hollowdb}}
  clients:
    - namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [dev]}]}
      podSelector: {matchLabels: {app: hollowapp}, matchExpressions: [{key: tier, operator: Exists}]}
";

fn apply(cluster: &ControlPlane, object: &Value) {
    let arguments = ["apply", "--server-side", "--validate=strict", "-f", "-"];
    cluster
        .kubectl("admin")
        .args(arguments)
        .stdin(object.to_string())
        .run()
        .ok();
}

fn established(cluster: &ControlPlane) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": crds()});
    apply(cluster, &list);
    for crd in crds() {
        let name = crd.metadata.name.expect("a CRD has a name");
        let conditions = wait_until(PATIENCE, "the CRD to be established", || {
            let crd = cluster
                .kubectl("admin")
                .args(["get", "crd", &name, "-o", "json"])
                .run()
                .json();
            let conditions = crd["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let holds = |kind: &str| {
                conditions
                    .iter()
                    .any(|one| one["type"] == kind && one["status"] == "True")
            };
            (holds("Established") && holds("NamesAccepted")).then(|| conditions.clone())
        })
        .expect("the API server accepts the names");
        assert!(
            conditions.iter().all(|one| one["type"] != "NonStructuralSchema"),
            "{name}: {conditions:?}"
        );
    }
}

fn discovery(cluster: &ControlPlane) {
    let known = wait_until(PATIENCE, "discovery to know the group", || {
        let path = "/apis/ringfence.dev/v1alpha1";
        let answer = cluster.request("admin", "GET", path).send();
        let resources = if answer.status == 200 {
            answer.ok()["resources"].as_array().cloned()?
        } else {
            return None;
        };
        (resources.len() == 8).then_some(resources)
    })
    .expect("four resources with a status each");
    let mut names: Vec<(&str, &str, bool)> = known
        .iter()
        .filter_map(|one| {
            Some((
                one["name"].as_str()?,
                one["kind"].as_str()?,
                one["namespaced"].as_bool()?,
            ))
        })
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            ("guardrails", "Guardrails", false),
            ("guardrails/status", "Guardrails", false),
            ("isolationprofiles", "IsolationProfile", false),
            ("isolationprofiles/status", "IsolationProfile", false),
            ("policychecks", "PolicyCheck", false),
            ("policychecks/status", "PolicyCheck", false),
            ("segments", "Segment", false),
            ("segments/status", "Segment", false),
        ]
    );
}

/// Writes an object and its status, and gives back what the API server made of it.
fn published(cluster: &ControlPlane, resource: &str, object: &Value) -> Value {
    apply(cluster, object);
    let status = json!({"status": object["status"]});
    let name = object["metadata"]["name"].as_str().expect("a name");
    let path = format!("/apis/ringfence.dev/v1alpha1/{resource}/{name}");
    cluster
        .request("admin", "PATCH", &format!("{path}/status?fieldValidation=Strict"))
        .header("content-type", "application/merge-patch+json")
        .body(status.to_string())
        .send()
        .ok();
    cluster.request("admin", "GET", &path).send().ok()
}

#[test]
fn what_is_published_is_kept_whole_and_shown() {
    let options = Options {
        users: vec![User::new("connie")],
        ..Options::bare()
    };
    let Some(cluster) = started_or_skipped(&options) else {
        return;
    };
    established(&cluster);
    discovery(&cluster);

    let source = Source {
        name: "guardrails.yaml".to_owned(),
        text: GUARDRAILS.to_owned(),
    };
    let compiled = compile(&[source]).expect("valid");
    let guardrails = published_guardrails(&compiled.guardrails, &compiled.notices, None, None, Timestamp::now());
    let segments = published_segments(&compiled.guardrails);
    for (resource, object) in [
        ("guardrails", serde_json::to_value(guardrails).expect("JSON")),
        ("segments", serde_json::to_value(&segments[0]).expect("JSON")),
    ] {
        let kept = published(&cluster, resource, &object);
        assert_eq!(kept["spec"], object["spec"], "nothing of {resource} is pruned");
        assert_eq!(kept["status"], object["status"], "nothing of {resource} is pruned");
    }

    let table = cluster.kubectl("admin").args(["get", "segments"]).run().ok();
    let words = |line: usize| table.lines().nth(line).unwrap_or_default().to_owned();
    let columns: Vec<String> = words(0).split_whitespace().map(str::to_owned).collect();
    assert_eq!(
        columns,
        [
            "NAME", "MEMBERS", "MEMBER", "PODS", "CLIENTS", "CLIENT", "PODS", "UNJUDGED", "ISOLATED", "MODE",
            "CONSENT", "AGE"
        ]
    );
    for shown in ["payments-db", "app=hollowdb in payments", "Enforce", "payments "] {
        assert!(words(1).contains(shown), "{table}");
    }
    let all = cluster
        .kubectl("admin")
        .args(["get", "ringfence", "-o", "name"])
        .run()
        .ok();
    assert_eq!(
        all.lines().collect::<Vec<_>>(),
        ["guardrails.ringfence.dev/default", "segment.ringfence.dev/payments-db"],
        "the category holds all kinds"
    );
    let explained = cluster
        .kubectl("admin")
        .args(["explain", "segments.spec.members"])
        .run()
        .ok();
    assert!(explained.contains("needs `join`"), "{explained}");
    every_field_is_kept(&cluster);
    misspelt_fields_are_refused(&cluster);
    can_i_answers_what_rbac_says(&cluster);
}

/// Documents that use every field there is, as configuration is written.
const EVERYTHING: &str = include_str!("../core/src/guardrails/tests/everything.yaml");

fn every_field_is_kept(cluster: &ControlPlane) {
    let documents: Vec<Value> = serde_saphyr::from_multiple(EVERYTHING).expect("YAML");
    assert!(documents.len() >= 4, "every kind is there");
    for document in documents {
        let kind = document["kind"].as_str().expect("a kind");
        let plural = crds()
            .into_iter()
            .find(|crd| crd.spec.names.kind == kind)
            .expect("a CRD")
            .spec
            .names
            .plural;
        let kept = published(cluster, &plural, &document);
        assert_eq!(kept["spec"], document["spec"], "{kind}");
    }
}

fn misspelt_fields_are_refused(cluster: &ControlPlane) {
    let wrong = json!({
        "apiVersion": "ringfence.dev/v1alpha1", "kind": "Segment", "metadata": {"name": "wrong"},
        "spec": {"members": [{"namespaces": ["a"], "podSelecter": {}, "podSelector": {}}]},
    });
    let arguments = ["create", "--validate=strict", "-f", "-"];
    let refusal = cluster
        .kubectl("admin")
        .args(arguments)
        .stdin(wrong.to_string())
        .run()
        .refused();
    assert!(refusal.contains("podSelecter"), "{refusal}");
}

fn can_i_answers_what_rbac_says(cluster: &ControlPlane) {
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "payments"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
         "metadata": {"name": "connect", "namespace": "payments"},
         "rules": [{"apiGroups": ["ringfence.dev"], "resources": ["segments"], "resourceNames": ["payments-db"],
                    "verbs": ["connect"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
         "metadata": {"name": "connect", "namespace": "payments"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "connect"},
         "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "connie"}]},
    ]});
    apply(cluster, &objects);
    let may = |verb: &str, namespace: &str| {
        let arguments = [
            "auth",
            "can-i",
            verb,
            "segments.ringfence.dev/payments-db",
            "-n",
            namespace,
        ];
        let answer = cluster.kubectl("connie").args(arguments).run();
        answer.stdout.trim() == "yes"
    };
    wait_until(PATIENCE, "RBAC to know the binding", || {
        may("connect", "payments").then_some(())
    })
    .expect("can-i knows the resource by its CRD");
    assert!(!may("connect", "default"), "only where it was granted");
    assert!(!may("join", "payments"), "only what was granted");
}
