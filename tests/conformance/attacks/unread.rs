//! Policies of kinds that ringfence does not read, each a custom kind of the group that its network brings, with the network's
//! own role aggregated to `edit`.

use ringfence_controlplane::{Kind, Lives};
use ringfence_core::review::{Extent, Shape, WRITE_PATHS, WritePath};
use serde_json::{Value, json};

use super::super::attack::{
    ADA, Attack, IVAN, MALLORY, PETRA, TESS, attack, create, kubectl, kubectl_with, merge, request,
};
use super::super::table::path_name;

/// The kinds of the table; whatever version of them is served.
pub(crate) fn kinds() -> impl Iterator<Item = (Kind<'static>, &'static WritePath)> {
    WRITE_PATHS.iter().filter_map(|row| {
        let lives = match row.shape {
            Shape::UnreadPolicy(Extent::Namespace) => Lives::InNamespaces,
            Shape::UnreadPolicy(Extent::Cluster) => Lives::InTheCluster,
            _ => return None,
        };
        let kind = Kind {
            group: row.group,
            version: "v1",
            plural: row.resource,
            kind: row.kind,
            lives,
        };
        Some((kind, row))
    })
}

const CREATED: &str = "may not be created: user";
const CHANGED: &str = "may not be changed: user";
const DELETED: &str = "may not be deleted: user";

const CILIUM: &str = "ciliumnetworkpolicies.cilium.io";
const TEAMS: &str = "/apis/cilium.io/v1/namespaces/$TEAM/ciliumnetworkpolicies";
const HELD: &str = "/apis/cilium.io/v1/namespaces/$TEAM/ciliumnetworkpolicies/held";
const ALL_HELD: &str = "/apis/cilium.io/v1/namespaces/$TEAM/ciliumnetworkpolicies?labelSelector=of%3Dteam";
const VAULTS: &str = "/apis/cilium.io/v1/namespaces/$VAULT/ciliumnetworkpolicies";

/// A Cilium policy; of others nobody here reads more than that there is one.
fn cilium(name: &str, ingress: Value) -> Value {
    json!({
        "apiVersion": "cilium.io/v1", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "labels": {"of": "team"}},
        "spec": {"endpointSelector": {}, "ingress": ingress},
    })
}

fn held() -> Value {
    cilium("held", json!([]))
}

pub(super) fn rows() -> Vec<Attack> {
    let mut rows: Vec<Attack> = kinds().map(one_of_each_kind).collect();
    rows.extend(creations());
    rows.extend(changes());
    rows.extend(deletions());
    rows
}

/// One policy that lets everything in, by whoever RBAC lets write the kind.
fn one_of_each_kind((kind, row): (Kind<'static>, &'static WritePath)) -> Attack {
    let user = match kind.lives {
        Lives::InNamespaces => MALLORY,
        Lives::InTheCluster => PETRA,
    };
    // Of what is in no namespace every row has its own.
    let name = "open-$TEAM";
    let collection = kind.collection("$TEAM");
    let Kind {
        group, version, kind, ..
    } = kind;
    let object = json!({
        "apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": {"name": name}, "spec": {"ingress": [{}]},
    });
    attack(format!("a {kind} of {group}"), path_name(row), user)
        .does("One that lets everything in, by whoever RBAC lets write the kind")
        .attempt(create(&collection, object))
        .brings(&format!("{collection}/{name}"), "/spec/ingress", json!([{}]))
        .refused(CREATED)
}

fn creations() -> Vec<Attack> {
    let everywhere = json!({
        "apiVersion": "cilium.io/v1", "kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": "applied-$TEAM"},
        "specs": [{"endpointSelector": {}, "ingress": [{}]}],
    });
    vec![
        attack("members opened by another network's policy", CILIUM, TESS)
            .does("By whoever holds every verb in their namespace: their owner consents elsewhere")
            .attempt(create(VAULTS, cilium("open", json!([{}]))))
            .brings(&format!("{VAULTS}/open"), "/spec/ingress", json!([{}]))
            .refused(CREATED),
        attack("another network's policy by server-side apply", CILIUM, MALLORY)
            .does("`kubectl apply --server-side` of what is not there yet")
            .attempt(kubectl_with(
                "apply --server-side -n $TEAM -f -",
                cilium("open", json!([{}])),
            ))
            .brings(&format!("{TEAMS}/open"), "/spec/ingress", json!([{}]))
            .refused(CREATED),
        attack("another network's policy as an account of the network", CILIUM, IVAN)
            .does("`kubectl --as` a service account of kube-system, without its uid")
            .given(kubectl(
                "create rolebinding operator -n $TEAM --clusterrole=edit --serviceaccount=kube-system:network-operator",
            ))
            .attempt(kubectl_with(
                "create --validate=false -n $TEAM --as=system:serviceaccount:kube-system:network-operator -f -",
                cilium("open", json!([{}])),
            ))
            .brings(&format!("{TEAMS}/open"), "/spec/ingress", json!([{}]))
            .refused(CREATED),
        attack(
            "another network's policy of the whole cluster by server-side apply",
            "ciliumclusterwidenetworkpolicies.cilium.io",
            PETRA,
        )
        .does("`kubectl apply --server-side` of one that has `specs` in place of a `spec`")
        .attempt(kubectl_with("apply --server-side -f -", everywhere))
        .brings(
            "/apis/cilium.io/v1/ciliumclusterwidenetworkpolicies/applied-$TEAM",
            "/specs/0/ingress",
            json!([{}]),
        )
        .refused(CREATED),
    ]
}

fn changes() -> Vec<Attack> {
    let changing = |name: &str, user| attack(name, CILIUM, user).given(create(TEAMS, held())).refused(CHANGED);
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]);
    vec![
        changing("another network's policy opened", MALLORY)
            .does("A merge patch that lets everything in")
            .attempt(merge(HELD, json!({"spec": {"ingress": [{}]}})))
            .brings(HELD, "/spec/ingress", json!([{}])),
        changing("another network's policy opened beside its spec", ADA)
            .does("A JSON patch of `specs`, which Cilium reads like `spec`")
            .attempt(request(
                "PATCH",
                HELD,
                "application/json-patch+json",
                json!([{"op": "add", "path": "/specs", "value": [{"endpointSelector": {}, "ingress": [{}]}]}]),
            ))
            .brings(HELD, "/specs/0/ingress", json!([{}])),
        changing("another network's policy put", MALLORY)
            .does("`kubectl replace` of another under its name")
            .attempt(kubectl_with("replace -n $TEAM -f -", cilium("held", json!([{}]))))
            .brings(HELD, "/spec/ingress", json!([{}])),
        changing("another network's policy given an owner that is gone", ADA)
            .does("An ownerReference to nothing: the garbage collector deletes the policy")
            .attempt(merge(HELD, json!({"metadata": {"ownerReferences": owner}})))
            .brings(ALL_HELD, "/items", json!([])),
    ]
}

fn deletions() -> Vec<Attack> {
    let deleting = |name: &str, user| {
        attack(name, CILIUM, user)
            .given(create(TEAMS, held()))
            .brings(ALL_HELD, "/items", json!([]))
            .refused(DELETED)
    };
    vec![
        deleting("another network's policy deleted", MALLORY)
            .does("`kubectl delete` with the network's role aggregated to `edit`")
            .attempt(kubectl("delete ciliumnetworkpolicies.cilium.io held -n $TEAM")),
        deleting("another network's policies deleted as a collection", ADA)
            .does("DELETE of the collection: one request a policy, without a name")
            .attempt(request("DELETE", ALL_HELD, "application/json", json!({}))),
    ]
}
