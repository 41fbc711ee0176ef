//! # Settle
//!
//! **Stops** a pod that runs before its namespace's policies have reached the nodes. Some networks do not hold a new pod
//! back until the policies that already exist are in force on its node. A profile with `settle: 5s` keeps the first pods of a
//! namespace behind the scheduling gate `ringfence.dev/settle` until its policies are that old; ringfence puts the gate on
//! and lifts it. Off unless a profile says so.
//!
//! **Example.** A Deployment in a namespace that is a second old: its pods are `SchedulingGated` for four more seconds. A
//! first pod that has no gate (it sets `nodeName`, or ringfence did not get to put one on) is told to try again when the
//! time is over, and whoever takes the gate off before is refused.
//!
//! **Settle it** by waiting: clients that honour `Retry-After` do by themselves.

use std::time::Duration;

use super::context::{Context, Known};
use super::{isolation, unanswered};
use crate::guardrails::SETTLE_GATE;
use crate::model::{
    Action, Answers, Asked, Finding, Isolate, Isolated, Mode, Operation, Placement, PlacementKind, Reason, Request,
    RuleName, Snapshot,
};

/// The rule's name.
pub(super) const NAME: RuleName = "Settle";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let Some(pod) = first_pod(context) else {
        return Vec::new();
    };
    let finding = match context.request.operation {
        Operation::Create => created(context, pod),
        Operation::Update => updated(context, pod),
        Operation::Delete | Operation::Connect => None,
    };
    finding.into_iter().collect()
}

/// The pod of a request, where its profile may have it wait.
fn first_pod<'c, 'r>(context: &Context<'c, 'r>) -> Option<&'c Placement<'r>> {
    let guardrails = &context.snapshot.guardrails;
    let request = context.request;
    // What a node says it runs, it runs: refusing would only hide it.
    let by_a_node = request.identity.groups.iter().any(|group| group == "system:nodes");
    if !guardrails.settles(&request.subject.namespace) || !request.subresource.is_empty() || by_a_node {
        return None;
    }
    request.actions.iter().find_map(|action| match action {
        Action::Place(placement) if placement.kind == PlacementKind::Pod => Some(placement),
        _ => None,
    })
}

fn created(context: &Context<'_, '_>, pod: &Placement<'_>) -> Option<Finding> {
    match pod.spec.is_gated() {
        Ok(true) => None,
        Ok(false) => match isolation::asked(context, Mode::Enforce) {
            // What could not be learned is for the rule on isolation to say, and so is what could not be applied.
            Known::Pending | Known::Failed(_) | Known::Yes(Isolated::Missing { .. }) => None,
            Known::Yes(isolated) => isolated.settles_in().map(|left| {
                let why = format!(
                    "they are younger than its profile wants, and it has no scheduling gate {SETTLE_GATE} to wait behind (a \
                     pod with a nodeName cannot have one); try again in {} s",
                    seconds(left)
                );
                told(left, "may not run before its namespace's policies have settled", why)
            }),
        },
        Err(error) => Some(unreadable(context, &error)),
    }
}

fn updated(context: &Context<'_, '_>, pod: &Placement<'_>) -> Option<Finding> {
    match (pod.spec_before.is_gated(), pod.spec.is_gated()) {
        (Ok(true), Ok(false)) => {}
        (Ok(_), Ok(_)) => return None,
        (Err(error), _) | (_, Err(error)) => return Some(unreadable(context, &error)),
    }
    match isolation::looked(context, Isolate::Look, Mode::Enforce) {
        Known::Pending => None,
        Known::Failed(why) => Some(unanswered(
            context,
            NAME,
            Mode::Enforce,
            "lose its scheduling gate",
            &why,
        )),
        Known::Yes(isolated) => isolated.settles_in().map(|left| Finding {
            reason: Reason::Refused,
            ..told(
                left,
                "may not lose its scheduling gate before its namespace's policies have settled",
                format!("ringfence lifts it by itself, in {} s", seconds(left)),
            )
        }),
    }
}

fn told(left: Duration, what: &str, why: String) -> Finding {
    Finding {
        rule: NAME,
        reason: Reason::NotSettled { seconds: seconds(left) },
        mode: Mode::Enforce,
        segment: None,
        clause: None,
        permission: None,
        reviewer: None,
        what: what.to_owned(),
        why,
    }
}

fn unreadable(context: &Context<'_, '_>, error: &serde_json::Error) -> Finding {
    let why = format!("its pod spec cannot be read: {error}");
    unanswered(context, NAME, Mode::Enforce, "run", &why)
}

/// Whole seconds, at least one.
fn seconds(left: Duration) -> u32 {
    let whole = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    u32::try_from(whole.max(1)).unwrap_or(u32::MAX)
}

/// What the mutating webhook does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gating {
    /// These have to be answered first; then call again with the answers added.
    Ask(Vec<Asked>),
    /// It stays as it is.
    Leave,
    /// The pod gets the gate [`SETTLE_GATE`], as its first or beside others.
    Gate(Gates),
}

/// Whether a pod has scheduling gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gates {
    /// None.
    None,
    /// Some.
    Some,
}

/// Whether a pod gets the gate. Where that cannot be learned it does: the gate is lifted as soon as it can, and without one
/// the pod would be refused.
pub fn gate(snapshot: &Snapshot, request: &Request<'_>, answers: &Answers) -> Gating {
    let context = Context::new(snapshot, request, answers);
    let Some(pod) = first_pod(&context).filter(|_| request.operation == Operation::Create) else {
        return Gating::Leave;
    };
    let (Ok(false), Ok(gates)) = (pod.spec.is_gated(), pod.spec.gates()) else {
        return Gating::Leave;
    };
    // Nothing is worth the patience of whoever waits: where no answer comes at once, the gate goes on.
    let waits = match isolation::looked(&context, Isolate::Look, Mode::Audit) {
        Known::Pending => return Gating::Ask(context.into_parts().1),
        Known::Failed(_) => true,
        Known::Yes(isolated) => isolated.settles_in().is_some(),
    };
    match (waits, gates.is_empty()) {
        (false, _) => Gating::Leave,
        (true, true) => Gating::Gate(Gates::None),
        (true, false) => Gating::Gate(Gates::Some),
    }
}
