//! [`lead`]: leader election on the Lease `ringfence-leader`, and the work of whoever leads: begun when the lease is ours,
//! stopped at once when it is not, or when we can no longer tell.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError, LeaseParams};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Error, Metrics};
use crate::manifests::names::LEADER as LEASE;

/// How long another attempt waits after the API server could not be asked.
const RETRY: Duration = Duration::from_secs(1);
/// How long a leader that ends may take to give the lease back.
const RELEASE: Duration = Duration::from_secs(2);

/// How long a lease holds, in seconds. What a follower waits for where the leader died without giving it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTiming {
    /// After its last renewal.
    pub duration: u64,
    /// How long before it ends it is renewed: more than the lease client's deadline of 3 s, so that a leader that cannot
    /// renew has stopped before another begins, and more than clocks differ.
    pub grace: u64,
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self { duration: 10, grace: 5 }
    }
}

/// Where and as whom one stands for election.
pub(super) struct Candidate {
    /// A client for nothing else, with a deadline below the grace.
    pub(super) client: Client,
    /// The namespace of the Lease.
    pub(super) namespace: String,
    /// The pod's name: unique among replicas.
    pub(super) identity: String,
    /// How long a lease holds.
    pub(super) timing: LeaseTiming,
    pub(super) metrics: Metrics,
}

/// Stands for election until `shutdown`, and does `duties` while leading. Ends with an error only where a duty does.
pub(super) async fn lead<D>(
    candidate: Candidate,
    shutdown: CancellationToken,
    duties: impl Fn() -> Vec<(&'static str, D)>,
) -> Result<(), Error>
where
    D: Future<Output = Result<Infallible, Error>> + Send + 'static,
{
    let mut term = Term {
        work: JoinSet::new(),
        metrics: candidate.metrics.clone(),
    };
    while !shutdown.is_cancelled() {
        let lease = tokio::select! {
            () = shutdown.cancelled() => break,
            lease = candidate.lease() => lease,
        };
        // A lease that reports an error is given up and made anew: it would not tell again that we lead.
        let lost = match lease {
            Ok(lease) => follow(&lease, &mut term, &shutdown, &duties).await?,
            Err(error) => Some(error),
        };
        term.end("the lease cannot be asked for").await;
        let Some(error) = lost else { break };
        tracing::warn!(%error, "Lease {LEASE} cannot be asked for; trying again");
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    term.end("shutting down").await;
    Ok(())
}

/// Follows one lease until it reports an error, which is given back, or until `shutdown`.
async fn follow<D>(
    lease: &LeaseManager,
    term: &mut Term,
    shutdown: &CancellationToken,
    duties: &impl Fn() -> Vec<(&'static str, D)>,
) -> Result<Option<LeaseManagerError>, Error>
where
    D: Future<Output = Result<Infallible, Error>> + Send + 'static,
{
    loop {
        tokio::select! {
            () = shutdown.cancelled() => {
                let led = term.leads();
                // First stop, then let another begin.
                term.end("shutting down").await;
                if led && tokio::time::timeout(RELEASE, lease.release()).await.is_err() {
                    tracing::warn!("Lease {LEASE} could not be given back in time; it ends by itself");
                }
                return Ok(None);
            }
            changed = lease.changed() => match changed {
                Ok(true) => term.begin(duties()),
                Ok(false) => term.end("the lease is another's").await,
                Err(error) => return Ok(Some(error)),
            },
            failed = term.failed() => return Err(failed),
        }
    }
}

impl Candidate {
    async fn lease(&self) -> Result<LeaseManager, LeaseManagerError> {
        let LeaseTiming { duration, grace } = self.timing;
        LeaseManagerBuilder::new(self.client.clone(), LEASE)
            .with_namespace(&self.namespace)
            .with_parameters(LeaseParams::new(&self.identity, duration, grace))
            .build()
            .await
    }
}

/// The work of a leader; none while following.
struct Term {
    work: JoinSet<Result<Infallible, Error>>,
    metrics: Metrics,
}

impl Term {
    fn leads(&self) -> bool {
        !self.work.is_empty()
    }

    fn begin<D>(&mut self, duties: Vec<(&'static str, D)>)
    where
        D: Future<Output = Result<Infallible, Error>> + Send + 'static,
    {
        if self.leads() {
            return;
        }
        tracing::info!("leading");
        self.metrics.leader.set(1);
        for (name, duty) in duties {
            tracing::debug!(duty = name, "begun");
            self.work.spawn(duty);
        }
    }

    /// Stops all work at once and waits until it has stopped.
    async fn end(&mut self, why: &str) {
        if self.leads() {
            tracing::info!("no longer leading: {why}");
        }
        self.metrics.leader.set(0);
        self.work.shutdown().await;
    }

    /// Waits until a duty ends, which none ever does by itself.
    async fn failed(&mut self) -> Error {
        match self.work.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(never))) => match never {},
            Some(Err(error)) => Error::TaskDied("a duty of the leader", error),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};

    use http::{Method, Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that holds one Lease, as far as electing needs it.
    #[derive(Clone, Default)]
    struct Server {
        lease: Arc<Mutex<Option<Value>>>,
        down: Arc<AtomicBool>,
    }

    impl Server {
        fn client(&self) -> Client {
            let server = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let server = server.clone();
                async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
            });
            Client::new(service, "default")
        }

        async fn answer(&self, request: Request<Body>) -> Response<Body> {
            let method = request.method().clone();
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            let status = |code: u16, reason: &str| {
                let status =
                    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason});
                let response = Response::builder().status(code);
                response
                    .body(Body::from(status.to_string().into_bytes()))
                    .expect("a response")
            };
            if self.down.load(Ordering::SeqCst) {
                return status(503, "ServiceUnavailable");
            }
            let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
            if method != Method::GET {
                let patch: Value = serde_json::from_slice(&body).expect("JSON");
                let lease = lease.get_or_insert_with(|| json!({"metadata": {"name": LEASE}, "spec": {}}));
                for (key, value) in patch["spec"].as_object().into_iter().flatten() {
                    lease["spec"][key] = value.clone();
                }
            }
            match &*lease {
                Some(lease) => Response::new(Body::from(lease.to_string().into_bytes())),
                None => status(404, "NotFound"),
            }
        }

        fn holder(&self) -> Value {
            let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
            lease
                .as_ref()
                .map(|lease| lease["spec"]["holderIdentity"].clone())
                .unwrap_or_default()
        }
    }

    /// How many are at work now.
    #[derive(Clone, Default)]
    struct AtWork(Arc<AtomicU32>);

    struct Working(AtWork);

    impl Drop for Working {
        fn drop(&mut self) {
            self.0.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl AtWork {
        async fn work(self) -> Result<Infallible, Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let _working = Working(self);
            std::future::pending().await
        }

        async fn becomes(&self, expected: u32) {
            let reached = async {
                while self.0.load(Ordering::SeqCst) != expected {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), reached)
                .await
                .expect("in time");
        }
    }

    fn candidate(server: &Server) -> Candidate {
        Candidate {
            client: server.client(),
            namespace: "ringfence-system".to_owned(),
            identity: "ringfence-1".to_owned(),
            // Leases count whole seconds.
            timing: LeaseTiming { duration: 2, grace: 1 },
            metrics: Metrics::default(),
        }
    }

    #[tokio::test]
    async fn a_leader_that_cannot_renew_stops_and_leads_again_when_it_can() {
        let (server, at_work, shutdown) = (Server::default(), AtWork::default(), CancellationToken::new());
        let work = at_work.clone();
        let leading = tokio::spawn(lead(candidate(&server), shutdown.clone(), move || {
            vec![("one", work.clone().work()), ("two", work.clone().work())]
        }));
        at_work.becomes(2).await;
        server.down.store(true, Ordering::SeqCst);
        at_work.becomes(0).await;
        assert_eq!(server.holder(), "ringfence-1", "it could not give it back");
        server.down.store(false, Ordering::SeqCst);
        at_work.becomes(2).await;
        shutdown.cancel();
        leading.await.expect("no panic").expect("in good order");
        at_work.becomes(0).await;
        assert_eq!(server.holder(), Value::Null, "given back");
    }

    #[tokio::test]
    async fn a_duty_that_ends_ends_it_all() {
        let server = Server::default();
        let duties = || vec![("one", async { Err(Error::TaskEnded("one")) })];
        let ended = lead(candidate(&server), CancellationToken::new(), duties).await;
        assert!(matches!(ended, Err(Error::TaskEnded("one"))), "{ended:?}");
    }
}
