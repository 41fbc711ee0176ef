//! Bindings: the API server lays their labels over those of the pod that is bound.

use serde_json::{Value, json};

use super::super::attack::{Attack, CLIENT, MEMBER, OTHER, TEAM_PODS, TESS, VAULT_PODS, attack, create, pod};
use super::{CONNECT, LEAVE};

fn binding(pod: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "labels": labels},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-0"},
    })
}

pub(super) fn rows() -> Vec<Attack> {
    let idle = "/api/v1/namespaces/$TEAM/pods/idle";
    let waiting = |row: Attack| row.given(create(TEAM_PODS, pod("idle", OTHER, "evil")));
    let label = json!({"app": "client"});
    let with_zone = json!({"app": "client", "topology.kubernetes.io/zone": "zone-a"});
    vec![
        waiting(attack("a label by a Binding", "pods/binding", TESS))
            .does("A Binding with the label, of a pod that waits for a node")
            .attempt(create(&format!("{idle}/binding"), binding("idle", &label)))
            .brings(idle, "/metadata/labels/app", "client")
            .refused(CONNECT),
        waiting(attack("a label beside topology", "pods/binding", TESS))
            .does("A Binding with the label beside those that the API server writes itself, which pass by")
            .attempt(create(&format!("{idle}/binding"), binding("idle", &with_zone)))
            .brings(idle, "/metadata/labels/app", "client")
            .refused(CONNECT),
        attack("out of the members by a Binding", "pods/binding", TESS)
            .does("A Binding whose label overwrites the one that makes a member")
            .given(create(VAULT_PODS, pod("idle", MEMBER, "app")))
            .attempt(create(
                "/api/v1/namespaces/$VAULT/pods/idle/binding",
                binding("idle", &json!({"app": "other"})),
            ))
            .brings("/api/v1/namespaces/$VAULT/pods/idle", "/metadata/labels/app", "other")
            .refused(LEAVE),
        waiting(attack("a label by a legacy Binding", "bindings", TESS))
            .does("The same by POST to the collection of bindings")
            .attempt(create("/api/v1/namespaces/$TEAM/bindings", binding("idle", &label)))
            .brings(idle, "/metadata/labels/app", "client")
            .refused(CONNECT),
        attack("a client's label by a legacy Binding of a client", "bindings", TESS)
            .does("A legacy Binding of a member that makes it a client as well")
            .given(create(VAULT_PODS, pod("idle", MEMBER, "app")))
            .attempt(create(
                "/api/v1/namespaces/$VAULT/bindings",
                binding("idle", &json!({CLIENT.0: CLIENT.1})),
            ))
            .brings("/api/v1/namespaces/$VAULT/pods/idle", "/metadata/labels/app", "client")
            .refused(CONNECT),
    ]
}
