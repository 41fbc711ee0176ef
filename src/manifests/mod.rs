//! What ringfence is installed by, generated: RBAC, CRDs, Deployment, webhook configurations.
