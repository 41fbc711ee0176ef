//! Isolation profiles: the policies that a namespace gets before its first pod.

use std::time::Duration;

use super::builtin::{Made, builtin, same_namespace};
use super::manifest::manifest;
use super::network_policy::network_policy;
use super::unique;
use super::workload::duration;
use crate::guardrails::defaulted::{defaulted, policy_types};
use crate::guardrails::documents::{BuiltinPolicy, Direction, IsolationProfileSpec, NetworkPolicySpec, ProfilePolicy};
use crate::guardrails::isolation::{InjectedPolicy, Profile, RESERVED_PREFIX};
use crate::guardrails::place::{Found, Place};
use crate::model::{ProfileName, is_dns_subdomain};

/// The longest that a profile may have its policies settle: its pods wait that long.
const MOST_SETTLE: Duration = Duration::from_secs(600);

/// The profile, where nothing is wrong with it.
pub(crate) fn isolation_profile(
    document: &Place<'_>,
    name: &str,
    spec: &IsolationProfileSpec,
    found: &mut Found,
) -> Option<Profile> {
    let before = found.problems.len();
    let name = profile_name(&document.field("metadata").field("name"), name, found);
    let IsolationProfileSpec {
        policies: policies_given,
        manifests: manifests_given,
        settle: settle_given,
    } = spec;
    let place = document.field("spec");
    if policies_given.is_empty() && manifests_given.is_empty() {
        found.wrong(
            &place,
            "a profile without policies isolates nothing",
            format!(
                "name policies; for a namespace without any there is {:?}",
                ProfileName::NONE
            ),
        );
    }
    let policies = policies(&place.field("policies"), policies_given, found);
    let settle = settle_given
        .as_ref()
        .and_then(|text| settle(&place.field("settle"), text, found));
    // Whatever its name: what stands here is judged all the same.
    let name = name.or_else(|| ProfileName::new("unnamed").ok())?;
    let list = place.field("manifests");
    let manifests: Vec<_> = manifests_given
        .iter()
        .enumerate()
        .filter_map(|(position, written)| {
            let at = list.item(position);
            manifest(&at, written, &name, found).map(|manifest| (manifest, at))
        })
        .collect();
    unique(
        manifests
            .iter()
            .map(|(manifest, at)| ((&manifest.group, &manifest.kind, &manifest.name), at.clone())),
        |(_, kind, name)| format!("{kind} {name:?}"),
        found,
    );
    (found.problems.len() == before).then(|| Profile {
        name,
        policies,
        manifests: manifests.into_iter().map(|(manifest, _)| manifest).collect(),
        settle,
    })
}

fn profile_name(place: &Place<'_>, name: &str, found: &mut Found) -> Option<ProfileName> {
    match ProfileName::new(name) {
        Ok(name) if name.is_none() => {
            found.wrong(
                place,
                format!(
                    "{:?} is reserved: it is the profile without policies",
                    ProfileName::NONE
                ),
                "choose another name",
            );
            None
        }
        Ok(name) => Some(name),
        Err(_) => {
            found.wrong(
                place,
                format!("{name:?} is not a valid profile name: namespaces choose it by a label"),
                "use lower-case letters, digits and '-', at most 63 characters",
            );
            None
        }
    }
}

fn settle(place: &Place<'_>, text: &str, found: &mut Found) -> Option<Duration> {
    let settle = duration(place, text, found)?;
    if settle > MOST_SETTLE {
        found.wrong(
            place,
            format!("{text} is too long: every first pod of a namespace waits for it"),
            "use at most 10m",
        );
    }
    Some(settle)
}

/// The policies of a profile; those with mistakes are left out.
fn policies(list: &Place<'_>, given: &[ProfilePolicy], found: &mut Found) -> Vec<InjectedPolicy> {
    let names = given.iter().enumerate().filter_map(|(position, policy)| {
        let at = list.item(position);
        policy_name(policy).map(|name| (name, at))
    });
    unique(names, |name| format!("policy {name:?}"), found);
    let made: Vec<(&str, Made)> = given
        .iter()
        .enumerate()
        .filter_map(|(position, written)| Some((policy_name(written)?, policy(&list.item(position), written, found)?)))
        .collect();
    let isolates = |direction: Direction| {
        made.iter().any(|(_, made)| match made {
            Made::Spec(spec) => policy_types(spec).contains(&direction),
            Made::SameNamespace => false,
        })
    };
    let directions: Vec<Direction> = match (isolates(Direction::Ingress), isolates(Direction::Egress)) {
        (_, false) => vec![Direction::Ingress],
        (false, true) => vec![Direction::Egress],
        (true, true) => vec![Direction::Ingress, Direction::Egress],
    };
    let injected = |(name, made): &(&str, Made)| InjectedPolicy {
        name: format!("{RESERVED_PREFIX}{name}"),
        spec: match made {
            Made::Spec(spec) => defaulted(spec),
            Made::SameNamespace => defaulted(&same_namespace(&directions)),
        },
    };
    made.iter().map(injected).collect()
}

fn policy_name(policy: &ProfilePolicy) -> Option<&str> {
    policy.builtin.map(BuiltinPolicy::as_str).or(policy.name.as_deref())
}

fn policy(place: &Place<'_>, written: &ProfilePolicy, found: &mut Found) -> Option<Made> {
    match written {
        ProfilePolicy {
            builtin: Some(name),
            with,
            name: None,
            spec: None,
        } => builtin(place, *name, with.as_ref(), found),
        ProfilePolicy {
            builtin: None,
            with: None,
            name: Some(name),
            spec: Some(spec),
        } => own(place, name, spec, found).map(Made::Spec),
        ProfilePolicy {
            builtin: None,
            with: Some(_),
            ..
        } => {
            found.wrong(
                &place.key("with"),
                "options without a built-in policy",
                "name the policy by `builtin`, or write all of your own under `spec`",
            );
            None
        }
        _ => {
            found.wrong(
                place,
                "a policy is either `builtin`, or `name` and `spec`",
                "keep one of the two forms",
            );
            None
        }
    }
}

fn own(place: &Place<'_>, name: &str, spec: &NetworkPolicySpec, found: &mut Found) -> Option<NetworkPolicySpec> {
    let before = found.problems.len();
    if !is_dns_subdomain(&format!("{RESERVED_PREFIX}{name}")) {
        found.wrong(
            &place.field("name"),
            format!("{name:?} is not a valid name of a policy"),
            "use lower-case letters, digits, '-' and '.'",
        );
    }
    network_policy(&place.field("spec"), spec, found);
    (found.problems.len() == before).then(|| spec.clone())
}
