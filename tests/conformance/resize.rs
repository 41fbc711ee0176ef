//! Why pods/resize is no write path: the API server lets it change resources and drops whatever labels come along.

use serde_json::json;

use super::attack::{CLIENT, OTHER, pod, with};
use super::world::WITHOUT;

#[test]
fn a_resize_writes_no_labels() {
    let Some(world) = WITHOUT.get() else { return };
    let cluster = &world.cluster;
    cluster.create_namespace("resized", &[]);
    let path = "/api/v1/namespaces/resized/pods";
    let asks = |cpu: &str| json!({"spec": {"containers": [{"name": "main", "image": "app", "resources": {"requests": {"cpu": cpu}}}]}});
    let object = with(pod("grown", OTHER, "app"), asks("100m"));
    cluster.request("admin", "POST", path).json(&object).send().ok();
    let labelled = with(asks("200m"), json!({"metadata": {"labels": {CLIENT.0: CLIENT.1}}}));
    let resize = cluster
        .request("admin", "PATCH", &format!("{path}/grown/resize"))
        .header("Content-Type", "application/strategic-merge-patch+json")
        .json(&labelled);
    let resized = resize.send().ok();
    let cpu = "/spec/containers/0/resources/requests/cpu";
    assert_eq!(resized.pointer(cpu), Some(&json!("200m")), "it was resized");
    let stands = cluster.request("admin", "GET", &format!("{path}/grown")).send().ok();
    assert_eq!(stands.pointer(cpu), Some(&json!("200m")));
    assert_eq!(stands["metadata"]["labels"]["app"], OTHER.1);
}
