//! [`Condition`]: which requests of a write path reach us, as the CEL of a matchCondition. What cannot change a placement,
//! or take a policy out of force, passes by at the API server and costs nothing.

use super::object::{HARMLESS_TEMPLATE_ANNOTATIONS, ROLLBACK_ANNOTATION};
use crate::guardrails::SETTLE_GATE;

/// Which requests of a path reach us: what cannot change a placement passes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// All.
    Always,
    /// A pod whose labels or images change, or that loses the gate behind which it waits for policies to settle.
    PodChanges,
    /// As [`Condition::PodChanges`], or a status that tells other addresses, or another phase, than the pod's node told.
    StatusChanges,
    /// An object whose template at this CEL path changes in labels, annotations that matter, or spec.
    TemplateChanges(&'static str),
    /// As [`Condition::TemplateChanges`], or one that asks for a rollback.
    DeploymentChanges,
    /// An object whose own labels change.
    LabelChanges,
    /// A policy that comes, goes, or changes in what it says or in what keeps it in force. What the namespace controller
    /// deletes with the namespace passes by, so that a namespace goes also while nobody answers.
    PolicyChanges,
    /// A policy of a kind that ringfence does not read that comes, goes, or changes in anything but its status.
    UnreadPolicyChanges,
    /// A Binding that carries labels beyond the topology that the API server copies from the node.
    BindingLabels,
}

impl Condition {
    /// The expression over `request`, `object` and `oldObject`; none where all requests match.
    pub fn expression(self) -> Option<String> {
        match self {
            Self::Always => None,
            Self::PodChanges => Some(pod_changes()),
            Self::StatusChanges => Some(status_changes()),
            Self::TemplateChanges(path) => Some(template_changes(path)),
            Self::DeploymentChanges => Some(format!(
                "{} || object.metadata.?annotations[?\"{ROLLBACK_ANNOTATION}\"].orValue(\"\") != \"\"",
                template_changes("spec.template")
            )),
            Self::LabelChanges => Some(format!("request.operation != \"UPDATE\" || {LABELS_DIFFER}")),
            Self::PolicyChanges => Some(policy_changes()),
            Self::UnreadPolicyChanges => Some(unread_policy_changes()),
            Self::BindingLabels => Some(
                "object.metadata.?labels.orValue({}).exists(k, !(k in [\"topology.kubernetes.io/zone\", \
                 \"topology.kubernetes.io/region\"]))"
                    .to_owned(),
            ),
        }
    }
}

const LABELS_DIFFER: &str = "object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({})";

fn pod_changes() -> String {
    let images =
        |object: &str, field: &str| format!("{object}.spec.?{field}.orValue([]).map(c, c.?image.orValue(\"\"))");
    let differ = |field: &str| format!("{} != {}", images("object", field), images("oldObject", field));
    let gated =
        |object: &str| format!("{object}.spec.?schedulingGates.orValue([]).exists(g, g.name == \"{SETTLE_GATE}\")");
    format!(
        "request.operation != \"UPDATE\" || {LABELS_DIFFER} || {} || {} || ({} && !{})",
        differ("containers"),
        differ("initContainers"),
        gated("oldObject"),
        gated("object"),
    )
}

/// Whoever may tell how a pod is: its node, and what tidies up after pods whose node is gone. That account has a uid unless
/// somebody impersonates it; where all controllers are one user, that has none.
const BY_ITS_NODE: &str = "((object.?spec.?nodeName.orValue(\"\") != \"\" && \
     request.userInfo.?username.orValue(\"\") == \"system:node:\" + object.?spec.?nodeName.orValue(\"\")) || \
     request.userInfo.?username.orValue(\"\") == \"system:kube-controller-manager\" || \
     (request.userInfo.?username.orValue(\"\") == \"system:serviceaccount:kube-system:pod-garbage-collector\" && \
     request.userInfo.?uid.orValue(\"\") != \"\"))";

/// Nodes write this all day, so they are asked for first.
fn status_changes() -> String {
    let differ = |(field, absent): (&str, &str)| {
        let of = |object: &str| format!("{object}.?status.?{field}.orValue({absent})");
        format!("{} != {}", of("object"), of("oldObject"))
    };
    let whereabouts = [
        ("podIP", "\"\""),
        ("podIPs", "[]"),
        ("hostIP", "\"\""),
        ("hostIPs", "[]"),
        ("phase", "\"\""),
    ];
    format!(
        "{} || (!{BY_ITS_NODE} && ({}))",
        pod_changes(),
        whereabouts.map(differ).join(" || ")
    )
}

/// Whether the metadata of a policy changes in a way that could take it out of force. What only held the object up and is
/// taken away passes by: the garbage collector does that all day.
fn policy_metadata_changes() -> String {
    let differ = |field: &str| {
        let of = |object: &str| format!("{object}.metadata.?{field}.orValue({{}})");
        format!("{} != {}", of("object"), of("oldObject"))
    };
    let gained = |field: &str| {
        let of = |object: &str| format!("{object}.metadata.?{field}.orValue([])");
        format!("{}.exists(one, !(one in {}))", of("object"), of("oldObject"))
    };
    [
        differ("labels"),
        differ("annotations"),
        gained("ownerReferences"),
        gained("finalizers"),
    ]
    .join(" || ")
}

/// The namespace controller's account has a uid unless somebody impersonates it; where all controllers are one user,
/// that has none.
const NOT_WITH_ITS_NAMESPACE: &str = "(request.operation != \"DELETE\" || \
     !(request.userInfo.?username.orValue(\"\") == \"system:kube-controller-manager\" || \
     (request.userInfo.?username.orValue(\"\") == \"system:serviceaccount:kube-system:namespace-controller\" && \
     request.userInfo.?uid.orValue(\"\") != \"\")))";

fn policy_changes() -> String {
    format!(
        "{NOT_WITH_ITS_NAMESPACE} && (request.operation != \"UPDATE\" || object.?spec != oldObject.?spec || {})",
        policy_metadata_changes()
    )
}

/// Which requests of a kind of policy that ringfence does not read reach us, as a CEL expression: those that change anything
/// but its status. Where such a kind says what it says is its own: Cilium's has `specs` beside `spec`.
pub fn unread_policy_changes() -> String {
    let matters = "!(k in [\"metadata\", \"status\"])";
    format!(
        "{NOT_WITH_ITS_NAMESPACE} && \
         (request.operation != \"UPDATE\" || object.exists(k, {matters} && object[?k] != oldObject[?k]) || \
         oldObject.exists(k, {matters} && !(k in object)) || {})",
        policy_metadata_changes()
    )
}

/// Whether the template at a CEL path changes in labels, annotations that matter, or spec; of custom kinds as well.
pub fn template_changes(path: &str) -> String {
    let metadata = |object: &str, field: &str| format!("{object}.{path}.?metadata.?{field}.orValue({{}})");
    let harmless = HARMLESS_TEMPLATE_ANNOTATIONS
        .iter()
        .map(|key| format!("\"{key}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let (new, old) = (metadata("object", "annotations"), metadata("oldObject", "annotations"));
    let gone_or_changed =
        |one: &str, other: &str| format!("{one}.exists(k, !(k in [{harmless}]) && {one}[?k] != {other}[?k])");
    format!(
        "request.operation != \"UPDATE\" || {} != {} || object.{path}.?spec != oldObject.{path}.?spec || ({new} != {old} && \
         ({new}.size() > {MOST_WALKED} || {old}.size() > {MOST_WALKED} || {} || {}))",
        metadata("object", "labels"),
        metadata("oldObject", "labels"),
        gone_or_changed(&new, &old),
        gone_or_changed(&old, &new),
    )
}

/// How many annotations of a template the API server walks one by one to find out whether one that matters has changed.
/// A template with more is reviewed whenever any changes: walking 16000 took an API server seconds.
const MOST_WALKED: usize = 64;
