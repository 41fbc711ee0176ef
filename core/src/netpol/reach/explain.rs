//! Why something may pass or may not: which rules allow it, or which policies isolate and do not.

use ipnet::IpNet;

use super::Reach;
use super::group::Group;
use super::rules::RuleId;
use crate::netpol::{
    AddressSet, Direction, End, EndpointId, Explanation, PortRule, Ports, Protocol, RuleReference, Side,
};

/// The other end of what is to be explained.
enum Other<'r> {
    Pods(&'r Group),
    /// Addresses that no rule tells apart: any of them stands for all.
    Addresses(&'r AddressSet),
}

/// What is to be explained at one end.
struct Asked<'r> {
    direction: Direction,
    other: Other<'r>,
    /// Where the ports are; none outside of the cluster.
    destination: Option<&'r Group>,
    protocol: Protocol,
    port: u16,
}

impl Reach<'_> {
    /// Why a connection may come about or may not: one explanation, more where the addresses of an end fare differently
    /// (one for each CIDR). Two ends that are both outside are no policy's business: both sides say so.
    pub fn explain(&self, source: End, destination: End, protocol: Protocol, port: u16) -> Vec<Explanation> {
        match (source, destination) {
            (End::Outside(_), End::Outside(_)) => vec![Explanation {
                source,
                destination,
                egress: Side::Outside,
                ingress: Side::Outside,
            }],
            (End::Workload(one), End::Workload(other)) if one == other && self.endpoint(one).pods <= 1 => {
                vec![Explanation {
                    source,
                    destination,
                    egress: Side::Itself,
                    ingress: Side::Itself,
                }]
            }
            (End::Workload(from), End::Workload(to)) => {
                let [from_group, to_group] = [from, to].map(|end| self.group_at(end));
                let side = |end, direction, other| {
                    let asked = Asked {
                        direction,
                        other: Other::Pods(other),
                        destination: Some(to_group),
                        protocol,
                        port,
                    };
                    self.explain_side(end, &asked)
                };
                vec![Explanation {
                    source,
                    destination,
                    egress: side(from, Direction::Egress, to_group),
                    ingress: side(to, Direction::Ingress, from_group),
                }]
            }
            (End::Workload(from), End::Outside(net)) => {
                let sides = self
                    .explain_outside(from, Direction::Egress, net, protocol, port)
                    .into_iter();
                let explained = sides.map(|(net, egress)| Explanation {
                    source,
                    destination: End::Outside(net),
                    egress,
                    ingress: Side::Outside,
                });
                explained.collect()
            }
            (End::Outside(net), End::Workload(to)) => {
                let sides = self
                    .explain_outside(to, Direction::Ingress, net, protocol, port)
                    .into_iter();
                let explained = sides.map(|(net, ingress)| Explanation {
                    source: End::Outside(net),
                    destination,
                    egress: Side::Outside,
                    ingress,
                });
                explained.collect()
            }
        }
    }

    /// What the policies at a workload say about addresses, by the fewest CIDRs that fare alike.
    fn explain_outside(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        net: IpNet,
        protocol: Protocol,
        port: u16,
    ) -> Vec<(IpNet, Side)> {
        let mut sides: Vec<(Side, AddressSet)> = Vec::new();
        for part in self.parts(endpoint, direction, &net.into()) {
            let asked = Asked {
                direction,
                other: Other::Addresses(&part),
                destination: (direction == Direction::Ingress).then(|| self.group_at(endpoint)),
                protocol,
                port,
            };
            let side = self.explain_side(endpoint, &asked);
            match sides.iter_mut().find(|(known, _)| *known == side) {
                Some((_, addresses)) => *addresses = addresses.union(&part),
                None => sides.push((side, part)),
            }
        }
        let by_cidr = sides.into_iter().flat_map(|(side, addresses)| {
            let nets: Vec<IpNet> = addresses.cidrs().collect();
            nets.into_iter().map(move |net| (net, side.clone()))
        });
        let mut by_cidr: Vec<(IpNet, Side)> = by_cidr.collect();
        by_cidr.sort_by_key(|(net, _)| *net);
        by_cidr
    }

    fn group_at(&self, endpoint: EndpointId) -> &Group {
        &self.groups[self.group_of[endpoint.index()].index()]
    }

    /// Parts of addresses that no rule at this end tells apart.
    fn parts(&self, endpoint: EndpointId, direction: Direction, within: &AddressSet) -> Vec<AddressSet> {
        let table = &self.side(direction).rules;
        let isolating = self.group_at(endpoint).isolating(direction).unwrap_or_default();
        let rules = isolating.iter().flat_map(|policy| table.of(*policy));
        let blocks = rules.flat_map(|rule| table.get(rule).peers.iter().flatten());
        let mut sets: Vec<&AddressSet> = blocks.filter_map(|peer| self.peers.addresses(*peer)).collect();
        sets.push(within);
        let last = sets.len() - 1;
        let parts = AddressSet::partition(&sets).into_iter();
        parts
            .filter(|(_, holding)| holding.contains(&last))
            .map(|(part, _)| part)
            .collect()
    }

    fn explain_side(&self, endpoint: EndpointId, asked: &Asked<'_>) -> Side {
        let group = self.group_at(endpoint);
        if group.host_network {
            return Side::HostNetwork;
        }
        let Some(isolating) = group.isolating(asked.direction) else {
            return Side::NotIsolated;
        };
        let table = &self.side(asked.direction).rules;
        let rules = isolating.iter().flat_map(|policy| table.of(*policy));
        let allowing: Vec<RuleReference> = rules.filter_map(|rule| self.allows(rule, asked)).collect();
        if allowing.is_empty() {
            Side::Denied(isolating.to_vec())
        } else {
            Side::Allowed(allowing)
        }
    }

    /// Where a rule allows what is asked, if it does: the first peer and the first port that match.
    fn allows(&self, rule: RuleId, asked: &Asked<'_>) -> Option<RuleReference> {
        let entry = self.side(asked.direction).rules.get(rule);
        let peer = match &entry.peers {
            None => None,
            Some(peers) => Some(peers.iter().position(|peer| match asked.other {
                Other::Pods(group) => self.peers.matches(*peer, group),
                Other::Addresses(part) => self.peers.addresses(*peer).is_some_and(|block| part.is_subset(block)),
            })?),
        };
        let port = match &entry.rule.ports {
            Ports::All => None,
            Ports::Listed(listed) => Some(listed.iter().position(|port| names(port, asked))?),
        };
        Some(RuleReference {
            policy: entry.policy,
            direction: asked.direction,
            rule: entry.position,
            peer,
            port,
        })
    }
}

/// Whether an entry of `ports` speaks of the port that is asked for.
fn names(port: &PortRule, asked: &Asked<'_>) -> bool {
    match port {
        PortRule::Numbers(protocol, first, last) => {
            *protocol == asked.protocol && (*first..=*last).contains(&asked.port)
        }
        PortRule::Named(protocol, name) => {
            let destination = asked.destination.filter(|group| !group.host_network);
            *protocol == asked.protocol
                && destination.is_some_and(|group| {
                    let mut ports = group.ports.iter();
                    ports.any(|port| port.protocol == *protocol && port.name == *name && port.number == asked.port)
                })
        }
    }
}
