//! What the checks refuse, by every other way of writing it that `edit` gives: server-side apply, dry run, another name, made
//! anew, step by step. On the control plane of the checks.

use ringfence_controlplane::Output;
use serde_json::{Value, json};

use super::checks::{named, policy};
use super::world::World;

/// `kubectl VERB -f -` by whoever may do no more than edit.
fn written(world: &World, arguments: &[&str], object: &Value) -> Output {
    let all = [arguments, &["-f", "-"]].concat();
    world
        .cluster
        .kubectl("mallory")
        .args(all)
        .stdin(object.to_string())
        .run()
}

fn ingress(from: &Value) -> Value {
    json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": from, "ports": [{"port": 80}]}]})
}

/// Of a policy that stands although WorldIngress refuses it, none of this makes another, nor more of it.
pub(super) fn every_way_of_writing(world: &World) {
    let refused = |arguments: &[&str], object: &Value| {
        let said = written(world, arguments, object).refused();
        assert_eq!(named(&said), ["WorldIngress"], "{arguments:?}: {said}");
    };
    let standing = "worldingress";
    let all_pods = json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]});
    let all_pods = policy("web", standing, &all_pods);
    refused(&["apply", "--server-side", "--force-conflicts"], &all_pods);
    refused(&["replace", "--dry-run=server"], &all_pods);
    refused(&["replace"], &all_pods);
    let copy = policy("web", "renamed", &ingress(&json!([])));
    refused(&["create"], &copy);
    refused(&["create", "--dry-run=server"], &copy);
    let mut generated = copy;
    generated["metadata"] = json!({"generateName": "renamed-", "namespace": "web"});
    refused(&["create"], &generated);
    // A list that is emptied is everyone.
    let mine = policy("web", "emptied", &ingress(&json!([{"podSelector": {}}])));
    world.apply("mallory", &mine).ok();
    let emptied =
        r#"patch networkpolicy emptied -n web --type=json -p=[{"op":"remove","path":"/spec/ingress/0/from/0"}]"#;
    let said = world.kubectl("mallory", emptied).refused();
    assert_eq!(named(&said), ["WorldIngress"], "{said}");
    // What is deleted to be made anew stays away.
    let anew = policy("web", standing, &ingress(&json!([])));
    refused(&["replace", "--force", "--grace-period=0"], &anew);
    let left = world.kubectl(
        "admin",
        &format!("get networkpolicy {standing} -n web --ignore-not-found -o name"),
    );
    assert_eq!(left.ok().trim(), "");
    step_by_step(world);
}

/// Sixteen ranges may stand; put together they would leave room for sixteen more.
fn step_by_step(world: &World) {
    let pieces: Vec<Value> = (0..16)
        .map(|piece| json!({"ipBlock": {"cidr": format!("fd80:0:{piece:x}::/48")}}))
        .collect();
    world
        .apply("mallory", &policy("web", "pieces", &ingress(&json!(pieces))))
        .ok();
    let whole = policy("web", "pieces", &ingress(&json!([{"ipBlock": {"cidr": "fd80::/44"}}])));
    let said = world.apply("mallory", &whole).refused();
    assert_eq!(named(&said), ["WideCIDR"], "{said}");
}
