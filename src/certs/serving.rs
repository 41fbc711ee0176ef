//! [`ServingCertificate`]: the certificate that TLS handshakes are answered with, swapped whole while connections go on.
//! None at first: handshakes fail and we are not ready until a source hands one in.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::metrics::Outcome;
use super::pair::Pair;
use super::{CertificateError, Metrics};
use crate::serve::Condition;

/// The certificate we serve with. Clones share it.
#[derive(Clone)]
pub struct ServingCertificate(Arc<State>);

struct State {
    certified: ArcSwapOption<CertifiedKey>,
    /// Digest of the pair in use, so that the same one again is no event.
    last: Mutex<Option<[u8; 32]>>,
    condition: Condition,
    metrics: Metrics,
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServingCertificate")
            .field("served", &self.0.certified.load().is_some())
            .finish_non_exhaustive()
    }
}

impl ServingCertificate {
    /// None yet; the condition is met once there is one.
    pub fn new(condition: Condition, metrics: Metrics) -> Self {
        condition.missing("no certificate to serve with yet");
        Self(Arc::new(State {
            certified: ArcSwapOption::empty(),
            last: Mutex::new(None),
            condition,
            metrics,
        }))
    }

    /// Serves new handshakes with this pair: a PEM chain, the serving certificate first, and its PEM key. The pair
    /// in use again changes nothing. One that cannot serve is refused, logged and counted, and the one in use stays.
    pub fn replace(&self, cert_pem: &[u8], key_pem: &[u8]) -> Result<(), CertificateError> {
        let mut last = self.0.last.lock();
        let digest = digest(cert_pem, key_pem);
        if *last == Some(digest) {
            return Ok(());
        }
        match Pair::from_pem(cert_pem, key_pem) {
            Ok(pair) => {
                *last = Some(digest);
                self.put(pair);
                Ok(())
            }
            Err(error) => {
                self.refused(&error);
                Err(error)
            }
        }
    }

    /// Logs and counts that a source had nothing that can serve; the certificate in use stays.
    pub(super) fn refused(&self, error: &dyn fmt::Display) {
        self.0.metrics.count(Outcome::refused);
        if self.0.certified.load().is_some() {
            tracing::error!(%error, "new serving certificate refused, the one in use stays");
        } else {
            tracing::error!(%error, "serving certificate refused, there is none to serve with");
            self.0.condition.missing(error.to_string());
        }
    }

    fn put(&self, pair: Pair) {
        let Pair { certified, not_after } = pair;
        self.0.certified.store(Some(Arc::new(certified)));
        self.0.metrics.not_after.set(not_after.as_second());
        self.0.metrics.count(Outcome::replaced);
        self.0.condition.met();
        tracing::info!(%not_after, "serving certificate in use");
    }
}

/// rustls asks at every handshake.
impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.certified.load_full()
    }
}

fn digest(cert_pem: &[u8], key_pem: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(cert_pem.len().to_le_bytes());
    digest.update(cert_pem);
    digest.update(key_pem);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::certs::own::{Issued, issue};
    use crate::serve::Readiness;

    struct Served {
        certificate: ServingCertificate,
        readiness: Readiness,
        registry: Registry,
    }

    impl Served {
        fn new() -> Self {
            let (readiness, mut registry) = (Readiness::new(), Registry::default());
            let metrics = Metrics::register(&mut registry);
            let certificate = ServingCertificate::new(readiness.condition("certificate"), metrics);
            Self {
                certificate,
                readiness,
                registry,
            }
        }

        fn replace(&self, cert: &str, key: &str) -> Result<(), CertificateError> {
            self.certificate.replace(cert.as_bytes(), key.as_bytes())
        }

        fn leaf(&self) -> Option<Vec<u8>> {
            let certified = self.certificate.0.certified.load_full()?;
            Some(certified.cert[0].to_vec())
        }

        fn has_metric(&self, line: &str) -> bool {
            let mut text = String::new();
            encode(&mut text, &self.registry).expect("encodes");
            text.lines().any(|found| found == line)
        }
    }

    fn issued() -> Issued {
        issue(&["localhost".to_owned()], &[]).expect("issues")
    }

    #[test]
    fn a_good_pair_is_served_and_makes_ready() {
        let served = Served::new();
        assert_eq!(served.leaf(), None);
        assert_eq!(served.readiness.missing().len(), 1);
        let pair = issued();
        served.replace(&pair.cert_pem, &pair.key_pem).expect("accepted");
        assert!(served.leaf().is_some());
        assert!(served.readiness.missing().is_empty());
        assert!(served.has_metric("ringfence_tls_certificate_reloads_total{result=\"replaced\"} 1"));
        assert!(!served.has_metric("ringfence_tls_certificate_not_after_timestamp_seconds 0"));
    }

    #[test]
    fn the_same_pair_again_is_no_event() {
        let (served, pair) = (Served::new(), issued());
        for _ in 0..3 {
            served.replace(&pair.cert_pem, &pair.key_pem).expect("accepted");
        }
        assert!(served.has_metric("ringfence_tls_certificate_reloads_total{result=\"replaced\"} 1"));
    }

    #[test]
    fn a_pair_that_cannot_serve_leaves_the_one_in_use() {
        let (served, pair, other) = (Served::new(), issued(), issued());
        served.replace(&pair.cert_pem, &pair.key_pem).expect("accepted");
        let before = served.leaf();
        let refused = |cert: &str, key: &str| {
            let error = served.replace(cert, key).expect_err("refused");
            assert_eq!(served.leaf(), before);
            error
        };
        assert!(matches!(
            refused(&other.cert_pem, &pair.key_pem),
            CertificateError::Mismatch(_)
        ));
        assert!(matches!(refused("", &pair.key_pem), CertificateError::NoCertificate));
        assert!(matches!(refused(&other.cert_pem, "no key"), CertificateError::NoKey(_)));
        assert!(matches!(
            refused(&other.cert_pem.replace("END", "AND"), &other.key_pem),
            CertificateError::BrokenCertificate(_)
        ));
        assert!(matches!(
            refused(&pair.ca_pem, &pair.key_pem),
            CertificateError::NoAlternativeName
        ));
        assert!(served.readiness.missing().is_empty());
        assert!(served.has_metric("ringfence_tls_certificate_reloads_total{result=\"refused\"} 5"));
    }

    #[test]
    fn the_pair_before_a_refused_one_may_come_back() {
        let (served, pair, other) = (Served::new(), issued(), issued());
        served.replace(&pair.cert_pem, &pair.key_pem).expect("accepted");
        served.replace(&other.cert_pem, &pair.key_pem).expect_err("refused");
        served.replace(&other.cert_pem, &other.key_pem).expect("accepted");
        let other_leaf = served.leaf();
        served.replace(&pair.cert_pem, &pair.key_pem).expect("accepted");
        assert_ne!(served.leaf(), other_leaf);
    }

    #[test]
    fn a_certificate_that_has_ended_is_refused() {
        let served = Served::new();
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("params");
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let pem = params.self_signed(&key).expect("signs").pem();
        let error = served.replace(&pem, &key.serialize_pem()).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "the certificate ended at 2020-01-01T00:00:00Z: issue a new one"
        );
        assert_eq!(served.readiness.missing()[0].reason, error.to_string());
    }
}
