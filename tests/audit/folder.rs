//! The report on manifests: its texts, its records, its picture, and its exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit/manifests");

fn sod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["audit", "sod"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("ringfence can be run")
}

/// What is told of these manifests, with the exit code that findings have.
fn found(arguments: &[&str]) -> String {
    let output = sod(&[&[MANIFESTS], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What is told where nothing could be found out.
fn failed(arguments: &[&str]) -> String {
    let output = sod(arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_report_names_who_and_by_what() {
    insta::assert_snapshot!(found(&[]));
}

#[test]
fn the_picture_leads_from_subjects_to_segments() {
    insta::assert_snapshot!(found(&["--segment", "payments-db", "--output", "mermaid"]));
}

#[test]
fn a_record_has_every_binding_role_and_rule() {
    let text = found(&["--output", "json", "--kind", "CanGrantItself"]);
    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect();
    assert_eq!(records.len(), 1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&records[0]).expect("it is JSON"));
}

#[test]
fn every_finding_is_one_line_of_json() {
    let text = found(&["--output", "json"]);
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("one object a line");
        assert_eq!(record["schema"], "ringfence.dev/duties/v1alpha1");
    }
    let kinds = |kind: &str| {
        text.lines()
            .filter(|line| line.contains(&format!("\"kind\":\"{kind}\"")))
            .count()
    };
    assert_eq!((kinds("HoldsBoth"), kinds("Wildcard"), kinds("Delegate")), (1, 2, 2));
}

#[test]
fn kinds_narrow_it() {
    let text = found(&["--output", "json", "--kind", "HoldsBoth", "CanHoldBoth"]);
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn nothing_found_is_exit_code_0() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it can be written");
    let guardrails = Path::new(MANIFESTS).join("guardrails.yaml");
    write(
        "guardrails.yaml",
        &std::fs::read_to_string(guardrails).expect("it can be read"),
    );
    write(
        "join.yaml",
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: joe, namespace: payments}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'ringfence:payments-db:join'}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: joe}]
",
    );
    let output = sod(&[&folder.path().display().to_string()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    insta::assert_snapshot!(text, @r"
    2 segments: nobody who writes policies places pods, or could come to.
    not counted, exempt: Group system:masters
    ");
}

#[test]
fn what_could_not_be_found_out_is_no_finding() {
    assert!(failed(&["/nowhere"]).contains("/nowhere"));
    let text = failed(&[MANIFESTS, "--segment", "payment-db"]);
    assert!(
        text.contains("there is no segment payment-db; there are: ledger, payments-db"),
        "{text}"
    );
    let rbac = format!("{MANIFESTS}/rbac.yaml");
    assert!(failed(&[&rbac]).contains("--guardrails FILE"));
    failed(&[MANIFESTS, "--kind", "Everything"]);
}

#[test]
fn guardrails_may_stand_elsewhere() {
    let (rbac, guardrails) = (format!("{MANIFESTS}/rbac.yaml"), format!("{MANIFESTS}/guardrails.yaml"));
    let output = sod(&[&rbac, "--guardrails", &guardrails]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), found(&[]));
}

const PROTECTED: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: web, labels: {ringfence.dev/protected: 'true'}}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {db: client}}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: wide, namespace: web, labels: {ringfence.dev/protected: 'true'}}
spec: {podSelector: {matchLabels: {app: wide}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {}}]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: protects}
rules: [{apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [protect]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: places}
rules: [{apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [join, connect]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: protects, namespace: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: protects}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}, {apiGroup: rbac.authorization.k8s.io, kind: User, name: pam}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: places, namespace: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: places}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}, {apiGroup: rbac.authorization.k8s.io, kind: User, name: wil}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: protects}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: protects}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: wil}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: elsewhere, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: places}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: pam}]
";

/// Who may opt a policy out decides about it as who manages a segment does, where it is asked.
#[test]
fn who_protects_a_policy_places_no_pods_under_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let guardrails =
        "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {mode: Enforce}}\n";
    for (name, text) in [("guardrails.yaml", guardrails), ("web.yaml", PROTECTED)] {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    }
    let path = folder.path().display().to_string();
    let output = sod(&[&path, "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let told: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("one object a line"))
        .map(|record| format!("{} {}", record["segment"], record["message"]))
        .collect();
    assert_eq!(
        told,
        [
            r#""web/db" "User olga: holds protect together with join and connect""#,
            r#""web/db" "User wil: holds protect together with join and connect""#,
            // Its peers are of every namespace, so the cluster is asked.
            r#""web/wide" "User wil: holds protect together with join and connect""#,
        ]
    );
    let narrowed = sod(&[&path, "--segment", "web/wide"]);
    let text = String::from_utf8_lossy(&narrowed.stdout).into_owned();
    assert!(
        text.starts_with("segment web/wide (consent in web; members in web)"),
        "{text}"
    );
    assert!(!text.contains("olga"), "{text}");
}
