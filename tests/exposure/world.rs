//! A control plane, ringfence installed on it, and what can be done to ringfence; one test at a time has the machine.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_controlplane::{
    ControlPlane, Installation, NAMESPACE, Options, Replica, Ringfence, User, configure, started_or_skipped, wait_until,
};
use ringfence_core::guardrails::{Source, compile};
use serde_json::{Value, json};

/// Longer than a loaded machine takes for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);

/// Who makes pods: another client than the one that makes namespaces.
pub(crate) const DEVELOPER: &str = "dev";

/// The profile that every new namespace gets. What stands in for `MODE` and `EXISTING` is for tests to say.
const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  isolation: {mode: MODE, defaultProfile: restricted, existingNamespaces: EXISTING}
---
apiVersion: ringfence.dev/v1alpha1
kind: IsolationProfile
metadata: {name: restricted}
spec:
  policies:
    - builtin: default-deny-ingress
    - builtin: default-deny-egress
    - builtin: allow-dns
";

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/ringfence-system/leases/ringfence-leader";

/// Whoever holds it has both cores: what is printed is not of two tests at once.
static MACHINE: Mutex<()> = Mutex::new(());

/// A control plane without ringfence yet.
pub(crate) struct Bare {
    pub(crate) cluster: ControlPlane,
    _machine: MutexGuard<'static, ()>,
}

/// A control plane with ringfence.
pub(crate) struct World {
    pub(crate) cluster: ControlPlane,
    pub(crate) ringfence: Ringfence,
    _machine: MutexGuard<'static, ()>,
}

/// The guardrails under which isolation has this mode and does this with namespaces that were there before.
pub(crate) fn guardrails(mode: &str, existing: &str) -> String {
    GUARDRAILS.replace("MODE", mode).replace("EXISTING", existing)
}

/// What the profile puts into a namespace: spec by name, as the API server writes it down.
pub(crate) fn wanted() -> BTreeMap<String, Value> {
    let source = Source {
        name: "guardrails.yaml".to_owned(),
        text: guardrails("Enforce", "Report"),
    };
    let compiled = compile(&[source]).unwrap_or_else(|problems| panic!("{problems}"));
    let profiles = compiled.guardrails.profiles.values();
    let policies = profiles.flat_map(|profile| profile.policies.iter());
    policies
        .map(|policy| (policy.name.clone(), policy.spec.clone()))
        .collect()
}

impl Bare {
    /// A control plane on which a developer may make pods everywhere; none where there are no programs for it.
    pub(crate) fn start() -> Option<Self> {
        let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = started_or_skipped(&Options::with_users([User::new(DEVELOPER)]))?;
        let binding = json!({"metadata": {"name": DEVELOPER},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": DEVELOPER}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}});
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        cluster.request("admin", "POST", path).json(&binding).send().ok();
        Some(Self {
            cluster,
            _machine: machine,
        })
    }

    /// Installs ringfence with these guardrails, two replicas of it.
    pub(crate) fn install(self, guardrails: &str) -> World {
        let Self {
            cluster,
            _machine: machine,
        } = self;
        let installation = Installation::of(env!("CARGO_BIN_EXE_ringfence"), guardrails);
        let ringfence = Ringfence::start(&cluster, &installation).unwrap_or_else(|error| panic!("{error}"));
        World {
            cluster,
            ringfence,
            _machine: machine,
        }
    }
}

impl World {
    /// Writes guardrails.
    pub(crate) fn configure(&self, guardrails: &str) {
        configure(&self.cluster, "admin", guardrails).ok();
    }

    /// Waits until it is known since when isolation is enforced: from then on namespaces are new.
    pub(crate) fn wait_until_enforced(&self) {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/ringfence-enforced-since");
        eventually("since when isolation is enforced", || {
            let since = self.cluster.request("admin", "GET", &path).send();
            since.text.contains("isolation").then_some(())
        });
    }

    /// Which replica leads; none while none does.
    pub(crate) fn leader(&self) -> Option<usize> {
        let replicas = self.ringfence.replicas().iter();
        let mut leading = replicas.map(|replica| replica.metric("ringfence_leader").as_deref() == Some("1"));
        leading.position(|leads| leads)
    }

    /// Waits until a replica leads.
    pub(crate) fn wait_for_leader(&self) -> usize {
        eventually("a leader", || self.leader())
    }

    /// Gives the lease to nobody of ringfence, so that no replica leads: the controller stops, and everything else goes on.
    pub(crate) fn stop_controller(&self) {
        let take = || {
            let spec = json!({"spec": {"holderIdentity": "nobody", "leaseDurationSeconds": 36_000,
                "renewTime": format!("{:.6}", jiff::Timestamp::now())}});
            self.cluster.request("admin", "PATCH", LEASE).json(&spec).send().ok();
        };
        eventually("no leader", || {
            take();
            self.leader().is_none().then_some(())
        });
        // Whoever led may have renewed, for seconds only, what was another's already.
        take();
    }

    /// Lets replicas lead again: new ones, because those that are there have no reason to look for the lease for hours.
    pub(crate) fn start_controller(&mut self) {
        self.stop_replicas();
        self.cluster.request("admin", "DELETE", LEASE).send().ok();
        self.start_replicas();
        self.wait_for_leader();
    }

    /// Ends all replicas in good order.
    pub(crate) fn stop_replicas(&mut self) {
        for index in 0..self.ringfence.replicas().len() {
            self.ringfence.replica(index).stop().expect("it ends");
        }
    }

    /// Starts those again that have ended, and waits until all are ready.
    pub(crate) fn start_replicas(&mut self) {
        self.ringfence.start_ended().expect("they start");
        self.ringfence.wait_until_ready().expect("ready");
    }

    /// Which replica the API server asks: it keeps to one connection for long.
    pub(crate) fn asked(&self) -> usize {
        let reviews = |replica: &Replica| -> u64 {
            let metrics = replica.health("/metrics").unwrap_or_default();
            let counts = metrics
                .lines()
                .filter(|line| line.starts_with("ringfence_reviews_total{"));
            counts
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
                .sum()
        };
        eventually("a replica that is asked", || {
            let before: Vec<u64> = self.ringfence.replicas().iter().map(reviews).collect();
            let path = "/api/v1/namespaces/default/pods?dryRun=All";
            let pod = held_pod("whom-do-you-ask");
            self.cluster.request(DEVELOPER, "POST", path).json(&pod).send();
            let mut replicas = self.ringfence.replicas().iter().zip(before);
            replicas.position(|(replica, before)| reviews(replica) > before)
        })
    }

    /// How often all replicas together asked the API server for what.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for replica in self.ringfence.replicas() {
            for (call, count) in replica.gate().calls() {
                *all.entry(call).or_default() += count;
            }
        }
        all
    }

    /// What ringfence wrote so far, by the API server's own record: `patch networkpolicies web/ringfence-allow-dns`.
    pub(crate) fn written(&self) -> Vec<String> {
        let ours = format!("system:serviceaccount:{NAMESPACE}:ringfence");
        let events = self.cluster.audit_events();
        let ours = events.iter().filter(|event| event["user"]["username"] == *ours);
        ours.map(|event| {
            let target = &event["objectRef"];
            let text = |field: &str| target[field].as_str().unwrap_or_default();
            let verb = event["verb"].as_str().unwrap_or_default();
            format!("{verb} {} {}/{}", text("resource"), text("namespace"), text("name"))
        })
        .filter(|written| !written.contains("accessreviews") && !written.contains("tokenreviews"))
        .collect()
    }
}

/// What was asked for between two counts, the most frequent first: `15000 PATCH networkpolicies, ...`.
pub(crate) fn more(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> (u64, String) {
    let more = after
        .iter()
        .map(|(call, count)| (count - before.get(call).copied().unwrap_or_default(), call));
    let mut more: Vec<(u64, &String)> = more.filter(|(count, _)| *count > 0).collect();
    more.sort_unstable_by_key(|(count, call)| (std::cmp::Reverse(*count), *call));
    let told: Vec<String> = more.iter().map(|(count, call)| format!("{count} {call}")).collect();
    (more.iter().map(|(count, _)| count).sum(), told.join(", "))
}

/// What a replica has resident, and had at most, in MB.
pub(crate) fn memory(replica: &mut Replica) -> (u64, u64) {
    let id = replica.process().id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let megabytes = |field: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .expect("Linux tells it");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes / 1024
    };
    (megabytes("VmRSS:"), megabytes("VmHWM:"))
}

/// A pod that nobody schedules: it stays as it was made, and goes at once when it is deleted.
pub(crate) fn held_pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"schedulerName": "nobody",
        "containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}

/// Waits for it.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_until(PATIENCE, what, probe).unwrap_or_else(|timed_out| panic!("{timed_out}"))
}
