//! `settle`: first pods wait behind the gate until their namespace's policies are old enough, nobody gets past it, and no pod
//! is left behind it, whatever becomes of the leader or of the guardrails.

use std::time::Duration;

use jiff::Timestamp;
use ringfence_controlplane::{NAMESPACE, configure, eventually};
use ringfence_core::guardrails::SETTLE_GATE;
use serde_json::{Value, json};

use crate::world::{GUARDRAILS, RESTRICTED, World, pod, world};

/// Short enough to be waited for.
const BRIEF: &str = "2s";
const BRIEF_TIME: Duration = Duration::from_secs(2);
/// So long that no machine is slow enough for it to pass within a test.
const LONG: &str = "10m";

/// The guardrails with a default profile that settles for this long.
fn settling(settle: &str) -> String {
    let profile = "metadata: {name: restricted}\nspec:\n";
    GUARDRAILS.replace(profile, &format!("{profile}  settle: {settle}\n"))
}

fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

fn gated(pod: &Value) -> bool {
    let gates = pod["spec"]["schedulingGates"].as_array().into_iter().flatten();
    gates.into_iter().any(|gate| gate["name"] == SETTLE_GATE)
}

/// What the mutating webhook configuration has in it.
fn mutating(world: &World) -> usize {
    let served = world.cluster.object(&["mutatingwebhookconfiguration", "ringfence"]);
    served.expect("it is installed")["webhooks"]
        .as_array()
        .map_or(0, Vec::len)
}

/// Puts them into force, and waits until the API server has first pods gated.
fn settle(world: &World, settle: &str, trial: &str) {
    world.configure(&settling(settle));
    eventually("the webhook to be served", || (mutating(world) == 1).then_some(()));
    world.namespace(trial, &json!({}));
    let tried = format!("/api/v1/namespaces/{trial}/pods?dryRun=All");
    eventually("the webhook to be asked", || {
        let answer = world.post(&tried, &pod("tried"));
        (answer.status == 201 && gated(&answer.ok())).then_some(())
    });
}

fn wait_until_lifted(world: &World, namespace: &str, name: &str) -> Value {
    eventually(&format!("the gate of {namespace}/{name} to be lifted"), || {
        let pod = world.cluster.object(&["-n", namespace, "pod", name])?;
        (!gated(&pod)).then_some(pod)
    })
}

/// Waits until the scheduler has bound it.
fn wait_until_bound(world: &World, namespace: &str, name: &str) {
    eventually(&format!("{namespace}/{name} to be bound"), || {
        let pod = world.cluster.object(&["-n", namespace, "pod", name])?;
        pod["spec"]["nodeName"].is_string().then_some(())
    });
}

fn time(text: &Value) -> Timestamp {
    text.as_str().expect("a time").parse().expect("a time")
}

/// What ringfence did to a pod, by the API server's own record.
fn lifts(world: &World, namespace: &str, name: &str) -> Vec<Value> {
    let ours = format!("system:serviceaccount:{NAMESPACE}:ringfence");
    let pod = json!(["pods", namespace, name]);
    let events = world.cluster.audit_events().into_iter();
    let lifts = events.filter(|event| {
        let object = &event["objectRef"];
        event["user"]["username"] == *ours && json!([object["resource"], object["namespace"], object["name"]]) == pod
    });
    lifts.collect()
}

#[test]
fn a_first_pod_is_scheduled_once_its_policies_have_settled_and_later_ones_at_once() {
    let Some(world) = world() else { return };
    assert_eq!(mutating(&world), 0, "nobody asks for it");
    settle(&world, BRIEF, "brief-trial");
    // Under load the time may be over before the pod comes: then there is nothing to wait for, and a new namespace to try.
    let (namespace, first) = (0..10)
        .find_map(|number| {
            let namespace = format!("brief-{number}");
            world.namespace(&namespace, &json!({}));
            let created = world.pod(&namespace, "first").ok();
            gated(&created).then_some((namespace, created))
        })
        .expect("one of them came in time");
    assert!(!first["spec"]["nodeName"].is_string());
    wait_until_lifted(&world, &namespace, "first");
    wait_until_bound(&world, &namespace, "first");
    let policies = world.policies(&namespace);
    assert_eq!(policies.len(), RESTRICTED.len());
    let youngest = policies
        .iter()
        .map(|policy| time(&policy["metadata"]["creationTimestamp"]))
        .max()
        .expect("there are some");
    let lifts = || lifts(&world, &namespace, "first");
    let lifted = eventually("the audit log to tell who lifted it", || lifts().into_iter().next());
    let settled = time(&lifted["requestReceivedTimestamp"]).duration_since(youngest);
    assert!(settled.unsigned_abs() >= BRIEF_TIME, "lifted after {settled:?}");
    assert!(settled.is_positive());

    let later = world.pod(&namespace, "later").ok();
    assert!(!gated(&later), "{later}");
    // Nor are pods of namespaces that are not covered.
    world.namespace("brief-exempt", &json!({"ringfence.dev/isolation": "none"}));
    assert!(!gated(&world.pod("brief-exempt", "first").ok()));
    // A gate that somebody puts on where nothing settles is lifted too.
    let mut own = pod("own");
    own["spec"]["schedulingGates"] = json!([{"name": SETTLE_GATE}]);
    let before = lifts().len();
    world.post("/api/v1/namespaces/brief-exempt/pods", &own).ok();
    wait_until_lifted(&world, "brief-exempt", "own");
    // The leader made a pass: who once waited, and is bound, is none of its business any more.
    assert_eq!(lifts().len(), before);
}

#[test]
fn nobody_gets_past_the_gate_and_the_gate_of_others_stays() {
    let Some(world) = world() else { return };
    settle(&world, LONG, "long-trial");
    world.namespace("long", &json!({}));
    // Every verb on everything there.
    let role = ["-n", "long", "create", "role", "all", "--verb=*", "--resource=*.*"];
    world.admin(&role).ok();
    let bind = ["-n", "long", "create", "rolebinding", "dev", "--role=all", "--user=dev"];
    world.admin(&bind).ok();
    let mut first = pod("first");
    first["spec"]["schedulingGates"] = json!([{"name": "example.com/quota"}]);
    let pods = "/api/v1/namespaces/long/pods";
    let created = world.post(pods, &first).ok();
    assert!(gated(&created), "{created}");
    assert_eq!(created["spec"]["schedulingGates"].as_array().map(Vec::len), Some(2));

    let by_dev = |method: &str, path: &str, kind: &str, body: &Value| {
        let request = world.cluster.request("dev", method, path);
        request.header("content-type", kind).body(body.to_string()).send()
    };
    let merge = "application/merge-patch+json";
    let mut put = created.clone();
    put["spec"]["schedulingGates"] = json!([{"name": "example.com/quota"}]);
    let without_gates = json!({"spec": {"schedulingGates": null}});
    let remove = json!([{"op": "remove", "path": "/spec/schedulingGates"}]);
    let one = path("long", "first");
    let early = [
        by_dev("PATCH", &one, merge, &without_gates),
        by_dev("PATCH", &one, "application/json-patch+json", &remove),
        by_dev("PUT", &one, "application/json", &put),
    ];
    for answer in early {
        let said = answer.refused(403);
        assert!(
            said.contains("may not lose its scheduling gate before its namespace's policies have settled"),
            "{said}"
        );
    }
    // What leaves the gate on is nobody's business.
    let labelled = json!({"metadata": {"annotations": {"team": "web"}}});
    by_dev("PATCH", &one, merge, &labelled).ok();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "first"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-0"}});
    by_dev("POST", &format!("{one}/binding"), "application/json", &binding).refused(409);

    let mut bound = pod("bound");
    bound["spec"]["nodeName"] = json!("node-0");
    let refused = by_dev("POST", pods, "application/json", &bound);
    let said = refused.refused(429);
    assert!(
        said.contains("may not run before its namespace's policies have settled"),
        "{said}"
    );
    let told: Value = serde_json::from_str(&refused.text).expect("JSON");
    assert!(
        told["details"]["retryAfterSeconds"]
            .as_u64()
            .is_some_and(|seconds| seconds > 0),
        "{told}"
    );

    // The mutating webhook taken away, and the leader prevented from seeing it: the validating one holds pods to it.
    world.stall_watches();
    let away = json!({"webhooks": []});
    let hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/ringfence";
    world.patch(hooks, &away).ok();
    eventually("the API server not to ask any more", || {
        let answer = world.post(&format!("{pods}?dryRun=All"), &pod("ungated"));
        (answer.status == 429).then_some(())
    });
    world.pod("long", "ungated").refused(429);
    for replica in world.ringfence.replicas() {
        replica.gate().resume_watches();
    }
    eventually("the webhook to be put back", || (mutating(&world) == 1).then_some(()));
    eventually("first pods to be let in again", || {
        let answer = world.pod("long", "second");
        (answer.status == 201 && gated(&answer.ok())).then_some(())
    });

    // A change of mind keeps nobody waiting; the gates of others are theirs.
    world.configure(&settling("1s"));
    let lifted = wait_until_lifted(&world, "long", "first");
    assert_eq!(
        lifted["spec"]["schedulingGates"],
        json!([{"name": "example.com/quota"}])
    );
    wait_until_bound(&world, "long", "second");
}

#[test]
fn no_pod_is_left_behind_the_gate_whoever_leads() {
    let Some(mut world) = world() else { return };
    settle(&world, LONG, "led-trial");
    world.namespace("led", &json!({}));
    assert!(gated(&world.pod("led", "first").ok()));
    let lease = world
        .cluster
        .object(&["-n", NAMESPACE, "lease", "ringfence-leader"])
        .expect("there is a leader");
    let leads = |pod: &str| {
        lease["spec"]["holderIdentity"]
            .as_str()
            .is_some_and(|holder| holder.contains(pod))
    };
    let leader = world
        .ringfence
        .replicas()
        .iter()
        .position(|replica| leads(replica.pod()));
    let leader = leader.unwrap_or_else(|| panic!("nobody leads: {lease}"));

    // Killed; the other one takes over and finds who waits.
    world.ringfence.replica(leader).kill().expect("it is gone");
    configure(&world.cluster, "admin", &settling("1s")).ok();
    wait_until_bound(&world, "led", "first");

    // Both killed, and nothing settles any more when they come back.
    world.ringfence.replica(leader).start_again().expect("it starts");
    world.ringfence.replica(leader).wait_until_ready().expect("ready");
    settle(&world, LONG, "left-trial");
    world.namespace("left", &json!({}));
    assert!(gated(&world.pod("left", "first").ok()));
    for index in 0..2 {
        world.ringfence.replica(index).kill().expect("it is gone");
    }
    configure(&world.cluster, "admin", GUARDRAILS).ok();
    for index in 0..2 {
        world.ringfence.replica(index).start_again().expect("it starts");
    }
    wait_until_bound(&world, "left", "first");
    eventually("the webhook to go", || (mutating(&world) == 0).then_some(()));
}
