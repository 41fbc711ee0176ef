//! The control plane's own certificate authority and signing key: elliptic curves, because RSA keys
//! would take a good part of the time in which a control plane starts.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A certificate or key that could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The cryptography library refused.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The file system did.
    #[error("cannot keep a certificate or key: {0}")]
    File(#[from] io::Error),
}

/// Signs the certificates of one control plane.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

/// A certificate and its key, as PEM files.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The keys of service account tokens, as PEM files.
#[derive(Debug)]
pub(crate) struct TokenKeys {
    pub(crate) private: PathBuf,
    pub(crate) public: PathBuf,
}

impl Authority {
    /// A new authority that keeps its files in `directory`.
    pub(crate) fn new(directory: &Path) -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "ringfence-controlplane");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::create_dir_all(directory)?;
        let authority = Self {
            issuer,
            directory: directory.to_owned(),
        };
        fs::write(authority.certificate(), authority.pem())?;
        Ok(authority)
    }

    /// The authority's own certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The file of [`Authority::pem`].
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// Issues a certificate for a server on these names or addresses, or for a client.
    pub(crate) fn issue(&self, name: &str, addresses: &[&str]) -> Result<Identity, AuthorityError> {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        let mut params = CertificateParams::new(addresses)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.directory.join(format!("{name}.crt")),
            key: self.directory.join(format!("{name}.key")),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }

    /// Makes the key pair that service account tokens are signed with and verified by.
    pub(crate) fn token_keys(&self) -> Result<TokenKeys, AuthorityError> {
        let pair = KeyPair::generate()?;
        let keys = TokenKeys {
            private: self.directory.join("service-account.key"),
            public: self.directory.join("service-account.pub"),
        };
        fs::write(&keys.private, pair.serialize_pem())?;
        fs::write(&keys.public, pair.public_key_pem())?;
        Ok(keys)
    }
}
