//! # WideCIDR
//!
//! **Stops** an ipBlock that is wider than needed: wider than a /16 of IPv4 or a /48 of IPv6, unless `widest` says otherwise.
//! What `except` takes out narrows nothing: it only has to be a little less than all. Nor does it help to cut a range up: the
//! ipBlocks of one direction may together hold no more than sixteen such ranges.
//!
//! **Example.** `to: [{ipBlock: {cidr: 10.0.0.0/8}}]` is refused, and so are its 256 parts; `172.16.32.0/27` is not. With
//! `{name: WideCIDR, widest: {ipv4: 24, ipv6: 64}}` it is stricter. A rule for everyone has no ipBlock: that is for
//! WorldIngress and WorldEgress.
//!
//! **Settle it** by naming the range that is meant, or with `waive` on `policychecks.ringfence.dev/WideCIDR` at the cluster.

use std::net::IpAddr;

use ipnet::IpNet;

use super::sight::{Breach, DIRECTIONS, Sight, Spot};
use crate::netpol::{AddressSet, Family, Peer};

/// How many of the widest ranges all ipBlocks of a direction may hold together.
const MOST_TOGETHER: u128 = 16;

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    let options = sight.options();
    let families = [
        (Family::V4, options.widest_ipv4, 32_u32),
        (Family::V6, options.widest_ipv6, 128),
    ];
    let mut found = Vec::new();
    for direction in DIRECTIONS {
        for (family, widest, bits) in families {
            let (mut nets, mut spots): (Vec<IpNet>, Vec<Spot>) = (Vec::new(), Vec::new());
            for seen in sight.rules(direction) {
                for (at, peer) in seen.peers() {
                    let Peer::Block(block) = peer else { continue };
                    if family_of(block.cidr.addr()) != family {
                        continue;
                    }
                    if block.cidr.prefix_len() < widest {
                        let why = format!(
                            "{}[{at}].ipBlock is {}, wider than /{widest}",
                            seen.peers_path(),
                            block.cidr
                        );
                        found.push(sight.breach(direction, [seen.spot(at)], why));
                    } else {
                        nets.push(block.cidr);
                        spots.push(seen.spot(at));
                    }
                }
            }
            let together = nets.into_iter().collect::<AddressSet>().count(family);
            let most = 1_u128
                .checked_shl(bits - u32::from(widest))
                .and_then(|range| range.checked_mul(MOST_TOGETHER))
                .unwrap_or(u128::MAX);
            if together > most {
                let why = format!(
                    "{} ipBlocks hold together more than {MOST_TOGETHER} ranges of /{widest}",
                    spots.len()
                );
                found.push(sight.breach(direction, spots, why));
            }
        }
    }
    found
}

fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}
