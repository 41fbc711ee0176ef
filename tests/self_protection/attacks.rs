//! What somebody could do to ringfence, one plain request each: in its namespace, and to its objects at the cluster.

use serde_json::{Value, json};

/// A plain request: method, path (`NS` stands for our namespace, `POD` for a pod of ours), body.
pub(crate) type Attack = (&'static str, &'static str, Value);

/// All that could change or borrow ringfence from within its namespace.
pub(crate) fn attacks() -> Vec<Attack> {
    [on_the_core_group(), on_other_groups()].concat()
}

fn on_the_core_group() -> Vec<Attack> {
    let core = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    let label = json!({"metadata": {"labels": {"by": "attacker"}}});
    let container = json!({"name": "x", "image": "registry.example/x:1",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    let pod_security = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let rogue_pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "rogue"},
        "spec": {"securityContext": pod_security, "serviceAccountName": "ringfence", "containers": [container]}});
    let mut token_secret = core("Secret", "stolen");
    token_secret["type"] = json!("kubernetes.io/service-account-token");
    token_secret["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "ringfence"});
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "POD"}});
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "POD"}, "target": {"kind": "Node", "name": "n"}});
    let debug = json!({"spec": {"ephemeralContainers": [container]}});
    vec![
        (
            "PATCH",
            "/api/v1/NS/configmaps/ringfence-guardrails",
            json!({"data": {"guardrails.yaml": ""}}),
        ),
        ("DELETE", "/api/v1/NS/configmaps/ringfence-guardrails", Value::Null),
        ("DELETE", "/api/v1/NS/configmaps", Value::Null),
        (
            "POST",
            "/api/v1/NS/configmaps",
            core("ConfigMap", "ringfence-last-good"),
        ),
        (
            "POST",
            "/api/v1/NS/configmaps",
            core("ConfigMap", "ringfence-enforced-since"),
        ),
        (
            "PATCH",
            "/api/v1/NS/secrets/ringfence-serving",
            json!({"stringData": {"path": "known"}}),
        ),
        ("DELETE", "/api/v1/NS/secrets/ringfence-serving", Value::Null),
        ("POST", "/api/v1/NS/secrets", token_secret),
        ("POST", "/api/v1/NS/serviceaccounts/ringfence/token", token),
        ("PATCH", "/api/v1/NS/serviceaccounts/ringfence", label.clone()),
        ("DELETE", "/api/v1/NS/serviceaccounts/ringfence", Value::Null),
        ("POST", "/api/v1/NS/pods", rogue_pod),
        ("PATCH", "/api/v1/NS/pods/POD", label.clone()),
        ("PATCH", "/api/v1/NS/pods/POD/status", label.clone()),
        ("PATCH", "/api/v1/NS/pods/POD/ephemeralcontainers", debug),
        ("DELETE", "/api/v1/NS/pods/POD", Value::Null),
        ("DELETE", "/api/v1/NS/pods", Value::Null),
        ("POST", "/api/v1/NS/pods/POD/eviction", eviction),
        ("POST", "/api/v1/NS/pods/POD/binding", binding),
        ("POST", "/api/v1/NS/pods/POD/exec?command=id&stdout=true", Value::Null),
        ("POST", "/api/v1/NS/pods/POD/attach?stdout=true", Value::Null),
        ("POST", "/api/v1/NS/pods/POD/portforward", Value::Null),
        ("GET", "/api/v1/NS/pods/POD:8080/proxy/metrics", Value::Null),
        ("GET", "/api/v1/NS/services/https:ringfence:443/proxy/", Value::Null),
        (
            "PATCH",
            "/api/v1/NS/services/ringfence",
            json!({"spec": {"selector": {"app": "decoy"}}}),
        ),
        ("DELETE", "/api/v1/NS/services/ringfence", Value::Null),
        (
            "PATCH",
            "/api/v1/NS/resourcequotas/ringfence-critical-pods",
            json!({"spec": {"hard": {"pods": "0"}}}),
        ),
    ]
}

fn on_other_groups() -> Vec<Attack> {
    let label = json!({"metadata": {"labels": {"by": "attacker"}}});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "decoy", "labels": {"kubernetes.io/service-name": "ringfence"}},
        "endpoints": [{"addresses": ["10.9.9.9"]}], "ports": [{"name": "https", "port": 8443}]});
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "ringfence-leader"}, "spec": {"holderIdentity": "attacker", "leaseDurationSeconds": 3600}});
    let closed = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "closed"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}});
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "one"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ringfence"}, "minReplicas": 1, "maxReplicas": 1}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "planted"}, "rules": []});
    let bound = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "planted"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"}, "subjects": []});
    vec![
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/ringfence",
            json!({"spec": {"template": {"spec": {"priorityClassName": null}}}}),
        ),
        (
            "PATCH",
            "/apis/apps/v1/NS/deployments/ringfence/scale",
            json!({"spec": {"replicas": 0}}),
        ),
        ("PATCH", "/apis/apps/v1/NS/deployments/ringfence/status", label.clone()),
        ("DELETE", "/apis/apps/v1/NS/deployments/ringfence", Value::Null),
        ("DELETE", "/apis/apps/v1/NS/deployments", Value::Null),
        ("DELETE", "/apis/apps/v1/NS/replicasets", Value::Null),
        ("POST", "/apis/autoscaling/v2/NS/horizontalpodautoscalers", scaler),
        ("POST", "/apis/coordination.k8s.io/v1/NS/leases", lease),
        ("POST", "/apis/discovery.k8s.io/v1/NS/endpointslices", slice),
        ("DELETE", "/apis/discovery.k8s.io/v1/NS/endpointslices", Value::Null),
        ("POST", "/apis/networking.k8s.io/v1/NS/networkpolicies", closed),
        (
            "DELETE",
            "/apis/policy/v1/NS/poddisruptionbudgets/ringfence",
            Value::Null,
        ),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/NS/roles", role),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/NS/rolebindings", bound),
        (
            "DELETE",
            "/apis/rbac.authorization.k8s.io/v1/NS/rolebindings/ringfence",
            Value::Null,
        ),
    ]
}

/// All that could change it from outside of its namespace.
pub(crate) fn cluster_attacks() -> Vec<Attack> {
    let label = json!({"metadata": {"labels": {"by": "attacker"}}});
    let privileged = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let finalized = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ringfence-system"},
        "spec": {"finalizers": []}});
    let hook = |kind: &str| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "ringfence"}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "ringfence:planted:connect"}, "rules": []});
    vec![
        ("PATCH", "/api/v1/NS", privileged.clone()),
        ("PATCH", "/api/v1/NS/status", privileged),
        ("PUT", "/api/v1/NS/finalize", finalized),
        ("DELETE", "/api/v1/NS", Value::Null),
        ("PATCH", "CRDS/segments.ringfence.dev", label.clone()),
        (
            "PATCH",
            "CRDS/segments.ringfence.dev/status",
            json!({"status": {"storedVersions": ["v0"]}}),
        ),
        ("DELETE", "CRDS/segments.ringfence.dev", Value::Null),
        (
            "DELETE",
            "CRDS?labelSelector=app.kubernetes.io/name=ringfence",
            Value::Null,
        ),
        ("POST", "CRDS", definition("ringfence.dev")),
        ("POST", "OURS/segments", segment("planted")),
        ("PATCH", "OURS/segments/published", label.clone()),
        (
            "PATCH",
            "OURS/segments/published/status",
            json!({"status": {"mode": "Audit"}}),
        ),
        ("DELETE", "OURS/segments/published", Value::Null),
        ("DELETE", "OURS/segments", Value::Null),
        (
            "PATCH",
            "HOOKS/validatingwebhookconfigurations/ringfence",
            json!({"webhooks": []}),
        ),
        ("DELETE", "HOOKS/validatingwebhookconfigurations/ringfence", Value::Null),
        ("DELETE", "HOOKS/validatingwebhookconfigurations", Value::Null),
        (
            "POST",
            "HOOKS/mutatingwebhookconfigurations",
            hook("MutatingWebhookConfiguration"),
        ),
        ("PATCH", "RBAC/clusterroles/ringfence", json!({"rules": []})),
        ("DELETE", "RBAC/clusterroles/ringfence", Value::Null),
        (
            "DELETE",
            "RBAC/clusterroles?labelSelector=app.kubernetes.io/name=ringfence",
            Value::Null,
        ),
        ("POST", "RBAC/clusterroles", role),
        (
            "PATCH",
            "RBAC/clusterroles/ringfence:published:join",
            json!({"rules": []}),
        ),
        ("DELETE", "RBAC/clusterroles/ringfence:published:join", Value::Null),
        (
            "PATCH",
            "RBAC/clusterroles/ringfence-workloads",
            json!({"aggregationRule": null}),
        ),
        ("DELETE", "RBAC/clusterrolebindings/ringfence", Value::Null),
    ]
}

/// The same kinds, but not ours: the policy lets them by.
pub(crate) fn harmless() -> Vec<Attack> {
    let named = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "other"}});
    let label = json!({"metadata": {"labels": {"by": "platform"}}});
    let crd = "CRDS/widgets.example.com";
    vec![
        ("POST", "/api/v1/namespaces", named("v1", "Namespace")),
        ("PATCH", "/api/v1/namespaces/other", label.clone()),
        ("PATCH", "/api/v1/namespaces/other/status", label.clone()),
        ("DELETE", "/api/v1/namespaces/other", Value::Null),
        ("POST", "CRDS", definition("example.com")),
        ("PATCH", crd, label.clone()),
        ("DELETE", crd, Value::Null),
        (
            "POST",
            "HOOKS/validatingwebhookconfigurations",
            named("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ),
        ("DELETE", "HOOKS/validatingwebhookconfigurations/other", Value::Null),
        (
            "POST",
            "RBAC/clusterroles",
            named("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ),
        ("PATCH", "RBAC/clusterroles/other", label),
        ("DELETE", "RBAC/clusterroles/other", Value::Null),
    ]
}

/// A segment as it is published.
pub(crate) fn segment(name: &str) -> Value {
    let member = json!({"namespaces": ["payments"], "podSelector": {"matchLabels": {"app": "db"}}});
    json!({"apiVersion": "ringfence.dev/v1alpha1", "kind": "Segment", "metadata": {"name": name}, "spec": {"members": [member]}})
}

fn definition(group: &str) -> Value {
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": "Cluster", "names": {"plural": "widgets", "kind": "Widget"}, "versions": [version]}})
}

/// What the words in paths stand for.
pub(crate) fn spelled_out(path: &str, pod: &str) -> String {
    path.replace("NS", "namespaces/ringfence-system")
        .replace("POD", pod)
        .replace("CRDS", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        .replace("OURS", "/apis/ringfence.dev/v1alpha1")
        .replace("HOOKS", "/apis/admissionregistration.k8s.io/v1")
        .replace("RBAC", "/apis/rbac.authorization.k8s.io/v1")
}
