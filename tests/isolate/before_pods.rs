//! The synchronous path: what a pod's review does where nothing has been put up yet. Watches are held back, so that nobody
//! else can have done it.

use std::collections::BTreeSet;

use ringfence_controlplane::{eventually, resource_version};
use serde_json::{Value, json};

use crate::world::{RESTRICTED, pod, policies, world};

const APPLIED: &str = "ringfence_isolation_applies_total{by=\"review\",result=\"applied\"}";

#[test]
fn a_pod_exists_only_after_the_policies_of_its_namespace() {
    let Some(world) = world() else { return };
    world.stall_watches();
    world.namespace("unseen", &json!({}));
    let pod = world.pod("unseen", "first").ok();
    let standing = world.policies("unseen");
    assert_eq!(world.policy_names("unseen"), RESTRICTED);
    for policy in &standing {
        assert!(
            resource_version(policy) < resource_version(&pod),
            "{policy} came after the pod"
        );
        assert_eq!(policy["metadata"]["labels"]["ringfence.dev/profile"], "restricted");
    }
    let before = world.writes();
    world.pod("unseen", "second").ok();
    assert_eq!(world.writes(), before, "they stand: nothing is written");
}

#[test]
fn a_burst_of_pods_is_one_apply() {
    let Some(world) = world() else { return };
    world.stall_watches();
    world.namespace("burst", &json!({}));
    let (applied, written) = (world.ringfence.counted(APPLIED), world.writes());
    std::thread::scope(|scope| {
        for number in 0..24 {
            let world = &world;
            scope.spawn(move || world.pod("burst", &format!("pod-{number}")).ok());
        }
    });
    assert_eq!(world.policy_names("burst"), RESTRICTED);
    // Two replicas may begin at the same moment; an apply of what the other has just applied changes nothing.
    let most = 2 * RESTRICTED.len();
    let applied = world.ringfence.counted(APPLIED) - applied;
    assert!((3..=most as u64).contains(&applied), "{applied} applies");
    let written = world.writes() - written;
    assert!((3..=most).contains(&written), "{written} writes");
}

#[test]
fn a_dry_run_leaves_nothing() {
    let Some(world) = world() else { return };
    world.stall_watches();
    world.namespace("tried", &json!({}));
    world
        .post("/api/v1/namespaces/tried/pods?dryRun=All", &pod("first"))
        .ok();
    assert_eq!(world.policy_names("tried"), [""; 0]);
}

#[test]
fn a_quota_of_none_is_told_as_the_reason() {
    let Some(world) = world() else { return };
    world.stall_watches();
    world.namespace("quota", &json!({}));
    let quota =
        json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/networkpolicies.networking.k8s.io": "0"}}});
    world.post("/api/v1/namespaces/quota/resourcequotas", &quota).ok();
    eventually("the quota to count", || {
        let quota = world.cluster.object(&["-n", "quota", "resourcequota", "none"])?;
        quota["status"]["hard"].is_object().then_some(())
    });
    let said = world.pod("quota", "first").refused(403);
    assert!(
        said.contains("may not exist before its namespace is isolated"),
        "{said}"
    );
    assert!(
        said.contains("exceeded quota: none"),
        "in the API server's words: {said}"
    );
    let quota = "/api/v1/namespaces/quota/resourcequotas/none";
    world.cluster.request("admin", "DELETE", quota).send().ok();
    eventually("the pod", || (world.pod("quota", "second").status == 201).then_some(()));
    assert_eq!(world.policy_names("quota"), RESTRICTED);
}

#[test]
fn a_label_chooses_the_profile_of_a_namespace_that_nobody_has_seen() {
    let Some(world) = world() else { return };
    world.namespace("anew", &json!({}));
    world.pod("anew", "first").ok();
    world.wait_for_policies("anew", &RESTRICTED);
    world.stall_watches();
    world.admin(&["delete", "namespace", "anew", "--timeout=60s"]).ok();
    world.namespace("anew", &json!({"ringfence.dev/isolation": "open"}));
    for attempt in 0..4 {
        world.pod("anew", &format!("pod-{attempt}")).ok();
    }
    assert_eq!(
        world.policy_names("anew"),
        crate::world::OPEN,
        "not those of the namespace of before"
    );
    world.namespace("exempt", &json!({"ringfence.dev/isolation": "none"}));
    world.pod("exempt", "first").ok();
    world.pod("before", "first").ok();
    for exempt in ["exempt", "before"] {
        assert_eq!(world.policy_names(exempt), [""; 0]);
    }
}

#[test]
fn what_was_planted_under_a_reserved_name_is_replaced_whole() {
    let Some(world) = world() else { return };
    world.stall_watches();
    world.namespace("planted", &json!({}));
    let owner = json!({"metadata": {"name": "owner"}});
    let owner = world.post("/api/v1/namespaces/planted/configmaps", &owner).ok();
    let planted = json!({"metadata": {"name": RESTRICTED[2], "labels": {"team": "web"}, "finalizers": ["example.com/stays"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}});
    world.post(&policies("planted"), &planted).ok();
    world.pod("planted", "first").ok();
    let standing = world.policies("planted");
    let names: BTreeSet<&str> = standing
        .iter()
        .filter_map(|policy| policy["metadata"]["name"].as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(RESTRICTED));
    let replaced = standing
        .iter()
        .find(|policy| policy["metadata"]["name"] == RESTRICTED[2])
        .expect("it stands");
    assert_eq!(replaced["spec"], json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
    let metadata = &replaced["metadata"];
    assert_eq!(
        (&metadata["finalizers"], &metadata["ownerReferences"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(metadata["labels"]["team"], "web", "labels of others do no harm");
}
