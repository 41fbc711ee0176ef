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

use super::context::Context;
use super::{Case, settled};
use crate::guardrails::SegmentId;
use crate::model::{Action, Finding, Permission, RuleName, Scope, Verb};

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
    let why = format!(
        "whoever creates it comes to hold every permission on segment {}{}",
        segment.name,
        segment.aside()
    );
    let case = Case {
        rule: NAME,
        mode,
        segment: Some(segment.name.clone()),
        clause: None,
        doing: format!("become the consent of segment {}", segment.name),
        why,
    };
    settled(context, permission, case)
}
