//! What passes between a group and the outside: all addresses, cut where rules tell them apart and nowhere else.

use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;

use super::Reach;
use super::flow::{EVERYTHING, Flow};
use super::group::GroupId;
use crate::netpol::{AddressSet, Direction, PROTOCOLS, PolicyId, PortRange, PortSet, Protocol};

/// What a rule says about addresses.
struct Says<'r> {
    addresses: AddressSet,
    ports: std::borrow::Cow<'r, PortSet>,
    policy: PolicyId,
}

impl Reach<'_> {
    /// What passes between a group and those of the addresses, by CIDR and protocol. `direction` is that of the group's own
    /// rules: Egress is what leaves it.
    pub(super) fn outside(&self, group: GroupId, direction: Direction, within: &AddressSet) -> Vec<(IpNet, Flow)> {
        let mut found: Vec<(IpNet, Flow)> = Vec::new();
        for (addresses, flow) in self.outside_by_protocol(group, direction, within) {
            found.extend(addresses.cidrs().map(|net| (net, flow.clone())));
        }
        found.sort_by(|(one, left), (other, right)| (one, left.protocol).cmp(&(other, right.protocol)));
        found
    }

    /// The same by sets of addresses, disjoint for each protocol.
    pub(super) fn outside_by_protocol(
        &self,
        group: GroupId,
        direction: Direction,
        within: &AddressSet,
    ) -> Vec<(AddressSet, Flow)> {
        let at = &self.groups[group.index()];
        let Some(isolating) = at.isolating(direction) else {
            return EVERYTHING.iter().map(|flow| (within.clone(), flow.clone())).collect();
        };
        let destination = (direction == Direction::Ingress).then_some(at);
        let table = &self.side(direction).rules;
        let entries = isolating
            .iter()
            .flat_map(|policy| table.of(*policy))
            .map(|rule| table.get(rule));
        let says: Vec<Says<'_>> = entries
            .map(|entry| Says {
                addresses: match &entry.peers {
                    None => within.clone(),
                    Some(peers) => {
                        let blocks = peers.iter().filter_map(|peer| self.peers.addresses(*peer));
                        AddressSet::union_of(blocks).intersection(within)
                    }
                },
                ports: entry.ports(destination),
                policy: entry.policy,
            })
            .filter(|says| !says.addresses.is_empty())
            .collect();
        PROTOCOLS
            .into_iter()
            .flat_map(|protocol| by_flow(&says, protocol))
            .collect()
    }
}

/// What is let through, and by which policies: what addresses that fare alike have in common.
type Fare = (Arc<[PortRange]>, Arc<[PolicyId]>);

/// The addresses that fare alike with one protocol.
fn by_flow(says: &[Says<'_>], protocol: Protocol) -> Vec<(AddressSet, Flow)> {
    let says: Vec<&Says<'_>> = says
        .iter()
        .filter(|says| says.ports.ranges(protocol).len() > 0)
        .collect();
    let mut alike: HashMap<Fare, AddressSet> = HashMap::new();
    for (addresses, speakers) in AddressSet::partition(&says.iter().map(|says| &says.addresses).collect::<Vec<_>>()) {
        let speakers = || speakers.iter().map(|at| says[*at]);
        let ports = speakers().fold(PortSet::default(), |set, says| set.union(&says.ports));
        let mut policies: Vec<PolicyId> = speakers().map(|says| says.policy).collect();
        policies.sort_unstable();
        policies.dedup();
        let set = alike
            .entry((ports.ranges(protocol).collect(), policies.into()))
            .or_default();
        *set = set.union(&addresses);
    }
    let flows = alike.into_iter().map(|((ports, policies), addresses)| {
        let flow = Flow {
            protocol,
            ports,
            policies,
        };
        (addresses, flow)
    });
    let mut flows: Vec<(AddressSet, Flow)> = flows.collect();
    flows.sort_by_cached_key(|(addresses, _)| addresses.cidrs().next());
    flows
}
