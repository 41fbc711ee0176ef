//! The report at the size of a large cluster: ten thousand bindings, a thousand namespaces, a hundred segments. Not timed by
//! the test (a debug build on a busy machine says nothing), but told; a search that walked bindings by bindings would not end.

use std::time::Instant;

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ringfence::answer::offline::Rbac;
use ringfence::audit::{Evidence, Kind, judge};
use ringfence_core::guardrails::{Source, compile};

const NAMESPACES: usize = 1_000;
const BINDINGS: usize = 10_000;
const SEGMENTS: usize = 100;

fn metadata(namespace: usize, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(format!("team-{namespace}")),
        ..ObjectMeta::default()
    }
}

/// What one role of each namespace says, in turns: nothing of ours, both permissions, one of them, impersonation.
fn rules(namespace: usize) -> Vec<PolicyRule> {
    let rule = |group: &str, resource: &str, verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    };
    match namespace % 4 {
        0 => vec![rule("ringfence.dev", "segments", &["manage", "join"])],
        1 => vec![rule("ringfence.dev", "segments", &["manage"])],
        2 => vec![rule("", "serviceaccounts", &["impersonate"])],
        _ => vec![rule("", "configmaps", &["get", "list"])],
    }
}

/// Ten bindings a namespace: one user of the role above, and nine service accounts that deploy.
fn rbac() -> Rbac {
    let mut rbac = Rbac::default();
    for namespace in 0..NAMESPACES {
        rbac.add_role(Role {
            metadata: metadata(namespace, "own".to_owned()),
            rules: Some(rules(namespace)),
        });
        for binding in 0..BINDINGS / NAMESPACES {
            let (kind, role, subject, name) = if binding == 0 {
                ("Role", "own", "User", format!("user-{namespace}"))
            } else {
                ("ClusterRole", "edit", "ServiceAccount", format!("ci-{binding}"))
            };
            rbac.add_role_binding(RoleBinding {
                metadata: metadata(namespace, format!("binding-{binding}")),
                role_ref: RoleRef {
                    api_group: None,
                    kind: kind.to_owned(),
                    name: role.to_owned(),
                },
                subjects: Some(vec![Subject {
                    kind: subject.to_owned(),
                    name,
                    ..Subject::default()
                }]),
            });
        }
    }
    rbac
}

fn guardrails() -> String {
    let segment = |number: usize| {
        format!(
            "---\n{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: segment-{number}}}, spec: {{\
             members: [{{namespaces: [team-{number}], podSelector: {{matchLabels: {{app: db}}}}}}]}}}}\n"
        )
    };
    let head = "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {}}\n";
    std::iter::once(head.to_owned())
        .chain((0..SEGMENTS).map(segment))
        .collect()
}

#[test]
fn ten_thousand_bindings_are_judged() {
    let source = Source {
        name: "guardrails.yaml".to_owned(),
        text: guardrails(),
    };
    let guardrails = compile(&[source])
        .unwrap_or_else(|problems| panic!("{problems}"))
        .guardrails;
    let evidence = Evidence {
        rbac: rbac(),
        ..Evidence::default()
    };
    let begun = Instant::now();
    let report = judge(&evidence, &guardrails, &[], "ringfence-system");
    let text = report.text();
    println!("{BINDINGS} bindings, {SEGMENTS} segments: {:?}", begun.elapsed());
    let found = |kind: Kind, name: &str| {
        let records = report.findings.iter().filter(|finding| finding.kind == kind);
        records
            .filter(|finding| report.grants.subject(finding.subject).to_string() == name)
            .map(|finding| finding.segment)
            .collect::<Vec<_>>()
    };
    // By position: segments are sorted by name, and so is what is asked of them.
    let segment = |name: &str| report.segments.iter().position(|segment| segment.name == name);
    let only = |name: &str| segment(name).into_iter().collect::<Vec<_>>();
    assert_eq!(found(Kind::HoldsBoth, "User user-0"), only("segment-0"));
    assert_eq!(found(Kind::HoldsBoth, "User user-96"), only("segment-96"));
    assert!(found(Kind::HoldsBoth, "User user-97").is_empty());
    // Who writes policies where it deploys: nine accounts in each namespace of members.
    let writers = report
        .findings
        .iter()
        .filter(|finding| finding.kind == Kind::WritesPolicies);
    assert_eq!(writers.count(), 9 * SEGMENTS);
    assert!(
        text.contains("25 HoldsBoth"),
        "{}",
        text.lines().last().unwrap_or_default()
    );
}
