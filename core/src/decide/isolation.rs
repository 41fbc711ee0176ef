//! # Isolation
//!
//! **Stops** a pod that comes before its namespace's policies. Generators of default policies lag behind the first pods of
//! a namespace; this rule makes sure, at the very write that creates a pod, that every policy of the namespace's isolation
//! profile stands exactly as configured, and applies those that do not before the pod is let in.
//!
//! **Example.** `kubectl create namespace shop` and, a millisecond later, a pod in it: the pod exists only after
//! `ringfence-default-deny-ingress` does. Where the policies cannot be applied (a ResourceQuota of 0 on networkpolicies),
//! the pod is refused with the API server's reason. Under Warn and Audit nothing is written: a pod whose namespace lacks
//! policies is told or recorded. A dry run writes nothing either.
//!
//! **Settle it** by removing what keeps the policies from being applied, or, for a namespace that needs none, with the label
//! `ringfence.dev/isolation: none` on it, which needs `use` on `isolationprofiles.ringfence.dev/none` at the cluster.

use super::Case;
use super::context::{Context, Known};
use crate::model::{
    Action, Finding, Isolate, Isolated, Mode, NamespaceName, Operation, PlacementKind, Reason, Request, RuleName,
};

/// The rule's name.
pub(super) const NAME: RuleName = "Isolation";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let request = context.request;
    let namespace = request.subject.namespace.as_ref();
    let Some(mode) = context.snapshot.guardrails.isolation_mode(namespace) else {
        return Vec::new();
    };
    if !creates_pod(request) {
        return Vec::new();
    }
    finding(context, mode, asked(context, mode)).into_iter().collect()
}

/// How it stands with the policies of the namespace of a pod that is created, after those that did not stand were applied
/// where that may be done.
pub(super) fn asked<'c>(context: &Context<'c, '_>, mode: Mode) -> Known<&'c Isolated> {
    let isolate = match mode {
        Mode::Enforce if !context.request.dry_run => Isolate::Apply,
        _ => Isolate::Look,
    };
    looked(context, isolate, mode)
}

/// How it stands with the policies of the request's namespace.
pub(super) fn looked<'c>(context: &Context<'c, '_>, isolate: Isolate, mode: Mode) -> Known<&'c Isolated> {
    match NamespaceName::new(&context.request.subject.namespace) {
        Ok(name) => context.isolated(name, isolate, mode),
        Err(error) => Known::Failed(error.to_string()),
    }
}

fn creates_pod(request: &Request<'_>) -> bool {
    let places_pod =
        |action: &Action<'_>| matches!(action, Action::Place(placement) if placement.kind == PlacementKind::Pod);
    request.operation == Operation::Create && request.subresource.is_empty() && request.actions.iter().any(places_pod)
}

fn finding(context: &Context<'_, '_>, mode: Mode, isolated: Known<&Isolated>) -> Option<Finding> {
    let (reason, why) = match isolated {
        Known::Pending | Known::Yes(Isolated::Exempt | Isolated::Stands { .. } | Isolated::Applied { .. }) => {
            return None;
        }
        // The request that this one tries out would have them applied.
        Known::Yes(Isolated::Missing { .. }) if context.request.dry_run && mode == Mode::Enforce => return None,
        Known::Yes(Isolated::Missing { policies, .. }) => (Reason::NotIsolated, missing(policies)),
        Known::Yes(Isolated::Refused(why)) => (Reason::Refused, format!("its policies could not be applied: {why}")),
        Known::Failed(why) => (Reason::Unanswered, why),
    };
    let case = Case {
        rule: NAME,
        mode,
        segment: None,
        clause: None,
        doing: "exist before its namespace is isolated".to_owned(),
        why,
    };
    Some(case.found(context, reason, None))
}

fn missing(policies: &[String]) -> String {
    let be = if policies.len() == 1 { "does" } else { "do" };
    format!("{} {be} not stand as configured", policies.join(", "))
}
