//! `ringfence diff` as somebody runs it: what a change opens and closes, in each output, and what the exit code says of it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{Run, run, with_stdin};

const TIERS: &str = "policies/three-tiers";

/// The manifests of the three tiers, and a folder with them after this change of their text.
fn changed(replaced: &str, by: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["networkpolicy.yaml", "workloads.yaml"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(TIERS).join(file);
        let text = std::fs::read_to_string(path).expect("it can be read");
        std::fs::write(folder.path().join(file), text.replace(replaced, by)).expect("written");
    }
    folder
}

fn diff(old: &str, new: &str, arguments: &[&str]) -> Run {
    run(&[&["diff", old, new], arguments].concat())
}

fn path(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

/// The web is also reached on port 80.
const WIDER: (&str, &str) = ("port: 443}", "port: 443}\n        - {protocol: TCP, port: 80}");

#[test]
fn the_exit_code_says_whether_anything_opens() {
    let same = diff(TIERS, TIERS, &[]);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (0, "nothing opens, nothing closes\n")
    );
    assert_eq!(diff(TIERS, TIERS, &["--output", "json"]).stdout, "");
    let other = changed("port: 5432", "port: 5433");
    assert_eq!(diff(TIERS, path(&other), &[]).code, 1);
    let less = changed("        - {protocol: TCP, port: 53}\n", "");
    assert_eq!(diff(TIERS, path(&less), &[]).code, 0);
    for arguments in [
        &["diff", "-", "-"][..],
        &["diff", TIERS, "nowhere"],
        &["diff", TIERS],
        &["diff", TIERS, TIERS, "--guardrails", "nowhere.yaml"],
    ] {
        assert_eq!(run(arguments).code, 2, "{arguments:?}");
    }
    let refused = changed("port: 5432", "port: 0");
    let run = diff(TIERS, path(&refused), &[]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("NetworkPolicy shop/"), "{}", run.stderr);
}

#[test]
fn what_opens_and_closes_is_told_with_its_reason() {
    let wider = changed(WIDER.0, WIDER.1);
    let told = diff(TIERS, path(&wider), &[]);
    assert_eq!(told.code, 1);
    insta::assert_snapshot!(told.stdout);
    let narrower = diff(path(&wider), TIERS, &[]);
    assert_eq!(narrower.code, 0, "only closes");
    insta::assert_snapshot!(narrower.stdout);
}

#[test]
fn json_is_one_object_for_a_pair_and_a_protocol() {
    let other = changed("port: 5432", "port: 5433");
    let told = diff(TIERS, path(&other), &["--output", "json"]);
    assert_eq!(told.code, 1);
    let lines: Vec<Value> = told
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(
        lines,
        [json!({
            "source": {"namespace": "shop", "kind": "Deployment", "name": "app"},
            "destination": {"namespace": "shop", "kind": "StatefulSet", "name": "db"},
            "protocol": "TCP", "opened": ["5433"], "closed": ["5432"],
            "policiesBefore": ["shop/app", "shop/db"], "policiesAfter": ["shop/app", "shop/db"],
        })]
    );
}

#[test]
fn a_pull_request_is_shown_a_table_and_a_picture() {
    let wider = changed(WIDER.0, WIDER.1);
    insta::assert_snapshot!(diff(TIERS, path(&wider), &["--output", "markdown"]).stdout);
    let other = changed("port: 5432", "port: 5433");
    insta::assert_snapshot!(diff(TIERS, path(&other), &["--output", "mermaid"]).stdout);
    let svg = diff(TIERS, path(&other), &["--output", "svg"]).stdout;
    for words in [
        ">opens TCP 5433<",
        ">closes TCP 5432<",
        "class=\"arrow opened\"",
        "class=\"arrow closed\"",
    ] {
        assert!(svg.contains(words), "no {words} in\n{svg}");
    }
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: debug, namespace: shop, labels: {tier: debug}}
";
const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: debug, namespace: shop}
spec: {podSelector: {matchLabels: {tier: debug}}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 22}]}]}
";

#[test]
fn what_is_applied_leaves_what_it_does_not_name() {
    let replaced = with_stdin(&["diff", TIERS, "-", "--output", "json"], POLICY);
    assert!(
        replaced.stdout.contains(r#""name":"db","only":"gone""#),
        "{}",
        replaced.stdout
    );
    let replaced = with_stdin(&["diff", TIERS, "-", "--existing"], POLICY);
    assert_eq!(
        (replaced.code, replaced.stdout.as_str()),
        (0, "nothing opens, nothing closes\n")
    );

    let applied = with_stdin(&["diff", TIERS, "-", "--apply"], POLICY);
    assert_eq!(
        (applied.code, applied.stdout.as_str()),
        (0, "nothing opens, nothing closes\n")
    );

    // Web may not send to it, by its own policies; the DNS is for every pod of the namespace.
    let both = format!("{POD}---{POLICY}");
    let applied = with_stdin(&["diff", TIERS, "-", "--apply"], &both);
    assert_eq!(applied.code, 1, "{}", applied.stderr);
    insta::assert_snapshot!(applied.stdout);
    let existing = with_stdin(&["diff", TIERS, "-", "--apply", "--existing"], &both);
    assert_eq!(
        (existing.code, existing.stdout.as_str()),
        (0, "nothing opens, nothing closes\n")
    );

    // One of the same name takes its place.
    let web = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec: {podSelector: {}}\n";
    let applied = with_stdin(&["diff", TIERS, "-", "--apply", "--output", "json"], web);
    assert_eq!(applied.code, 0);
    assert!(applied.stdout.lines().count() >= 3, "{}", applied.stdout);
    assert!(
        applied.stdout.lines().all(|line| line.contains(r#""opened":[]"#)),
        "{}",
        applied.stdout
    );
}

#[test]
fn without_policies_everything_passes() {
    let told = diff(TIERS, "policies/three-tiers/workloads.yaml", &[]);
    assert_eq!(told.code, 1);
    insta::assert_snapshot!(told.stdout);
}

#[test]
fn a_folder_without_manifests_is_compared_as_nothing() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let told = diff(path(&empty), TIERS, &[]);
    assert_eq!(told.code, 1);
    assert!(told.stdout.contains("shop/db (StatefulSet, new)"), "{}", told.stdout);
    let told = diff(TIERS, path(&empty), &[]);
    assert_eq!(told.code, 0);
    assert!(told.stdout.contains("shop/db (StatefulSet, gone)"), "{}", told.stdout);
}
