//! [`WRITE_PATHS`]: every path by which a label, or code under a label, reaches a pod, and by which the policies that hold
//! pods are written. One row a path: the webhook rules, their matchConditions, the decoding and the documentation all
//! come from it.

mod table;

pub use self::table::WRITE_PATHS;
use super::conditions::Condition;
use super::decode::CustomKinds;
use super::webhook::Webhook;
use crate::guardrails::{PolicyKind, Workload};
use crate::model::Operation;

/// One write path.
#[derive(Debug)]
pub struct WritePath {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Served API versions that carry it; matchPolicy Equivalent converts the others.
    pub versions: &'static [&'static str],
    /// Plural resource.
    pub resource: &'static str,
    /// Subresource, empty for the object itself.
    pub subresource: &'static str,
    /// Which operations.
    pub operations: &'static [Operation],
    /// What of the object is read.
    pub shape: Shape,
    /// The kind as messages name it.
    pub kind: &'static str,
    /// Which requests of it reach us.
    pub condition: Condition,
    /// The webhook that fails closed for it; [`Webhook::Open`] has every path.
    pub webhook: Webhook,
    /// What the API server does, and how ringfence answers.
    pub doc: &'static str,
}

/// What of a request is read, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A pod, with what its containers run.
    Pod,
    /// An object with a pod template at this JSON pointer, given as its segments.
    Template(&'static [&'static str]),
    /// A namespace, with its labels.
    Namespace,
    /// A NetworkPolicy, with what it says.
    NetworkPolicy,
    /// A policy of a kind that ringfence does not read, with its text.
    UnreadPolicy(Extent),
    /// A Binding, whose labels are laid over the pod's.
    Binding,
    /// A pod that gets an ephemeral container.
    EphemeralContainers,
    /// A connection to one pod by its kubelet.
    PodConnection,
    /// A connection to the addresses of a pod.
    PodProxy,
    /// A connection to the addresses of a service.
    ServiceProxy,
    /// A connection to a kubelet.
    NodeProxy,
}

/// How far a policy reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The pods of its own namespace.
    Namespace,
    /// Pods of any namespace: it lives in none.
    Cluster,
}

impl Shape {
    /// Whether it lives in no namespace and is none: no namespaceSelector says anything about it.
    pub fn is_in_no_namespace(self) -> bool {
        matches!(self, Self::NodeProxy | Self::UnreadPolicy(Extent::Cluster))
    }
}

impl WritePath {
    /// `pods`, `pods/status`: as webhook rules spell it.
    pub fn rule_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// As it is told where several groups have a resource of that name: `ciliumnetworkpolicies.cilium.io`.
    pub fn counted_resource(&self) -> String {
        match self.shape {
            Shape::UnreadPolicy(_) => format!("{}.{}", self.resource, self.group),
            _ => self.rule_resource(),
        }
    }

    /// The matchCondition as a CEL expression over `request`, `object` and `oldObject`, none where all requests match.
    /// It holds only for this path: where a webhook has several, guard it by the resource.
    pub fn match_condition(&self) -> Option<String> {
        self.condition.expression()
    }
}

/// What a request is by.
#[derive(Clone, Copy)]
pub(super) enum Known<'p> {
    /// A row of the table.
    Built(&'static WritePath),
    /// A custom kind of the configuration.
    Configured(&'p Workload),
    /// A kind of policy that a profile brings.
    Policy(&'p PolicyKind),
}

/// By what a request says which kind it is about.
#[derive(Clone, Copy)]
pub(super) struct About<'w> {
    pub(super) group: &'w str,
    pub(super) resource: &'w str,
    pub(super) subresource: &'w str,
    /// The kind, e.g. `CiliumNetworkPolicy`: of policies that ringfence does not read, only this is configured.
    pub(super) kind: &'w str,
}

/// The row, or the custom kind, of a request; none where nothing of it is judged.
pub(super) fn find<'p>(custom: CustomKinds<'p>, about: About<'_>) -> Option<Known<'p>> {
    let About {
        group,
        resource,
        subresource,
        kind,
    } = about;
    let built = WRITE_PATHS
        .iter()
        .find(|path| path.group == group && path.resource == resource && path.subresource == subresource);
    if let Some(built) = built {
        return Some(Known::Built(built));
    }
    if !subresource.is_empty() {
        return None;
    }
    let workload = custom
        .workloads
        .iter()
        .find(|workload| workload.group == group && workload.resource == resource);
    let policy = || {
        let mut policies = custom.policies.iter();
        policies.find(|policy| policy.group == group && policy.kind == kind)
    };
    workload.map(Known::Configured).or_else(|| policy().map(Known::Policy))
}
