//! [`issue`]: our own certificate authority and the serving certificate it signs, for installations without
//! cert-manager. In go the names that the API server will dial, out come three PEM texts. The authority's key signs once
//! and is dropped: whoever later reads what we keep can impersonate this one server, never mint another.

use std::net::IpAddr;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls_pki_types::DnsName;
use thiserror::Error;

/// A serving certificate with its authority, as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The authority's certificate: the `caBundle` of the webhook configuration.
    pub ca_pem: String,
    /// The serving certificate.
    pub cert_pem: String,
    /// The serving certificate's private key (PKCS #8).
    pub key_pem: String,
}

impl std::fmt::Debug for Issued {
    /// Without the key: certificates may be logged, keys never.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Issued")
            .field("ca_pem", &self.ca_pem)
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

/// Why no certificate could be issued.
#[derive(Debug, Error)]
pub enum IssueError {
    /// Nothing to issue for: Go clients look at the alternative names alone.
    #[error("a serving certificate needs at least one DNS name or IP address: name what the API server dials")]
    NoName,
    /// Not a host name.
    #[error("{0:?} is not a DNS name: give the host as the API server dials it, e.g. ringfence.ringfence-system.svc")]
    NotDnsName(String),
    /// The machine's clock is out of what a certificate can say.
    #[error("this machine's clock says {0}, for which no certificate can be made: set the clock")]
    Clock(Timestamp),
    /// Key generation or signing failed.
    #[error("could not make a certificate: {0}")]
    Signing(#[from] rcgen::Error),
}

/// How many days both certificates hold.
const VALID_DAYS: i64 = 365;

/// Issues a serving certificate for these names, signed by a new authority (ECDSA P-256). Both are valid from yesterday
/// (clocks differ) for a year.
pub fn issue(dns_names: &[String], ips: &[IpAddr]) -> Result<Issued, IssueError> {
    let validity = Validity::from(Timestamp::now())?;
    let names = alternative_names(dns_names, ips)?;

    let ca_key = KeyPair::generate()?;
    let ca = authority(validity);
    let ca_pem = ca.self_signed(&ca_key)?.pem();

    let key = KeyPair::generate()?;
    let cert_pem = serving(names, validity)
        .signed_by(&key, &Issuer::new(ca, ca_key))?
        .pem();
    Ok(Issued {
        ca_pem,
        cert_pem,
        key_pem: key.serialize_pem(),
    })
}

fn alternative_names(dns_names: &[String], ips: &[IpAddr]) -> Result<Vec<SanType>, IssueError> {
    if dns_names.is_empty() && ips.is_empty() {
        return Err(IssueError::NoName);
    }
    let dns = dns_names.iter().map(|name| {
        let refused = || IssueError::NotDnsName(name.clone());
        DnsName::try_from(name.as_str()).map_err(|_| refused())?;
        Ok(SanType::DnsName(name.as_str().try_into().map_err(|_| refused())?))
    });
    dns.chain(ips.iter().map(|ip| Ok(SanType::IpAddress(*ip)))).collect()
}

/// Signs, and nothing else; no authority below it.
fn authority(validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    validity.apply(&mut params);
    params.distinguished_name = named("ringfence webhook authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Serves TLS, and nothing else.
fn serving(names: Vec<SanType>, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    validity.apply(&mut params);
    params.distinguished_name = named("ringfence webhook");
    params.subject_alt_names = names;
    // Not `NoCa`: this writes the basic constraints and the subject key identifier, too.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Two authorities of one name stand in a bundle during rotation: verifiers tell them apart by this.
    params.use_authority_key_identifier_extension = true;
    params
}

fn named(common_name: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// From midnight (UTC) of one day to midnight of another.
#[derive(Debug, Clone, Copy)]
struct Validity {
    from: Date,
    until: Date,
}

impl Validity {
    fn from(now: Timestamp) -> Result<Self, IssueError> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let day = |days: i64| today.checked_add(days.days()).map_err(|_| IssueError::Clock(now));
        Ok(Self {
            from: day(-1)?,
            until: day(VALID_DAYS)?,
        })
    }

    fn apply(self, params: &mut CertificateParams) {
        let midnight = |date: Date| {
            rcgen::date_time_ymd(
                date.year().into(),
                date.month().unsigned_abs(),
                date.day().unsigned_abs(),
            )
        };
        params.not_before = midnight(self.from);
        params.not_after = midnight(self.until);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
    use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

    use super::*;

    fn issued() -> Issued {
        let names = ["ringfence.ringfence-system.svc".to_owned(), "localhost".to_owned()];
        issue(&names, &[[127, 0, 0, 1].into(), "::1".parse().expect("an address")]).expect("issues")
    }

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
    }

    fn verify(issued: &Issued, name: &str) -> Result<(), rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(der(&issued.ca_pem)).expect("a root");
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .expect("a verifier");
        let name = ServerName::try_from(name).expect("a name").to_owned();
        verifier
            .verify_server_cert(&der(&issued.cert_pem), &[], &name, &[], UnixTime::now())
            .map(|_| ())
    }

    fn extensions(certificate: &X509Certificate<'_>) -> Vec<String> {
        let mut all: Vec<String> = certificate
            .extensions()
            .iter()
            .map(|extension| match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(it) => format!("ca={} path={:?}", it.ca, it.path_len_constraint),
                ParsedExtension::KeyUsage(it) => format!("usage={it}"),
                ParsedExtension::ExtendedKeyUsage(it) => format!("server={} client={}", it.server_auth, it.client_auth),
                ParsedExtension::SubjectAlternativeName(it) => format!("names={}", it.general_names.len()),
                ParsedExtension::SubjectKeyIdentifier(it) => format!("subject={it:x}"),
                ParsedExtension::AuthorityKeyIdentifier(it) => {
                    format!("authority={:x}", it.key_identifier.as_ref().expect("an identifier"))
                }
                other => format!("{other:?}"),
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_client_that_trusts_the_authority_accepts_every_name() {
        let issued = issued();
        for name in ["ringfence.ringfence-system.svc", "localhost", "127.0.0.1", "::1"] {
            verify(&issued, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(verify(&issued, "example.org").is_err());
    }

    #[test]
    fn another_authority_of_the_same_name_is_not_trusted() {
        let (one, other) = (issued(), issued());
        let mixed = Issued {
            ca_pem: other.ca_pem,
            ..one
        };
        assert!(verify(&mixed, "localhost").is_err());
    }

    #[test]
    fn extensions_are_those_that_verifiers_ask_for() {
        let issued = issued();
        let (ca, leaf) = (der(&issued.ca_pem), der(&issued.cert_pem));
        let (_, ca) = X509Certificate::from_der(&ca).expect("parses");
        let (_, leaf) = X509Certificate::from_der(&leaf).expect("parses");
        let ca_extensions = extensions(&ca);
        let identifier = ca_extensions
            .iter()
            .find_map(|extension| extension.strip_prefix("subject="))
            .expect("a subject key identifier");
        assert!(
            ca_extensions.contains(&"ca=true path=Some(0)".to_owned()),
            "{ca_extensions:?}"
        );
        assert!(
            ca_extensions.contains(&"usage=Key Cert Sign, CRL Sign".to_owned()),
            "{ca_extensions:?}"
        );

        let leaf_extensions = extensions(&leaf);
        for expected in [
            format!("authority={identifier}"),
            "ca=false path=None".to_owned(),
            "names=4".to_owned(),
            "server=true client=false".to_owned(),
            "usage=Digital Signature".to_owned(),
        ] {
            assert!(leaf_extensions.contains(&expected), "{expected} in {leaf_extensions:?}");
        }
        assert!(
            leaf_extensions.iter().any(|it| it.starts_with("subject=")),
            "{leaf_extensions:?}"
        );
    }

    #[test]
    fn both_hold_for_a_year_from_yesterday() {
        let issued = issued();
        for pem in [&issued.ca_pem, &issued.cert_pem] {
            let der = der(pem);
            let (_, certificate) = X509Certificate::from_der(&der).expect("parses");
            let validity = certificate.validity();
            let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
            assert_eq!(days, VALID_DAYS + 1);
            assert!(validity.is_valid());
        }
    }

    #[test]
    fn the_key_is_of_the_certificate() {
        let issued = issued();
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).expect("a key");
        let provider = rustls::crypto::ring::default_provider();
        let certified = rustls::sign::CertifiedKey::from_der(vec![der(&issued.cert_pem)], key, &provider);
        certified.expect("fits").keys_match().expect("matches");
        assert!(!format!("{issued:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn names_that_no_client_could_dial_are_refused() {
        assert!(matches!(issue(&[], &[]), Err(IssueError::NoName)));
        let error = issue(&["ring fence".to_owned()], &[]).expect_err("refused");
        assert!(matches!(error, IssueError::NotDnsName(_)), "{error}");
    }
}
