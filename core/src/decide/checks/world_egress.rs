//! # WorldEgress
//!
//! **Stops** a policy that lets its pods out to every destination: a rule whose `to` is absent or empty, and ipBlocks that
//! come to the same, counted as by WorldIngress. What is stolen leaves by such a rule.
//!
//! **Example.** `egress: [{}]` is everywhere, on every port; so is `egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except:
//! [10.0.0.0/8]}}]}]` for whoever wants data out. With `{name: WorldEgress, allowTo: [198.51.100.0/24]}` that range does not
//! count.
//!
//! **Settle it** by naming where the pods connect to, or with `waive` on `policychecks.ringfence.dev/WorldEgress` at the
//! cluster.

use super::sight::{Breach, Sight};
use super::world;
use crate::netpol::Direction;

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    world::breaches(sight, Direction::Egress, &sight.options().allow_to)
}
