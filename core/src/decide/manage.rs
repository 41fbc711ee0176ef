//! # Manage
//!
//! **Stops** whoever may deploy from opening what a segment closed. NetworkPolicies add up: one more that selects the same
//! pods lets in whom it likes, and the built-in `edit` role may write them. So may it delete the one that closed.
//!
//! **Example.** Segment `payments-db` has members `app=hollowdb` in `payments`. Creating, changing or deleting a NetworkPolicy
//! there whose podSelector *could* select such pods (an empty one, `tier=back`, `app in (hollowdb, web)`, but not `app=web`)
//! needs `manage` on `segments.ringfence.dev/payments-db`. An update that changes neither the spec nor adds an owner (the
//! garbage collector deletes what its owner left) needs nothing, and neither does what is deleted with its namespace. The
//! garbage collector has no permission of its own: a policy that its owner left stays. The policies that isolate namespaces
//! are guarded by another permission, and so are those that make segments by themselves.
//!
//! **Settle it** with `ringfence grant manage segments/payments-db --user NAME`, for whom does not deploy there.

use super::clauses::{Change, Judge, Need};
use super::context::Context;
use super::policies::Written;
use crate::guardrails::Side;
use crate::labels::LabelSpace;
use crate::model::{Finding, Operation, RuleName};

/// The rule's name.
pub(super) const NAME: RuleName = "Manage";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    if context.snapshot.guardrails.segments.is_empty() {
        return Vec::new();
    }
    context
        .written_policies()
        .iter()
        .filter(|write| write.changes)
        .flat_map(|write| findings(context, write))
        .collect()
}

fn findings(context: &Context<'_, '_>, write: &Written) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let mut clauses: Vec<_> = write
        .sides()
        .flat_map(|policy| {
            let selected = LabelSpace::from(&policy.pods);
            guardrails.index.meeting(namespace, &selected)
        })
        .filter(|clause| clause.side == Side::Member && !guardrails.segment(clause.segment).is_derived())
        .collect();
    clauses.sort_unstable();
    clauses.dedup();
    let change = match context.request.operation {
        Operation::Create => Change::PolicyCreated,
        Operation::Update | Operation::Connect => Change::PolicyChanged,
        Operation::Delete => Change::PolicyDeleted,
    };
    let isolation = guardrails.isolation_mode(namespace);
    let needs: Vec<Need> = clauses
        .into_iter()
        // At least as strictly guarded as one that isolates the namespace.
        .filter(|clause| !write.injected || isolation < Some(guardrails.segment_mode(clause.segment, namespace)))
        .map(|clause| Need::of_policy(clause, change.clone()))
        .collect();
    Judge::direct(NAME, context, namespace).by_pods(&needs)
}
