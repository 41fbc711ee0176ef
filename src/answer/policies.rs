//! The NetworkPolicies of a namespace as they stand now, compiled: what still holds its pods.

use std::sync::Arc;

use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{Leniency, NetworkPolicySpec, Policy};
use serde::Deserialize;
use serde_json::Value;

use super::calls::{CallError, Calls, collection};

/// What of a NetworkPolicy says what it does, and for how long.
#[derive(Debug, Deserialize)]
struct Stored {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

impl Calls {
    /// The NetworkPolicies of a namespace, without their rules. Those that are being deleted are left out: a finalizer holds them up, and
    /// whoever takes it away is not asked again. So is what cannot be read.
    pub(super) async fn policies(&self, namespace: &NamespaceName) -> Result<Vec<Arc<Policy>>, CallError> {
        let path = collection("networking.k8s.io", "v1", namespace, "networkpolicies");
        let mut policies = Vec::new();
        self.pages(&path, "", |stored: Stored| {
            policies.extend(compiled(namespace, stored).map(Arc::new));
        })
        .await?;
        Ok(policies)
    }
}

fn compiled(namespace: &NamespaceName, stored: Stored) -> Option<Policy> {
    let Stored { metadata, spec } = stored;
    if metadata.deletion_timestamp.is_some() {
        return None;
    }
    let spec: Option<NetworkPolicySpec> = serde_json::from_value(spec).ok()?;
    let spec = spec.unwrap_or_default();
    let mut policy = Policy::read(namespace.as_str(), &metadata.name, &spec, Leniency::Stored).ok()?;
    // Which pods it holds in which direction is asked, not whom it lets in: there may be megabytes of that.
    for rules in [&mut policy.ingress, &mut policy.egress].into_iter().flatten() {
        *rules = Vec::new();
    }
    Some(policy)
}
