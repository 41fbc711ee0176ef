//! Manifests of isolation profiles: namespaced policies of kinds that ringfence does not read, applied as they are but for
//! their name, our labels and our annotation.

use serde_json::{Map, Value};

use crate::guardrails::documents::Manifest;
use crate::guardrails::isolation::{InjectedManifest, MANAGED_BY, RESERVED_PREFIX, mark};
use crate::guardrails::place::{Found, Place};
use crate::labels::{check_key, check_value};
use crate::model::{GROUP, ProfileName, is_dns_label, is_dns_subdomain};

/// The metadata that a manifest may have; all else is for the API server or for ringfence to say.
const METADATA: [&str; 3] = ["name", "labels", "annotations"];

/// The manifest as it is injected, where nothing is wrong with it.
pub(super) fn manifest(
    place: &Place<'_>,
    Manifest(written): &Manifest,
    profile: &ProfileName,
    found: &mut Found,
) -> Option<InjectedManifest> {
    let before = found.problems.len();
    let text = |key: &str| written.get(key).and_then(Value::as_str).unwrap_or_default();
    let metadata = written.get("metadata").and_then(Value::as_object);
    let name = metadata
        .and_then(|metadata| metadata.get("name")?.as_str())
        .unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let full_name = format!("{RESERVED_PREFIX}{name}");
    if version.is_empty() || kind.is_empty() || name.is_empty() || !is_dns_subdomain(&full_name) {
        found.wrong(
            place,
            "a manifest without apiVersion, kind or a valid name",
            "write it as you would for kubectl",
        );
        return None;
    }
    check_kind(place, group, version, kind, found);
    check_metadata(&place.field("metadata"), metadata?, found);
    if written.contains_key("status") {
        found.wrong(
            &place.key("status"),
            "a manifest with a status",
            "remove it: only its controller writes it",
        );
    }
    if found.problems.len() > before {
        return None;
    }
    let mut object = Value::Object(written.clone());
    object["metadata"]["name"] = full_name.as_str().into();
    mark(&mut object["metadata"], profile);
    Some(InjectedManifest {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        name: full_name,
        object,
    })
}

fn check_kind(place: &Place<'_>, group: &str, version: &str, kind: &str, found: &mut Found) {
    let builtin = !group.contains('.') || group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io");
    if (group, kind) == ("networking.k8s.io", "NetworkPolicy") {
        found.wrong(
            &place.field("kind"),
            "ringfence reads NetworkPolicies",
            "write it under `policies`, with `name` and `spec`",
        );
    } else if builtin || group == GROUP || !is_dns_subdomain(group) || !is_dns_label(version) {
        found.wrong(
            &place.field("kind"),
            format!("no webhook covers {kind} of {group}/{version} as a policy"),
            "only namespaced policies of other networks' kinds belong here, e.g. CiliumNetworkPolicy",
        );
    }
}

fn check_metadata(place: &Place<'_>, metadata: &Map<String, Value>, found: &mut Found) {
    for key in metadata.keys().filter(|key| !METADATA.contains(&key.as_str())) {
        found.wrong(
            &place.key(key),
            format!("a manifest with metadata.{key}"),
            "remove it: ringfence applies the manifest in each namespace",
        );
    }
    for field in ["labels", "annotations"] {
        let at = place.field(field);
        let Some(pairs) = metadata.get(field) else { continue };
        let Some(pairs) = pairs.as_object() else {
            found.wrong(&at, format!("{field} are a mapping"), "write them as `key: value`");
            continue;
        };
        for (key, value) in pairs {
            check_pair(&at, (field, key, value), found);
        }
    }
}

fn check_pair(place: &Place<'_>, (field, key, value): (&str, &str, &Value), found: &mut Found) {
    if key == MANAGED_BY.0 || key.starts_with("ringfence.dev/") {
        found.wrong(
            &place.key(key),
            format!("{key:?} is ringfence's own to write"),
            "remove it",
        );
    }
    let Some(text) = value.as_str() else {
        found.wrong(
            &place.field(key),
            format!("the value of {key:?} is not a string"),
            "put it in quotes",
        );
        return;
    };
    // The key of an annotation may have capitals where that of a label may not.
    let wrong = if field == "labels" {
        check_key(key).and_then(|()| check_value(text))
    } else {
        check_key(&key.to_ascii_lowercase())
    };
    if let Err(error) = wrong {
        found.wrong(&place.key(key), error.to_string(), "the API server would refuse it");
    }
}
