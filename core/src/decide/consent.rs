//! # Consent
//!
//! **Stops** whoever may create namespaces from becoming the owner of a segment: in a namespace of one's own one soon holds
//! every verb, and a segment's permissions are asked in its consent namespace.
//!
//! **Example.** Segment `payments-db` has its consent in `payments`, which does not exist yet. Creating it needs `manage` on
//! the segment, at the cluster.
//!
//! **Settle it** by having a cluster administrator create the namespace, or with `ringfence grant manage
//! segments/payments-db --cluster --user NAME`.

use super::context::{Context, Held, Known};
use crate::guardrails::SegmentId;
use crate::model::{Action, Finding, Permission, Reason, RuleName, Scope, Verb};

/// The rule's name.
pub(super) const NAME: RuleName = "Consent";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    if !context
        .request
        .actions
        .iter()
        .any(|action| matches!(action, Action::CreateNamespace(_)))
    {
        return Vec::new();
    }
    let guardrails = &context.snapshot.guardrails;
    let name = context.request.subject.namespace.as_ref();
    let segments = guardrails.consents.get(name).map(Vec::as_slice).unwrap_or_default();
    segments
        .iter()
        .filter_map(|segment| finding(context, *segment))
        .collect()
}

fn finding(context: &Context<'_, '_>, id: SegmentId) -> Option<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let segment = guardrails.segment(id);
    let mode = guardrails.segment_mode(id, &context.request.subject.namespace);
    let permission = Permission::segment(Verb::Manage, &segment.name, Scope::Cluster);
    let mut why = format!(
        "whoever creates it comes to hold every permission on segment {}",
        segment.name
    );
    if !segment.description.is_empty() {
        why.push_str(&format!(" ({})", segment.description));
    }
    let mut lacking = None;
    let reason = match context.allowed(&permission, mode) {
        Known::Pending => return None,
        Known::Yes(Held::Yes) => Reason::Permitted,
        Known::Yes(Held::No(reviewer)) => {
            lacking = reviewer;
            Reason::LacksPermission
        }
        Known::Failed(failure) => {
            why.push_str("; ");
            why.push_str(&failure);
            Reason::Unanswered
        }
    };
    let modal = if reason.refuses() { "may not" } else { "may" };
    Some(Finding {
        rule: NAME,
        reason,
        mode: if reason == Reason::Unanswered {
            context.failure_mode(mode, &context.request.subject.namespace)
        } else {
            mode
        },
        segment: Some(segment.name.clone()),
        clause: None,
        permission: Some(permission),
        reviewer: lacking,
        what: format!("{modal} become the consent of segment {}", segment.name),
        why,
    })
}
