//! The Guardrails document: modes, rollout, and the settings that hold everywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::check::checks;
use super::workload::{compiled_workload, duration, workload};
use super::{namespace, unique};
use crate::guardrails::checks::CheckOptions;
use crate::guardrails::compiled::{self, Rollout, SYSTEM_NAMESPACES, default_system_namespaces};
use crate::guardrails::documents::{self, CheckName, Delegate, GuardrailsSpec, RolloutSpec, SeparationOfDuties};
use crate::guardrails::isolation::Isolation;
use crate::guardrails::place::{Found, Place};
use crate::guardrails::shape::suggestion;
use crate::model::{Mode, NamespaceName, ProfileName, is_dns_subdomain};

/// The group of everybody whom the API server knows.
const EVERYBODY: &str = "system:authenticated";

/// The group whose members the API server lets do everything.
const ADMINISTRATORS: &str = "system:masters";

/// What other documents a Guardrails document may refer to.
pub(crate) struct References {
    /// The names of all IsolationProfiles.
    pub(crate) profiles: Vec<String>,
}

/// What a Guardrails document says.
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) rollout: Rollout,
    pub(crate) system_namespaces: BTreeSet<NamespaceName>,
    pub(crate) checks: BTreeMap<CheckName, Mode>,
    pub(crate) check_options: CheckOptions,
    pub(crate) separation_of_duties: Option<compiled::SeparationOfDuties>,
    pub(crate) delegates: Vec<compiled::Delegate>,
    pub(crate) workloads: Vec<compiled::Workload>,
    pub(crate) isolation: Option<Isolation>,
}

/// Reads a Guardrails document; what has mistakes is left out.
pub(crate) fn guardrails(
    document: &Place<'_>,
    name: &str,
    spec: &GuardrailsSpec,
    references: &References,
    found: &mut Found,
) -> Settings {
    if !is_dns_subdomain(name) {
        let message = format!("{name:?} is not a valid name");
        found.wrong(&document.field("metadata").field("name"), message, "call it default");
    }
    let GuardrailsSpec {
        mode,
        rollout: rollout_given,
        system_namespaces: system_given,
        isolation: isolation_given,
        checks: checks_given,
        separation_of_duties,
        delegates: delegates_given,
        workloads,
        exceptions,
    } = spec;
    let place = document.field("spec");
    let (checks, check_options) = checks(&place.field("checks"), checks_given, *mode, found);
    let at = place.field("separationOfDuties");
    let separation_of_duties = separation_of_duties
        .as_ref()
        .map(|given| duties(&at, given, *mode, found));
    delegates(&place.field("delegates"), delegates_given, found);
    let at = place.field("workloads");
    for (position, written) in workloads.iter().enumerate() {
        workload(&at.item(position), written, found);
    }
    unique(
        workloads
            .iter()
            .enumerate()
            .map(|(position, one)| ((&one.group, &one.version, &one.resource), at.item(position))),
        |(group, version, resource)| format!("{resource}.{version}.{group}"),
        found,
    );
    if let Some(limits) = exceptions {
        duration(
            &place.field("exceptions").field("maxDuration"),
            &limits.max_duration,
            found,
        );
    }
    let delegate = |given: &Delegate| compiled::Delegate {
        user: given.user.clone(),
        review_as: given.review_as.clone(),
    };
    Settings {
        checks,
        check_options,
        separation_of_duties,
        delegates: delegates_given.iter().map(delegate).collect(),
        workloads: workloads.iter().map(compiled_workload).collect(),
        isolation: isolation_given
            .as_ref()
            .and_then(|given| isolation(&place.field("isolation"), given, *mode, references, found)),
        mode: *mode,
        rollout: rollout_given
            .as_ref()
            .map_or_else(Rollout::default, |given| rollout(&place.field("rollout"), given, found)),
        system_namespaces: system_given.as_ref().map_or_else(default_system_namespaces, |names| {
            system_namespaces(&place.field("systemNamespaces"), names, found)
        }),
    }
}

fn rollout(place: &Place<'_>, given: &RolloutSpec, found: &mut Found) -> Rollout {
    let list = place.field("namespaces");
    let at = |position: usize| list.item(position).field("name");
    unique(
        given
            .namespaces
            .iter()
            .enumerate()
            .map(|(position, cap)| (&cap.name, at(position))),
        |name| format!("namespace {name:?}"),
        found,
    );
    let cap = |(position, cap): (usize, &crate::guardrails::documents::NamespaceCap)| {
        namespace(&at(position), &cap.name, found).map(|name| (name, cap.mode))
    };
    let namespaces: BTreeMap<NamespaceName, Mode> = given.namespaces.iter().enumerate().filter_map(cap).collect();
    Rollout {
        default: given.default,
        namespaces,
    }
}

fn system_namespaces(place: &Place<'_>, names: &[String], found: &mut Found) -> BTreeSet<NamespaceName> {
    unique(
        names
            .iter()
            .enumerate()
            .map(|(position, name)| (name, place.item(position))),
        |name| format!("namespace {name:?}"),
        found,
    );
    let missing: Vec<&str> = SYSTEM_NAMESPACES
        .into_iter()
        .filter(|usual| names.iter().all(|name| name != usual))
        .collect();
    if !missing.is_empty() {
        found.notice(format!(
            "systemNamespaces leaves out {}: where something is Enforce there, a failure of ringfence blocks the cluster's own pods",
            missing.join(", "),
        ));
    }
    names
        .iter()
        .enumerate()
        .filter_map(|(position, name)| namespace(&place.item(position), name, found))
        .collect()
}

/// How namespaces are isolated, where its profile is there; `mode` is the one where it does not say.
fn isolation(
    place: &Place<'_>,
    given: &documents::Isolation,
    mode: Mode,
    references: &References,
    found: &mut Found,
) -> Option<Isolation> {
    let documents::Isolation {
        mode: own_mode,
        default_profile: name,
        existing_namespaces,
    } = given;
    let default_profile = ProfileName::new(name)
        .ok()
        .filter(|name| name.is_none() || references.profiles.iter().any(|known| known == name.as_str()));
    if default_profile.is_none() {
        let otherwise = format!("add an IsolationProfile of this name, or write {:?}", ProfileName::NONE);
        found.wrong(
            &place.field("defaultProfile"),
            format!("no IsolationProfile is called {name:?}"),
            suggestion(name, &references.profiles, &otherwise),
        );
    }
    Some(Isolation {
        mode: own_mode.unwrap_or(mode),
        default_profile: default_profile?,
        existing: *existing_namespaces,
    })
}

fn duties(
    place: &Place<'_>,
    given: &SeparationOfDuties,
    default: Mode,
    found: &mut Found,
) -> compiled::SeparationOfDuties {
    let SeparationOfDuties { mode, exempt_groups } = given;
    let list = place.field("exemptGroups");
    for (position, group) in exempt_groups.iter().enumerate() {
        not_empty(&list.item(position), group, "group", found);
    }
    unique(
        exempt_groups
            .iter()
            .enumerate()
            .map(|(position, group)| (group, list.item(position))),
        |group| format!("group {group:?}"),
        found,
    );
    let exempt_groups: BTreeSet<String> = exempt_groups.iter().cloned().collect();
    let mode = mode.unwrap_or(default);
    if exempt_groups.contains(EVERYBODY) {
        found.notice(format!(
            "separationOfDuties exempts {EVERYBODY}, which is everybody: nobody is asked",
        ));
    } else if mode == Mode::Enforce && !exempt_groups.contains(ADMINISTRATORS) {
        found.notice(format!(
            "separationOfDuties does not exempt {ADMINISTRATORS}, who hold every permission: they may place no pod in a segment \
             nor write its policies",
        ));
    }
    compiled::SeparationOfDuties { mode, exempt_groups }
}

fn delegates(place: &Place<'_>, given: &[Delegate], found: &mut Found) {
    unique(
        given
            .iter()
            .enumerate()
            .map(|(position, delegate)| (&delegate.user, place.item(position).field("user"))),
        |user| format!("delegate {user:?}"),
        found,
    );
    for (position, delegate) in given.iter().enumerate() {
        let at = place.item(position);
        not_empty(&at.field("user"), &delegate.user, "user", found);
        if let Some(why) = senseless_review(delegate, given) {
            found.wrong(
                &at.field("reviewAs"),
                why,
                "name a user that only RoleBindings name, e.g. \"gitops:{namespace}\"",
            );
        }
    }
}

/// Why a review as this user says nothing.
fn senseless_review(delegate: &Delegate, all: &[Delegate]) -> Option<String> {
    let name = &delegate.review_as;
    let rest = name.replace("{namespace}", "");
    if rest.trim() != rest || rest.is_empty() || name.chars().any(char::is_control) {
        Some(format!("{name:?} is not the name of a user of its own"))
    } else if rest.contains(['{', '}']) {
        Some(format!(
            "{name:?} has a placeholder that is not known: only {{namespace}} is"
        ))
    } else if rest.starts_with("system:") {
        Some(format!(
            "{name:?} is a name of the system: credentials for it may exist"
        ))
    } else if all.iter().any(|other| other.user == *name) {
        Some(format!(
            "{name:?} is a delegate itself: its rights say nothing about who asked"
        ))
    } else {
        None
    }
}

/// Refuses an empty name.
pub(super) fn not_empty(place: &Place<'_>, name: &str, what: &str, found: &mut Found) {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        found.wrong(
            place,
            format!("{name:?} is not the name of a {what}"),
            "write it exactly as the API server knows it",
        );
    }
}
