//! `kind: IsolationProfile`: the policies that a namespace gets before its first pod.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Direction, LabelSelector, NetworkPolicyPort, NetworkPolicySpec};

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
    /// How old the policies are before a pod of the namespace runs, e.g. `5s`: for networks that take effect late. At most
    /// 10m. Absent: a pod runs as soon as they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    pub settle: Option<String>,
}

/// One NetworkPolicy of a profile: either `builtin`, alone or with options, or `name` and `spec`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePolicy {
    /// A policy that ringfence brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinPolicy>,
    /// Options of the built-in policy, where its defaults do not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<BuiltinOptions>,
    /// Name of your own policy; the object is called `ringfence-NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The spec of your own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<NetworkPolicySpec>,
}

/// The policies that ringfence brings. Each selects every pod of the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltinPolicy {
    /// Nothing comes in but what another policy allows.
    DefaultDenyIngress,
    /// Nothing goes out but what another policy allows.
    DefaultDenyEgress,
    /// Names are resolved by the cluster's DNS. Takes namespaces or namespaceSelector, podSelector, addresses, ports.
    AllowDns,
    /// Pods of the namespace reach each other. Takes directions.
    AllowSameNamespace,
    /// The ingress controller reaches the namespace. Takes namespaces or namespaceSelector, podSelector, addresses, ports.
    AllowFromIngressController,
    /// Monitoring reaches the namespace. Takes namespaces or namespaceSelector, podSelector, addresses, ports.
    AllowFromMonitoring,
    /// The API server is reached. Takes addresses (needed) and ports.
    AllowToApiserver,
    /// Egress inside the cluster only: to pods, and to the addresses given.
    DenyExternalEgress,
}

/// Options of a built-in policy. Which of them a policy takes stands with its name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuiltinOptions {
    /// The namespaces of the other side by exact names. allow-dns: kube-system where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub namespaces: Option<Vec<String>>,
    /// The namespaces of the other side by their labels, instead of by names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The pods there. Absent: all; allow-dns where it says no namespaces either: `k8s-app: kube-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Addresses and ranges (CIDR) beside the pods: NodeLocal DNS (169.254.20.10), nodes of a host-network controller, the
    /// API server, the cluster's own ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub addresses: Option<Vec<String>>,
    /// Ports of the receiving side. Absent: 53 over UDP and TCP for allow-dns, 443 and 6443 for allow-to-apiserver, all for
    /// the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ports: Option<Vec<NetworkPolicyPort>>,
    /// allow-same-namespace: which directions it is about. Absent: those that other policies of the profile isolate, else
    /// Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub directions: Option<Vec<Direction>>,
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
