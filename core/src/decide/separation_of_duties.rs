//! # SeparationOfDuties
//!
//! **Stops** one identity from both writing a segment's policies and placing the pods that those hold: with both in one
//! hand, who is let in and who lets in are the same, and a single borrowed credential is enough.
//!
//! **Example.** `olga` holds `manage` on `segments.ringfence.dev/payments-db` and was granted `join`, too. Her pods in the
//! segment are refused, though she holds the permission: whoever uses `join` or `connect` must not hold `manage` on the same
//! segment, and whoever uses `manage` neither of the others. A delegate is judged as the user it is reviewed as; what
//! controllers make is not asked for; members of `exemptGroups` are not. Never stricter than the segment itself.
//!
//! **Settle it** by taking one of both away, or by leaving one to another identity: `ringfence audit sod` names the bindings
//! that give them.

use super::consent;
use super::context::{Context, Held, Known};
use super::message::quoted;
use crate::model::{Finding, GROUP, Mode, Permission, Reason, RuleName, SegmentName, Verb, Who};

/// The rule's name.
pub(super) const NAME: RuleName = "SeparationOfDuties";

/// Judges every permission on a segment that the rules before this one found to be held and used.
pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    if context.snapshot.guardrails.separation_of_duties.is_none() {
        return Vec::new();
    }
    let mut seen: Vec<Permission> = Vec::new();
    let mut findings = Vec::new();
    for used in context.found().iter().filter(|finding| is_use(finding)) {
        let (Some(permission), Some(segment)) = (&used.permission, &used.segment) else {
            continue;
        };
        let Some(mode) = strictness(context, used.mode) else {
            continue;
        };
        for other in apart_from(permission) {
            if !seen.contains(&other) {
                findings.extend(finding(context, used, segment, &other, mode));
                seen.push(other);
            }
        }
    }
    findings
}

/// Has what must not be held beside this permission asked for in the same round as the permission itself, so that this rule
/// costs no round of its own. For whoever asks for a permission on a segment, just before.
pub(super) fn ask_along(context: &Context<'_, '_>, permission: &Permission, mode: Mode) {
    if let Some(mode) = strictness(context, mode) {
        for other in apart_from(permission) {
            held(context, &other, mode);
        }
    }
}

/// Whether this rule refuses what that finding let in, as far as is known. What the cached labels of a namespace refuse is
/// looked at live first, here as elsewhere.
pub(super) fn stands_against(context: &Context<'_, '_>, used: &Finding) -> bool {
    let (true, Some(permission)) = (is_use(used), &used.permission) else {
        return false;
    };
    strictness(context, used.mode).is_some_and(|mode| {
        apart_from(permission).any(|other| matches!(held(context, &other, mode), Known::Yes(Held::Yes)))
    })
}

/// Whether the permission was used on what it protects: creating a consent namespace needs `manage`, but writes no policy.
fn is_use(finding: &Finding) -> bool {
    finding.reason == Reason::Permitted && finding.rule != consent::NAME
}

/// What must not be held beside a permission, asked in the same place.
fn apart_from(permission: &Permission) -> impl Iterator<Item = Permission> + '_ {
    let verbs: &[Verb] = match permission.verb {
        _ if (permission.group.as_ref(), permission.resource.as_ref()) != (GROUP, "segments") => &[],
        Verb::Join | Verb::Connect => &[Verb::Manage],
        Verb::Manage => &[Verb::Join, Verb::Connect],
        _ => &[],
    };
    verbs.iter().map(|verb| Permission {
        verb: *verb,
        ..permission.clone()
    })
}

/// What this comes to beside a finding of that mode, none where it is off or whoever asks is exempt. Where the segment
/// itself would let in who holds nothing, who holds both is not refused.
fn strictness(context: &Context<'_, '_>, used: Mode) -> Option<Mode> {
    let guardrails = &context.snapshot.guardrails;
    let duties = guardrails.separation_of_duties.as_ref()?;
    let mut groups = context.request.identity.groups.iter();
    if groups.any(|group| duties.exempt_groups.contains(group.as_ref())) {
        return None;
    }
    let namespace = &context.request.subject.namespace;
    Some(guardrails.rollout.cap(namespace, duties.mode).min(used))
}

/// Whether they hold it. A delegate holds what it does for others: it is the user that it is reviewed as who counts.
fn held(context: &Context<'_, '_>, permission: &Permission, mode: Mode) -> Known<Held> {
    let who = context.reviewer().map_or(Who::Requester, Who::User);
    context.review(who, permission, mode)
}

fn finding(
    context: &Context<'_, '_>,
    used: &Finding,
    segment: &SegmentName,
    other: &Permission,
    mode: Mode,
) -> Option<Finding> {
    let reviewer = context.reviewer();
    let user = quoted(reviewer.as_deref().unwrap_or(&context.request.identity.username));
    let phrase = used.what.strip_prefix("may ").unwrap_or(&used.what);
    let (reason, mode, what, why) = match held(context, other, mode) {
        Known::Pending | Known::Yes(Held::No(_)) => return None,
        Known::Yes(Held::Yes) => (
            Reason::Refused,
            mode,
            format!("may not {phrase}: user {user} holds {} on it, too", other.verb),
            format!(
                "separation of duties: who writes the policies of {segment} places no pods in it or among its clients; take \
                 one of both away (`ringfence audit sod` names the bindings) or leave one to another identity"
            ),
        ),
        Known::Failed(why) => (
            Reason::Unanswered,
            context.failure_mode(mode, &context.request.subject.namespace),
            format!("may not {phrase}"),
            format!(
                "separation of duties: who holds {} on it, too, must not: {why}",
                other.verb
            ),
        ),
    };
    Some(Finding {
        rule: NAME,
        reason,
        mode,
        segment: Some(segment.clone()),
        clause: used.clause.clone(),
        permission: Some(other.clone()),
        reviewer,
        what,
        why,
    })
}
