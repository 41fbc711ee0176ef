//! Forged provenance: pods that say a controller made them, and controllers' names that somebody borrows.

use serde_json::{Value, json};

use super::super::attack::{
    Attack, CLIENT, IVAN, MALLORY, MEMBER, OTHER, TEAM_PODS, attack, create, kubectl, kubectl_with, pod, with,
};
use super::{CONNECT, JOIN};

const ROGUE: &str = "/api/v1/namespaces/$TEAM/pods/rogue";
const LABEL: &str = "/metadata/labels/app";
const SETS: &str = "/apis/apps/v1/namespaces/$TEAM/replicasets";

/// A ReplicaSet of no pods whose template has this label.
fn replica_set(name: &str, label: (&str, &str)) -> Value {
    let pod = pod("", label, "app");
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"run": "set"}}, "template": {
            "metadata": {"labels": pod["metadata"]["labels"]}, "spec": {"containers": pod["spec"]["containers"]},
        }},
    })
}

/// A labelled pod that says this ReplicaSet controls it. Its finalizer keeps it from being gone before it is seen, by the
/// ReplicaSet, which wants no pods, or the garbage collector.
fn owned(name: &str, uid: &str) -> Value {
    let metadata = json!({"ownerReferences": [reference(name, uid)], "finalizers": ["example.com/stay"]});
    with(pod("rogue", CLIENT, "evil"), json!({ "metadata": metadata }))
}

fn reference(name: &str, uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true})
}

const RIGHT_UID: &str = "$UID(/apis/apps/v1/namespaces/$TEAM/replicasets/set)";
const OTHER_UID: &str = "$UID(/apis/apps/v1/namespaces/$TEAM/replicasets/other)";
const VAULT_UID: &str = "$UID(/apis/apps/v1/namespaces/$VAULT/replicasets/set)";

pub(super) fn rows() -> Vec<Attack> {
    references().into_iter().chain(borrowed()).collect()
}

fn references() -> Vec<Attack> {
    // Below another user's right name the pod is refused all the same: only the controller itself is believed.
    let forged = |row: Attack, object: Value| {
        row.attempt(create(TEAM_PODS, object))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT)
    };
    vec![
        forged(
            attack("an owner that has the label", "pods", MALLORY)
                .does("A pod that names a ReplicaSet as its controller, whose template does have the label")
                .given(create(SETS, replica_set("set", CLIENT))),
            owned("set", RIGHT_UID),
        ),
        forged(
            attack("an owner without the label", "pods", MALLORY)
                .does("A pod that names a ReplicaSet of one's own, whose template has no such label")
                .given(create(SETS, replica_set("set", OTHER)).by(MALLORY)),
            owned("set", RIGHT_UID),
        ),
        forged(
            attack("an owner of another uid", "pods", MALLORY)
                .does("The name of a ReplicaSet that has the label, with the uid of another one")
                .given(create(SETS, replica_set("set", CLIENT)))
                .given(create(SETS, replica_set("other", OTHER)).by(MALLORY)),
            owned("set", OTHER_UID),
        ),
        forged(
            attack("an owner in another namespace", "pods", MALLORY)
                .does("The name and uid of a ReplicaSet that has the label, in another namespace")
                .given(create("/apis/apps/v1/namespaces/$VAULT/replicasets", replica_set("set", CLIENT))),
            owned("set", VAULT_UID),
        ),
        forged(
            attack("an owner that is gone", "pods", MALLORY)
                .does("A controller reference to a ReplicaSet that does not exist"),
            owned("gone", "11111111-2222-3333-4444-555555555555"),
        ),
        attack("two controllers", "pods", MALLORY)
            .does("Two references that both say they control the pod")
            .given(create(SETS, replica_set("set", CLIENT)))
            .given(create(SETS, replica_set("other", OTHER)))
            .attempt(create(
                TEAM_PODS,
                with(
                    pod("rogue", CLIENT, "evil"),
                    json!({"metadata": {"ownerReferences": [reference("set", RIGHT_UID), reference("other", OTHER_UID)]}}),
                ),
            ))
            .brings(ROGUE, LABEL, "client")
            .refused_by_the_api_server("Only one reference can have Controller set to true"),
        forged(
            attack("an orphan for a ReplicaSet to adopt", "pods", MALLORY)
                .does("A labelled pod without owner that a ReplicaSet of one's own would adopt by its selector")
                .given(create(SETS, replica_set("set", OTHER)).by(MALLORY)),
            pod("rogue", CLIENT, "evil"),
        ),
        attack("a planted pod of a StatefulSet", "pods", MALLORY)
            .does("A member's name and revision label, before the StatefulSet makes it")
            .attempt(create(
                "/api/v1/namespaces/$VAULT/pods",
                with(
                    pod("set-0", MEMBER, "evil"),
                    json!({"metadata": {"labels": {
                        "controller-revision-hash": "set-1", "statefulset.kubernetes.io/pod-name": "set-0",
                    }}}),
                ),
            ))
            .brings("/api/v1/namespaces/$VAULT/pods/set-0", LABEL, "vault")
            .refused(JOIN),
        attack("a ReplicaSet that says a Deployment made it", "replicasets.apps", MALLORY)
            .does("A ReplicaSet with the label that names a Deployment as its controller")
            .given(kubectl("create deployment front -n $TEAM --image=app --replicas=0"))
            .attempt(create(
                SETS,
                with(
                    replica_set("planted", CLIENT),
                    json!({"metadata": {"ownerReferences": [{
                        "apiVersion": "apps/v1", "kind": "Deployment", "name": "front", "controller": true,
                        "uid": "$UID(/apis/apps/v1/namespaces/$TEAM/deployments/front)",
                    }]}}),
                ),
            ))
            .brings(
                "/apis/apps/v1/namespaces/$TEAM/replicasets/planted",
                "/spec/template/metadata/labels/app",
                "client",
            )
            .refused(CONNECT),
    ]
}

/// A controller's service account, impersonated. The built-in controllers need rights there, which a kube-controller-manager
/// has given them: they may create pods everywhere.
fn borrowed() -> Vec<Attack> {
    let as_controller = "create -n $TEAM --as=system:serviceaccount:kube-system:replicaset-controller -f -";
    vec![
        attack("a controller's name, and an owner without the label", "pods", IVAN)
            .does("`--as` the ReplicaSet controller, with a ReplicaSet of one's own as owner")
            .given(create(SETS, replica_set("set", OTHER)).by(IVAN))
            .attempt(kubectl_with(as_controller, owned("set", RIGHT_UID)))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a controller's name, and an owner with the label", "pods", IVAN)
            .does(
                "`--as` the ReplicaSet controller: impersonated it has no uid, which the controller itself always has",
            )
            .given(create(SETS, replica_set("set", CLIENT)))
            .attempt(kubectl_with(as_controller, owned("set", RIGHT_UID)))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a controller's name, and no owner", "pods", IVAN)
            .does("`--as` the ReplicaSet controller, without an owner")
            .attempt(kubectl_with(as_controller, pod("rogue", CLIENT, "evil")))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
    ]
}
