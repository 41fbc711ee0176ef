//! The policies that hold a segment: opened, narrowed, taken away by whoever writes policies where members live. The built-in
//! role `edit` may do all of it.

use serde_json::{Value, json};

use super::super::attack::{
    ADA, Attack, IVAN, MALLORY, TESS, attack, create, kubectl, kubectl_with, merge, request, with,
};

const PATH: &str = "networkpolicies.networking.k8s.io";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/$VAULT/networkpolicies";
const HELD: &str = "/apis/networking.k8s.io/v1/namespaces/$VAULT/networkpolicies/held";
const OPEN: &str = "/apis/networking.k8s.io/v1/namespaces/$VAULT/networkpolicies/open";
/// Those that rows begin with, as a list: empty once they are gone.
const ALL_HELD: &str = "/apis/networking.k8s.io/v1/namespaces/$VAULT/networkpolicies?labelSelector=of%3Dvault";
const INGRESS: &str = "/spec/ingress";

const CREATED: &str = "may not be created over segment vault";
const CHANGED: &str = "may not be changed over segment vault";
const DELETED: &str = "may not be deleted from segment vault";

fn policy(name: &str, selector: Value, ingress: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": {"of": "vault"}},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress},
    })
}

fn members() -> Value {
    json!({"matchLabels": {"app": "vault"}})
}

/// Lets everything in to the members.
fn open() -> Value {
    policy("open", members(), json!([{}]))
}

/// Lets clients in, and nobody else.
fn held() -> Value {
    let clients = json!([{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "client"}}}]}]);
    policy("held", members(), clients)
}

fn creating(name: &str, user: &'static str) -> Attack {
    attack(name, PATH, user)
        .brings(OPEN, INGRESS, json!([{}]))
        .refused(CREATED)
}

fn changing(name: &str, user: &'static str) -> Attack {
    attack(name, PATH, user)
        .given(create(POLICIES, held()))
        .refused(CHANGED)
}

fn opening(name: &str, user: &'static str) -> Attack {
    changing(name, user).brings(HELD, INGRESS, json!([{}]))
}

fn deleting(name: &str, user: &'static str) -> Attack {
    attack(name, PATH, user)
        .given(create(POLICIES, held()))
        .brings(ALL_HELD, "/items", json!([]))
        .refused(DELETED)
}

pub(super) fn rows() -> Vec<Attack> {
    [creations(), changes(), deletions()].into_iter().flatten().collect()
}

fn creations() -> Vec<Attack> {
    let generated = json!({"metadata": {"name": null, "generateName": "open-", "labels": {"by": "hand"}}});
    vec![
        creating("members opened by one more policy", MALLORY)
            .does("A policy that selects the members and lets everything in: policies add up")
            .attempt(create(POLICIES, open())),
        creating("a namespace of members opened", ADA)
            .does("An empty podSelector: every pod of the namespace")
            .attempt(create(POLICIES, policy("open", json!({}), json!([{}])))),
        creating("members opened by what their label is not", TESS)
            .does("A podSelector that names no label of theirs, but excludes another value")
            .attempt(create(
                POLICIES,
                policy(
                    "open",
                    json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["other"]}]}),
                    json!([{}]),
                ),
            )),
        creating("members opened by server-side apply", MALLORY)
            .does("`kubectl apply --server-side` of what is not there yet")
            .attempt(kubectl_with("apply --server-side -n $VAULT -f -", open())),
        creating("members opened under a generated name", MALLORY)
            .does("generateName: the request has no name")
            .attempt(create(POLICIES, with(open(), generated)))
            .brings(
                "/apis/networking.k8s.io/v1/namespaces/$VAULT/networkpolicies?labelSelector=by%3Dhand",
                "/items/0/spec/ingress",
                json!([{}]),
            ),
    ]
}

fn changes() -> Vec<Attack> {
    let opened = json!({"spec": {"ingress": [{}]}});
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]);
    let narrowed = json!({"spec": {"podSelector": {"matchLabels": {"app": "other"}}}});
    vec![
        opening("the members' policy opened by a merge patch", MALLORY)
            .does("A merge patch that lets everything in")
            .attempt(merge(HELD, opened.clone())),
        opening("the members' policy opened by a JSON patch", ADA)
            .does("A JSON patch that lets everything in")
            .attempt(request(
                "PATCH",
                HELD,
                "application/json-patch+json",
                json!([{"op": "replace", "path": "/spec/ingress", "value": [{}]}]),
            )),
        opening("the members' policy opened by a strategic merge patch", MALLORY)
            .does("A strategic merge patch that lets everything in")
            .attempt(request("PATCH", HELD, "application/strategic-merge-patch+json", opened)),
        opening("the members' policy put", TESS)
            .does("PUT of another under its name")
            .attempt(request(
                "PUT",
                HELD,
                "application/json",
                policy("held", members(), json!([{}])),
            )),
        opening("the members' policy by forced server-side apply", MALLORY)
            .does("`kubectl apply --server-side --force-conflicts` of another spec")
            .attempt(kubectl_with(
                "apply --server-side --force-conflicts -n $VAULT -f -",
                policy("held", members(), json!([{}])),
            )),
        changing("the members' policy turned to others", ADA)
            .does("Its podSelector changed: it selects the members no more")
            .attempt(merge(HELD, narrowed))
            .brings(HELD, "/spec/podSelector/matchLabels/app", "other"),
        attack("another policy turned to the members", PATH, MALLORY)
            .does("The podSelector of one's own policy about other pods changed to theirs")
            .given(
                create(
                    POLICIES,
                    policy("open", json!({"matchLabels": {"app": "other"}}), json!([{}])),
                )
                .by(MALLORY),
            )
            .attempt(merge(
                OPEN,
                json!({"spec": {"podSelector": {"matchLabels": {"app": "vault"}}}}),
            ))
            .brings(OPEN, "/spec/podSelector/matchLabels/app", "vault")
            .refused(CHANGED),
        changing("the members' policy given an owner that is gone", MALLORY)
            .does("An ownerReference to nothing: the garbage collector deletes the policy")
            .attempt(merge(HELD, json!({"metadata": {"ownerReferences": owner}})))
            .brings(ALL_HELD, "/items", json!([])),
    ]
}

fn deletions() -> Vec<Attack> {
    let delete = "delete networkpolicies.networking.k8s.io held -n $VAULT";
    vec![
        deleting("the members' policy deleted", MALLORY)
            .does("`kubectl delete networkpolicy` with the built-in role `edit`")
            .attempt(kubectl(delete)),
        deleting("the members' policies deleted as a collection", TESS)
            .does("DELETE of the collection: one request a policy, without a name")
            .attempt(request("DELETE", ALL_HELD, "application/json", json!({}))),
        deleting("the members' policy replaced by force", ADA)
            .does("`kubectl replace --force`, which deletes and creates")
            .attempt(kubectl_with(
                "replace --force -n $VAULT -f -",
                policy("held", members(), json!([{}])),
            ))
            .brings(HELD, INGRESS, json!([{}])),
        deleting("the members' policy deleted as the namespace controller", IVAN)
            .does("`kubectl --as` the account whose deletions never come to ringfence, without its uid")
            .attempt(kubectl(format!(
                "{delete} --as=system:serviceaccount:kube-system:namespace-controller"
            ))),
    ]
}
