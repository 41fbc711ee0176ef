//! `kind: Segment`: a protected set of pods and whom its policies let in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LabelSelector;
use crate::model::Mode;

/// A protected set of pods (`members`) and whom its policies let in (`clients`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SegmentSpec {
    /// Shown in denials: what is protected, and whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What happens where this segment refuses. Absent: `spec.mode` of the Guardrails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Where this segment's permissions are asked. Absent: in the one namespace that `members` name, else at the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// Who is inside: placing such pods, changing what they run or relabelling them out needs `join`.
    #[schemars(length(min = 1))]
    pub members: Vec<ClauseSpec>,
    /// Whom the segment's policies let in: placing such pods or changing what they run needs `connect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClauseSpec>,
    /// What no policy may ever connect with the members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolated_from: Vec<SeparatedSpec>,
    /// Directions in which members are always selected by some policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_isolation: Vec<Direction>,
    /// Whether exec, port-forward and their kin into members and clients need `enter`.
    #[serde(default = "yes")]
    pub guard_access: bool,
}

fn yes() -> bool {
    true
}

/// Where a segment's permissions are asked: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// In the owner's namespace: who administers it grants by RoleBindings there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `true`: at the cluster, by ClusterRoleBindings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<bool>,
}

/// Pods: some namespaces, and a podSelector within them. Exactly one of `namespaces` and `namespaceSelector` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClauseSpec {
    /// Exact names of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub namespaces: Option<Vec<String>>,
    /// Namespaces by their labels; `{}` is every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Which pods there; `{}` is every pod.
    pub pod_selector: LabelSelector,
}

/// What a segment is kept apart from. Exactly one of `namespaces` and `namespaceSelector` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeparatedSpec {
    /// Exact names of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub namespaces: Option<Vec<String>>,
    /// Namespaces by their labels; `{}` is every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Which pods there. Absent: every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
}

/// A direction of traffic, as in a NetworkPolicy's policyTypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Into pods.
    Ingress,
    /// Out of pods.
    Egress,
}

impl Direction {
    /// The word as it stands among policyTypes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}
