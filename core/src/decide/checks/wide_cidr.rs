//! # WideCIDR
//!
//! **Stops** an ipBlock that is wider than needed: wider than a /16 of IPv4 or a /48 of IPv6, unless `widest` says otherwise.
//! What `except` takes out narrows nothing: it only has to be a little less than all. Nor does it help to cut a range up: the
//! ipBlocks of one direction may together hold no more than sixteen such ranges, and pieces that were let in may not be
//! put together later. A range of IPv4 as seen from IPv6 (`64:ff9b::/96`) is as wide as the one that it stands for.
//!
//! **Example.** `to: [{ipBlock: {cidr: 10.0.0.0/8}}]` is refused, and so are its 256 parts; `172.16.32.0/27` is not. With
//! `{name: WideCIDR, widest: {ipv4: 24, ipv6: 64}}` it is stricter. A rule for everyone has no ipBlock: that is for
//! WorldIngress and WorldEgress.
//!
//! **Settle it** by naming the range that is meant, or with `waive` on `policychecks.ringfence.dev/WideCIDR` at the cluster.

use std::cell::OnceCell;

use ipnet::IpNet;

use super::sight::{Breach, Sight, Spot, Standing, opens, rules_of};
use super::translated::meant;
use crate::guardrails::CheckOptions;
use crate::netpol::{AddressSet, DIRECTIONS, Direction, Family, Peer, Policy, Worse};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// How many of the widest ranges all ipBlocks of a direction may hold together.
const MOST_TOGETHER: u128 = 16;

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for direction in DIRECTIONS {
        found.extend(wide(sight, direction));
        for family in FAMILIES {
            found.extend(together(sight, direction, family));
        }
    }
    found
}

/// Each ipBlock that is too wide by itself. It was so before only where it was refused before, too: as an ipBlock that was
/// too wide, as one of too many, or as a rule for everyone.
fn wide(sight: &Sight<'_>, direction: Direction) -> Vec<Breach> {
    let options = sight.options();
    let beside = OnceCell::new();
    let mut found = Vec::new();
    for seen in sight.rules(direction) {
        for (at, peer) in seen.peers() {
            let Peer::Block(block) = peer else { continue };
            if !is_wide(options, block.cidr) {
                continue;
            }
            let why = format!(
                "{}[{at}].ipBlock is {}, wider than /{}",
                seen.peers_path(),
                block.cidr,
                widest(options, family_of(meant(block.cidr)))
            );
            let mut breach = sight.breach(direction, [seen.spot(at)], why);
            if breach.standing == Standing::Before
                && opens(beside.get_or_init(|| beside_refused(sight, direction)), seen.spot(at))
            {
                breach.standing = Standing::New;
            }
            found.push(breach);
        }
    }
    found
}

/// What the write opens beside the ipBlocks that were refused before.
fn beside_refused(sight: &Sight<'_>, direction: Direction) -> Vec<Worse> {
    let options = sight.options();
    let too_many = FAMILIES.map(|family| {
        let narrow = sight.before().map(|before| narrow(options, before, direction, family));
        narrow.is_some_and(|narrow| narrow.is_too_much(options, family))
    });
    sight.opened_beside(direction, |peer| match peer {
        Peer::Block(block) => {
            let of_too_many = FAMILIES
                .into_iter()
                .zip(too_many)
                .any(|(family, too_many)| too_many && family_of(meant(block.cidr)) == family);
            of_too_many || is_wide(options, block.cidr)
        }
        Peer::Pods { .. } => false,
    })
}

/// All ipBlocks of a family that are not too wide by themselves, where they hold too much together.
fn together(sight: &Sight<'_>, direction: Direction, family: Family) -> Option<Breach> {
    let options = sight.options();
    let narrow = narrow(options, sight.policy, direction, family);
    narrow.is_too_much(options, family).then(|| {
        let why = format!(
            "{} ipBlocks hold together more than {MOST_TOGETHER} ranges of /{}",
            narrow.spots.len(),
            widest(options, family)
        );
        sight.breach(direction, narrow.spots, why)
    })
}

/// ipBlocks that are not too wide by themselves.
struct Narrow {
    nets: Vec<IpNet>,
    spots: Vec<Spot>,
}

fn narrow(options: &CheckOptions, policy: &Policy, direction: Direction, family: Family) -> Narrow {
    let (mut nets, mut spots) = (Vec::new(), Vec::new());
    for seen in rules_of(policy, direction) {
        for (at, peer) in seen.peers() {
            let Peer::Block(block) = peer else { continue };
            let net = meant(block.cidr);
            if family_of(net) == family && !is_wide(options, net) {
                nets.push(net);
                spots.push(seen.spot(at));
            }
        }
    }
    Narrow { nets, spots }
}

impl Narrow {
    /// Whether they hold more together than the widest ranges may.
    fn is_too_much(&self, options: &CheckOptions, family: Family) -> bool {
        let bits = match family {
            Family::V4 => 32,
            Family::V6 => 128,
        };
        let most = 1_u128
            .checked_shl(bits - u32::from(widest(options, family)))
            .and_then(|range| range.checked_mul(MOST_TOGETHER))
            .unwrap_or(u128::MAX);
        self.nets.iter().copied().collect::<AddressSet>().count(family) > most
    }
}

/// The shortest prefix length that is left alone.
fn widest(options: &CheckOptions, family: Family) -> u8 {
    match family {
        Family::V4 => options.widest_ipv4,
        Family::V6 => options.widest_ipv6,
    }
}

fn is_wide(options: &CheckOptions, net: IpNet) -> bool {
    let net = meant(net);
    net.prefix_len() < widest(options, family_of(net))
}

fn family_of(net: IpNet) -> Family {
    match net {
        IpNet::V4(_) => Family::V4,
        IpNet::V6(_) => Family::V6,
    }
}
