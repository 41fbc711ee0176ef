//! With no replica running: refused where something is enforced, nowhere else, and an administrator always recovers.

use serde_json::json;

use super::world::World;

const GUARDRAILS: &str = r"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce, rollout: {default: Audit, namespaces: [{name: web, mode: Enforce}, {name: kube-system, mode: Enforce}]}}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  members: [{namespaces: [payments], podSelector: {matchLabels: {app: hollowdb}}}]
  clients: [{namespaceSelector: {}, podSelector: {matchLabels: {app: hollowapp}}}]
";

#[test]
fn a_dead_webhook_stops_only_what_it_could_have_denied() {
    let Some(mut world) = World::own(GUARDRAILS) else {
        return;
    };
    world.eventually_refused(
        "mallory",
        "run rogue -n web --image=evil --labels=app=hollowapp --dry-run=server",
    );
    world
        .kubectl("mallory", "run before -n web --image=nginx --labels=app=other")
        .ok();
    for index in 0..2 {
        world
            .ringfence
            .replica(index)
            .kill()
            .unwrap_or_else(|error| panic!("{error}"));
    }

    // Where something can be enforced nothing is let in unjudged.
    let said = world
        .kubectl("mallory", "run rogue -n web --image=evil --labels=app=hollowapp")
        .refused();
    assert!(said.contains("failed calling webhook"), "{said}");
    world
        .kubectl("mallory", "label pod before -n web app=hollowapp --overwrite")
        .refused();
    // What cannot change a placement does not even ask.
    world.kubectl("mallory", "annotate pod before -n web note=mine").ok();
    world.kubectl("mallory", "delete pod before -n web --wait=false").ok();

    // Everywhere else life goes on.
    world
        .kubectl("tess", "run plain -n tenant --image=nginx --labels=app=hollowapp")
        .ok();
    world
        .kubectl(
            "admin",
            "run system -n kube-system --image=nginx --labels=app=hollowapp",
        )
        .ok();
    world.kubectl("admin", "create namespace another").ok();
    world.kubectl("admin", "label namespace another team=blue").ok();
    world.kubectl("admin", "delete namespace another --timeout=60s").ok();

    // An administrator changes the guardrails, and as the last resort takes the webhooks away.
    let map = world
        .kubectl(
            "admin",
            "get configmap ringfence-guardrails -n ringfence-system -o json",
        )
        .json();
    assert!(map["data"].is_object());
    world
        .kubectl(
            "admin",
            "annotate configmap ringfence-guardrails -n ringfence-system note=mine",
        )
        .ok();
    world
        .kubectl("admin", "rollout restart deployment/ringfence -n ringfence-system")
        .ok();
    world
        .kubectl(
            "admin",
            "rollout status deployment/ringfence -n ringfence-system --timeout=60s",
        )
        .ok();
    let patch = json!({"webhooks": null}).to_string();
    let patched = [
        "patch",
        "validatingwebhookconfiguration",
        "ringfence",
        "--type=merge",
        "-p",
        &patch,
    ];
    world.cluster.kubectl("admin").args(patched).run().ok();
    world.eventually("mallory", "run freed -n web --image=nginx --labels=app=other");
}
