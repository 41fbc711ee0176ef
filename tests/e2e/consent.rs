//! Who may become the one who consents.

use serde_json::json;

use super::world::{World, bind};

/// As in the documentation, but the consent namespace does not exist yet.
const GUARDRAILS: &str = r"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: vault}
spec:
  consent: {namespace: vault}
  members: [{namespaces: [vault], podSelector: {matchLabels: {app: vault}}}]
  clients: [{namespaceSelector: {}, podSelector: {matchLabels: {vault: client}}}]
";

#[test]
fn whoever_creates_a_missing_consent_namespace_does_not_come_to_own_the_segment() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    let may_create = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "project-creator"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "get"]}],
    });
    world.apply("admin", &may_create).ok();
    world
        .kubectl(
            "admin",
            "create clusterrolebinding nate --clusterrole=project-creator --user=nate",
        )
        .ok();
    world.eventually("nate", "create namespace unrelated");
    let said = world.kubectl("nate", "create namespace vault").refused();
    assert!(
        said.contains("namespace vault may not become the consent of segment vault"),
        "{said}"
    );
    // While it is missing, consent is the cluster's: a grant somewhere else is none.
    let client = "run client -n web --image=app --labels=vault=client";
    let said = world.kubectl("mallory", client).refused();
    assert!(
        said.contains("its consent namespace does not exist, so the cluster is asked"),
        "{said}"
    );
    world.kubectl("admin", "create namespace vault").ok();
    bind(
        &world.cluster,
        "vault",
        "ClusterRole/ringfence:vault:connect",
        "mallory",
    );
    world.eventually("mallory", client);
    // One that goes away takes its consent along, and with it what was granted there.
    world
        .kubectl("admin", "delete namespace vault --wait=true --timeout=60s")
        .ok();
    world.kubectl("nate", "create namespace vault").refused();
    world.eventually_refused(
        "mallory",
        "run again -n web --image=app --labels=vault=client --dry-run=server",
    );
}
