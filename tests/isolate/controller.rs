//! The isolation controller: it converges, repairs, follows a change of profile without a gap, leaves alone what is not
//! ours, and does nothing where nothing is to be done.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::time::Instant;

use ringfence_controlplane::{configure, eventually};
use serde_json::{Value, json};

use crate::world::{GUARDRAILS, OPEN, RESTRICTED, World, policies, world};

#[test]
fn a_new_namespace_is_isolated_and_what_is_undone_is_put_back() {
    let Some(world) = world() else { return };
    world.namespace("drifting", &json!({}));
    world.wait_for_policies("drifting", &RESTRICTED);
    let path = format!("{}/{}", policies("drifting"), RESTRICTED[2]);
    let (uid, spec) = {
        let policy = world.cluster.request("admin", "GET", &path).send().ok();
        (policy["metadata"]["uid"].clone(), policy["spec"].clone())
    };
    let undo: [&dyn Fn(&World); 4] = [
        &|world| drop(world.patch(&path, &json!({"spec": {"ingress": [{}]}})).ok()),
        &|world| {
            drop(
                world
                    .patch(
                        &path,
                        &json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}),
                    )
                    .ok(),
            );
        },
        &|world| {
            drop(
                world
                    .patch(&path, &json!({"metadata": {"finalizers": ["example.com/stays"]}}))
                    .ok(),
            );
        },
        &|world| drop(world.cluster.request("admin", "DELETE", &path).send().ok()),
    ];
    let mut took = Vec::new();
    for undo in undo {
        undo(&world);
        let since = Instant::now();
        eventually("the policy to be put back", || {
            let policy = world.cluster.request("admin", "GET", &path).send();
            let policy: Value = serde_json::from_str(&policy.text).expect("JSON");
            let metadata = &policy["metadata"];
            let labelled = metadata["labels"]["app.kubernetes.io/managed-by"] == "ringfence";
            (policy["spec"] == spec && labelled && metadata["finalizers"].is_null()).then_some(())
        });
        took.push(since.elapsed());
    }
    // A busy machine takes as long as it likes.
    println!("repairs took {took:?}");
    let policy = world.cluster.request("admin", "GET", &path).send().ok();
    assert_ne!(policy["metadata"]["uid"], uid, "the last one was deleted");
    assert!(world.ringfence.counted("ringfence_isolation_repairs_total") >= 4);
    eventually("nothing to be lacking", || {
        (world.ringfence.counted("ringfence_isolation_lacking_namespaces") == 0).then_some(())
    });
}

#[test]
fn a_change_of_profile_leaves_no_moment_without_policies() {
    let Some(world) = world() else { return };
    world.namespace("moving", &json!({}));
    world.wait_for_policies("moving", &RESTRICTED);
    let foreign = json!({"metadata": {"name": "theirs"}, "spec": {"podSelector": {}}});
    world.post(&policies("moving"), &foreign).ok();
    let list = world.cluster.request("admin", "GET", &policies("moving")).send().ok();
    let from = list["metadata"]["resourceVersion"]
        .as_str()
        .expect("it has one")
        .to_owned();
    let namespace = "/api/v1/namespaces/moving";
    for profile in [json!("open"), Value::Null, json!("none")] {
        world
            .patch(
                namespace,
                &json!({"metadata": {"labels": {"ringfence.dev/isolation": profile}}}),
            )
            .ok();
        let expected: &[&str] = match profile.as_str() {
            Some("open") => &OPEN,
            Some(_) => &[],
            None => &RESTRICTED,
        };
        let with_theirs: Vec<&str> = expected.iter().copied().chain(["theirs"]).collect();
        world.wait_for_policies("moving", &with_theirs);
    }
    // Every state that there ever was, by the API server's own account.
    let mut standing: BTreeSet<String> = RESTRICTED
        .iter()
        .chain(&["theirs"])
        .map(|name| (*name).to_owned())
        .collect();
    let stands = |standing: &BTreeSet<String>, profile: &[&str]| profile.iter().all(|name| standing.contains(*name));
    let mut opted_out = false;
    for event in events_since(&world, "moving", &from) {
        let name = event["object"]["metadata"]["name"].as_str().expect("named").to_owned();
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => _ = standing.insert(name),
            Some("DELETED") => {
                // The last change takes all of them away, one after the other.
                opted_out |= name == "ringfence-default-deny-ingress";
                standing.remove(&name);
            }
            other => panic!("{other:?}"),
        }
        assert!(standing.contains("theirs"), "not ours to take away");
        let whole = stands(&standing, &RESTRICTED) || stands(&standing, &OPEN);
        let last = standing
            .iter()
            .all(|name| RESTRICTED.contains(&name.as_str()) || name == "theirs");
        assert!(whole || opted_out || last, "neither profile stands whole: {standing:?}");
    }
    assert_eq!(standing.into_iter().collect::<Vec<_>>(), ["theirs"]);
}

/// What happened to the policies of a namespace since then, up to now.
fn events_since(world: &World, namespace: &str, from: &str) -> Vec<Value> {
    let path = format!(
        "{}?watch=true&resourceVersion={from}&timeoutSeconds=2",
        policies(namespace)
    );
    let answer = world.cluster.request("admin", "GET", &path).send();
    let lines = BufReader::new(answer.text.as_bytes()).lines();
    lines
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("an event"))
        .collect()
}

#[test]
fn what_was_there_before_is_reported_until_it_is_asked_for() {
    let Some(world) = world() else { return };
    assert_eq!(world.policy_names("before"), [""; 0]);
    let status = eventually("it to be reported", || {
        let profile = world
            .cluster
            .object(&["isolationprofile.ringfence.dev", "restricted"])?;
        let status = &profile["status"];
        (status["reported"].as_i64()? > 0 && status["failing"] == 0).then(|| status.clone())
    });
    assert_eq!(status["policies"], 3);
    let isolate = GUARDRAILS.replace("existingNamespaces: Report", "existingNamespaces: Isolate");
    world.configure(&isolate);
    world.wait_for_policies("before", &RESTRICTED);
    world.configure(GUARDRAILS);
    // Those that stand show that it was covered.
    let path = format!("{}/{}", policies("before"), RESTRICTED[0]);
    world.cluster.request("admin", "DELETE", &path).send().ok();
    world.wait_for_policies("before", &RESTRICTED);
    // Every namespace that was there before, so that no other test finds it covered.
    for before in ["before", "default"] {
        let path = format!("/api/v1/namespaces/{before}");
        let chosen = |profile: Value| {
            let labels = json!({"metadata": {"labels": {"ringfence.dev/isolation": profile}}});
            world.patch(&path, &labels).ok();
        };
        chosen(json!("none"));
        world.wait_for_policies(before, &[]);
        chosen(Value::Null);
    }
    for system in ["kube-system", "ringfence-system"] {
        assert_eq!(world.policy_names(system), [""; 0]);
    }
}

#[test]
fn after_a_restart_nothing_is_written() {
    let Some(mut world) = world() else { return };
    for number in 0..8 {
        world.namespace(&format!("standing-{number}"), &json!({}));
    }
    for number in 0..8 {
        world.wait_for_policies(&format!("standing-{number}"), &RESTRICTED);
    }
    for index in 0..2 {
        world.ringfence.replica(index).stop().expect("it ends");
    }
    let before = world.written().len();
    for index in 0..2 {
        world.ringfence.replica(index).start_again().expect("it starts");
    }
    for index in 0..2 {
        world.ringfence.replica(index).wait_until_ready().expect("ready");
    }
    // It looked at everything, and then did something new: so it would have written what it had to.
    world.namespace("later", &json!({}));
    world.wait_for_policies("later", &RESTRICTED);
    let elsewhere: Vec<String> = world.written().split_off(before);
    let elsewhere: Vec<&String> = elsewhere.iter().filter(|namespace| *namespace != "later").collect();
    assert_eq!(elsewhere, [""; 0], "only those of the new one");
    let isolated = world
        .ringfence
        .counted("ringfence_isolation_namespaces{state=\"isolated\"}");
    assert!(isolated >= 9, "{isolated}");
}

#[test]
fn a_namespace_that_cannot_be_isolated_is_told_and_comes_right_by_itself() {
    let Some(world) = world() else { return };
    world.stall_watches();
    world.namespace("stuck", &json!({}));
    let quota =
        json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/networkpolicies.networking.k8s.io": "0"}}});
    world.post("/api/v1/namespaces/stuck/resourcequotas", &quota).ok();
    eventually("the quota to count", || {
        let quota = world.cluster.object(&["-n", "stuck", "resourcequota", "none"])?;
        quota["status"]["hard"].is_object().then_some(())
    });
    for replica in world.ringfence.replicas() {
        replica.gate().resume_watches();
    }
    let failing = eventually("it to be told in status", || {
        let profile = world
            .cluster
            .object(&["isolationprofile.ringfence.dev", "restricted"])?;
        // Another one may lack policies for a moment; nothing keeps them from it.
        let failing = profile["status"]["failingNamespaces"].as_array()?.iter();
        failing
            .filter_map(Value::as_str)
            .find(|told| told.starts_with("stuck: "))
            .map(str::to_owned)
    });
    assert!(failing.contains("exceeded quota"), "{failing}");
    eventually("no other to be lacking", || {
        (world.ringfence.counted("ringfence_isolation_lacking_namespaces") == 1).then_some(())
    });
    let table = world.admin(&["get", "isolationprofiles"]).ok();
    assert!(table.contains("FAILING"), "{table}");
    let selector = "--field-selector=reason=NamespaceNotIsolated";
    let events = world
        .admin(&["-n", "ringfence-system", "get", "events", selector, "-o", "json"])
        .json();
    let notes = events["items"].to_string();
    assert!(notes.contains("namespace stuck lacks policies"), "{notes}");
    world.admin(&["-n", "stuck", "delete", "resourcequota", "none"]).ok();
    world.wait_for_policies("stuck", &RESTRICTED);
    eventually("it to be over", || {
        (world.ringfence.counted("ringfence_isolation_lacking_namespaces") == 0).then_some(())
    });
}

#[test]
fn a_deleted_namespace_goes_and_nothing_is_put_back_there() {
    let Some(world) = world() else { return };
    world.namespace("leaving", &json!({}));
    world.wait_for_policies("leaving", &RESTRICTED);
    world.pod("leaving", "last").ok();
    world.admin(&["delete", "namespace", "leaving", "--timeout=60s"]).ok();
    assert!(world.cluster.object(&["namespace", "leaving"]).is_none());
    world.namespace("leaving", &json!({}));
    world.wait_for_policies("leaving", &RESTRICTED);
}

#[test]
fn under_audit_nothing_is_written_and_the_leader_reports() {
    let Some(world) = world() else { return };
    let before = world.writes();
    // Only Enforce makes a time before which namespaces were there.
    let audit = GUARDRAILS.replace("isolation: {mode: Enforce", "isolation: {mode: Audit");
    let audit = audit.replace("existingNamespaces: Report", "existingNamespaces: Isolate");
    world.configure(&audit);
    world.namespace("audited", &json!({}));
    world.pod("audited", "first").ok();
    world
        .ringfence
        .wait_for_record("a pod that came before its policies", |record| {
            let findings = record["findings"].as_array().into_iter().flatten();
            record["namespace"] == "audited" && findings.into_iter().any(|finding| finding["rule"] == "Isolation")
        });
    assert_eq!(world.policy_names("audited"), [""; 0]);
    assert_eq!(world.writes(), before);
    configure(&world.cluster, "admin", GUARDRAILS).ok();
}
