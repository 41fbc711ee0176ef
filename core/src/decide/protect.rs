//! # Protect
//!
//! **Stops** whoever may write NetworkPolicies (the built-in `edit` role may) from having ringfence refuse other people's
//! pods, and from taking down a policy that ringfence protects pods by. A policy that is labelled
//! `ringfence.dev/protected: "true"` is a segment by itself: the pods that it selects are its members, the pods that it names
//! as peers its clients, and who places such pods needs `join` or `connect` on the policy, in its namespace.
//!
//! **Example.** `kubectl label networkpolicy db -n payments ringfence.dev/protected=true` needs `protect` on
//! `networkpolicies.networking.k8s.io/db` in `payments`; so does every later change of its spec or of its owners, its
//! deletion, and taking the label away. Where a peer has a namespaceSelector that is not pinned to the policy's own namespace
//! by `kubernetes.io/metadata.name`, other teams' pods would need permissions, so the cluster is asked instead. Empty
//! podSelectors, ipBlocks, system namespaces and the policies that isolate namespaces make no members and no clients; a
//! warning says so where somebody may have thought otherwise. Exec and its kin are not guarded by derived segments, and pods
//! of templates that stood before go on.
//!
//! **Settle it** with `ringfence grant protect networkpolicies.networking.k8s.io/db -n payments --user NAME`, for whom
//! decides who may place the pods.

use super::context::{Context, Known};
use super::policies::{self, OptIn, Written};
use super::{Case, settled, unanswered};
use crate::guardrails::{Derived, LeftOut, PROTECTED_LABEL, reaching_beyond};
use crate::model::{Finding, Mode, NamespaceName, Operation, Permission, RuleName, Scope, SegmentName, Verb};
use crate::netpol::{Policy, PolicyName};

/// The rule's name.
pub(super) const NAME: RuleName = "Protect";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    if !policies::any_protected(context.request) {
        return Vec::new();
    }
    let subject = &context.request.subject;
    let guardrails = &context.snapshot.guardrails;
    let mode = guardrails.rollout.cap(&subject.namespace, guardrails.mode);
    let namespace = match NamespaceName::new(&subject.namespace) {
        Ok(namespace) => namespace,
        Err(error) => return vec![unanswered(context, NAME, mode, "be written", &error.to_string())],
    };
    let writes = context.written_policies().iter();
    writes
        .filter_map(|write| {
            advise(context, &namespace, write);
            finding(context, &namespace, write, mode)
        })
        .collect()
}

/// What a write does to a policy that is protected, or is to be; none where it leaves it as it is.
fn doing(write: &Written, operation: Operation) -> Option<&'static str> {
    match (write.was_in == OptIn::In, write.will_be_in == OptIn::In) {
        (false, false) => None,
        (false, true) => Some("be protected"),
        (true, false) if operation == Operation::Delete => Some("be deleted while it is protected"),
        (true, false) => Some("opt out of protection"),
        (true, true) => write.changes.then_some("be changed while it is protected"),
    }
}

fn finding(context: &Context<'_, '_>, namespace: &NamespaceName, write: &Written, mode: Mode) -> Option<Finding> {
    let request = context.request;
    let name = request.subject.name.as_ref();
    let doing = doing(write, request.operation)?;
    let beyond = write.sides().find_map(reaching_beyond);
    let mut why = format!(
        "label {}={} makes a segment of it: who places the pods that it selects or names needs permissions on it",
        PROTECTED_LABEL.0, PROTECTED_LABEL.1
    );
    let asked = match &beyond {
        Some(peer) => {
            why.push_str(&format!("; {peer} reaches beyond {namespace}, so the cluster is asked"));
            Known::Yes(Scope::Cluster)
        }
        None => context.consent(&Scope::Namespace(namespace.clone()), mode),
    };
    let case = Case {
        rule: NAME,
        mode,
        segment: Some(SegmentName::of_policy(namespace, name)),
        clause: None,
        doing: doing.to_owned(),
        why,
    };
    let permission = |scope: Scope| Permission::policy(Verb::Protect, name, scope);
    match asked {
        Known::Pending => None,
        Known::Yes(scope) => settled(context, permission(scope), case),
        Known::Failed(failure) => {
            let failure = format!("where to ask could not be found out: {failure}");
            let permission = permission(Scope::Namespace(namespace.clone()));
            Some(case.failed(context, Some(permission), &failure))
        }
    }
}

/// Says what of a policy that comes to be protected protects nothing.
fn advise(context: &Context<'_, '_>, namespace: &NamespaceName, write: &Written) {
    let changed = write.changes || write.was_in != write.will_be_in;
    let Some(after) = write.after.as_ref().filter(|_| changed) else {
        return;
    };
    let left_out = match write.will_be_in {
        OptIn::Out => return,
        OptIn::Unheeded => vec![LeftOut::Injected],
        OptIn::In => {
            let name = PolicyName {
                namespace: namespace.clone(),
                name: context.request.subject.name.as_ref().into(),
            };
            Derived::of(&Policy { name, ..after.clone() }).left_out
        }
    };
    for why in left_out {
        context.advise(&why.to_string());
    }
}
