//! Isolation profiles: the policies that a namespace gets before its first pod.

use std::net::IpAddr;

use super::labels::{Whose, selector};
use super::unique;
use crate::guardrails::documents::{
    IpBlock, IsolationProfileSpec, Manifest, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec, PortNumberOrName,
    ProfilePolicy,
};
use crate::guardrails::place::{Found, Place};
use crate::model::{is_dns_label, is_dns_subdomain};

/// The reserved profile without policies.
pub(crate) const NO_PROFILE: &str = "none";

/// What names of applied policies begin with.
const PREFIX: &str = "ringfence-";

/// Reports everything wrong with a profile.
pub(crate) fn isolation_profile(document: &Place<'_>, name: &str, spec: &IsolationProfileSpec, found: &mut Found) {
    let at = document.field("metadata").field("name");
    if name == NO_PROFILE {
        found.wrong(
            &at,
            format!("{NO_PROFILE:?} is reserved: it is the profile without policies"),
            "choose another name",
        );
    } else if !is_dns_label(name) {
        found.wrong(
            &at,
            format!("{name:?} is not a valid profile name: namespaces choose it by a label"),
            "use lower-case letters, digits and '-', at most 63 characters",
        );
    }
    let IsolationProfileSpec { policies, manifests } = spec;
    let place = document.field("spec");
    if policies.is_empty() && manifests.is_empty() {
        found.wrong(
            &place,
            "a profile without policies isolates nothing",
            format!("name policies; for a namespace without any there is {NO_PROFILE:?}"),
        );
    }
    let list = place.field("policies");
    let names = policies.iter().enumerate().filter_map(|(position, policy)| {
        let at = list.item(position);
        policy_name(policy).map(|name| (name, at))
    });
    unique(names, |name| format!("policy {name:?}"), found);
    for (position, policy) in policies.iter().enumerate() {
        profile_policy(&list.item(position), policy, found);
    }
    let list = place.field("manifests");
    for (position, manifest) in manifests.iter().enumerate() {
        check_manifest(&list.item(position), manifest, found);
    }
}

fn policy_name(policy: &ProfilePolicy) -> Option<&str> {
    policy
        .builtin
        .map(super::super::documents::BuiltinPolicy::as_str)
        .or(policy.name.as_deref())
}

fn profile_policy(place: &Place<'_>, policy: &ProfilePolicy, found: &mut Found) {
    match policy {
        ProfilePolicy {
            builtin: Some(_),
            name: None,
            spec: None,
        } => {}
        ProfilePolicy {
            builtin: None,
            name: Some(name),
            spec: Some(spec),
        } => {
            if !is_dns_subdomain(&format!("{PREFIX}{name}")) {
                found.wrong(
                    &place.field("name"),
                    format!("{name:?} is not a valid name of a policy"),
                    "use lower-case letters, digits, '-' and '.'",
                );
            }
            network_policy(&place.field("spec"), spec, found);
        }
        _ => found.wrong(
            place,
            "a policy is either `builtin`, or `name` and `spec`",
            "keep one of the two forms",
        ),
    }
}

fn network_policy(place: &Place<'_>, spec: &NetworkPolicySpec, found: &mut Found) {
    selector(&place.field("podSelector"), &spec.pod_selector, Whose::Pods, found);
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let at = place.field("policyTypes");
    unique(
        types
            .iter()
            .enumerate()
            .map(|(position, direction)| (*direction, at.item(position))),
        |direction| format!("{direction:?}"),
        found,
    );
    for (position, rule) in spec.ingress.iter().flatten().enumerate() {
        let at = place.field("ingress").item(position);
        peers(&at.field("from"), rule.from.as_deref().unwrap_or_default(), found);
        ports(&at.field("ports"), rule.ports.as_deref().unwrap_or_default(), found);
    }
    for (position, rule) in spec.egress.iter().flatten().enumerate() {
        let at = place.field("egress").item(position);
        peers(&at.field("to"), rule.to.as_deref().unwrap_or_default(), found);
        ports(&at.field("ports"), rule.ports.as_deref().unwrap_or_default(), found);
    }
}

fn peers(place: &Place<'_>, peers: &[NetworkPolicyPeer], found: &mut Found) {
    for (position, peer) in peers.iter().enumerate() {
        let at = place.item(position);
        let NetworkPolicyPeer {
            pod_selector,
            namespace_selector,
            ip_block,
        } = peer;
        let selects = pod_selector.is_some() || namespace_selector.is_some();
        if selects == ip_block.is_some() {
            found.wrong(&at, "a peer is either selectors or an ipBlock", "give one of the two");
        }
        if let Some(pods) = pod_selector {
            selector(&at.field("podSelector"), pods, Whose::Pods, found);
        }
        if let Some(namespaces) = namespace_selector {
            selector(&at.field("namespaceSelector"), namespaces, Whose::Namespaces, found);
        }
        if let Some(IpBlock { cidr, except }) = ip_block {
            let at = at.field("ipBlock");
            check_cidr(&at.field("cidr"), cidr, found);
            for (position, cidr) in except.iter().enumerate() {
                check_cidr(&at.field("except").item(position), cidr, found);
            }
        }
    }
}

fn check_cidr(place: &Place<'_>, text: &str, found: &mut Found) {
    let valid = text.split_once('/').is_some_and(|(address, bits)| {
        let most = address
            .parse::<IpAddr>()
            .map(|address| if address.is_ipv4() { 32 } else { 128 });
        matches!((most, bits.parse::<u8>()), (Ok(most), Ok(bits)) if bits <= most)
    });
    if !valid {
        found.wrong(
            place,
            format!("{text:?} is not a range of addresses"),
            "write ADDRESS/BITS, e.g. 10.0.0.0/8",
        );
    }
}

fn ports(place: &Place<'_>, ports: &[NetworkPolicyPort], found: &mut Found) {
    let valid = |number: i32| (1..=65535).contains(&number);
    for (position, port) in ports.iter().enumerate() {
        let at = place.item(position);
        match (&port.port, port.end_port) {
            (Some(PortNumberOrName::Number(number)), _) if !valid(*number) => {
                found.wrong(&at.field("port"), format!("{number} is not a port"), "use 1 to 65535");
            }
            (Some(PortNumberOrName::Number(first)), Some(last)) if last < *first || !valid(last) => {
                found.wrong(
                    &at.field("endPort"),
                    format!("{last} does not end a range that begins with {first}"),
                    "use a port that is not lower",
                );
            }
            (Some(PortNumberOrName::Name(_)) | None, Some(_)) => {
                found.wrong(
                    &at.field("endPort"),
                    "a range needs a port by number to begin with",
                    "give `port` as a number",
                );
            }
            (Some(PortNumberOrName::Name(name)), None) if name.len() > 15 || !is_dns_label(name) => {
                found.wrong(
                    &at.field("port"),
                    format!("{name:?} is not the name of a port"),
                    "use at most 15 lower-case letters, digits and '-'",
                );
            }
            _ => {}
        }
    }
}

fn check_manifest(place: &Place<'_>, Manifest(manifest): &Manifest, found: &mut Found) {
    let text =
        |value: Option<&serde_json::Value>| value.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text(manifest.get("apiVersion")), text(manifest.get("kind")));
    let metadata = manifest.get("metadata");
    let name = text(metadata.and_then(|metadata| metadata.get("name")));
    let group = version.split_once('/').map_or("", |(group, _)| group);
    if version.is_empty() || kind.is_empty() || !is_dns_subdomain(&format!("{PREFIX}{name}")) || name.is_empty() {
        found.wrong(
            place,
            "a manifest without apiVersion, kind or a valid name",
            "write it as you would for kubectl",
        );
    } else if (group, kind.as_str()) == ("networking.k8s.io", "NetworkPolicy") {
        found.wrong(
            &place.field("kind"),
            "ringfence reads NetworkPolicies",
            "write it under `policies`, with `name` and `spec`",
        );
    } else if !group.contains('.')
        || group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io")
        || group == crate::model::GROUP
    {
        found.wrong(
            &place.field("kind"),
            format!("no webhook covers {kind} of {version} as a policy"),
            "only namespaced policies of other networks' kinds belong here, e.g. CiliumNetworkPolicy",
        );
    }
    for key in ["namespace", "generateName", "ownerReferences", "finalizers"] {
        if metadata.is_some_and(|metadata| metadata.get(key).is_some()) {
            found.wrong(
                &place.field("metadata").key(key),
                format!("a manifest with metadata.{key}"),
                "remove it: ringfence applies the manifest in each namespace",
            );
        }
    }
}
