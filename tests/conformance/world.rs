//! The two worlds: the same control plane and people, once without ringfence and once with it.

use std::path::Path;

use ringfence_controlplane::{
    ControlPlane, Installation, Kind, Lives, Options, Ringfence, Shared, StartError, User, wait_until,
};
use serde_json::{Value, json};

use super::attack::{ADA, IVAN, MALLORY, NATE, NORA, PETRA, TESS};
use super::attacks::unread;
use super::listener::Listener;
use super::scene::PATIENCE;

/// What is protected: pods `app=vault` of the namespaces labelled `zone=vault`, and `app=client` everywhere as those whom
/// its policies let in. `later` is owned by a namespace that does not exist yet. Every namespace is isolated.
pub(crate) const GUARDRAILS: &str = r"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  checks: [{name: HostAccess, mode: Enforce}]
  isolation: {defaultProfile: restricted}
---
apiVersion: ringfence.dev/v1alpha1
kind: IsolationProfile
metadata: {name: restricted}
spec:
  policies: [{builtin: default-deny-ingress}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: vault}
spec:
  consent: {namespace: owners}
  members:
    - namespaceSelector: {matchLabels: {zone: vault}}
      podSelector: {matchLabels: {app: vault}}
  clients:
    - namespaceSelector: {}
      podSelector: {matchLabels: {app: client}}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: later}
spec:
  consent: {namespace: later-owners}
  members: [{namespaces: [later-owners], podSelector: {matchLabels: {app: later}}}]
";

/// A control plane.
pub(crate) struct World {
    pub(crate) cluster: ControlPlane,
    /// What the API server can dial.
    pub(crate) listener: Listener,
    /// ringfence's replicas, kept running; none in the world without.
    _ringfence: Option<Ringfence>,
}

/// Where every attack has to succeed.
pub(crate) static WITHOUT: Shared<World> = Shared::new(|| World::start(None));
/// Where every attack has to be refused.
pub(crate) static WITH: Shared<World> = Shared::new(|| World::start(Some(Path::new(env!("CARGO_BIN_EXE_ringfence")))));

impl World {
    fn start(program: Option<&Path>) -> Result<Self, StartError> {
        let users = [MALLORY, ADA, TESS, NORA, NATE, PETRA, IVAN].map(User::new);
        let cluster = ControlPlane::start(&Options::with_users(users))?;
        cluster.create_namespace("owners", &[]);
        grant_everywhere(&cluster);
        bring_other_networks(&cluster);
        let ringfence = program
            .map(|program| Ringfence::start(&cluster, &Installation::of(program, GUARDRAILS)))
            .transpose()?;
        let world = Self {
            cluster,
            listener: Listener::start()?,
            _ringfence: ringfence,
        };
        if program.is_some() {
            world.wait_until_served();
        }
        Ok(world)
    }

    /// Waits until the API server asks ringfence about pods.
    fn wait_until_served(&self) {
        let rogue = super::attack::pod("probe", super::attack::CLIENT, "none");
        let path = "/api/v1/namespaces/owners/pods?dryRun=All";
        self.bind("owners", "edit", MALLORY);
        let refused = wait_until(PATIENCE, "ringfence to be asked", || {
            let answer = self.cluster.request(MALLORY, "POST", path).json(&rogue).send();
            answer.text.contains("guard.ringfence.dev").then_some(())
        });
        refused.unwrap_or_else(|error| panic!("{error}"));
        let binding = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/owners/rolebindings/{MALLORY}-edit");
        self.cluster.request("admin", "DELETE", &binding).send().ok();
    }

    /// Binds a ClusterRole to a user in a namespace.
    pub(crate) fn bind(&self, namespace: &str, role: &str, user: &str) {
        let binding = json!({
            "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
        self.cluster.request("admin", "POST", &path).json(&binding).send().ok();
    }
}

/// The ClusterRoles that rows rely on, and what is bound at the cluster.
fn grant_everywhere(cluster: &ControlPlane) {
    role(
        cluster,
        "everything",
        &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
    );
    let proxy = json!([{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["*"]}]);
    bound_role(cluster, NORA, &proxy);
    let projects = json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "get"]}]);
    bound_role(cluster, NATE, &projects);
    let borrow = json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}]);
    bound_role(cluster, IVAN, &borrow);
}

/// Kinds of policies that ringfence does not read, those of namespaces in the built-in roles, as their networks' own roles do.
fn bring_other_networks(cluster: &ControlPlane) {
    let (kinds, _): (Vec<Kind<'_>>, Vec<_>) = unread::kinds().unzip();
    let rules = |lives: Lives| -> Value {
        let of = kinds.iter().filter(|kind| kind.lives == lives);
        of.map(|kind| json!({"apiGroups": [kind.group], "resources": [kind.plural], "verbs": WRITES}))
            .collect()
    };
    cluster.define(&kinds);
    bound_role(cluster, PETRA, &rules(Lives::InTheCluster));
    let own = json!({
        "metadata": {"name": "networks", "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
        "rules": rules(Lives::InNamespaces),
    });
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    cluster.request("admin", "POST", roles).json(&own).send().ok();
    // `admin` aggregates what `edit` says.
    let aggregated = wait_until(PATIENCE, "the built-in roles to have them", || {
        let role = cluster.request("admin", "GET", &format!("{roles}/admin")).send();
        role.text.contains(kinds[0].plural).then_some(())
    });
    aggregated.unwrap_or_else(|error| panic!("{error}"));
}

/// Every verb of RBAC that writes, and those that kubectl reads by.
const WRITES: [&str; 7] = ["get", "list", "create", "update", "patch", "delete", "deletecollection"];

fn role(cluster: &ControlPlane, name: &str, rules: &Value) {
    let role = json!({"metadata": {"name": name}, "rules": rules});
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    cluster.request("admin", "POST", path).json(&role).send().ok();
}

fn bound_role(cluster: &ControlPlane, user: &str, rules: &Value) {
    role(cluster, user, rules);
    let binding = json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    cluster.request("admin", "POST", path).json(&binding).send().ok();
}
