//! Groups and endpoints: workloads that no policy tells apart share a [`Group`]; those of them that have one owner are one
//! [`Endpoint`].

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::names::{NamespaceId, NamespaceTable};
use super::peers::{PeerId, PeerTable};
use super::vocabulary::{Seen, Vocabulary};
use crate::labels::{Selector, SelectorIndex};
use crate::netpol::{Direction, Endpoint, EndpointId, NamedPort, Policy, PolicyId, ReachOptions, World};

/// Number of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupId(u32);

impl GroupId {
    pub(super) fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("groups fit in memory"))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl EndpointId {
    /// The number of what stands at this place of a list of ends.
    ///
    /// # Panics
    /// From 2^32 ends on, which no memory holds.
    pub fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("workloads fit in memory"))
    }
}

impl PolicyId {
    /// The number of what stands at this place of a list of policies.
    ///
    /// # Panics
    /// From 2^32 policies on, which no memory holds.
    pub fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("policies fit in memory"))
    }
}

/// Pods that no policy can tell apart.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) namespace: NamespaceId,
    /// The labels that make a difference.
    pub(super) labels: Vec<(String, String)>,
    /// The named ports that make a difference.
    pub(super) ports: Vec<NamedPort>,
    pub(super) host_network: bool,
    /// The ipBlocks that match them, in order.
    pub(super) blocks: Vec<PeerId>,
    pub(super) endpoints: Vec<EndpointId>,
    ingress: Option<Vec<PolicyId>>,
    egress: Option<Vec<PolicyId>>,
}

impl Group {
    /// The policies that isolate it in a direction; none where it is not isolated.
    pub(super) fn isolating(&self, direction: Direction) -> Option<&[PolicyId]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// What makes a group.
#[derive(PartialEq, Eq, Hash)]
struct Key<'w> {
    namespace: NamespaceId,
    labels: Vec<Seen<'w>>,
    ports: Vec<NamedPort>,
    host_network: bool,
    blocks: Vec<PeerId>,
}

/// Groups, endpoints in their order, and the group of each.
pub(super) fn group(
    world: &World,
    options: ReachOptions,
    vocabulary: &Vocabulary<'_>,
    namespaces: &NamespaceTable,
    peers: &mut PeerTable<'_>,
) -> (Vec<Group>, Vec<Endpoint>, Vec<GroupId>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut numbers: HashMap<Key<'_>, GroupId> = HashMap::new();
    let mut found: HashMap<(NamespaceId, &str, &str, GroupId), Endpoint> = HashMap::new();
    for (position, workload) in world.workloads.iter().enumerate() {
        let namespace = namespaces.number(&workload.namespace);
        let by_address = workload.host_network || options.ipblock_pods;
        let blocks = if by_address {
            peers.blocks_of(&workload.addresses)
        } else {
            Vec::new()
        };
        let mut labels = vocabulary.seen(&workload.labels);
        labels.sort_unstable();
        let key = Key {
            namespace,
            labels,
            ports: vocabulary.ports(workload),
            host_network: workload.host_network,
            blocks,
        };
        let number = if let Some(number) = numbers.get(&key) {
            *number
        } else {
            let number = GroupId::at(groups.len());
            groups.push(Group {
                namespace,
                labels: vocabulary.labels(workload),
                ports: key.ports.clone(),
                host_network: key.host_network,
                blocks: key.blocks.clone(),
                endpoints: Vec::new(),
                ingress: None,
                egress: None,
            });
            numbers.insert(key, number);
            number
        };
        let endpoint = found
            .entry((namespace, &*workload.kind, &*workload.name, number))
            .or_insert_with(|| Endpoint {
                namespace: workload.namespace.clone(),
                kind: workload.kind.clone(),
                name: workload.name.clone(),
                apart: Vec::new(),
                host_network: workload.host_network,
                ingress_isolated: false,
                egress_isolated: false,
                pods: 0,
                workloads: Vec::new(),
            });
        endpoint.pods = endpoint.pods.saturating_add(workload.pods);
        endpoint.workloads.push(position);
    }
    let found = found.into_iter().map(|((_, _, _, group), end)| (group, end));
    let mut found = tell_apart(found.collect(), world, vocabulary);
    found.sort_by(|(_, left), (_, right)| order(left).cmp(&order(right)));
    for (number, (group, _)) in found.iter().enumerate() {
        groups[group.index()].endpoints.push(EndpointId::at(number));
    }
    let (group_of, endpoints) = found.into_iter().unzip();
    (groups, endpoints, group_of)
}

fn order(end: &Endpoint) -> impl Ord + use<'_> {
    (&end.namespace, &end.kind, &end.name, &end.apart, end.workloads.first())
}

/// Puts into `apart` what tells an endpoint from the others of the same name: nothing where there is no other. Pods that
/// policies see alike, but whose labels by which they are told from others differ, become endpoints of their own, so that
/// what is said of an endpoint's labels is true of all its pods.
fn tell_apart(found: Vec<(GroupId, Endpoint)>, world: &World, vocabulary: &Vocabulary<'_>) -> Vec<(GroupId, Endpoint)> {
    let mut named: BTreeMap<_, Vec<(GroupId, Endpoint)>> = BTreeMap::new();
    for (group, end) in found {
        let name = (end.namespace.clone(), end.kind.clone(), end.name.clone());
        named.entry(name).or_default().push((group, end));
    }
    let mut told = Vec::new();
    for mut ends in named.into_values() {
        if ends.len() == 1 {
            told.append(&mut ends);
            continue;
        }
        let first = |end: &Endpoint| vocabulary.labels(&world.workloads[end.workloads[0]]);
        let labels: Vec<Vec<(String, String)>> = ends.iter().map(|(_, end)| first(end)).collect();
        let seen: Vec<Vec<Seen<'_>>> = labels.iter().map(|labels| vocabulary.seen(labels)).collect();
        let value = |seen: &[Seen<'_>], key: &str| {
            seen.iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.map(str::to_owned))
        };
        let differs = |key: &str| seen.iter().any(|one| value(one, key) != value(&seen[0], key));
        let keys: BTreeSet<&str> = labels.iter().flatten().map(|(key, _)| key.as_str()).collect();
        let keys: Vec<&str> = keys.into_iter().filter(|key| differs(key)).collect();
        for (group, end) in ends {
            let mut parts: BTreeMap<Vec<(String, Option<String>)>, Vec<usize>> = BTreeMap::new();
            for position in &end.workloads {
                let labels = &world.workloads[*position].labels;
                let value = |key: &str| {
                    labels
                        .iter()
                        .find(|(name, _)| name == key)
                        .map(|(_, value)| value.clone())
                };
                let apart = keys.iter().map(|key| ((*key).to_owned(), value(key)));
                parts.entry(apart.collect()).or_default().push(*position);
            }
            told.extend(parts.into_iter().map(|(apart, workloads)| {
                let pods = workloads.iter().map(|position| world.workloads[*position].pods);
                let pods = pods.fold(0, u32::saturating_add);
                let part = Endpoint {
                    apart,
                    pods,
                    workloads,
                    ..end.clone()
                };
                (group, part)
            }));
        }
    }
    told
}

/// Finds which policies isolate each group.
pub(super) fn isolate(groups: &mut [Group], policies: &[Policy], namespaces: &NamespaceTable) {
    let mut by_namespace: HashMap<NamespaceId, Vec<(PolicyId, &Selector)>> = HashMap::new();
    for (number, policy) in policies.iter().enumerate() {
        let namespace = namespaces.number(&policy.name.namespace);
        by_namespace
            .entry(namespace)
            .or_default()
            .push((PolicyId::at(number), &policy.pods));
    }
    let indices: HashMap<NamespaceId, SelectorIndex<PolicyId>> = by_namespace
        .into_iter()
        .map(|(namespace, selectors)| (namespace, SelectorIndex::new(&selectors)))
        .collect();
    for group in groups.iter_mut().filter(|group| !group.host_network) {
        let Some(index) = indices.get(&group.namespace) else {
            continue;
        };
        let selecting = index.matching(&group.labels);
        let isolating = |direction| {
            let isolating: Vec<PolicyId> = selecting
                .iter()
                .copied()
                .filter(|policy| policies[policy.index()].rules(direction).is_some())
                .collect();
            (!isolating.is_empty()).then_some(isolating)
        };
        (group.ingress, group.egress) = (isolating(Direction::Ingress), isolating(Direction::Egress));
    }
}
