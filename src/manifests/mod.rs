//! What ringfence is installed by, generated from tables in code: RBAC, CRDs, Deployment, webhook configuration,
//! self-protection. [`bundle`] gives every file of `deploy/`; `ringfence manifests` writes them, a test compares them.

mod bundle;
pub mod crds;
pub mod grants;
pub mod mutating;
pub mod names;
pub mod published;
mod rbac;
pub mod rights;
pub mod roles;
mod self_protection;
pub mod webhooks;
mod workload;
pub mod yaml;

pub use bundle::{File, GENERATED, Installation, bundle, stream};
