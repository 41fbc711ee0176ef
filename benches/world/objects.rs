//! Pods and Deployments as they stand in a cluster: probes, volumes, tokens, tolerations, managedFields; 3 to 10 kB.

use serde_json::{Map, Value, json};

/// A pod of this app, made by a ReplicaSet, its image of this release.
pub(crate) fn pod(app: &str, namespace: &str, number: usize, release: usize) -> Value {
    let name = format!("{app}-6f7d8c9b5d-{:05}", number % 100_000);
    let mut labels = labels(app, number);
    labels.insert("pod-template-hash".to_owned(), json!("6f7d8c9b5d"));
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "generateName": format!("{app}-6f7d8c9b5d-"), "namespace": namespace,
            "uid": format!("5d2b7c1e-0000-4000-8000-{number:012}"), "creationTimestamp": "2026-11-21T09:00:00Z",
            "labels": labels, "annotations": annotations(number),
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-6f7d8c9b5d"),
                "uid": format!("9a1c4f60-0000-4000-8000-{number:012}"), "controller": true, "blockOwnerDeletion": true,
            }],
            "managedFields": [managed_fields("kube-controller-manager", "v1", &pod_fields())],
        },
        "spec": spec(app, number, release),
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    })
}

/// A Deployment of this app, its image of this release.
pub(crate) fn deployment(app: &str, namespace: &str, number: usize, release: usize) -> Value {
    let labels = labels(app, number);
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {
            "name": app, "namespace": namespace, "uid": format!("2e8d91b4-0000-4000-8000-{number:012}"),
            "generation": release, "creationTimestamp": "2026-11-21T09:00:00Z", "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": release.to_string()},
            "managedFields": [managed_fields("kubectl-client-side-apply", "apps/v1", &json!({
                "f:metadata": {"f:labels": named_fields(labels.keys())},
                "f:spec": {"f:progressDeadlineSeconds": {}, "f:replicas": {}, "f:revisionHistoryLimit": {},
                    "f:selector": {}, "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
                    "f:type": {}}, "f:template": pod_fields()},
            }))],
        },
        "spec": {
            "replicas": 3, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": app}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "template": {
                "metadata": {"creationTimestamp": null, "labels": labels, "annotations": annotations(number)},
                "spec": spec(app, number, release),
            },
        },
        "status": {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3},
    })
}

fn labels(app: &str, number: usize) -> Map<String, Value> {
    let labels = [
        ("app", app.to_owned()),
        ("app.kubernetes.io/managed-by", "Helm".to_owned()),
        ("app.kubernetes.io/name", app.to_owned()),
        ("app.kubernetes.io/part-of", format!("shop-{}", number % 9)),
        ("app.kubernetes.io/version", format!("1.{}.0", number % 30)),
        ("release", "stable".to_owned()),
        ("tier", "backend".to_owned()),
    ];
    labels
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .into_iter()
        .collect()
}

fn annotations(number: usize) -> Value {
    json!({
        "checksum/config": format!("{:064x}", number * 7919),
        "prometheus.io/path": "/metrics", "prometheus.io/port": "9090", "prometheus.io/scrape": "true",
        "kubectl.kubernetes.io/default-container": "app",
        "example.org/notes": "text with \"quotes\", a \\ and ünïcode that has to be skipped\n",
    })
}

fn spec(app: &str, number: usize, release: usize) -> Value {
    let environment: Vec<Value> = (0..8 + number % 12)
        .map(|variable| json!({"name": format!("SETTING_{variable}"), "value": format!("value {variable} of {app}")}))
        .chain([
            json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}),
        ])
        .collect();
    let probe = |path: &str| {
        json!({"httpGet": {"path": path, "port": 8080, "scheme": "HTTP"}, "initialDelaySeconds": 5, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
    };
    let mounts = json!([
        {"name": "config", "readOnly": true, "mountPath": "/etc/app"}, {"name": "scratch", "mountPath": "/tmp"},
        {"name": "kube-api-access-x7k2p", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
    ]);
    let container = |name: &str, image: String| {
        json!({
            "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "env": environment, "volumeMounts": mounts,
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "livenessProbe": probe("/healthz"), "readinessProbe": probe("/readyz"),
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true},
        })
    };
    let image = format!("registry.example/{app}@sha256:{release:064x}");
    let mut containers = vec![container("app", image)];
    if number.is_multiple_of(3) {
        containers.push(container("proxy", "registry.example/proxy:1.2".to_owned()));
    }
    json!({
        "volumes": [
            {"name": "config", "configMap": {"name": format!("{app}-config"), "defaultMode": 420}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ]}},
        ],
        "containers": containers, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "serviceAccountName": app, "serviceAccount": app, "schedulerName": "default-scheduler", "priority": 0,
        "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        "securityContext": {"runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        ],
    })
}

fn managed_fields(manager: &str, version: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": "Update", "apiVersion": version, "time": "2026-11-21T09:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn pod_fields() -> Value {
    let names: Vec<String> = (0..12).map(|variable| format!("SETTING_{variable}")).collect();
    let environment: Map<String, Value> = names
        .iter()
        .map(|name| {
            (
                format!("k:{{\"name\":\"{name}\"}}"),
                json!({".": {}, "f:name": {}, "f:value": {}}),
            )
        })
        .collect();
    let probe = json!({".": {}, "f:failureThreshold": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}, "f:scheme": {}},
        "f:initialDelaySeconds": {}, "f:periodSeconds": {}, "f:successThreshold": {}, "f:timeoutSeconds": {}});
    json!({
        "f:metadata": {"f:annotations": {".": {}, "f:checksum/config": {}, "f:prometheus.io/port": {}},
            "f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}, "f:tier": {}},
            "f:ownerReferences": {".": {}, "k:{\"uid\":\"9a1c4f60-0000-4000-8000-000000000001\"}": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:env": environment, "f:image": {},
            "f:imagePullPolicy": {}, "f:livenessProbe": probe, "f:readinessProbe": probe, "f:name": {},
            "f:ports": {".": {}, "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:name": {}}},
            "f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {}, "f:memory": {}}}}},
            "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {},
            "f:securityContext": {}, "f:serviceAccount": {}, "f:serviceAccountName": {}, "f:terminationGracePeriodSeconds": {}},
    })
}

fn named_fields<'a>(names: impl Iterator<Item = &'a String>) -> Value {
    names
        .map(|name| (format!("f:{name}"), json!({})))
        .collect::<Map<_, _>>()
        .into()
}
