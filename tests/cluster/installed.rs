//! ringfence installed from `deploy/` and running with two replicas, for one test at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringfence_controlplane::{
    ControlPlane, Installation, NAMESPACE, Options, Output, Reach, Replica, Ringfence, Shared, User, configure,
    eventually, wait_until,
};
use ringfence_core::guardrails::{Source, compile};
use serde_json::Value;

/// Longer than a lease holds, a watch is quiet, or a replica starts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What is promised to happen within a second.
const PROMPT: Duration = Duration::from_secs(1);

/// A control plane with ringfence.
pub(crate) struct Installed {
    pub(crate) cluster: ControlPlane,
    pub(crate) ringfence: Ringfence,
}

static INSTALLED: Shared<Mutex<Installed>> = Shared::new(|| {
    let cluster = ControlPlane::start(&Options::with_users([User::new("ci")]))?;
    let installation = Installation::of(env!("CARGO_BIN_EXE_ringfence"), AUDIT);
    let ringfence = Ringfence::start(&cluster, &installation)?;
    Ok(Mutex::new(Installed { cluster, ringfence }))
});

/// Audit, and nothing protected.
pub(crate) const AUDIT: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Audit}
";

/// One segment: members `app=hollowdb` in payments, clients `app=hollowapp` in web.
pub(crate) fn segment(name: &str) -> String {
    format!(
        "
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {{name: {name}}}
spec:
  members:
    - namespaces: [payments]
      podSelector: {{matchLabels: {{app: hollowdb}}}}
  clients:
    - namespaces: [web]
      podSelector: {{matchLabels: {{app: hollowapp}}}}
"
    )
}

/// The same guardrails in another mode.
pub(crate) fn in_mode(mode: &str, guardrails: &str) -> String {
    guardrails.replace("mode: Audit", &format!("mode: {mode}"))
}

/// The revision that these guardrails have, as `configure` writes them.
pub(crate) fn revision(guardrails: &str) -> String {
    let source = Source {
        name: "guardrails.yaml".to_owned(),
        text: guardrails.to_owned(),
    };
    let compiled = compile(&[source]).unwrap_or_else(|problems| panic!("{problems}"));
    compiled.guardrails.revision.to_string()
}

/// ringfence for this test alone, with these guardrails in force; none where there is no control plane.
pub(crate) fn installed(guardrails: &str) -> Option<MutexGuard<'static, Installed>> {
    // A test that failed leaves something that the next one sets right, or shows.
    let mut installed = INSTALLED.get()?.lock().unwrap_or_else(PoisonError::into_inner);
    installed.set_right(guardrails);
    Some(installed)
}

impl Installed {
    fn set_right(&mut self, guardrails: &str) {
        for index in 0..self.ringfence.replicas().len() {
            self.ringfence.forwarder().set(index, Reach::Open);
            self.ringfence.replicas()[index].gate().resume_watches();
        }
        self.ringfence.start_ended().expect("they start");
        configure(&self.cluster, "admin", guardrails).ok();
        self.ringfence.wait_for_revision(&revision(guardrails));
    }

    /// kubectl as the cluster's administrator.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Output {
        self.cluster.kubectl("admin").args(arguments).run()
    }

    /// The replica that leads and the one that does not.
    pub(crate) fn leader_and_follower(&self) -> (usize, usize) {
        let leads = |replica: &Replica| replica.metric("ringfence_leader").as_deref() == Some("1");
        let found = wait_until(PATIENCE, "one of the replicas to lead", || {
            let leading: Vec<bool> = self.ringfence.replicas().iter().map(leads).collect();
            match leading.as_slice() {
                [true, false] => Some((0, 1)),
                [false, true] => Some((1, 0)),
                _ => None,
            }
        });
        found.unwrap_or_else(|timed_out| panic!("{timed_out}"))
    }

    /// Waits until the webhook configuration says something.
    #[track_caller]
    pub(crate) fn eventually_served<T>(&self, what: &str, mut says: impl FnMut(&Value) -> Option<T>) -> T {
        eventually(what, || {
            says(&self.cluster.object(&["validatingwebhookconfiguration", "ringfence"])?)
        })
    }

    /// The Events on our ConfigMap of this reason.
    pub(crate) fn events(&self, reason: &str) -> Vec<Value> {
        let selector = format!("--field-selector=involvedObject.name=ringfence-guardrails,reason={reason}");
        let list = self
            .admin(&["-n", NAMESPACE, "get", "events", "-o", "json", &selector])
            .json();
        list["items"].as_array().cloned().unwrap_or_default()
    }
}

/// Does it a few times, each time waiting for what follows; at least once that must come as soon as is promised. Once is
/// enough: a delay of our own making would show every time, one of a busy machine does not.
#[track_caller]
pub(crate) fn promptly<T>(what: &str, mut begin: impl FnMut(usize) -> T, mut follows: impl FnMut(&T) -> bool) {
    let mut took = Vec::new();
    for time in 0..3 {
        let what_was_done = begin(time);
        let since = Instant::now();
        eventually(what, || follows(&what_was_done).then_some(()));
        took.push(since.elapsed());
    }
    assert!(took.iter().any(|took| *took <= PROMPT), "{what} took {took:?}");
}
