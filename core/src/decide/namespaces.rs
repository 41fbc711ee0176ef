//! # NamespaceLabels
//!
//! **Stops** a namespace that takes on the label which a segment selects namespaces by: with it every pod there would come
//! to match, without one pod having been written. The built-in `admin` of a namespace may label it.
//!
//! **Example.** Segment `payments-db` has clients `app=batch` where a namespace is labelled `team=blue`. `kubectl label
//! namespace web team=blue` needs `connect`; taking away a label that makes pods members needs `join`.
//!
//! **Settle it** with the permission that the denial names.

use super::clauses::{Change, Judge, Need};
use super::context::Context;
use crate::guardrails::{NamespaceSet, Side};
use crate::model::{Action, Finding, RuleName};

/// The rule's name.
pub(super) const NAME: RuleName = "NamespaceLabels";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let relabels = context.request.actions.iter().filter_map(|action| match action {
        Action::RelabelNamespace { before, after } => Some((before, after)),
        _ => None,
    });
    relabels
        .flat_map(|(before, after)| {
            let needs: Vec<Need> = guardrails
                .selecting
                .iter()
                .filter_map(|clause| {
                    let NamespaceSet::Selected(selector) = &guardrails.clause(*clause).namespaces else {
                        return None;
                    };
                    let need = |change, labels| Some(Need::of_side(guardrails, *clause, change, labels));
                    match (selector.matches(before), selector.matches(after)) {
                        (false, true) => need(Change::NamespaceGained, after),
                        (true, false) if clause.side == Side::Member => need(Change::NamespaceLost, before),
                        _ => None,
                    }
                })
                .collect();
            Judge::direct(NAME, context, namespace).findings(&needs)
        })
        .collect()
}
