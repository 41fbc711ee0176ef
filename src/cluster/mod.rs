//! The cluster as it stands: watches that make the snapshot, and what one replica does for all. [`run`] does all of it;
//! [`ConfigurationGuard`] reviews what is written to our ConfigMap.
//!
//! ConfigMaps and namespaces come in by watches ([`mirror`]), one task ([`snapshot`]) composes them and is the only writer
//! of [`Current`]. The replica that holds the lease ([`leader`]) keeps things in step, each a [`duty`]: [`duties`].

mod clients;
mod configuration;
mod duties;
mod duty;
mod enforced_since;
mod guard;
mod leader;
mod metrics;
mod mirror;
mod namespaces;
mod pages;
mod policies;
mod protected;
mod recurring;
mod retry;
mod snapshot;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use ringfence_core::guardrails::Guardrails;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::clients::Clients;
pub(crate) use self::configuration::{Written, compiled};
pub(crate) use self::duties::FIELD_MANAGER;
pub(crate) use self::duty::{Duty, at};
pub(crate) use self::enforced_since::read as read_since;
pub use self::guard::ConfigurationGuard;
pub use self::leader::LeaseTiming;
pub use self::metrics::Metrics;
pub(crate) use self::mirror::Mirror;
pub use self::mirror::WatchEnded;
pub(crate) use self::namespaces::reduce as namespace_of;
pub(crate) use self::pages::every_page;
pub(crate) use self::protected::read as read_policy;

use self::configuration::Standing;
use self::duties::{ClusterRoles, EnforcedSince, Events, LastGood, Published, ServedWebhooks, Unjudged};
use self::leader::Candidate;
use self::snapshot::Keeper;
use crate::Current;
use crate::certs::secret::{Certificate, Reached, SecretError, ServingSecret};
use crate::isolate::{self, Controller, GateKeeper, Report};
use crate::manifests::webhooks::Address;
use crate::serve::{PathTokens, Readiness};

/// How long all tasks may take to end once they are told to. Longer than giving the lease back may take.
const SHUTDOWN: Duration = Duration::from_secs(4);

/// Who we are in the cluster and how we are reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// The namespace that ringfence is installed in.
    pub namespace: String,
    /// Our pod's name: unique among replicas.
    pub pod_name: String,
    /// What the API server dials.
    pub address: Address,
    /// Where the serving certificate comes from.
    pub certificate: Certificate,
    /// How long a leader that died is waited for.
    pub lease: LeaseTiming,
}

/// What the cluster is kept in step with: written here, read by whoever serves and decides.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Gets every new snapshot.
    pub current: Current,
    /// Is told of the conditions `guardrails`, `namespaces`, `enforced-since`, `protected-policies`, `networkpolicies` and
    /// `path`.
    pub readiness: Readiness,
    /// Gets the path that reviews come in by.
    pub tokens: PathTokens,
    /// Counts.
    pub metrics: Metrics,
    /// Counts what is isolated.
    pub isolation: isolate::Metrics,
}

/// Why the cluster can no longer be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A watch ended.
    #[error(transparent)]
    WatchEnded(WatchEnded),
    /// A task panicked.
    #[error("{0} died: {1}; restart ringfence and report this")]
    TaskDied(&'static str, #[source] JoinError),
    /// A task ended without being told to.
    #[error("{0} ended; this is a defect, restart ringfence and report it")]
    TaskEnded(&'static str),
    /// The API server refused, or could not be reached.
    #[error("cannot {what}: {source}{}", advice(.source))]
    Api {
        /// What was being done, e.g. `replace ConfigMap ringfence-last-good`.
        what: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// Since when what is enforced could not be written down.
    #[error(transparent)]
    Since(#[from] enforced_since::Unwritable),
    /// The Secret that all replicas share could not be kept.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Something that installing brings is not there.
    #[error("{0} {1} is not there: install ringfence's manifests again")]
    NotInstalled(&'static str, &'static str),
    /// A pod is held back longer than it should be.
    #[error("cannot lift the scheduling gate of pod {0}: {1}")]
    Gate(String, String),
    /// A pass did not end.
    #[error("it took longer than {} s", .0.as_secs())]
    PassTooLong(Duration),
}

fn advice(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => "; apply ringfence's RBAC manifests of this version",
        _ => "",
    }
}

/// Follows the cluster, and leads where this replica is elected, until `shutdown`. Ends with an error where a task ends
/// that should not: without it the process would serve an ever older view, so it should exit.
pub async fn run(
    clients: Clients,
    options: Options,
    outputs: Outputs,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let Options {
        namespace,
        pod_name,
        address,
        certificate,
        lease,
    } = options;
    let Outputs {
        current,
        readiness,
        tokens,
        metrics,
        isolation,
    } = outputs;
    let standing = watch::Sender::new(Standing::default());
    let effective = watch::Sender::new(Effective::default());
    let reached = watch::Sender::new(None::<Reached>);
    let secret = ServingSecret::new(
        &clients.watches,
        &namespace,
        certificate,
        tokens,
        readiness.condition("path"),
        reached.clone(),
        metrics.watch_errors("serving-secret"),
    );
    let keeper = Keeper::new(
        &clients.watches,
        &namespace,
        current.clone(),
        (standing.clone(), effective.clone()),
        &readiness,
        metrics.clone(),
    );
    let candidate = Candidate {
        client: clients.lease.clone(),
        namespace: namespace.clone(),
        identity: pod_name.clone(),
        timing: lease,
        metrics: metrics.clone(),
    };
    let duties = Duties {
        clients,
        namespace,
        pod_name,
        address,
        current,
        standing,
        effective,
        reached,
        metrics: metrics.clone(),
        isolation,
    };
    let mut tasks = Tasks::default();
    tasks.spawn("keeping the snapshot", keeper.run());
    tasks.spawn("keeping the serving secret", duty::keep(secret, metrics));
    let stop = shutdown.clone();
    tasks.spawn("leading", async move {
        leader::lead(candidate, stop, || duties.begin()).await
    });
    tasks.until(shutdown).await
}

/// What the configuration in force comes to with the policies that opted in to protection; none until both are known.
type Effective = Option<Arc<Guardrails>>;

/// What a leader's duties are made of.
struct Duties {
    clients: Clients,
    namespace: String,
    pod_name: String,
    address: Address,
    current: Current,
    standing: watch::Sender<Standing>,
    effective: watch::Sender<Effective>,
    reached: watch::Sender<Option<Reached>>,
    metrics: Metrics,
    isolation: isolate::Metrics,
}

impl Duties {
    /// All duties, each with watches of its own that begin now.
    fn begin(&self) -> Vec<(&'static str, BoxFuture<'static, Result<Infallible, Error>>)> {
        let Self {
            clients,
            namespace,
            pod_name,
            address,
            current,
            standing,
            effective,
            reached,
            metrics,
            isolation,
        } = self;
        let unjudged = watch::Sender::new(None);
        let report = watch::Sender::new(Report::default());
        let published = Published::new(
            clients,
            current.clone(),
            (standing.subscribe(), effective.subscribe()),
            report.subscribe(),
            unjudged.subscribe(),
            metrics,
        );
        let controller = Controller::new(
            clients,
            (namespace, pod_name),
            current.clone(),
            report,
            metrics.watch_errors("injected-policies"),
            isolation.clone(),
        );
        vec![
            self.keep(LastGood::new(clients, namespace, standing.subscribe(), metrics)),
            self.keep(EnforcedSince::new(clients, namespace, standing.subscribe(), metrics)),
            self.keep(Events::new(clients, pod_name, standing.subscribe())),
            self.keep(ClusterRoles::new(clients, standing.subscribe(), metrics)),
            self.keep(ServedWebhooks::<ValidatingWebhookConfiguration>::new(
                clients,
                namespace,
                address.clone(),
                effective.subscribe(),
                reached.subscribe(),
                metrics,
            )),
            self.keep(ServedWebhooks::<MutatingWebhookConfiguration>::new(
                clients,
                namespace,
                address.clone(),
                effective.subscribe(),
                reached.subscribe(),
                metrics,
            )),
            self.keep(GateKeeper::new(
                clients,
                current.clone(),
                isolation.clone(),
                metrics.watch_errors("unscheduled-pods"),
            )),
            self.keep(published),
            ("isolation", controller.run().map_err(Error::from).boxed()),
            self.keep(Unjudged::new(
                clients,
                current.clone(),
                standing.subscribe(),
                unjudged,
                metrics,
            )),
        ]
    }

    fn keep<D: Duty>(&self, duty: D) -> (&'static str, BoxFuture<'static, Result<Infallible, Error>>) {
        (D::NAME, duty::keep(duty, self.metrics.clone()).boxed())
    }
}

/// Tasks of which none may end by itself.
#[derive(Default)]
struct Tasks {
    running: JoinSet<(&'static str, Result<(), Error>)>,
}

impl Tasks {
    fn spawn<T>(&mut self, name: &'static str, task: impl Future<Output = Result<T, Error>> + Send + 'static) {
        self.running.spawn(async move { (name, task.await.map(drop)) });
    }

    /// Waits for `shutdown`, then for what has to be tidied up. An error where a task ended before.
    async fn until(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            ended = self.running.join_next() => ended,
        };
        match ended {
            None => {}
            Some(Ok((_, Err(error)))) => return Err(error),
            Some(Ok((name, Ok(())))) => return Err(Error::TaskEnded(name)),
            Some(Err(error)) => return Err(Error::TaskDied("a task that follows the cluster", error)),
        }
        // Only the leader has something to tidy up and ends by itself; the others are stopped.
        let tidied = async {
            while let Some(ended) = self.running.join_next().await {
                if matches!(ended, Ok(("leading", _))) {
                    break;
                }
            }
        };
        if tokio::time::timeout(SHUTDOWN, tidied).await.is_err() {
            tracing::warn!("the leader did not end in time and is stopped");
        }
        self.running.shutdown().await;
        Ok(())
    }
}

/// Waits for a change; for ever once nothing can change it.
async fn changed<T: fmt::Debug>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
