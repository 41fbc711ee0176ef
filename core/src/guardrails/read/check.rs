//! The checks: which are on, and what each leaves alone. An option beside a check that does not know it is refused, so that
//! nobody relies on it.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::network_policy::cidrs;
use super::unique;
use crate::guardrails::checks::CheckOptions;
use crate::guardrails::documents::{CheckConfiguration, CheckName, WidestRanges};
use crate::guardrails::metadata::Endpoint;
use crate::guardrails::place::{Found, Place};
use crate::labels::check_key;
use crate::model::Mode;
use crate::netpol::{AddressSet, Family, PortSet, Protocol};

/// Whose option each option is.
const OPTIONS: [(&str, CheckName); 10] = [
    ("allowFrom", CheckName::WorldIngress),
    ("allowTo", CheckName::WorldEgress),
    ("endpoints", CheckName::MetadataEndpoint),
    ("ports", CheckName::MetadataEndpoint),
    ("services", CheckName::MetadataEndpoint),
    ("podRanges", CheckName::AllNamespaces),
    ("commonLabels", CheckName::AllNamespaces),
    ("mostPorts", CheckName::MissingPorts),
    ("widest", CheckName::WideCidr),
    ("ownedLabels", CheckName::UnownedNamespaceLabel),
];

/// What a check leaves to others: only together with them, as strict as it is, it holds what its name says.
const LEAVES: [(CheckName, &str, CheckName); 5] = [
    (
        CheckName::AllNamespaces,
        "a rule without `from`",
        CheckName::WorldIngress,
    ),
    (CheckName::AllNamespaces, "a rule without `to`", CheckName::WorldEgress),
    (CheckName::WideCidr, "a rule without `from`", CheckName::WorldIngress),
    (CheckName::WideCidr, "a rule without `to`", CheckName::WorldEgress),
    (
        CheckName::UnownedNamespaceLabel,
        "an empty namespaceSelector",
        CheckName::AllNamespaces,
    ),
];

/// The checks that are on, each with its mode before the rollout's cap, and what they leave alone.
pub(super) fn checks(
    place: &Place<'_>,
    given: &[CheckConfiguration],
    mode: Mode,
    found: &mut Found,
) -> (BTreeMap<CheckName, Mode>, CheckOptions) {
    unique(
        given
            .iter()
            .enumerate()
            .map(|(position, check)| (check.name, place.item(position).field("name"))),
        |name| format!("check {}", name.as_str()),
        found,
    );
    let mut options = CheckOptions::default();
    let mut modes = BTreeMap::new();
    for (position, check) in given.iter().enumerate() {
        let at = place.item(position);
        belong(&at, check.name, found);
        read(&at, check, &mut options, found);
        let by_default = mode.min(check.name.strictest_by_default());
        modes.insert(check.name, check.mode.unwrap_or(by_default));
    }
    for (check, what, other) in LEAVES {
        if modes.get(&check) > modes.get(&other) {
            let (check, other) = (check.as_str(), other.as_str());
            found.notice(format!(
                "check {check} leaves {what} to {other}, which is not made as strictly: name it, too"
            ));
        }
    }
    (modes, options)
}

/// Refuses options of other checks.
fn belong(place: &Place<'_>, name: CheckName, found: &mut Found) {
    for (option, of) in OPTIONS {
        let at = place.key(option);
        if at.node().is_some() && of != name {
            let message = format!("{} has no option {option}: it is one of {}", name.as_str(), of.as_str());
            found.wrong(&at, message, "take it out");
        }
    }
}

fn read(place: &Place<'_>, check: &CheckConfiguration, options: &mut CheckOptions, found: &mut Found) {
    let CheckConfiguration {
        name: _,
        mode: _,
        allow_from,
        allow_to,
        endpoints,
        ports,
        services,
        pod_ranges,
        common_labels,
        most_ports,
        widest,
        owned_labels,
    } = check;
    let from = exempt(&place.field("allowFrom"), allow_from, check.name, found);
    options.allow_from = options.allow_from.union(&from);
    let to = exempt(&place.field("allowTo"), allow_to, check.name, found);
    options.allow_to = options.allow_to.union(&to);
    let more = addresses(&place.field("endpoints"), endpoints, found);
    let beside = tcp_ports(&place.field("ports"), ports, found);
    for endpoint in &mut options.endpoints {
        endpoint.addresses = endpoint.addresses.union(&more);
        endpoint.ports = endpoint.ports.union(&beside);
    }
    let named = services.iter().filter_map(|service| Endpoint::of(*service));
    options.endpoints.extend(named);
    let at = place.field("podRanges");
    let pods = addresses(&at, pod_ranges, found);
    if holds_a_family(&pods) {
        let message = "every ipBlock would count as one of pods";
        found.wrong(
            &at,
            message,
            "write the ranges that pods get addresses from, e.g. 10.244.0.0/16",
        );
    }
    options.pod_ranges = options.pod_ranges.union(&pods);
    if let Some(given) = most_ports {
        match u32::try_from(*given) {
            Ok(number @ 1..=65534) => options.most_ports = number,
            _ => found.wrong(
                &place.field("mostPorts"),
                format!("{given} is not a number of ports that leaves some out"),
                "write 1 to 65534",
            ),
        }
    }
    if let Some(WidestRanges { ipv4, ipv6 }) = widest {
        let at = place.field("widest");
        let mut length = |field: &str, given: Option<i64>, most: u8| {
            let given = given?;
            let length = u8::try_from(given).ok().filter(|length| (1..=most).contains(length));
            if length.is_none() {
                let message = format!("{given} is not the length of a prefix that leaves something out");
                found.wrong(&at.field(field), message, format!("write 1 to {most}"));
            }
            length
        };
        options.widest_ipv4 = length("ipv4", *ipv4, 32).unwrap_or(options.widest_ipv4);
        options.widest_ipv6 = length("ipv6", *ipv6, 128).unwrap_or(options.widest_ipv6);
    }
    options
        .owned_labels
        .extend(keys(&place.field("ownedLabels"), owned_labels, found));
    options
        .common_labels
        .extend(keys(&place.field("commonLabels"), common_labels, found));
}

/// Keys of namespace labels; those with mistakes are reported.
fn keys(place: &Place<'_>, given: &[String], found: &mut Found) -> Vec<String> {
    for (position, key) in given.iter().enumerate() {
        if let Err(error) = check_key(key) {
            let at = place.item(position);
            found.wrong(&at, error.to_string(), "write the key of a namespace label");
        }
    }
    given.to_vec()
}

fn tcp_ports(place: &Place<'_>, given: &[i64], found: &mut Found) -> PortSet {
    let mut ports = PortSet::default();
    for (position, given) in given.iter().enumerate() {
        if let Ok(port @ 1..) = u16::try_from(*given) {
            ports = ports.union(&PortSet::range(Protocol::Tcp, port, port));
        } else {
            let at = place.item(position);
            found.wrong(&at, format!("{given} is not a port"), "write 1 to 65535");
        }
    }
    ports
}

/// What is left alone. Not everything: then there would be nothing to check.
fn exempt(place: &Place<'_>, given: &[String], name: CheckName, found: &mut Found) -> AddressSet {
    let set = addresses(place, given, found);
    if holds_a_family(&set) {
        let message = format!("{} would have nothing to refuse", name.as_str());
        found.wrong(place, message, "name the ranges that are meant, or leave the check out");
    }
    set
}

/// Whether all of IPv4 or all of IPv6 is in it.
fn holds_a_family(set: &AddressSet) -> bool {
    [Family::V4, Family::V6]
        .into_iter()
        .any(|family| set.holds_all_of(family))
}

fn addresses(place: &Place<'_>, given: &[String], found: &mut Found) -> AddressSet {
    let cidrs = cidrs(place, given, found);
    cidrs.iter().filter_map(|cidr| cidr.parse::<IpNet>().ok()).collect()
}
