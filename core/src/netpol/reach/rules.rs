//! [`RuleTable`]: the rules of one direction, numbered, found by policy and by peer.

use std::borrow::Cow;
use std::ops::Range;

use hashbrown::HashMap;

use super::group::Group;
use super::names::NamespaceTable;
use super::peers::{PeerId, PeerTable};
use crate::netpol::{Direction, Peers, Policy, PolicyId, PortSet, Rule};

/// Number of a rule in its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RuleId(u32);

/// A rule, with its peers numbered.
#[derive(Debug)]
pub(super) struct RuleEntry<'w> {
    pub(super) policy: PolicyId,
    /// Its place among the rules of its policy.
    pub(super) position: usize,
    /// None: everyone.
    pub(super) peers: Option<Vec<PeerId>>,
    pub(super) rule: &'w Rule,
    /// Its ports by number.
    numbered: PortSet,
}

impl RuleEntry<'_> {
    pub(super) fn is_for_everyone(&self) -> bool {
        self.peers.is_none()
    }

    /// Its ports on a destination; names mean nothing on an address (none) or a node.
    pub(super) fn ports(&self, destination: Option<&Group>) -> Cow<'_, PortSet> {
        let mut ports = Cow::Borrowed(&self.numbered);
        if let Some(group) = destination.filter(|group| !group.host_network) {
            for (protocol, name) in self.rule.ports.named() {
                for port in group
                    .ports
                    .iter()
                    .filter(|port| port.protocol == protocol && *port.name == *name)
                {
                    ports = Cow::Owned(ports.union(&PortSet::range(protocol, port.number, port.number)));
                }
            }
        }
        ports
    }
}

#[derive(Debug)]
pub(super) struct RuleTable<'w> {
    entries: Vec<RuleEntry<'w>>,
    by_policy: Vec<Range<u32>>,
    by_peer: HashMap<PeerId, Vec<RuleId>>,
}

impl<'w> RuleTable<'w> {
    pub(super) fn new(
        policies: &'w [Policy],
        direction: Direction,
        namespaces: &NamespaceTable,
        peers: &mut PeerTable<'w>,
    ) -> Self {
        let mut table = Self {
            entries: Vec::new(),
            by_policy: Vec::with_capacity(policies.len()),
            by_peer: HashMap::new(),
        };
        for (number, policy) in policies.iter().enumerate() {
            let own = namespaces.number(&policy.name.namespace);
            let first = table.next().0;
            for (position, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
                let peers = match &rule.peers {
                    Peers::Everyone => None,
                    Peers::Listed(listed) => Some(listed.iter().map(|peer| peers.number(peer, own)).collect()),
                };
                table.add(RuleEntry {
                    policy: PolicyId::at(number),
                    position,
                    peers,
                    rule,
                    numbered: rule.ports.numbered(),
                });
            }
            table.by_policy.push(first..table.next().0);
        }
        table
    }

    fn next(&self) -> RuleId {
        RuleId(u32::try_from(self.entries.len()).expect("rules fit in memory"))
    }

    fn add(&mut self, entry: RuleEntry<'w>) {
        let number = self.next();
        for peer in entry.peers.iter().flatten() {
            let rules = self.by_peer.entry(*peer).or_default();
            if rules.last() != Some(&number) {
                rules.push(number);
            }
        }
        self.entries.push(entry);
    }

    pub(super) fn get(&self, RuleId(number): RuleId) -> &RuleEntry<'w> {
        &self.entries[number as usize]
    }

    /// The rules of a policy; none where it has none of this direction.
    pub(super) fn of(&self, policy: PolicyId) -> impl Iterator<Item = RuleId> + use<> {
        self.by_policy[policy.index()].clone().map(RuleId)
    }

    /// The rules that name a peer.
    pub(super) fn naming(&self, peer: PeerId) -> &[RuleId] {
        self.by_peer.get(&peer).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every peer that some rule names.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.by_peer.keys().copied()
    }
}
