//! [`PeerTable`]: every peer of every rule, each different one once, with the groups that it matches; [`PeerIndex`]: the
//! other way round, the peers that match a group.

use std::net::IpAddr;
use std::sync::OnceLock;

use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::group::{Group, GroupId};
use super::names::{NamespaceId, NamespaceTable};
use super::rules::RuleTable;
use crate::labels::{Operator, Selector, SelectorIndex};
use crate::netpol::{AddressSet, Block, Family, Peer, PeerNamespaces};

/// A namespaceSelector that selects this many namespaces or fewer is looked up by namespace.
const FEW_NAMESPACES: usize = 16;

/// Number of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerId(u32);

impl PeerId {
    fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("peers fit in memory"))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A peer; two that are written alike are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Entry<'w> {
    Own(NamespaceId, &'w Selector),
    Selected(SelectedId, &'w Selector),
    Block(BlockId),
}

/// Number of a namespaceSelector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct SelectedId(usize);

/// Number of an ipBlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct BlockId(usize);

#[derive(Debug)]
pub(super) struct PeerTable<'w> {
    entries: Vec<Entry<'w>>,
    numbers: HashMap<Entry<'w>, PeerId>,
    selectors: HashMap<&'w Selector, SelectedId>,
    /// The namespaces of each namespaceSelector, in order.
    selected: Vec<Vec<NamespaceId>>,
    labels: Vec<(NamespaceId, Vec<(String, String)>)>,
    /// Where the namespaces with a label stand there.
    labelled: HashMap<String, HashMap<String, Vec<usize>>>,
    blocks: Vec<(PeerId, AddressSet, Block)>,
    block_numbers: HashMap<(IpNet, Vec<IpNet>), PeerId>,
    /// The blocks whose CIDR is exactly this one.
    by_cidr: HashMap<IpNet, Vec<usize>>,
    /// The lengths of those CIDRs.
    lengths: HashSet<(bool, u8)>,
    by_namespace: HashMap<NamespaceId, Vec<GroupId>>,
    by_label: HashMap<String, HashMap<String, Vec<GroupId>>>,
    /// The groups that each peer matches, found when first asked for.
    members: Vec<OnceLock<Vec<GroupId>>>,
}

impl<'w> PeerTable<'w> {
    pub(super) fn new(namespaces: &NamespaceTable) -> Self {
        let mut labelled: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        for (at, (_, labels)) in namespaces.iter().enumerate() {
            for (key, value) in labels {
                let by_value = labelled.entry_ref(key.as_str()).or_default();
                by_value.entry_ref(value.as_str()).or_default().push(at);
            }
        }
        Self {
            entries: Vec::new(),
            numbers: HashMap::new(),
            selectors: HashMap::new(),
            selected: Vec::new(),
            labels: namespaces
                .iter()
                .map(|(number, labels)| (number, labels.clone()))
                .collect(),
            labelled,
            blocks: Vec::new(),
            block_numbers: HashMap::new(),
            by_cidr: HashMap::new(),
            lengths: HashSet::new(),
            by_namespace: HashMap::new(),
            by_label: HashMap::new(),
            members: Vec::new(),
        }
    }

    /// The number of a peer of a policy in this namespace.
    pub(super) fn number(&mut self, peer: &'w Peer, own: NamespaceId) -> PeerId {
        let entry = match peer {
            Peer::Block(block) => return self.number_block(block),
            Peer::Pods {
                namespaces: PeerNamespaces::Own,
                pods,
            } => Entry::Own(own, pods),
            Peer::Pods {
                namespaces: PeerNamespaces::Selected(namespaces),
                pods,
            } => Entry::Selected(self.number_selector(namespaces), pods),
        };
        if let Some(number) = self.numbers.get(&entry) {
            return *number;
        }
        let number = self.push(entry);
        self.numbers.insert(entry, number);
        number
    }

    fn push(&mut self, entry: Entry<'w>) -> PeerId {
        let number = PeerId::at(self.entries.len());
        self.entries.push(entry);
        number
    }

    fn number_selector(&mut self, selector: &'w Selector) -> SelectedId {
        if let Some(number) = self.selectors.get(selector) {
            return *number;
        }
        let number = SelectedId(self.selected.len());
        let matches =
            |(namespace, labels): &(NamespaceId, Vec<(String, String)>)| selector.matches(labels).then_some(*namespace);
        // Of 5,000 namespaces most selectors name one: whoever looks at all of them for each looks for minutes.
        let selected = match fewest_with_label(&self.labelled, selector) {
            Some(candidates) => {
                let mut candidates: Vec<usize> = candidates.flatten().copied().collect();
                candidates.sort_unstable();
                candidates.dedup();
                candidates.iter().filter_map(|at| matches(&self.labels[*at])).collect()
            }
            None => self.labels.iter().filter_map(matches).collect(),
        };
        self.selected.push(selected);
        self.selectors.insert(selector, number);
        number
    }

    fn number_block(&mut self, block: &'w Block) -> PeerId {
        let key = (block.cidr, block.except.clone());
        if let Some(number) = self.block_numbers.get(&key) {
            return *number;
        }
        let at = self.blocks.len();
        let number = self.push(Entry::Block(BlockId(at)));
        self.blocks.push((number, block.addresses(), block.clone()));
        self.by_cidr.entry(block.cidr).or_default().push(at);
        self.lengths
            .insert((block.cidr.network().is_ipv4(), block.cidr.prefix_len()));
        self.block_numbers.insert(key, number);
        number
    }

    /// The ipBlocks that match one of these addresses; where none is known, those that leave out no address of a family.
    pub(super) fn blocks_of(&self, addresses: &[IpAddr]) -> Vec<PeerId> {
        let mut found: Vec<PeerId> = if addresses.is_empty() {
            let whole = |set: &AddressSet| set.holds_all_of(Family::V4) || set.holds_all_of(Family::V6);
            self.blocks
                .iter()
                .filter(|(_, set, _)| whole(set))
                .map(|(number, _, _)| *number)
                .collect()
        } else {
            addresses
                .iter()
                .flat_map(|address| self.blocks_with(address.to_canonical()))
                .collect()
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    fn blocks_with(&self, address: IpAddr) -> impl Iterator<Item = PeerId> {
        self.lengths
            .iter()
            .filter(move |(v4, _)| *v4 == address.is_ipv4())
            .filter_map(move |(_, length)| IpNet::new(address, *length).ok())
            .filter_map(|net| self.by_cidr.get(&net.trunc()))
            .flatten()
            .map(|at| &self.blocks[*at])
            .filter(move |(_, _, block)| !block.except.iter().any(|except| except.contains(&address)))
            .map(|(number, _, _)| *number)
    }

    /// The addresses of an ipBlock; none for pods.
    pub(super) fn addresses(&self, peer: PeerId) -> Option<&AddressSet> {
        match self.entries[peer.index()] {
            Entry::Block(BlockId(at)) => Some(&self.blocks[at].1),
            Entry::Own(..) | Entry::Selected(..) => None,
        }
    }

    /// Takes note of all groups, once they are known.
    pub(super) fn settle(&mut self, groups: &[Group]) {
        for (id, group) in (0..groups.len()).map(GroupId::at).zip(groups) {
            if group.host_network {
                continue;
            }
            self.by_namespace.entry(group.namespace).or_default().push(id);
            for (key, value) in &group.labels {
                let by_value = self.by_label.entry_ref(key.as_str()).or_default();
                by_value.entry_ref(value.as_str()).or_default().push(id);
            }
        }
        self.members = self.entries.iter().map(|_| OnceLock::new()).collect();
        for (id, group) in (0..groups.len()).map(GroupId::at).zip(groups) {
            for block in &group.blocks {
                let members = &mut self.members[block.index()];
                match members.get_mut() {
                    Some(members) => members.push(id),
                    None => *members = OnceLock::from(vec![id]),
                }
            }
        }
    }

    /// Whether a peer matches a group.
    pub(super) fn matches(&self, peer: PeerId, group: &Group) -> bool {
        match self.entries[peer.index()] {
            Entry::Own(namespace, pods) => {
                !group.host_network && group.namespace == namespace && pods.matches(&group.labels)
            }
            Entry::Selected(namespaces, pods) => {
                !group.host_network && self.selects(namespaces, group.namespace) && pods.matches(&group.labels)
            }
            Entry::Block(_) => group.blocks.binary_search(&peer).is_ok(),
        }
    }

    fn selects(&self, SelectedId(selector): SelectedId, namespace: NamespaceId) -> bool {
        self.selected[selector].binary_search(&namespace).is_ok()
    }

    /// The groups that a peer matches, in order.
    pub(super) fn members(&self, peer: PeerId, groups: &[Group]) -> &[GroupId] {
        self.members[peer.index()].get_or_init(|| match self.entries[peer.index()] {
            // Those that match any were noted above.
            Entry::Block(_) => Vec::new(),
            Entry::Own(namespace, pods) => {
                let candidates = self.by_namespace.get(&namespace).map(Vec::as_slice).unwrap_or_default();
                let mut members = candidates.to_vec();
                members.retain(|group| pods.matches(&groups[group.index()].labels));
                members
            }
            Entry::Selected(SelectedId(selector), pods) => {
                let namespaces = &self.selected[selector];
                let mut members: Vec<GroupId> = match fewest_with_label(&self.by_label, pods) {
                    Some(candidates) => candidates.flatten().copied().collect(),
                    None => namespaces
                        .iter()
                        .filter_map(|name| self.by_namespace.get(name))
                        .flatten()
                        .copied()
                        .collect(),
                };
                members.retain(|group| self.matches(peer, &groups[group.index()]));
                members.sort_unstable();
                members.dedup();
                members
            }
        })
    }
}

/// Those that carry one of the values of the requirement that the fewest meet; none where a selector requires no value.
fn fewest_with_label<'t, T>(
    labelled: &'t HashMap<String, HashMap<String, Vec<T>>>,
    selector: &Selector,
) -> Option<impl Iterator<Item = &'t Vec<T>>> {
    let with = |key: &str, values: &[String]| -> Vec<&'t Vec<T>> {
        let by_value = labelled.get(key);
        values.iter().filter_map(|value| by_value?.get(value)).collect()
    };
    selector
        .requirements()
        .iter()
        .filter_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some(with(&requirement.key, values)),
            Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => None,
        })
        .min_by_key(|lists| lists.iter().map(|list| list.len()).sum::<usize>())
        .map(Vec::into_iter)
}

/// Finds the peers of one direction's rules that match a group.
#[derive(Debug)]
pub(super) struct PeerIndex {
    /// Those that can only match pods of this namespace.
    by_namespace: HashMap<NamespaceId, SelectorIndex<PeerId>>,
    /// Those of many namespaces, by what they ask of pods.
    by_pods: SelectorIndex<PeerId>,
    blocks: HashSet<PeerId>,
}

impl PeerIndex {
    pub(super) fn new(table: &PeerTable<'_>, rules: &RuleTable<'_>, namespaces: &NamespaceTable) -> Self {
        let mut by_namespace: HashMap<NamespaceId, Vec<(PeerId, &Selector)>> = HashMap::new();
        let (mut by_pods, mut blocks) = (Vec::new(), HashSet::new());
        let many = FEW_NAMESPACES.min(namespaces.iter().len());
        for peer in rules.peers() {
            match table.entries[peer.index()] {
                Entry::Own(namespace, pods) => by_namespace.entry(namespace).or_default().push((peer, pods)),
                Entry::Selected(SelectedId(selector), pods) if table.selected[selector].len() <= many => {
                    for namespace in &table.selected[selector] {
                        by_namespace.entry(*namespace).or_default().push((peer, pods));
                    }
                }
                Entry::Selected(_, pods) => by_pods.push((peer, pods)),
                Entry::Block(_) => {
                    blocks.insert(peer);
                }
            }
        }
        Self {
            by_namespace: by_namespace
                .into_iter()
                .map(|(namespace, peers)| (namespace, SelectorIndex::new(&peers)))
                .collect(),
            by_pods: SelectorIndex::new(&by_pods),
            blocks,
        }
    }

    /// The peers that match a group, each once.
    pub(super) fn matching(&self, group: &Group, table: &PeerTable<'_>) -> Vec<PeerId> {
        let mut found: Vec<PeerId> = group
            .blocks
            .iter()
            .copied()
            .filter(|block| self.blocks.contains(block))
            .collect();
        if !group.host_network {
            if let Some(index) = self.by_namespace.get(&group.namespace) {
                found.extend(index.matching(&group.labels));
            }
            let wide = self.by_pods.matching(&group.labels);
            found.extend(wide.into_iter().filter(|peer| table.matches(*peer, group)));
        }
        found
    }
}
