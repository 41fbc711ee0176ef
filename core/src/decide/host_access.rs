//! # HostAccess
//!
//! **Stops** pods that step around NetworkPolicies: `hostNetwork` and `hostPID`, privileged containers, `hostPath` volumes,
//! and the capabilities `NET_ADMIN` and `NET_RAW`. All are within the built-in `edit` role unless Pod Security refuses them.
//!
//! **Example.** A pod with `hostNetwork: true` has its node's address: no policy selects it. A write that brings none of
//! these that was not there before passes.
//!
//! **Settle it** by leaving it out, or with `waive` on `policychecks.ringfence.dev/HostAccess` at the cluster.

use super::context::{Context, Held, Known};
use super::provenance::{self, Origin};
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
    let (after, before) = match (placement.spec.host_access(), placement.spec_before.host_access()) {
        (Ok(after), Ok(before)) => (after, before),
        (Err(error), _) | (_, Err(error)) => {
            return Some(told(
                context,
                mode,
                Reason::Unanswered,
                &[format!("its pod spec cannot be read: {error}")],
            ));
        }
    };
    let new: Vec<String> = after.into_iter().filter(|word| !before.contains(word)).collect();
    if new.is_empty() {
        return None;
    }
    match provenance::origin(context, placement, mode) {
        Origin::Pending => return None,
        Origin::Controller(..) => return Some(told(context, mode, Reason::Inherited, &new)),
        Origin::Node => return Some(told(context, mode, Reason::Mirrored, &new)),
        Origin::Failed(why) => {
            return Some(told(
                context,
                mode,
                Reason::Unanswered,
                &[format!("its owner could not be read: {why}")],
            ));
        }
        Origin::Direct => {}
    }
    match context.allowed(&Permission::waive(NAME), mode) {
        Known::Pending => None,
        Known::Yes(Held::Yes) => Some(told(context, mode, Reason::Permitted, &new)),
        Known::Yes(Held::No(reviewer)) => Some(Finding {
            reviewer,
            ..told(context, mode, Reason::LacksPermission, &new)
        }),
        Known::Failed(why) => Some(told(context, mode, Reason::Unanswered, &[why])),
    }
}

fn told(context: &Context<'_, '_>, mode: Mode, reason: Reason, words: &[String]) -> Finding {
    let modal = if reason.refuses() { "may not" } else { "may" };
    let namespace = context.request.subject.namespace.as_ref();
    Finding {
        rule: NAME,
        reason,
        mode: if reason == Reason::Unanswered {
            context.failure_mode(mode, namespace)
        } else {
            mode
        },
        segment: None,
        clause: None,
        permission: Some(Permission::waive(NAME)),
        reviewer: None,
        what: format!("{modal} step around network policies"),
        why: words.join(", "),
    }
}
