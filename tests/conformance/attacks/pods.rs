//! Pods themselves: created, relabelled, other code under a kept label; in every form that a write can have.

use serde_json::json;

use super::super::attack::{
    Attack, CLIENT, MALLORY, MEMBER, OTHER, TEAM_PODS, TESS, VAULT_PODS, attack, create, kubectl, kubectl_with, merge,
    pod, replace, request, with,
};
use super::{CONNECT, ENTER, JOIN, LEAVE};

const ROGUE: &str = "/api/v1/namespaces/$TEAM/pods/rogue";
const PLAIN: &str = "/api/v1/namespaces/$TEAM/pods/plain";
const DATABASE: &str = "/api/v1/namespaces/$VAULT/pods/database";
const LABEL: &str = "/metadata/labels/app";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A pod of nobody's interest, and those of the segment, all made by the administrator.
fn plain(row: Attack) -> Attack {
    row.given(create(TEAM_PODS, pod("plain", OTHER, "app")))
}

fn client(row: Attack) -> Attack {
    let object = with(
        pod("client", CLIENT, "app"),
        json!({"spec": {"initContainers": [{"name": "first", "image": "app"}]}}),
    );
    row.given(create(TEAM_PODS, object))
}

fn database(row: Attack) -> Attack {
    row.given(create(VAULT_PODS, pod("database", MEMBER, "app")))
}

pub(super) fn rows() -> Vec<Attack> {
    [creations(), relabellings(), images(), subresources()]
        .into_iter()
        .flatten()
        .collect()
}

fn creations() -> Vec<Attack> {
    let listed = "/api/v1/namespaces/$TEAM/pods?labelSelector=app%3Dclient";
    let generated = json!({"metadata": {"name": null, "generateName": "rogue-"}});
    vec![
        attack("a copied label", "pods", MALLORY)
            .does("`kubectl run` with the label of a client")
            .attempt(kubectl("run rogue -n $TEAM --image=evil --labels=app=client"))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a copied label of a member", "pods", MALLORY)
            .does("`kubectl run` with the label of a member, in a namespace of members")
            .attempt(kubectl("run rogue -n $VAULT --image=evil --labels=app=vault"))
            .brings("/api/v1/namespaces/$VAULT/pods/rogue", LABEL, "vault")
            .refused(JOIN),
        attack("a label beside others", "pods", MALLORY)
            .does("The label among labels of no interest")
            .attempt(kubectl("run rogue -n $TEAM --image=evil --labels=a=b,app=client,z=1"))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a pod with a generated name", "pods", MALLORY)
            .does("POST with generateName: the request has no name")
            .attempt(create(TEAM_PODS, with(pod("", CLIENT, "evil"), generated)))
            .brings(listed, "/items/0/metadata/labels/app", "client")
            .refused(CONNECT),
        attack("a pod in a list", "pods", MALLORY)
            .does("`kubectl create -f` of a List, the labelled pod after a harmless one")
            .attempt(kubectl_with(
                "create -n $TEAM -f -",
                json!({"apiVersion": "v1", "kind": "List", "items": [pod("harmless", OTHER, "app"), pod("rogue", CLIENT, "evil")]}),
            ))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a pod created by server-side apply", "pods", MALLORY)
            .does("`kubectl apply --server-side` of a pod that is not there")
            .attempt(kubectl_with("apply --server-side -n $TEAM -f -", pod("rogue", CLIENT, "evil")))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a pod that calls itself a mirror", "pods", MALLORY)
            .does("The annotation of mirror pods, which only kubelets write rightfully")
            .attempt(create(
                TEAM_PODS,
                with(
                    pod("rogue", CLIENT, "evil"),
                    json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": {"nodeName": "node-0"}}),
                ),
            ))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a gated pod", "pods", MALLORY)
            .does("A pod that waits behind a scheduling gate, which its writer may take away later")
            .attempt(create(
                TEAM_PODS,
                with(pod("rogue", CLIENT, "evil"), json!({"spec": {"schedulingGates": [{"name": "wait/here"}]}})),
            ))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
        attack("a pod with YAML and its managers", "pods", MALLORY)
            .does("`kubectl apply`, which keeps the object in an annotation of its own")
            .attempt(kubectl_with("apply -n $TEAM -f -", pod("rogue", CLIENT, "evil")))
            .brings(ROGUE, LABEL, "client")
            .refused(CONNECT),
    ]
}

fn relabellings() -> Vec<Attack> {
    let labelled = json!({"metadata": {"labels": {"app": "client"}}});
    let left = json!({"metadata": {"labels": {"app": null}}});
    vec![
        plain(attack("a label by kubectl", "pods", MALLORY))
            .does("`kubectl label` of a running pod")
            .attempt(kubectl("label pod plain -n $TEAM app=client --overwrite"))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        plain(attack("a label by merge patch", "pods", MALLORY))
            .does("A merge patch of the labels")
            .attempt(merge(PLAIN, labelled.clone()))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        plain(attack("a label by JSON patch", "pods", MALLORY))
            .does("A JSON patch that replaces one label")
            .attempt(request(
                "PATCH",
                PLAIN,
                "application/json-patch+json",
                json!([{"op": "replace", "path": LABEL, "value": "client"}]),
            ))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        plain(attack("a label by strategic patch", "pods", MALLORY))
            .does("A strategic merge patch of the labels")
            .attempt(request("PATCH", PLAIN, STRATEGIC, labelled.clone()))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        plain(attack("a label by replacement", "pods", MALLORY))
            .does("PUT of the whole pod")
            .attempt(replace(PLAIN, PLAIN, LABEL, "client"))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        plain(attack("a label by server-side apply", "pods", MALLORY))
            .does("Server-side apply that takes the label over by force")
            .attempt(kubectl_with(
                "apply --server-side --force-conflicts -n $TEAM -f -",
                pod("plain", CLIENT, "app"),
            ))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        attack("relabelled into the members", "pods", MALLORY)
            .does("`kubectl label` of a pod in a namespace of members")
            .given(create(VAULT_PODS, pod("database", OTHER, "app")))
            .attempt(kubectl("label pod database -n $VAULT app=vault --overwrite"))
            .brings(DATABASE, LABEL, "vault")
            .refused(JOIN),
        database(attack("relabelled out of the members", "pods", MALLORY))
            .does("`kubectl label` that takes a member's label away: it leaves its policies")
            .attempt(kubectl("label pod database -n $VAULT app=other --overwrite"))
            .brings(DATABASE, LABEL, "other")
            .refused(LEAVE),
        plain(attack("a label by status", "pods/status", TESS))
            .does("A patch of pods/status, which writes labels as well")
            .attempt(merge(&format!("{PLAIN}/status"), labelled.clone()))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        plain(attack("a label by strategic patch of the status", "pods/status", TESS))
            .does("`kubectl label --subresource=status` and its kin")
            .attempt(request("PATCH", &format!("{PLAIN}/status"), STRATEGIC, labelled))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        plain(attack("a label by replacement of the status", "pods/status", TESS))
            .does("PUT of pods/status")
            .attempt(replace(PLAIN, &format!("{PLAIN}/status"), LABEL, "client"))
            .brings(PLAIN, LABEL, "client")
            .refused(CONNECT),
        database(attack("out of the members by status", "pods/status", TESS))
            .does("A patch of pods/status that takes a member's label away")
            .attempt(merge(
                &format!("{DATABASE}/status"),
                with(left, json!({"metadata": {"labels": {"left": "yes"}}})),
            ))
            .brings(DATABASE, "/metadata/labels/left", "yes")
            .refused(LEAVE),
    ]
}

fn images() -> Vec<Attack> {
    let path = "/api/v1/namespaces/$TEAM/pods/client";
    vec![
        client(attack("other code under a client's label", "pods", MALLORY))
            .does("`kubectl set image` of a running client")
            .attempt(kubectl("set image pod/client -n $TEAM main=evil"))
            .brings(path, "/spec/containers/0/image", "evil")
            .refused(CONNECT),
        client(attack("another init container's code", "pods", MALLORY))
            .does("A changed image of an init container")
            .attempt(request(
                "PATCH",
                path,
                STRATEGIC,
                json!({"spec": {"initContainers": [{"name": "first", "image": "evil"}]}}),
            ))
            .brings(path, "/spec/initContainers/0/image", "evil")
            .refused(CONNECT),
        database(attack("other code under a member's label", "pods", MALLORY))
            .does("A changed image of a running member")
            .attempt(request(
                "PATCH",
                DATABASE,
                STRATEGIC,
                json!({"spec": {"containers": [{"name": "main", "image": "evil"}]}}),
            ))
            .brings(DATABASE, "/spec/containers/0/image", "evil")
            .refused(JOIN),
    ]
}

fn subresources() -> Vec<Attack> {
    let container = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "evil"}]}});
    let debug = |path: &str| {
        request(
            "PATCH",
            &format!("{path}/ephemeralcontainers"),
            STRATEGIC,
            container.clone(),
        )
    };
    let client_path = "/api/v1/namespaces/$TEAM/pods/client";
    vec![
        database(attack("a container in a member", "pods/ephemeralcontainers", TESS))
            .does("An ephemeral container, as `kubectl debug` adds it: it shares the member's network")
            .attempt(debug(DATABASE))
            .brings(DATABASE, "/spec/ephemeralContainers/0/image", "evil")
            .refused(ENTER),
        client(attack("a container in a client", "pods/ephemeralcontainers", TESS))
            .does("An ephemeral container in a pod that the policies let in")
            .attempt(debug(client_path))
            .brings(client_path, "/spec/ephemeralContainers/0/image", "evil")
            .refused(ENTER),
    ]
}
