//! [`Keeper`]: composes the snapshot from our ConfigMaps, the namespaces and, where it needs them, the policies, and is the only one that writes [`Current`].
//! A ConfigMap that is invalid or gone never takes effect: what was in force stays, or at start the last good one.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::runtime::watcher;
use kube::{Api, Client};
use ringfence_core::model::Snapshot;
use tokio::sync::watch;
use tokio::time::Instant;

use super::configuration::{GUARDRAILS, InForce, LAST_GOOD, Standing, Trouble, Written, compiled, sources};
use super::duty::at;
use super::enforced_since::SinceMirror;
use super::mirror::{Mirror, WatchEnded};
use super::namespaces::NamespaceMirror;
use super::policies::PolicyMirror;
use super::protected::{Composed, ProtectedMirror};
use super::{Effective, Error, Metrics, enforced_since, namespaces, policies, protected};
use crate::Current;
use crate::serve::{Condition, Readiness};

/// How long a change of namespaces waits for others of its burst. Decisions that hang on namespace labels read them live,
/// so nothing is less safe for it.
const BURST: Duration = Duration::from_millis(20);
/// How long a change of protected policies waits for others: the index of all clauses is made anew for it.
const PROTECTED_BURST: Duration = Duration::from_millis(100);
/// How soon the last good configuration is looked for again where there was none or it could not be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Keeps [`Current`] in step with the cluster.
pub(super) struct Keeper {
    current: Current,
    standing: watch::Sender<Standing>,
    configuration: Mirror<String, Written>,
    namespaces: NamespaceMirror,
    since: SinceMirror,
    protected: ProtectedMirror,
    composed: Composed,
    effective: watch::Sender<Effective>,
    /// Only while some segment is kept apart from something.
    policies: Option<PolicyMirror>,
    client: Client,
    config_maps: Api<ConfigMap>,
    configuration_ready: Condition,
    namespaces_ready: Condition,
    since_ready: Condition,
    protected_ready: Condition,
    policies_ready: Condition,
    metrics: Metrics,
}

impl Keeper {
    /// Watches with this client; tells by `standing` which configuration is in force, and by `effective` what comes of it
    /// and of the policies that opted in to protection.
    pub(super) fn new(
        client: &Client,
        namespace: &str,
        current: Current,
        (standing, effective): (watch::Sender<Standing>, watch::Sender<Effective>),
        readiness: &Readiness,
        metrics: Metrics,
    ) -> Self {
        let config_maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        standing.send_modify(|standing| standing.reference = reference(namespace));
        Self {
            current,
            standing,
            configuration: Mirror::new(
                "guardrails",
                config_maps.clone(),
                watcher::Config::default().fields(&format!("metadata.name={GUARDRAILS}")),
                metrics.watch_errors("guardrails"),
                |object| Some((object.metadata.name.clone()?, Written::of(&object))),
            ),
            namespaces: namespaces::watch(client.clone(), metrics.watch_errors("namespaces")),
            since: enforced_since::watch(config_maps.clone(), metrics.watch_errors("enforced-since")),
            protected: protected::watch(client.clone(), metrics.watch_errors("protected-policies")),
            composed: Composed::default(),
            effective,
            policies: None,
            client: client.clone(),
            config_maps,
            configuration_ready: readiness.condition("guardrails"),
            namespaces_ready: readiness.condition("namespaces"),
            since_ready: readiness.condition("enforced-since"),
            protected_ready: readiness.condition("protected-policies"),
            policies_ready: readiness.condition("networkpolicies"),
            metrics,
        }
    }

    /// Runs until a watch ends.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut compose_at: Option<Instant> = None;
        let mut look_at: Option<Instant> = None;
        loop {
            tokio::select! {
                changed = self.configuration.changed() => {
                    changed?;
                    self.read_configuration().await;
                    if self.compose().await {
                        compose_at = None;
                    }
                    look_at = self.wants_last_good().then(Instant::now);
                }
                changed = self.namespaces.changed() => {
                    changed?;
                    compose_at.get_or_insert_with(|| Instant::now() + BURST);
                }
                changed = self.since.changed() => {
                    changed?;
                    compose_at.get_or_insert_with(|| Instant::now() + BURST);
                }
                changed = self.protected.changed() => {
                    changed?;
                    compose_at.get_or_insert_with(|| Instant::now() + PROTECTED_BURST);
                }
                changed = changed(&mut self.policies) => {
                    changed?;
                    compose_at.get_or_insert_with(|| Instant::now() + BURST);
                }
                () = at(compose_at) => {
                    compose_at = None;
                    self.compose().await;
                }
                () = at(look_at) => {
                    self.take_last_good().await;
                    self.compose().await;
                    look_at = self.wants_last_good().then(|| Instant::now() + LOOK_AGAIN);
                }
            }
        }
    }

    /// Takes what the ConfigMap says into force, or complains.
    async fn read_configuration(&mut self) {
        let Some(objects) = self.configuration.objects() else {
            return;
        };
        let Some(written) = objects.get(GUARDRAILS).cloned() else {
            self.complain(Trouble::Missing, None);
            return;
        };
        let Written {
            sources,
            ignored,
            reference,
        } = written;
        for line in ignored {
            tracing::warn!("ConfigMap {GUARDRAILS}: {line}");
        }
        match compiled(sources).await {
            Ok(in_force) => self.take(in_force, None, Some(reference)),
            Err(problems) => self.complain(Trouble::Invalid(problems), Some(reference)),
        }
    }

    /// Whether there is nothing in force because what is written is invalid. A missing ConfigMap is not made up for: whoever
    /// installs ringfence anew must not get what somebody once configured.
    fn wants_last_good(&self) -> bool {
        let standing = self.standing.borrow();
        standing.in_force.is_none() && matches!(standing.trouble, Some(Trouble::Invalid(_)))
    }

    /// Takes the last good configuration into force, where the leader has kept one.
    async fn take_last_good(&mut self) {
        let data = match self.config_maps.get_opt(LAST_GOOD).await {
            Ok(Some(object)) => object.data.unwrap_or_default(),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "ConfigMap {LAST_GOOD} cannot be read; trying again");
                return;
            }
        };
        match compiled(sources(&data)).await {
            Ok(in_force) => {
                let trouble = self.standing.borrow().trouble.clone();
                self.take(in_force, trouble, None);
            }
            Err(problems) => tracing::error!("ConfigMap {LAST_GOOD} is not what this version takes: {problems}"),
        }
    }

    fn take(&mut self, in_force: InForce, trouble: Option<Trouble>, reference: Option<ObjectReference>) {
        let guardrails = &in_force.guardrails;
        self.metrics.valid.set(trouble.is_none().into());
        self.metrics.in_force(&guardrails.revision.0);
        self.metrics
            .segments
            .set(guardrails.segments.len().try_into().unwrap_or(i64::MAX));
        tracing::info!(
            revision = %guardrails.revision,
            segments = guardrails.segments.len(),
            mode = %guardrails.mode,
            "guardrails in force"
        );
        for notice in &in_force.notices {
            tracing::warn!("guardrails: {}", notice.message);
        }
        self.standing.send_modify(|standing| {
            standing.in_force = Some(Arc::new(in_force));
            standing.trouble = trouble;
            if let Some(reference) = reference {
                standing.reference = reference;
            }
        });
        if let Some(complaint) = self.standing.borrow().complaint() {
            tracing::error!("{complaint}");
        }
    }

    fn complain(&mut self, trouble: Trouble, reference: Option<ObjectReference>) {
        self.metrics.valid.set(0);
        self.standing.send_modify(|standing| {
            standing.trouble = Some(trouble);
            if let Some(reference) = reference {
                standing.reference = reference;
            }
        });
        let standing = self.standing.borrow();
        let complaint = standing.complaint().unwrap_or_default();
        tracing::error!("{complaint}");
        if standing.in_force.is_none() {
            self.configuration_ready.missing(complaint);
        }
    }

    /// Watches policies while a decision can hang on them.
    fn watch_policies(&mut self, wanted: bool) {
        match (wanted, &self.policies) {
            (true, None) => {
                let errors = self.metrics.watch_errors("networkpolicies");
                self.policies = Some(policies::watch(&self.client, errors));
            }
            (false, Some(_)) => self.policies = None,
            _ => {}
        }
    }

    /// Swaps the snapshot; whether there is all that one is made of.
    async fn compose(&mut self) -> bool {
        if let Some(namespaces) = self.namespaces.objects() {
            self.namespaces_ready.met();
            self.metrics
                .namespaces
                .set(namespaces.len().try_into().unwrap_or(i64::MAX));
        }
        let in_force = self.standing.borrow().in_force.clone();
        let since = self.since.objects();
        if since.is_some() {
            self.since_ready.met();
        }
        if self.protected.objects().is_some() {
            self.protected_ready.met();
        }
        let (Some(in_force), Some(protected)) = (in_force, self.protected.objects()) else {
            return false;
        };
        let guardrails = self.composed.of(&in_force.guardrails, protected, &self.metrics).await;
        self.effective.send_if_modified(|effective| {
            let news = !effective.as_ref().is_some_and(|known| Arc::ptr_eq(known, &guardrails));
            *effective = Some(Arc::clone(&guardrails));
            news
        });
        let (Some(namespaces), Some(since)) = (self.namespaces.objects(), since) else {
            return false;
        };
        let (namespaces, since) = (Arc::clone(namespaces), since.values().next().cloned());
        self.watch_policies(in_force.guardrails.keeps_apart());
        let policies = match &self.policies {
            None => Arc::default(),
            // What was in force stays until they have been listed: a decision without them would miss what they open.
            Some(watched) => match watched.objects() {
                Some(listed) => Arc::clone(listed),
                None => return false,
            },
        };
        self.policies_ready.met();
        self.current.replace(Snapshot {
            guardrails,
            namespaces,
            // Where there is none, nothing was enforced before.
            since: since.unwrap_or_default(),
            policies,
        });
        // Only now: whoever is told that we are ready must find a snapshot.
        self.configuration_ready.met();
        true
    }
}

/// Waits until what is watched has changed; for ever where nothing is.
async fn changed(mirror: &mut Option<PolicyMirror>) -> Result<(), WatchEnded> {
    match mirror {
        Some(mirror) => mirror.changed().await,
        None => std::future::pending().await,
    }
}

impl From<WatchEnded> for Error {
    fn from(ended: WatchEnded) -> Self {
        Self::WatchEnded(ended)
    }
}

/// Where the ConfigMap would stand.
fn reference(namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("ConfigMap".to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(GUARDRAILS.to_owned()),
        ..ObjectReference::default()
    }
}
