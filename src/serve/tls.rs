//! The TLS side of the review listener: 1.2 and 1.3, HTTP/2 and HTTP/1.1, and client certificates where an authority for
//! them is given.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;

use crate::certs::ServingCertificate;

/// Why no TLS can be served.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The client authority's file is not PEM.
    #[error("the client CA is not PEM: {0}")]
    Pem(#[from] pem::Error),
    /// Nothing in the client authority's file.
    #[error(
        "the client CA has no certificate: give a PEM file with the authority that signed the API server's client certificate"
    )]
    NoAuthority,
    /// Not a certificate that can be trusted.
    #[error("the client CA cannot be used: {0}")]
    Authority(rustls::Error),
    /// It cannot verify clients.
    #[error("the client CA cannot verify clients: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The crypto provider lacks what the protocol versions need.
    #[error("TLS cannot be set up: {0}")]
    Protocol(rustls::Error),
}

/// By ALPN, what we prefer first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Answers handshakes with the certificate in use; with a client authority, only of clients with a certificate of it.
pub(super) fn configuration(
    certificate: ServingCertificate,
    client_ca: Option<&[u8]>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let roots = Arc::new(authorities(pem)?);
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(roots, provider).build()?)
        }
    };
    let mut configuration = builder.with_cert_resolver(Arc::new(certificate));
    configuration.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(configuration))
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate?).map_err(TlsError::Authority)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoAuthority);
    }
    Ok(roots)
}
