//! Certificates: what we serve with ([`ServingCertificate`]), from [`files`] with reload, or our [`own`], kept in a
//! Secret. A source hands in PEM text; a pair that cannot serve is refused and the one before it stays.

pub mod files;
mod metrics;
pub mod own;
mod pair;
pub mod secret;
mod serving;

pub use metrics::Metrics;
pub use pair::CertificateError;
pub use serving::ServingCertificate;
