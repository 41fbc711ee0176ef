//! What ringfence is installed by, generated: RBAC, CRDs, Deployment, webhook configurations.

pub mod roles;
