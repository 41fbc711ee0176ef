//! `kind: IsolationProfile`: the policies that a namespace gets before its first pod.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::NetworkPolicySpec;

/// The policies that a namespace gets before its first pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IsolationProfileSpec {
    /// NetworkPolicies: built-in ones by name, or your own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<ProfilePolicy>,
    /// Namespaced policies of kinds that ringfence does not read (CiliumNetworkPolicy, ...), applied as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Manifest>,
}

/// One NetworkPolicy of a profile: either `builtin`, or `name` and `spec`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePolicy {
    /// A policy that ringfence brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinPolicy>,
    /// Name of your own policy; the object is called `ringfence-NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The spec of your own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<NetworkPolicySpec>,
}

/// The policies that ringfence brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltinPolicy {
    /// Nothing comes in but what another policy allows.
    DefaultDenyIngress,
    /// Nothing goes out but what another policy allows.
    DefaultDenyEgress,
    /// Names are resolved by the cluster's DNS.
    AllowDns,
    /// Pods of the namespace reach each other.
    AllowSameNamespace,
    /// The ingress controller reaches the namespace.
    AllowFromIngressController,
    /// Monitoring reaches the namespace.
    AllowFromMonitoring,
    /// The API server is reached.
    AllowToApiserver,
    /// Egress inside the cluster only.
    DenyExternalEgress,
}

impl BuiltinPolicy {
    /// The word as it stands in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DefaultDenyIngress => "default-deny-ingress",
            Self::DefaultDenyEgress => "default-deny-egress",
            Self::AllowDns => "allow-dns",
            Self::AllowSameNamespace => "allow-same-namespace",
            Self::AllowFromIngressController => "allow-from-ingress-controller",
            Self::AllowFromMonitoring => "allow-from-monitoring",
            Self::AllowToApiserver => "allow-to-apiserver",
            Self::DenyExternalEgress => "deny-external-egress",
        }
    }
}

/// A whole object of a kind that ringfence does not read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(pub serde_json::Map<String, serde_json::Value>);

impl JsonSchema for Manifest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Manifest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A whole object: apiVersion, kind, metadata and whatever its kind has.",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}
