//! [`Local`]: the real server on loopback, with a certificate of its own, for commands that need no cluster. A reviewer in,
//! URLs and the authority to trust out; it ends with its owner.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use ringfence_core::review::Webhook;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::certs::{self, ServingCertificate, own};
use crate::serve::{self, Drain, Limits, Options, Parts, PathToken, PathTokens, Readiness, Reviewer, Server};

/// A running server.
#[derive(Debug)]
pub struct Local {
    address: SocketAddr,
    health_address: SocketAddr,
    ca_pem: String,
    token: PathToken,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    /// For reviews, over TLS.
    pub reviews: SocketAddr,
    /// For health and metrics.
    pub health: SocketAddr,
}

impl Listen {
    /// Free ports of loopback.
    pub const FREE: Self = Self {
        reviews: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        health: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    };
}

impl Local {
    /// Serves this reviewer; `registry` holds the metrics of whoever made it.
    pub async fn start<R: Reviewer>(
        reviewer: R,
        mut registry: Registry,
        listen: Listen,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let readiness = Readiness::new();
        let certificate = ServingCertificate::new(
            readiness.condition("certificate"),
            certs::Metrics::register(&mut registry),
        );
        let issued = own::issue(&["localhost".to_owned()], &dialled(listen.reviews.ip()))?;
        certificate
            .replace(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes())
            .context("our own certificate cannot be served")?;
        let (tokens, token) = (PathTokens::new(), PathToken::generate());
        tokens.replace([token.clone()]);
        let metrics = serve::Metrics::register(&mut registry);
        let options = Options {
            listen: listen.reviews,
            health_listen: listen.health,
            limits,
            // Nobody has to hear that we leave.
            drain: Drain {
                grace: Duration::ZERO,
                ..Drain::default()
            },
            ..Options::default()
        };
        let parts = Parts {
            reviewer,
            certificate,
            tokens,
            readiness,
            metrics,
            registry: Arc::new(registry),
        };
        let server = Server::bind(options, parts).await?;
        let (address, health_address) = (server.local_addr(), server.health_addr());
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        Ok(Self {
            address,
            health_address,
            ca_pem: issued.ca_pem,
            token,
            stop,
            running,
        })
    }

    /// Where reviews come in, as a client on this machine dials it.
    pub fn address(&self) -> SocketAddr {
        dialable(self.address)
    }

    /// Where health and metrics are asked for, likewise.
    pub fn health_address(&self) -> SocketAddr {
        dialable(self.health_address)
    }

    /// The authority that signed the serving certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The path of a webhook.
    pub fn path(&self, webhook: Webhook) -> String {
        format!("/{}/{}", self.token.as_str(), webhook.path())
    }

    /// The URL of a webhook.
    pub fn url(&self, webhook: Webhook) -> String {
        format!("https://{}{}", self.address(), self.path(webhook))
    }

    /// Ends it once what is in flight is answered.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.running.await.context("the server did not end as it should")
    }
}

/// All addresses of this machine are no address to dial: loopback is among them.
fn dialable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// The addresses that the certificate is for.
fn dialled(listen: IpAddr) -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    if !listen.is_unspecified() && !addresses.contains(&listen) {
        addresses.push(listen);
    }
    addresses
}
