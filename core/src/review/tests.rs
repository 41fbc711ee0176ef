//! Decoding as the API server sends it, and as it would never send it.

#![allow(
    clippy::needless_pass_by_value,
    reason = "`json!` literals read best where they stand"
)]

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use super::{CustomKinds, decode, respond};
use crate::labels::{LabelSet, Labels};
use crate::model::{Action, Controllers, Decision, Operation, Placement, PlacementKind, RetryAfter, Runs, Verdict};

fn review(resource: [&str; 3], subresource: &str, operation: &str, object: Value, old: Value) -> Value {
    let [group, version, resource] = resource;
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": group, "version": version, "kind": "Any"},
            "resource": {"group": group, "version": version, "resource": resource},
            "subResource": subresource,
            "requestKind": {"group": group, "version": version, "kind": "Any"},
            "name": "",
            "namespace": "web",
            "operation": operation,
            "userInfo": {
                "username": "mallory",
                "uid": "u-1",
                "groups": ["dev", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]}
            },
            "object": object,
            "oldObject": old,
            "dryRun": true,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    })
}

fn pod(labels: Value, image: &str) -> Value {
    json!({
        "metadata": {"generateName": "rogue-", "labels": labels, "managedFields": [{"fieldsV1": {"f:a": {"f:b": {}}}}],
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rogue", "uid": "rs-1", "controller": true},
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "cm-1"}
            ]},
        "spec": {"containers": [{"name": "app", "image": image, "env": [{"name": "A", "value": "b\"c"}]}]}
    })
}

fn placement(review: &Value) -> Placement<'static> {
    let body = Box::leak(review.to_string().into_bytes().into_boxed_slice());
    let mut actions = decode(body, CustomKinds::default()).expect("decodes").actions;
    match (actions.pop(), actions.pop()) {
        (Some(Action::Place(placement)), None) => placement,
        other => panic!("expected one placement, got {other:?}"),
    }
}

#[test]
fn an_ephemeral_container_is_looked_into_as_well_as_entered() {
    let labels = json!({"app": "other"});
    let mut new = pod(labels.clone(), "a");
    new["spec"]["ephemeralContainers"] =
        json!([{"name": "debug", "image": "b", "securityContext": {"privileged": true}}]);
    let resource = ["", "v1", "pods"];
    let body = review(resource, "ephemeralcontainers", "UPDATE", new, pod(labels, "a")).to_string();
    let request = decode(body.as_bytes(), CustomKinds::default()).expect("decodes");
    let [Action::Debug(_), Action::Place(placement)] = request.actions.as_slice() else {
        panic!("entered and placed, got {:?}", request.actions)
    };
    assert_eq!(placement.runs, Runs::Unchanged, "what ran before runs on");
    let words = placement.spec.host_access().expect("a pod spec");
    assert_eq!(words, [r#"privileged container "debug""#]);
    assert!(placement.spec_before.host_access().expect("a pod spec").is_empty());
}

#[test]
fn a_pod_is_decoded_with_the_whole_identity() {
    let body = review(
        ["", "v1", "pods"],
        "",
        "CREATE",
        pod(json!({"app": "holl\u{6f}wapp"}), "a"),
        Value::Null,
    )
    .to_string();
    let request = decode(body.as_bytes(), CustomKinds::default()).expect("decodes");
    assert_eq!(request.uid, "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(request.operation, Operation::Create);
    assert_eq!(
        (request.identity.username.as_ref(), request.identity.uid.as_ref()),
        ("mallory", "u-1")
    );
    assert_eq!(request.identity.groups, ["dev", "system:authenticated"]);
    assert_eq!(
        request.identity.extra("authentication.kubernetes.io/credential-id"),
        ["JTI=1"]
    );
    assert!(request.dry_run);
    assert_eq!(request.subject.to_string(), "pod web/rogue-*");
    assert_eq!(request.subject.group_key, "rs-1");
    let [Action::Place(placement)] = request.actions.as_slice() else {
        panic!("expected a placement: {:?}", request.actions)
    };
    assert_eq!(placement.kind, PlacementKind::Pod);
    assert_eq!(placement.before, None);
    assert_eq!(placement.after.value("app"), Some("hollowapp"));
    let Controllers::One(owner) = &placement.controllers else {
        panic!("expected one controller")
    };
    assert_eq!((owner.kind.as_ref(), owner.uid.as_ref()), ("ReplicaSet", "rs-1"));
}

#[test]
fn escaped_text_reads_like_plain_text() {
    let body = review(
        ["", "v1", "pods"],
        "",
        "CREATE",
        pod(json!({"app": "hollowapp"}), "a"),
        Value::Null,
    )
    .to_string()
    .replace("hollowapp", "\\u0068ollowapp");
    let request = decode(body.as_bytes(), CustomKinds::default()).expect("decodes");
    let [Action::Place(placement)] = request.actions.as_slice() else {
        panic!("expected a placement")
    };
    assert_eq!(placement.after.value("app"), Some("hollowapp"));
}

#[rstest]
#[case::same("a", "a", Runs::Unchanged)]
#[case::swapped("a", "b", Runs::Changed)]
fn an_image_is_what_a_pod_runs(#[case] old: &str, #[case] new: &str, #[case] runs: Runs) {
    let labels = json!({"app": "a"});
    let review = review(
        ["", "v1", "pods"],
        "",
        "UPDATE",
        pod(labels.clone(), new),
        pod(labels, old),
    );
    assert_eq!(placement(&review).runs, runs);
}

#[test]
fn a_status_update_of_a_pod_is_a_placement_too() {
    let review = review(
        ["", "v1", "pods"],
        "status",
        "UPDATE",
        pod(json!({"app": "b"}), "a"),
        pod(json!({}), "a"),
    );
    let placement = placement(&review);
    assert_eq!(placement.after.value("app"), Some("b"));
    assert_eq!(placement.before, Some(Labels::default()));
}

fn deployment(template: &Value) -> Value {
    json!({"metadata": {"name": "app", "labels": {"app": "outer"}}, "spec": {"replicas": 2, "template": template}})
}

#[rstest]
#[case::same(json!({"metadata": {"labels": {"app": "a"}}, "spec": {"x": 1, "y": 2}}), Runs::Unchanged)]
#[case::key_order(json!({"spec": {"y": 2, "x": 1}, "metadata": {"labels": {"app": "a"}}}), Runs::Unchanged)]
#[case::restarted(json!({"metadata": {"labels": {"app": "a"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}},
    "spec": {"x": 1, "y": 2}}), Runs::Unchanged)]
#[case::injected(json!({"metadata": {"labels": {"app": "a"}, "annotations": {"k8s.v1.cni.cncf.io/networks": "other"}},
    "spec": {"x": 1, "y": 2}}), Runs::Changed)]
#[case::spec(json!({"metadata": {"labels": {"app": "a"}}, "spec": {"x": 1, "y": 3}}), Runs::Changed)]
fn a_template_runs_its_spec_and_annotations(#[case] new: Value, #[case] runs: Runs) {
    let old = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"x": 1, "y": 2}});
    let review = review(
        ["apps", "v1", "deployments"],
        "",
        "UPDATE",
        deployment(&new),
        deployment(&old),
    );
    let placement = placement(&review);
    assert_eq!((placement.kind, placement.runs), (PlacementKind::Template, runs));
    assert_eq!(
        placement.after.value("app"),
        Some("a"),
        "the template's labels, not the object's"
    );
}

#[test]
fn a_cron_jobs_template_lies_deeper() {
    let object = json!({"metadata": {"name": "c"}, "spec": {"jobTemplate": {"metadata": {"labels": {"app": "no"}},
        "spec": {"template": {"metadata": {"labels": {"app": "yes"}}, "spec": {}}}}}});
    let review = review(["batch", "v1", "cronjobs"], "", "CREATE", object, Value::Null);
    assert_eq!(placement(&review).after.value("app"), Some("yes"));
}

#[test]
fn objects_may_come_before_their_resource() {
    let body = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"object":{"metadata":{"name":"p",
        "labels":{"app":"a"}},"spec":{}},"uid":"1","operation":"CREATE","userInfo":{"username":"u"},"namespace":"web",
        "resource":{"group":"","version":"v1","resource":"pods"}}}"#;
    let request = decode(body.as_bytes(), CustomKinds::default()).expect("decodes");
    let [Action::Place(placement)] = request.actions.as_slice() else {
        panic!("expected a placement")
    };
    assert_eq!(placement.after.value("app"), Some("a"));
}

#[test]
fn null_labels_are_none() {
    let review = review(
        ["", "v1", "pods"],
        "",
        "CREATE",
        json!({"metadata": {"name": "p", "labels": null}}),
        Value::Null,
    );
    assert_eq!(placement(&review).after, Labels::default());
}

#[test]
fn what_no_row_names_is_nothing_to_judge() {
    let body = review(
        ["", "v1", "secrets"],
        "",
        "CREATE",
        json!({"metadata": "odd"}),
        Value::Null,
    )
    .to_string();
    assert!(
        decode(body.as_bytes(), CustomKinds::default())
            .expect("decodes")
            .actions
            .is_empty()
    );
}

/// A hostile edit of a good body: what to replace, by what; then a word of the reason.
#[rstest]
#[case::truncated("\"dryRun\":true", "\"dryRun\"", "expected `:`")]
#[case::labels_not_a_map("{\"app\":\"a\"}", "[1]", "map of strings")]
#[case::label_not_text("\"app\":\"a\"", "\"app\":1", "string")]
#[case::duplicate_label("\"app\":\"a\"", "\"app\":\"a\",\"app\":\"b\"", "comes twice")]
#[case::duplicate_object("\"dryRun\":true", "\"object\":null", "duplicate field")]
#[case::duplicate_metadata("\"spec\":{", "\"metadata\":{},\"spec\":{", "duplicate field")]
#[case::wrong_kind("\"AdmissionReview\"", "\"Pod\"", "expected admission.k8s.io/v1")]
#[case::wrong_version("admission.k8s.io/v1", "admission.k8s.io/v1beta1", "expected admission.k8s.io/v1")]
#[case::no_uid("\"uid\":\"705ab4f5-6393-11e8-b7cc-42010a800002\"", "\"udi\":\"1\"", "uid")]
#[case::no_user("\"username\":\"mallory\"", "\"user\":\"mallory\"", "username")]
#[case::unknown_operation("\"CREATE\"", "\"FROBNICATE\"", "unknown variant")]
#[case::no_object("\"object\":{", "\"ignored\":{", "without object")]
#[case::no_namespace("\"namespace\":\"web\"", "\"namespace\":\"\"", "without a namespace")]
fn what_cannot_be_judged_is_an_error(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
    let good = review(
        ["", "v1", "pods"],
        "",
        "CREATE",
        pod(json!({"app": "a"}), "i"),
        Value::Null,
    )
    .to_string();
    assert!(good.contains(from), "{from} is in {good}");
    let error = decode(good.replacen(from, to, 1).as_bytes(), CustomKinds::default()).expect_err("is refused");
    assert!(error.reason.contains(reason), "{}", error.reason);
}

#[test]
fn the_uid_is_found_where_the_rest_is_broken() {
    let body = br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"7","object":{"#;
    assert_eq!(
        decode(body, CustomKinds::default())
            .expect_err("is truncated")
            .uid
            .as_deref(),
        Some("7")
    );
}

#[test]
fn deep_nesting_is_survived() {
    for opening in ["[", "{\"a\":"] {
        let deep = opening.repeat(200_000);
        let body = format!(r#"{{"request":{{"uid":"7","ignored":{deep}"#);
        assert_eq!(
            decode(body.as_bytes(), CustomKinds::default())
                .expect_err("is truncated")
                .uid
                .as_deref(),
            Some("7")
        );
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_an_error() {
    let mut body = review(
        ["", "v1", "pods"],
        "",
        "CREATE",
        pod(json!({"app": "hollow"}), "i"),
        Value::Null,
    )
    .to_string()
    .into_bytes();
    let at = body
        .windows(6)
        .position(|window| window == b"hollow")
        .expect("is there");
    body[at] = 0xff;
    assert!(decode(&body, CustomKinds::default()).is_err());
}

#[test]
fn an_answer_carries_the_uid_and_what_kubectl_prints() {
    let decision = Decision {
        verdict: Verdict::Retry("later".into(), RetryAfter(1)),
        findings: Vec::new(),
        warnings: vec!["ringfence: mind".into()],
    };
    let annotations = BTreeMap::from([("decision".to_owned(), "retry".to_owned())]);
    let answer: Value = serde_json::from_slice(&respond("7", &decision, &annotations)).expect("is JSON");
    assert_eq!(
        answer,
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": "7", "allowed": false, "warnings": ["ringfence: mind"], "auditAnnotations": {"decision": "retry"},
            "status": {"status": "Failure", "code": 429, "reason": "TooManyRequests", "message": "later",
                "details": {"retryAfterSeconds": 1}}}})
    );
    let allow: Value =
        serde_json::from_slice(&respond("7", &Decision::plain_allow(), &BTreeMap::new())).expect("is JSON");
    assert_eq!(allow["response"], json!({"uid": "7", "allowed": true}));
}
