//! `kind: Guardrails`: what holds everywhere, and how strictly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CheckConfiguration;
use crate::model::Mode;

/// What holds everywhere, and how strictly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardrailsSpec {
    /// What happens where a rule refuses, for segments and checks that do not say: Enforce denies, Warn lets in and
    /// says so, Audit lets in and records.
    #[serde(default)]
    pub mode: Mode,
    /// The most that happens in a namespace; the weaker of this and the rule's mode holds. Absent: no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
    /// Namespaces (exact names) where a failure of ringfence never blocks anything. Those that run the cluster belong
    /// here: add the ones of your network, storage and DNS plugins. What their service accounts write of policies that
    /// ringfence does not read is let in. Absent: kube-system, kube-public, kube-node-lease, ringfence-system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_namespaces: Option<Vec<String>>,
    /// How new namespaces are isolated. Absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Which checks are made on policies and placements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckConfiguration>,
    /// Whether one who may write a segment's policies may also place pods in it or among its clients. Absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separation_of_duties: Option<SeparationOfDuties>,
    /// Deployers whose own rights say nothing about who asked (Argo CD, Flux).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<Delegate>,
    /// Custom kinds that make pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
    /// Limits of break-glass exceptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceptions: Option<ExceptionLimits>,
}

/// The most that happens in a namespace; the weaker of this and the rule's mode holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutSpec {
    /// The cap for namespaces that are not named below. Absent: no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Mode>,
    /// The cap for single namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceCap>,
}

/// The most that happens in one namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespaceCap {
    /// Name of the namespace.
    pub name: String,
    /// The most that happens there.
    pub mode: Mode,
}

/// How new namespaces are isolated before their first pod exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Isolation {
    /// What happens where a namespace's policies do not stand. Absent: `spec.mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The IsolationProfile of namespaces that do not choose one; `none` is the reserved one without policies.
    pub default_profile: String,
    /// What happens with namespaces that were there before. Absent: Report.
    #[serde(default)]
    pub existing_namespaces: ExistingNamespaces,
}

/// What happens with namespaces that were there before isolation was configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExistingNamespaces {
    /// They are listed, nothing is changed.
    #[default]
    Report,
    /// They get the policies of their profile too.
    Isolate,
}

/// Whether one who may write a segment's policies may also place pods in it or among its clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeparationOfDuties {
    /// What happens where one holds both; never stricter than the segment itself. Absent: `spec.mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Groups whose members this is not asked of: `system:masters` belongs here, who hold every permission.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exempt_groups: Vec<String>,
}

/// A deployer whose own rights say nothing about who asked: its requests are reviewed a second time, as another user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delegate {
    /// The deployer's username, e.g. `system:serviceaccount:argocd:argocd-application-controller`.
    pub user: String,
    /// The user as whom its requests are reviewed too: one that only RoleBindings name and no credential exists for.
    /// `{namespace}` stands for the namespace of the object.
    pub review_as: String,
}

/// A custom kind that makes pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// API group, e.g. `argoproj.io`.
    pub group: String,
    /// API version, e.g. `v1alpha1`.
    pub version: String,
    /// Plural resource, e.g. `rollouts`.
    pub resource: String,
    /// JSON pointer (RFC 6901) to the pod template, or to a list of them, e.g. `/spec/template`.
    pub template: String,
    /// Usernames of the controllers that make this kind's pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<String>,
}

/// Limits of break-glass exceptions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExceptionLimits {
    /// The longest that an exception holds, in hours, minutes and seconds: `4h`, `1h30m`, `90m`.
    #[schemars(regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    pub max_duration: String,
}
