//! The policies that isolate a namespace: taken down, opened, or taken over beforehand, by whoever writes policies there. The
//! one that rows are about is put there by the administrator, as ringfence would: without ringfence nobody else does.

use serde_json::{Value, json};

use super::super::attack::{
    ADA, Attack, IVAN, MALLORY, OTHER, Step, TEAM_PODS, TESS, attack, create, kubectl, kubectl_with, merge, pod,
    request, until, with,
};

const PATH: &str = "networkpolicies.networking.k8s.io";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/$TEAM/networkpolicies";
const DENY: &str = "/apis/networking.k8s.io/v1/namespaces/$TEAM/networkpolicies/ringfence-default-deny-ingress";
/// The same as a list that is empty once it is gone.
const DENIES: &str = "/apis/networking.k8s.io/v1/namespaces/$TEAM/networkpolicies?fieldSelector=metadata.name%3Dringfence-default-deny-ingress";

const CREATED: &str = "may not be created: user";
const CHANGED: &str = "may not be changed: user";
const DELETED: &str = "may not be deleted: user";

/// A policy that lets everything in.
fn open(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    })
}

fn labelled(name: &str) -> Value {
    with(
        open(name),
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "ringfence"}}}),
    )
}

fn deny() -> Value {
    with(
        labelled("ringfence-default-deny-ingress"),
        json!({"spec": {"ingress": null}}),
    )
}

fn isolated(row: Attack) -> Attack {
    row.given(kubectl_with(
        "apply --server-side --force-conflicts --field-manager=ringfence -n $TEAM -f -",
        deny(),
    ))
}

fn changing(name: &str, user: &'static str) -> Attack {
    isolated(attack(name, PATH, user)).refused(CHANGED)
}

fn deleting(name: &str, user: &'static str) -> Attack {
    isolated(attack(name, PATH, user))
        .brings(DENIES, "/items", json!([]))
        .refused(DELETED)
}

fn creating(name: &str, user: &'static str) -> Attack {
    attack(name, PATH, user).refused(CREATED)
}

fn json_patch(operations: Value) -> Step {
    request("PATCH", DENY, "application/json-patch+json", operations)
}

pub(super) fn rows() -> Vec<Attack> {
    [deletions(), changes(), metadata(), creations()]
        .into_iter()
        .flatten()
        .collect()
}

fn deletions() -> Vec<Attack> {
    let delete = "delete networkpolicy ringfence-default-deny-ingress -n $TEAM";
    let held = with(
        pod("held", OTHER, "app"),
        json!({"metadata": {"finalizers": ["example.org/hold"]}}),
    );
    vec![
        deleting("an injected policy deleted by admin", ADA)
            .does("`kubectl delete networkpolicy` with the built-in role `admin`")
            .attempt(kubectl(delete)),
        deleting("an injected policy deleted by a tenant", TESS)
            .does("The same by whoever holds every verb in the namespace")
            .attempt(kubectl(delete)),
        deleting("injected policies deleted as a collection", ADA)
            .does("DELETE of the collection: one request a policy, without a name")
            .attempt(request("DELETE", POLICIES, "application/json", json!({}))),
        deleting("an injected policy deleted in the foreground", ADA)
            .does("`kubectl delete --cascade=foreground`, which the garbage collector ends")
            .attempt(kubectl(format!("{delete} --cascade=foreground"))),
        deleting("an injected policy replaced by force", MALLORY)
            .does("`kubectl replace --force`, which deletes and creates")
            .attempt(kubectl_with(
                "replace --force -n $TEAM -f -",
                open("ringfence-default-deny-ingress"),
            ))
            .brings(DENY, "/spec/ingress", json!([{}])),
        deleting("an injected policy deleted in a namespace that goes", TESS)
            .does(
                "Deleting the namespace, whose pods a finalizer keeps alive, then the policy, which cannot be put back",
            )
            .given(create(TEAM_PODS, held))
            .given(kubectl("delete namespace $TEAM --wait=false"))
            .given(until("/api/v1/namespaces/$TEAM", "/status/phase", "Terminating"))
            .attempt(kubectl(delete)),
        deleting("an injected policy deleted as the namespace controller", IVAN)
            .does("`kubectl --as` the account whose deletions never come to ringfence, without its uid")
            .attempt(kubectl(format!(
                "{delete} --as=system:serviceaccount:kube-system:namespace-controller"
            ))),
    ]
}

fn changes() -> Vec<Attack> {
    let opened = json!({"spec": {"ingress": [{}]}});
    vec![
        changing("an injected policy opened", MALLORY)
            .does("A merge patch that lets everything in")
            .attempt(merge(DENY, opened))
            .brings(DENY, "/spec/ingress", json!([{}])),
        changing("an injected policy put", ADA)
            .does("PUT of another policy under its name")
            .attempt(request(
                "PUT",
                DENY,
                "application/json",
                open("ringfence-default-deny-ingress"),
            ))
            .brings(DENY, "/spec/ingress", json!([{}])),
        changing("an injected policy by forced server-side apply", MALLORY)
            .does("`kubectl apply --server-side --force-conflicts` of another spec")
            .attempt(kubectl_with(
                "apply --server-side --force-conflicts -n $TEAM -f -",
                open("ringfence-default-deny-ingress"),
            ))
            .brings(DENY, "/spec/ingress", json!([{}])),
        changing("an injected policy that selects nothing", TESS)
            .does("A JSON patch of its podSelector")
            .attempt(json_patch(json!([
                {"op": "add", "path": "/spec/podSelector/matchLabels", "value": {"app": "nobody"}},
            ])))
            .brings(DENY, "/spec/podSelector/matchLabels/app", "nobody"),
        changing("an injected policy of another direction", ADA)
            .does("Its policyTypes changed: what it denies comes in again")
            .attempt(merge(DENY, json!({"spec": {"policyTypes": ["Egress"]}})))
            .brings(DENY, "/spec/policyTypes", json!(["Egress"])),
    ]
}

fn metadata() -> Vec<Attack> {
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]);
    let label = "/metadata/labels/app.kubernetes.io~1managed-by";
    vec![
        changing("an injected policy disowned", ADA)
            .does("Its label changed, so that nobody knows it as ringfence's")
            .attempt(kubectl(
                "label networkpolicy ringfence-default-deny-ingress -n $TEAM --overwrite app.kubernetes.io/managed-by=helm",
            ))
            .brings(DENY, label, "helm"),
        changing("an injected policy annotated", ADA)
            .does("The annotation by which a deployer knows its own, and prunes what it does not know")
            .attempt(kubectl(
                "annotate networkpolicy ringfence-default-deny-ingress -n $TEAM argocd.argoproj.io/tracking-id=a:b",
            ))
            .brings(DENY, "/metadata/annotations/argocd.argoproj.io~1tracking-id", "a:b"),
        changing("an injected policy given an owner that is gone", MALLORY)
            .does("An ownerReference to nothing: the garbage collector deletes the policy")
            .attempt(merge(DENY, json!({"metadata": {"ownerReferences": owner}})))
            .brings(DENIES, "/items", json!([])),
        changing("an injected policy given a finalizer", ADA)
            .does("A finalizer that holds the policy up once it is deleted, and its namespace with it")
            .attempt(merge(DENY, json!({"metadata": {"finalizers": ["example.org/hold"]}})))
            .brings(DENY, "/metadata/finalizers/0", "example.org/hold"),
    ]
}

fn creations() -> Vec<Attack> {
    let mine = format!("{POLICIES}/mine");
    let label = "/metadata/labels/app.kubernetes.io~1managed-by";
    let generated = json!({"metadata": {"name": null, "generateName": "ringfence-", "labels": {"by": "hand"}}});
    vec![
        creating("a reserved name taken beforehand", TESS)
            .does("A policy under a name that ringfence may want later")
            .attempt(create(POLICIES, open("ringfence-allow-all")))
            .brings(&format!("{POLICIES}/ringfence-allow-all"), "/spec/ingress", json!([{}])),
        creating("a reserved name generated", MALLORY)
            .does("The same by generateName: the request has no name")
            .attempt(create(POLICIES, with(open(""), generated)))
            .brings(
                &format!("{POLICIES}?labelSelector=by%3Dhand"),
                "/items/0/spec/ingress",
                json!([{}]),
            ),
        creating("a policy that says it is ringfence's", ADA)
            .does("The label of injected policies on one's own")
            .attempt(create(POLICIES, labelled("mine")))
            .brings(&mine, label, "ringfence"),
        attack("a policy that comes to say it is ringfence's", PATH, MALLORY)
            .does("The same by an update of one's own policy")
            .given(create(POLICIES, open("mine")).by(MALLORY))
            .attempt(kubectl(
                "label networkpolicy mine -n $TEAM app.kubernetes.io/managed-by=ringfence",
            ))
            .brings(&mine, label, "ringfence")
            .refused(CHANGED),
        isolated(attack("an injected policy by its status", PATH, TESS))
            .does("A patch of networkpolicies/status, which no supported version serves")
            .attempt(merge(
                &format!("{DENY}/status"),
                json!({"metadata": {"labels": {"by": "hand"}}}),
            ))
            .brings(DENY, "/metadata/labels/by", "hand")
            .refused_by_the_api_server("the server could not find the requested resource"),
    ]
}
