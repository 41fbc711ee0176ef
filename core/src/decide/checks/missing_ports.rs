//! # MissingPorts
//!
//! **Stops** a rule without ports: absent or empty, `ports` is every port of TCP, UDP and SCTP, those that nobody thought of
//! among them (debuggers, metrics, SSH). A port without number or name is every port of its protocol, and a range may come
//! to the same; so the rules of one direction that do have ports may together let through at most `mostPorts` (8192) of one
//! protocol.
//!
//! **Example.** `ingress: [{from: [{podSelector: {}}]}]`, `ports: [{protocol: TCP}]`, `ports: [{port: 2, endPort: 65535}]`,
//! and the same in two halves. Ports by name do not count: a pod has few of them.
//!
//! **Settle it** by naming the ports, or with `waive` on `policychecks.ringfence.dev/MissingPorts` at the cluster.

use super::sight::{Breach, Sight, Spot};
use crate::netpol::{DIRECTIONS, Direction, PROTOCOLS, PortSet, protocol_name};

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    let most = sight.options().most_ports;
    let mut found = Vec::new();
    for direction in DIRECTIONS {
        let (mut through, mut spots) = (Vec::new(), Vec::<Spot>::new());
        for seen in sight.rules(direction) {
            if seen.ports().is_all() {
                let why = format!("{}.ports is absent or empty, which is every port", seen.path());
                found.push(sight.breach(direction, seen.spots(), why));
            } else {
                through.push(seen.ports().numbered());
                spots.extend(seen.spots());
            }
        }
        let together = PortSet::union_of(&through);
        let too_many = PROTOCOLS.into_iter().find_map(|protocol| {
            let number: u32 = together
                .ranges(protocol)
                .map(|range| u32::from(range.last - range.first) + 1)
                .sum();
            (number > most).then_some((protocol, number))
        });
        if let Some((protocol, number)) = too_many {
            let list = match direction {
                Direction::Ingress => "spec.ingress",
                Direction::Egress => "spec.egress",
            };
            let name = protocol_name(protocol);
            let why = format!("the rules of {list} let {number} ports of {name} through, more than {most}");
            found.push(sight.breach(direction, spots, why));
        }
    }
    found
}
