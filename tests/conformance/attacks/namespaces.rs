//! Namespaces: their labels say which of their pods are members, and three subresources write them.

use serde_json::{Value, json};

use super::super::attack::{Attack, NATE, TESS, attack, create, kubectl, kubectl_with, merge, request};
use super::{JOIN, LEAVE};

const TEAM: &str = "/api/v1/namespaces/$TEAM";
const VAULT: &str = "/api/v1/namespaces/$VAULT";
const ZONE: &str = "/metadata/labels/zone";

fn labelled(name: &str, zone: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"zone": zone, "kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
    })
}

pub(super) fn rows() -> Vec<Attack> {
    let into = json!({"metadata": {"labels": {"zone": "vault"}}});
    let out = json!({"metadata": {"labels": {"zone": "open"}}});
    vec![
        attack("a namespace takes the members' label", "namespaces", TESS)
            .does("`kubectl label namespace` by whoever may do everything in it")
            .attempt(kubectl("label namespace $TEAM zone=vault"))
            .brings(TEAM, ZONE, "vault")
            .refused(JOIN),
        attack("a namespace replaced", "namespaces", TESS)
            .does("PUT of the namespace with the label")
            .attempt(request("PUT", TEAM, "application/json", labelled("$TEAM", "vault")))
            .brings(TEAM, ZONE, "vault")
            .refused(JOIN),
        attack("a namespace by server-side apply", "namespaces", TESS)
            .does("Server-side apply of the label")
            .attempt(kubectl_with("apply --server-side -f -", labelled("$TEAM", "vault")))
            .brings(TEAM, ZONE, "vault")
            .refused(JOIN),
        attack("a namespace gives the members' label up", "namespaces", TESS)
            .does("`kubectl label namespace` that takes all its pods out of the members")
            .attempt(kubectl("label namespace $VAULT zone=open --overwrite"))
            .brings(VAULT, ZONE, "open")
            .refused(LEAVE),
        attack("a namespace takes the label by status", "namespaces/status", TESS)
            .does("A patch of namespaces/status, which writes labels as well")
            .attempt(merge(&format!("{TEAM}/status"), into.clone()))
            .brings(TEAM, ZONE, "vault")
            .refused(JOIN),
        attack("a namespace gives the label up by status", "namespaces/status", TESS)
            .does("A patch of namespaces/status that changes the members' label")
            .attempt(merge(&format!("{VAULT}/status"), out))
            .brings(VAULT, ZONE, "open")
            .refused(LEAVE),
        attack("a namespace takes the label by finalize", "namespaces/finalize", TESS)
            .does("PUT of namespaces/finalize, which writes labels as well")
            .attempt(request("PUT", &format!("{TEAM}/finalize"), "application/json", labelled("$TEAM", "vault")))
            .brings(TEAM, ZONE, "vault")
            .refused(JOIN),
        attack("a namespace gives the label up by finalize", "namespaces/finalize", TESS)
            .does("PUT of namespaces/finalize with another label")
            .attempt(request("PUT", &format!("{VAULT}/finalize"), "application/json", labelled("$VAULT", "open")))
            .brings(VAULT, ZONE, "open")
            .refused(LEAVE),
        attack("whoever makes the consent namespace", "namespaces", NATE)
            .does("Creating the missing namespace in which a segment's consent is asked: its maker would come to own the segment")
            .attempt(create(
                "/api/v1/namespaces",
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "later-owners"}}),
            ))
            .brings("/api/v1/namespaces/later-owners", "/metadata/name", "later-owners")
            .refused("may not become the consent of segment later"),
    ]
}
