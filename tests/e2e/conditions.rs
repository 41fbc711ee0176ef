//! matchConditions on the API server: for every write path that has one, requests that must reach ringfence and requests
//! that must pass it by, counted by its metrics. None may err: under failurePolicy Fail an error is a denial. Dry runs,
//! so that each request begins from the same object and no controller answers to it.

mod cases;
mod templates;
mod unread;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringfence_core::review::{Condition, Shape, WRITE_PATHS};
use serde_json::{Value, json};

use self::cases::{
    Case, LARGE, NAMESPACE, No, Yes, cases_of_bindings, cases_of_namespaces, cases_of_pods, cases_of_policies, patch,
    pod, policy, url,
};
use self::templates::{below, cases_of_kind, kinds};
use super::calls::{all, allowed, since};
use super::world::{GUARDRAILS, World};

/// Longer than the API server takes for a large object, on a machine that has much else to do.
const SLOW: Duration = Duration::from_secs(10);

fn dry(at: &str) -> String {
    format!("{at}?dryRun=All")
}

fn named(mut object: Value, name: &str, labels: &Value) -> Value {
    object["metadata"] = json!({"name": name, "namespace": NAMESPACE, "labels": labels});
    object
}

/// The objects that cases begin from, and all cases.
fn prepared(world: &World) -> Vec<Case> {
    // Of no set's selector: a ReplicaSet of none would adopt and delete it.
    world
        .apply("admin", &named(pod(), "still", &json!({"run": "alone"})))
        .ok();
    let mut placed = named(pod(), "placed", &json!({"run": "alone"}));
    placed["spec"]["nodeName"] = "node-0".into();
    world.apply("admin", &placed).ok();
    let mut cases = cases_of_pods();
    cases.extend(cases_of_bindings());
    cases.extend(cases_of_namespaces());
    // Not applied: that would leave an annotation which the cases do not have.
    let policies = url("networking.k8s.io/v1", "networkpolicies", "");
    let made = world.cluster.request("admin", "POST", policies.trim_end_matches('/'));
    made.json(&policy()).send().ok();
    cases.extend(cases_of_policies());
    cases.extend(unread::prepared(world));
    for kind in kinds() {
        world
            .apply("admin", &named(kind.object.clone(), "still", &Value::Null))
            .ok();
        cases.extend(cases_of_kind(&kind));
    }
    cases
}

/// The paths that have a condition, as they are counted.
fn conditioned() -> BTreeSet<String> {
    WRITE_PATHS
        .iter()
        .filter(|row| row.condition != Condition::Always)
        .map(|row| {
            let update = row.condition != Condition::BindingLabels;
            format!(
                "{} {}",
                if update { "UPDATE" } else { "CREATE" },
                row.counted_resource()
            )
        })
        .collect()
}

/// What a request answered, and how often ringfence was asked on its path.
fn sent(world: &World, case: &Case) -> (ringfence_controlplane::Response, u64) {
    let before = all(world);
    let request = world.cluster.request(case.user, case.method, &dry(&case.at));
    let answer = request.header("Content-Type", case.content).json(&case.body).send();
    let asked = since(&before, all(world));
    (answer, asked.get(&case.path).copied().unwrap_or_default())
}

fn short(value: &Value) -> String {
    let text: String = value.to_string().chars().take(160).collect();
    text
}

#[test]
fn what_cannot_change_a_placement_passes_by_and_all_else_is_asked() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    let cases = prepared(&world);
    let mut wrong = Vec::new();
    for case in &cases {
        let (answer, asked) = sent(&world, case);
        let due = u64::from(case.reaches == Yes);
        if answer.status >= 300 || asked != due {
            wrong.push(format!(
                "{} {} {}: {} {:?}, asked {asked} times instead of {due}",
                case.path,
                case.at,
                short(&case.body),
                answer.status,
                (answer.status >= 300).then_some(&answer.text)
            ));
        }
    }
    assert!(wrong.is_empty(), "of {} requests:\n{}", cases.len(), wrong.join("\n"));
    for reaches in [Yes, No] {
        let shown: BTreeSet<String> = cases
            .iter()
            .filter(|case| case.reaches == reaches)
            .map(|case| case.path.clone())
            .collect();
        assert_eq!(shown, conditioned(), "every path with a condition shows {reaches:?}");
    }
    println!("{} requests, each counted as it is due", cases.len());
    allowed(&world);
}

/// What kubelets and controllers write all day.
#[test]
fn heartbeats_events_and_scaling_ask_nothing() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    let kind = &kinds()[0];
    world
        .apply("admin", &named(kind.object.clone(), "still", &Value::Null))
        .ok();
    // Until its controller has made what it makes of it.
    world
        .kubectl(
            "admin",
            &format!("rollout status deployment/still -n {NAMESPACE} --timeout=60s"),
        )
        .ok();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "node-0"},
        "spec": {"holderIdentity": "node-0", "leaseDurationSeconds": 40}});
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "told", "namespace": NAMESPACE},
        "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": "still"}, "reason": "Told", "type": "Normal"});
    let scale = json!({"spec": {"replicas": 0}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let still = url("apps/v1", "deployments", "still");
    let before = all(&world);
    let send = |method: &str, at: &str, body: &Value| {
        world.cluster.request("admin", method, at).json(body).send().ok();
    };
    send("POST", leases, &lease);
    send(
        "PATCH",
        &format!("{leases}/node-0"),
        &json!({"spec": {"leaseDurationSeconds": 41}}),
    );
    send(
        "PATCH",
        "/api/v1/nodes/node-0/status",
        &json!({"status": {"conditions": null}}),
    );
    send(
        "PATCH",
        "/api/v1/nodes/node-0",
        &json!({"metadata": {"labels": {"disk": "fast"}}}),
    );
    send("POST", &format!("/api/v1/namespaces/{NAMESPACE}/events"), &event);
    send("PATCH", &format!("{still}/scale"), &scale);
    send("PATCH", &format!("{still}/status"), &json!({"status": {"replicas": 0}}));
    send("DELETE", &still, &json!({}));
    assert_eq!(since(&before, all(&world)), super::calls::Calls::new());
}

/// A condition that errs denies under failurePolicy Fail. What the API server itself refuses is refused by its own words.
#[test]
fn nothing_odd_makes_a_condition_err() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    let odd = [
        json!({}),
        json!({"metadata": null, "spec": null}),
        json!({"metadata": {"generateName": "odd-", "labels": null, "annotations": null}, "spec": {}}),
        json!({"metadata": {"generateName": "odd-"}, "spec": {"replicas": 0, "selector": {"run": "odd"}}}),
        json!({"metadata": {"generateName": "odd-"}, "spec": {"replicas": 0, "template": null}}),
        json!({"metadata": {"generateName": "odd-"}, "spec": {"template": {}}}),
        json!({"metadata": {"generateName": "odd-"}, "spec": {"template": {"metadata": null, "spec": null}}}),
        json!({"metadata": {"generateName": "odd-"}, "spec": {"containers": [{}]}}),
        json!({"metadata": {"generateName": "odd-"}, "template": null, "target": null}),
    ];
    let mut seen = 0;
    for row in WRITE_PATHS.iter().filter(|row| row.subresource.is_empty()) {
        let root = match (row.group, row.resource) {
            ("", "namespaces") => "/api/v1/namespaces".to_owned(),
            ("", resource) => format!("/api/v1/namespaces/{NAMESPACE}/{resource}"),
            // Of kinds that nobody serves here there is nothing to ask.
            (_, _) if matches!(row.shape, Shape::UnreadPolicy(_)) => continue,
            (group, resource) => format!("/apis/{group}/v1/namespaces/{NAMESPACE}/{resource}"),
        };
        for body in &odd {
            let answer = world.cluster.request("admin", "POST", &dry(&root)).json(body).send();
            let ours = answer.text.contains("webhook") || answer.text.to_lowercase().contains("match condition");
            // The legacy bindings answer 500 to what is no Binding.
            assert!(!ours, "{root} {body}: {answer}");
            seen += 1;
        }
    }
    println!("{seen} odd objects");
}

/// Objects about as large as etcd takes: written, touched, scaled and changed.
#[test]
fn large_objects_pass_by_and_are_asked_like_small_ones() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    let env = json!([{"name": "LARGE", "value": "x".repeat(LARGE / 2)}]);
    let many: serde_json::Map<String, Value> = (0..16_000).map(|at| (format!("k{at:05}"), "v".into())).collect();
    for kind in kinds() {
        let mut object = named(kind.object.clone(), "large", &Value::Null);
        let pointer = format!("/{}", kind.template.join("/"));
        let template = object.pointer_mut(&pointer).expect("its template");
        template["spec"]["containers"][0]["env"] = env.clone();
        template["metadata"]["annotations"] = Value::Object(many.clone());
        for (key, value) in many.iter().take(4_000) {
            template["metadata"]["labels"][key] = value.clone();
        }
        let collection = url(kind.api, kind.resource, "");
        let begun = Instant::now();
        let made = world
            .cluster
            .request("admin", "POST", collection.trim_end_matches('/'))
            .json(&object)
            .send();
        assert!(
            made.status < 300,
            "{}: {} {}",
            kind.path,
            made.status,
            &made.text[..made.text.len().min(500)]
        );
        let created = begun.elapsed();
        let at = url(kind.api, kind.resource, "large");
        let annotated = json!({"metadata": {"annotations": {"note": "mine"}}});
        let relabelled = below(kind.template, json!({"metadata": {"labels": {"app": "hollowapp"}}}));
        for (body, reaches) in [(annotated, No), (relabelled, Yes)] {
            let case = patch(kind.path, &at, body, reaches);
            let begun = Instant::now();
            let (answer, asked) = sent(&world, &case);
            let text = &answer.text[..answer.text.len().min(500)];
            assert!(
                answer.status < 300,
                "{} {}: {} {text}",
                case.path,
                short(&case.body),
                answer.status
            );
            assert_eq!(asked, u64::from(reaches == Yes), "{} {}", case.path, short(&case.body));
            let took = begun.elapsed();
            println!("{}: {reaches:?} in {took:?}, created in {created:?}", kind.path);
            // Walking its annotations one by one took the API server twenty.
            assert!(took < SLOW, "{} {} took {took:?}", case.path, short(&case.body));
        }
    }
    allowed(&world);
}
