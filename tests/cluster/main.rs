//! What follows the cluster and what one replica does for all, on a real API server, with the RBAC of `deploy/`.

mod configuration;
mod installed;
mod published;
mod replicas;
mod since;
mod webhooks;
