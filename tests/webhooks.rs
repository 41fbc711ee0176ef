//! The served webhook configuration on a real API server: it is taken as it is, survives a second install, and exactly
//! those requests reach it that could change a placement. No ringfence runs: where nobody answers, a request that
//! reaches a webhook that fails closed is refused, and one that passes by is not.

use std::time::Duration;

use ringfence::manifests::webhooks::{Address, Endpoint, webhook_configuration};
use ringfence_controlplane::{ControlPlane, Nodes, Options, Shared, free_port, wait_until};
use ringfence_core::guardrails::{Source, Workload, compile};
use serde_json::{Value, json};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
const PATIENCE: Duration = Duration::from_secs(60);
const UNANSWERED: &str = "failed calling webhook \\\"";

const GUARDRAILS: &str = r#"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  rollout: {default: Audit, namespaces: [{name: payments, mode: Enforce}, {name: owners, mode: Enforce}]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  consent: {namespace: owners}
  members:
  - namespaceSelector: {matchLabels: {team: blue}}
    podSelector: {matchLabels: {app: db}}
"#;

/// A control plane with ringfence installed and the objects that requests below are about. No node: no pod is bound.
static CLUSTER: Shared<ControlPlane> = Shared::new(|| {
    let options = Options {
        nodes: Nodes::Absent,
        ..Options::default()
    };
    let cluster = ControlPlane::start(&options)?;
    cluster.kubectl("admin").args(["apply", "-k", DEPLOY]).run().ok();
    for namespace in ["payments", "web"] {
        cluster.create_namespace(namespace, &[]);
    }
    let define = || {
        cluster
            .request(
                "admin",
                "POST",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            )
            .json(&rollouts())
    };
    define().send().ok();
    let served = || {
        (cluster
            .request("admin", "GET", "/apis/example.com/v1/rollouts")
            .send()
            .status
            == 200)
            .then_some(())
    };
    wait_until(PATIENCE, "the custom kind to be served", served).expect("it is served");
    for (path, object) in objects() {
        cluster
            .request("admin", "POST", &path.replace("NS", "namespaces/payments"))
            .json(&object)
            .send()
            .ok();
    }
    Ok(cluster)
});

fn rollouts() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "rollouts.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "rollouts", "kind": "Rollout"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}})
}

fn object(api: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn pod_spec() -> Value {
    json!({"containers": [{"name": "app", "image": "registry.example/app:1"}]})
}

fn templated() -> Value {
    json!({"replicas": 0, "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": pod_spec()}})
}

fn job() -> Value {
    let mut spec = pod_spec();
    spec["restartPolicy"] = json!("Never");
    json!({"suspend": true, "template": {"metadata": {"labels": {"app": "a"}}, "spec": spec}})
}

/// What stands before the webhooks do.
fn objects() -> Vec<(&'static str, Value)> {
    let cron = json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job()}});
    let template = json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": pod_spec()}});
    let mut controller = templated();
    controller["selector"] = json!({"app": "a"});
    vec![
        ("/api/v1/NS/pods", object("v1", "Pod", "a", &pod_spec())),
        (
            "/api/v1/NS/services",
            object("v1", "Service", "a", &json!({"ports": [{"port": 80}]})),
        ),
        ("/api/v1/NS/podtemplates", template),
        (
            "/api/v1/NS/replicationcontrollers",
            object("v1", "ReplicationController", "a", &controller),
        ),
        (
            "/apis/apps/v1/NS/deployments",
            object("apps/v1", "Deployment", "a", &templated()),
        ),
        (
            "/apis/apps/v1/NS/replicasets",
            object("apps/v1", "ReplicaSet", "a", &templated()),
        ),
        ("/apis/batch/v1/NS/jobs", object("batch/v1", "Job", "a", &job())),
        ("/apis/batch/v1/NS/cronjobs", object("batch/v1", "CronJob", "a", &cron)),
        (
            "/apis/example.com/v1/NS/rollouts",
            object("example.com/v1", "Rollout", "a", &templated()),
        ),
    ]
}

/// Where nobody listens.
fn nowhere() -> Endpoint {
    Endpoint {
        namespace: "ringfence-system".to_owned(),
        address: Address::Url(format!("https://127.0.0.1:{}", free_port().expect("a free port"))),
        token: "t".repeat(43),
        ca_bundle: None,
    }
}

fn kind(resource: &str, template: &[&str]) -> Workload {
    Workload {
        group: "example.com".to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        template: template.iter().map(ToString::to_string).collect(),
        controllers: Vec::new(),
    }
}

fn served(guardrails: &str, kinds: Vec<Workload>) -> Value {
    let sources = [Source {
        name: "guardrails.yaml".to_owned(),
        text: guardrails.to_owned(),
    }];
    let mut compiled = compile(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    compiled.guardrails.workloads = kinds;
    serde_json::to_value(webhook_configuration(&compiled.guardrails, &nowhere())).expect("it is JSON")
}

type Call = (&'static str, &'static str, Value);

fn labels(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}})
}

fn template(change: &Value) -> Value {
    json!({"spec": {"template": change}})
}

/// Could change a placement, or enters pods.
fn reaching() -> Vec<Call> {
    let image = |image: &str| json!([{"name": "app", "image": image}]);
    let bound = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a", "labels": {"app": "db"}},
        "target": {"kind": "Node", "name": "n"}});
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}, "revision": 1, "data": {}});
    let finalized = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "payments", "labels": {"team": "blue"}},
        "spec": {"finalizers": ["kubernetes"]}});
    let rollback = json!({"metadata": {"annotations": {"deprecated.deployment.rollback.to": "1"}}});
    vec![
        ("POST", "/api/v1/NS/pods", object("v1", "Pod", "b", &pod_spec())),
        ("PATCH", "/api/v1/NS/pods/a", labels(json!({"app": "db"}))),
        (
            "PATCH",
            "/api/v1/NS/pods/a",
            json!({"spec": {"containers": image("registry.example/app:2")}}),
        ),
        ("PATCH", "/api/v1/NS/pods/a/status", labels(json!({"app": "db"}))),
        (
            "PATCH",
            "/api/v1/NS/pods/a/ephemeralcontainers",
            json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "i"}]}}),
        ),
        ("POST", "/api/v1/NS/pods/a/binding", bound.clone()),
        ("POST", "/api/v1/NS/bindings", bound),
        ("POST", "/api/v1/NS/pods/a/exec?command=id&stdout=true", Value::Null),
        ("POST", "/api/v1/NS/pods/a/attach?stdout=true", Value::Null),
        ("POST", "/api/v1/NS/pods/a/portforward", Value::Null),
        ("GET", "/api/v1/NS/pods/a/proxy/", Value::Null),
        ("GET", "/api/v1/NS/services/a/proxy/", Value::Null),
        ("GET", "/api/v1/nodes/n/proxy/", Value::Null),
        (
            "PATCH",
            "/api/v1/NS/podtemplates/a",
            json!({"template": labels(json!({"app": "db"}))}),
        ),
        (
            "PATCH",
            "/api/v1/NS/replicationcontrollers/a",
            template(&labels(json!({"tier": "db"}))),
        ),
        (
            "POST",
            "/apis/apps/v1/NS/deployments",
            object("apps/v1", "Deployment", "b", &templated()),
        ),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/a",
            template(&labels(json!({"tier": "db"}))),
        ),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/a",
            template(&json!({"metadata": {"annotations": {"inject": "yes"}}})),
        ),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/a",
            template(&json!({"spec": {"containers": image("registry.example/app:2")}})),
        ),
        ("PATCH", "/apis/apps/v1/NS/deployments/a", rollback),
        (
            "PATCH",
            "/apis/apps/v1/NS/replicasets/a",
            template(&labels(json!({"tier": "db"}))),
        ),
        (
            "POST",
            "/apis/apps/v1/NS/statefulsets",
            object("apps/v1", "StatefulSet", "b", &templated()),
        ),
        ("POST", "/apis/apps/v1/NS/controllerrevisions", revision),
        (
            "PATCH",
            "/apis/batch/v1/NS/jobs/a",
            template(&labels(json!({"tier": "db"}))),
        ),
        (
            "PATCH",
            "/apis/batch/v1/NS/cronjobs/a",
            json!({"spec": {"jobTemplate": template(&labels(json!({"tier": "db"})))}}),
        ),
        (
            "POST",
            "/apis/example.com/v1/NS/rollouts",
            object("example.com/v1", "Rollout", "b", &templated()),
        ),
        (
            "PATCH",
            "/apis/example.com/v1/NS/rollouts/a",
            template(&labels(json!({"tier": "db"}))),
        ),
        (
            "POST",
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "owners"}}),
        ),
        ("PATCH", "/api/v1/NS", labels(json!({"team": "blue"}))),
        ("PATCH", "/api/v1/NS/status", labels(json!({"team": "blue"}))),
        ("PUT", "/api/v1/NS/finalize", finalized),
    ]
}

/// Cannot, or is nowhere where it could be refused.
fn passing() -> Vec<Call> {
    let note = || json!({"metadata": {"annotations": {"note": "x"}, "finalizers": ["example.com/x"]}});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}});
    let bound = json!({"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n"},
        "metadata": {"name": "a", "labels": {"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r"}}});
    let restarted = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}});
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    vec![
        ("PATCH", "/api/v1/NS/pods/a", note()),
        ("PATCH", "/api/v1/NS/pods/a/status", ready),
        ("POST", "/api/v1/NS/pods/a/binding", bound),
        ("POST", "/api/v1/NS/pods/a/eviction", eviction),
        ("DELETE", "/api/v1/NS/pods/a", Value::Null),
        ("DELETE", "/api/v1/NS/pods", Value::Null),
        ("POST", "/api/v1/NS/configmaps", map),
        ("PATCH", "/api/v1/NS/podtemplates/a", note()),
        (
            "PATCH",
            "/api/v1/NS/replicationcontrollers/a",
            json!({"spec": {"replicas": 1}}),
        ),
        ("PATCH", "/apis/apps/v1/NS/deployments/a", note()),
        ("PATCH", "/apis/apps/v1/NS/deployments/a", labels(json!({"app": "db"}))),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/a",
            json!({"spec": {"replicas": 1}}),
        ),
        ("PATCH", "/apis/apps/v1/NS/deployments/a", template(&restarted)),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/a/scale",
            json!({"spec": {"replicas": 1}}),
        ),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/a/status",
            json!({"status": {"observedGeneration": 9}}),
        ),
        (
            "PATCH",
            "/apis/apps/v1/NS/replicasets/a",
            json!({"spec": {"replicas": 1}}),
        ),
        ("PATCH", "/apis/batch/v1/NS/jobs/a", json!({"spec": {"parallelism": 2}})),
        (
            "PATCH",
            "/apis/batch/v1/NS/cronjobs/a",
            json!({"spec": {"suspend": true}}),
        ),
        (
            "PATCH",
            "/apis/example.com/v1/NS/rollouts/a",
            json!({"spec": {"replicas": 1}}),
        ),
        ("PATCH", "/apis/example.com/v1/NS/rollouts/a", note()),
        (
            "PATCH",
            "/api/v1/NS",
            json!({"metadata": {"annotations": {"note": "x"}}}),
        ),
        (
            "POST",
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}),
        ),
        (
            "POST",
            "/api/v1/namespaces/web/pods",
            object("v1", "Pod", "b", &pod_spec()),
        ),
        ("PATCH", "/api/v1/namespaces/web", labels(json!({"team": "blue"}))),
        (
            "POST",
            "/api/v1/namespaces/kube-system/pods",
            object("v1", "Pod", "b", &pod_spec()),
        ),
        (
            "POST",
            "/api/v1/namespaces/ringfence-system/configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "ringfence-guardrails"}}),
        ),
    ]
}

/// Sends it as the admin, or as somebody whom the headers make of the admin; nothing is persisted.
fn dry(
    cluster: &ControlPlane,
    (method, path, body): &Call,
    headers: &[(&str, &str)],
) -> ringfence_controlplane::Response {
    let path = path.replace("NS", "namespaces/payments");
    // Connections know no dry run; none of these gets as far as a node.
    let connects = ["/exec", "/attach", "/portforward", "/proxy"]
        .iter()
        .any(|kin| path.contains(kin));
    let query = if connects { "" } else { "?dryRun=All" };
    let mut request = cluster.request("admin", method, &format!("{path}{query}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let strategic = body.pointer("/spec/containers").is_some() || body.pointer("/spec/ephemeralContainers").is_some();
    if *method == "PATCH" && strategic {
        request = request.header("Content-Type", "application/strategic-merge-patch+json");
    }
    if body.is_null() {
        request.send()
    } else {
        request.json(body).send()
    }
}

#[test]
fn only_what_could_change_a_placement_reaches_us() {
    let Some(cluster) = CLUSTER.get() else { return };
    let configuration = served(GUARDRAILS, vec![kind("rollouts", &["spec", "template"])]).to_string();
    cluster
        .kubectl("admin")
        .args(["replace", "-f", "-"])
        .stdin(configuration)
        .run()
        .ok();
    let reaching = reaching();
    let closed = || dry(cluster, &reaching[0], &[]).text.contains(UNANSWERED).then_some(());
    wait_until(PATIENCE, "the webhooks to be called", closed).expect("they are called");

    let mut wrong = Vec::new();
    for call in &reaching {
        let response = dry(cluster, call, &[]);
        if !response.text.contains(UNANSWERED) {
            wrong.push(format!(
                "should have reached us: {} {}: {} {}",
                call.0, call.1, response.status, response.text
            ));
        }
    }
    for call in &passing() {
        let response = dry(cluster, call, &[]);
        if !(200..300).contains(&response.status) {
            wrong.push(format!(
                "should have passed: {} {}: {} {}",
                call.0, call.1, response.status, response.text
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Our own pods are not asked about themselves; whoever borrows the account's name is.
    let account = ("Impersonate-User", "system:serviceaccount:ringfence-system:ringfence");
    let admins = ("Impersonate-Group", "system:masters");
    let bound = (
        "Impersonate-Extra-authentication.kubernetes.io%2fpod-name",
        "ringfence-0",
    );
    let response = dry(cluster, &reaching[0], &[account, admins, bound]);
    assert_eq!(response.status, 201, "{}", response.text);
    assert!(dry(cluster, &reaching[0], &[account, admins]).text.contains(UNANSWERED));
    let other = ("Impersonate-User", "system:serviceaccount:web:ringfence");
    assert!(
        dry(cluster, &reaching[0], &[other, admins, bound])
            .text
            .contains(UNANSWERED)
    );
}

#[test]
fn the_api_server_takes_what_is_served_and_adds_nothing() {
    let Some(cluster) = CLUSTER.get() else { return };
    let many = (0..90)
        .map(|number| kind(&format!("kinds{number}"), &["spec", "a-b", "template"]))
        .collect();
    for (guardrails, kinds) in [(GUARDRAILS, Vec::new()), ("", Vec::new()), (GUARDRAILS, many)] {
        let mut configuration = served(guardrails, kinds);
        configuration["metadata"]["name"] = json!("tried");
        let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let taken = cluster
            .kubectl("admin")
            .args(create)
            .stdin(configuration.to_string())
            .run()
            .json();
        assert_eq!(taken["webhooks"], configuration["webhooks"]);
    }
}

#[test]
fn installing_again_leaves_what_is_served_and_what_is_configured() {
    let Some(cluster) = ringfence_controlplane::started_or_skipped(&Options {
        nodes: Nodes::Absent,
        ..Options::default()
    }) else {
        return;
    };
    let run = |arguments: &[&str]| cluster.kubectl("admin").args(arguments).run().ok();
    run(&["apply", "-k", DEPLOY]);
    run(&["apply", "-k", DEPLOY, "--dry-run=server"]);
    run(&["create", "-f", &format!("{DEPLOY}/guardrails.yaml")]);
    let mine = r#"{"data": {"guardrails.yaml": "mine"}}"#;
    run(&[
        "-n",
        "ringfence-system",
        "patch",
        "configmap",
        "ringfence-guardrails",
        "--type=merge",
        "-p",
        mine,
    ]);
    cluster
        .kubectl("admin")
        .args(["replace", "-f", "-"])
        .stdin(served(GUARDRAILS, vec![kind("rollouts", &["spec", "template"])]).to_string())
        .run()
        .ok();
    let read = |what: &[&str]| {
        cluster
            .kubectl("admin")
            .args(["-n", "ringfence-system", "get", "-o", "json"])
            .args(what)
            .run()
            .json()
    };
    let webhooks = || read(&["validatingwebhookconfiguration", "ringfence"])["webhooks"].clone();
    let before = webhooks();
    assert_eq!(before.as_array().map(Vec::len), Some(5));

    run(&["apply", "-k", DEPLOY]);
    assert_eq!(webhooks(), before, "after kubectl apply");
    run(&["apply", "-k", DEPLOY, "--server-side", "--force-conflicts"]);
    assert_eq!(webhooks(), before, "after kubectl apply --server-side");
    run(&["apply", "-k", DEPLOY]);
    assert_eq!(webhooks(), before, "after kubectl apply once more");
    assert_eq!(
        read(&["configmap", "ringfence-guardrails"])["data"]["guardrails.yaml"],
        "mine"
    );
    cluster
        .kubectl("admin")
        .args(["create", "-f", &format!("{DEPLOY}/guardrails.yaml")])
        .run()
        .refused();
}
