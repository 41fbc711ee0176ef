//! Custom kinds that make pods, and the small syntaxes that configuration uses: JSON pointers and durations.

use std::time::Duration;

use super::guardrails::not_empty;
use crate::guardrails::compiled;
use crate::guardrails::documents::Workload;
use crate::guardrails::place::{Found, Place};
use crate::model::{is_dns_label, is_dns_subdomain};

/// API groups whose resources no configured kind may name: the built-in workloads are covered already, and nothing else
/// of these makes pods, or webhooks are never called for it.
fn is_builtin_group(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io")
}

/// Reports everything wrong with a custom kind.
pub(super) fn workload(place: &Place<'_>, written: &Workload, found: &mut Found) {
    let Workload {
        group,
        version,
        resource,
        template,
        controllers,
    } = written;
    if group.is_empty() || is_dns_subdomain(group) && is_builtin_group(group) {
        found.wrong(
            &place.field("group"),
            format!("no configured kind can be of API group {group:?}"),
            "built-in kinds are covered already; name the API group of a custom kind, e.g. argoproj.io",
        );
    } else if group == crate::model::GROUP {
        found.wrong(
            &place.field("group"),
            "ringfence's own kinds make no pods",
            "name the API group of a custom kind",
        );
    } else if !is_dns_subdomain(group) {
        found.wrong(
            &place.field("group"),
            format!("{group:?} is not an API group"),
            "write it as in apiVersion, e.g. argoproj.io",
        );
    }
    if !is_dns_label(version) || !version.starts_with('v') {
        found.wrong(
            &place.field("version"),
            format!("{version:?} is not an API version"),
            "write it as in apiVersion, e.g. v1alpha1",
        );
    }
    if resource.contains(['/', '*']) {
        found.wrong(
            &place.field("resource"),
            format!("no webhook covers {resource:?} as a kind that makes pods"),
            "name one plural resource, without subresource or wildcard, e.g. rollouts",
        );
    } else if !is_dns_label(resource) {
        found.wrong(
            &place.field("resource"),
            format!("{resource:?} is not a resource"),
            "name it by its plural in lower case, e.g. rollouts",
        );
    }
    if let Some(why) = wrong_template(template) {
        found.wrong(
            &place.field("template"),
            why,
            "write a JSON pointer to the pod template, e.g. /spec/template",
        );
    }
    for (position, controller) in controllers.iter().enumerate() {
        let at = place.field("controllers").item(position);
        not_empty(&at, controller, "user", found);
        if let Some(rest) = controller.strip_prefix("system:serviceaccount:") {
            let valid = rest
                .split_once(':')
                .is_some_and(|(namespace, name)| is_dns_label(namespace) && is_dns_subdomain(name));
            if !valid {
                found.wrong(
                    &at,
                    format!("{controller:?} is not a service account"),
                    "write system:serviceaccount:NAMESPACE:NAME",
                );
            }
        }
    }
}

/// The compiled form of a custom kind, its JSON pointer taken apart.
pub(super) fn compiled_workload(written: &Workload) -> compiled::Workload {
    let segments = written.template.split('/').skip(1);
    compiled::Workload {
        group: written.group.clone(),
        version: written.version.clone(),
        resource: written.resource.clone(),
        template: segments
            .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
            .collect(),
        controllers: written.controllers.clone(),
    }
}

/// Why this does not point at a template within an object (RFC 6901).
fn wrong_template(pointer: &str) -> Option<String> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return Some(format!("{pointer:?} is not a JSON pointer: it begins with '/'"));
    };
    let escapes = pointer.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if !escapes || rest.split('/').any(str::is_empty) {
        return Some(format!(
            "{pointer:?} is not a JSON pointer: a key is missing, or a '~' that is neither ~0 nor ~1"
        ));
    }
    let first = rest.split('/').next().unwrap_or_default();
    ["apiVersion", "kind", "metadata", "status"]
        .contains(&first)
        .then(|| format!("no template is under /{first}"))
}

/// A duration in hours, minutes and seconds, longer than none.
pub(super) fn duration(place: &Place<'_>, text: &str, found: &mut Found) -> Option<Duration> {
    let parsed = parse_duration(text).filter(|duration| !duration.is_zero());
    if parsed.is_none() {
        found.wrong(
            place,
            format!("{text:?} is not a duration"),
            "write hours, minutes and seconds, e.g. 4h or 1h30m",
        );
    }
    parsed
}

/// `1h30m`, `90m`, `45s`: each unit at most once, from large to small.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds: u64 = 0;
    for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((digits, after)) = rest.split_once(unit) {
            if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            seconds += digits.parse::<u64>().ok()? * length;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then(|| Duration::from_secs(seconds))
}
