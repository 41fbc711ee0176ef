//! [`Flow`]: what may pass between two ends with one protocol, from the rules that hold at each of them.

use std::sync::{Arc, LazyLock};

use super::group::{Group, GroupId};
use super::rules::RuleId;
use super::{Reach, opposite};
use crate::netpol::{Direction, PROTOCOLS, PolicyId, PortRange, PortSet, Protocol};

/// What may pass with one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) protocol: Protocol,
    /// Never none.
    pub(super) ports: Arc<[PortRange]>,
    /// Those that allow some of it, in order.
    pub(super) policies: Arc<[PolicyId]>,
}

/// At most one for each protocol, in order.
pub(super) type Flows = Arc<[Flow]>;

/// Everything: where nothing isolates either end.
pub(super) static EVERYTHING: LazyLock<Flows> = LazyLock::new(|| flows(&PortSet::all(), |_| [].into()));

/// Nothing.
pub(super) static NOTHING: LazyLock<Flows> = LazyLock::new(|| [].into());

/// The ports of a set by protocol, with the policies of each.
pub(super) fn flows(ports: &PortSet, policies: impl Fn(Protocol) -> Arc<[PolicyId]>) -> Flows {
    let by_protocol = PROTOCOLS.into_iter().filter_map(|protocol| {
        let ports: Arc<[PortRange]> = ports.ranges(protocol).collect();
        (!ports.is_empty()).then(|| Flow {
            protocol,
            ports,
            policies: policies(protocol),
        })
    });
    by_protocol.collect()
}

/// The rules that hold at one end and match the other; none where the end is not isolated.
pub(super) type Admitting<'r> = Option<&'r [RuleId]>;

/// The ports that some rules let through, each with its policy.
struct Let<'r> {
    policy: PolicyId,
    ports: std::borrow::Cow<'r, PortSet>,
}

impl Reach<'_> {
    /// What the rules of both ends let through together. The destination is a group, or none for the outside.
    pub(super) fn passing(&self, egress: Admitting<'_>, ingress: Admitting<'_>, destination: Option<&Group>) -> Flows {
        let through = |direction, rules: &[RuleId]| -> Vec<Let<'_>> {
            let table = &self.side(direction).rules;
            let entries = rules.iter().map(|rule| table.get(*rule));
            entries
                .map(|entry| Let {
                    policy: entry.policy,
                    ports: entry.ports(destination),
                })
                .collect()
        };
        let together = |through: &[Let<'_>]| match through {
            [] => PortSet::default(),
            [one] => one.ports.clone().into_owned(),
            many => many.iter().fold(PortSet::default(), |set, one| set.union(&one.ports)),
        };
        let egress = egress.map(|rules| through(Direction::Egress, rules));
        let ingress = ingress.map(|rules| through(Direction::Ingress, rules));
        let ports = match (&egress, &ingress) {
            (None, None) => return EVERYTHING.clone(),
            (Some(one), None) | (None, Some(one)) => together(one),
            (Some(one), Some(other)) => together(one).intersection(&together(other)),
        };
        if ports.is_empty() {
            return NOTHING.clone();
        }
        let through: Vec<Let<'_>> = egress.into_iter().chain(ingress).flatten().collect();
        flows(&ports, |protocol| {
            let mut policies: Vec<PolicyId> = through
                .iter()
                .filter(|one| one.ports.meets(&ports, protocol))
                .map(|one| one.policy)
                .collect();
            policies.sort_unstable();
            policies.dedup();
            policies.into()
        })
    }

    /// The rules of a group that match another group; none where it is not isolated.
    pub(super) fn admitting(&self, group: GroupId, direction: Direction, other: &Group) -> Option<Vec<RuleId>> {
        let isolating = self.groups[group.index()].isolating(direction)?;
        let table = &self.side(direction).rules;
        let rules = isolating.iter().flat_map(|policy| table.of(*policy));
        let matching = rules.filter(|rule| match &table.get(*rule).peers {
            None => true,
            Some(peers) => peers.iter().any(|peer| self.peers.matches(*peer, other)),
        });
        Some(matching.collect())
    }

    /// What may pass between two groups, found by looking at nothing but the two. `direction` is that of the near one's
    /// own rules.
    pub(super) fn between(&self, near: GroupId, direction: Direction, far: GroupId) -> Flows {
        let [near_group, far_group] = [near, far].map(|group| &self.groups[group.index()]);
        let mine = self.admitting(near, direction, far_group);
        let theirs = self.admitting(far, opposite(direction), near_group);
        self.oriented(near, mine.as_deref(), direction, far, theirs.as_deref())
    }

    /// The same, the rules being known.
    pub(super) fn oriented(
        &self,
        near: GroupId,
        mine: Admitting<'_>,
        direction: Direction,
        far: GroupId,
        theirs: Admitting<'_>,
    ) -> Flows {
        match direction {
            Direction::Egress => self.passing(mine, theirs, Some(&self.groups[far.index()])),
            Direction::Ingress => self.passing(theirs, mine, Some(&self.groups[near.index()])),
        }
    }
}
