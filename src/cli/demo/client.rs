//! [`Client`]: sends reviews as the API server does, over TLS, trusting the authority of the `caBundle` and no other.

use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ringfence_core::review::Webhook;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::local::Local;

/// One connection to the webhook.
pub(super) struct Client {
    host: String,
    path: String,
    requests: SendRequest<Full<Bytes>>,
    _connection: AbortOnDropHandle<hyper::Result<()>>,
}

impl Client {
    /// Connects.
    pub(super) async fn connect(server: &Local) -> anyhow::Result<Self> {
        let address = server.address();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(server.ca_pem().as_bytes())?)?;
        let configuration = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        let tls = TlsConnector::from(Arc::new(configuration))
            .connect(ServerName::from(address.ip()), tcp)
            .await
            .with_context(|| format!("no TLS with {address}"))?;
        let (requests, connection) = http1::handshake(TokioIo::new(tls)).await?;
        Ok(Self {
            host: address.to_string(),
            path: server.path(Webhook::Workloads),
            requests,
            _connection: AbortOnDropHandle::new(tokio::spawn(connection)),
        })
    }

    /// Sends one AdmissionReview and gives the `response` of the answer, which is to the same uid.
    pub(super) async fn review(&mut self, body: &'static str) -> anyhow::Result<Value> {
        let request = Request::post(&self.path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(body.as_bytes())))?;
        self.requests
            .ready()
            .await
            .context("the server closed the connection")?;
        let response = self.requests.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "HTTP {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        let sent: Value = serde_json::from_str(body).context("the recorded review is not JSON")?;
        let mut answer: Value = serde_json::from_slice(&answer).context("the answer is not JSON")?;
        let uid = &answer["response"]["uid"];
        ensure!(*uid == sent["request"]["uid"], "the answer is to another review: {uid}");
        Ok(answer["response"].take())
    }
}
