//! What tests may rely on: the control plane is the version that go.mod names, users are who they
//! say, controllers and the stand-in node do their work, the audit log tells.

use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Options, Shared, User, wait_until};
use serde_json::{Value, json};

static CLUSTER: Shared<ControlPlane> = Shared::new(|| {
    ControlPlane::start(&Options::with_users([
        User::new("eve"),
        User::new("mallory").in_groups(["dev", "web"]).with_uid("uid-7"),
    ]))
});

const PATIENCE: &str = "--timeout=60s";

fn deployment(name: &str) -> String {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}]},
            },
        },
    })
    .to_string()
}

#[test]
fn the_version_is_the_one_that_go_mod_names() {
    let Some(cluster) = CLUSTER.get() else { return };
    let go_mod = include_str!("../go/kubernetes/go.mod");
    let version = cluster.kubectl("admin").args(["version", "-o", "json"]).run().json();
    for side in ["serverVersion", "clientVersion"] {
        let version = version[side]["gitVersion"].as_str().expect("a version");
        assert!(
            go_mod.contains(&format!("k8s.io/kubernetes {version}\n")),
            "{side} is {version}"
        );
        assert!(version.starts_with("v1."), "{side} is {version}");
    }
    assert_eq!(version["serverVersion"]["minor"], "36");
}

#[test]
fn users_are_who_they_say() {
    let Some(cluster) = CLUSTER.get() else { return };
    let who = cluster
        .kubectl("mallory")
        .args(["auth", "whoami", "-o", "json"])
        .run()
        .json();
    let info = &who["status"]["userInfo"];
    assert_eq!(info["username"], "mallory");
    assert_eq!(info["uid"], "uid-7");
    assert_eq!(info["groups"], json!(["dev", "web", "system:authenticated"]));
    let alone = cluster
        .kubectl("eve")
        .args(["auth", "whoami", "-o", "json"])
        .run()
        .json();
    assert_eq!(alone["status"]["userInfo"]["groups"], json!(["system:authenticated"]));
    let refused = cluster.kubectl("mallory").args(["get", "secrets"]).run().refused();
    assert!(
        refused.contains("User \"mallory\" cannot list resource \"secrets\""),
        "{refused}"
    );
    cluster.kubectl("admin").args(["get", "secrets", "-A"]).run().ok();
}

#[test]
fn a_service_account_has_a_token_of_its_own() {
    let Some(cluster) = CLUSTER.get() else { return };
    let account = cluster.kubectl_as_account("kube-system", "default");
    let who = account.args(["auth", "whoami", "-o", "json"]).run().json();
    let info = &who["status"]["userInfo"];
    assert_eq!(info["username"], "system:serviceaccount:kube-system:default");
    assert!(
        info["extra"]["authentication.kubernetes.io/credential-id"].is_array(),
        "{info}"
    );
}

#[test]
fn an_administrator_may_impersonate() {
    let Some(cluster) = CLUSTER.get() else { return };
    let flags = [
        "auth",
        "whoami",
        "-o",
        "json",
        "--as=eve",
        "--as-group=blue",
        "--as-uid=9",
    ];
    let info = &cluster.kubectl("admin").args(flags).run().json()["status"]["userInfo"];
    assert_eq!((&info["username"], &info["uid"]), (&json!("eve"), &json!("9")));
}

#[test]
fn a_deployment_becomes_ready_and_its_pods_run_on_the_node() {
    let Some(cluster) = CLUSTER.get() else { return };
    cluster.create_namespace("shop", &[("env", "test")]);
    let admin = || cluster.kubectl("admin").args(["-n", "shop"]);
    admin().args(["apply", "-f", "-"]).stdin(deployment("front")).run().ok();
    admin()
        .args(["rollout", "status", "deployment/front", PATIENCE])
        .run()
        .ok();
    let pods = admin()
        .args(["get", "pods", "-l", "app=front", "-o", "json"])
        .run()
        .json();
    let pods = pods["items"].as_array().expect("a list");
    assert_eq!(pods.len(), 2);
    for pod in pods {
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["spec"]["nodeName"], "node-0");
        assert!(
            pod["status"]["podIP"]
                .as_str()
                .is_some_and(|ip| ip.starts_with("10.244.")),
            "{}",
            pod["status"]
        );
    }
    admin()
        .args([
            "delete",
            "deployment",
            "front",
            "--cascade=foreground",
            "--wait",
            PATIENCE,
        ])
        .run()
        .ok();
    let left = admin()
        .args(["get", "pods", "-l", "app=front", "-o", "name"])
        .run()
        .ok();
    assert_eq!(left, "", "the garbage collector and the node let pods end");
}

#[test]
fn a_job_completes() {
    let Some(cluster) = CLUSTER.get() else { return };
    cluster.create_namespace("batch", &[]);
    let admin = || cluster.kubectl("admin").args(["-n", "batch"]);
    admin()
        .args(["create", "job", "once", "--image=registry.example/job:1"])
        .run()
        .ok();
    admin()
        .args(["wait", "--for=condition=complete", "job/once", PATIENCE])
        .run()
        .ok();
}

#[test]
fn a_plain_request_writes_what_kubectl_does_not_express() {
    let Some(cluster) = CLUSTER.get() else { return };
    cluster.create_namespace("plain", &[]);
    let pods = "/api/v1/namespaces/plain/pods";
    let pod = json!({"metadata": {"name": "bare"}, "spec": {
        "schedulerName": "nobody", "containers": [{"name": "main", "image": "registry.example/app:1"}]}});
    cluster.request("admin", "POST", pods).json(&pod).send().ok();
    let binding = json!({"metadata": {"name": "bare"}, "target": {"kind": "Node", "name": "node-0"}});
    let answer = cluster
        .request("admin", "POST", &format!("{pods}/bare/binding"))
        .json(&binding)
        .send();
    assert_eq!(answer.status, 201, "{answer}");
    let labelled = json!({"metadata": {"labels": {"app": "written-through-status"}}});
    let patched = cluster
        .request("admin", "PATCH", &format!("{pods}/bare/status"))
        .json(&labelled)
        .send()
        .ok();
    assert_eq!(patched["metadata"]["labels"]["app"], "written-through-status");
    let refused = cluster
        .request("mallory", "DELETE", &format!("{pods}/bare"))
        .send()
        .refused(403);
    assert!(refused.contains("mallory"), "{refused}");
}

#[test]
fn the_audit_log_holds_a_write_with_its_user_and_answer() {
    let Some(cluster) = CLUSTER.get() else { return };
    let refused = cluster
        .request("mallory", "POST", "/api/v1/namespaces")
        .json(&json!({"metadata": {"name": "hers"}}));
    refused.send().refused(403);
    let event = wait_until(Duration::from_secs(20), "the audit event", || {
        let mine = |event: &Value| {
            event["user"]["username"] == "mallory"
                && event["verb"] == "create"
                && event["objectRef"]["resource"] == "namespaces"
        };
        cluster.audit_events().into_iter().find(mine)
    });
    let event = event.expect("it is written");
    assert_eq!(event["responseStatus"]["code"], 403);
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
}

#[test]
#[should_panic(expected = "has no user \"nobody\"")]
fn a_user_that_was_not_named_is_a_mistake_of_the_test() {
    let Some(cluster) = CLUSTER.get() else {
        panic!("skipped: has no user \"nobody\" either")
    };
    let _ = cluster.kubectl("nobody");
}
