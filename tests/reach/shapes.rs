//! Manifests as people have them: lists, streams, templates, old versions, what clusters print and what editors leave in
//! files. Each is read right or refused with its place, and never passed over in silence.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use crate::{Run, reach, run};

/// A closed pod, and one that reaches it on one port.
const SHOP: &str = "apiVersion: v1
kind: Pod
metadata:
  name: db
  labels:
    app: db
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels:
    app: web
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
spec:
  podSelector:
    matchLabels:
      app: db
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: web
    ports:
    - port: 5432
";

/// What reaches the db of a run, each source with its protocol and ports.
fn reaches_db(run: &Run) -> BTreeSet<String> {
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines = lines.filter(|line| line["destination"]["name"] == "db");
    lines
        .map(|line| {
            let source = &line["source"];
            let name = source["cidr"].as_str().or_else(|| source["name"].as_str());
            let source = name.expect("a source").to_owned();
            let kind = line["source"]["kind"].as_str().unwrap_or("outside").to_owned();
            format!("{kind} {source} {} {}", line["protocol"], line["ports"])
        })
        .collect()
}

fn web_alone() -> BTreeSet<String> {
    [r#"Pod web "TCP" ["5432"]"#.to_owned()].into()
}

#[rstest]
#[case::as_it_is(SHOP.to_owned())]
#[case::byte_order_mark(format!("\u{feff}{SHOP}"))]
#[case::carriage_returns(SHOP.replace('\n', "\r\n"))]
#[case::comments_and_empty_documents(format!("# a header\n---\n# nothing\n---\n---\n{SHOP}---\n# the end\n"))]
#[case::marker_with_a_comment(SHOP.replace("---\n", "--- # next\n"))]
#[case::marker_with_spaces(SHOP.replace("---\n", "---  \n"))]
#[case::document_ends(format!("{}...\n", SHOP.replace("---\n", "...\n---\n")))]
#[case::directive(format!("%YAML 1.1\n---\n{SHOP}"))]
#[case::anchors(SHOP.replace("matchLabels:\n      app: db\n", "matchLabels: &db\n      app: db\n") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {a: b}}\ndata: *l\n")]
#[case::merge_keys(SHOP.replace("    matchLabels:\n      app: db\n", "    matchLabels:\n      <<: &db {app: db}\n"))]
#[case::default_namespace_by_name(SHOP.replace("  name: web\n", "  name: web\n  namespace: default\n"))]
#[case::other_objects("apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {selector: {app: db}}\n---\napiVersion: example.com/v1\nkind: Database\nmetadata: {name: db}\n---\n".to_owned() + SHOP)]
#[case::quotes_and_numbers(SHOP.replace("port: 5432", "port: 0x1538").replace("app: web", "app: \"web\""))]
fn yaml_is_read_as_kubectl_reads_it(#[case] text: String) {
    let run = reach(&text, &["--output", "json", "--to", "default/db"]);
    assert_eq!(run.stderr, "");
    assert_eq!(reaches_db(&run), web_alone());
}

#[test]
fn json_and_lists_are_the_same() {
    let objects: Vec<Value> = [
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "labels": {"app": "db"}}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "db"}, "spec": {
            "podSelector": {"matchLabels": {"app": "db"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]}],
        }}),
    ]
    .into();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects, "metadata": {"resourceVersion": ""}});
    let nested = json!({"apiVersion": "v1", "kind": "List", "items": [list.clone()]});
    let typed = json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "db", "labels": {"app": "db"}}}, {"metadata": {"name": "web", "labels": {"app": "web"}}}]});
    let stream = objects.iter().map(Value::to_string).collect::<Vec<_>>();
    let texts = [
        list.to_string(),
        nested.to_string(),
        serde_json::to_string_pretty(&list).expect("JSON"),
        stream.join("\n"),
        stream.join("\n---\n"),
        format!("{typed}\n{}", stream[2]),
        format!(
            "# of JSON and YAML\n{}\n---\n{SHOP}",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
        ),
    ];
    for text in texts {
        let run = reach(&text, &["--output", "json", "--to", "default/db"]);
        assert_eq!(reaches_db(&run), web_alone(), "{text}");
        assert_eq!(run.stderr, "", "{text}");
    }
}

#[test]
fn what_a_cluster_prints_of_pods_and_their_owners_is_one_workload() {
    // As by `kubectl get deployments,pods,jobs,cronjobs`: no ReplicaSet, no Job, and a pod that has completed.
    let text = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 2, template: {metadata: {labels: {app: web}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d4f-x, labels: {app: web, pod-template-hash: 5d4f}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f, uid: u, controller: true}]}
status: {phase: Running}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: nightly}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: nightly-29000000-y, labels: {app: nightly}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: nightly-29000000, uid: u, controller: true}]}
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: nightly-28999999-z, labels: {app: nightly}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: nightly-28999999, uid: u, controller: true}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: other-77-x, labels: {app: other, pod-template-hash: '77'}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: other-77, uid: u, controller: true}]}
";
    let told = reach(text, &["--output", "json", "--from", "outside", "--port", "80"]).told();
    let ends: Vec<String> = told
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            format!("{}/{}", line["destination"]["kind"], line["destination"]["name"]).replace('"', "")
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(ends, ["CronJob/nightly", "Deployment/web", "ReplicaSet/other-77"]);
}

#[test]
fn old_versions_mean_the_same_and_are_told() {
    let text = SHOP.replace("networking.k8s.io/v1\n", "extensions/v1beta1\n");
    let run = reach(&text, &["--output", "json", "--to", "default/db"]);
    assert_eq!(reaches_db(&run), web_alone());
    assert!(
        run.stderr
            .contains("<stdin>:15: NetworkPolicy default/db: extensions/v1beta1 is served no longer"),
        "{}",
        run.stderr
    );
}

#[rstest]
#[case::of_the_core_group(
    "networking.k8s.io/v1\n",
    "v1\n",
    "<stdin>:15: NetworkPolicy db: apiVersion: v1 has no NetworkPolicy: write apiVersion: networking.k8s.io/v1"
)]
#[case::of_no_version(
    "networking.k8s.io/v1\n",
    "networking.k8s.io/v2\n",
    "<stdin>:15: NetworkPolicy db: apiVersion: networking.k8s.io/v2 has no NetworkPolicy"
)]
#[case::misspelt("kind: NetworkPolicy", "kind: Networkpolicy", "has no Networkpolicy")]
#[case::key_twice("  podSelector:\n", "  podSelector: {}\n  podSelector:\n", "podSelector")]
#[case::no_yaml("    ports:\n", "   ports:\n", "<stdin>:2")]
#[case::unknown_field(
    "  podSelector:\n",
    "  policytypes: [Egress]\n  podSelector:\n",
    "spec.policytypes: unknown field"
)]
#[case::label_of_the_policy(
    "  name: db\nspec",
    "  name: db\n  labels: {a: 'b c'}\nspec",
    "NetworkPolicy db: metadata.labels.a"
)]
#[case::port_as_text("port: 5432", "port: '5432'", "spec.ingress[0].ports[0].port")]
fn what_is_meant_and_wrong_is_refused(#[case] replaced: &str, #[case] by: &str, #[case] words: &str) {
    assert!(SHOP.contains(replaced), "{replaced}");
    let run = reach(&SHOP.replace(replaced, by), &["--output", "json"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
    assert!(run.stderr.contains(words), "{}", run.stderr);
}

#[rstest]
#[case::values("image: a\ntag: 1\n", "it has no apiVersion")]
#[case::text("just text\n", "it is no mapping")]
#[case::chart("apiVersion: v2\nname: shop\n", "it has no kind")]
#[case::template(
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n",
    "it is a template; render it first"
)]
#[case::template_of_words(
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"{{ .Release.Name }}\"\n",
    "it is a template; render it first"
)]
#[case::template_of_lines(
    "{{- if .Values.on }}\napiVersion: v1\nkind: Pod\n{{- end }}\n",
    "it is a template; render it first"
)]
#[case::no_yaml("a: b: c\n", "it cannot be read")]
#[case::key_twice_elsewhere(
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: b\n  a: c\n",
    "it cannot be read"
)]
fn what_is_no_object_is_named_and_skipped(#[case] text: &str, #[case] why: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("a.yaml"), text).expect("written");
    std::fs::write(folder.path().join("shop.yml"), SHOP).expect("written");
    let path = folder.path().to_str().expect("UTF-8");
    let run = run(&["reach", path, "--output", "json", "--to", "default/db"]);
    assert_eq!(reaches_db(&run), web_alone());
    let words = format!("ringfence: warning: {path}/a.yaml:1: skipped: not a Kubernetes object: {why}");
    assert!(run.stderr.starts_with(&words), "{}", run.stderr);
}
