//! [`Running`]: the server on free loopback ports with a reviewer that does as the body says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use ringfence::certs::{self, ServingCertificate, own};
use ringfence::serve::{
    Drain, Limits, Metrics, Options, Parts, PathToken, PathTokens, Readiness, Reply, Reviewer, ServeError, Server,
};
use ringfence_core::review::Webhook;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Longer than anything here takes: a test that waits for it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Answers with the length of the body; a body that begins with `wait` first waits until told to go on.
pub(crate) struct Obedient {
    /// Told when a review waits.
    pub(crate) waiting: Notify,
    /// How many reviews may go on.
    pub(crate) go_on: Semaphore,
}

impl Reviewer for Obedient {
    async fn review(&self, _: Webhook, body: Bytes) -> Reply {
        if body.starts_with(b"wait") {
            self.waiting.notify_one();
            let permit = self.go_on.acquire().await.expect("is never closed");
            permit.forget();
        }
        Reply::Review(body.len().to_string().into())
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) token: PathToken,
    pub(crate) reviewer: Arc<Obedient>,
    pub(crate) certificate: ServingCertificate,
    pub(crate) readiness: Readiness,
    pub(crate) ca_pem: String,
    shutdown: Option<oneshot::Sender<()>>,
    pub(crate) ended: JoinHandle<()>,
}

/// No grace: whoever tests it says so.
pub(crate) fn options() -> Options {
    Options {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        health_listen: (Ipv4Addr::LOCALHOST, 0).into(),
        client_ca: None,
        limits: Limits::default(),
        drain: Drain {
            grace: Duration::ZERO,
            deadline: LONG,
        },
    }
}

pub(crate) async fn start() -> Running {
    start_with(options()).await
}

pub(crate) async fn start_limited(limits: Limits) -> Running {
    start_with(Options { limits, ..options() }).await
}

pub(crate) async fn start_with(options: Options) -> Running {
    try_start(options).await.expect("starts")
}

pub(crate) async fn try_start(options: Options) -> Result<Running, ServeError> {
    let (readiness, mut registry) = (Readiness::new(), Registry::default());
    let certificate = ServingCertificate::new(
        readiness.condition("certificate"),
        certs::Metrics::register(&mut registry),
    );
    let issued = own::issue(&["localhost".to_owned()], &[Ipv4Addr::LOCALHOST.into()]).expect("issues");
    let replaced = certificate.replace(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes());
    replaced.expect("serves");
    let (tokens, token) = (PathTokens::new(), PathToken::generate());
    tokens.replace([token.clone()]);
    let reviewer = Arc::new(Obedient {
        waiting: Notify::new(),
        go_on: Semaphore::new(0),
    });
    let parts = Parts {
        reviewer: Arc::clone(&reviewer),
        certificate: certificate.clone(),
        tokens,
        readiness: readiness.clone(),
        metrics: Metrics::register(&mut registry),
        registry: Arc::new(registry),
    };
    let server = Server::bind(options, parts).await?;
    let (address, health) = (server.local_addr(), server.health_addr());
    let (shutdown, told) = oneshot::channel();
    let ended = tokio::spawn(server.run(async {
        // Dropped with the test: ends, too.
        let _ = told.await;
    }));
    Ok(Running {
        address,
        health,
        token,
        reviewer,
        certificate,
        readiness,
        ca_pem: issued.ca_pem,
        shutdown: Some(shutdown),
        ended,
    })
}

impl Running {
    /// The path of the workloads webhook.
    pub(crate) fn path(&self) -> String {
        format!("/{}/workloads", self.token.as_str())
    }

    /// Told to end, as by SIGTERM.
    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take();
    }

    /// It still answers whoever is rightly addressed.
    pub(crate) async fn is_well(&self) {
        let mut client = self.http1().await;
        assert_eq!(client.review("well?").await, (200, "5".to_owned()));
        assert_eq!(self.metric("ringfence_http_requests_in_flight").await, "0");
    }

    /// A health path: status and text.
    pub(crate) async fn ask_health(&self, path: &str) -> (u16, String) {
        crate::client::get(self.health, path).await
    }

    /// The value of a series.
    pub(crate) async fn metric(&self, series: &str) -> String {
        let (_, text) = self.ask_health("/metrics").await;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in {text}")).to_owned()
    }

    /// Waits until a series has this value.
    pub(crate) async fn until_metric(&self, series: &str, value: &str) {
        let reached = async {
            while !self
                .ask_health("/metrics")
                .await
                .1
                .contains(&format!("{series} {value}\n"))
            {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(LONG, reached).await.is_ok();
        assert!(in_time, "{series} is {}, not {value}", self.metric(series).await);
    }
}
