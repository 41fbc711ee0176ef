//! [`Snapshot`]: the immutable view that one decision reads: configuration, namespaces, and since when what is enforced.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{NamespaceName, Since, Timestamp};
use crate::guardrails::Guardrails;
use crate::netpol::{Policy, PolicyName};

/// The immutable view that one decision reads. Made anew at every change and swapped whole; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The configuration in force.
    pub guardrails: Arc<Guardrails>,
    /// Every namespace as last seen; may lag behind the API server.
    pub namespaces: Arc<Namespaces>,
    /// Since when what is configured is enforced; may lag behind it.
    pub since: Arc<Since>,
    /// Every NetworkPolicy as last seen, where [`Guardrails::keeps_apart`]; empty where nothing is kept apart.
    pub policies: Arc<Policies>,
}

/// NetworkPolicies by namespace and name, as last seen.
pub type Policies = HashMap<PolicyName, Arc<Policy>>;

/// Namespaces by name, as last seen.
pub type Namespaces = HashMap<NamespaceName, Arc<Namespace>>;

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    /// Its uid: a namespace made anew under the same name has another.
    pub uid: String,
    /// Its labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// When it was made; none where nobody says, e.g. in manifests.
    pub created: Option<Timestamp>,
}
