//! Records as they are printed: their text, their bounds, their schema.

use std::time::Duration;

use ringfence_core::model::{
    Decision, Finding, Identity, Mode, NamespaceName, Operation, Permission, Reason, Request, Scope, SegmentName,
    Subject, Verb, Verdict,
};
use ringfence_core::review::Webhook;

use super::{DecisionRecord, Reviewed, line};

const TIME: &str = "2026-11-21T09:30:00.5Z";

fn request<'a>(user: &'a str, groups: &[&'a str]) -> Request<'a> {
    Request {
        uid: "705ab4f5-6393-11e8-b7cc-42010a800002".into(),
        identity: Identity {
            username: user.into(),
            groups: groups.iter().map(|group| (*group).into()).collect(),
            ..Identity::default()
        },
        operation: Operation::Create,
        group: "".into(),
        version: "v1".into(),
        resource: "pods".into(),
        subresource: "".into(),
        dry_run: false,
        subject: Subject {
            kind: "pod".into(),
            namespace: "web".into(),
            name: "rogue".into(),
            group_key: "rogue".into(),
        },
        actions: Vec::new(),
    }
}

fn finding() -> Finding {
    let segment = SegmentName::new("payments-db").expect("a valid name");
    let consent = NamespaceName::new("payments").expect("a valid name");
    Finding {
        rule: "Segments",
        reviewer: None,
        reason: Reason::LacksPermission,
        mode: Mode::Enforce,
        permission: Some(Permission::segment(Verb::Connect, &segment, Scope::Namespace(consent))),
        segment: Some(segment),
        clause: Some("clients[0]".to_owned()),
        what: "may not connect to segment payments-db".to_owned(),
        why: "label app=hollowapp matches clients[0] of payments-db".to_owned(),
    }
}

fn record(request: &Request<'_>, findings: Vec<Finding>) -> DecisionRecord {
    let decision = Decision {
        verdict: Verdict::Deny("no".to_owned()),
        findings,
        warnings: Vec::new(),
    };
    let reviewed = Reviewed {
        webhook: Webhook::Workloads,
        request,
        decision: &decision,
        revision: "0123456789ab",
        took: Duration::from_micros(1234),
    };
    DecisionRecord::of(&reviewed, TIME.parse().expect("a time"))
}

/// A denied pod.
pub(super) fn example() -> DecisionRecord {
    record(
        &request("mallory", &["developers", "system:authenticated"]),
        vec![finding()],
    )
}

fn pretty(record: &DecisionRecord) -> String {
    serde_json::to_string_pretty(record).expect("a record is JSON")
}

#[test]
fn a_denied_pod_as_it_is_recorded() {
    insta::assert_snapshot!(pretty(&example()), @r#"
    {
      "schema": "ringfence.dev/decision/v1alpha1",
      "time": "2026-11-21T09:30:00.5Z",
      "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
      "webhook": "workloads.guard.ringfence.dev",
      "user": "mallory",
      "groups": [
        "developers",
        "system:authenticated"
      ],
      "verb": "CREATE",
      "resource": {
        "group": "",
        "version": "v1",
        "resource": "pods"
      },
      "subresource": "",
      "namespace": "web",
      "name": "rogue",
      "owner": "rogue",
      "dryRun": false,
      "verdict": "deny",
      "findings": [
        {
          "rule": "Segments",
          "segment": "payments-db",
          "clause": "clients[0]",
          "permission": {
            "verb": "connect",
            "group": "ringfence.dev",
            "resource": "segments",
            "name": "payments-db",
            "namespace": "payments"
          },
          "reviewer": null,
          "allowed": false,
          "mode": "Enforce",
          "reason": "LacksPermission",
          "detail": "may not connect to segment payments-db: label app=hollowapp matches clients[0] of payments-db"
        }
      ],
      "findingsOmitted": 0,
      "revision": "0123456789ab",
      "exception": null,
      "microseconds": 1234,
      "count": 1,
      "since": null
    }
    "#);
}

#[test]
fn what_could_not_be_understood_as_it_is_recorded() {
    let (took, time) = (Duration::from_micros(9), TIME.parse().expect("a time"));
    let record = |webhook| DecisionRecord::of_invalid(webhook, "u-1", "expected value at line 1 column 9", took, time);
    insta::assert_snapshot!(pretty(&record(Webhook::Workloads)), @r#"
    {
      "schema": "ringfence.dev/decision/v1alpha1",
      "time": "2026-11-21T09:30:00.5Z",
      "uid": "u-1",
      "webhook": "workloads.guard.ringfence.dev",
      "user": "",
      "groups": [],
      "verb": "",
      "resource": {
        "group": "",
        "version": "",
        "resource": ""
      },
      "subresource": "",
      "namespace": "",
      "name": "",
      "owner": "",
      "dryRun": false,
      "verdict": "deny",
      "findings": [
        {
          "rule": "Understood",
          "segment": null,
          "clause": null,
          "permission": null,
          "reviewer": null,
          "allowed": false,
          "mode": "Enforce",
          "reason": "Unanswered",
          "detail": "expected value at line 1 column 9"
        }
      ],
      "findingsOmitted": 0,
      "revision": "",
      "exception": null,
      "microseconds": 9,
      "count": 1,
      "since": null
    }
    "#);
    assert_eq!(record(Webhook::Open).verdict, "warn");
}

#[test]
fn what_a_caller_chooses_cannot_make_a_record_large() {
    let long = "é".repeat(100_000);
    let groups = vec![long.as_str(); 1000];
    let hostile = Request {
        uid: long.as_str().into(),
        subresource: long.as_str().into(),
        subject: Subject {
            kind: "pod".into(),
            namespace: long.as_str().into(),
            name: long.as_str().into(),
            group_key: long.as_str().into(),
        },
        ..request(&long, &groups)
    };
    let findings = vec![
        Finding {
            why: long.clone(),
            ..finding()
        };
        1000
    ];
    let record = record(&hostile, findings);
    assert!(line(&record).len() < 80_000, "{}", line(&record).len());
    assert!(record.user.ends_with("…(cut from 200000 bytes)"), "{}", record.user);
    assert_eq!(record.groups.last().map(String::as_str), Some("…(968 more groups)"));
    assert_eq!((record.findings.len(), record.findings_omitted), (32, 968));
}

/// The schema says all that is printed and nothing that is not.
#[test]
fn the_schema_has_the_keys_that_are_printed() {
    let schema = schemars::schema_for!(DecisionRecord).to_value();
    let printed = serde_json::to_value(example()).expect("a record is JSON");
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value
            .as_object()
            .map(|map| map.keys().cloned().collect())
            .unwrap_or_default()
    };
    assert_eq!(keys(&schema["properties"]), keys(&printed));
    let definition = |name: &str| keys(&schema["$defs"][name]["properties"]);
    assert_eq!(definition("ResourceRecord"), keys(&printed["resource"]));
    assert_eq!(definition("FindingRecord"), keys(&printed["findings"][0]));
    assert_eq!(
        definition("PermissionRecord"),
        keys(&printed["findings"][0]["permission"])
    );
}
