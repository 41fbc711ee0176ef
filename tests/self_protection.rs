//! The self-protection policy, request by request, on a real API server, with no ringfence running: nobody changes
//! ringfence itself without `configure guardrails`, and whoever has to can. What RBAC refuses already proves nothing,
//! so the attackers here hold every other right that they need.

use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Kubectl, Options, SharedControlPlane, User, wait_until};
use serde_json::{Value, json};

/// `edit` in ringfence-system.
const EDITOR: &str = "editor";
/// Every verb on everything that Kubernetes itself has in ringfence-system.
const TENANT: &str = "tenant";
/// Every verb on namespaces, CRDs, webhook configurations and cluster RBAC, CRUD on our published objects.
const PLATFORM: &str = "platform";
/// `edit` in ringfence-system and `configure guardrails`.
const OWNER: &str = "owner";
/// May evict everywhere.
const DRAINER: &str = "drainer";
/// Nobody: lends its kubeconfig to tokens of service accounts.
const NOBODY: &str = "nobody";

const NAMESPACE: &str = "ringfence-system";
const SAYS: &str = "ringfence guards itself";
const PATIENCE: Duration = Duration::from_secs(60);

/// Rights for the users above, beside what deploy/ installs.
const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tenant, namespace: ringfence-system}
rules:
- apiGroups: ["", apps, autoscaling, batch, coordination.k8s.io, discovery.k8s.io, networking.k8s.io, policy, rbac.authorization.k8s.io]
  resources: ["*"]
  verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: configure, namespace: ringfence-system}
rules:
- {apiGroups: [ringfence.dev], resources: [guardrails], resourceNames: [default], verbs: [configure]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: platform}
rules:
- apiGroups: [""]
  resources: [namespaces, namespaces/status, namespaces/finalize]
  verbs: ["*"]
- apiGroups: [apiextensions.k8s.io, admissionregistration.k8s.io, rbac.authorization.k8s.io]
  resources: ["*"]
  verbs: ["*"]
- apiGroups: [ringfence.dev]
  resources: ["*"]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: drainer}
rules:
- {apiGroups: [""], resources: [pods/eviction], verbs: [create]}
"#;

static CLUSTER: SharedControlPlane =
    SharedControlPlane::new(|| Options::with_users([EDITOR, TENANT, PLATFORM, OWNER, DRAINER, NOBODY].map(User::new)));

/// The control plane with ringfence installed, but not running.
fn installed() -> Option<&'static ControlPlane> {
    static INSTALLED: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    let cluster = CLUSTER.get()?;
    INSTALLED.get_or_init(|| install(cluster));
    Some(cluster)
}

fn install(cluster: &ControlPlane) {
    let admin = || cluster.kubectl("admin");
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    admin().args(["apply", "-k", deploy]).run().ok();
    admin()
        .args(["create", "-f", &format!("{deploy}/guardrails.yaml")])
        .run()
        .ok();
    admin().args(["apply", "-f", "-"]).stdin(RIGHTS).run().ok();
    for (user, role) in [
        (EDITOR, "clusterrole=edit"),
        (OWNER, "clusterrole=edit"),
        (TENANT, "role=tenant"),
        (OWNER, "role=configure"),
    ] {
        let name = format!("{user}-{}", role.replace('=', "-"));
        let (role, user) = (format!("--{role}"), format!("--user={user}"));
        in_namespace(cluster, "admin")
            .args(["create", "rolebinding", &name, &role, &user])
            .run()
            .ok();
    }
    for user in [PLATFORM, DRAINER] {
        let (role, subject) = (format!("--clusterrole={user}"), format!("--user={user}"));
        admin()
            .args(["create", "clusterrolebinding", user, &role, &subject])
            .run()
            .ok();
    }
    in_namespace(cluster, "admin")
        .args([
            "create",
            "secret",
            "generic",
            "ringfence-serving",
            "--from-literal=path=x",
        ])
        .run()
        .ok();
    in_namespace(cluster, "admin")
        .args(["rollout", "status", "deployment/ringfence", "--timeout=60s"])
        .run()
        .ok();
    let probe = || {
        in_namespace(cluster, TENANT)
            .args(["create", "configmap", "probe", "--dry-run=server"])
            .run()
    };
    wait_until(PATIENCE, "the policy to be in force", || {
        probe().stderr.contains(SAYS).then_some(())
    })
    .expect("it is in force");
}

fn in_namespace(cluster: &ControlPlane, user: &str) -> Kubectl {
    cluster.kubectl(user).args(["-n", NAMESPACE])
}

/// A pod of ours that is not about to go.
fn pod(cluster: &ControlPlane) -> String {
    pods(cluster).into_iter().next().expect("ringfence has pods")
}

fn pods(cluster: &ControlPlane) -> Vec<String> {
    let list = in_namespace(cluster, "admin")
        .args(["get", "pods", "-l", "app.kubernetes.io/name=ringfence", "-o", "json"])
        .run()
        .json();
    let pods = list["items"].as_array().expect("a list").iter();
    let standing = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    standing
        .map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// A plain request: method, path (`POD` stands for a pod of ours), body.
type Attack = (&'static str, &'static str, Value);

/// All that could change or borrow ringfence from within its namespace.
fn attacks() -> Vec<Attack> {
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
    let debug = json!({"spec": {"ephemeralContainers": [container]}});
    vec![
        (
            "PATCH",
            "api/v1/configmaps/ringfence-guardrails",
            json!({"data": {"guardrails.yaml": ""}}),
        ),
        ("DELETE", "api/v1/configmaps/ringfence-guardrails", Value::Null),
        ("DELETE", "api/v1/configmaps", Value::Null),
        ("POST", "api/v1/configmaps", core("ConfigMap", "ringfence-last-good")),
        (
            "PATCH",
            "api/v1/secrets/ringfence-serving",
            json!({"stringData": {"path": "known"}}),
        ),
        ("DELETE", "api/v1/secrets/ringfence-serving", Value::Null),
        ("POST", "api/v1/secrets", token_secret),
        ("POST", "api/v1/serviceaccounts/ringfence/token", token),
        ("PATCH", "api/v1/serviceaccounts/ringfence", label.clone()),
        ("DELETE", "api/v1/serviceaccounts/ringfence", Value::Null),
        ("POST", "api/v1/pods", rogue_pod),
        ("PATCH", "api/v1/pods/POD", label.clone()),
        ("PATCH", "api/v1/pods/POD/status", label.clone()),
        ("PATCH", "api/v1/pods/POD/ephemeralcontainers", debug),
        ("DELETE", "api/v1/pods/POD", Value::Null),
        ("DELETE", "api/v1/pods", Value::Null),
        ("POST", "api/v1/pods/POD/eviction", eviction),
        ("POST", "api/v1/pods/POD/binding", binding),
        ("POST", "api/v1/pods/POD/exec?command=id&stdout=true", Value::Null),
        ("POST", "api/v1/pods/POD/attach?stdout=true", Value::Null),
        ("POST", "api/v1/pods/POD/portforward", Value::Null),
        ("GET", "api/v1/pods/POD:8080/proxy/metrics", Value::Null),
        ("GET", "api/v1/services/https:ringfence:443/proxy/", Value::Null),
        (
            "PATCH",
            "api/v1/services/ringfence",
            json!({"spec": {"selector": {"app": "decoy"}}}),
        ),
        ("DELETE", "api/v1/services/ringfence", Value::Null),
        (
            "PATCH",
            "api/v1/resourcequotas/ringfence-critical-pods",
            json!({"spec": {"hard": {"pods": "0"}}}),
        ),
        (
            "PATCH",
            "apis/apps/v1/deployments/ringfence",
            json!({"spec": {"template": {"spec": {"priorityClassName": null}}}}),
        ),
        (
            "PATCH",
            "apis/apps/v1/deployments/ringfence/scale",
            json!({"spec": {"replicas": 0}}),
        ),
        ("PATCH", "apis/apps/v1/deployments/ringfence/status", label.clone()),
        ("DELETE", "apis/apps/v1/deployments/ringfence", Value::Null),
        ("DELETE", "apis/apps/v1/deployments", Value::Null),
        ("DELETE", "apis/apps/v1/replicasets", Value::Null),
        ("POST", "apis/autoscaling/v2/horizontalpodautoscalers", scaler),
        ("POST", "apis/coordination.k8s.io/v1/leases", lease),
        ("POST", "apis/discovery.k8s.io/v1/endpointslices", slice),
        ("DELETE", "apis/discovery.k8s.io/v1/endpointslices", Value::Null),
        ("POST", "apis/networking.k8s.io/v1/networkpolicies", closed),
        ("DELETE", "apis/policy/v1/poddisruptionbudgets/ringfence", Value::Null),
        ("POST", "apis/rbac.authorization.k8s.io/v1/roles", role),
        ("POST", "apis/rbac.authorization.k8s.io/v1/rolebindings", bound),
        (
            "DELETE",
            "apis/rbac.authorization.k8s.io/v1/rolebindings/ringfence",
            Value::Null,
        ),
    ]
}

/// Sends it to our namespace as somebody; the status code with the message.
fn send(cluster: &ControlPlane, user: &str, (method, path, body): &Attack, pod: &str) -> (u16, String) {
    let (api, rest) = match path.strip_prefix("api/v1/") {
        Some(rest) => ("/api/v1", rest),
        None => {
            let (at, _) = path.match_indices('/').nth(2).expect("apis/GROUP/VERSION/...");
            (&*format!("/{}", &path[..at]).leak(), &path[at + 1..])
        }
    };
    let path = format!("{api}/namespaces/{NAMESPACE}/{}", rest.replace("POD", pod));
    let request = cluster.request(user, method, &path);
    let body: Value = serde_json::from_str(&body.to_string().replace("POD", pod)).expect("still JSON");
    let response = if body.is_null() {
        request.send()
    } else {
        request.json(&body).send()
    };
    (response.status, response.text)
}

#[test]
fn nothing_in_the_namespace_yields_to_every_right_but_configure() {
    let Some(cluster) = installed() else { return };
    let before = pods(cluster);
    let pod = pod(cluster);
    let mut through = Vec::new();
    for attack in attacks() {
        let (status, text) = send(cluster, TENANT, &attack, &pod);
        if status != 403 || !text.contains(SAYS) {
            through.push(format!("{} {}: {status} {text}", attack.0, attack.1));
        }
    }
    assert!(through.is_empty(), "{}", through.join("\n"));
    assert_eq!(pods(cluster), before, "the same pods stand");
}

#[test]
fn an_editor_of_the_namespace_changes_nothing() {
    let Some(cluster) = installed() else { return };
    let pod = pod(cluster);
    let mut by_policy = 0;
    for attack in attacks() {
        let (status, text) = send(cluster, EDITOR, &attack, &pod);
        assert_eq!(status, 403, "{} {}: {text}", attack.0, attack.1);
        by_policy += usize::from(text.contains(SAYS));
    }
    assert!(
        by_policy > 20,
        "RBAC alone refuses an editor only {by_policy} times less"
    );
}
