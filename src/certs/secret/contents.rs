//! [`Contents`]: what is in the Secret, read and found fit, or the reason why not; and [`make`], which writes what is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use ringfence_core::guardrails::MANAGED_BY;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Names, SECRET};
use crate::certs::CertificateError;
use crate::certs::own::{IssueError, Issued, issue};
use crate::certs::pair::Pair;
use crate::serve::{PathToken, WeakToken};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITY: &str = "ca.crt";
const PATH: &str = "path";

/// What has to be in the Secret.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// The path, and a certificate for these names.
    CertificateFor(&'a Names),
    /// The path; the certificate is given in files.
    PathAlone,
}

/// What is in the Secret.
pub(super) struct Contents {
    pub(super) path: PathToken,
    /// None where the certificate is given in files.
    pub(super) pair: Option<Issued>,
}

/// Why what is in the Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// No path, or one that can be guessed.
    #[error(transparent)]
    Path(#[from] WeakToken),
    /// A key that is missing or is not text.
    #[error("its key {0} is missing or not text")]
    Missing(&'static str),
    /// A certificate that cannot serve.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An authority that is none.
    #[error("its ca.crt holds no certificate authority")]
    Authority,
    /// A certificate that the API server would not accept under a name that it dials.
    #[error("its certificate is not accepted for {name}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        reason: rustls::Error,
    },
}

impl Contents {
    /// Reads a Secret and makes sure that the API server would accept us by it now.
    pub(super) fn read(secret: &Secret, wanted: Wanted<'_>) -> Result<Self, Unfit> {
        let path = PathToken::parse(text(secret, PATH).unwrap_or_default())?;
        let pair = match wanted {
            Wanted::PathAlone => None,
            Wanted::CertificateFor(names) => Some(pair(secret, names)?),
        };
        Ok(Self { path, pair })
    }
}

fn text<'a>(secret: &'a Secret, key: &'static str) -> Result<&'a str, Unfit> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    bytes
        .and_then(|ByteString(bytes)| std::str::from_utf8(bytes).ok())
        .ok_or(Unfit::Missing(key))
}

fn pair(secret: &Secret, names: &Names) -> Result<Issued, Unfit> {
    let issued = Issued {
        ca_pem: text(secret, AUTHORITY)?.to_owned(),
        cert_pem: text(secret, CERTIFICATE)?.to_owned(),
        key_pem: text(secret, KEY)?.to_owned(),
    };
    Pair::from_pem(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes())?;
    accepted(&issued, names)?;
    Ok(issued)
}

/// Whether a client that trusts the authority accepts the certificate under each name, now.
fn accepted(issued: &Issued, names: &Names) -> Result<(), Unfit> {
    let trusting = verifier(&issued.ca_pem).ok_or(Unfit::Authority)?;
    let chain = chain(&issued.cert_pem);
    let (leaf, intermediates) = chain
        .split_first()
        .ok_or(Unfit::Certificate(CertificateError::NoCertificate))?;
    let dns = names
        .dns
        .iter()
        .map(|name| (name.clone(), ServerName::try_from(name.clone())));
    let ips = names.ips.iter().map(|ip| (ip.to_string(), Ok(ServerName::from(*ip))));
    for (name, dialled) in dns.chain(ips) {
        let verified = dialled
            .map_err(|_| rustls::Error::General("not a DNS name".to_owned()))
            .and_then(|dialled| trusting.verify_server_cert(leaf, intermediates, &dialled, &[], UnixTime::now()));
        if let Err(reason) = verified {
            return Err(Unfit::Name { name, reason });
        }
    }
    Ok(())
}

fn verifier(ca_pem: &str) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in chain(ca_pem) {
        roots.add(authority).ok()?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .ok()
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .filter_map(Result::ok)
        .collect()
}

/// The names that the certificate in a Secret is for, fit or not.
fn names_in(secret: &Secret) -> Names {
    let chain = chain(text(secret, CERTIFICATE).unwrap_or_default());
    let mut names = Names::default();
    let Some((_, certificate)) = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok()) else {
        return names;
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return names;
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) if ServerName::try_from(*name).is_ok() => names.dns.push((*name).to_owned()),
            GeneralName::IPAddress(octets) => {
                let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(*octets).map(IpAddr::from);
                names.ips.extend(v4.or(v6));
            }
            _ => {}
        }
    }
    names
}

/// What has to be written: in the place of what stands, where something does. Its path is kept if it is one; keys that are
/// not ours are left alone.
pub(super) fn make(live: Option<&Secret>, wanted: Wanted<'_>) -> Result<Secret, IssueError> {
    let kept = live.and_then(|secret| PathToken::parse(text(secret, PATH).ok()?).ok());
    let path = kept.unwrap_or_else(PathToken::generate);
    let mut data = live.and_then(|secret| secret.data.clone()).unwrap_or_default();
    let mut put = |key: &str, value: String| data.insert(key.to_owned(), ByteString(value.into_bytes()));
    put(PATH, path.as_str().to_owned());
    if let Wanted::CertificateFor(names) = wanted {
        let names = names.and(live.map(names_in).unwrap_or_default());
        let Issued {
            ca_pem,
            cert_pem,
            key_pem,
        } = issue(&names.dns, &names.ips)?;
        put(AUTHORITY, ca_pem);
        put(CERTIFICATE, cert_pem);
        put(KEY, key_pem);
    }
    let ours = BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())]);
    let mut secret = live.cloned().unwrap_or_else(|| Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    });
    secret.metadata.labels.get_or_insert_default().extend(ours);
    secret.data = Some(data);
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: Option<&str>) -> Names {
        Names::of("ringfence-system", url).expect("valid")
    }

    fn made(live: Option<&Secret>, names: &Names) -> Secret {
        make(live, Wanted::CertificateFor(names)).expect("issues")
    }

    fn read(secret: &Secret, names: &Names) -> Result<Contents, Unfit> {
        Contents::read(secret, Wanted::CertificateFor(names))
    }

    fn fit(secret: &Secret, names: &Names) -> Contents {
        read(secret, names).unwrap_or_else(|unfit| panic!("{unfit}"))
    }

    /// With one key changed.
    fn with(secret: &Secret, key: &str, value: Option<&[u8]>) -> Secret {
        let mut secret = secret.clone();
        let data = secret.data.get_or_insert_default();
        match value {
            Some(value) => data.insert(key.to_owned(), ByteString(value.to_vec())),
            None => data.remove(key),
        };
        secret
    }

    #[test]
    fn what_is_made_is_fit() {
        let names = names(Some("https://127.0.0.1:8443"));
        let secret = made(None, &names);
        let contents = fit(&secret, &names);
        assert_eq!(contents.path.as_str().len(), 43);
        assert!(contents.pair.is_some());
        assert_ne!(contents.path.as_str(), fit(&made(None, &names), &names).path.as_str());
    }

    #[test]
    fn what_is_broken_is_found_and_made_anew_with_the_path_that_stood() {
        let names = names(None);
        let good = made(None, &names);
        let other = made(None, &names);
        let others_key = other.data.as_ref().expect("data")[KEY].0.as_slice();
        let others_authority = other.data.as_ref().expect("data")[AUTHORITY].0.as_slice();
        let broken = [
            with(&good, CERTIFICATE, None),
            with(&good, CERTIFICATE, Some(b"\xff")),
            with(&good, CERTIFICATE, Some(b"no certificate")),
            with(&good, KEY, Some(others_key)),
            with(&good, AUTHORITY, Some(others_authority)),
            with(&good, AUTHORITY, Some(b"")),
        ];
        let path = fit(&good, &names).path;
        for secret in broken {
            assert!(read(&secret, &names).is_err());
            let repaired = fit(&made(Some(&secret), &names), &names);
            assert_eq!(repaired.path.as_str(), path.as_str());
        }
    }

    #[test]
    fn a_path_that_can_be_guessed_is_replaced() {
        let names = names(None);
        let weak = with(&made(None, &names), PATH, Some(b"guess-me"));
        assert!(matches!(read(&weak, &names), Err(Unfit::Path(_))));
        assert!(read(&made(Some(&weak), &names), &names).is_ok());
    }

    #[test]
    fn a_name_that_is_missing_is_added_and_none_is_lost() {
        let (old, new) = (
            names(Some("https://10.0.0.1")),
            names(Some("https://hooks.example.org")),
        );
        let secret = made(None, &old);
        assert!(matches!(read(&secret, &new), Err(Unfit::Name { .. })));
        let both = made(Some(&secret), &new);
        assert!(read(&both, &new).is_ok());
        assert!(
            read(&both, &old).is_ok(),
            "replicas of two versions would undo what the other did"
        );
    }

    #[test]
    fn with_a_given_certificate_the_path_is_all() {
        let secret = make(None, Wanted::PathAlone).expect("made");
        assert_eq!(secret.data.as_ref().map(BTreeMap::len), Some(1));
        assert!(Contents::read(&secret, Wanted::PathAlone).is_ok());
        assert!(read(&secret, &names(None)).is_err());
    }

    #[test]
    fn what_others_put_there_stays() {
        let names = names(None);
        let mut secret = with(&made(None, &names), "note", Some(b"mine"));
        secret.metadata.resource_version = Some("7".to_owned());
        let again = made(Some(&with(&secret, KEY, None)), &names);
        assert_eq!(again.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(again.data.expect("data")["note"].0, b"mine");
    }
}
