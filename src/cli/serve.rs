//! `ringfence serve`: the webhook itself. Puts the parts together: the cluster is followed into a snapshot, reviews come in
//! over TLS, the engine decides them, decisions are recorded. Ends when told to, or when a part ends that should not.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::local::Listen;
use super::standalone::{self, Standalone};
use crate::answer::{ByWebhook, Engine, Live};
use crate::certs::files::{Files, LOOK_EVERY};
use crate::certs::secret::{Certificate, Names};
use crate::certs::{self, ServingCertificate};
use crate::cluster::{self, Clients, ConfigurationGuard, LeaseTiming, Outputs};
use crate::manifests::webhooks::Address;
use crate::record::{self, DryRuns, JsonLines, Recorder};
use crate::serve::{Drain, Limits, Options, Parts, PathTokens, Readiness, Server, told_to_end};
use crate::{Current, answer, isolate, serve};

/// How long what is still to be written may take at the end.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// Serve the webhook.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Kubeconfig file; else the pod's service account, else $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", env = "KUBECONFIG", hide_env_values = true)]
    kubeconfig: Option<PathBuf>,

    /// The namespace that ringfence is installed in
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "ringfence-system")]
    namespace: String,

    /// Our pod's name, unique among replicas
    #[arg(long, value_name = "NAME", env = "POD_NAME", default_value_t = format!("ringfence-{}", std::process::id()))]
    pod_name: String,

    /// Where reviews come in, over TLS; 0.0.0.0:8443 unless said otherwise, with --standalone 127.0.0.1:8443
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Where /healthz, /readyz and /metrics are served, over plain HTTP; 0.0.0.0:8080 unless said otherwise, with
    /// --standalone 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    health_listen: Option<SocketAddr>,

    /// Serve without a cluster: guardrails and manifests (RBAC, namespaces, owners) of this folder decide, changes of it
    /// are followed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["tls_cert", "webhook_url", "client_ca"])]
    standalone: Option<PathBuf>,

    /// Serving certificate chain, PEM; without it ringfence makes its own and keeps it in Secret ringfence-serving
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Key of --tls-cert, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// What --tls-cert is trusted by, PEM; without it the API server's own roots
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,

    /// https://HOST:PORT by which the API server reaches ringfence outside the cluster; else the Service ringfence
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,

    /// Authorities, PEM, that clients must have a certificate of; see authentication of API servers to webhooks
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// Reviews at once; over it they are answered with HTTP 503, so that the failurePolicy decides
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().reviews)]
    max_concurrent: usize,

    /// Seconds to go on accepting after SIGTERM, until everyone has heard that we leave
    #[arg(long, value_name = "SECONDS", default_value_t = Drain::default().grace.as_secs())]
    drain_grace: u64,

    /// Record dry runs too; else they are only counted
    #[arg(long)]
    record_dry_runs: bool,

    /// How log lines on stderr look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Arguments {
    /// What counts without a cluster.
    fn standalone_in(self, directory: PathBuf) -> Standalone {
        let defaults = Options::default();
        let on_loopback = |address: SocketAddr| SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        Standalone {
            directory,
            listen: Listen {
                reviews: self.listen.unwrap_or(on_loopback(defaults.listen)),
                health: self.health_listen.unwrap_or(on_loopback(defaults.health_listen)),
            },
            limits: Limits {
                reviews: self.max_concurrent,
                ..Limits::default()
            },
            dry_runs: recorded(self.record_dry_runs),
        }
    }
}

/// Serves until told to end.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    log_to_stderr(arguments.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let outcome = runtime.block_on(async {
        match arguments.standalone.clone() {
            Some(directory) => standalone::run(arguments.standalone_in(directory)).await,
            None => run_in_cluster(arguments).await,
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Sends log lines to stderr: stdout is for records. `RUST_LOG` chooses them, `info` by default.
fn log_to_stderr(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}

fn recorded(dry_runs: bool) -> DryRuns {
    if dry_runs { DryRuns::Recorded } else { DryRuns::Counted }
}

#[expect(
    clippy::too_many_lines,
    reason = "one part after the other, each made once and handed to the next"
)]
async fn run_in_cluster(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        kubeconfig,
        namespace,
        pod_name,
        listen,
        health_listen,
        standalone: _,
        tls_cert,
        tls_key,
        tls_ca,
        webhook_url,
        client_ca,
        max_concurrent,
        drain_grace,
        record_dry_runs,
        log_format: _,
    } = arguments;
    let config = config(kubeconfig).await?;
    let mut registry = Registry::default();
    let readiness = Readiness::new();
    let current = Current::empty();
    let tokens = PathTokens::new();

    let serving = ServingCertificate::new(
        readiness.condition("certificate"),
        certs::Metrics::register(&mut registry),
    );
    let names = Names::of(&namespace, webhook_url.as_deref())?;
    let (certificate, files) = match (tls_cert, tls_key) {
        (Some(cert), Some(key)) => (Certificate::Given(tls_ca), Some(Files::new(cert, key))),
        _ => (Certificate::Own(names, serving.clone()), None),
    };

    let record_metrics = record::Metrics::register(&mut registry);
    let lines = Arc::new(JsonLines::stdout(record_metrics.dropped()).context("cannot write records")?);
    let recorder = Recorder::new(
        record_metrics,
        recorded(record_dry_runs),
        vec![Box::new(Arc::clone(&lines))],
    );

    let clients = Clients::new(&config).context("cannot make clients of the API server")?;
    let isolation = isolate::Metrics::register(&mut registry);
    let answers = answer::Metrics::register(&mut registry);
    let live = Live::connect(config, current.clone(), answers, isolation.clone())
        .context("cannot make clients of the API server")?;
    let reviewer = ByWebhook {
        config: ConfigurationGuard::new(
            current.clone(),
            clients.answers.clone(),
            &namespace,
            Arc::clone(&recorder),
        ),
        guard: Engine::new(current.clone(), live, Arc::clone(&recorder)),
    };

    let options = cluster::Options {
        namespace,
        pod_name,
        address: webhook_url.map_or(Address::Service, Address::Url),
        certificate,
        lease: LeaseTiming::default(),
    };
    let outputs = Outputs {
        current,
        readiness: readiness.clone(),
        tokens: tokens.clone(),
        metrics: cluster::Metrics::register(&mut registry),
        isolation,
    };
    let metrics = serve::Metrics::register(&mut registry);
    let parts = Parts {
        reviewer,
        certificate: serving.clone(),
        tokens,
        readiness,
        metrics,
        registry: Arc::new(registry),
    };
    let defaults = Options::default();
    let client_ca = client_ca
        .map(std::fs::read)
        .transpose()
        .context("cannot read --client-ca")?;
    let limits = Limits {
        reviews: max_concurrent,
        ..Limits::default()
    };
    let drain = Drain {
        grace: Duration::from_secs(drain_grace),
        ..Drain::default()
    };
    let server = Server::bind(
        Options {
            listen: listen.unwrap_or(defaults.listen),
            health_listen: health_listen.unwrap_or(defaults.health_listen),
            client_ca,
            limits,
            drain,
        },
        parts,
    )
    .await?;

    let files = async move {
        match files {
            Some(files) => files.follow(serving, LOOK_EVERY).await,
            None => std::future::pending().await,
        }
    };
    let (stop_serving, stop_following) = (CancellationToken::new(), CancellationToken::new());
    let serve = server.run(stop_serving.clone().cancelled_owned());
    let follow = cluster::run(clients, options, outputs, stop_following.clone());
    let serving = async {
        tokio::select! {
            outcome = until_told(serve, &stop_serving, follow, &stop_following) => outcome,
            never = files => match never {},
        }
    };
    Box::pin(recording(recorder, &lines, serving)).await
}

/// Serves with a recorder that tells of repetitions meanwhile; at the end all that it still holds is written.
async fn recording<T>(recorder: Arc<Recorder>, lines: &JsonLines, serving: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let telling = tokio::spawn({
        let stop = stop.clone();
        async move { recorder.run(stop).await }
    });
    let outcome = serving.await;
    stop.cancel();
    if telling.await.is_err() || !lines.close(LAST_RECORDS).await {
        tracing::warn!("not all records could be written");
    }
    outcome
}

/// Runs server and cluster side by side. When told to end the server drains while the cluster is still followed, so that
/// what is decided until the last moment is decided by what holds.
async fn until_told(
    serve: impl Future<Output = ()>,
    stop_serving: &CancellationToken,
    follow: impl Future<Output = Result<(), cluster::Error>>,
    stop_following: &CancellationToken,
) -> anyhow::Result<()> {
    let (mut serve, mut follow) = (pin!(serve), pin!(follow));
    let ended = tokio::select! {
        told = told_to_end() => {
            told.context("cannot listen for signals")?;
            None
        }
        outcome = &mut follow => Some(outcome),
        () = &mut serve => anyhow::bail!("the server ended; this is a defect, restart ringfence and report it"),
    };
    stop_serving.cancel();
    let ended = if let Some(outcome) = ended {
        serve.await;
        outcome
    } else {
        tokio::select! {
            () = &mut serve => {
                stop_following.cancel();
                follow.await
            }
            outcome = &mut follow => {
                serve.await;
                outcome
            }
        }
    };
    ended.map_err(Into::into)
}

/// The API server's address and our credentials.
async fn config(kubeconfig: Option<PathBuf>) -> anyhow::Result<Config> {
    match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(&path)
                .with_context(|| format!("cannot read kubeconfig {}; check --kubeconfig", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("kubeconfig {} is of no use", path.display()))
        }
        None => Config::infer().await.context(
            "no API server is known: run in a pod with a service account, or give --kubeconfig (without a cluster: ringfence demo)",
        ),
    }
}
