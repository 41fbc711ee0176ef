//! Both identities under which the built-in controllers may write, as the audit log tells them; and
//! the stand-in kubelet is dialled for connections into pods.

use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Controllers, Nodes, Options, started_or_skipped, wait_until};
use serde_json::Value;

/// Who created the ReplicaSet of a new Deployment.
fn writer_of_a_replica_set(cluster: &ControlPlane) -> Value {
    let create = ["create", "deployment", "front", "--image=registry.example/app:1"];
    cluster.kubectl("admin").args(create).run().ok();
    let event = wait_until(
        Duration::from_secs(60),
        "the ReplicaSet's creation in the audit log",
        || {
            let created = |event: &Value| event["verb"] == "create" && event["objectRef"]["resource"] == "replicasets";
            cluster.audit_events().into_iter().find(created)
        },
    );
    event.expect("it is created")["user"].clone()
}

#[test]
fn controllers_write_as_an_account_each() {
    let Some(cluster) = started_or_skipped(&Options::default()) else {
        return;
    };
    let writer = writer_of_a_replica_set(&cluster);
    assert_eq!(
        writer["username"],
        "system:serviceaccount:kube-system:deployment-controller"
    );
    assert!(writer["uid"].is_string(), "{writer}");

    let running = ["wait", "--for=condition=available", "deployment/front", "--timeout=60s"];
    cluster.kubectl("admin").args(running).run().ok();
    let exec = cluster
        .kubectl("admin")
        .args(["exec", "deployment/front", "--", "id"])
        .run();
    assert!(!exec.success, "nothing runs in a stand-in pod: {}", exec.stdout);
    assert!(
        exec.stderr.contains("no exec found for container"),
        "the stand-in kubelet answers: {}",
        exec.stderr
    );
}

#[test]
fn controllers_write_as_one_user() {
    let options = Options {
        controllers: Controllers::OneUser,
        nodes: Nodes::Absent,
        ..Options::default()
    };
    let Some(cluster) = started_or_skipped(&options) else {
        return;
    };
    assert_eq!(
        writer_of_a_replica_set(&cluster)["username"],
        "system:kube-controller-manager"
    );
}
