//! A control plane with ringfence installed but not running, and the users who try to change it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Kubectl, Options, Shared, User, wait_until};

/// `edit` in ringfence-system.
pub(crate) const EDITOR: &str = "editor";
/// Every verb on everything that Kubernetes itself has in ringfence-system.
pub(crate) const TENANT: &str = "tenant";
/// Every verb on namespaces, CRDs, webhook configurations and cluster RBAC, CRUD on our published objects.
pub(crate) const PLATFORM: &str = "platform";
/// `edit` in ringfence-system and `configure guardrails`.
pub(crate) const OWNER: &str = "owner";
/// May evict everywhere.
pub(crate) const DRAINER: &str = "drainer";
/// A Role with `*` on `*` in ringfence-system, which holds `configure` as well.
pub(crate) const EVERYTHING: &str = "everything";
/// Nobody: lends its kubeconfig to tokens of service accounts.
pub(crate) const NOBODY: &str = "nobody";

pub(crate) const NAMESPACE: &str = "ringfence-system";
pub(crate) const SAYS: &str = "ringfence guards itself";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Rights for the users above, beside what deploy/ installs.
pub(crate) const RIGHTS: &str = r#"
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
metadata: {name: everything, namespace: ringfence-system}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
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
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "ringfence:published:join"}
rules:
- {apiGroups: [ringfence.dev], resources: [segments], resourceNames: [published], verbs: [join]}
"#;

/// With ringfence installed, but not running.
pub(crate) static CLUSTER: Shared<ControlPlane> = Shared::new(|| {
    let users = [EDITOR, TENANT, PLATFORM, OWNER, DRAINER, EVERYTHING, NOBODY].map(User::new);
    let cluster = ControlPlane::start(&Options::with_users(users))?;
    install(&cluster);
    Ok(cluster)
});

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
        (EVERYTHING, "role=everything"),
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
    let segment = crate::attacks::segment("published").to_string();
    let published = || admin().args(["apply", "-f", "-"]).stdin(segment.clone()).run();
    wait_until(PATIENCE, "the CRDs to be served", || published().success.then_some(())).expect("they are served");
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

pub(crate) fn in_namespace(cluster: &ControlPlane, user: &str) -> Kubectl {
    cluster.kubectl(user).args(["-n", NAMESPACE])
}

/// A pod of ours that is not about to go.
pub(crate) fn pod(cluster: &ControlPlane) -> String {
    pods(cluster).into_iter().next().expect("ringfence has pods")
}

pub(crate) fn pods(cluster: &ControlPlane) -> Vec<String> {
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

/// Held by tests that change or count our pods: they share the cluster.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// kubectl as our service account, by a token that is bound to a pod of ours or to nothing.
pub(crate) fn as_ringfence(cluster: &ControlPlane, pod: Option<&str>) -> Kubectl {
    let mut request = in_namespace(cluster, "admin").args(["create", "token", "ringfence"]);
    if let Some(pod) = pod {
        request = request.args(["--bound-object-kind=Pod", "--bound-object-name", pod]);
    }
    let token = request.run().ok();
    in_namespace(cluster, NOBODY).args(["--token", token.trim()])
}
