//! The self-protection policy, request by request, on a real API server, with no ringfence running: nobody changes
//! ringfence itself without `configure guardrails`, and whoever has to can. What RBAC refuses already proves nothing,
//! so the attackers here hold every other right that they need.

mod attacks;
mod cluster;

use ringfence_controlplane::{ControlPlane, Kubectl, Output, Response, wait_until};
use serde_json::{Value, json};

use attacks::{Attack, attacks, cluster_attacks, harmless, segment, spelled_out};
use cluster::{
    CLUSTER, DRAINER, EDITOR, EVERYTHING, OWNER, PATIENCE, PLATFORM, SAYS, TENANT, alone, as_ringfence, in_namespace,
    pod, pods,
};

/// Sends it as somebody; `query` is added to its path.
fn send(cluster: &ControlPlane, user: &str, (method, path, body): &Attack, pod: &str, query: &str) -> Response {
    let path = spelled_out(path, pod);
    let joint = if path.contains('?') { "&" } else { "?" };
    let request = cluster.request(user, method, &format!("{path}{joint}{query}"));
    if body.is_null() {
        return request.send();
    }
    let body: Value = serde_json::from_str(&body.to_string().replace("POD", pod)).expect("still JSON");
    request.json(&body).send()
}

/// Those that the policy did not refuse.
fn got_through(cluster: &ControlPlane, user: &str, attacks: &[Attack], pod: &str) -> Vec<String> {
    let responses = attacks.iter().map(|attack| send(cluster, user, attack, pod, ""));
    let through = responses.filter(|response| response.status != 403 || !response.text.contains(SAYS));
    through
        .map(|response| format!("{}: {} {}", response.call, response.status, response.text))
        .collect()
}

#[test]
fn nothing_in_the_namespace_yields_to_every_right_but_configure() {
    let Some(cluster) = CLUSTER.get() else { return };
    let _alone = alone();
    let before = pods(cluster);
    let through = got_through(cluster, TENANT, &attacks(), &pod(cluster));
    assert!(through.is_empty(), "{}", through.join("\n"));
    assert_eq!(pods(cluster), before, "the same pods stand");
}

#[test]
fn an_editor_of_the_namespace_changes_nothing() {
    let Some(cluster) = CLUSTER.get() else { return };
    let _alone = alone();
    let pod = pod(cluster);
    let mut by_policy = 0;
    for attack in attacks() {
        let response = send(cluster, EDITOR, &attack, &pod, "");
        assert_eq!(response.status, 403, "{}: {}", response.call, response.text);
        by_policy += usize::from(response.text.contains(SAYS));
    }
    assert!(
        by_policy > 20,
        "RBAC refuses an editor all but {by_policy} by itself: this proves too little"
    );
}

#[test]
fn the_objects_at_the_cluster_yield_to_nobody_without_configure() {
    let Some(cluster) = CLUSTER.get() else { return };
    let through = got_through(cluster, PLATFORM, &cluster_attacks(), "");
    assert!(through.is_empty(), "{}", through.join("\n"));
}

#[test]
fn objects_of_the_same_kinds_that_are_not_ours_pass() {
    let Some(cluster) = CLUSTER.get() else { return };
    for attack in harmless() {
        let response = send(cluster, PLATFORM, &attack, "", "");
        assert!(
            (200..300).contains(&response.status),
            "{}: {} {}",
            response.call,
            response.status,
            response.text
        );
    }
}

#[test]
fn the_refusal_says_who_may_not_do_what_and_what_to_do() {
    let Some(cluster) = CLUSTER.get() else { return };
    let edit = [
        "patch",
        "configmap",
        "ringfence-guardrails",
        "--type=merge",
        "-p",
        r#"{"data": {}}"#,
    ];
    let text = in_namespace(cluster, EDITOR).args(edit).run().refused();
    let said = "ringfence guards itself: user \"editor\" may not update configmaps ringfence-guardrails: that needs the \
                permission configure guardrails.ringfence.dev/default in ringfence-system. check: kubectl auth can-i \
                configure guardrails.ringfence.dev/default -n ringfence-system; grant: ringfence grant configure \
                guardrails/default --user editor";
    assert!(text.contains(said), "{text}");
    assert!(text.contains("(Forbidden)"), "{text}");
    let mut can_i = vec!["auth", "can-i", "configure", "guardrails.ringfence.dev/default"];
    assert!(!in_namespace(cluster, EDITOR).args(can_i.clone()).run().success);
    can_i.push("-q");
    assert!(in_namespace(cluster, OWNER).args(can_i).run().success);
}

#[test]
fn whoever_may_configure_and_cluster_admins_always_can() {
    let Some(cluster) = CLUSTER.get() else { return };
    let _alone = alone();
    let pod = pod(cluster);
    // A Role with `*` on `*` in our namespace holds every permission there, `configure` as well.
    for user in ["admin", EVERYTHING] {
        for attack in attacks().iter().chain(&cluster_attacks()) {
            if user == EVERYTHING && !attack.1.contains("NS/") {
                continue;
            }
            let response = send(cluster, user, attack, &pod, "dryRun=All");
            assert!(
                !response.text.contains(SAYS),
                "{user}: {}: {}",
                response.call,
                response.text
            );
        }
    }
    let run = |arguments: &[&str]| in_namespace(cluster, OWNER).args(arguments).run().ok();
    run(&[
        "patch",
        "configmap",
        "ringfence-guardrails",
        "--type=merge",
        "-p",
        r#"{"data": {"note": "mine"}}"#,
    ]);
    run(&["scale", "deployment/ringfence", "--replicas=3"]);
    run(&["rollout", "status", "deployment/ringfence", "--timeout=60s"]);
    run(&["scale", "deployment/ringfence", "--replicas=2"]);
    run(&["rollout", "status", "deployment/ringfence", "--timeout=60s"]);
}

#[test]
fn kubernetes_itself_goes_on_and_nodes_can_be_drained() {
    let Some(cluster) = CLUSTER.get() else { return };
    let _alone = alone();
    let evicted = pod(cluster);
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "POD"}});
    let attack = ("POST", "/api/v1/NS/pods/POD/eviction", eviction);
    let evict = || (send(cluster, DRAINER, &attack, &evicted, "").status == 201).then_some(());
    wait_until(PATIENCE, "the disruption budget to allow an eviction", evict).expect("it is evicted");
    let replaced = || {
        let pods = pods(cluster);
        (pods.len() == 2 && !pods.contains(&evicted)).then_some(())
    };
    wait_until(PATIENCE, "the controllers to replace the pod", replaced).expect("it is replaced");
    let status = ["rollout", "status", "deployment/ringfence", "--timeout=60s"];
    in_namespace(cluster, "admin").args(status).run().ok();
}

/// What our own pods write, as kubectl does it: arguments and standard input.
fn writes() -> Vec<(Vec<&'static str>, Value)> {
    let map = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "ringfence-leader"}, "spec": {}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "ringfence:own:connect"},
        "rules": [{"apiGroups": ["ringfence.dev"], "resources": ["segments"], "resourceNames": ["own"], "verbs": ["connect"]}]});
    let label = r#"--patch={"metadata": {"labels": {"a": "b"}}}"#;
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "ringfence"}});
    vec![
        (vec!["create", "-f", "-"], map("ConfigMap", "ringfence-last-good")),
        (vec!["replace", "-f", "-"], map("ConfigMap", "ringfence-last-good")),
        (vec!["create", "-f", "-"], map("ConfigMap", "ringfence-enforced-since")),
        (vec!["replace", "-f", "-"], map("Secret", "ringfence-serving")),
        (vec!["create", "-f", "-"], lease),
        (vec!["patch", "lease/ringfence-leader", label], Value::Null),
        (vec!["create", "-f", "-"], role),
        (vec!["patch", "clusterrole/ringfence:own:connect", label], Value::Null),
        (vec!["delete", "clusterrole/ringfence:own:connect"], Value::Null),
        (vec!["create", "-f", "-"], segment("own")),
        (
            vec![
                "patch",
                "segment/own",
                "--type=merge",
                "--subresource=status",
                r#"--patch={"status": {"mode": "Warn"}}"#,
            ],
            Value::Null,
        ),
        (vec!["delete", "segment/own"], Value::Null),
        (vec!["replace", "-f", "-"], hook),
    ]
}

fn made(kubectl: Kubectl, (arguments, input): &(Vec<&str>, Value)) -> Output {
    kubectl
        .args(arguments)
        .stdin(if input.is_null() {
            String::new()
        } else {
            input.to_string()
        })
        .run()
}

#[test]
fn our_own_pods_write_what_they_need_and_nothing_else() {
    let Some(cluster) = CLUSTER.get() else { return };
    let _alone = alone();
    let pod = pod(cluster);
    for write in writes() {
        made(as_ringfence(cluster, Some(&pod)), &write).ok();
    }
    // RBAC cannot limit these by name.
    let map = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "planted"}});
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "planted"}, "spec": {}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "planted"}, "rules": []});
    let create = || vec!["create", "-f", "-"];
    let label = r#"--patch={"metadata": {"labels": {"a": "b"}}}"#;
    for write in [
        (create(), map("ConfigMap")),
        (create(), map("Secret")),
        (create(), lease),
        (create(), role),
        (vec!["delete", "clusterrole/view"], Value::Null),
        (vec!["delete", "clusterrole/ringfence"], Value::Null),
    ] {
        let text = made(as_ringfence(cluster, Some(&pod)), &write).refused();
        assert!(text.contains(SAYS), "{:?}: {text}", write.0);
    }
    let edit = ["patch", "configmap", "ringfence-guardrails", label];
    as_ringfence(cluster, Some(&pod)).args(edit).run().refused();
}

#[test]
fn a_token_of_ours_that_is_bound_to_no_pod_writes_nothing() {
    let Some(cluster) = CLUSTER.get() else { return };
    let mut by_policy = 0;
    for write in writes() {
        let text = made(as_ringfence(cluster, None), &write).stderr;
        // What was never made is not found before anybody is asked.
        assert!(
            text.contains(SAYS) || text.contains("NotFound"),
            "{:?}: {text}",
            write.0
        );
        by_policy += usize::from(text.contains(SAYS));
    }
    assert!(
        by_policy >= 6,
        "all but {by_policy} were refused for another reason: this proves too little"
    );
}
