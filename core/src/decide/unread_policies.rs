//! # UnreadPolicies
//!
//! **Stops** whoever may write the policies of another network from walking around those that ringfence reads. Cilium's,
//! Calico's and Antrea's policies, AdminNetworkPolicies and ClusterNetworkPolicies let in beside NetworkPolicies, or before
//! them, and ringfence does not know what they say; so their kinds are for those who hold `manage` on them.
//!
//! **Example.** With a ClusterRole of the CNI aggregated to `edit`, mallory may create CiliumNetworkPolicies in `web`. ringfence
//! refuses `web/open` without `manage` on `ciliumnetworkpolicies.cilium.io/open` in `web`; a CiliumClusterwideNetworkPolicy
//! without `manage` at the cluster, and so a policy of one namespace, where there may be members of a segment whose owner
//! consents elsewhere: whoever may do everything in that namespace would hold it there. Changing and deleting need the same,
//! but not what changes the status, labels or annotations alone. The kinds that an isolation profile brings are guarded like
//! these, whatever network they are of. A kind is guarded in whatever version it is served, also one that is defined later, in
//! the scope that its network gives it: one defined anew in another scope is not. It is as strict as the strictest of
//! `spec.mode`, isolation, the checks on policies, and the segments whose members could be selected.
//!
//! Nothing of the network itself is broken: in system namespaces nobody is refused, and what service accounts of system
//! namespaces write is recorded and let in. Name the namespaces of your network's own controllers in `systemNamespaces`
//! (`calico-apiserver` above all, which writes for everybody), and no others: whoever can act as an account there writes what
//! they like. The garbage collector has no permission of its own: a policy that its owner left stays.
//!
//! **Settle it** with `ringfence grant manage ciliumnetworkpolicies.cilium.io -n web --group NAME`, or `--cluster` for every
//! namespace.

use super::context::{Context, Known};
use super::{Case, settled, unanswered};
use crate::guardrails::{NamespaceSet, SegmentId, is_injected};
use crate::model::{
    Action, Finding, Mode, NETWORKING, NamespaceName, Operation, Permission, PolicyChange, PolicyWrite, RuleName,
    Scope, SegmentName,
};

/// The rule's name.
pub(super) const NAME: RuleName = "UnreadPolicies";

/// Deletes what an owner left, and the owner may be anybody's.
const GARBAGE_COLLECTOR: &str = "generic-garbage-collector";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let request = context.request;
    if request.group == NETWORKING {
        return Vec::new();
    }
    let writes = request.actions.iter().filter_map(|action| match action {
        Action::WritePolicy(write) => Some(write),
        _ => None,
    });
    writes.filter_map(|write| finding(context, write)).collect()
}

fn finding(context: &Context<'_, '_>, write: &PolicyWrite<'_>) -> Option<Finding> {
    let request = context.request;
    let subject = &request.subject;
    let counts = |change: &PolicyChange| matches!(change, PolicyChange::Content | PolicyChange::Owners);
    let doing = match request.operation {
        Operation::Create => "be created",
        Operation::Delete => "be deleted",
        Operation::Update | Operation::Connect if !write.changes.iter().any(counts) => return None,
        Operation::Update | Operation::Connect => "be changed",
    };
    let namespace = match subject.namespace.as_ref() {
        "" => None,
        name => match NamespaceName::new(name) {
            Ok(name) => Some(name),
            Err(error) => return Some(unanswered(context, NAME, Mode::Enforce, doing, &error.to_string())),
        },
    };
    let guardrails = &context.snapshot.guardrails;
    let guarded = guardrails.unread_policy_mode(namespace.as_ref().map(NamespaceName::as_str));
    if is_guarded_by_isolation(context, write, guarded) {
        return None;
    }
    let mode = if is_the_networks_own(context) {
        guarded.min(Mode::Audit)
    } else {
        guarded
    };
    let elsewhere = match &namespace {
        None => None,
        Some(namespace) => match owned_elsewhere(context, namespace, mode) {
            Known::Pending => return None,
            Known::Failed(why) => return Some(unanswered(context, NAME, mode, doing, &why)),
            Known::Yes(segment) => segment,
        },
    };
    let scope = match (&namespace, elsewhere) {
        (Some(namespace), None) => Scope::Namespace(namespace.clone()),
        _ => Scope::Cluster,
    };
    let permission = Permission::unread_policy(&request.group, &request.resource, &subject.name, scope);
    let mut why = format!("ringfence does not read {}.{}: ", request.resource, request.group);
    why.push_str(&match (&namespace, elsewhere) {
        (None, _) => "it may open anything in any namespace".to_owned(),
        (Some(namespace), None) => format!("it may open anything in {namespace}"),
        (Some(namespace), Some(segment)) => {
            format!(
                "it may open anything in {namespace}, where members of {segment} can be, whose owner consents elsewhere"
            )
        }
    });
    let case = Case {
        rule: NAME,
        mode,
        segment: None,
        clause: None,
        doing: doing.to_owned(),
        why,
    };
    settled(context, permission, case)
}

/// Whether it is one of those that isolate its namespace, which another permission guards as strictly.
fn is_guarded_by_isolation(context: &Context<'_, '_>, write: &PolicyWrite<'_>, mode: Mode) -> bool {
    let subject = &context.request.subject;
    let injected = [&write.before, &write.after]
        .into_iter()
        .flatten()
        .any(|policy| is_injected(&subject.name, &policy.labels));
    let isolation = context.snapshot.guardrails.isolation_mode(&subject.namespace);
    injected && !subject.namespace.is_empty() && isolation >= Some(mode)
}

/// Whether a service account of a system namespace writes. Whoever impersonates one has no uid.
fn is_the_networks_own(context: &Context<'_, '_>) -> bool {
    let identity = &context.request.identity;
    let system = &context.snapshot.guardrails.system_namespaces;
    !identity.uid.is_empty()
        && identity
            .service_account()
            .is_some_and(|account| system.contains(account.namespace) && account.name != GARBAGE_COLLECTOR)
}

/// A segment, guarded as strictly as this, whose members can be in the namespace, and whose owner consents in another place.
/// The namespace's labels as last seen will do: whoever writes policies here could before they changed.
fn owned_elsewhere<'c>(
    context: &Context<'c, '_>,
    namespace: &NamespaceName,
    mode: Mode,
) -> Known<Option<&'c SegmentName>> {
    let guardrails = &context.snapshot.guardrails;
    let here = Scope::Namespace(namespace.clone());
    let mut selecting = Vec::new();
    for (position, segment) in (0..).zip(&guardrails.segments) {
        if segment.consent == here || guardrails.segment_mode(SegmentId(position), namespace.as_str()) < mode {
            continue;
        }
        for clause in &segment.members {
            match &clause.namespaces {
                NamespaceSet::Named(names) if names.contains(namespace) => return Known::Yes(Some(&segment.name)),
                NamespaceSet::Named(_) => {}
                NamespaceSet::Selected(selector) => selecting.push((&segment.name, selector)),
            }
        }
    }
    if selecting.is_empty() {
        return Known::Yes(None);
    }
    let labels = match context.cached_namespace(namespace.as_str()) {
        Some(cached) => &cached.labels,
        None => match context.live_namespace(namespace, mode) {
            Known::Pending => return Known::Pending,
            Known::Failed(why) => return Known::Failed(why),
            Known::Yes(Some(live)) => &live.labels,
            Known::Yes(None) => return Known::Yes(None),
        },
    };
    let mut selecting = selecting.into_iter();
    Known::Yes(
        selecting
            .find(|(_, selector)| selector.matches(labels))
            .map(|(name, _)| name),
    )
}
