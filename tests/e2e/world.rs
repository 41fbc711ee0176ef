//! The world of these tests: a control plane with ringfence installed and the people who use it.

use std::time::Duration;

use ringfence_controlplane::{
    ControlPlane, Controllers, Installation, Options, Output, Ringfence, Shared, StartError, User, configure,
    started_or_skipped, wait_until,
};
use serde_json::{Value, json};

/// Longer than anything that comes about by itself takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) const RINGFENCE: &str = env!("CARGO_BIN_EXE_ringfence");

/// Everything that the shared world's segments protect. `payments-db` is the one of the documentation.
pub(crate) const GUARDRAILS: &str = include_str!("../../policies/hollowdb/guardrails.yaml");

/// A control plane with ringfence on it.
pub(crate) struct World {
    /// The control plane.
    pub(crate) cluster: ControlPlane,
    /// ringfence's replicas.
    pub(crate) ringfence: Ringfence,
}

/// For tests that leave the guardrails and the replicas as they are; each has namespaces of its own but for `payments`.
pub(crate) static WORLD: Shared<World> = Shared::new(|| {
    let cluster = ControlPlane::start(&options())?;
    people(&cluster);
    World::on(cluster, GUARDRAILS)
});

/// Who there is: mallory, who edits in `web`; ci, who deploys there; pam, who owns `payments`; tess, who may do everything
/// in `tenant`.
fn options() -> Options {
    Options::with_users(["mallory", "ci", "pam", "tess", "nate", "opal"].map(User::new))
}

/// The namespaces and what is bound there, before ringfence comes.
fn people(cluster: &ControlPlane) {
    for namespace in ["payments", "web", "tenant"] {
        cluster.create_namespace(namespace, &[]);
    }
    bind(cluster, "web", "ClusterRole/edit", "mallory");
    bind(cluster, "web", "ClusterRole/edit", "ci");
    bind(cluster, "payments", "ClusterRole/edit", "mallory");
    bind(cluster, "payments", "ClusterRole/admin", "pam");
    everything(cluster, "tenant", "tess");
}

/// Where all controllers are one user, it needs the roles of all of them, which no cluster binds by default. Not
/// `cluster-admin`: who may do everything needs no provenance.
fn one_user_may_control(cluster: &ControlPlane) {
    let get = ["get", "clusterroles", "-o", "jsonpath={.items[*].metadata.name}"];
    let roles = cluster.kubectl("admin").args(get).run().ok();
    let roles = roles
        .split_whitespace()
        .filter(|name| name.starts_with("system:controller:"));
    let bindings: Vec<Value> = roles
        .map(|role| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": format!("one-user:{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:kube-controller-manager"}],
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": bindings});
    cluster
        .kubectl("admin")
        .args(["create", "-f", "-"])
        .stdin(list.to_string())
        .run()
        .ok();
}

impl World {
    /// Installs ringfence with these guardrails and waits until they are in force at the API server.
    pub(crate) fn on(cluster: ControlPlane, guardrails: &str) -> Result<Self, StartError> {
        let ringfence = Ringfence::start(&cluster, &Installation::of(RINGFENCE, guardrails))?;
        let world = Self { cluster, ringfence };
        world.wait_until_served();
        Ok(world)
    }

    /// A world of one's own with these guardrails; none where there is no control plane to start.
    pub(crate) fn own(guardrails: &str) -> Option<Self> {
        Self::own_with(Controllers::AccountEach, guardrails)
    }

    /// A world of one's own whose built-in controllers write under these identities.
    pub(crate) fn own_with(controllers: Controllers, guardrails: &str) -> Option<Self> {
        let options = Options {
            controllers,
            ..options()
        };
        let cluster = started_or_skipped(&options)?;
        if controllers == Controllers::OneUser {
            one_user_may_control(&cluster);
        }
        people(&cluster);
        Some(Self::on(cluster, guardrails).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Waits until the leader has filled in the webhooks.
    fn wait_until_served(&self) {
        wait_until(PATIENCE, "the webhooks to be served", || {
            let webhooks = self.served();
            webhooks
                .iter()
                .any(|webhook| webhook["clientConfig"]["caBundle"].is_string())
                .then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The served webhooks.
    pub(crate) fn served(&self) -> Vec<Value> {
        let get = ["get", "validatingwebhookconfiguration", "ringfence", "-o", "json"];
        let object = self.cluster.kubectl("admin").args(get).run().json();
        object["webhooks"].as_array().cloned().unwrap_or_default()
    }

    /// One kubectl call.
    #[track_caller]
    pub(crate) fn kubectl(&self, user: &str, arguments: &str) -> Output {
        self.cluster.kubectl(user).args(arguments.split_whitespace()).run()
    }

    /// `kubectl apply` of one object.
    #[track_caller]
    pub(crate) fn apply(&self, user: &str, object: &Value) -> Output {
        self.cluster
            .kubectl(user)
            .args(["apply", "-f", "-"])
            .stdin(object.to_string())
            .run()
    }

    /// Writes the guardrails as the cluster administrator.
    #[track_caller]
    pub(crate) fn configure(&self, guardrails: &str) -> Output {
        configure(&self.cluster, "admin", guardrails)
    }

    /// Waits until a call succeeds: what was granted is seen by the authorizer and by ringfence within moments.
    #[track_caller]
    pub(crate) fn eventually(&self, user: &str, arguments: &str) -> String {
        let found = wait_until(PATIENCE, &format!("`kubectl {arguments}` to succeed"), || {
            self.kubectl(user, arguments).succeeded().ok()
        });
        found.unwrap_or_else(|error| panic!("{error}; now: {}", self.kubectl(user, arguments).stderr))
    }

    /// As [`World::eventually_refused`], for `kubectl apply` of one object, which must not have been there before.
    #[track_caller]
    pub(crate) fn eventually_refused_apply(&self, user: &str, object: &Value) -> String {
        let refused = wait_until(PATIENCE, "an apply to be refused", || {
            let output = self
                .cluster
                .kubectl(user)
                .args(["apply", "--dry-run=server", "-f", "-"])
                .stdin(object.to_string())
                .run();
            (!output.success).then_some(output.stderr)
        });
        refused.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until a call is refused, and gives what it said.
    #[track_caller]
    pub(crate) fn eventually_refused(&self, user: &str, arguments: &str) -> String {
        let refused = wait_until(PATIENCE, &format!("`kubectl {arguments}` to be refused"), || {
            let output = self.kubectl(user, arguments);
            (!output.success).then_some(output.stderr)
        });
        refused.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Lets a user connect to `payments-db`, and waits until the authorizer knows.
    #[track_caller]
    pub(crate) fn let_connect(&self, user: &str) {
        bind(
            &self.cluster,
            "payments",
            "ClusterRole/ringfence:payments-db:connect",
            user,
        );
        self.eventually(
            user,
            "auth can-i connect segments.ringfence.dev/payments-db -n payments",
        );
    }

    /// Grants by the text that `ringfence grant` prints, applied by `user`.
    #[track_caller]
    pub(crate) fn grant(&self, user: &str, arguments: &str) -> Output {
        let text = self.ringfence(&format!("grant {arguments}"));
        self.cluster.kubectl(user).args(["apply", "-f", "-"]).stdin(text).run()
    }

    /// What the program prints, run by the cluster administrator.
    #[track_caller]
    pub(crate) fn ringfence(&self, arguments: &str) -> String {
        let printed = std::process::Command::new(RINGFENCE)
            .args(arguments.split_whitespace())
            .env("KUBECONFIG", self.cluster.kubeconfig("admin"))
            .output()
            .expect("ringfence runs");
        assert!(
            printed.status.success(),
            "ringfence {arguments}: {}",
            String::from_utf8_lossy(&printed.stderr)
        );
        String::from_utf8(printed.stdout).expect("is text")
    }
}

/// Binds `ClusterRole/NAME` or `Role/NAME` to a user in a namespace.
#[track_caller]
pub(crate) fn bind(cluster: &ControlPlane, namespace: &str, role: &str, user: &str) {
    let (kind, name) = role.split_once('/').expect("KIND/NAME");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": format!("{user}-{}", name.replace(':', "-")), "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    cluster
        .kubectl("admin")
        .args(["apply", "-f", "-"])
        .stdin(binding.to_string())
        .run()
        .ok();
}

/// Lets a user do everything in a namespace.
#[track_caller]
pub(crate) fn everything(cluster: &ControlPlane, namespace: &str, user: &str) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "everything", "namespace": namespace},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    });
    cluster
        .kubectl("admin")
        .args(["apply", "-f", "-"])
        .stdin(role.to_string())
        .run()
        .ok();
    bind(cluster, namespace, "Role/everything", user);
}

/// A Deployment of one replica whose pods have this label `app`.
pub(crate) fn deployment(namespace: &str, name: &str, app: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"run": name}},
            "template": {
                "metadata": {"labels": {"run": name, "app": app}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    })
}
