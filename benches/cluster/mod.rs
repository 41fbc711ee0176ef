//! The largest cluster that reviews are promised for: 5,000 namespaces of 20 pods each, 10,000 policies, and segments that
//! are kept apart; with reviews of the writes that a policy is judged by.

use std::sync::Arc;

use ringfence_core::guardrails::{CheckName, Derived, Guardrails};
use ringfence_core::model::{Answer, Policies, Question, Running, Snapshot};
use ringfence_core::netpol::{Leniency, NamedPort, Policy, Protocol};
use serde_json::{Value, json};

use crate::world::{compiled, namespaces};

/// How many namespaces there are; half of them are labelled `env=dev`, which segments are kept apart from.
pub(crate) const NAMESPACES: usize = 5_000;

const APPS: [&str; 4] = ["web", "app", "db", "jobs"];

/// The snapshot with so many segments, every one and every check Enforce, and as many policies that opted in.
pub(crate) fn snapshot(segments: usize, protected: usize) -> Snapshot {
    let configured = guardrails(segments);
    let derived = derived(protected);
    let guardrails = configured.with_derived(&derived);
    assert_eq!(guardrails.derived().len(), protected);
    Snapshot {
        guardrails: Arc::new(guardrails),
        namespaces: Arc::new(namespaces(NAMESPACES, environment)),
        since: Arc::default(),
        policies: Arc::new(policies()),
    }
}

/// The configuration alone.
pub(crate) fn guardrails(segments: usize) -> Guardrails {
    let on_policies = CheckName::ALL
        .into_iter()
        .filter(|check| *check != CheckName::HostAccess);
    let checks: Vec<String> = on_policies
        .map(|check| format!("{{name: {}, mode: Enforce}}", check.as_str()))
        .collect();
    let mut text = format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, \
         spec: {{mode: Enforce, checks: [{}]}}}}\n",
        checks.join(", ")
    );
    for number in 0..segments {
        // Those of even numbers are labelled otherwise.
        let namespace = 2 * number % NAMESPACES;
        text += &format!(
            "---\n{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: segment-{number}}}, spec: {{\
             consent: {{cluster: true}}, requireIsolation: [Ingress], \
             members: [{{namespaces: [team-{namespace}], podSelector: {{matchLabels: {{app: db}}}}}}], \
             clients: [{{namespaces: [team-{namespace}], podSelector: {{matchLabels: {{app: client-{number}}}}}}}], \
             isolatedFrom: [{{namespaceSelector: {{matchLabels: {{env: dev}}}}}}]}}}}\n"
        );
    }
    compiled(text)
}

/// What so many policies make that opted in, each in a namespace of its own.
pub(crate) fn derived(protected: usize) -> Vec<Derived> {
    let of = |number: usize| Derived::of(&policy(number, "database", &database(number)));
    (0..protected).map(of).collect()
}

fn environment(namespace: usize) -> String {
    if namespace.is_multiple_of(2) { "prod" } else { "dev" }.to_owned()
}

fn policies() -> Policies {
    let of_namespace = |number: usize| {
        let closed = json!({"policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [{"podSelector": {}}]}]});
        [
            policy(number, "closed", &closed),
            policy(number, "database", &database(number)),
        ]
    };
    let policies = (0..NAMESPACES).flat_map(of_namespace);
    policies.map(|policy| (policy.name.clone(), Arc::new(policy))).collect()
}

/// A policy as it is compiled.
pub(crate) fn policy(namespace: usize, name: &str, spec: &Value) -> Policy {
    let spec = serde_json::from_value(spec.clone()).expect("a spec");
    Policy::read(&format!("team-{namespace}"), name, &spec, Leniency::Written).expect("a valid policy")
}

/// The database of a namespace, open to its application and to that of another.
pub(crate) fn database(namespace: usize) -> Value {
    let own = format!("team-{namespace}");
    json!({
        "podSelector": {"matchLabels": {"app": "db"}},
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "app"}}}], "ports": [{"port": "sql"}]},
            {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": own}},
                       "podSelector": {"matchLabels": {"app": "jobs"}}}], "ports": [{"port": 3306}]},
            {"from": [{"ipBlock": {"cidr": "10.7.0.0/24", "except": ["10.7.0.8/32"]}}], "ports": [{"port": 9090}]},
        ],
    })
}

/// The same with one more rule.
pub(crate) fn with_rule(mut spec: Value, rule: Value) -> Value {
    spec["ingress"].as_array_mut().expect("rules").push(rule);
    spec
}

/// So many blocks that no two others hold.
pub(crate) fn blocks(count: usize) -> Value {
    let block = |number: usize| json!({"ipBlock": {"cidr": format!("11.{}.{}.0/28", number / 250, number % 250)}});
    let blocks: Vec<Value> = (0..count).map(block).collect();
    json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": blocks, "ports": [{"port": 443}]}]})
}

/// The review of a policy named `database` as it stood and as it will stand.
pub(crate) fn policy_review(namespace: usize, before: Option<&Value>, after: Option<&Value>) -> Vec<u8> {
    let object = |spec: &Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "database", "namespace": format!("team-{namespace}"), "generation": 1,
                "uid": "5d2b7c1e-0000-4000-8000-000000000001", "creationTimestamp": "2026-11-21T09:00:00Z"},
            "spec": spec,
        })
    };
    let operation = match (before, after) {
        (None, _) => "CREATE",
        (_, None) => "DELETE",
        _ => "UPDATE",
    };
    let kind = ("networking.k8s.io", "NetworkPolicy", "networkpolicies");
    review(operation, kind, namespace, &[before.map(object), after.map(object)])
}

/// The review of a namespace that is relabelled.
pub(crate) fn namespace_review(namespace: usize, before: &Value, after: &Value) -> Vec<u8> {
    let object = |labels: &Value| {
        let name = format!("team-{namespace}");
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    };
    let kind = ("", "Namespace", "namespaces");
    review("UPDATE", kind, namespace, &[Some(object(before)), Some(object(after))])
}

fn review(
    operation: &str,
    (group, kind, resource): (&str, &str, &str),
    namespace: usize,
    sides @ [before, after]: &[Option<Value>; 2],
) -> Vec<u8> {
    let name = sides.iter().flatten().map(|object| &object["metadata"]["name"]).next();
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-000000000001",
            "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": resource},
            "name": name, "namespace": format!("team-{namespace}"), "operation": operation,
            "userInfo": {"username": "developer-7", "groups": ["developers", "system:authenticated"]},
            "object": after, "oldObject": before, "dryRun": false, "options": null,
        },
    });
    review.to_string().into_bytes()
}

/// What runs in a namespace: 20 pods, of which its labels tell four kinds.
pub(crate) fn answer(question: &Question) -> Option<Answer> {
    match question {
        Question::Running(_) => Some(Answer::Running(
            APPS.iter()
                .map(|app| Running {
                    labels: vec![("app".to_owned(), (*app).to_owned())],
                    ports: vec![NamedPort {
                        name: "sql".into(),
                        protocol: Protocol::Tcp,
                        number: 3306,
                    }],
                })
                .collect(),
        )),
        _ => None,
    }
}
