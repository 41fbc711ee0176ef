//! What a request writes of NetworkPolicies, compiled once for all rules that look into it: the policy as it stood and as
//! it will stand, where what it says changes or where it comes or goes.

use std::cell::OnceCell;

use crate::guardrails::{is_injected, is_protected};
use crate::model::{Action, NETWORKING, NamespaceName, PolicyChange, PolicySpecText, PolicyText, PolicyWrite, Request};
use crate::netpol::{Direction, Leniency, NetworkPolicySpec, Policy, PolicyName, Worse, worse};

/// The write of a NetworkPolicy.
#[derive(Debug)]
pub(super) struct Written {
    /// As it stood, none on CREATE. What cannot be read may say anything.
    pub(super) before: Option<Policy>,
    /// As it will stand; none on DELETE.
    pub(super) after: Option<Policy>,
    /// Whether nobody knows what it will say, so that it may isolate nothing.
    after_unread: bool,
    /// Whether what it says changes, or what keeps it in force: an owner that is not there has the garbage collector delete
    /// it. Where it comes or goes, it does.
    pub(super) changes: bool,
    /// Whether it is one of those that isolate namespaces, before or after: by its reserved name or by its label.
    pub(super) injected: bool,
    opened: OnceCell<Opened>,
    /// Whether it was opted in to protection.
    pub(super) was_in: OptIn,
    /// Whether it will be.
    pub(super) will_be_in: OptIn,
}

/// Whether one side of a policy is opted in to protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptIn {
    /// Not labelled so, or not there.
    Out,
    /// It makes a segment.
    In,
    /// It is labelled so and makes none: it is one of those that isolate namespaces.
    Unheeded,
}

impl OptIn {
    fn of(name: &str, side: Option<&PolicyText<'_>>) -> Self {
        match side {
            Some(side) if is_protected(&side.labels) && is_injected(name, &side.labels) => Self::Unheeded,
            Some(side) if is_protected(&side.labels) => Self::In,
            Some(_) | None => Self::Out,
        }
    }
}

/// Whether any policy that a request writes is labelled to be protected, before or after.
pub(super) fn any_protected(request: &Request<'_>) -> bool {
    request.actions.iter().any(|action| match action {
        Action::WritePolicy(write) => {
            let mut sides = write.before.iter().chain(&write.after);
            sides.any(|side| is_protected(&side.labels))
        }
        _ => false,
    })
}

/// What the write of a policy opens, by direction, whatever pods and namespaces there are and whatever other policies say.
#[derive(Debug)]
pub(super) struct Opened {
    /// What comes in.
    pub(super) ingress: Vec<Worse>,
    /// What goes out.
    pub(super) egress: Vec<Worse>,
}

impl Opened {
    /// Of a direction.
    pub(super) fn of(&self, direction: Direction) -> &[Worse] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
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
    let (before, after) = (side(&write.before)?, side(&write.after)?);
    Some(Written {
        after_unread: matches!(after, Some(Side::Unread(_))),
        before: before.map(Side::policy),
        after: after.map(Side::policy),
        changes: comes_or_goes || write.changes.iter().any(counts),
        injected: [&write.before, &write.after]
            .into_iter()
            .flatten()
            .any(|policy| is_injected(&request.subject.name, &policy.labels)),
        was_in: OptIn::of(&request.subject.name, write.before.as_ref()),
        will_be_in: OptIn::of(&request.subject.name, write.after.as_ref()),
        opened: OnceCell::new(),
    })
}

/// What one side of a write says.
enum Side {
    /// This.
    Read(Policy),
    /// Nobody knows: it may be all that this says.
    Unread(Policy),
}

impl Side {
    fn policy(self) -> Policy {
        match self {
            Self::Read(policy) | Self::Unread(policy) => policy,
        }
    }
}

/// What a spec says; none in what is no namespace, where no policy can be.
fn side(namespace: &str, text: PolicySpecText<'_>) -> Option<Side> {
    // What it is called does not matter to what it says, and may not be known yet.
    let read = |spec: &NetworkPolicySpec| Policy::read(namespace, "policy", spec, Leniency::Stored).ok();
    let spec = match text.0 {
        "" => Some(NetworkPolicySpec::default()),
        text => serde_json::from_str::<Option<NetworkPolicySpec>>(text)
            .ok()
            .map(Option::unwrap_or_default),
    };
    if let Some(policy) = spec.as_ref().and_then(read) {
        return Some(Side::Read(policy));
    }
    let name = PolicyName {
        namespace: NamespaceName::new(namespace).ok()?,
        name: "policy".into(),
    };
    Some(Side::Unread(Policy::unread(name)))
}

impl Written {
    /// As it will stand, where that can be relied on.
    pub(super) fn relied_on(&self) -> Option<&Policy> {
        self.after.as_ref().filter(|_| !self.after_unread)
    }

    /// Both sides that are there, the later first.
    pub(super) fn sides(&self) -> impl Iterator<Item = &Policy> {
        self.after.iter().chain(&self.before)
    }

    /// What it opens. One that is not there selects the pods that the other side does, and says nothing of them.
    pub(super) fn opened(&self) -> &Opened {
        self.opened.get_or_init(|| {
            let silent = |policy: &Policy| Policy {
                ingress: None,
                egress: None,
                ..policy.clone()
            };
            let in_both = |of: &dyn Fn(Direction) -> Vec<Worse>| Opened {
                ingress: of(Direction::Ingress),
                egress: of(Direction::Egress),
            };
            match (&self.before, &self.after) {
                (Some(before), Some(after)) => in_both(&|direction| worse(before, after, direction)),
                (None, Some(after)) => in_both(&|direction| worse(&silent(after), after, direction)),
                (Some(before), None) => in_both(&|direction| worse(before, &silent(before), direction)),
                (None, None) => in_both(&|_| Vec::new()),
            }
        })
    }
}
