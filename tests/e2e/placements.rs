//! Labels that come to a pod on other ways than its creation.

use serde_json::json;

use super::world::{WORLD, deployment};

#[test]
fn a_running_pod_cannot_be_relabelled_into_a_segment_or_out_of_it() {
    let Some(world) = WORLD.get() else { return };
    world
        .kubectl("mallory", "run walker -n web --image=nginx --labels=app=other")
        .ok();
    let said = world
        .kubectl("mallory", "label pod walker -n web app=hollowapp --overwrite")
        .refused();
    assert!(
        said.contains("pod web/walker may not connect to segment payments-db"),
        "{said}"
    );
    world
        .kubectl("admin", "run hollowdb-0 -n payments --image=db --labels=app=hollowdb")
        .ok();
    let said = world
        .kubectl("mallory", "label pod hollowdb-0 -n payments app-")
        .refused();
    assert!(said.contains("may not leave segment payments-db"), "{said}");
    let pod = world.kubectl("admin", "get pod hollowdb-0 -n payments -o json").json();
    assert_eq!(pod["metadata"]["labels"]["app"], "hollowdb");
    world
        .kubectl("mallory", "label pod hollowdb-0 -n payments note=mine")
        .ok();
}

#[test]
fn a_deployment_is_refused_itself_not_later_in_its_replica_set() {
    let Some(world) = WORLD.get() else { return };
    let said = world
        .apply("mallory", &deployment("web", "copied", "hollowapp", "evil"))
        .refused();
    assert!(
        said.contains("Deployment web/copied may not connect to segment payments-db"),
        "{said}"
    );
    world.kubectl("admin", "get deployment copied -n web").refused();
    world
        .apply("mallory", &deployment("web", "turned", "other", "nginx"))
        .ok();
    let patch = json!({"spec": {"template": {"metadata": {"labels": {"app": "hollowapp"}}}}}).to_string();
    let patched = world
        .cluster
        .kubectl("mallory")
        .args(["patch", "deployment", "turned", "-n", "web", "-p", &patch])
        .run();
    assert!(patched.refused().contains("may not connect to segment payments-db"));
}

#[test]
fn a_pod_with_a_forged_owner_is_judged_as_its_writers() {
    let Some(world) = WORLD.get() else { return };
    world
        .apply("mallory", &deployment("web", "cover", "other", "nginx"))
        .ok();
    world
        .kubectl("admin", "rollout status deployment/cover -n web --timeout=60s")
        .ok();
    let sets = world
        .kubectl("admin", "get replicasets -n web -l run=cover -o json")
        .json();
    let set = &sets["items"][0]["metadata"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "forged", "namespace": "web", "labels": {"app": "hollowapp"}, "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set["name"], "uid": set["uid"], "controller": true,
        }]},
        "spec": {"containers": [{"name": "main", "image": "evil"}]},
    });
    world.apply("mallory", &pod).refused();
}
