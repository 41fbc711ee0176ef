//! What a request writes of NetworkPolicies, compiled once for all rules that look into it: the policy as it stood and as
//! it will stand, where what it says changes or where it comes or goes.

use crate::guardrails::{MANAGED_BY, RESERVED_PREFIX};
use crate::labels::{LabelSet, Selector};
use crate::model::{Action, PolicyChange, PolicySpecText, PolicyText, PolicyWrite, Request};
use crate::netpol::{Leniency, NetworkPolicySpec, Peers, Policy, Ports, Rule};

/// The API group of NetworkPolicies.
pub(super) const NETWORKING: &str = "networking.k8s.io";

/// The write of a NetworkPolicy.
#[derive(Debug)]
pub(super) struct Written {
    /// As it stood, none on CREATE. What cannot be read may say anything.
    pub(super) before: Option<Policy>,
    /// As it will stand; none on DELETE.
    pub(super) after: Option<Policy>,
    /// Whether what it says changes, or what keeps it in force: an owner that is not there has the garbage collector delete
    /// it. Where it comes or goes, it does.
    pub(super) changes: bool,
    /// Whether it is one of those that isolate namespaces, before or after: by its reserved name or by its label.
    pub(super) injected: bool,
}

/// The writes of NetworkPolicies in a request; of other kinds nobody here knows what they say.
pub(super) fn written(request: &Request<'_>) -> Vec<Written> {
    if (request.group.as_ref(), request.resource.as_ref()) != (NETWORKING, "networkpolicies") {
        return Vec::new();
    }
    let writes = request.actions.iter().filter_map(|action| match action {
        Action::WritePolicy(write) => Some(write),
        _ => None,
    });
    writes.filter_map(|write| compiled(request, write)).collect()
}

fn compiled(request: &Request<'_>, write: &PolicyWrite<'_>) -> Option<Written> {
    let namespace = request.subject.namespace.as_ref();
    let side = |text: &Option<PolicyText<'_>>| match text {
        Some(text) => side(namespace, text.spec).map(Some),
        None => Some(None),
    };
    let comes_or_goes = write.before.is_none() || write.after.is_none();
    let counts = |change: &PolicyChange| matches!(change, PolicyChange::Content | PolicyChange::Owners);
    Some(Written {
        before: side(&write.before)?,
        after: side(&write.after)?,
        changes: comes_or_goes || write.changes.iter().any(counts),
        injected: [&write.before, &write.after]
            .into_iter()
            .flatten()
            .any(|policy| is_injected(&request.subject.name, &policy.labels)),
    })
}

/// Whether a policy is one of those that isolate namespaces, or would pass for one.
pub(super) fn is_injected(name: &str, labels: &impl LabelSet) -> bool {
    name.starts_with(RESERVED_PREFIX) || labels.value(MANAGED_BY.0) == Some(MANAGED_BY.1)
}

/// What a spec says; none in what is no namespace, where no policy can be.
fn side(namespace: &str, text: PolicySpecText<'_>) -> Option<Policy> {
    // What it is called does not matter to what it says, and may not be known yet.
    let read = |spec: &NetworkPolicySpec| Policy::read(namespace, "policy", spec, Leniency::Stored).ok();
    let spec = match text.0 {
        "" => Some(NetworkPolicySpec::default()),
        text => serde_json::from_str::<Option<NetworkPolicySpec>>(text)
            .ok()
            .map(Option::unwrap_or_default),
    };
    if let Some(policy) = spec.as_ref().and_then(read) {
        return Some(policy);
    }
    // The API server has taken it, so it says something: anything.
    let anything = || {
        Some(vec![Rule {
            peers: Peers::Everyone,
            ports: Ports::All,
        }])
    };
    Some(Policy {
        pods: Selector::everything(),
        ingress: anything(),
        egress: anything(),
        ..read(&NetworkPolicySpec::default())?
    })
}

impl Written {
    /// Both sides that are there, the later first.
    pub(super) fn sides(&self) -> impl Iterator<Item = &Policy> {
        self.after.iter().chain(&self.before)
    }
}
