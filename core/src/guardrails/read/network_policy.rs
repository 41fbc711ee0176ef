//! NetworkPolicySpecs and their parts: refused is all that the API server would refuse, of any version since 1.30, so that
//! no namespace is left without its policies for their shape (`ValidateNetworkPolicySpec`).

use std::net::IpAddr;

use super::labels::{Whose, selector};
use super::unique;
use crate::guardrails::documents::{
    IpBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec, PortNumberOrName,
};
use crate::guardrails::place::{Found, Place};

/// Reports everything wrong with a spec.
pub(super) fn network_policy(place: &Place<'_>, spec: &NetworkPolicySpec, found: &mut Found) {
    selector(
        &place.field("podSelector"),
        &spec.pod_selector,
        Whose::PolicyPods,
        found,
    );
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
            ip_block: block,
        } = peer;
        let selects = pod_selector.is_some() || namespace_selector.is_some();
        if selects == block.is_some() {
            found.wrong(&at, "a peer is either selectors or an ipBlock", "give one of the two");
        }
        if let Some(pods) = pod_selector {
            selector(&at.field("podSelector"), pods, Whose::PolicyPods, found);
        }
        if let Some(namespaces) = namespace_selector {
            selector(&at.field("namespaceSelector"), namespaces, Whose::Namespaces, found);
        }
        if let Some(block) = block {
            ip_block(&at.field("ipBlock"), block, found);
        }
    }
}

fn ip_block(place: &Place<'_>, IpBlock { cidr, except }: &IpBlock, found: &mut Found) {
    let whole = range(&place.field("cidr"), cidr, found);
    for (position, text) in except.iter().enumerate() {
        let at = place.field("except").item(position);
        let Some(part) = range(&at, text, found) else {
            continue;
        };
        if whole.is_some_and(|whole| !whole.contains_strictly(part)) {
            found.wrong(
                &at,
                format!("{text} is not a part of {cidr}"),
                "leave out only what lies within the range and is smaller than it",
            );
        }
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    address: IpAddr,
    bits: u8,
}

impl Range {
    /// Whether another range is a part of this one and smaller.
    fn contains_strictly(self, part: Self) -> bool {
        self.address.is_ipv4() == part.address.is_ipv4()
            && self.bits < part.bits
            && network(part.address, self.bits) == self.address
    }
}

/// The first address of the range of this many bits that an address lies in.
fn network(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or_default();
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or_default();
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// Whether the API server would read this as an IPv4 address in the clothes of IPv6, which it refuses.
fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// The most bits of an address of this family.
fn most_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A range of addresses as newer API servers ask for: its first address, no leading zeros.
pub(super) fn range(place: &Place<'_>, text: &str, found: &mut Found) -> Option<Range> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let plain = length == "0" || !length.starts_with(['0', '+']);
        let bits: u8 = length
            .parse()
            .ok()
            .filter(|bits| plain && *bits <= most_bits(address))?;
        (!is_mapped(address)).then_some(Range { address, bits })
    });
    let Some(parsed) = parsed else {
        found.wrong(
            place,
            format!("{text:?} is not a range of addresses"),
            "write ADDRESS/BITS, e.g. 10.0.0.0/8",
        );
        return None;
    };
    let first = network(parsed.address, parsed.bits);
    if first != parsed.address {
        found.wrong(
            place,
            format!("{text} begins within its range"),
            format!("write {first}/{}", parsed.bits),
        );
        return None;
    }
    Some(parsed)
}

/// An address or a range, as the CIDR that an ipBlock takes.
pub(super) fn address_or_range(place: &Place<'_>, text: &str, found: &mut Found) -> Option<String> {
    match text.parse::<IpAddr>() {
        Ok(address) if !is_mapped(address) => Some(format!("{text}/{}", most_bits(address))),
        _ => range(place, text, found).map(|_| text.to_owned()),
    }
}

/// Reports everything wrong with ports.
pub(super) fn ports(place: &Place<'_>, ports: &[NetworkPolicyPort], found: &mut Found) {
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
            (Some(PortNumberOrName::Name(name)), None) if !is_port_name(name) => {
                found.wrong(
                    &at.field("port"),
                    format!("{name:?} is not the name of a port"),
                    "use at most 15 lower-case letters, digits and '-', with a letter; a number without quotes",
                );
            }
            _ => {}
        }
    }
}

/// An IANA service name (RFC 6335): at most 15 of lower-case letters, digits and '-', at least one letter, no '-' at either
/// end or twice in a row.
fn is_port_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=15).contains(&name.len())
        && name.bytes().all(known)
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http", true)]
    #[case("h2-c", true)]
    #[case("8080x", true)]
    #[case("8080", false)]
    #[case("", false)]
    #[case("a--b", false)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("HTTP", false)]
    #[case("sixteen-letters0", false)]
    fn port_names_are_those_of_the_api_server(#[case] name: &str, #[case] valid: bool) {
        assert_eq!(is_port_name(name), valid);
    }

    #[rstest]
    #[case("10.1.2.3", 8, "10.0.0.0")]
    #[case("10.1.2.3", 0, "0.0.0.0")]
    #[case("10.1.2.3", 32, "10.1.2.3")]
    #[case("fd00:1:2::3", 16, "fd00::")]
    #[case("fd00:1:2::3", 0, "::")]
    #[case("fd00:1:2::3", 128, "fd00:1:2::3")]
    fn a_range_begins_with_its_first_address(#[case] address: &str, #[case] bits: u8, #[case] first: &str) {
        let parsed: IpAddr = address.parse().expect("an address");
        assert_eq!(network(parsed, bits).to_string(), first);
    }
}
