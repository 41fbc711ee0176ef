//! # Profile
//!
//! **Stops** a namespace from slipping out of its isolation profile. The label `ringfence.dev/isolation` on a namespace
//! chooses its profile, and whoever may create or label namespaces may write it; so any profile but the default, and `none`
//! above all, needs a permission at the cluster, both to enter it and to leave it.
//!
//! **Example.** `kubectl label namespace web ringfence.dev/isolation=none` needs `use` on
//! `isolationprofiles.ringfence.dev/none`. Removing the label of a namespace that profile `strict` was chosen for needs `use`
//! on `isolationprofiles.ringfence.dev/strict`. Coming back to the default from `none`, or from a profile that is gone, needs
//! nothing. A name that is no profile is refused: nothing would isolate by it.
//!
//! **Settle it** with `ringfence grant use isolationprofiles/none --cluster --user NAME`.

use super::context::Context;
use super::{Case, settled};
use crate::guardrails::{Guardrails, ISOLATION_LABEL, Isolation};
use crate::labels::LabelSet;
use crate::model::{Action, Finding, Mode, Permission, ProfileName, Reason, RuleName, Verb};

/// The rule's name.
pub(super) const NAME: RuleName = "Profile";

/// What a change of the label comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change<'a> {
    /// The namespace comes under this profile.
    Enters(&'a str),
    /// The namespace was put under this profile and would no longer be.
    Leaves(&'a str),
    /// The label names what is no profile.
    Unknown(&'a str),
}

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let (Some(isolation), Some(mode)) = (&guardrails.isolation, guardrails.isolation_mode(namespace)) else {
        return Vec::new();
    };
    let labels = context.request.actions.iter().filter_map(|action| match action {
        Action::CreateNamespace(after) => Some((None, after.value(ISOLATION_LABEL))),
        Action::RelabelNamespace { before, after } => {
            Some((before.value(ISOLATION_LABEL), after.value(ISOLATION_LABEL)))
        }
        _ => None,
    });
    labels
        .flat_map(|(before, after)| changes(guardrails, isolation, before, after))
        .filter_map(|change| finding(context, mode, change))
        .collect()
}

/// What needs a permission between two values of the label, or is refused.
fn changes<'a>(
    guardrails: &Guardrails,
    isolation: &'a Isolation,
    before: Option<&'a str>,
    after: Option<&'a str>,
) -> Vec<Change<'a>> {
    let default = isolation.default_profile.as_str();
    let (left, entered) = (before.unwrap_or(default), after.unwrap_or(default));
    if left == entered {
        return Vec::new();
    }
    let leaves = left != default && left != ProfileName::NONE && guardrails.is_profile(left);
    let enters = match entered {
        name if name == default => None,
        name if guardrails.is_profile(name) => Some(Change::Enters(name)),
        name => Some(Change::Unknown(name)),
    };
    leaves
        .then_some(Change::Leaves(left))
        .into_iter()
        .chain(enters)
        .collect()
}

fn finding(context: &Context<'_, '_>, mode: Mode, change: Change<'_>) -> Option<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let (profile, doing, because) = match change {
        Change::Enters(profile) => (profile, "come under", "chooses it"),
        Change::Leaves(profile) => (profile, "leave", "chose it"),
        Change::Unknown(profile) => return Some(unknown(guardrails, mode, profile)),
    };
    let mut why = format!("label {ISOLATION_LABEL}={profile} {because}");
    if profile == ProfileName::NONE {
        why.push_str(": no policy of ringfence would stand in it");
    }
    let case = Case {
        rule: NAME,
        mode,
        segment: None,
        clause: None,
        doing: format!("{doing} isolation profile {profile}"),
        why,
    };
    settled(context, Permission::profile(Verb::Use, profile), case)
}

/// A label that names no profile: there is none to hold a permission on. The value is a label's, so nothing in it has to be
/// quoted.
fn unknown(guardrails: &Guardrails, mode: Mode, profile: &str) -> Finding {
    let known: Vec<&str> = guardrails.profiles.keys().map(ProfileName::as_str).collect();
    Finding {
        rule: NAME,
        reason: Reason::Refused,
        mode,
        segment: None,
        clause: None,
        permission: None,
        reviewer: None,
        what: format!("may not come under isolation profile {profile}"),
        why: format!(
            "label {ISOLATION_LABEL}={profile} names no profile; there are: {}",
            known
                .into_iter()
                .chain([ProfileName::NONE])
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}
