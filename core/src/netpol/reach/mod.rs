//! [`Reach`]: who reaches whom, compiled from a [`World`]. Pods that no policy can tell apart become one group
//! (`group.rs`), peers and rules are numbered and indexed (`peers.rs`, `rules.rs`), and a walk from group to group visits
//! only those between which something may pass (`walk.rs`); it never looks at every pod against every pod.

mod change;
mod explain;
mod flow;
mod group;
mod names;
mod outside;
mod peers;
mod rules;
mod vocabulary;
mod walk;

pub use self::change::Changes;
use self::group::{Group, GroupId};
use self::names::NamespaceTable;
use self::peers::{PeerIndex, PeerTable};
use self::rules::RuleTable;
use self::vocabulary::Vocabulary;
use super::{Direction, Endpoint, EndpointId, Policy, PolicyId, ReachOptions, World};

/// Who reaches whom on which ports.
///
/// What follows from the API: a pod is isolated in a direction once a policy with that policyType selects it; then only
/// what some rule of some such policy allows may pass (rules add up, none denies); a connection must be allowed at both
/// ends; replies are part of it. Named ports are looked up on the destination pod, by name and protocol.
///
/// What the API leaves open, and what is answered here:
/// - **Pods with hostNetwork** are part of their node ("NetworkPolicy and hostNetwork pods" in the documentation: most
///   implementations cannot tell them apart). No policy isolates them and no selector matches them as peers; a rule for
///   everyone does, and an ipBlock that holds one of their addresses. Where no address is known, only an ipBlock that
///   leaves out no address of its family matches. Named ports of theirs are not resolved.
/// - **ipBlocks and pods**: an ipBlock does not match pods, as the API says that it is meant for addresses outside of the
///   cluster and as np-guard netpol-analyzer has it. With [`ReachOptions::ipblock_pods`] it matches the pods one of whose
///   addresses it holds (as implementations do that filter by address alone); where no address is known, as above.
/// - **A pod and itself**: always connected, policies or not, and not answered. Nor are connections among the pods of one
///   workload (as in netpol-analyzer), unless asked for ([`super::Within`]); those follow the policies.
/// - **A node and its pods**: the kubelet always reaches the pods of its node. Not answered: who is on which node changes.
/// - **The outside** is every address of IPv4 and IPv6, whether or not pods or nodes happen to have some of them.
#[derive(Debug)]
pub struct Reach<'w> {
    world: &'w World,
    options: ReachOptions,
    groups: Vec<Group>,
    endpoints: Vec<Endpoint>,
    /// The group of each endpoint.
    group_of: Vec<GroupId>,
    peers: PeerTable<'w>,
    ingress: Side<'w>,
    egress: Side<'w>,
}

/// Everything about one direction.
#[derive(Debug)]
struct Side<'w> {
    rules: RuleTable<'w>,
    /// Which peers of this direction's rules match a group.
    index: PeerIndex,
    /// The groups that each policy isolates in this direction; empty for a policy without it.
    selected: Vec<Vec<GroupId>>,
    /// The groups that nothing isolates in this direction, in order.
    open: Vec<GroupId>,
    /// The rules for everyone that hold for a group: pairs of them, in order.
    everyone: Vec<(GroupId, rules::RuleId)>,
}

impl<'w> Reach<'w> {
    /// Compiles a world.
    pub fn new(world: &'w World, options: &ReachOptions) -> Self {
        Self::with_vocabulary(world, *options, &Vocabulary::of(&world.policies))
    }

    /// Compiles a world, telling apart what the vocabulary can tell apart; it must cover the world's own policies.
    fn with_vocabulary(world: &'w World, options: ReachOptions, vocabulary: &Vocabulary<'_>) -> Self {
        let namespaces = NamespaceTable::new(world);
        let mut peers = PeerTable::new(&namespaces);
        let ingress = RuleTable::new(&world.policies, Direction::Ingress, &namespaces, &mut peers);
        let egress = RuleTable::new(&world.policies, Direction::Egress, &namespaces, &mut peers);
        let (mut groups, endpoints, group_of) = group::group(world, options, vocabulary, &namespaces, &mut peers);
        group::isolate(&mut groups, &world.policies, &namespaces);
        peers.settle(&groups);
        let side = |rules: RuleTable<'w>, direction| {
            let index = PeerIndex::new(&peers, &rules, &namespaces);
            Side::new(rules, index, direction, &groups, world.policies.len())
        };
        let (ingress, egress) = (side(ingress, Direction::Ingress), side(egress, Direction::Egress));
        let mut reach = Self {
            world,
            options,
            groups,
            endpoints,
            group_of,
            peers,
            ingress,
            egress,
        };
        for (endpoint, group) in reach.endpoints.iter_mut().zip(&reach.group_of) {
            let group = &reach.groups[group.index()];
            endpoint.ingress_isolated = group.isolating(Direction::Ingress).is_some();
            endpoint.egress_isolated = group.isolating(Direction::Egress).is_some();
        }
        reach
    }

    /// Every workload end, sorted by namespace, kind, name and what tells it apart.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The numbers of all workload ends.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = EndpointId> + use<> {
        (0..self.endpoints.len()).map(EndpointId::at)
    }

    /// One workload end.
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        &self.endpoints[id.index()]
    }

    /// One policy.
    pub fn policy(&self, id: PolicyId) -> &'w Policy {
        &self.world.policies[id.index()]
    }

    /// The policies that isolate a workload in a direction; none where it is not isolated.
    pub fn isolating(&self, id: EndpointId, direction: Direction) -> impl Iterator<Item = PolicyId> {
        let group = &self.groups[self.group_of[id.index()].index()];
        group.isolating(direction).into_iter().flatten().copied()
    }

    fn side(&self, direction: Direction) -> &Side<'w> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl<'w> Side<'w> {
    fn new(rules: RuleTable<'w>, index: PeerIndex, direction: Direction, groups: &[Group], policies: usize) -> Self {
        let mut selected = vec![Vec::new(); policies];
        let (mut open, mut everyone) = (Vec::new(), Vec::new());
        for (id, group) in (0..groups.len()).map(GroupId::at).zip(groups) {
            let Some(isolating) = group.isolating(direction) else {
                open.push(id);
                continue;
            };
            for policy in isolating {
                selected[policy.index()].push(id);
                let for_everyone = rules.of(*policy).filter(|rule| rules.get(*rule).is_for_everyone());
                everyone.extend(for_everyone.map(|rule| (id, rule)));
            }
        }
        Self {
            rules,
            index,
            selected,
            open,
            everyone,
        }
    }
}

/// The other end's direction.
fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}
