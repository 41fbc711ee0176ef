//! ringfence installed with isolation under Enforce and running with two replicas, for one test at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_controlplane::{
    ControlPlane, Installation, NAMESPACE, Options, Output, Replica, Response, Ringfence, Shared, User, configure,
    eventually, wait_until,
};
use ringfence_core::guardrails::{Source, compile};
use serde_json::{Value, json};

/// Longer than a lease holds, a watch is quiet, or a replica starts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What `restricted`, the default profile, puts into a namespace.
pub(crate) const RESTRICTED: [&str; 3] = [
    "ringfence-allow-dns",
    "ringfence-default-deny-egress",
    "ringfence-default-deny-ingress",
];

/// What `open` puts there: one of them, and another.
pub(crate) const OPEN: [&str; 2] = ["ringfence-allow-same-namespace", "ringfence-default-deny-ingress"];

/// Two profiles; new namespaces get the first, those that were there before are reported.
pub(crate) const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  isolation: {mode: Enforce, defaultProfile: restricted, existingNamespaces: Report}
---
apiVersion: ringfence.dev/v1alpha1
kind: IsolationProfile
metadata: {name: restricted}
spec:
  policies:
    - builtin: default-deny-ingress
    - builtin: default-deny-egress
    - builtin: allow-dns
---
apiVersion: ringfence.dev/v1alpha1
kind: IsolationProfile
metadata: {name: open}
spec:
  policies:
    - builtin: default-deny-ingress
    - builtin: allow-same-namespace
";

/// A control plane with ringfence.
pub(crate) struct World {
    pub(crate) cluster: ControlPlane,
    pub(crate) ringfence: Ringfence,
}

static WORLD: Shared<Mutex<World>> = Shared::new(|| {
    let cluster = ControlPlane::start(&Options::with_users([User::new("dev")]))?;
    cluster.create_namespace("before", &[]);
    let ringfence = Ringfence::start(&cluster, &Installation::of(env!("CARGO_BIN_EXE_ringfence"), GUARDRAILS))?;
    Ok(Mutex::new(World { cluster, ringfence }))
});

/// The world for this test alone, with [`GUARDRAILS`] in force; none where there is no control plane.
pub(crate) fn world() -> Option<MutexGuard<'static, World>> {
    // A test that failed leaves something that the next one sets right, or shows.
    let mut world = WORLD.get()?.lock().unwrap_or_else(PoisonError::into_inner);
    world.set_right();
    Some(world)
}

impl World {
    fn set_right(&mut self) {
        for replica in self.ringfence.replicas() {
            replica.gate().resume_watches();
        }
        self.ringfence.start_ended().expect("they start");
        self.ringfence.wait_until_ready().expect("ready");
        self.configure(GUARDRAILS);
        self.wait_until_enforced();
    }

    /// Waits until it is known since when isolation is enforced: from then on namespaces are new.
    pub(crate) fn wait_until_enforced(&self) {
        eventually("since when isolation is enforced", || {
            let since = self
                .cluster
                .object(&["-n", NAMESPACE, "configmap", "ringfence-enforced-since"])?;
            since["data"].to_string().contains("isolation").then_some(())
        });
    }

    /// Puts guardrails into force on all replicas.
    pub(crate) fn configure(&self, guardrails: &str) {
        configure(&self.cluster, "admin", guardrails).ok();
        let source = Source {
            name: "guardrails.yaml".to_owned(),
            text: guardrails.to_owned(),
        };
        let compiled = compile(&[source]).unwrap_or_else(|problems| panic!("{problems}"));
        let revision = compiled.guardrails.revision.to_string();
        self.ringfence.wait_for_revision(&revision);
    }

    /// kubectl as the cluster's administrator.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Output {
        self.cluster.kubectl("admin").args(arguments).run()
    }

    /// Makes a namespace and waits for nothing.
    pub(crate) fn namespace(&self, name: &str, labels: &Value) {
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        self.post("/api/v1/namespaces", &namespace).ok();
        // Pods need it, and the controllers take their time.
        let account = json!({"metadata": {"name": "default"}});
        self.post(&format!("/api/v1/namespaces/{name}/serviceaccounts"), &account);
    }

    pub(crate) fn post(&self, path: &str, object: &Value) -> Response {
        self.cluster.request("admin", "POST", path).json(object).send()
    }

    pub(crate) fn patch(&self, path: &str, patch: &Value) -> Response {
        self.cluster.request("admin", "PATCH", path).json(patch).send()
    }

    /// Tries to make a pod.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Response {
        self.post(&format!("/api/v1/namespaces/{namespace}/pods"), &pod(name))
    }

    /// Every policy of a namespace.
    pub(crate) fn policies(&self, namespace: &str) -> Vec<Value> {
        let list = self.cluster.request("admin", "GET", &policies(namespace)).send().ok();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The names of the policies of a namespace, sorted.
    pub(crate) fn policy_names(&self, namespace: &str) -> Vec<String> {
        let policies = self.policies(namespace);
        let mut names: Vec<String> = policies
            .iter()
            .map(|policy| policy["metadata"]["name"].as_str().expect("named").to_owned())
            .collect();
        names.sort_unstable();
        names
    }

    /// Waits until a namespace has these policies and no others.
    #[track_caller]
    pub(crate) fn wait_for_policies(&self, namespace: &str, names: &[&str]) {
        let waited = wait_until(PATIENCE, &format!("the policies of {namespace}"), || {
            (self.policy_names(namespace) == names).then_some(())
        });
        waited.unwrap_or_else(|timed_out| {
            panic!(
                "{timed_out}; there are {:?}\n{}",
                self.policy_names(namespace),
                self.logs()
            )
        });
    }

    /// Holds back everything that watches would tell: the leader learns of nothing, reviews go by what was seen before.
    pub(crate) fn stall_watches(&self) {
        for replica in self.ringfence.replicas() {
            replica.gate().stall_watches();
        }
    }

    /// How often ringfence has written NetworkPolicies so far.
    pub(crate) fn writes(&self) -> usize {
        self.written().len()
    }

    /// In which namespace each write of NetworkPolicies by ringfence was, by the API server's own record.
    pub(crate) fn written(&self) -> Vec<String> {
        let ours = format!("system:serviceaccount:{NAMESPACE}:ringfence");
        let events = self.cluster.audit_events();
        let writes = events.iter().filter(|event| {
            event["user"]["username"] == *ours
                && event["objectRef"]["resource"] == "networkpolicies"
                && !["get", "list", "watch"].contains(&event["verb"].as_str().unwrap_or_default())
        });
        writes
            .map(|event| event["objectRef"]["namespace"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    fn logs(&self) -> String {
        self.ringfence.replicas().iter().map(Replica::log).collect()
    }
}

/// The path of a namespace's policies.
pub(crate) fn policies(namespace: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
}

/// A pod that runs nothing of note.
pub(crate) fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}
