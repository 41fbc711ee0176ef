//! [`Server`]: both listeners, bound, and their life until everything in flight is finished.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::{Accept, accept_until};
use super::connection::{KeepAlive, Serving};
use super::connections::Connections;
use super::metrics::Listener;
use super::{
    Drain, Limits, Metrics, Options, PathTokens, Readiness, Reviewer, TlsError, health, open_files, router, tls,
};
use crate::certs::ServingCertificate;

/// What the server serves, and what others set while it does.
#[derive(Debug)]
pub struct Parts<R> {
    /// Who decides.
    pub reviewer: R,
    /// The certificate in use.
    pub certificate: ServingCertificate,
    /// The paths that are answered.
    pub tokens: PathTokens,
    /// What `/readyz` says; told to drain when we do.
    pub readiness: Readiness,
    /// Registered in `registry`.
    pub metrics: Metrics,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
}

/// Why we cannot serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The server, bound but not yet running: clients that connect now wait.
pub struct Server {
    reviews: Gate<TcpListener>,
    health: Gate<TcpListener>,
    addresses: [SocketAddr; 2],
    readiness: Readiness,
    drain: Drain,
}

impl Server {
    /// Binds both listeners.
    #[expect(
        clippy::unused_async,
        reason = "sockets need a runtime, which only an async caller surely has"
    )]
    pub async fn bind<R: Reviewer>(options: Options, parts: Parts<R>) -> Result<Self, ServeError> {
        let Options {
            listen,
            health_listen,
            client_ca,
            limits,
            drain,
        } = options;
        let Parts {
            reviewer,
            certificate,
            tokens,
            readiness,
            metrics,
            registry,
        } = parts;
        open_files::raise_to(limits.connections + limits.health_connections);
        let tls = tls::configuration(certificate, client_ca.as_deref())?;
        let (reviews, review_address) = bind(listen)?;
        let (health, health_address) = bind(health_listen)?;
        Ok(Self {
            reviews: Gate::new(
                reviews,
                Connections::new(limits.connections, Listener::reviews, metrics.clone()),
                Serving {
                    tls: Some(TlsAcceptor::from(tls)),
                    router: router::router(reviewer, tokens, &limits, metrics.clone()),
                    keep_alive: KeepAlive::Yes,
                    ..Serving::plain(limits.clone())
                },
            ),
            health: Gate::new(
                health,
                Connections::new(limits.health_connections, Listener::health, metrics),
                Serving {
                    router: health::router(readiness.clone(), registry),
                    ..Serving::plain(limits)
                },
            ),
            addresses: [review_address, health_address],
            readiness,
            drain,
        })
    }

    /// Where reviews come in.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where health is asked for.
    pub fn health_addr(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// Serves until `shutdown` is ready, then drains: no longer ready at once; accepting for the grace; then no new
    /// connections, open ones finish what they are answering, at the latest by the deadline. Dropping this ends everything
    /// at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            reviews,
            health,
            addresses: [review_address, health_address],
            readiness,
            drain,
        } = self;
        tracing::info!(%review_address, %health_address, "serving");
        let [stop_reviews, stop_health] = [reviews.stop.clone(), health.stop.clone()];
        let order = async {
            shutdown.await;
            readiness.drain();
            tracing::info!(grace = ?drain.grace, deadline = ?drain.deadline, "draining");
            sleep(drain.grace).await;
            stop_reviews.cancel();
        };
        let reviews = async {
            reviews.run(&drain).await;
            // Last, so that whoever asks is told that we leave for as long as we are here.
            stop_health.cancel();
        };
        tokio::join!(order, reviews, health.run(&drain));
        tracing::info!("served everything");
    }
}

/// Connections that the kernel holds until we accept them; `net.core.somaxconn` caps it. The usual 128 to 1,024 overflow
/// in a burst, and then the kernel drops whoever comes, the API server as well.
const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // The port is ours again at once after a restart.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    listen().map_err(|source| ServeError::Bind { address, source })
}

/// One listener with all its connections.
struct Gate<A> {
    listener: A,
    connections: Connections,
    serving: Serving,
    /// Accepts no more.
    stop: CancellationToken,
}

impl<A: Accept> Gate<A> {
    fn new(listener: A, connections: Connections, serving: Serving) -> Self {
        Self {
            listener,
            connections,
            serving,
            stop: CancellationToken::new(),
        }
    }

    /// Accepts until stopped, then lets every connection finish, at the latest by the deadline.
    async fn run(self, drain: &Drain) {
        let Self {
            listener,
            connections,
            serving,
            stop,
        } = self;
        // Also when this is dropped half way: nothing outlives its owner.
        let _abort = serving.abort.clone().drop_guard();
        let leave = CancellationToken::new();
        accept_until(&stop, listener, &connections, &serving, &leave).await;
        leave.cancel();
        serving.tasks.close();
        if timeout(drain.deadline, serving.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = serving.tasks.len(),
                "not everything finished in time; dropping the rest"
            );
            serving.abort.cancel();
            serving.tasks.wait().await;
        }
    }
}

impl Serving {
    /// Plain HTTP, one request a connection, no routes.
    fn plain(limits: Limits) -> Self {
        Self {
            tls: None,
            router: axum::Router::new(),
            keep_alive: KeepAlive::No,
            limits,
            tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
        }
    }
}
