//! # MetadataEndpoint
//!
//! **Stops** egress to the cloud's metadata endpoint (169.254.169.254, fd00:ec2::254, and what `endpoints` adds), which hands
//! the credentials of the node to whoever asks. Ranges count, holes made by `except` are honoured, and a rule for everyone
//! holds it too. The endpoints answer on TCP 80 and 443: a rule that lets neither through (DNS to everywhere) does not reach
//! them.
//!
//! **Example.** `egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]` is refused; with `except: [169.254.169.254/32]` it is not by
//! this check.
//!
//! **Settle it** with such an `except`, or with `waive` on `policychecks.ringfence.dev/MetadataEndpoint` at the cluster.

use super::sight::{Breach, Sight};
use crate::netpol::{Direction, Peer, PortSet, Protocol};

/// The ports on which metadata is told.
const PORTS: [u16; 2] = [80, 443];

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    let endpoints = &sight.options().endpoints;
    let told_on = |ports: &PortSet| PORTS.into_iter().any(|port| ports.contains(Protocol::Tcp, port));
    let mut found = Vec::new();
    for seen in sight.rules(Direction::Egress) {
        if !told_on(&seen.ports().numbered()) {
            continue;
        }
        if seen.rule.is_for_everyone() {
            let why = format!(
                "{} is absent or empty, which is every destination, the metadata endpoint among them",
                seen.peers_path()
            );
            found.push(sight.breach(Direction::Egress, seen.spots(), why));
        }
        for (at, peer) in seen.peers() {
            let Peer::Block(block) = peer else { continue };
            if let Some(endpoint) = block.addresses().intersection(endpoints).cidrs().next() {
                let why = format!(
                    "{}[{at}].ipBlock {} holds {}",
                    seen.peers_path(),
                    block.cidr,
                    endpoint.network()
                );
                found.push(sight.breach(Direction::Egress, [seen.spot(at)], why));
            }
        }
    }
    found
}
