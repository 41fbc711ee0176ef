//! [`GateKeeper`]: lifts the scheduling gate of first pods once their namespace's policies have settled, on the replica that
//! leads. It keeps nothing of its own: which pods wait is watched, and for how long still is looked up live by the same rules
//! that put the gate on. So none is stranded by a restart, nor by guardrails that no longer want anything to settle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher;
use prometheus_client::metrics::counter::Counter;
use ringfence_core::guardrails::{Revision, SETTLE_GATE};
use ringfence_core::model::{Isolate, Isolated, NamespaceName};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Failure, Metrics, Synchronous};
use crate::Current;
use crate::answer::{CallError, Calls};
use crate::cluster::{Clients, Duty, Error, FIELD_MANAGER, Mirror, at};

/// How soon a namespace is looked at again whose policies do not stand, or could not be looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How soon a namespace is looked at again at the latest: its profile may have become another one, by its label.
const LOOK_AT_LATEST: Duration = Duration::from_secs(10);

/// How many namespaces, and of each how many pods, are worked on at once.
const AT_ONCE: usize = 8;

/// Lifts gates.
pub(crate) struct GateKeeper {
    calls: Arc<Calls>,
    current: Current,
    changes: watch::Receiver<u64>,
    looks: Arc<Synchronous>,
    /// The pods on no node, by namespace and name: whether they are behind our gate. All of them, so that one is known again
    /// by its name when it has lost the gate.
    unscheduled: Mirror<(NamespaceName, String), bool>,
    /// When to look at the namespaces again whose policies have not settled.
    due: BTreeMap<NamespaceName, Instant>,
    /// The guardrails that `due` goes by.
    revision: Option<Revision>,
}

impl GateKeeper {
    /// Watches and writes by these clients, looks by what the snapshot in force says.
    pub(crate) fn new(clients: &Clients, current: Current, metrics: Metrics, watch_errors: Counter) -> Self {
        let calls = Arc::new(Calls::over(clients.writes.clone()));
        Self {
            looks: Arc::new(Synchronous::new(Arc::clone(&calls), current.clone(), metrics)),
            calls,
            changes: current.changes(),
            current,
            unscheduled: Mirror::new(
                "unscheduled-pods",
                Api::<Pod>::all(clients.watches.clone()),
                // A pod that waits behind a gate is on no node.
                watcher::Config::default().fields("spec.nodeName="),
                watch_errors,
                |pod| {
                    let gates = pod.spec?.scheduling_gates.unwrap_or_default();
                    let namespace = NamespaceName::new(&pod.metadata.namespace?).ok()?;
                    let waits = gates.iter().any(|gate| gate.name == SETTLE_GATE);
                    Some(((namespace, pod.metadata.name?), waits))
                },
            ),
            due: BTreeMap::new(),
            revision: None,
        }
    }
}

/// Whether pods of a namespace may have to wait, as far as the guardrails say. While there are none, they may.
fn may_settle(current: &Current, namespace: &NamespaceName) -> bool {
    let snapshot = current.load();
    snapshot.is_none_or(|snapshot| snapshot.guardrails.settles(namespace.as_str()))
}

/// How long the pods of a namespace wait still; none where they need not.
async fn left(looks: &Synchronous, current: &Current, namespace: &NamespaceName) -> Option<Duration> {
    if !may_settle(current, namespace) {
        return None;
    }
    match looks.isolated(namespace, Isolate::Look, Instant::now()).await {
        Ok(Isolated::Stands { settles_in } | Isolated::Applied { settles_in }) => settles_in,
        // What does not stand yet is for the controller to apply; of a profile that settles nothing, no pod waits for it.
        Ok(Isolated::Missing { settles_in, .. }) => settles_in.map(|_| LOOK_AGAIN),
        Ok(Isolated::Exempt) => None,
        Ok(Isolated::Refused(why)) | Err(Failure::Refused(why) | Failure::Passing(why)) => {
            tracing::debug!(%namespace, why, "cannot tell whether policies have settled");
            Some(LOOK_AGAIN)
        }
    }
}

/// Lifts the gate of one pod. One that is gone, or has no gate any more, needs nothing.
async fn lift(calls: &Calls, namespace: &NamespaceName, name: &str) -> Result<(), Error> {
    let patch = json!({"spec": {"schedulingGates": [{"$patch": "delete", "name": SETTLE_GATE}]}});
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}?fieldManager={FIELD_MANAGER}");
    let lifted = calls.write(Method::PATCH, &path, "application/strategic-merge-patch+json", &patch);
    match lifted.await {
        Ok(_) | Err(CallError::Refused { code: 404, .. }) => Ok(()),
        Err(error) => Err(Error::Gate(format!("{namespace}/{name}"), error.to_string())),
    }
}

impl GateKeeper {
    /// Which of these namespaces keep nobody waiting any more; of the others, when to look again.
    async fn settled(&mut self, namespaces: BTreeSet<NamespaceName>) -> BTreeSet<NamespaceName> {
        let revision = self.current.load().map(|snapshot| snapshot.guardrails.revision.clone());
        if self.revision != revision {
            self.due.clear();
            self.revision = revision;
        }
        self.due.retain(|namespace, _| namespaces.contains(namespace));
        let now = Instant::now();
        let due: Vec<NamespaceName> = namespaces
            .into_iter()
            .filter(|namespace| self.due.get(namespace).is_none_or(|due| *due <= now))
            .collect();
        let looked: Vec<(NamespaceName, Option<Duration>)> = stream::iter(due)
            .map(|namespace| async {
                let left = left(&self.looks, &self.current, &namespace).await;
                (namespace, left)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut settled = BTreeSet::new();
        for (namespace, left) in looked {
            if let Some(left) = left {
                self.due.insert(namespace, Instant::now() + left.min(LOOK_AT_LATEST));
            } else {
                // Pods that come to wait meanwhile are looked at anew.
                self.due.remove(&namespace);
                settled.insert(namespace);
            }
        }
        settled
    }
}

impl Duty for GateKeeper {
    const NAME: &'static str = "settling";

    async fn pass(&mut self) -> Result<(), Error> {
        let Some(unscheduled) = self.unscheduled.objects() else {
            return Ok(());
        };
        let waiting = unscheduled.iter().filter(|(_, waits)| **waits);
        let waiting: Vec<(NamespaceName, String)> = waiting.map(|(pod, _)| pod.clone()).collect();
        let namespaces = waiting.iter().map(|(namespace, _)| namespace.clone()).collect();
        let settled = self.settled(namespaces).await;
        let pods = waiting.into_iter().filter(|(namespace, _)| settled.contains(namespace));
        let pods: Vec<(NamespaceName, String)> = pods.collect();
        let calls = &self.calls;
        let lifted: Vec<Result<(), Error>> = stream::iter(pods)
            .map(|(namespace, name)| async move { lift(calls, &namespace, &name).await })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        // One that fails keeps none of the others waiting.
        lifted.into_iter().collect()
    }

    async fn changed(&mut self) -> Result<(), Error> {
        let next = self.due.values().min().copied();
        tokio::select! {
            changed = self.unscheduled.changed() => Ok(changed?),
            // Guardrails that want nothing to settle any more keep nobody waiting.
            Ok(()) = self.changes.changed() => Ok(()),
            () = at(next) => Ok(()),
        }
    }
}
