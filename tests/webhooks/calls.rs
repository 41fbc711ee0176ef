//! Requests to the API server: those that could change a placement, and those that cannot.

use serde_json::{Value, json};

use crate::world::{object, pod_spec, templated};

pub(crate) type Call = (&'static str, &'static str, Value);

pub(crate) fn labels(labels: &Value) -> Value {
    json!({"metadata": {"labels": labels}})
}

pub(crate) fn template(change: &Value) -> Value {
    json!({"spec": {"template": change}})
}

/// Could change a placement, or enters pods.
pub(crate) fn reaching() -> Vec<Call> {
    let image = |image: &str| json!([{"name": "app", "image": image}]);
    let bound = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a", "labels": {"app": "db"}},
        "target": {"kind": "Node", "name": "n"}});
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}, "revision": 1, "data": {}});
    let finalized = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "payments", "labels": {"team": "blue"}},
        "spec": {"finalizers": ["kubernetes"]}});
    let rollback = json!({"metadata": {"annotations": {"deprecated.deployment.rollback.to": "1"}}});
    vec![
        ("POST", "/api/v1/NS/pods", object("v1", "Pod", "b", &pod_spec())),
        ("PATCH", "/api/v1/NS/pods/a", labels(&json!({"app": "db"}))),
        (
            "PATCH",
            "/api/v1/NS/pods/a",
            json!({"spec": {"containers": image("registry.example/app:2")}}),
        ),
        ("PATCH", "/api/v1/NS/pods/a/status", labels(&json!({"app": "db"}))),
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
            json!({"template": labels(&json!({"app": "db"}))}),
        ),
        (
            "PATCH",
            "/api/v1/NS/replicationcontrollers/a",
            template(&labels(&json!({"tier": "db"}))),
        ),
        (
            "POST",
            "/apis/apps/v1/NS/deployments",
            object("apps/v1", "Deployment", "b", &templated()),
        ),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/a",
            template(&labels(&json!({"tier": "db"}))),
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
            template(&labels(&json!({"tier": "db"}))),
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
            template(&labels(&json!({"tier": "db"}))),
        ),
        (
            "PATCH",
            "/apis/batch/v1/NS/cronjobs/a",
            json!({"spec": {"jobTemplate": template(&labels(&json!({"tier": "db"})))}}),
        ),
        (
            "POST",
            "/apis/example.com/v1/NS/rollouts",
            object("example.com/v1", "Rollout", "b", &templated()),
        ),
        (
            "PATCH",
            "/apis/example.com/v1/NS/rollouts/a",
            template(&labels(&json!({"tier": "db"}))),
        ),
        (
            "POST",
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "owners"}}),
        ),
        ("PATCH", "/api/v1/NS", labels(&json!({"team": "blue"}))),
        ("PATCH", "/api/v1/NS/status", labels(&json!({"team": "blue"}))),
        ("PUT", "/api/v1/NS/finalize", finalized),
    ]
}

/// Cannot, or is nowhere where it could be refused.
pub(crate) fn passing() -> Vec<Call> {
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
        ("PATCH", "/apis/apps/v1/NS/deployments/a", labels(&json!({"app": "db"}))),
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
        ("PATCH", "/api/v1/namespaces/web", labels(&json!({"team": "blue"}))),
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
