//! The world: every source, or every destination, however it is written. `0.0.0.0/0` may be written as two halves, with a hole
//! in each, or over several rules; so what counts is how many public addresses a direction's ipBlocks hold together.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::sight::{Breach, Sight, Spot};
use super::translated::with_meant;
use crate::netpol::{AddressSet, Direction, Family, Peer};

/// As many public addresses as nobody has: an eight-bit prefix of IPv4, a sixteen-bit prefix of IPv6.
const WORLD_V4: u128 = 1 << 24;
const WORLD_V6: u128 = 1 << 112;

/// What is IPv4 and not public (RFC 6890): private, shared, of the machine, of documentation, multicast and reserved.
const NOT_PUBLIC_V4: [(Ipv4Addr, u8); 13] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// What is public of IPv6 (RFC 4291).
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

static PUBLIC: LazyLock<AddressSet> = LazyLock::new(|| {
    let v4 = |(address, length)| Ipv4Net::new_assert(address, length).into();
    let all: AddressSet = [v4((Ipv4Addr::UNSPECIFIED, 0))].into_iter().collect();
    let (address, length) = PUBLIC_V6;
    let v6: IpNet = Ipv6Net::new_assert(address, length).into();
    all.difference(&NOT_PUBLIC_V4.into_iter().map(v4).collect())
        .union(&v6.into())
});

/// What of these addresses is public; translated addresses are those that they stand for.
fn public(addresses: &AddressSet) -> AddressSet {
    with_meant(addresses).intersection(&PUBLIC)
}

/// Where the rules of a direction let the world pass, but for these addresses.
pub(super) fn breaches(sight: &Sight<'_>, direction: Direction, exempt: &AddressSet) -> Vec<Breach> {
    let (whom, denial) = match direction {
        Direction::Ingress => ("every source", "spec.ingress"),
        Direction::Egress => ("every destination", "spec.egress"),
    };
    let mut found = Vec::new();
    let (mut blocks, mut spots): (Vec<AddressSet>, Vec<Spot>) = (Vec::new(), Vec::new());
    for seen in sight.rules(direction) {
        if seen.rule.is_for_everyone() {
            let why = format!(
                "{} is absent or empty, which is {whom}; to deny all, leave {denial} empty",
                seen.peers_path()
            );
            found.push(sight.breach(direction, seen.spots(), why));
        }
        for (at, peer) in seen.peers() {
            let Peer::Block(block) = peer else { continue };
            let counted = public(&block.addresses().difference(exempt));
            if !counted.is_empty() {
                blocks.push(counted);
                spots.push(seen.spot(at));
            }
        }
    }
    let together = AddressSet::union_of(&blocks);
    let (v4, v6) = (together.count(Family::V4), together.count(Family::V6));
    if v4 >= WORLD_V4 || v6 >= WORLD_V6 {
        let held = match (v4 >= WORLD_V4, together.widest(Family::V6)) {
            (false, Some(widest)) => format!("public IPv6 ranges as wide as /{widest}"),
            _ => format!("{v4} public IPv4 addresses"),
        };
        let why = format!("the ipBlocks of {denial} hold {held}, which is as good as {whom}");
        found.push(sight.breach(direction, spots, why));
    }
    found
}
