//! The checks: which are on, and what each leaves alone. An option beside a check that does not know it is refused, so that
//! nobody relies on it.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::network_policy::cidrs;
use super::unique;
use crate::guardrails::checks::CheckOptions;
use crate::guardrails::documents::{CheckConfiguration, CheckName, WidestRanges};
use crate::guardrails::place::{Found, Place};
use crate::labels::check_key;
use crate::model::Mode;
use crate::netpol::{AddressSet, Family};

/// Whose option each option is.
const OPTIONS: [(&str, CheckName); 7] = [
    ("allowFrom", CheckName::WorldIngress),
    ("allowTo", CheckName::WorldEgress),
    ("endpoints", CheckName::MetadataEndpoint),
    ("podRanges", CheckName::AllNamespaces),
    ("mostPorts", CheckName::MissingPorts),
    ("widest", CheckName::WideCidr),
    ("ownedLabels", CheckName::UnownedNamespaceLabel),
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
        pod_ranges,
        most_ports,
        widest,
        owned_labels,
    } = check;
    let from = exempt(&place.field("allowFrom"), allow_from, check.name, found);
    options.allow_from = options.allow_from.union(&from);
    let to = exempt(&place.field("allowTo"), allow_to, check.name, found);
    options.allow_to = options.allow_to.union(&to);
    let more = addresses(&place.field("endpoints"), endpoints, found);
    options.endpoints = options.endpoints.union(&more);
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
    let at = place.field("ownedLabels");
    for (position, key) in owned_labels.iter().enumerate() {
        if let Err(error) = check_key(key) {
            found.wrong(
                &at.item(position),
                error.to_string(),
                "write the key of a namespace label",
            );
        }
        options.owned_labels.insert(key.clone());
    }
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
