//! A certificate chain with its key, parsed from PEM and checked for what the API server will check: that the key is the
//! certificate's, that it has not ended, and that it names something.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate cannot serve.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// No `CERTIFICATE` section.
    #[error("no certificate in the PEM text: it needs the serving certificate first, then its intermediates")]
    NoCertificate,
    /// Broken PEM around a certificate.
    #[error("the certificate is not PEM: {0}")]
    BrokenCertificate(pem::Error),
    /// No private key, or broken PEM around it.
    #[error("no private key in the PEM text (PKCS #8, PKCS #1 or SEC 1, not encrypted): {0}")]
    NoKey(pem::Error),
    /// The key is another's, or of a kind we cannot sign with.
    #[error("certificate and key do not serve together: {0}")]
    Mismatch(rustls::Error),
    /// Not an X.509 certificate.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(x509_parser::nom::Err<x509_parser::error::X509Error>),
    /// It has ended.
    #[error("the certificate ended at {0}: issue a new one")]
    Ended(jiff::Timestamp),
    /// Go clients, the API server among them, look at the alternative names alone.
    #[error("the certificate has no subjectAltName, without which the API server refuses it: issue one with DNS names")]
    NoAlternativeName,
}

/// A pair that can serve.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certified: CertifiedKey,
    pub(super) not_after: jiff::Timestamp,
}

impl Pair {
    pub(super) fn from_pem(cert_pem: &[u8], key_pem: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert_pem)
            .collect::<Result<_, _>>()
            .map_err(CertificateError::BrokenCertificate)?;
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        let not_after = usable_until(leaf)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(CertificateError::NoKey)?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        Ok(Self {
            certified: certified.map_err(CertificateError::Mismatch)?,
            not_after,
        })
    }
}

fn usable_until(leaf: &CertificateDer<'_>) -> Result<jiff::Timestamp, CertificateError> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(CertificateError::Unreadable)?;
    let named = certificate
        .subject_alternative_name()
        .is_ok_and(|names| names.is_some_and(|names| !names.value.general_names.is_empty()));
    if !named {
        return Err(CertificateError::NoAlternativeName);
    }
    let ends = certificate.validity().not_after.timestamp();
    // A certificate says years up to 9999, as does jiff.
    let not_after = jiff::Timestamp::from_second(ends).unwrap_or(jiff::Timestamp::MAX);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if u64::try_from(ends).unwrap_or(0) <= now {
        return Err(CertificateError::Ended(not_after));
    }
    Ok(not_after)
}
