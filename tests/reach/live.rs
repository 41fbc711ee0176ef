//! `ringfence reach` and `ringfence diff` of the live cluster: what they say of objects in a real API server is what they say
//! of the same in a folder.

use std::collections::BTreeSet;

use ringfence_controlplane::{ControlPlane, Options, started_or_skipped};
use serde_json::{Value, json};

use crate::{Run, run};

const MANIFESTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank, labels: {team: bank}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: bank}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: teller, namespace: bank, labels: {app: teller}}
spec: {containers: [{name: teller, image: teller}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: bank}}}, {ipBlock: {cidr: 203.0.113.0/24}}]
    ports: [{port: http}]
";

fn options() -> Options {
    Options::bare()
}

fn of_cluster(cluster: &ControlPlane, arguments: &[&str]) -> Run {
    let kubeconfig = cluster.kubeconfig("admin");
    let kubeconfig = kubeconfig.to_str().expect("UTF-8");
    run(&[arguments, &["--kubeconfig", kubeconfig]].concat())
}

fn lines(run: Run) -> BTreeSet<String> {
    run.told().lines().map(str::to_owned).collect()
}

#[test]
fn the_live_cluster_is_told_as_its_manifests_are() {
    let Some(cluster) = started_or_skipped(&options()) else {
        return;
    };
    cluster
        .kubectl("admin")
        .args(["create", "--filename", "-"])
        .stdin(MANIFESTS)
        .run()
        .ok();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("all.yaml");
    std::fs::write(&file, MANIFESTS).expect("written");
    let path = file.to_str().expect("UTF-8");

    let of_manifests = lines(run(&["reach", path, "--output", "json"]));
    assert!(
        of_manifests.iter().any(|line| line.contains(r#""ports":["8080"]"#)),
        "{of_manifests:?}"
    );
    assert_eq!(
        lines(of_cluster(&cluster, &["reach", "--output", "json"])),
        of_manifests
    );
    let contexts = cluster.kubectl("admin").args(["config", "current-context"]).run().ok();
    let context = contexts.trim();
    assert_eq!(
        lines(of_cluster(
            &cluster,
            &["reach", "--output", "json", "--context", context]
        )),
        of_manifests
    );
    let nowhere = of_cluster(&cluster, &["reach", "--context", "nowhere"]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);

    let same = of_cluster(&cluster, &["diff", "cluster", path]);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (0, "nothing opens, nothing closes\n"),
        "{}",
        same.stderr
    );
    let wider = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "wider", "namespace": "shop"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 22}]}]},
    });
    std::fs::write(&file, wider.to_string()).expect("written");
    let side = format!("cluster:{context}");
    let opened = of_cluster(&cluster, &["diff", &side, path, "--apply", "--output", "json"]);
    assert_eq!(opened.code, 1, "{}", opened.stderr);
    let opened: Value = serde_json::from_str(opened.stdout.trim()).expect("one line of JSON");
    assert_eq!(opened["opened"], json!(["22"]));
    assert_eq!(opened["source"]["name"], "teller");
    assert_eq!(opened["policiesBefore"], json!(["shop/web"]));
    assert_eq!(opened["policiesAfter"], json!(["shop/web", "shop/wider"]));
}
