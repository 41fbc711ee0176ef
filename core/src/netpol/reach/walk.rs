//! From a group to all groups with which something may pass, visiting those alone; and from there to connections.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;

use ipnet::IpNet;

use super::flow::{EVERYTHING, Flow, Flows};
use super::group::GroupId;
use super::rules::RuleId;
use super::{Reach, opposite};
use crate::netpol::{
    AddressSet, Connection, Direction, End, EndpointId, Ends, Filter, PortRange, Unrestricted, Within,
};

/// As many groups are asked for one by one; for more, all partners are found and those not asked for left out.
const FEW_GROUPS: usize = 32;

/// A group with which something may pass.
pub(super) type Partner = (GroupId, Flows);

/// A rule that joins a group with the one at hand.
type Joined = (GroupId, RuleId);

impl Reach<'_> {
    /// The groups with which something may pass, in order. `direction` is that of the near one's own rules: Egress finds
    /// whom it reaches, Ingress who reaches it.
    pub(super) fn partners(&self, near: GroupId, direction: Direction, unrestricted: Unrestricted) -> Vec<Partner> {
        let mine = self.side(direction);
        let Some(isolating) = self.groups[near.index()].isolating(direction) else {
            let everyone = if unrestricted == Unrestricted::Answered {
                &self.side(opposite(direction)).open[..]
            } else {
                &[]
            };
            return self.partners_of_many(near, direction, None, everyone, &[]);
        };
        let rules: Vec<RuleId> = isolating.iter().flat_map(|policy| mine.rules.of(*policy)).collect();
        let mut joined: Vec<Joined> = Vec::new();
        for rule in &rules {
            for peer in mine.rules.get(*rule).peers.iter().flatten() {
                let members = self.peers.members(*peer, &self.groups);
                joined.extend(members.iter().map(|group| (*group, *rule)));
            }
        }
        joined.sort_unstable();
        joined.dedup();
        let for_everyone: Vec<RuleId> = rules
            .into_iter()
            .filter(|rule| mine.rules.get(*rule).is_for_everyone())
            .collect();
        if for_everyone.is_empty() {
            return self.partners_of_few(near, direction, &joined);
        }
        let open = &self.side(opposite(direction)).open;
        self.partners_of_many(near, direction, Some(&for_everyone), open, &joined)
    }

    /// Where the near one's rules name all it may meet: those are asked whether they admit it.
    fn partners_of_few(&self, near: GroupId, direction: Direction, joined: &[Joined]) -> Vec<Partner> {
        let near_group = &self.groups[near.index()];
        let named = joined.chunk_by(|(one, _), (next, _)| one == next);
        let partners = named.filter_map(|named| {
            let far = named[0].0;
            let theirs = self.admitting(far, opposite(direction), near_group);
            if theirs.as_ref().is_some_and(Vec::is_empty) {
                return None;
            }
            let mine: Vec<RuleId> = named.iter().map(|(_, rule)| *rule).collect();
            let flows = self.oriented(near, Some(&mine), direction, far, theirs.as_deref());
            (!flows.is_empty()).then_some((far, flows))
        });
        partners.collect()
    }

    /// Where the near one may meet everyone (it is not isolated: none, or it has rules for everyone): those that nothing
    /// isolates, and those whose rules admit it.
    fn partners_of_many(
        &self,
        near: GroupId,
        direction: Direction,
        for_everyone: Option<&[RuleId]>,
        open: &[GroupId],
        joined: &[Joined],
    ) -> Vec<Partner> {
        let theirs = self.side(opposite(direction));
        let mut admitting = theirs.everyone.clone();
        for peer in theirs.index.matching(&self.groups[near.index()], &self.peers) {
            for rule in theirs.rules.naming(peer) {
                let isolated = &theirs.selected[theirs.rules.get(*rule).policy.index()];
                admitting.extend(isolated.iter().map(|group| (*group, *rule)));
            }
        }
        admitting.sort_unstable();
        admitting.dedup();
        let mut admitting = admitting.chunk_by(|(one, _), (next, _)| one == next).peekable();
        let mut open = open.iter().copied().peekable();
        let mut partners = Vec::new();
        loop {
            let next_admitting = admitting.peek().map(|admitting| admitting[0].0);
            let (far, theirs) = match (open.peek().copied(), next_admitting) {
                (Some(far), next) if next.is_none_or(|next| far < next) => {
                    open.next();
                    (far, None)
                }
                (_, Some(far)) => {
                    let rules = admitting.next().unwrap_or_default();
                    (far, Some(rules.iter().map(|(_, rule)| *rule).collect::<Vec<_>>()))
                }
                (_, None) => break,
            };
            let flows = match (for_everyone, &theirs) {
                (None, None) => EVERYTHING.clone(),
                (None, Some(theirs)) => self.oriented(near, None, direction, far, Some(theirs)),
                (Some(for_everyone), theirs) => {
                    let begin = joined.partition_point(|(group, _)| *group < far);
                    let named = joined[begin..].iter().take_while(|(group, _)| *group == far);
                    let mine: Vec<RuleId> = for_everyone
                        .iter()
                        .copied()
                        .chain(named.map(|(_, rule)| *rule))
                        .collect();
                    self.oriented(near, Some(&mine), direction, far, theirs.as_deref())
                }
            };
            if !flows.is_empty() {
                partners.push((far, flows));
            }
        }
        partners
    }

    /// Every connection that may come about, as far as the filter asks for it: by source, first to workloads, then to the
    /// outside; last what comes from the outside (by destination where only that is narrowed). The order is always the same.
    pub fn connections<'r>(&'r self, filter: &'r Filter) -> impl Iterator<Item = Connection> + 'r {
        let direction = match (&filter.from, &filter.to) {
            (None, Some(_)) => Direction::Ingress,
            (Some(from), Some(to)) if to.endpoints.len() < from.endpoints.len() => Direction::Ingress,
            _ => Direction::Egress,
        };
        let first = self.groups_of(wanted(filter, direction).map(|ends| &ends.endpoints));
        let second = self.groups_of(wanted(filter, opposite(direction)).map(|ends| &ends.endpoints));
        let walked = first
            .into_iter()
            .flat_map(move |near| self.walk(near, direction, filter));
        let rest = second
            .into_iter()
            .flat_map(move |near| self.with_outside(near, opposite(direction), filter));
        walked.chain(rest)
    }

    fn groups_of(&self, endpoints: Option<&BTreeSet<EndpointId>>) -> Vec<GroupId> {
        let Some(endpoints) = endpoints else {
            // In the order of their first endpoints.
            let mut groups: Vec<GroupId> = (0..self.groups.len()).map(GroupId::at).collect();
            groups.sort_by_key(|group| self.groups[group.index()].endpoints.first().copied());
            return groups;
        };
        let mut seen = BTreeSet::new();
        let groups = endpoints.iter().map(|endpoint| self.group_of[endpoint.index()]);
        groups.filter(|group| seen.insert(*group)).collect()
    }

    fn walk<'r>(
        &'r self,
        near: GroupId,
        direction: Direction,
        filter: &'r Filter,
    ) -> impl Iterator<Item = Connection> + 'r {
        let partners = self.wanted_partners(near, direction, wanted(filter, opposite(direction)));
        self.with(partners.into(), near, direction, filter)
    }

    /// What passes between the outside and a group that the walk has not begun with.
    fn with_outside<'r>(
        &'r self,
        near: GroupId,
        direction: Direction,
        filter: &'r Filter,
    ) -> impl Iterator<Item = Connection> + 'r {
        self.with(Arc::default(), near, direction, filter)
    }

    /// What passes between a group and these partners, and between it and the outside.
    fn with<'r>(
        &'r self,
        partners: Arc<[Partner]>,
        near: GroupId,
        direction: Direction,
        filter: &'r Filter,
    ) -> impl Iterator<Item = Connection> + 'r {
        let (here, there) = (wanted(filter, direction), wanted(filter, opposite(direction)));
        let outside = self.wanted_outside(near, direction, there);
        let endpoints = self.groups[near.index()].endpoints.iter().copied();
        let endpoints = endpoints.filter(move |endpoint| is_wanted(here, *endpoint));
        endpoints.flat_map(move |endpoint| {
            let partners = Arc::clone(&partners);
            let with_pods = (0..partners.len()).flat_map(move |at| {
                let (far, flows) = partners[at].clone();
                let ends = self.groups[far.index()].endpoints.iter().copied();
                let ends = ends.filter(move |end| is_wanted(there, *end) && self.is_answered(endpoint, *end));
                ends.flat_map(move |end| connect(direction, endpoint, End::Workload(end), &flows, filter))
            });
            let outside = Arc::clone(&outside);
            let with_outside = (0..outside.len()).flat_map(move |at| {
                let (net, flow) = &outside[at];
                connect(
                    direction,
                    endpoint,
                    End::Outside(*net),
                    std::slice::from_ref(flow),
                    filter,
                )
            });
            with_pods.chain(with_outside)
        })
    }

    fn wanted_partners(&self, near: GroupId, direction: Direction, there: Option<&Ends>) -> Vec<Partner> {
        let Some(there) = there else {
            return self.partners(near, direction, self.options.unrestricted);
        };
        let groups = self.groups_of(Some(&there.endpoints));
        if groups.len() > FEW_GROUPS {
            return self.partners(near, direction, self.options.unrestricted);
        }
        let open = |group: GroupId, direction| self.groups[group.index()].isolating(direction).is_none();
        let restricted = |far: GroupId| {
            !(open(near, direction) && open(far, opposite(direction)))
                || self.options.unrestricted == Unrestricted::Answered
        };
        let partners = groups
            .into_iter()
            .filter(|far| restricted(*far))
            .map(|far| (far, self.between(near, direction, far)));
        partners.filter(|(_, flows)| !flows.is_empty()).collect()
    }

    fn wanted_outside(&self, near: GroupId, direction: Direction, there: Option<&Ends>) -> Arc<[(IpNet, Flow)]> {
        match there {
            None => self.outside(near, direction, &AddressSet::all()).into(),
            Some(ends) if ends.addresses.is_empty() => [].into(),
            Some(ends) => self.outside(near, direction, &ends.addresses).into(),
        }
    }

    fn is_answered(&self, one: EndpointId, other: EndpointId) -> bool {
        one != other || self.options.within == Within::Answered && self.endpoint(one).pods > 1
    }
}

fn is_wanted(ends: Option<&Ends>, endpoint: EndpointId) -> bool {
    ends.is_none_or(|ends| ends.endpoints.contains(&endpoint))
}

/// The connections of flows between two ends, cut to the port that is asked for.
fn connect(direction: Direction, near: EndpointId, far: End, flows: &[Flow], filter: &Filter) -> Vec<Connection> {
    let near = End::Workload(near);
    let (source, destination) = match direction {
        Direction::Egress => (near, far),
        Direction::Ingress => (far, near),
    };
    let ports = |flow: &Flow| match filter.port {
        None => Some(Arc::clone(&flow.ports)),
        Some((protocol, port)) => {
            let holds = |range: &PortRange| (range.first..=range.last).contains(&port);
            let held = flow.protocol == protocol && flow.ports.iter().any(holds);
            held.then(|| {
                iter::once(PortRange {
                    first: port,
                    last: port,
                })
                .collect()
            })
        }
    };
    let connections = flows.iter().filter_map(|flow| {
        Some(Connection {
            source,
            destination,
            protocol: flow.protocol,
            ports: ports(flow)?,
            policies: Arc::clone(&flow.policies),
        })
    });
    connections.collect()
}

/// What the filter asks of the end whose own rules are of this direction.
fn wanted(filter: &Filter, direction: Direction) -> Option<&Ends> {
    match direction {
        Direction::Egress => filter.from.as_ref(),
        Direction::Ingress => filter.to.as_ref(),
    }
}
