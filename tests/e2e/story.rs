//! The story of the README: a copied label is refused, for everyone who lacks the permission, and it is on record.

use serde_json::json;

use super::world::{PATIENCE, WORLD, bind};
use ringfence_controlplane::wait_until;

#[test]
fn the_rogue_pod_is_refused_and_told_why_how_to_check_and_how_to_be_granted() {
    let Some(world) = WORLD.get() else { return };
    let said = world
        .kubectl("mallory", "run rogue -n web --image=evil --labels=app=hollowapp")
        .refused();
    assert_eq!(
        said.trim_end(),
        "Error from server (Forbidden): admission webhook \"workloads.guard.ringfence.dev\" denied the request: \
         pod web/rogue may not connect to segment payments-db: user \"mallory\" lacks the permission.\n\
         \x20 why:   label app=hollowapp matches clients[0] of payments-db (Card data. Ask team payments for access.)\n\
         \x20 check: kubectl auth can-i connect segments.ringfence.dev/payments-db -n payments\n\
         \x20 grant: ringfence grant connect segments/payments-db --user mallory"
    );
    world.kubectl("admin", "get pod rogue -n web").refused();
    let record = world.ringfence.wait_for_record("the rogue pod", |record| {
        record["name"] == "rogue" && record["namespace"] == "web" && record["user"] == "mallory"
    });
    assert_eq!(record["verdict"], "deny");
    assert_eq!(record["findings"][0]["permission"]["verb"], "connect");
    assert_eq!(record["findings"][0]["permission"]["namespace"], "payments");
    let annotation = |key: &str| format!("workloads.guard.ringfence.dev/{key}");
    let event = wait_until(PATIENCE, "the API server's own audit log to tell it", || {
        world.cluster.audit_events().into_iter().find(|event| {
            event["user"]["username"] == "mallory"
                && event["objectRef"]["namespace"] == "web"
                && event["annotations"][annotation("decision")] == "deny"
                && event["annotations"][annotation("findings")]
                    .as_str()
                    .is_some_and(|findings| findings.contains("payments-db"))
        })
    });
    event.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn an_unrelated_pod_is_untouched() {
    let Some(world) = WORLD.get() else { return };
    let output = world.kubectl("mallory", "run plain -n web --image=nginx --labels=app=other");
    assert_eq!(output.stderr, "");
    output.ok();
}

#[test]
fn user_groups_and_extra_reach_the_review() {
    let Some(world) = WORLD.get() else { return };
    let role = "ClusterRole/ringfence:payments-db:connect";
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "by-group", "namespace": "payments"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": &role["ClusterRole/".len()..]},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "deployers"}],
    });
    world.apply("admin", &binding).ok();
    bind(&world.cluster, "web", "ClusterRole/edit", "opal");
    let run = "run grouped -n web --image=app --labels=app=hollowapp --dry-run=server --as=opal";
    let impersonate = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "impersonator"},
        "rules": [{"apiGroups": [""], "resources": ["users", "groups"], "verbs": ["impersonate"]}],
    });
    world.apply("admin", &impersonate).ok();
    world.kubectl("admin", run).refused();
    world.eventually("admin", &format!("{run} --as-group=deployers"));
}

#[test]
fn a_dry_run_decides_the_same_and_leaves_nothing() {
    let Some(world) = WORLD.get() else { return };
    let said = world
        .kubectl(
            "mallory",
            "run dry -n web --image=evil --labels=app=hollowapp --dry-run=server",
        )
        .refused();
    assert!(said.contains("may not connect to segment payments-db"), "{said}");
    world
        .kubectl("mallory", "run dry -n web --image=nginx --dry-run=server")
        .ok();
    world.kubectl("admin", "get pod dry -n web").refused();
}
