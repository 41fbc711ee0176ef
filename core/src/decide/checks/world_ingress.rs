//! # WorldIngress
//!
//! **Stops** a policy that lets in every source: a rule whose `from` is absent or empty, whether by mistake (`from: []` looks
//! like a denial and admits ALL) or on purpose, and ipBlocks that come to the same: `0.0.0.0/0`, two halves of it, the world
//! with holes, over several rules. As good as the world are ipBlocks which together hold as many public addresses as a /8 of
//! IPv4 or a /16 of IPv6; private ranges do not count, whatever their size.
//!
//! **Example.** `ingress: [{ports: [{port: 443}]}]` lets the whole Internet, and every pod, connect on 443. With
//! `{name: WorldIngress, allowFrom: [203.0.113.0/28]}` the load balancers of that range do not count; a rule for everyone
//! does all the same, since it lets in every pod besides.
//!
//! **Settle it** by naming who may connect, or with `waive` on `policychecks.ringfence.dev/WorldIngress` at the cluster.

use super::sight::{Breach, Sight};
use super::world;
use crate::netpol::Direction;

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    world::breaches(sight, Direction::Ingress, &sight.options().allow_from)
}
