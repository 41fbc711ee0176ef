//! What the harness promises of an installed ringfence, shown with a stand-in for the program: each
//! replica has the identity of its own pod, by way of its own gate, and what it says can be waited for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use ringfence_controlplane::{
    ControlPlane, Installation, NAMESPACE, Options, Program, Ringfence, configure, started_or_skipped,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);

/// Called as `ringfence serve --kubeconfig FILE ... KUBECTL`: records who it is, then waits to be told to end.
const STAND_IN: &str = r#"#!/bin/sh
trap 'echo "{\"ended\": true}"; exit 0' TERM
[ "$1 $2" = "serve --kubeconfig" ] || exit 2
for kubectl in "$@"; do :; done
"$kubectl" --kubeconfig "$3" auth whoami -o json | tr -d '\n'
echo
echo "serving" >&2
while :; do sleep 0.1; done
"#;

fn stand_in(cluster: &ControlPlane) -> Installation {
    let program = cluster.directory().join("stand-in");
    fs::write(&program, STAND_IN).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    Installation {
        guardrails: None,
        flags: vec![cluster.program(Program::Kubectl).into()],
        ..Installation::of(program, "")
    }
}

fn is_whoami(record: &Value) -> bool {
    record["kind"] == "SelfSubjectReview"
}

#[test]
fn a_replica_has_the_identity_of_its_pod_and_what_it_says_can_be_waited_for() {
    let Some(cluster) = started_or_skipped(&Options::default()) else {
        return;
    };
    let mut ringfence = Ringfence::start(&cluster, &stand_in(&cluster)).expect("installed");
    assert_eq!(ringfence.replicas().len(), 2);
    assert_ne!(ringfence.replicas()[0].pod(), ringfence.replicas()[1].pod());
    for replica in ringfence.replicas() {
        let who = replica
            .records()
            .wait_for(SOON, "its identity", is_whoami)
            .expect("said");
        let who = &who["status"]["userInfo"];
        assert_eq!(who["username"], format!("system:serviceaccount:{NAMESPACE}:ringfence"));
        assert_eq!(who["extra"]["authentication.kubernetes.io/pod-name"][0], replica.pod());
        let pod = [
            "-n",
            NAMESPACE,
            "get",
            "pod",
            replica.pod(),
            "-o",
            "jsonpath={.metadata.uid}",
        ];
        let uid = cluster.kubectl("admin").args(pod).run().ok();
        assert_eq!(who["extra"]["authentication.kubernetes.io/pod-uid"][0], uid);
    }

    let replica = ringfence.replica(0);
    replica.stop().expect("it ends when told");
    replica
        .records()
        .wait_for(SOON, "its last word", |record| record["ended"] == true)
        .expect("it ended in good order");
    let said = replica.records().all().len();
    replica.start_again().expect("it starts again");
    replica
        .records()
        .wait_for(SOON, "its last word", |record| record["ended"] == true)
        .expect("what it said before is kept");
    ringfence.wait_for_record("a second life", |_| {
        ringfence.replicas()[0].records().all().len() > said
    });
    assert!(ringfence.replicas()[0].log().contains("serving"));
}

#[test]
fn guardrails_are_written_as_somebody() {
    let Some(cluster) = started_or_skipped(&Options::default()) else {
        return;
    };
    cluster.create_namespace(NAMESPACE, &[]);
    configure(&cluster, "admin", "kind: Guardrails\n").ok();
    let get = [
        "-n",
        NAMESPACE,
        "get",
        "configmap",
        "ringfence-guardrails",
        "-o",
        "json",
    ];
    let map = cluster.kubectl("admin").args(get).run().json();
    assert_eq!(map["data"]["guardrails.yaml"], "kind: Guardrails\n");
}
