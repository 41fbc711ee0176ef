//! # RequireIsolation
//!
//! **Stops** members from being left without a policy. A pod that no policy selects in a direction is open in that
//! direction to everyone: whoever deletes the last policy, narrows it, or takes the direction out of its policyTypes opens
//! what it closed, without having written one line that lets anybody in.
//!
//! **Example.** Segment `payments-db` says `requireIsolation: [Ingress]`. Deleting the policy that selects `app=hollowdb` is
//! refused unless the policies that remain select all of those pods for Ingress, one of them or several together. Of a
//! deleted collection (`kubectl delete netpol --all`) the last one that holds them is refused. A policy that is being
//! deleted and that a finalizer holds up counts as gone. Two deletions at the same instant are each judged while the other
//! policy still stands. A namespace that never had a policy is for the isolation profiles.
//!
//! **Settle it** by writing the policy that is to take its place first, or with `waive` on
//! `policychecks.ringfence.dev/RequireIsolation` at the cluster.

use super::context::{Context, Known};
use super::policies::Written;
use super::{Case, settled, unanswered};
use crate::guardrails::documents::Direction;
use crate::guardrails::{ClauseId, Guardrails, SegmentId, Side};
use crate::labels::LabelSpace;
use crate::model::{Finding, Mode, Namespace, NamespaceName, Permission, RuleName};
use crate::netpol::{Policy, isolated_by_any};

/// The rule's name, and that of the check that is waived.
pub const NAME: RuleName = "RequireIsolation";

/// Pods of a member clause that a policy isolated in a direction and no longer would.
struct Loss {
    clause: ClauseId,
    direction: Direction,
    pods: LabelSpace,
}

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let mut configured = guardrails.configured().iter();
    if context.written_policies().is_empty() || configured.all(|segment| segment.require_isolation.is_empty()) {
        return Vec::new();
    }
    let writes = context.written_policies().iter().filter(|write| write.changes);
    writes.flat_map(|write| findings(context, write)).collect()
}

fn findings(context: &Context<'_, '_>, write: &Written) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let text = context.request.subject.namespace.as_ref();
    let losses = losses(guardrails, text, write);
    let Some(mode) = strongest(guardrails, text, &losses) else {
        return Vec::new();
    };
    let namespace = match NamespaceName::new(text) {
        Ok(name) => name,
        Err(error) => return vec![unknown(context, mode, &error.to_string())],
    };
    let own = if losses.iter().any(|loss| depends_on_labels(guardrails, loss)) {
        context.live_namespace(&namespace, mode)
    } else {
        Known::Yes(None)
    };
    let (own, standing) = match (own, context.policies(&namespace, mode)) {
        (Known::Pending, _) | (_, Known::Pending) => return Vec::new(),
        (Known::Failed(why), _) => {
            return vec![unknown(
                context,
                mode,
                &format!("namespace {namespace} could not be read: {why}"),
            )];
        }
        (_, Known::Failed(why)) => {
            return vec![unknown(
                context,
                mode,
                &format!("the policies of {namespace} could not be listed: {why}"),
            )];
        }
        (Known::Yes(own), Known::Yes(standing)) => (own, standing),
    };
    let name = context.request.subject.name.as_ref();
    let remaining: Vec<&Policy> = standing
        .iter()
        .map(AsRef::as_ref)
        .filter(|policy| *policy.name.name != *name)
        .chain(write.relied_on())
        .collect();
    let open: Vec<Loss> = losses
        .into_iter()
        .filter(|loss| is_of(guardrails, loss, own))
        .filter(|loss| !isolated_by_any(&loss.pods, loss.direction, remaining.iter().copied()))
        .collect();
    let of_one_segment = open.chunk_by(|one, other| one.clause.segment == other.clause.segment);
    of_one_segment
        .filter_map(|losses| finding(context, losses[0].clause.segment, losses))
        .collect()
}

/// What a write loses of members, by what is written alone; sorted by segment.
fn losses(guardrails: &Guardrails, namespace: &str, write: &Written) -> Vec<Loss> {
    let Some(before) = &write.before else {
        return Vec::new();
    };
    let selected = LabelSpace::from(&before.pods);
    let after = write.relied_on().map(|after| (after, LabelSpace::from(&after.pods)));
    let clauses = guardrails.index.meeting(namespace, &selected);
    let members = clauses.into_iter().filter(|clause| clause.side == Side::Member);
    members
        .flat_map(|clause| {
            let pods = selected.intersection(&LabelSpace::from(&guardrails.clause(clause).pods));
            let required = guardrails.segment(clause.segment).require_isolation.iter();
            required
                .filter(|direction| before.rules(**direction).is_some())
                .filter(|direction| {
                    let kept = after.as_ref();
                    !kept
                        .is_some_and(|(after, selected)| after.rules(**direction).is_some() && pods.is_within(selected))
                })
                .map(|direction| Loss {
                    clause,
                    direction: *direction,
                    pods: pods.clone(),
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn strongest(guardrails: &Guardrails, namespace: &str, losses: &[Loss]) -> Option<Mode> {
    let modes = losses
        .iter()
        .map(|loss| guardrails.segment_mode(loss.clause.segment, namespace));
    modes.max()
}

fn depends_on_labels(guardrails: &Guardrails, loss: &Loss) -> bool {
    guardrails.clause(loss.clause).namespaces.depends_on_labels()
}

/// Whether the namespace, as read live where its labels decide, is one of the clause's. One that is not there any more has
/// no pods.
fn is_of(guardrails: &Guardrails, loss: &Loss, own: Option<&Namespace>) -> bool {
    let namespaces = &guardrails.clause(loss.clause).namespaces;
    // The index has looked at the name.
    !namespaces.depends_on_labels() || own.is_some_and(|own| namespaces.contains("", &own.labels))
}

fn finding(context: &Context<'_, '_>, id: SegmentId, losses: &[Loss]) -> Option<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let (segment, mode) = (guardrails.segment(id), guardrails.segment_mode(id, namespace));
    let why = format!(
        "no policy that remains isolates those pods of {} of {} that it isolates{}",
        listed(losses),
        segment.name,
        segment.aside()
    );
    let case = Case {
        rule: NAME,
        mode,
        segment: Some(segment.name.clone()),
        clause: losses.first().map(|loss| words(loss.clause)),
        doing: format!("leave members of segment {} unisolated", segment.name),
        why,
    };
    settled(context, Permission::waive(NAME), case)
}

/// `members[0] (Ingress, Egress), members[1] (Ingress)`.
fn listed(losses: &[Loss]) -> String {
    let of_one_clause = losses.chunk_by(|one, other| one.clause == other.clause);
    let told = of_one_clause.map(|losses| {
        let directions: Vec<&str> = losses.iter().map(|loss| loss.direction.as_str()).collect();
        format!("{} ({})", words(losses[0].clause), directions.join(", "))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn words(clause: ClauseId) -> String {
    format!("{}[{}]", clause.side.as_str(), clause.position)
}

fn unknown(context: &Context<'_, '_>, mode: Mode, why: &str) -> Finding {
    unanswered(context, NAME, mode, "leave members of segments unisolated", why)
}
