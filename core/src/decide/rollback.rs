//! # Rollback
//!
//! **Stops** the annotation `deprecated.deployment.rollback.to`, by which anyone who may annotate a Deployment has its
//! controller write an older template under the controller's own name.
//!
//! **Example.** `kubectl annotate deployment app deprecated.deployment.rollback.to=1` is refused where a ReplicaSet that the
//! Deployment may return to matches a clause.
//!
//! **Settle it** with `kubectl rollout undo`, which writes the template under one's own name and is judged as that.

use super::clauses::{Change, Judge, Need};
use super::context::{Context, Known};
use super::unanswered;
use crate::model::{Action, Finding, NamespaceName, RuleName};

/// The rule's name.
pub(super) const NAME: RuleName = "Rollback";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let asked = context.request.actions.iter().find_map(|action| match action {
        Action::RollBack { uid } => Some(uid),
        _ => None,
    });
    let Some(uid) = asked else { return Vec::new() };
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let mode = guardrails.strongest_mode(namespace);
    let Ok(name) = NamespaceName::new(namespace) else {
        return Vec::new();
    };
    let revisions = match context.templates("replicasets", &name, mode) {
        Known::Pending => return Vec::new(),
        Known::Failed(why) => return vec![unanswered(context, NAME, mode, "be rolled back", &why)],
        Known::Yes(revisions) => revisions,
    };
    // One without a controller may be adopted before the controller rolls back.
    let reachable = revisions
        .iter()
        .filter(|set| set.controller_uid().is_empty() || set.controller_uid() == *uid);
    let needs: Vec<Need> = reachable
        .flat_map(|set| &set.templates)
        .flat_map(|template| {
            let clauses = guardrails.index.candidates(namespace, &template.labels);
            clauses
                .into_iter()
                .map(|clause| Need::of_side(guardrails, clause, Change::Gained, &template.labels))
        })
        .collect();
    let judge = Judge::direct(NAME, context, namespace);
    let instead = "its controller would write it under its own name. Use kubectl rollout undo";
    let worst = needs
        .iter()
        .max_by_key(|need| guardrails.segment_mode(need.clause.segment, namespace));
    worst
        .map(|need| judge.refusal(need, "may not be rolled back by annotation", instead))
        .into_iter()
        .collect()
}
