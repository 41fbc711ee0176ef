//! # HostAccess
//!
//! **Stops** pods that step around NetworkPolicies: `hostNetwork` and `hostPID`, privileged containers, `hostPath` volumes,
//! and the capabilities `NET_ADMIN` and `NET_RAW`. All are within the built-in `edit` role unless Pod Security refuses them.
//!
//! **Example.** A pod with `hostNetwork: true` has its node's address: no policy selects it. A write that brings none of
//! these that was not there before passes.
//!
//! **Settle it** by leaving it out, or with `waive` on `policychecks.ringfence.dev/HostAccess` at the cluster.

use super::context::Context;
use super::provenance::{self, Origin};
use super::{Case, settled};
use crate::guardrails::CheckName;
use crate::model::{Action, Finding, Mode, Permission, Placement, Reason, RuleName};

/// The rule's name.
pub(super) const NAME: RuleName = "HostAccess";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let namespace = context.request.subject.namespace.as_ref();
    let Some(mode) = context.snapshot.guardrails.check_mode(CheckName::HostAccess, namespace) else {
        return Vec::new();
    };
    let placements = context.request.actions.iter().filter_map(|action| match action {
        Action::Place(placement) => Some(placement),
        _ => None,
    });
    placements
        .filter_map(|placement| finding(context, placement, mode))
        .collect()
}

fn finding(context: &Context<'_, '_>, placement: &Placement<'_>, mode: Mode) -> Option<Finding> {
    let case = |why: String| Case {
        rule: NAME,
        mode,
        segment: None,
        clause: None,
        doing: "step around network policies".to_owned(),
        why,
    };
    let found = |reason, why| Some(case(why).found(context, reason, Some(Permission::waive(NAME))));
    let (after, before) = match (placement.spec.host_access(), placement.spec_before.host_access()) {
        (Ok(after), Ok(before)) => (after, before),
        (Err(error), _) | (_, Err(error)) => {
            return found(Reason::Unanswered, format!("its pod spec cannot be read: {error}"));
        }
    };
    let new: Vec<String> = after.into_iter().filter(|word| !before.contains(word)).collect();
    if new.is_empty() {
        return None;
    }
    let brought = new.join(", ");
    match provenance::origin(context, placement, mode) {
        Origin::Pending => None,
        Origin::Controller(..) => found(Reason::Inherited, brought),
        Origin::Node => found(Reason::Mirrored, brought),
        Origin::Failed(why) => found(Reason::Unanswered, format!("its owner could not be read: {why}")),
        Origin::Direct => settled(context, Permission::waive(NAME), case(brought)),
    }
}
