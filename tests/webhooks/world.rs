//! A control plane with ringfence installed but not running, and the configuration that it would serve.

use std::time::Duration;

use ringfence::manifests::webhooks::{Address, Endpoint, webhook_configuration};
use ringfence_controlplane::{ControlPlane, Nodes, Options, Shared, free_port, wait_until};
use ringfence_core::guardrails::{Source, Workload, compile};
use serde_json::{Value, json};

pub(crate) const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const UNANSWERED: &str = "failed calling webhook \\\"";

pub(crate) const GUARDRAILS: &str = r"
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
";

/// A control plane with ringfence installed and the objects that requests below are about. No node: no pod is bound.
pub(crate) static CLUSTER: Shared<ControlPlane> = Shared::new(|| {
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

pub(crate) fn rollouts() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "rollouts.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "rollouts", "kind": "Rollout"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}})
}

pub(crate) fn object(api: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

pub(crate) fn pod_spec() -> Value {
    json!({"containers": [{"name": "app", "image": "registry.example/app:1"}]})
}

pub(crate) fn templated() -> Value {
    json!({"replicas": 0, "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": pod_spec()}})
}

pub(crate) fn job() -> Value {
    let mut spec = pod_spec();
    spec["restartPolicy"] = json!("Never");
    json!({"suspend": true, "template": {"metadata": {"labels": {"app": "a"}}, "spec": spec}})
}

/// What stands before the webhooks do.
pub(crate) fn objects() -> Vec<(&'static str, Value)> {
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
pub(crate) fn nowhere() -> Endpoint {
    Endpoint {
        namespace: "ringfence-system".to_owned(),
        address: Address::Url(format!("https://127.0.0.1:{}", free_port().expect("a free port"))),
        token: "t".repeat(43),
        ca_bundle: None,
    }
}

pub(crate) fn kind(resource: &str, template: &[&str]) -> Workload {
    Workload {
        group: "example.com".to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        template: template.iter().map(ToString::to_string).collect(),
        controllers: Vec::new(),
    }
}

pub(crate) fn served(guardrails: &str, kinds: Vec<Workload>) -> Value {
    let sources = [Source {
        name: "guardrails.yaml".to_owned(),
        text: guardrails.to_owned(),
    }];
    let mut compiled = compile(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    compiled.guardrails.workloads = kinds;
    serde_json::to_value(webhook_configuration(&compiled.guardrails, &nowhere())).expect("it is JSON")
}
