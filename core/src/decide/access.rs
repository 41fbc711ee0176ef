//! # Access
//!
//! **Stops** whoever may run commands in a protected pod, or dial it past every policy, without being one of those whom the
//! segment lets in: exec, attach, port-forward, the proxies of pods, services and nodes, and ephemeral containers.
//!
//! **Example.** `kubectl exec -n payments hollowdb-0 -- sh` needs `enter` on `segments.ringfence.dev/payments-db`; so does
//! a proxy to a pod of one's own whose status was made to carry that pod's address.
//!
//! **Settle it** with the permission that the denial names: `ringfence grant enter segments/payments-db --user NAME`. A
//! segment with `guardAccess: false` is not guarded so.

use std::collections::BTreeMap;

use super::clauses::{Change, Judge, Need};
use super::context::{Context, Known};
use super::unanswered;
use crate::guardrails::Guardrails;
use crate::labels::LabelSet;
use crate::model::{Action, Finding, Mode, RuleName, Target, Verb};

/// The rule's name.
pub(super) const NAME: RuleName = "Access";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let enters = |action: &Action<'_>| matches!(action, Action::Enter(_) | Action::Debug(_));
    let mut segments = context.snapshot.guardrails.segments.iter();
    if !context.request.actions.iter().any(enters) || !segments.any(|segment| segment.guard_access) {
        return Vec::new();
    }
    context
        .request
        .actions
        .iter()
        .flat_map(|action| match action {
            Action::Enter(target) => enter(context, target),
            Action::Debug(labels) => {
                let subject = &context.request.subject;
                let pod = format!("{}/{}", subject.namespace, subject.name);
                findings(
                    context,
                    &subject.namespace,
                    &needs(context, &subject.namespace, &pod, labels),
                )
            }
            _ => Vec::new(),
        })
        .collect()
}

fn enter(context: &Context<'_, '_>, target: &Target) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let mode = worst_mode(guardrails, target);
    let pods = match context.reached(target.clone(), mode) {
        Known::Pending => return Vec::new(),
        Known::Failed(why) => return vec![unanswered(context, NAME, mode, "be entered", &why)],
        Known::Yes(pods) => pods,
    };
    let mut by_namespace: BTreeMap<&str, Vec<Need>> = BTreeMap::new();
    for pod in pods {
        let namespace = pod.namespace.as_str();
        let name = format!("{namespace}/{}", pod.name);
        by_namespace
            .entry(namespace)
            .or_default()
            .extend(needs(context, namespace, &name, &pod.labels));
    }
    by_namespace
        .iter()
        .flat_map(|(namespace, needs)| findings(context, namespace, needs))
        .collect()
}

/// The strongest mode that a connection may meet. What has an address may be in any namespace, so only exec and its kin
/// are bound by their own.
fn worst_mode(guardrails: &Guardrails, target: &Target) -> Mode {
    match target {
        Target::Pod(namespace, _) => guardrails.strongest_mode(namespace.as_str()),
        Target::PodAddresses(..) | Target::Service(..) | Target::Node(_) => guardrails
            .segments
            .iter()
            .map(|segment| segment.mode)
            .max()
            .unwrap_or_default(),
    }
}

fn needs(context: &Context<'_, '_>, namespace: &str, pod: &str, labels: &impl LabelSet) -> Vec<Need> {
    let guardrails = &context.snapshot.guardrails;
    let clauses = guardrails.index.candidates(namespace, labels);
    let guarded = clauses
        .into_iter()
        .filter(|clause| guardrails.segment(clause.segment).guard_access);
    let entered = Change::Entered(pod.to_owned());
    guarded
        .map(|clause| Need::new(guardrails, clause, Verb::Enter, entered.clone(), labels))
        .collect()
}

fn findings(context: &Context<'_, '_>, namespace: &str, needs: &[Need]) -> Vec<Finding> {
    Judge::direct(NAME, context, namespace).by_pods(needs)
}
